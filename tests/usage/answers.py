"""A scripted answer: events, errors and pauses, received through a real stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from anyio.lowlevel import checkpoint

from asynccache.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asynccache.events import Event
    from asynccache.request import Request


class Script:
    """A source that hands out items one by one, raises the errors among them, and awaits each time."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = list(items)
        self.closed = 0

    async def receive(self) -> Any:
        await checkpoint()
        if not self.items:
            raise anyio.EndOfStream
        item = self.items.pop(0)
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        await checkpoint()


class Transport:
    """Answers every call with the next script; an error in place of a script is raised by the call."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.sources: list[Script] = []

    async def __call__(self, request: Request) -> Stream[Event]:
        await checkpoint()
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        source = Script(answer)
        self.sources.append(source)
        return Stream(source)
