"""Marks that a caller asks for by place instead of writing them: LiteLLM's injection points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynccache.cache_marks import CONTROL, read_control
from asynccache.cache_plan import Wish, find_place
from asynccache.errors import InvalidRequestError
from asynccache.providers.base import CacheRules
from asynccache.reply import CacheNote
from asynccache.request import path_text
from asynccache.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asynccache.cache_plan import Message
    from asynccache.request import Path, Request

__all__ = ["injected_wishes", "write_inline"]

_ANYWHERE = CacheRules(style="blocks")
_ALSO_SYSTEM = {"system": ("system", "developer")}
_PLAIN = {"type": "ephemeral"}


def injected_wishes(
    points: Sequence[tuple[str, Any]], request: Request, notes: list[CacheNote], *, newest: int
) -> list[Wish]:
    """What each of *points* asks to be marked; a point that meets nothing goes to *notes*.

    Args:
        points: where each was written, and the point.
        request: its messages and tools.
        notes: the report so far.
        newest: how many messages of a role are marked, counted from the end.

    Raises:
        InvalidRequestError: a point of no known shape.
    """
    wishes: list[Wish] = []
    for source, point in points:
        ttl, remark = read_control(_checked(point, source).get("control") or _PLAIN, f"{source}.control")
        places = _places(point, request, source, newest)
        wishes += [Wish(source, place, ttl, remark) for place in places]
        if not places:
            notes.append(CacheNote(path=source, action="dropped", reason="there is nothing at this place"))
    return wishes


def _checked(point: Any, source: str) -> Mapping[str, Any]:
    shape = "{'location': 'message', 'role': 'system'}, {'location': 'message', 'index': -1} or {'location': 'tool_config'}"
    if not is_object(point):
        msg = f"{source} is {point!r}; an injection point is {shape}"
        raise InvalidRequestError(msg)
    location = point.get("location")
    if location not in ("message", "tool_config"):
        msg = f"{source}.location is {location!r}; an injection point is {shape}"
        raise InvalidRequestError(msg)
    if location == "message" and point.get("index") is None and not isinstance(point.get("role"), str):
        msg = f"{source} names neither a role nor an index; an injection point is {shape}"
        raise InvalidRequestError(msg)
    return point


def _places(point: Mapping[str, Any], request: Request, source: str, newest: int) -> list[Path]:
    if point["location"] == "tool_config":
        return [("tools", len(request.tools) - 1)] if request.tools else []
    count = len(request.messages)
    if point.get("index") is not None:
        index = _index(point["index"], source)
        index += count if index < 0 else 0
        return [("messages", index)] if 0 <= index < count else []
    roles = _ALSO_SYSTEM.get(point["role"], (point["role"],))
    found = [index for index, message in enumerate(request.messages) if message.get("role") in roles]
    return [("messages", index) for index in found[-newest:]]


def _index(index: Any, source: str) -> int:
    if isinstance(index, str) and index.removeprefix("-").isdecimal():
        return int(index)  # LiteLLM's configuration files have it as text
    if type(index) is not int:
        msg = f"{source}.index is {index!r}; it is a whole number, -1 for the last message"
        raise InvalidRequestError(msg)
    return index


def write_inline(
    wishes: Sequence[Wish],
    messages: Sequence[Message],
    tools: Sequence[Message] | None,
    notes: list[CacheNote],
) -> tuple[Sequence[Message], Sequence[Message] | None]:
    """*messages* and *tools* with *wishes* written on them in the caller's own spelling, for a gateway."""
    for wish in wishes:
        control = dict(_PLAIN) if wish.ttl is None else {**_PLAIN, "ttl": wish.ttl}
        if wish.at[0] == "tools":
            tools = _with_mark(tools or (), int(wish.at[1]), control)
            path: Path | None = wish.at
        else:
            path, _ = find_place(wish.at, messages, _ANYWHERE)
            if path is not None:
                messages = _with_message_mark(messages, path, control)
        if path is None:
            notes.append(
                CacheNote(path=wish.source, action="dropped", reason="no block here can hold a mark")
            )
        else:
            notes.append(CacheNote(path=wish.source, action="sent", sent_to=path_text(path), ttl=wish.ttl))
    return messages, tools


def _with_message_mark(
    messages: Sequence[Message], path: Path, control: Mapping[str, str]
) -> Sequence[Message]:
    index = int(path[1])
    message = messages[index]
    if len(path) > 2:
        name = str(path[2])
        marked = {**message, name: _with_mark(message[name], int(path[3]), control)}
    elif isinstance(message.get("content"), str) and message.get("role") != "tool":
        part = {"type": "text", "text": message["content"], CONTROL: control}
        marked = {**message, "content": [part]}
    else:
        marked = {CONTROL: control, **message}
    return [*messages[:index], marked, *messages[index + 1 :]]


def _with_mark(holders: Sequence[Message], number: int, control: Mapping[str, str]) -> Sequence[Message]:
    """*holders* with a mark on one of them, unless it has its own."""
    marked = {CONTROL: control, **holders[number]}
    return [*holders[:number], marked, *holders[number + 1 :]]
