"""One stream, its machines, and every way that it can end."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterable
from typing import Any

import anyio
import pytest

from asynccache.errors import StreamInterruptedError
from asynccache.stream import Emit, Stream, outlet

pytestmark = pytest.mark.anyio


class Source:
    """Hands out what it was given; an exception in the list is raised, None waits for ever."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = list(items)
        self.closed = 0
        self.finished = 0

    async def receive(self) -> Any:
        await anyio.lowlevel.checkpoint()
        if not self.items:
            raise anyio.EndOfStream
        item = self.items.pop(0)
        if item is None:
            await anyio.sleep_forever()
        if isinstance(item, BaseException):
            raise item
        return item

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.close()

    def close(self) -> None:
        self.closed += 1

    async def finish(self) -> None:
        self.finished += 1


class Machine:
    """Notes what it sees under its name, and doubles what it passes on when asked."""

    def __init__(
        self, name: str, log: list[Any], *, times: int = 1, takes: frozenset[type] | None = None
    ) -> None:
        self.name, self.log, self.times = name, log, times
        if takes is not None:
            self.takes = takes

    def feed(self, item: Any, emit: Emit[Any]) -> None:
        self.log.append((self.name, item))
        for _ in range(self.times):
            emit(item)

    def flush(self, emit: Emit[Any]) -> None:
        self.log.append((self.name, "flush"))
        emit(f"{self.name} last")

    def interrupted(self, error: BaseException | None, emit: Emit[Any]) -> None:
        self.log.append((self.name, error))


async def read(stream: Stream[Any]) -> list[Any]:
    return [item async for item in stream]


async def test_items_pass_machines_in_order() -> None:
    """The innermost machine sees an item first, and flushes first; what it says last passes the outer ones."""
    log: list[Any] = []
    stream = Stream(Source(["a", "b"])).pipe(Machine("in", log, times=2)).pipe(Machine("out", log))
    assert await read(stream) == ["a", "a", "b", "b", "in last", "out last"]
    assert log[0] == ("in", "a")
    assert log[-3:] == [("in", "flush"), ("out", "in last"), ("out", "flush")]


async def test_machines_that_take_some_types() -> None:
    """Items of other types pass such a machine by, whatever stands around it."""
    log: list[Any] = []
    stream: Stream[Any] = Stream(Source(["a", 1, 2.0]))
    for name, takes in (("int", {int}), ("all", None), ("float", {float}), ("str", {str, float})):
        stream = stream.pipe(Machine(name, log, takes=None if takes is None else frozenset(takes)))
    items = await read(stream)
    assert items[:3] == ["a", 1, 2.0]
    seen = [entry for entry in log if entry[1] in {"a", 1, 2.0}]
    assert seen == [
        ("all", "a"),
        ("str", "a"),
        ("int", 1),
        ("all", 1),
        ("all", 2.0),
        ("float", 2.0),
        ("str", 2.0),
    ]


async def test_machine_ends_the_answer() -> None:
    """EndOfStream from a machine ends the answer at once; what the machine emitted before is received."""

    class UpToStop:
        def feed(self, item: Any, emit: Emit[Any]) -> None:
            emit(item)
            if item == "stop":
                raise anyio.EndOfStream

        def flush(self, emit: Emit[Any]) -> None:
            emit("flushed")

    source = Source(["a", "stop", None])
    assert await read(Stream(source).pipe(UpToStop())) == ["a", "stop", "flushed"]
    assert source.finished == 1
    assert source.closed == 1


async def test_items_before_an_error_come_first() -> None:
    """What was decoded before an error is received before it is raised, and it is raised again each time."""
    error = StreamInterruptedError("cut")
    source = Source(["a", error])
    stream = Stream(source).pipe(Machine("m", []))
    assert await stream.receive() == "a"
    for _ in range(2):
        with pytest.raises(StreamInterruptedError):
            await stream.receive()
    assert source.closed


async def test_error_of_a_machine() -> None:
    """A machine's own error closes the source and tells every machine, the outermost first."""
    log: list[Any] = []

    class Fails:
        def feed(self, item: Any, emit: Emit[Any]) -> None:
            raise ValueError(item)

        def flush(self, emit: Emit[Any]) -> None:
            raise AssertionError

    source = Source(["a"])
    stream = Stream(source).pipe(Machine("in", log)).pipe(Fails()).pipe(Machine("out", log))
    with pytest.raises(ValueError, match="a"):
        await stream.receive()
    assert [name for name, what in log if isinstance(what, ValueError)] == ["out", "in"]
    assert source.closed


async def test_error_in_flush() -> None:
    """A machine that finds the end missing makes the stream fail, after what came before."""

    class NeedsMore:
        def feed(self, item: Any, emit: Emit[Any]) -> None:
            emit(item)

        def flush(self, emit: Emit[Any]) -> None:
            raise StreamInterruptedError("too short")

    log: list[Any] = []
    source = Source(["a"])
    stream = Stream(source).pipe(NeedsMore()).pipe(Machine("out", log))
    assert await stream.receive() == "a"
    with pytest.raises(StreamInterruptedError, match="too short"):
        await stream.receive()
    assert ("out", "flush") not in log
    assert [type(what) for _, what in log[1:]] == [StreamInterruptedError]
    assert source.closed


