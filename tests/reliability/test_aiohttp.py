"""What aiohttp does not do by itself, looked at without our guards: when it learns one of these, a guard may go.

Seen in the version below; on another one a probe that comes out otherwise is skipped with what it saw. The guards
have their own tests, on every version: `docs/reliability.md` names them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from asynccache.simulator import Simulator
from tests.waiting import PATIENCE, until

from .rig import Rig

pytestmark = pytest.mark.anyio

SEEN = "3.14.5"
SOON = 0.4  # seconds: what has not ended by then is said never to
TRIES = 5  # what is to be seen of a clock is seen in one of them, on a busy machine too


def expected(held: bool, what: str) -> None:
    """Fail where the version that was looked at does otherwise; skip where another one does."""
    if not held and aiohttp.__version__ != SEEN:
        pytest.skip(f"aiohttp {aiohttp.__version__} {what}: see whether the guard can go")
    assert held, f"aiohttp {aiohttp.__version__} {what}"


@contextlib.asynccontextmanager
async def asked(
    rig: Rig, fault: dict[str, Any], *, headers: dict[str, str] | None = None, **timeout: float
) -> AsyncIterator[aiohttp.ClientResponse]:
    """A plain request over a plain session."""
    arguments = rig.arguments("openai", fault=fault)
    body = {"model": "gpt-4o", "messages": arguments["messages"], "stream": True}
    named = {**arguments["extra_headers"], "authorization": "Bearer k", **(headers or {})}
    limits = aiohttp.ClientTimeout(total=None, **timeout)
    async with aiohttp.ClientSession(timeout=limits) as session:
        reply = await session.post(
            arguments["api_base"] + "/chat/completions", data=json.dumps(body), headers=named
        )
        try:
            yield reply
        finally:
            reply.close()


async def read(
    reply: aiohttp.ClientResponse, *, most: int = 2**40, seconds: float = PATIENCE
) -> tuple[int, str]:
    """How many bytes came, and how it ended within *seconds*."""
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while data := await reply.content.readany():
                size += len(data)
                if size > most:
                    return size, "more than enough"
    except TimeoutError as error:
        return size, "hangs" if type(error) is TimeoutError else type(error).__name__
    except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError) as error:
        return size, type(error).__name__
    return size, "end"


async def test_bad_chunk(rig: Rig) -> None:
    """A chunk header that is no number leaves the reader waiting for ever, `sock_read` or not."""
    fault = {"cut_event": 4, "end": "bad_chunk", "delay_event": 0.02}
    for _ in range(TRIES):
        async with asked(rig, fault, sock_read=0.1) as reply:
            size, end = await read(reply, seconds=SOON)
        if size and end == "hangs":
            break
    assert size
    expected(end == "hangs", f"ends at a bad chunk header: {end}")


@pytest.mark.parametrize("noise", ["drip", "pings"])
async def test_noise(rig: Rig, noise: str) -> None:
    """`sock_read` counts bytes: single ones, and comments, keep it from ever firing."""
    for _ in range(TRIES):
        async with asked(rig, {"cut_event": 4, "end": noise}, sock_read=0.1) as reply:
            _, end = await read(reply, seconds=SOON)
        if end == "hangs":
            break
    expected(end == "hangs", f"ends at {noise}: {end}")


async def test_redirect(rig: Rig) -> None:
    """`x-api-key` is sent on to another origin, unless redirects are not followed."""
    async with Simulator() as other:
        fault = {"status": 307, "body": "", "headers": {"location": other.openai_base + "/chat/completions"}}
        async with asked(rig, fault, headers={"x-api-key": "k"}):
            pass
        sent = bool(other.log) and "x-api-key" in other.log[0].headers
    expected(sent, "keeps the key to its origin")


async def test_bomb(rig: Rig) -> None:
    """What a few kilobytes unpack to is delivered without a limit."""
    async with asked(rig, {"cut_event": 1, "end": "bomb", "encoding": "gzip"}) as reply:
        size, end = await read(reply, most=8 * 2**20)
    expected(end == "more than enough", f"stops a bomb after {size} bytes: {end}")


async def test_clean_cut(rig: Rig) -> None:
    """A body without a length that ends in mid text looks whole."""
    async with asked(rig, {"cut_event": 4, "end": "fin", "framing": "close"}) as reply:
        _, end = await read(reply)
    expected(end == "end", f"doubts a body without a length: {end}")


async def test_silence_after_the_last_event(rig: Rig) -> None:
    """It knows of HTTP's end alone: after `[DONE]` it waits."""
    async with asked(rig, {"end": "stall"}) as reply:
        assert await reply.content.readany()
        _, end = await read(reply, seconds=SOON)
    expected(end == "hangs", f"ends by itself: {end}")


