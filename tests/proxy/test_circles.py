"""A call that is over leaves nothing to the garbage collector, however it ended: its bytes go with its last reference."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from types import FrameType, TracebackType

import aiohttp
import pytest

from tests.waiting import until

from .serving import KEY, serving, url
from .upstream import CHUNK, FIRST, STREAM, WHOLE, Upstream, upstream

pytestmark = pytest.mark.anyio

ROUNDS = 5
HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}


async def circles(ask: Callable[[], Awaitable[None]]) -> dict[str, int]:
    """What only a collection finds after some rounds of *ask*: our objects, errors, and frames of our code."""
    await ask()  # makes what stays
    await asyncio.sleep(0.05)
    gc.collect()
    gc.freeze()  # what others left, and may let go of meanwhile, is not looked at
    gc.disable()
    try:
        for _ in range(ROUNDS):
            await ask()
        await asyncio.sleep(0.05)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return dict(Counter(name for found in gc.garbage if (name := _ours(found))))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


def _ours(found: object) -> str | None:
    if isinstance(found, TracebackType):
        found = found.tb_frame
    if isinstance(found, FrameType):
        name = found.f_code.co_filename
        return f"{name}:{found.f_code.co_name}" if "/asynccache/" in name and "/tests/" not in name else None
    kind = type(found)
    return f"{kind.__module__}.{kind.__name__}" if kind.__module__.startswith("asynccache") else None


def body(*, streamed: bool) -> bytes:
    return b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]%s}' % (
        b',"stream":true' if streamed else b""
    )


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_no_circles_are_left(path: str, *, streamed: bool) -> None:
    """Without a collection no object of a call's outlives it: under load circles held megabytes of answers."""
    async with upstream() as up:
        if streamed:
            up.answer(STREAM, media="text/event-stream")
        else:
            up.answer(WHOLE)
        async with serving(None, up.config()) as proxy, aiohttp.ClientSession() as session:

            async def ask() -> None:
                async with session.post(
                    url(proxy, path), data=body(streamed=streamed), headers=HEADERS
                ) as answer:
                    assert answer.status == 200
                    await answer.read()

            assert await circles(ask) == {}


def _cut(up: Upstream) -> None:
    up.answer(FIRST, CHUNK % b"half", media="text/event-stream")


def _refused(up: Upstream) -> None:
    up.answer(b'{"error":{"message":"no","type":"server_error"}}', status=500)


def _no_http(up: Upstream) -> None:
    up.answer(b"this is no JSON")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize(
    ("spoil", "streamed"), [(_cut, True), (_refused, True), (_refused, False), (_no_http, False)]
)
async def test_no_circles_are_left_by_failures(
    spoil: Callable[[Upstream], None], path: str, *, streamed: bool
) -> None:
    """An error knows the frames it came through; nothing in them knows the error once it was told."""
    async with upstream() as up:
        spoil(up)
        more = "asynccache_settings: {max_retries: 1, cooldown_seconds: 0}\n"
        async with serving(None, up.config(more=more)) as proxy, aiohttp.ClientSession() as session:

            async def ask() -> None:
                async with session.post(
                    url(proxy, path), data=body(streamed=streamed), headers=HEADERS
                ) as answer:
                    said = await answer.read()
                    assert b'"error"' in said

            assert await circles(ask) == {}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_no_circles_are_left_by_a_provider_that_is_not_there(path: str) -> None:
    """A connection that is refused, call by call."""
    nobody, up = socket.socket(), Upstream()
    nobody.bind(("127.0.0.1", 0))  # and nobody listens, nor can
    up.port = nobody.getsockname()[1]
    text = up.config(more="asynccache_settings: {max_retries: 0, cooldown_seconds: 0}\n")
    async with serving(None, text) as proxy, aiohttp.ClientSession() as session:

        async def ask() -> None:
            async with session.post(url(proxy, path), data=body(streamed=True), headers=HEADERS) as answer:
                assert answer.status == 502

        with nobody:
            assert await circles(ask) == {}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_no_circles_are_left_by_callers_who_leave(path: str) -> None:
    """A caller who hangs up in the middle of an answer takes all of it along."""
    async with upstream() as up:
        up.answer(FIRST, CHUNK % b"half", media="text/event-stream")
        up.stall = True
        async with serving(None, up.config()) as proxy, aiohttp.ClientSession() as session:

            async def ask() -> None:
                seen = len(up.left)
                async with session.post(
                    url(proxy, path), data=body(streamed=True), headers=HEADERS
                ) as answer:
                    await answer.content.readany()
                await until(lambda: len(up.left) > seen and not proxy.active)

            assert await circles(ask) == {}