async def test_aclose_is_idempotent() -> None:
    """Closing early tells the machines once, closes the source, and ends all receiving."""
    log: list[Any] = []
    source = Source(["a", "b", None])
    stream = Stream(source).pipe(Machine("m", log))
    async with stream:
        assert await stream.receive() == "a"
    await stream.aclose()
    assert log == [("m", "a"), ("m", None)]
    assert source.closed
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()


async def test_cancellation_closes() -> None:
    """A cancelled receive closes the source in the same task and lets the cancellation through."""
    log: list[Any] = []
    source = Source(["a", None])
    stream = Stream(source).pipe(Machine("m", log))
    assert await stream.receive() == "a"
    with anyio.move_on_after(0.01) as scope:
        await stream.receive()
    assert scope.cancelled_caught
    assert source.closed
    assert type(log[-1][1]).__name__ == "CancelledError"
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()


async def test_dropped_stream_closes_with_a_warning() -> None:
    """A stream that is let go in the middle closes its source at once and says so."""
    source = Source(["a", None])
    stream = Stream(source)
    assert await stream.receive() == "a"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del stream
        gc.collect()
    assert source.closed
    assert [w.category for w in caught] == [ResourceWarning]


async def test_exhausted_stream_is_dropped_in_silence() -> None:
    """A stream read to its end has nothing left to close."""
    source = Source(["a"])
    stream = Stream(source)
    assert await read(stream) == ["a"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del stream
        gc.collect()
    assert not caught


async def test_peek_takes_nothing() -> None:
    """Peek waits for a wanted item; machines piped afterwards see all that it brought."""
    log: list[Any] = []
    stream: Stream[Any] = Stream(Source(["a", "b", "c"])).pipe(Machine("in", log))
    assert await stream.peek(lambda item: item == "b")
    assert list(stream.ready) == ["a", "b"]
    late = stream.pipe(Machine("late", log)).pipe(Machine("few", log, takes=frozenset({int})))
    assert await read(late) == ["a", "b", "c", "in last", "late last", "few last"]
    assert [entry for entry in log if entry[0] == "late"][:3] == [("late", "a"), ("late", "b"), ("late", "c")]


async def test_peek_over_the_end() -> None:
    """A stream that ended while peeking still runs through a machine piped afterwards, flush included."""
    log: list[Any] = []
    stream: Stream[Any] = Stream(Source(["a"]))
    assert not await stream.peek(lambda item: item == "x")
    assert await read(stream.pipe(Machine("late", log))) == ["a", "late last"]


async def test_peek_over_an_error() -> None:
    """A stream that failed while peeking says why, and tells a machine piped afterwards."""
    log: list[Any] = []
    error = StreamInterruptedError("cut")
    stream: Stream[Any] = Stream(Source(["a", error]))
    assert not await stream.peek(lambda item: item == "x")
    assert stream.failed is error
    late = stream.pipe(Machine("late", log))
    assert await late.receive() == "a"
    with pytest.raises(StreamInterruptedError):
        await late.receive()
    assert log == [("late", "a"), ("late", error)]


async def test_pipe_after_receive_is_refused() -> None:
    """A machine that would miss items is an error of the program."""
    stream = Stream(Source(["a", "b"]))
    async with stream:
        await stream.receive()
        with pytest.raises(RuntimeError, match="before the first receive"):
            stream.pipe(Machine("m", []))


class Spreads:
    """Sends each piece of text on by the outlet for text, and a number by the usual way."""

    def feed(self, item: str, emit: Emit[Any]) -> None:
        say = outlet(emit, str)
        for piece in item:
            say(piece)
        emit(len(item))

    def flush(self, _emit: Emit[Any]) -> None:
        """Nothing is held back."""


@pytest.mark.parametrize(
    "takes", [None, frozenset({str}), frozenset({int}), frozenset({str, int}), frozenset[type]()]
)
@pytest.mark.parametrize("beyond", [None, frozenset({str}), frozenset({int})])
async def test_an_outlet_passes_no_machine_by(
    takes: frozenset[type] | None, beyond: frozenset[type] | None
) -> None:
    """What is sent by the outlet of its type runs through every machine that takes it, in order with the rest."""
    log: list[Any] = []
    stream = Stream(Source(["ab"])).pipe(Spreads()).pipe(Machine("in", log, takes=takes))
    stream = stream.pipe(Machine("out", log, takes=beyond))
    items = [item for item in await read(stream) if item not in {"in last", "out last"}]
    assert items == ["a", "b", 2]
    for name, kinds in (("in", takes), ("out", beyond)):
        seen = [item for who, item in log if who == name and item in {"a", "b", 2}]
        assert seen == [item for item in ("a", "b", 2) if kinds is None or type(item) in kinds]
