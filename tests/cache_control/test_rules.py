"""One rule of the plan at a time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from asynccache.cache_control import apply_cache_rules
from asynccache.errors import InvalidRequestError
from asynccache.reply import CacheNote
from asynccache.request import Mark, Request
from tests.cache_control.targets import (
    CLAUDE,
    GATEWAY,
    NEW_CLAUDE,
    NO_MARKS,
    NOVA,
    OLD_OPENAI,
    ON_BEDROCK,
    OPENAI,
)

_MARK = {"type": "ephemeral"}
_HOUR = {"type": "ephemeral", "ttl": "1h"}
_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def _text(text: str, mark: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **({"cache_control": mark} if mark else {}), **more}


def _say(role: str, content: Any, mark: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **({"cache_control": mark} if mark else {}), **more}


def _plan(rules: Any, *messages: Any, **more: Any) -> Request:
    return apply_cache_rules(Request(model="anthropic/claude-opus-5", messages=list(messages), **more), rules)


def _marks(planned: Request) -> list[tuple[Any, ...]]:
    return [(*mark.path, mark.ttl) for mark in planned.marks]


def _note(planned: Request, path: str) -> CacheNote:
    (note,) = (note for note in planned.notes if note.path == path)
    return note


def test_a_mark_on_thinking_moves_to_the_block_before() -> None:
    """In the same message, or in the one before where there is none."""
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s", "cache_control": _MARK}
    within = _plan(CLAUDE, _say("user", "q"), _say("assistant", [_text("a"), thinking]))
    assert _marks(within) == [("messages", 1, "content", 0, None)]
    assert _note(within, "messages[1].content[1]").action == "moved"
    assert "thinking" in str(_note(within, "messages[1].content[1]").reason)

    before = _plan(CLAUDE, _say("user", [_text("q"), _text(" ")]), _say("assistant", [thinking, _text("a")]))
    assert _marks(before) == [("messages", 0, "content", 0, None)]
    assert _note(before, "messages[1].content[0]").sent_to == "messages[0].content[0]"


def test_a_mark_with_nothing_before_it_is_dropped_with_the_reason() -> None:
    """Nowhere to go."""
    planned = _plan(CLAUDE, _say("user", [_text("", _MARK), _text("q")]))
    assert planned.marks == ()
    note = _note(planned, "messages[0].content[0]")
    assert (note.action, note.sent_to) == ("dropped", None)
    assert "empty" in str(note.reason)


def test_a_mark_on_a_message_stands_on_its_last_block_that_takes_one() -> None:
    """Calls come after the content, empty texts are passed over."""
    planned = _plan(
        CLAUDE,
        _say("user", [_text("a"), _text("")], _MARK),
        _say("assistant", "b", _MARK, tool_calls=[_CALL, _CALL]),
    )
    assert _marks(planned) == [("messages", 0, "content", 0, None), ("messages", 1, "tool_calls", 1, None)]


def test_a_mark_inside_a_result_in_anthropics_spelling_stands_on_the_result() -> None:
    """Also where the result is a part of a user message; its inner mark is taken out without a copy of the rest."""
    image = {"type": "image", "source": {"type": "base64", "data": "x"}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": [_text("res", _HOUR), image]}
    planned = _plan(CLAUDE, _say("user", [result]))
    assert _marks(planned) == [("messages", 0, "content", 0, "1h")]
    assert _note(planned, "messages[0].content[0].content[0]").sent_to == "messages[0].content[0]"
    inner = planned.messages[0]["content"][0]["content"]
    assert inner == [_text("res"), image]
    assert inner[1] is image


def test_a_replayed_answer_is_marked_as_a_whole() -> None:
    """Blocks of the provider's own go out as they came, with one mark at their end."""
    message = _say(
        "assistant", "b", _MARK, provider_blocks=[{"type": "text", "text": "b"}], tool_calls=[_CALL]
    )
    assert _marks(_plan(CLAUDE, _say("user", "a"), message)) == [("messages", 1, None)]


def test_marks_on_one_block_become_one_with_the_longest_lifetime() -> None:
    """A part and its message marked, a tool in both spellings: each wish has its note."""
    tool = {**_TOOL, "cache_control": _MARK, "function": {**_TOOL["function"], "cache_control": _HOUR}}
    planned = _plan(CLAUDE, _say("user", [_text("a", _MARK)], _MARK), tools=[tool])
    assert _marks(planned) == [("tools", 0, "1h"), ("messages", 0, "content", 0, None)]
    assert [(note.path, note.action) for note in planned.notes] == [
        ("tools[0]", "changed"),
        ("tools[0].function", "sent"),
        ("messages[0]", "sent"),
        ("messages[0].content[0]", "sent"),
    ]
    assert "merged" in str(planned.notes[3].reason)
    assert planned.tools == [_TOOL]