@contextlib.asynccontextmanager
async def served(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], **settings: Any
) -> AsyncIterator[tuple[str, int, web.AppRunner]]:
    """A plain server."""
    app = web.Application(client_max_size=settings.pop("client_max_size", 2**20))
    app.router.add_route("*", "/", handler)
    runner = web.AppRunner(app, access_log=None, **settings)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield host, port, runner
    finally:
        await runner.cleanup()


async def hung_up_on(cancelling: bool) -> bool:
    """Whether a handler whose caller left ran to its end."""
    ended: list[bool] = []
    begun, enough = asyncio.Event(), asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        begun.set()
        try:
            await enough.wait()
        except asyncio.CancelledError:
            ended.append(False)
            raise
        ended.append(True)
        return web.Response()

    async with served(handler, handler_cancellation=cancelling) as (host, port, _):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await begun.wait()
        writer.close()
        if cancelling:
            await until(lambda: ended)
        else:
            await asyncio.sleep(0.3)  # a moment to cancel it in
        enough.set()
        await until(lambda: ended)
    return ended == [True]


async def test_caller_leaves() -> None:
    """A handler runs on when its caller is gone, unless the server was told to cancel it."""
    expected(await hung_up_on(False), "cancels handlers by itself")
    assert not await hung_up_on(True)


async def test_caller_does_not_read() -> None:
    """A write waits, so that memory is bounded, and waits for ever: the deadline is ours to set."""
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)
            sent += 65536

    async with served(handler, handler_cancellation=True) as (host, port, _):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        before, limit = -1, time.monotonic() + PATIENCE
        while sent != before < 64 * 2**20 and time.monotonic() < limit:  # until what lies between is full
            before = sent
            await asyncio.sleep(0.3)
        held = sent == before > 0
        writer.close()
    assert 0 < sent < 64 * 2**20
    expected(held, "writes on to one who does not read")


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\nho"])
async def test_slow_head(head: bytes) -> None:
    """Half a head, or none, keeps a connection; 90 s were seen, here it is a moment."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    async with served(handler) as (host, port, _):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(head)
        open_still = False
        try:
            async with asyncio.timeout(SOON):
                await reader.read()
        except TimeoutError:
            open_still = True
        writer.close()
    expected(open_still, "closes such connections by itself")


async def test_bad_request(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be parsed is quoted, to the caller or on the log, an Authorization that is too long among it."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    with caplog.at_level(logging.DEBUG):
        async with served(handler, debug=False) as (host, port, _):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET / HTTP/1.1\r\nauthorization: Bearer sk-canary-" + b"0" * 20_000 + b"\r\n\r\n")
            answer = await reader.read()
            writer.close()
    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    expected("sk-canary" in answer.decode() + caplog.text, "no longer quotes what it cannot parse")


async def test_large_body() -> None:
    """`client_max_size` is kept: the one thing of these that it does well by itself."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    async with (
        served(handler, client_max_size=1000) as (host, port, _),
        aiohttp.ClientSession() as session,
        session.post(f"http://{host}:{port}/", data=b"x" * 2000) as reply,
    ):
        assert reply.status == 413


async def test_shutdown_limit() -> None:
    """`cleanup` waits longer than its `shutdown_timeout` before it cancels what runs."""
    ended: list[float] = []
    begun = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.sleep(5)
        finally:
            ended.append(time.monotonic())
        return web.Response()

    async with served(handler, shutdown_timeout=0.3, handler_cancellation=True) as (host, port, runner):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await begun.wait()
        at = time.monotonic()
        await runner.cleanup()
        writer.close()
    assert ended
    expected(ended[0] - at > 0.45, f"keeps its limit: {ended[0] - at:.2f} s")
