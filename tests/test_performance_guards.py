"""The speed that other tests cannot see, guarded without a clock: calls, bytes and modules are counted."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from types import FrameType
from typing import Any

import anyio
import pytest

from asynccache.cache_control import apply_cache_rules
from asynccache.client import default_stages
from asynccache.completion_stream import CompletionStream, LastUsage
from asynccache.pipeline import Pipeline
from asynccache.providers.registry import get
from asynccache.request import Access, Request
from asynccache.stream import Head, Stream
from benchmarks import wires

pytestmark = pytest.mark.anyio

ROUTES = {
    "openai": ("openai/gpt-4o", "text/event-stream"),
    "openai-tools": ("openai/gpt-4o", "text/event-stream"),
    "anthropic": ("anthropic/claude-sonnet-4-5", "text/event-stream"),
    "converse": ("bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0", "application/vnd.amazon.eventstream"),
}


class Pieces:
    """A source of prepared bytes."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = iter(pieces)

    async def receive(self) -> bytes:
        for piece in self.pieces:
            return piece
        raise anyio.EndOfStream

    async def aclose(self) -> None:
        """Nothing to free."""


class Pass:
    """A stage's machine that lets everything pass."""

    def feed(self, item: Any, emit: Any) -> None:
        emit(item)

    def flush(self, emit: Any) -> None:
        """Nothing is held back."""


async def open_stream(wire: str, pieces: list[bytes], *, machines: int = 0) -> CompletionStream:
    """The stream of the default stages over *pieces*."""
    model, kind = ROUTES[wire]
    access = Access(provider=model.partition("/")[0], api_base="http://127.0.0.1:1")
    request = Request(model=model, messages=[{"role": "user", "content": "?"}], stream=True, access=access)

    async def transport(_: Request) -> Stream[Any]:
        return Stream(Pieces(pieces), Head(headers={"content-type": kind}))

    async def deeper(asked: Request, call_next: Any) -> Stream[Any]:
        stream = await call_next(asked)
        for _ in range(machines):
            stream = stream.pipe(Pass())
        return stream

    return CompletionStream(
        await Pipeline([deeper, *default_stages()], transport)(request), request, LastUsage()
    )


def cut(wire: str, chunks: int, per_read: int) -> list[bytes]:
    events = wires.STREAMS[wire](chunks)
    return [b"".join(events[start : start + per_read]) for start in range(0, len(events), per_read)]


async def count_calls(wire: str, chunks: int, per_read: int, *, machines: int = 0) -> int:
    """Calls of Python and C functions while a whole stream is read."""
    stream = await open_stream(wire, cut(wire, chunks, per_read), machines=machines)
    calls: Counter[str] = Counter()

    def profile(_frame: FrameType, event: str, _arg: Any) -> None:
        calls[event] += 1

    async with stream:
        sys.setprofile(profile)
        try:
            async for _ in stream:
                pass
        finally:
            sys.setprofile(None)
    return calls["call"] + calls["c_call"]


async def calls_per_chunk(wire: str, per_read: int, *, machines: int = 0) -> float:
    """The slope between two lengths, so that what happens once a call does not count."""
    await count_calls(wire, 64, per_read)  # imports, price book, caches
    short = await count_calls(wire, 320, per_read, machines=machines)
    long = await count_calls(wire, 1600, per_read, machines=machines)
    return (long - short) / 1280


@pytest.mark.parametrize(
    ("wire", "per_read", "most"),
    [
        ("openai", 16, 8),
        ("openai", 1, 18),
        ("anthropic", 16, 10),
        ("anthropic", 1, 23),
        ("converse", 16, 14),
        ("converse", 1, 27),
        ("openai-tools", 16, 48),
    ],
)
async def test_calls_per_chunk(wire: str, per_read: int, most: float) -> None:
    """A streamed chunk passes every stage in a handful of calls; the bounds leave a third to spare."""
    assert await calls_per_chunk(wire, per_read) <= most


async def test_a_stage_more_costs_one_call_a_chunk() -> None:
    """A no-op machine adds two calls an event, its link and its feed, and no coroutine or task."""
    bare = await calls_per_chunk("openai", 16)
    deep = await calls_per_chunk("openai", 16, machines=20)
    assert (deep - bare) / 20 <= 2.5