def test_more_than_four_keep_tools_system_and_the_latest() -> None:
    """One tool, one system text and the two latest messages."""
    messages = [_say("system", "s", _MARK), *(_say("user", f"m{n}", _MARK) for n in range(5))]
    planned = _plan(CLAUDE, *messages, tools=[{**_TOOL, "cache_control": _MARK}])
    assert _marks(planned) == [
        ("tools", 0, None),
        ("messages", 0, None),
        ("messages", 4, None),
        ("messages", 5, None),
    ]
    assert [note.path for note in planned.notes if note.action == "dropped"] == [
        f"messages[{n}]" for n in (1, 2, 3)
    ]


def test_too_many_on_tools_and_system_keep_the_latest_of_each() -> None:
    """The end of the conversation keeps its mark too."""
    tools = [{**_TOOL, "cache_control": _MARK} for _ in range(3)]
    system = _say("system", [_text("a", _MARK), _text("b", _MARK), _text("c", _MARK)])
    planned = _plan(CLAUDE, system, _say("user", "q", _MARK), tools=tools)
    assert _marks(planned) == [
        ("tools", 1, None),
        ("tools", 2, None),
        ("messages", 0, "content", 2, None),
        ("messages", 1, None),
    ]


def test_what_comes_before_an_hour_lasts_an_hour() -> None:
    """A 5m mark before a 1h one would be refused: it is prolonged, and reported."""
    planned = _plan(
        CLAUDE, _say("system", "s", _MARK), _say("user", "a", _HOUR), _say("assistant", "b", _MARK)
    )
    assert _marks(planned) == [("messages", 0, "1h"), ("messages", 1, "1h"), ("messages", 2, None)]
    note = _note(planned, "messages[0]")
    assert (note.action, note.ttl) == ("changed", "1h")
    assert "longer lifetime" in str(note.reason)
    assert _note(planned, "messages[1]").action == _note(planned, "messages[2]").action == "sent"


@pytest.mark.parametrize(
    ("rules", "asked", "sent", "action"),
    [
        (CLAUDE, "5m", "5m", "sent"),
        (CLAUDE, "30m", None, "changed"),
        (NOVA, "1h", None, "changed"),
        (NOVA, "5m", None, "sent"),  # the default, by its name
        (OPENAI, "5m", None, "changed"),
        (OPENAI, "30m", "30m", "sent"),
        (OPENAI, "12h", "12h", "sent"),
        (msgspec.structs.replace(OPENAI, other_ttl="12h"), "1h", "12h", "changed"),
    ],
)
def test_lifetimes_that_a_model_lacks_are_changed(
    rules: Any, asked: str, sent: str | None, action: str
) -> None:
    """The one sent is in the report, with the reason."""
    planned = _plan(rules, _say("user", "a", {"type": "ephemeral", "ttl": asked}))
    assert _marks(planned) == [("messages", 0, sent)]
    note = _note(planned, "messages[0]")
    assert (note.action, note.ttl) == (action, sent)
    assert (note.reason is None) is (action == "sent")


def test_the_automatic_mark_takes_a_slot() -> None:
    """Four explicit ones and the automatic one: the earliest goes."""
    messages = [_say("user", f"m{n}", _MARK) for n in range(4)]
    planned = _plan(CLAUDE, *messages, _say("assistant", "b"), cache_control=_MARK)
    assert _marks(planned) == [("messages", 1, None), ("messages", 2, None), ("messages", 3, None), (None,)]


def test_the_automatic_mark_beside_one_on_the_last_block() -> None:
    """The same lifetime is one mark; another would be refused, so the explicit one stays."""
    same = _plan(CLAUDE, _say("user", "a", {**_MARK, "ttl": "5m"}), cache_control=_MARK)
    assert _marks(same) == [("messages", 0, "5m")]
    assert _note(same, "cache_control").action == "sent"
    other = _plan(CLAUDE, _say("user", "a", _MARK), cache_control=_HOUR)
    assert _marks(other) == [("messages", 0, None)]
    assert _note(other, "cache_control").action == "dropped"


