"""Memory has bounds and time is linear, whatever a server sends. Guarantee 11."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections import Counter
from typing import Any

import pytest

from asynccache import Client, default_stages
from asynccache.errors import APIConnectionError, AsyncCacheError, ResponseTooLargeError
from asynccache.providers.bedrock.frames import FrameDecoder
from asynccache.simulator.bedrock_frames import event_frame
from asynccache.sse import SSEDecoder

from ..scripted import SSE as HEAD
from ..scripted import chunked, event, scripted
from .measure import bounds
from .rig import BOTH, WIRES, Rig
from .rig import SSE as SSE_WIRES
from .watch import MIB, Watch


class Turns:
    """A machine inside all others: what it takes of a body in one piece, and in one turn of the loop."""

    def __init__(self) -> None:
        self.largest = 0
        self.of_turn: Counter[int] = Counter()
        self.turn = 0

    def feed(self, data: bytes, emit: Any, /) -> None:
        self.largest = max(self.largest, len(data))
        self.of_turn[self.turn] += len(data)
        emit(data)

    def flush(self, _emit: Any, /) -> None:
        pass

    async def count(self) -> None:
        while True:
            self.turn += 1
            await asyncio.sleep(0)

    async def stage(self, request: Any, call_next: Any) -> Any:
        return (await call_next(request)).pipe(self)


ENDLESS = pytest.mark.parametrize(
    "fault", [{"end": "flood"}, {"end": "bomb", "encoding": "gzip"}], ids=["line", "bomb"]
)


@pytest.mark.anyio
@pytest.mark.parametrize("wire", SSE_WIRES)
@ENDLESS
async def test_event_without_an_end(rig: Rig, wire: str, fault: dict[str, Any]) -> None:
    """One endless line, and the same packed a thousandfold: an error at 16 MiB, < 48 MB held; others have their turn.

    No clock: 4 MiB are unpacked and looked through in about 10 ms.
    """
    turns = Turns()
    counting = asyncio.ensure_future(turns.count())
    async with Watch() as watch, Client([*default_stages(), turns.stage], max_retries=0) as client:
        outcome = await rig.ask(wire, client=client, fault={"cut_event": 3, **fault})
    counting.cancel()
    assert isinstance(outcome.error, ResponseTooLargeError)
    assert "max_event_bytes" in str(outcome.error)
    assert watch.most < 48 * MIB
    assert 16 * MIB <= sum(turns.of_turn.values()) < 17 * MIB
    assert turns.largest <= MIB // 2
    assert max(turns.of_turn.values()) <= 4 * MIB
    assert len(outcome.usages) == 1
    await rig.settled()


@pytest.mark.slow  # it decides by a clock: pytest -m slow tests/reliability/test_bounds.py, on a quiet machine
@pytest.mark.anyio
async def test_the_loop_runs_on(anyio_backend: str) -> None:
    """The same by the clock, an event of 64 MiB too: the loop never waits for 100 ms."""
    told = await bounds()
    del told["nothing"]
    for name, found in told.items():
        assert found["error"] == ["ResponseTooLargeError"], name
        assert found["memory, MB"] < 48, name
        assert found["loop lag, ms"] < 100, name


@pytest.mark.anyio
@pytest.mark.parametrize("wire", SSE_WIRES)
async def test_event_of_64_mib(rig: Rig, wire: str) -> None:
    """A body over 64 MiB is refused where it passes them, also where every event is small enough."""
    async with Client(max_retries=0, max_body_bytes=MIB) as client:
        for stream in BOTH:
            outcome = await rig.ask(wire, client=client, stream=stream, fault={"event_size": 2 * MIB})
            assert isinstance(outcome.error, ResponseTooLargeError), outcome
            assert "max_body_bytes" in str(outcome.error)


@pytest.mark.anyio
@pytest.mark.parametrize("wire", WIRES)
async def test_the_limits_can_be_set(rig: Rig, wire: str) -> None:
    """`Client(max_event_bytes=...)` is the limit that the error names, on every wire."""
    rig.sim.settings = type(rig.sim.settings)(answer="x" * 10)
    async with Client(max_retries=0, max_event_bytes=100) as client:
        outcome = await rig.ask(wire, client=client, fault={"split": 50})
    assert isinstance(outcome.error, ResponseTooLargeError)
    assert "max_event_bytes" in str(outcome.error)


@pytest.mark.anyio
@pytest.mark.parametrize("wire", SSE_WIRES)
async def test_packed_body_of_one_piece(rig: Rig, wire: str) -> None:
    """A bomb where one JSON body was expected stops at 64 MiB unpacked."""
    async with Watch() as watch:
        outcome = await rig.ask(wire, stream=False, fault={"cut_event": 0, "end": "bomb", "encoding": "gzip"})
    assert isinstance(outcome.error, ResponseTooLargeError)
    assert watch.most < 96 * MIB  # the body itself may be 64
    await rig.settled()


@pytest.mark.anyio
@pytest.mark.parametrize("wire", WIRES)
async def test_flood_of_headers(rig: Rig, wire: str) -> None:
    """Row 60: 400 headers of 4 KB are an error of ours; they are not kept."""
    async with Watch() as watch:
        outcome = await rig.ask(wire, fault={"header_flood": 400})
    assert isinstance(outcome.error, APIConnectionError)
    assert watch.most < 16 * MIB
    assert "ffff" * 100 not in str(outcome.error)


def seconds(make: Any, blob: bytes, step: int) -> float:
    decoder = make()
    begun = time.process_time()
    for at in range(0, len(blob), step):
        decoder.feed(blob[at : at + step], lambda _: None)
    return time.process_time() - begun


@pytest.mark.slow  # it decides by a clock, which a busy machine spoils: pytest -m slow tests/reliability
@pytest.mark.parametrize("eol", [b"\n", b"\r\n", b"\r"])
def test_time_is_linear_in_events(eol: bytes) -> None:
    """Four times the bytes in 4 KB reads take about four times as long: one event of 15 MB, and many lines."""
    for line in (b"data: " + b"x" * 1000 + eol, b"data:x" + eol, b": c" + eol, b"x" * 1000):
        small = (b"data: a" + eol + line * (MIB // len(line)))[:MIB]
        large = (b"data: a" + eol + line * (4 * MIB // len(line)))[: 4 * MIB]
        base = min(seconds(SSEDecoder, small, 4096) for _ in range(3))
        assert seconds(SSEDecoder, large, 4096) < 12 * base + 0.05
    assert seconds(SSEDecoder, b"data: " + b"x" * (15 * MIB), 4096) < 2.0


def test_time_is_linear_in_frames() -> None:
    """One frame of 15 MB in 4 KB reads, and thousands of small ones, are read in linear time."""
    blob = event_frame("x", {"pad": "x" * (15 * MIB)})
    assert seconds(FrameDecoder, blob, 4096) < 2.0
    assert seconds(FrameDecoder, event_frame("x", {"pad": "x"}) * 20000, 4096) < 2.0


@pytest.mark.anyio
async def test_stalled_readers() -> None:
    """Row 76: a reader who does not read costs 1 MiB at most; the server is held back."""
    piece = chunked(event("x" * 60) * 64)
    readers = 20
    async with scripted([HEAD, *[piece] * 3000, -1.0]) as server, Client(max_retries=0) as client:
        streams = []
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(readers):
                stream = await client.acompletion(
                    "openai/m",
                    [{"role": "user", "content": "x"}],
                    stream=True,
                    api_key="k",
                    api_base=server.base,
                )
                await stream.__anext__()
                streams.append(stream)
            await asyncio.sleep(0.5)
            now, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for stream in streams:
            await stream.aclose()
    assert (now - before) / readers < MIB


@pytest.mark.anyio
@pytest.mark.parametrize("wire", WIRES)
async def test_json_nested_without_end(rig: Rig, wire: str) -> None:
    """A body, and an event, of 50,000 open brackets is an error of ours, not a `RecursionError`."""
    for text in ("[" * 50_000, '{"a":' * 20_000, '{"choices":' + "[" * 50_000):
        for stream, kind in ((False, "application/json"), (True, "text/event-stream")):
            body = f"data: {text}\n\n" if stream else text
            outcome = await rig.ask(wire, stream=stream, fault={"body": body, "content_type": kind})
            assert isinstance(outcome.error, AsyncCacheError)
