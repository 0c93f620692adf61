"""No key in logs, errors, reprs or second places, whatever goes wrong. Guarantee 13."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from asynccache import AsyncCacheError, Client
from asynccache.errors import APIConnectionError

from .rig import BOTH, KEY, PROMPT, WIRES, Rig

pytestmark = pytest.mark.anyio

ECHO = f'{{"error":{{"message":"Incorrect API key provided: {KEY}. Bearer {KEY}","code":"{KEY}","type":"x"}},"message":"{KEY}"}}'
FAULTS = {
    "echo 401": {"status": 401, "body": ECHO},
    "echo 429": {"status": 429, "body": ECHO, "headers": {"x-request-id": "req_1"}},
    "echo 500 page": {"status": 500, "body": f"<p>{KEY}", "content_type": "text/html"},
    "echo in 200": {"body": ECHO},
    "echo as events": {"body": f"data: {ECHO}\n\n", "content_type": "text/event-stream"},
    "echo in a page": {"body": f"<html>{KEY}", "content_type": "text/html"},
    "echo in text": {"body": KEY, "content_type": "text/plain"},
    "redirect": {"status": 307, "body": "", "headers": {"location": "http://127.0.0.2:1/"}},
    "cut": {"cut_event": 4, "end": "rst"},
    "fin": {"cut_event": 4, "end": "fin_in_chunk"},
    "bad chunk": {"cut_event": 0, "end": "bad_chunk"},
    "no answer": {"no_answer": True},
    "headers": {"header_flood": 400},
    "short": {"framing": "short_length"},
    "garbage": {"flip": 9},
    "bad length": {"headers": {"content-length": "abc"}, "framing": "close"},
    "packed": {"headers": {"content-encoding": "gzip"}},
}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and all that stand behind it."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]


def said_by(error: BaseException) -> str:
    """All that a log, a debugger's summary or an error tracker shows of it."""
    parts = ["".join(traceback.format_exception(error))]
    for one in chain(error):
        parts += [
            str(one),
            repr(one),
            repr(one.args),
            repr(one.__dict__),
            repr(getattr(one, "__notes__", "")),
        ]
        parts += [f"{name}={value!r}" for name, value in vars(one).items()]
    return "\n".join(parts)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_no_key_is_shown(
    rig: Rig, wire: str, fault: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """With all logs at DEBUG and the provider echoing the key, the key is nowhere in what can be seen."""
    with caplog.at_level(logging.DEBUG):
        for stream in BOTH:
            outcome = await rig.ask(wire, stream=stream, fault=fault)
            if outcome.error is not None:
                assert KEY not in said_by(outcome.error)
            for seen in (outcome.usages, outcome.usage, outcome.completion, outcome.chunks, rig.client):
                assert KEY not in repr(seen)
    assert KEY not in caplog.text
    assert "POST" in caplog.text
    assert all(KEY not in repr(record.__dict__) for record in caplog.records)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_no_prompt_is_shown(rig: Rig, fault: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Without DEBUG no log line, and never an error, holds the prompt."""
    with caplog.at_level(logging.INFO):
        async with Client(max_retries=1) as client:
            outcome = await rig.ask("openai", client=client, fault=fault)
    assert outcome.error is None or PROMPT not in said_by(outcome.error)
    assert PROMPT not in caplog.text


async def test_keys_of_aws_are_not_shown(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """The secret, the session token and the signature of a signed request are in no log and no error."""
    secret, token = "aws-canary-secret-0123456789", "aws-canary-token-0123456789"
    with caplog.at_level(logging.DEBUG):
        for fault in (FAULTS["echo 401"], FAULTS["cut"], FAULTS["no answer"]):
            outcome = await rig.ask(
                "converse", fault=fault, api_key=None, aws_access_key_id="AKIACANARY0123456789",
                aws_secret_access_key=secret, aws_session_token=token,
            )  # fmt: skip
            assert isinstance(outcome.error, AsyncCacheError)
            for canary in (secret, token):
                assert canary not in said_by(outcome.error)
    assert secret not in caplog.text
    assert token not in caplog.text


async def test_addresses_with_a_password(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """A password in `api_base` is in no error."""
    with caplog.at_level(logging.INFO):
        outcome = await rig.ask("openai", base="http://user:canary-password@127.0.0.1:9/v1")
    assert isinstance(outcome.error, AsyncCacheError)
    assert "canary-password" not in said_by(outcome.error)
    assert "canary-password" not in caplog.text


async def test_errors_can_be_pickled(rig: Rig) -> None:
    """What a worker hands to its parent is the error, with its facts and without the key."""
    outcome = await rig.ask("openai", fault=FAULTS["echo 429"])
    assert KEY.encode() not in pickle.dumps(outcome.error)
    outcome = await rig.ask("openai", fault=FAULTS["cut"])
    assert isinstance(outcome.error, APIConnectionError)
