"""Every shared translation case, on every target, as it is wanted."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from asynccache.cache_control import apply_cache_rules
from asynccache.providers.registry import get
from asynccache.request import Request, path_text
from tests.cache_control.targets import ALL
from tests.shared import SHARED, requires_shared, shared

pytestmark = requires_shared

_CASES: dict[str, Any] = (
    {} if SHARED is None else json.loads(shared("facts", "translate.json").read_bytes())["cases"]
)
_FIELDS = ("messages", "tools", "cache_control", "cache_control_injection_points", "drop_params")

# What goes out, as "place" or "place ttl", and what is reported besides "sent": the wanted results in short.
_BLOCKS = {
    "system_msg_level": ["messages[0]"],
    "system_block": ["messages[0].content[0] 1h"],
    "user_str_msg_level": ["messages[0]"],
    "user_block": ["messages[0].content[0] 1h"],
    "user_list_msg_level": ["messages[0].content[1]"],
    "assistant_str": ["messages[1]"],
    "assistant_block": ["messages[1].content[0]"],
    "assistant_toolcall": ["messages[1].tool_calls[0]"],
    "tool_msg_level": ["messages[2]"],
    "tool_block": ["messages[2]"],
    "tooldef_top": ["tools[0] 1h"],
    "tooldef_function": ["tools[0]"],
    "five_bps": [f"messages[{index}].content[0]" for index in (1, 2, 3, 4)],
    "five_bps_drop": [f"messages[{index}].content[0]" for index in (1, 2, 3, 4)],
    "top_level_auto": ["cache_control"],
    "empty_text_marked": ["messages[0].content[0]"],
    "inject_system_last": ["messages[0]", "messages[3]"],
    "inject_tool_config": ["tools[0]"],
    "inject_user_all": [f"messages[{index}]" for index in (4, 6, 8, 10)],
    "enable_auto": ["messages[0]", "messages[3]"],
    "mid_system": ["messages[3].content[0]"],
    "key_order": [],
    "prompt_cache_key": [],
}
_EXPLICIT = {**_BLOCKS, "top_level_auto": ["messages[0]"]}
_NOVA = {
    **{case: [place.replace(" 1h", "") for place in places] for case, places in _EXPLICIT.items()},
    "assistant_toolcall": ["messages[0]"],
    "tool_msg_level": [],
    "tool_block": [],
    "tooldef_top": [],
    "tooldef_function": [],
    "inject_tool_config": [],
}
_OPENAI = {
    **_NOVA,
    "tool_msg_level": ["messages[2]"],
    "tool_block": ["messages[2].content[0]"],
    "top_level_auto": [],
    "mid_system": ["messages[3]"],
}
_WANTED = {
    "anthropic": _BLOCKS,
    "converse": _EXPLICIT,
    "invoke": _EXPLICIT,
    "nova": _NOVA,
    "openai_gpt56": _OPENAI,
}
_REPORTED = {
    ("tool_block", "blocks"): {"moved"},
    ("five_bps", "blocks"): {"dropped", "sent"},
    ("five_bps_drop", "blocks"): {"dropped", "sent"},
    ("five_bps", "parts"): {"dropped", "sent"},
    ("five_bps_drop", "parts"): {"dropped", "sent"},
    ("empty_text_marked", "blocks"): {"moved"},
    ("empty_text_marked", "parts"): {"moved"},
    ("mid_system", "blocks"): {"changed", "sent"},
    ("key_order", "blocks"): set(),
    ("key_order", "parts"): set(),
    ("prompt_cache_key", "blocks"): {"dropped"},
    ("prompt_cache_key", "parts"): set(),
}


def _request(case: str, model: str = "anthropic/claude-sonnet-4-5") -> Request:
    given = dict(_CASES[case]["input"])
    known = {name: given.pop(name) for name in _FIELDS if name in given}
    return Request(model=model, params=given, **known)


def _sent(request: Request) -> list[str]:
    return [path_text(mark.path) + (f" {mark.ttl}" if mark.ttl else "") for mark in request.marks]


def test_every_case_has_its_wanted_result() -> None:
    """A case that the facts gain fails here until it is judged."""
    assert set(_CASES) == set(_BLOCKS)


@pytest.mark.parametrize("case", list(_BLOCKS))
@pytest.mark.parametrize("target", list(ALL))
def test_marks_go_out_as_wanted(case: str, target: str) -> None:
    """Where the target takes marks: the wanted places, and no report but the wanted ones."""
    rules = ALL[target]
    planned = apply_cache_rules(_request(case), rules)
    if target not in _WANTED:
        assert planned.marks == ()
        assert {note.action for note in planned.notes} <= {"dropped"}
        return
    assert _sent(planned) == _WANTED[target][case]
    actions = {note.action for note in planned.notes}
    if target in ("anthropic", "converse", "invoke", "openai_gpt56"):
        usual = {"sent"} if planned.marks else {"dropped"}
        if case == "top_level_auto" and target in ("converse", "invoke"):
            usual = {"moved"}
        if case == "assistant_toolcall" and target == "openai_gpt56":
            usual = {"moved"}
        if case in ("system_block", "user_block") and target == "openai_gpt56":
            usual = {"changed"}
        assert actions == _REPORTED.get((case, rules.style), usual)


@pytest.mark.parametrize("case", list(_BLOCKS))
@pytest.mark.parametrize("target", list(ALL))
def test_nothing_of_the_callers_spelling_is_left(case: str, target: str) -> None:
    """No cache_control and no parameter of LiteLLM's stays in what is encoded, and the input is unchanged."""
    request = _request(case)
    before = orjson.dumps([request.messages, request.tools, dict(request.params)])
    planned = apply_cache_rules(request, ALL[target])
    after = orjson.dumps([planned.messages, planned.tools, dict(planned.params)])
    assert b"cache_control" not in after
    assert b"enable_prompt_caching" not in after
    assert planned.cache_control is planned.cache_control_injection_points is None
    assert orjson.dumps([request.messages, request.tools, dict(request.params)]) == before
    if case == "key_order":
        assert planned is request
    if case == "prompt_cache_key":
        assert ("prompt_cache_key" in planned.params) is ("prompt_cache_key" in ALL[target].params)


@pytest.mark.parametrize("case", list(_BLOCKS))
@pytest.mark.parametrize(
    ("model", "spelling"),
    [("anthropic/claude-sonnet-4-5", b'"cache_control":'), ("openai/gpt-5.6", b'"prompt_cache_breakpoint":')],
)
def test_every_planned_mark_is_one_that_the_provider_writes(case: str, model: str, spelling: bytes) -> None:
    """As many marks on the wire as in the plan: no path means nothing to the provider's own file."""
    request = _request(case, model)
    provider = get(request.provider)
    planned = apply_cache_rules(request, provider.cache_rules(request))
    written = provider.encode(planned).body.count(spelling)
    automatic = [mark for mark in planned.marks if not mark.path]
    assert written >= len(planned.marks) - len(automatic)
    assert written <= len(planned.marks)
