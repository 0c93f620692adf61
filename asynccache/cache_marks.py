"""Where a caller may write cache marks, and the same messages and tools without them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple

from asynccache.errors import InvalidRequestError
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from asynccache.cache_plan import Message
    from asynccache.request import Path

__all__ = [
    "BREAKPOINT",
    "CONTROL",
    "Written",
    "breakpoints_in",
    "find_touched",
    "marks_in",
    "marks_on_tools",
    "read_control",
    "without_marks",
    "without_tool_marks",
]

CONTROL = "cache_control"
BREAKPOINT = "prompt_cache_breakpoint"
"""OpenAI's own mark on a part; it passes where the provider takes it."""

_PLAIN = {"type": "ephemeral"}
_MARK = frozenset({CONTROL})
_BOTH = frozenset({CONTROL, BREAKPOINT})
_TURNS = frozenset({"user", "assistant", "tool", "function"})


class Written(NamedTuple):
    """One mark as it stands in the request."""

    source: Path
    """The object that holds it."""
    at: Path
    """What it marks: that object, or the one that stands for it on the wire."""
    control: Any
    """The mark itself; null is none."""


def find_touched(messages: Sequence[Message], others: Sequence[int]) -> tuple[list[int], list[int]]:
    """Which messages hold a mark of any spelling, and which are system messages behind the leading ones.

    Only *others* are looked at, those that `find_others` found: no plain text of a turn is any of these.
    """
    holding: list[int] = []
    late_systems: list[int] = []
    leading = True
    for before, index in enumerate(others):
        message = messages[index]
        content = message.get("content")
        if message.get("role") in _TURNS:
            leading = False
        elif not leading or index > before:  # one that is a plain text stands before it
            late_systems.append(index)
        if CONTROL in message or _is_call_marked(message):
            holding.append(index)
        elif type(content) is not str and content is not None:
            for part in content:
                if CONTROL in part or BREAKPOINT in part or ("content" in part and _is_inner_marked(part)):
                    holding.append(index)
                    break
    return holding, late_systems


def _is_call_marked(message: Message) -> bool:
    if "tool_calls" not in message:
        return False
    calls: Sequence[Message] = message["tool_calls"] or ()
    return any(CONTROL in call or CONTROL in call.get("function", ()) for call in calls)


def _is_inner_marked(part: Any) -> bool:
    return any(CONTROL in block for block in _inner_parts(part))


def _inner_parts(part: Message) -> Sequence[Message]:
    """The parts inside a part, such as those of a tool's result in Anthropic's spelling."""
    inner: Any = part.get("content")
    return [block for block in inner if is_object(block)] if is_array(inner) else ()


def marks_in(message: Message, index: int) -> Iterator[Written]:
    """Every mark that *message* holds."""
    at: Path = ("messages", index)
    if CONTROL in message:
        yield Written(at, at, message[CONTROL])
    for number, part in enumerate(_parts(message)):
        place = (*at, "content", number)
        if CONTROL in part:
            yield Written(place, place, part[CONTROL])
        for inner, block in enumerate(_inner_parts(part)):
            if CONTROL in block:
                yield Written((*place, "content", inner), place, block[CONTROL])
    for number, call in enumerate(message.get("tool_calls") or ()):
        yield from _on_function(call, (*at, "tool_calls", number))


def marks_on_tools(tools: Sequence[Message]) -> Iterator[Written]:
    """Every mark on a tool, in either spelling."""
    for number, tool in enumerate(tools):
        yield from _on_function(tool, ("tools", number))


def _on_function(holder: Message, at: Path) -> Iterator[Written]:
    if CONTROL in holder:
        yield Written(at, at, holder[CONTROL])
    function = holder.get("function")
    if is_object(function) and CONTROL in function:
        yield Written((*at, "function"), at, function[CONTROL])


def breakpoints_in(message: Message, index: int) -> Iterator[Path]:
    """Every part of *message* that holds OpenAI's own mark."""
    for number, part in enumerate(_parts(message)):
        if BREAKPOINT in part:
            yield ("messages", index, "content", number, BREAKPOINT)


def without_marks(message: Message, *, breakpoints: bool) -> Message:
    """*message* without marks, and without OpenAI's own if *breakpoints*; itself where it holds none."""
    names = _BOTH if breakpoints else _MARK
    clean = _without(message, _MARK)
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        parts = [_without_inner(_without(part, names)) for part in content]
        clean = _with(clean, "content", content, parts)
    calls = message.get("tool_calls")
    if calls:
        clean = _with(clean, "tool_calls", calls, [_without_function_mark(call) for call in calls])
    return clean


def without_tool_marks(tools: Sequence[Message]) -> Sequence[Message]:
    """*tools* without marks; itself where there are none."""
    clean = [_without_function_mark(tool) for tool in tools]
    return tools if _is_same(clean, tools) else clean


def _without_function_mark(holder: Message) -> Message:
    clean = _without(holder, _MARK)
    function = holder.get("function")
    if is_object(function) and CONTROL in function:
        clean = {**clean, "function": _without(function, _MARK)}
    return clean


def _without_inner(part: Message) -> Message:
    inner = part.get("content")
    if not is_array(inner):
        return part
    return _with(
        part,
        "content",
        inner,
        [_without(block, _MARK) if is_object(block) else block for block in inner],
    )


def _without(holder: Message, names: frozenset[str]) -> Message:
    if names.isdisjoint(holder):
        return holder
    return {name: value for name, value in holder.items() if name not in names}


def _with(holder: Message, name: str, old: Sequence[Any], new: Sequence[Any]) -> Message:
    return holder if _is_same(new, old) else {**holder, name: new}


def _is_same(new: Sequence[Any], old: Sequence[Any]) -> bool:
    return all(map(operator.is_, new, old))  # they are of one length


def read_control(control: Any, where: str) -> tuple[str | None, str]:
    """The lifetime that a mark asks for, and what of the mark cannot be sent.

    Raises:
        InvalidRequestError: it is no mark.
    """
    if control == _PLAIN:
        return None, ""
    if not is_object(control):
        msg = f"{where} is {control!r}; a cache mark is {{'type': 'ephemeral'}}, perhaps with 'ttl': '5m' or '1h'"
        raise InvalidRequestError(msg)
    kind, ttl = control.get("type"), control.get("ttl")
    if kind != "ephemeral":
        msg = f"{where}.type is {kind!r}; the only type of cache mark is 'ephemeral'"
        raise InvalidRequestError(msg)
    if ttl is not None and not isinstance(ttl, str):
        msg = f"{where}.ttl is {ttl!r}; a lifetime is a string such as '5m' or '1h'"
        raise InvalidRequestError(msg)
    more = sorted(name for name in control if name not in ("type", "ttl"))
    return ttl, f"{', '.join(more)} cannot be sent with a mark" if more else ""


def _parts(message: Message) -> Sequence[Message]:
    content: Any = message.get("content")
    return () if content is None or isinstance(content, str) else content
