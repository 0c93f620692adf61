"""Which of an answer's calls a fragment belongs to: servers omit or repeat ids, names and indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import orjson

from asynccache.events import ToolCallFragment
from asynccache.providers.mending import loosely
from asynccache.providers.openai_wire import Function, custom_call
from asynccache.shapes import is_object

if TYPE_CHECKING:
    from asynccache.providers.openai_wire import Call

__all__ = ["CallLog"]

_INDEXES = frozenset({int, float, str})


@final
class _Known:
    """What was told of a call so far."""

    __slots__ = ("id", "name", "position", "whole")

    def __init__(self, position: int) -> None:
        self.position = position
        self.id: str | None = None
        self.name: str | None = None
        self.whole = False  # whether its first fragment, which had no id, held all its arguments


@final
class CallLog:
    """The calls of every answer of a stream, in the order of their first fragments."""

    __slots__ = ("_counts", "_known")

    def __init__(self) -> None:
        self._known: dict[tuple[int, Any], _Known] = {}  # by answer and the index told
        self._counts: dict[int, int] = {}

    def has_calls(self, answer: int) -> bool:
        """Whether answer number *answer* calls a tool."""
        return answer in self._counts

    def position(self, answer: int, told: int) -> int | None:
        """The position of the call whose id was told with index *told*; None where there is no such call."""
        known = self._known.get((answer, told))
        return None if known is None or known.id is None else known.position

    def take(self, call: Call, answer: int, raw: bytes) -> ToolCallFragment:
        """The event that a fragment stands for; id and name come once."""
        function = call.function or Function(**custom_call(call.custom))
        name = function.name if isinstance(function.name, str) and function.name else None
        call_id = call.id if isinstance(call.id, str) and call.id else None
        arguments = function.arguments
        if arguments is not None and not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()  # Ollama and others send an object
        told = call.index if type(call.index) in _INDEXES else None
        known = self._known.get((answer, told))
        if known is None or (name is not None and _is_another(known, told, call_id, name)):
            position = self._counts.get(answer, 0)
            self._counts[answer] = position + 1
            known = self._known[answer, told] = _Known(position)
        fragment = ToolCallFragment(
            known.position,
            call_id if known.id is None else None,
            name if known.name is None else None,
            arguments or "",
            answer,
            raw,
        )
        if known.name is None and call_id is None and arguments:
            known.whole = is_object(loosely(arguments.encode("utf-8", "replace")))
        known.id = known.id or call_id
        known.name = known.name or name
        return fragment


def _is_another(known: _Known, told: Any, call_id: str | None, name: str) -> bool:
    """Whether a fragment with a name begins another call than the one that is known at its place.

    Some give every call the index 0, and an id of its own or none at all.
    """
    if call_id is not None:
        return known.id is not None and call_id != known.id
    if told is None:
        return True  # a whole call without index or id
    return known.id is None and known.name is not None and (known.whole or name != known.name)