@pytest.mark.parametrize("wire", ["openai", "openai-tools", "anthropic", "converse"])
async def test_calls_grow_linearly(wire: str) -> None:
    """Ten times the chunks, or pieces of arguments, are at most ten times the calls."""
    await count_calls(wire, 64, 16)
    assert await count_calls(wire, 10_000, 16) <= 10.5 * await count_calls(wire, 1_000, 16)


async def test_memory_of_an_open_stream() -> None:
    """A stream in flight holds its machines and little else; what was received is kept as text alone."""
    first = cut("openai", 4, 2)[:1]
    warm = await open_stream("openai", first)
    await warm.aclose()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = [await open_stream("openai", first) for _ in range(50)]
        for stream in held:
            await anext(stream)
        each = (tracemalloc.get_traced_memory()[0] - before) / len(held)
    finally:
        tracemalloc.stop()
    for stream in held:
        await stream.aclose()
    assert each <= 16_384


async def test_what_was_read_is_not_kept() -> None:
    """Two thousand chunks of 270 bytes leave their text behind, not their bytes and not their events."""
    pieces = cut("openai", 2_000, 16)
    stream = await open_stream("openai", pieces)
    for _ in range(20):
        await anext(stream)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1_900):
            await anext(stream)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    await stream.aclose()
    assert grown / 1_900 <= 110


@pytest.mark.parametrize("wire", ["openai", "openai-tools", "anthropic", "converse"])
async def test_an_answer_leaves_no_garbage(wire: str) -> None:
    """A whole answer is freed when it is let go: no cycle of ours waits for the collector."""
    pieces = cut(wire, 20, 4)

    async def read() -> None:
        async with await open_stream(wire, pieces) as stream:
            async for _ in stream:
                pass

    await read()
    gc.collect()
    gc.freeze()  # what others left, and may let go of meanwhile, is not looked at
    gc.disable()
    try:
        for _ in range(10):
            await read()
        assert gc.collect() < 10
    finally:
        gc.unfreeze()
        gc.enable()


def calls_of_translation(length: int) -> int:
    text = "What the model says depends on what it was told before. "
    mark = {"type": "ephemeral"}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": [{"type": "text", "text": text, "cache_control": mark}]},
        *({"role": ("user", "assistant")[number % 2], "content": text} for number in range(length)),
    ]
    before = json.dumps(messages)
    access = Access(provider="anthropic", api_base="http://127.0.0.1:1")
    request = Request(model="anthropic/claude-sonnet-4-5", messages=messages, access=access)
    provider = get("anthropic")
    calls: Counter[str] = Counter()

    def profile(_frame: FrameType, event: str, _arg: Any) -> None:
        calls[event] += 1

    sys.setprofile(profile)
    try:
        planned = apply_cache_rules(request, provider.cache_rules(request))
        provider.encode(planned)
    finally:
        sys.setprofile(None)
    assert json.dumps(messages) == before
    assert planned.messages[-1] is messages[-1]
    return calls["call"] + calls["c_call"]


def test_a_message_more_costs_a_few_calls() -> None:
    """A long history is looked at, never copied: some calls a message, the same at every length."""
    calls_of_translation(10)
    assert (calls_of_translation(1_000) - calls_of_translation(100)) / 900 <= 10


HEAVY = (
    "aiohttp",
    "anyio",
    "asyncio",
    "botocore",
    "click",
    "http",
    "msgspec",
    "orjson",
    "rich",
    "ssl",
    "urllib",
)


def test_import_is_light() -> None:
    """`import asynccache` brings its own face and nothing that costs time; calling it does."""
    code = "import sys; known = set(sys.modules); import asynccache; print(*sorted(set(sys.modules) - known))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    brought = done.stdout.split()
    assert "asynccache" in brought
    assert not [name for name in brought if name.partition(".")[0] in HEAVY]
    assert len(brought) <= 40, brought


def test_vocabulary_needs_no_network() -> None:
    """The names for writing stages come without aiohttp."""
    code = (
        "import sys; from asynccache import Message, Request, Usage, completion_cost, get_model_info\n"
        "print('aiohttp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
