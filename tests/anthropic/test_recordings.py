"""Every recorded answer of Anthropic's, decoded under several cuts, against its ground truth."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asynccache.errors import APIStatusError, AuthenticationError, BadRequestError, NotFoundError
from asynccache.events import Finished, ReportedUsage, TextDelta
from asynccache.providers.statuses import error_from_body
from asynccache.stream import Head
from tests.shared import requires_shared

from .recorded import (
    answers,
    blocks_of,
    body_of,
    cut,
    decode,
    head_of,
    interactions,
    refusals,
    said,
    usage_of,
)

pytestmark = requires_shared

FINISH = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
    "stop_sequence": "stop",
    "pause_turn": "stop",
}


def ids(cases: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[str]:
    return [case["id"] for case, _ in cases]


def test_enough_was_recorded() -> None:
    """The recordings hold what the other tests here rely on."""
    assert len(answers()) >= 140
    assert len(refusals()) >= 10
    assert len(interactions()) == len(answers()) + len(refusals())


@pytest.mark.parametrize(("case", "truth"), answers(), ids=ids(answers()))
def test_answer_agrees_with_its_truth(case: dict[str, Any], truth: dict[str, Any]) -> None:
    """Text, thinking, calls, finish reason, model and the usage fields are the recorded ones under every cut."""
    body, head = body_of(case), head_of(case)
    for size in (None, 777, 7, 1):
        events = decode(cut(body, size), head, streamed=case["stream"])
        got = said(events)
        assert got["text"] == truth["text"]
        assert got["thinking"] == (truth.get("thinking") or "")
        # a ground truth writes arguments anew, keys sorted; their exact text is the next test but one
        assert parsed(got["tool_calls"]) == parsed(truth["tool_calls"])
        assert got["finish_reason"] == [truth["finish_reason"]]
        finished = next(event for event in events if type(event) is Finished)
        assert finished.reason == FINISH[truth["finish_reason"]]
        assert got["model"] == truth["model"]
        assert (
            usage_of(events).items() >= {k: v for k, v in truth["raw_usage"].items() if v is not None}.items()
        )


def parsed(calls: list[dict[str, Any]]) -> list[tuple[str, str, Any]]:
    return [(call["id"], call["name"], json.loads(call["arguments"])) for call in calls]


@pytest.mark.parametrize(("case", "truth"), answers(), ids=ids(answers()))
def test_blocks_are_kept_where_the_shape_cannot_say_them(case: dict[str, Any], truth: dict[str, Any]) -> None:
    """Server-side tools and sources come as whole blocks, in order; plain answers have none."""
    events = decode([body_of(case)], head_of(case), streamed=case["stream"])
    blocks = blocks_of(events)
    types = truth["block_types"]
    if any(kind not in {"thinking", "redacted_thinking", "text", "tool_use"} for kind in types):
        assert blocks is not None
    if blocks is None:
        order = ["thinking", "redacted_thinking", "text", "tool_use"]
        ranks = [max(order.index(kind), 1) for kind in types]
        assert ranks == sorted(ranks)
        return
    assert [block["type"] for block in blocks] == types
    if not case["stream"]:
        assert blocks == json.loads(body_of(case))["content"]


def test_arguments_are_the_text_that_came() -> None:
    """Not one byte of a call's arguments is written anew, streamed or not."""
    seen = 0
    for case, _ in answers():
        body = body_of(case)
        for call in said(decode([body], head_of(case), streamed=case["stream"]))["tool_calls"]:
            if not case["stream"]:
                assert call["arguments"].encode() in body
                seen += 1
            else:
                pieces = [
                    event["delta"]["partial_json"]
                    for line in body.splitlines()
                    if line.startswith(b"data:")
                    and (event := json.loads(line[5:])).get("delta", {}).get("partial_json")
                ]
                assert call["arguments"] in "".join(pieces) or call["arguments"] == "{}"
                seen += 1
    assert seen >= 30


def test_the_provider_s_event_stays_reachable() -> None:
    """Every piece of text of a stream carries the event that brought it."""
    case = next(case for case, _ in answers() if case["stream"])
    events = decode([body_of(case)], head_of(case))
    for event in events:
        if type(event) is TextDelta:
            assert event.raw is not None
            assert json.loads(event.raw)["delta"]["text"] == event.text
    assert any(type(event) is ReportedUsage for event in events)


@pytest.mark.parametrize(("case", "truth"), refusals(), ids=ids(refusals()))
def test_refusal_is_a_typed_error(case: dict[str, Any], truth: dict[str, Any]) -> None:
    """A refusal raises the class of its status, with the provider's word and its code."""
    classes = {400: BadRequestError, 401: AuthenticationError, 404: NotFoundError}
    error = error_from_body(case["status"], head_of(case).headers, body_of(case))
    assert type(error) is classes[case["status"]]
    assert error.status_code == case["status"]
    assert error.code == truth["error"]["error"]["type"]
    assert truth["error"]["error"]["message"] in error.message


@pytest.mark.parametrize(("case", "truth"), refusals(), ids=ids(refusals()))
def test_refusal_within_an_answer(case: dict[str, Any], truth: dict[str, Any]) -> None:
    """The same body under status 200 is an error just so, whatever the content type says."""
    for kind in ("application/json", "text/event-stream", ""):
        for size in (None, 1):
            with pytest.raises(APIStatusError) as caught:
                decode(cut(body_of(case), size), Head(headers={"content-type": kind}))
            assert caught.value.status_code == case["status"]
            assert caught.value.code == truth["error"]["error"]["type"]
