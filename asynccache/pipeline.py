"""The chain of stages: each wraps the next, and the whole is one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeAlias, final

from asynccache.events import Event
from asynccache.request import Request
from asynccache.stream import Stream

__all__ = ["CallNext", "Pipeline", "Stage"]

CallNext: TypeAlias = Callable[[Request], Awaitable[Stream[Event]]]
"""What a stage calls to let the request go on; answers with the stream of the stages within."""


class Stage(Protocol):
    """A function, or an object with ``__call__``, around one request.

    It may change the request, refuse it, call *call_next* any number of times, answer by itself, and
    pipe a machine into the stream. It never puts itself between two events in any other way.
    """

    async def __call__(self, request: Request, call_next: CallNext, /) -> Stream[Event]:
        """Answer *request*."""
        ...


@final
class Pipeline:
    """Stages around a transport, outermost first; its repr draws what flows through it.

    Attributes:
        stages: the stages, outermost first.
        transport: what the innermost stage calls.
    """

    def __init__(self, stages: Iterable[Stage], transport: CallNext) -> None:
        self.stages = tuple(stages)
        self.transport = transport
        call: CallNext = transport
        for stage in reversed(self.stages):
            call = _bind(stage, call)
        self._call = call

    async def __call__(self, request: Request) -> Stream[Event]:
        """Send *request* through every stage."""
        return await self._call(request)

    def __repr__(self) -> str:
        names = [stage_name(stage) for stage in self.stages]
        there = " ──► ".join(["caller", *names, stage_name(self.transport), "provider"])
        back = " ◄── ".join(["caller", *names, stage_name(self.transport), "provider"])
        return f"request  {there}\nanswer   {back}"


def stage_name(stage: Any) -> str:
    """The name that the picture gives to a stage."""
    name = getattr(stage, "__name__", None)
    return name if isinstance(name, str) else getattr(stage, "name", None) or type(stage).__name__


def _bind(stage: Stage, call_next: CallNext) -> CallNext:
    return lambda request: stage(request, call_next)
