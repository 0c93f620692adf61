"""Cache marks written in place, for every case of the facts on cache-control translation."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from asynccache.errors import InvalidRequestError
from asynccache.providers.anthropic import provider
from asynccache.request import Mark
from tests.shared import requires_shared, shared

from .asking import TOOL, USER, ask, call, calls, result, sent

FIVE = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def M(*path: str | int, ttl: str | None = None) -> Mark:  # noqa: N802 - reads as the mark that it makes
    return Mark(path, ttl)


def marked(body: Any, path: tuple[str | int, ...] = ()) -> dict[str, Any]:
    """Every cache mark of a body, by the path of what it stands on."""
    found: dict[str, Any] = {}
    if isinstance(body, dict):
        if "cache_control" in body:
            found[".".join(map(str, path))] = body["cache_control"]
        for name, value in body.items():
            found |= marked(value, (*path, name))
    elif isinstance(body, list):
        for place, value in enumerate(body):
            found |= marked(value, (*path, place))
    return found


# The marks that the translation resolves each case to, and where they must stand on the wire.
CASES: dict[str, tuple[tuple[Mark, ...], dict[str, Any]]] = {
    "system_msg_level": ((M("messages", 0),), {"system.0": FIVE}),
    "system_block": ((M("messages", 0, "content", 0, ttl="1h"),), {"system.0": HOUR}),
    "user_str_msg_level": ((M("messages", 0),), {"messages.0.content.0": FIVE}),
    "user_block": ((M("messages", 0, "content", 0, ttl="1h"),), {"messages.0.content.0": HOUR}),
    "user_list_msg_level": ((M("messages", 0, "content", 1),), {"messages.0.content.1": FIVE}),
    "assistant_str": ((M("messages", 1),), {"messages.1.content.0": FIVE}),
    "assistant_block": ((M("messages", 1, "content", 0),), {"messages.1.content.0": FIVE}),
    "assistant_toolcall": ((M("messages", 1, "tool_calls", 0),), {"messages.1.content.0": FIVE}),
    "tool_msg_level": ((M("messages", 2),), {"messages.2.content.0": FIVE}),
    "tool_block": ((M("messages", 2),), {"messages.2.content.0": FIVE}),
    "tooldef_top": ((M("tools", 0, ttl="1h"),), {"tools.0": HOUR}),
    "tooldef_function": ((M("tools", 0),), {"tools.0": FIVE}),
    "five_bps": (
        tuple(M("messages", at, "content", 0) for at in (1, 2, 3, 4)),
        {f"messages.{at}.content.0": FIVE for at in (1, 2, 3, 4)},
    ),
    "five_bps_drop": (
        tuple(M("messages", at, "content", 0) for at in (1, 2, 3, 4)),
        {f"messages.{at}.content.0": FIVE for at in (1, 2, 3, 4)},
    ),
    "top_level_auto": ((M(),), {"": FIVE}),
    "empty_text_marked": ((M("messages", 0, "content", 0),), {"system.0": FIVE}),
    "inject_system_last": (
        (M("messages", 0), M("messages", 3)),
        {"system.0": FIVE, "messages.2.content.0": FIVE},
    ),
    "inject_tool_config": ((M("tools", 0),), {"tools.0": FIVE}),
    "inject_user_all": (
        tuple(M("messages", at) for at in (4, 6, 8, 10)),
        {f"messages.{at}.content.0": FIVE for at in (4, 6, 8, 10)},
    ),
    "enable_auto": ((M("messages", 0), M("messages", 3)), {"system.0": FIVE, "messages.2.content.0": FIVE}),
    "mid_system": ((M("messages", 3),), {"messages.2.content.0": FIVE}),
    "key_order": ((), {}),
    "prompt_cache_key": ((), {}),
}


def unmarked(value: Any) -> Any:
    """Without the caller's marks: the translation takes them out."""
    if isinstance(value, dict):
        return {name: unmarked(item) for name, item in value.items() if name != "cache_control"}
    return [unmarked(item) for item in value] if isinstance(value, list) else value