def test_an_automatic_hour_prolongs_all_before_it() -> None:
    """It stands at the very end."""
    assert _marks(_plan(CLAUDE, _say("system", "s", _MARK), _say("user", "a"), cache_control=_HOUR)) == [
        ("messages", 0, "1h"),
        ("1h",),
    ]


def test_the_automatic_mark_where_a_model_has_none() -> None:
    """On the last block that takes one, past results that take none; else dropped."""
    talk = [
        _say("user", "a"),
        _say("assistant", None, tool_calls=[_CALL]),
        _say("tool", "r", tool_call_id="c1"),
    ]
    assert _marks(_plan(ON_BEDROCK, *talk, cache_control=_MARK)) == [("messages", 2, None)]
    nova = _plan(NOVA, *talk, cache_control=_MARK)
    assert _marks(nova) == [("messages", 0, None)]
    assert _note(nova, "cache_control").action == "moved"
    assert _note(_plan(OPENAI, *talk, cache_control=_MARK), "cache_control").action == "dropped"


def test_openai_takes_marks_on_parts_of_any_role() -> None:
    """Texts, pictures, sounds and files; not calls, tools and other parts."""
    picture = {"type": "image_url", "image_url": {"url": "data:,"}, "cache_control": _MARK}
    refusal = {"type": "refusal", "refusal": "no", "cache_control": _MARK}
    planned = _plan(
        OPENAI,
        _say("user", [picture]),
        _say("assistant", [_text("a"), refusal]),
        _say("assistant", None, tool_calls=[{**_CALL, "cache_control": _MARK}]),
        _say("tool", [_text("r", _MARK)], tool_call_id="c1"),
        tools=[{**_TOOL, "cache_control": _MARK}],
    )
    assert _marks(planned) == [
        ("messages", 0, "content", 0, None),
        ("messages", 1, "content", 0, None),
        ("messages", 3, "content", 0, None),
    ]
    assert [note.action for note in planned.notes] == ["dropped", "sent", "moved", "moved", "sent"]
    assert "first system text" in str(_note(planned, "tools[0]").reason)


def test_openais_own_breakpoints() -> None:
    """They pass where they are known, are never overwritten, and are reported where they are taken out."""
    own = _text("a", _MARK, prompt_cache_breakpoint={"mode": "explicit", "ttl": "12h"})
    passed = _plan(OPENAI, _say("user", [own]))
    assert passed.marks == ()
    assert passed.messages[0]["content"][0]["prompt_cache_breakpoint"]["ttl"] == "12h"
    assert _note(passed, "messages[0].content[0]").action == "sent"
    unmarked = _say("user", [_text("a", prompt_cache_breakpoint={"mode": "explicit"})])
    kept = _plan(OLD_OPENAI, unmarked)
    assert kept.messages[0] is unmarked
    assert kept.notes == ()
    stripped = _plan(CLAUDE, unmarked)
    assert stripped.messages[0] == _say("user", [_text("a")])
    assert _note(stripped, "messages[0].content[0].prompt_cache_breakpoint").action == "dropped"


def test_openais_parameters_go_only_where_they_are_known() -> None:
    """prompt_cache_key and its kin are reported where they are dropped; other parameters stay."""
    params = {"prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit"}, "temperature": 1}
    assert _plan(OPENAI, _say("user", "a"), params=params).params == params
    dropped = _plan(CLAUDE, _say("user", "a"), params=params)
    assert dropped.params == {"temperature": 1}
    assert [(note.path, note.action) for note in dropped.notes] == [
        ("prompt_cache_key", "dropped"),
        ("prompt_cache_options", "dropped"),
    ]


_TALK = [_say("system", "s"), _say("user", "a"), _say("assistant", "b")]


