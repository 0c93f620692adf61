"""The chain of stages: each wraps the next, and the whole is one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from inspect import isawaitable, iscoroutine
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
        self.stages: tuple[Stage, ...] = tuple(stages)
        self.transport = transport
        call: CallNext = transport
        for stage in reversed(self.stages):
            _check(stage)
            call = _bind(stage, call)
        self._call = call

    def __call__(self, request: Request) -> Awaitable[Stream[Event]]:
        """Send *request* through every stage."""
        return self._call(request)

    def __repr__(self) -> str:
        names = [stage_name(stage) for stage in self.stages]
        there = " ──► ".join(["caller", *names, stage_name(self.transport), "provider"])
        back = " ◄── ".join(["caller", *names, stage_name(self.transport), "provider"])
        return f"request  {there}\nanswer   {back}"


def stage_name(stage: Any) -> str:
    """The name that the picture gives to a stage."""
    name = getattr(stage, "__name__", None)
    return name if isinstance(name, str) else getattr(stage, "name", None) or type(stage).__name__


def _check(stage: Any) -> None:
    """A stage is something to call; what else is given for one is told here, and not by the first request.

    Raises:
        TypeError: it is none; the message says how to write it.
    """
    if isinstance(stage, type):
        msg = f"the stage {stage.__name__} is a class; give an instance of it, such as {stage.__name__}()"
        raise TypeError(msg)
    if callable(stage):
        return
    if hasattr(stage, "feed"):
        msg = (
            f"{type(stage).__name__} is a machine and no stage; pipe it in one: "
            "async def stage(request, call_next): return (await call_next(request)).pipe(machine)"
        )
        raise TypeError(msg)
    msg = f"{stage!r} is no stage; a stage is an async function of (request, call_next)"
    raise TypeError(msg)


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
        answer: Any = stage(request, begin)
        if isawaitable(answer):
            answer = await answer
        return _stream_of(stage, answer)
    except BaseException:
        for left in begun:
            await left.aclose()
        raise


def _stream_of(stage: Stage, answer: Stream[Event] | Coroutine[Any, Any, Any] | None) -> Stream[Event]:
    """*answer* itself; whoever forgot a `return` or an `await` is told in which stage.

    Raises:
        TypeError: *answer* is no stream.
    """
    if isinstance(answer, Stream):
        return answer
    if iscoroutine(answer):
        answer.close()  # else it warns, of a line that is not the caller's
    msg = (
        f"the stage {stage_name(stage)!r} gave {type(answer).__name__}, not a Stream; "
        "it is an async function that ends in `return await call_next(request)`, or that with .pipe(machine)"
    )
    raise TypeError(msg)
