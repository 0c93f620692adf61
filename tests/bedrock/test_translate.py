"""Every known way of asking for caching, on Converse, Invoke, Nova and Llama: as it is wanted, not as LiteLLM does it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from asynccache.arguments import build_request
from asynccache.cache_control import apply_cache_rules
from asynccache.providers.bedrock import provider
from asynccache.request import Request, Timeout
from tests.shared import SHARED

_FILE: dict[str, Any] = json.loads((SHARED / "facts/translate.json").read_text()) if SHARED else {}
_TARGETS = ("converse", "invoke", "nova", "llama")
_RUNS = [(case, target) for case in _FILE.get("cases", {}) for target in _TARGETS]


def planned(case: str, target: str) -> Request:
    """The request as it reaches the wire's edge, marks planned."""
    given = copy.deepcopy(_FILE["cases"][case]["input"])
    messages = given.pop("messages")
    request = build_request(
        _FILE["targets"][target], messages, stream=False, timeout=Timeout(), max_retries=0, arguments=given
    )
    return provider.check(apply_cache_rules(request, provider.cache_rules(request)))


def sent(case: str, target: str) -> dict[str, Any]:
    """The body that goes out."""
    body: dict[str, Any] = json.loads(provider.encode(planned(case, target)).body)
    return body


def marked(body: dict[str, Any]) -> list[str]:
    """Where the marks stand: behind which block of which list, with the lifetime where one is told."""
    places: list[str] = []
    config = body.get("toolConfig")
    lists = [
        ("tools", config["tools"] if config else body.get("tools", [])),
        ("system", body.get("system", [])),
    ]
    lists += [(f"messages[{index}]", message["content"]) for index, message in enumerate(body["messages"])]
    for name, blocks in lists:
        number = -1
        for block in blocks if isinstance(blocks, list) else []:
            mark = block.get("cachePoint")
            if mark is None:
                number += 1
                mark = block.get("cache_control")
            if mark is not None:
                places.append(f"{name}[{number}]" + (f" {mark['ttl']}" if "ttl" in mark else ""))
    return places


# Claude's places on Converse and on Invoke are the same; Nova's follow where they differ. Llama takes no marks.
_LAST_FOUR = ["messages[1][0]", "messages[2][0]", "messages[3][0]", "messages[4][0]"]
_WANTED: dict[str, tuple[list[str], list[str] | None]] = {
    "system_msg_level": (["system[0]"], None),
    "system_block": (["system[0] 1h"], ["system[0]"]),
    "user_str_msg_level": (["messages[0][0]"], None),
    "user_block": (["messages[0][0] 1h"], ["messages[0][0]"]),
    "user_list_msg_level": (["messages[0][1]"], None),
    "assistant_str": (["messages[1][0]"], None),
    "assistant_block": (["messages[1][0]"], None),
    "assistant_toolcall": (["messages[1][0]"], ["messages[0][0]"]),  # Nova: behind text only
    "tool_msg_level": (["messages[2][0]"], []),
    "tool_block": (["messages[2][0]"], []),
    "tooldef_top": (["tools[0] 1h"], []),
    "tooldef_function": (["tools[0]"], []),
    "five_bps": (_LAST_FOUR, None),
    "five_bps_drop": (_LAST_FOUR, None),
    "top_level_auto": (["messages[0][0]"], None),
    "empty_text_marked": (["system[0]"], None),
    "inject_system_last": (["system[0]", "messages[2][0]"], None),
    "inject_tool_config": (["tools[0]"], []),
    "inject_user_all": (["messages[4][0]", "messages[6][0]", "messages[8][0]", "messages[10][0]"], None),
    "enable_auto": (["system[0]", "messages[2][0]"], None),
    "mid_system": (["messages[2][0]"], None),
    "key_order": ([], None),
    "prompt_cache_key": ([], None),
}


@pytest.mark.parametrize(("case", "target"), _RUNS)
def test_marks_stand_where_they_are_wanted(case: str, target: str) -> None:
    """Each mark is at its place with its lifetime, and no trace of the caller's spelling goes out."""
    claude, nova = _WANTED[case]
    wanted = {"llama": [], "nova": claude if nova is None else nova}.get(target, claude)
    body = sent(case, target)
    assert marked(body) == wanted
    text = json.dumps(body)
    assert "injection" not in text
    assert "enable_prompt_caching" not in text
    assert "prompt_cache" not in text
    assert ("cachePoint" in text) <= (target != "invoke")
    assert ("cache_control" in text) <= (target == "invoke")


@pytest.mark.parametrize(("case", "target"), _RUNS)
def test_every_mark_is_reported(case: str, target: str) -> None:
    """What is not sent where it was written is in the report, and says why."""
    notes = planned(case, target).notes
    sent_marks = [note for note in notes if note.action in {"sent", "moved"} or note.ttl or note.sent_to]
    assert len(sent_marks) >= len(marked(sent(case, target)))
    if target == "llama" and _WANTED[case][0]:
        assert any(note.action == "dropped" for note in notes)
    assert all(note.reason for note in notes if note.action != "sent")


@pytest.mark.parametrize(("case", "target"), _RUNS)
def test_the_same_request_is_the_same_bytes(case: str, target: str) -> None:
    """From call to call not one byte differs: a prefix that changes is a prefix that is not read."""
    assert provider.encode(planned(case, target)).body == provider.encode(planned(case, target)).body


def test_tool_definitions_keep_their_keys_in_order() -> None:
    """The caller's schema goes out with its own key order, nothing added (LiteLLM adds an empty `required`)."""
    if SHARED is None:
        pytest.skip("no ../shared beside this checkout")
    given = _FILE["cases"]["key_order"]["input"]["tools"][0]["function"]["parameters"]
    assert (
        json.dumps(given, separators=(",", ":")).encode()
        in provider.encode(planned("key_order", "converse")).body
    )


def test_all_cases_are_here() -> None:
    """A case that is added to the facts is added to the table above."""
    assert not _FILE or set(_WANTED) == set(_FILE["cases"])
