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
    if str(getattr(stage, "__module__", "")).startswith("asynccache."):  # ours let no answer go unclosed
        return lambda request: stage(request, call_next)
    return lambda request: _guarded(stage, call_next, request)


async def _guarded(stage: Stage, call_next: CallNext, request: Request) -> Stream[Event]:
    """A caller's stage that fails with an answer in its hands lets go of it, which closes here and is told."""
    begun: list[Stream[Event]] = []

    async def begin(request: Request) -> Stream[Event]:
        stream = await call_next(request)
        begun.append(stream)
        return stream

    try:
        return await stage(request, begin)
    except BaseException:
        for stream in begun:
            await stream.aclose()
        raise