@pytest.mark.parametrize(
    ("rules", "messages", "rewritten"),
    [
        (CLAUDE, [*_TALK, _say("system", "x"), _say("user", "q")], [3]),
        (CLAUDE, [_say("system", "s"), _say("developer", "t"), _say("user", "a")], []),
        (NEW_CLAUDE, [_say("user", "a"), _say("system", "x")], []),
        (NEW_CLAUDE, [_say("user", "a"), _say("system", "x"), _say("assistant", "b")], []),
        (NEW_CLAUDE, [_say("tool", "a", tool_call_id="1"), _say("system", "x")], []),
        (NEW_CLAUDE, [*_TALK, _say("system", "x"), _say("assistant", "b")], [3]),
        (NEW_CLAUDE, [_say("user", "a"), _say("system", "x"), _say("user", "b")], [1]),
        (NEW_CLAUDE, [_say("user", "a"), _say("system", "x"), _say("system", "y")], [1, 2]),
        (OPENAI, [*_TALK, _say("system", "x"), _say("user", "q")], []),
        (NO_MARKS, [*_TALK, _say("developer", "x"), _say("user", "q")], []),
    ],
)
def test_system_messages_stay_in_their_place(rules: Any, messages: list[Any], rewritten: list[int]) -> None:
    """As they are where the model takes them, else as the user's text in the same place, reported, marked or not."""
    planned = _plan(rules, *messages)
    assert [note.path for note in planned.notes if note.action == "changed"] == [
        f"messages[{n}]" for n in rewritten
    ]
    for index, message in enumerate(planned.messages):
        if index in rewritten:
            said = messages[index]["content"]
            assert message == _say("user", [_text(f"<system>\n{said}\n</system>")])
        else:
            assert message is messages[index]


def test_marks_follow_a_rewritten_system_message() -> None:
    """Wherever in it they stood."""
    system = _say("system", [_text("x"), _text("y", _HOUR)])
    planned = _plan(CLAUDE, *_TALK, system, _say("user", "q"))
    assert planned.messages[3] == _say("user", [_text("<system>\nx\ny\n</system>")])
    assert _marks(planned) == [("messages", 3, "content", 0, "1h")]


@pytest.mark.parametrize(
    ("points", "marks"),
    [
        ([{"location": "message", "role": "system"}], [("messages", 0, None)]),
        ([{"location": "message", "index": -1, "control": _HOUR}], [("messages", 2, "1h")]),
        ([{"location": "message", "index": "1"}], [("messages", 1, None)]),
        ([{"location": "message", "index": 1, "role": "system"}], [("messages", 1, None)]),
        ([{"location": "tool_config"}], []),
        ([{"location": "message", "index": 9}], []),
        ([{"location": "message", "role": "tool"}], []),
        ([], []),
    ],
)
def test_injection_points(points: list[Any], marks: list[Any]) -> None:
    """As LiteLLM takes them; a point that meets nothing is reported."""
    planned = _plan(CLAUDE, *_TALK, cache_control_injection_points=points)
    assert _marks(planned) == marks
    assert [note.action for note in planned.notes] == (["sent"] if marks else ["dropped"] * len(points))
    assert all(note.path == "cache_control_injection_points[0]" for note in planned.notes)


def test_a_stage_outside_may_set_marks() -> None:
    """They are planned like the caller's; a path to nothing is refused."""
    marks = (Mark(()), Mark(("messages", 1)), Mark(("messages", 0), "1h"))
    assert _marks(_plan(CLAUDE, *_TALK, marks=marks)) == [
        ("messages", 0, "1h"),
        ("messages", 1, None),
        (None,),
    ]
    for path in (("messages", 7), ("tools", 0), ("elsewhere",)):
        with pytest.raises(InvalidRequestError, match="no cache mark can stand at"):
            _plan(CLAUDE, *_TALK, marks=(Mark(path),))


@pytest.mark.parametrize("rules", [GATEWAY, NO_MARKS, OPENAI])
def test_marks_are_kept_for_those_who_want_them(rules: Any) -> None:
    """keep_cache_control, or a gateway that takes them: sent as written, reported as sent."""
    messages = [_say("user", [_text("a", _MARK), _text("b")], {"type": "odd"})]
    tools = [{**_TOOL, "cache_control": _HOUR}]
    planned = _plan(rules, *messages, tools=tools, cache_control=_MARK, keep_cache_control=True)
    assert planned.messages[0] is messages[0]
    assert planned.tools is tools
    assert planned.marks == ()
    assert planned.params == {"cache_control": _MARK}
    assert [(note.path, note.action) for note in planned.notes] == [
        ("tools[0]", "sent"),
        ("messages[0]", "sent"),
        ("messages[0].content[0]", "sent"),
        ("cache_control", "sent"),
    ]