@requires_shared
@pytest.mark.parametrize("name", CASES)
def test_cases_of_the_facts(name: str) -> None:
    """Every case has its marks where they are wanted, nowhere else, and the same bytes on every call."""
    cases = json.loads(shared("facts", "translate.json").read_bytes())["cases"]
    assert cases.keys() == CASES.keys()
    given = unmarked(cases[name]["input"])
    params = {key: given[key] for key in ("tool_choice", "temperature") if key in given}
    marks, wanted = CASES[name]
    request = ask(*given["messages"], marks=marks, tools=given.get("tools"), **params)
    body = provider.encode(request).body
    assert marked(json.loads(body)) == wanted
    assert provider.encode(copy.deepcopy(request)).body == body


def test_a_system_message_in_mid_conversation_is_marked_in_place() -> None:
    """It becomes one marked block of text, and stays a system message."""
    body = sent(USER, {"role": "system", "content": "B"}, marks=(M("messages", 1, ttl="1h"),))
    assert body["messages"][1] == {
        "role": "system",
        "content": [{"type": "text", "text": "B", "cache_control": HOUR}],
    }


def test_a_mark_on_a_message_stands_on_its_last_block_that_takes_one() -> None:
    """Calls come after text; thinking never takes a mark."""
    thinking = {"type": "thinking", "thinking": "t", "signature": "s"}
    with_calls = {**calls(call(), call(call_id="c2"), content="x"), "thinking_blocks": [thinking]}
    body = sent(USER, with_calls, result(), result(call_id="c2"), marks=(M("messages", 1),))
    assert marked(body) == {"messages.1.content.3": FIVE}
    own = {"role": "assistant", "content": [{"type": "text", "text": "x"}, thinking]}
    assert marked(sent(USER, own, USER, marks=(M("messages", 1),))) == {"messages.1.content.0": FIVE}


def test_marks_behind_results() -> None:
    """A mark keeps to its own block when messages are joined or blocks are left out."""
    empty_first = {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "go"}]}
    body = sent(
        USER, calls(call(), call(call_id="c2")), result("1"), result("2", "c2"), empty_first,
        marks=(M("messages", 2), M("messages", 4, "content", 1, ttl="1h")),
    )  # fmt: skip
    content = body["messages"][2]["content"]
    assert [block.get("cache_control") for block in content] == [FIVE, None, HOUR]
    assert content[2]["text"] == "go"


def test_a_mark_within_a_result_stands_on_the_result() -> None:
    """Never inside its content."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    body = sent(USER, calls(call()), result(parts), marks=(M("messages", 2, "content", 1),))
    assert marked(body) == {"messages.2.content.0": FIVE}


def test_marks_on_blocks_of_the_provider_s_own() -> None:
    """A mark on a call stands on that call; any other on the end of the answer."""
    own = [
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
        {"type": "text", "text": "x"},
        {"type": "tool_use", "id": "c2", "name": "f", "input": {}},
        {"type": "thinking", "thinking": "t", "signature": "s"},
    ]
    message = {**calls(call(), call(call_id="c2")), "provider_blocks": own}
    on_call = sent(USER, message, result(), marks=(M("messages", 1, "tool_calls", 0),))
    assert marked(on_call) == {"messages.1.content.0": FIVE}
    on_text = sent(USER, message, result(), marks=(M("messages", 1, "content", 0, ttl="1h"),))
    assert marked(on_text) == {"messages.1.content.2": HOUR}


def test_tools_in_anthropic_s_spelling_are_marked_too() -> None:
    """Any tool takes a mark, and is otherwise left alone."""
    tools = [
        {"name": "g", "input_schema": {"type": "object"}},
        {"type": "web_search_20250305", "name": "web_search"},
        TOOL,
    ]
    body = sent(USER, tools=tools, marks=(M("tools", 1), M("tools", 2)))
    assert marked(body) == {"tools.1": FIVE, "tools.2": FIVE}
    assert body["tools"][0] == tools[0]


@pytest.mark.parametrize(
    "mark",
    [
        M("messages", 7),
        M("messages", 0, "content", 3),
        M("messages", 0, "tool_calls", 0),
        M("tools", 0),
        M("params"),
    ],
)
def test_a_mark_at_no_place_is_refused(mark: Mark) -> None:
    """A mark that a stage set wrongly is never lost in silence."""
    with pytest.raises(InvalidRequestError, match="no cache mark can stand at"):
        sent(USER, marks=(mark,))
