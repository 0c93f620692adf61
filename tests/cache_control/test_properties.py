"""What holds of every plan, whatever the caller marked and whoever is asked."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from asynccache.cache_control import apply_cache_rules
from asynccache.cache_marks import marks_in, marks_on_tools
from asynccache.errors import InvalidRequestError
from asynccache.providers.registry import get
from asynccache.request import Request, path_text
from tests.cache_control.targets import CLAUDE, NEW_CLAUDE, NO_MARKS, NOVA, ON_BEDROCK, OPENAI

_CLAUDE = "anthropic/claude-opus-5"
_RANKS = {None: 1, "5m": 1, "1h": 3}
_marks = st.sampled_from(
    [None] * 3
    + [{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "5m"}, {"type": "ephemeral", "ttl": "1h"}]
)


@st.composite
def _marked(draw: st.DrawFn, holder: dict[str, Any]) -> dict[str, Any]:
    mark = draw(_marks)
    return {**holder, "cache_control": mark} if mark else holder


_parts = st.one_of(
    st.sampled_from(["a", "bc", "", " "]).flatmap(lambda text: _marked({"type": "text", "text": text})),
    _marked({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}),
)
_thinking = _marked({"type": "thinking", "thinking": "t", "signature": "s"})
_calls = _marked({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}})
_contents = st.one_of(st.sampled_from(["text", "more"]), st.lists(_parts, min_size=1, max_size=3))


@st.composite
def _messages(draw: st.DrawFn) -> dict[str, Any]:
    role = draw(st.sampled_from(["system", "user", "assistant", "tool"]))
    message: dict[str, Any] = {"role": role, "content": draw(_contents)}
    if role == "assistant" and isinstance(message["content"], list):
        message["content"] = [*draw(st.lists(_thinking, max_size=1)), *message["content"]]
    if role == "assistant" and draw(st.booleans()):
        message["tool_calls"] = draw(st.lists(_calls, min_size=1, max_size=2))
    if role == "tool":
        message["tool_call_id"] = "c1"
    return draw(_marked(message))


_tools = _marked({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}})
_requests = st.tuples(
    st.lists(_messages(), min_size=1, max_size=8), st.one_of(st.none(), st.lists(_tools, max_size=3)), _marks
).map(lambda asked: Request(model=_CLAUDE, messages=asked[0], tools=asked[1], cache_control=asked[2]))
_rules = st.sampled_from([CLAUDE, NEW_CLAUDE, ON_BEDROCK, NOVA, OPENAI, NO_MARKS])


def _rank_in_prompt(path: tuple[Any, ...]) -> tuple[Any, ...]:
    if not path:
        return (2,)
    kind = {"content": 0, "tool_calls": 1}
    return (0 if path[0] == "tools" else 1, path[1], *((kind[path[2]], path[3]) if len(path) > 2 else (9, 0)))


@given(_requests, _rules)
@settings(deadline=None)
def test_no_more_marks_than_the_model_takes_in_the_order_it_wants(request: Request, rules: Any) -> None:
    """At most max_marks, each place once, in the order of the prompt, no lifetime shorter than a later one."""
    marks = apply_cache_rules(request, rules).marks
    assert len(marks) <= rules.max_marks
    places = [_rank_in_prompt(mark.path) for mark in marks]
    assert places == sorted(set(places))
    assert all(mark.ttl is None or mark.ttl in rules.ttls for mark in marks)
    if rules.ordered_ttls:
        ranks = [_RANKS[mark.ttl] for mark in marks]
        assert ranks == sorted(ranks, reverse=True)


@given(_requests, _rules)
@settings(deadline=None)
def test_every_mark_of_the_caller_is_in_the_report_exactly_once(request: Request, rules: Any) -> None:
    """Sent, moved, changed or dropped; what was dropped has its reason, what was sent its place."""
    written = [path_text(mark.source) for mark in marks_on_tools(request.tools or ())]
    for index, message in enumerate(request.messages):
        written += [path_text(mark.source) for mark in marks_in(message, index)]
    written += ["cache_control"] if request.cache_control else []
    planned = apply_cache_rules(request, rules)
    notes = [note for note in planned.notes if "system message" not in str(note.reason)]
    assert Counter(note.path for note in notes) == Counter(written)
    sent = {path_text(mark.path) for mark in planned.marks}
    assert {note.sent_to for note in notes if note.action != "dropped"} == sent
    for note in notes:
        assert (note.sent_to is None) == (note.action == "dropped")
        assert note.reason or note.action == "sent"


@given(_requests, _rules)
@settings(deadline=None)
def test_the_callers_objects_are_never_changed_and_unmarked_ones_never_rebuilt(
    request: Request, rules: Any
) -> None:
    """No mutation; what holds no mark is the same object; the texts are never copied; no mark is left."""
    before = copy.deepcopy((request.messages, request.tools))
    planned = apply_cache_rules(request, rules)
    assert (request.messages, request.tools) == before
    assert b"cache_control" not in orjson.dumps([planned.messages, planned.tools])
    rewritten = {note.path for note in planned.notes if "system message" in str(note.reason)}
    for index, (old, new) in enumerate(zip(request.messages, planned.messages, strict=True)):
        if path_text(("messages", index)) in rewritten:
            continue
        if b"cache_control" not in orjson.dumps(old):
            assert new is old
        if isinstance(old["content"], str):
            assert new["content"] is old["content"]


@given(_requests, _rules)
@settings(deadline=None)
def test_a_plan_is_the_same_from_call_to_call(request: Request, rules: Any) -> None:
    """The bytes of an unchanged prefix depend on nothing else; planning a plan changes nothing."""
    planned = apply_cache_rules(request, rules)
    assert apply_cache_rules(request, rules) == planned
    again = apply_cache_rules(planned, rules)
    assert again.marks == planned.marks
    assert again.messages == planned.messages


def _encode(provider: Any, planned: Request) -> bytes | None:
    """The body, None for a conversation that the provider's format cannot say at all."""
    try:
        body: bytes = provider.encode(planned).body
    except InvalidRequestError as refusal:
        if "cache mark" in refusal.message:
            raise
        return None
    return body


@given(_requests)
@settings(deadline=None)
def test_every_mark_stands_on_a_block_that_openai_and_claude_take(request: Request) -> None:
    """The provider's own file writes each planned mark, once."""
    talk = [
        *(
            {**message, "tool_call_id": "c1"} if message["role"] == "tool" else message
            for message in request.messages
        ),
        {"role": "user", "content": "q"},
    ]
    for model, spelling in (
        ("openai/gpt-5.6", b'"prompt_cache_breakpoint":'),
        ("anthropic/claude-opus-5", b'"cache_control":'),
    ):
        asked = Request(model=model, messages=talk, tools=request.tools)
        provider = get(asked.provider)
        planned = apply_cache_rules(asked, provider.cache_rules(asked))
        body = _encode(provider, planned)
        if body is None:
            continue
        assert body.count(spelling) == len(planned.marks)