def test_points_are_written_in_the_callers_spelling_where_marks_are_kept() -> None:
    """On the last block; a block with a mark of its own keeps it; the caller's objects stay as they are."""
    messages = [_say("system", "s"), _say("user", [_text("a"), _text("b", _HOUR)])]
    points = [
        {"location": "message", "role": "system"},
        {"location": "message", "index": -1},
        {"location": "tool_config"},
    ]
    planned = _plan(GATEWAY, *messages, tools=[_TOOL], cache_control_injection_points=points)
    assert planned.messages[0] == _say("system", [_text("s", _MARK)])
    assert planned.messages[1] == messages[1]
    assert planned.tools == [{"cache_control": _MARK, **_TOOL}]
    assert messages[0] == _say("system", "s")
    assert [note.action for note in planned.notes] == ["sent"] * 4


def test_points_of_kept_marks_on_calls_results_and_nothing() -> None:
    """A call holds its mark itself, a result is marked as a message, a blank conversation cannot be."""
    talk = [
        _say("user", " "),
        _say("assistant", None, tool_calls=[_CALL]),
        _say("tool", "r", tool_call_id="c1"),
    ]
    points = [{"location": "message", "index": index} for index in range(3)]
    planned = _plan(GATEWAY, *talk, cache_control_injection_points=points)
    assert planned.messages == [
        talk[0],
        _say("assistant", None, tool_calls=[{"cache_control": _MARK, **_CALL}]),
        {"cache_control": _MARK, **talk[2]},
    ]
    assert [note.action for note in planned.notes] == ["dropped", "sent", "sent"]


def test_nova_takes_marks_after_text_only() -> None:
    """A mark on a picture moves to the text before it; on a result, in any spelling, it is dropped."""
    picture = {"type": "image_url", "image_url": {"url": "data:,"}, "cache_control": _MARK}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "r", "cache_control": _MARK}
    planned = _plan(NOVA, _say("user", [_text("a"), picture]), _say("user", [_text("b"), result]))
    assert _marks(planned) == [("messages", 0, "content", 0, None)]
    assert [note.action for note in planned.notes] == ["moved", "dropped"]


def test_marks_for_anthropic_itself_are_planned_even_if_kept() -> None:
    """There they are the provider's own words anyway, and only the plan knows where they may stand."""
    planned = _plan(CLAUDE, _say("user", "a", _MARK), keep_cache_control=True)
    assert _marks(planned) == [("messages", 0, None)]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"messages": [_say("user", "a", "yes")]},
            r"messages\[0\].cache_control is 'yes'.*'type': 'ephemeral'",
        ),
        (
            {"messages": [_say("user", [_text("a", {"type": "x"})])]},
            r"content\[0\].cache_control.type is 'x'",
        ),
        ({"messages": [_say("user", "a", {**_MARK, "ttl": 300})]}, r"cache_control.ttl is 300; .*'5m'"),
        ({"cache_control": True}, r"cache_control is True"),
        ({"tools": [{**_TOOL, "cache_control": []}]}, r"tools\[0\].cache_control is \[\]"),
        ({"cache_control_injection_points": ["all"]}, r"points\[0\] is 'all'; an injection point is"),
        ({"cache_control_injection_points": [{"location": "here"}]}, r"points\[0\].location is 'here'"),
        ({"cache_control_injection_points": [{"location": "message"}]}, r"neither a role nor an index"),
        (
            {"cache_control_injection_points": [{"location": "message", "role": 1}]},
            r"neither a role nor an index",
        ),
        ({"cache_control_injection_points": [{"location": "message", "index": 1.5}]}, r"index is 1.5"),
        (
            {"cache_control_injection_points": [{"location": "tool_config", "control": "x"}]},
            r"points\[0\].control is 'x'",
        ),
    ],
)
def test_what_is_no_mark_is_refused_by_its_path(more: dict[str, Any], words: str) -> None:
    """The message names the path, the value and what a mark looks like."""
    request = Request(**{"model": "anthropic/claude-opus-5", "messages": [_say("user", "a")], **more})
    with pytest.raises(InvalidRequestError, match=words):
        apply_cache_rules(request, CLAUDE)


def test_null_is_no_mark_and_more_than_a_mark_is_told() -> None:
    """A null is taken out without a word; a key that cannot be sent is reported."""
    null = _plan(CLAUDE, {"role": "user", "content": "a", "cache_control": None})
    assert (null.marks, null.notes, null.messages) == ((), (), [_say("user", "a")])
    scoped = _plan(CLAUDE, _say("user", "a", {**_MARK, "scope": "global"}))
    assert _note(scoped, "messages[0]").action == "changed"
    assert "scope" in str(_note(scoped, "messages[0]").reason)
