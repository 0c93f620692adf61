"""The socket, the clocks that end every wait, and the mapping of foreign errors, on real connections."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from asynccache.aggregate import aggregate
from asynccache.arguments import build_request
from asynccache.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    RateLimitError,
    RedirectRefusedError,
    ResponseTooLargeError,
    StreamInterruptedError,
    WrongEventLoopError,
)
from asynccache.pipeline import Pipeline
from asynccache.request import Request, Timeout
from asynccache.secret import Secret
from asynccache.stream import Stream
from asynccache.transport import Transport
from tests.waiting import PATIENCE, soon

from .scripted import SSE, chunked, event, scripted

pytestmark = pytest.mark.anyio

KEY = "sk-canary-0123456789abcdef"


def request(base: str, *, stream: bool = True, timeout: Timeout | None = None, **arguments: Any) -> Request:
    given = {"api_key": KEY, "api_base": base, **arguments}
    return build_request(
        "openai/m", [{"role": "user", "content": "x"}], stream=stream, timeout=timeout or Timeout(), max_retries=0,
        arguments=given,
    )  # fmt: skip


async def read(transport: Transport, asked: Request) -> list[Any]:
    stream: Stream[Any] = await Pipeline([aggregate], transport)(asked)
    async with stream:
        return [item async for item in stream]


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport()
    yield transport
    await transport.aclose()


async def test_connection_goes_back_to_the_pool(transport: Transport) -> None:
    """After the terminator the connection serves the next request; nothing was closed."""
    body = [SSE, chunked(event() + event("", "stop") + b"data: [DONE]\n\n"), b"0\r\n\r\n"]
    async with scripted([*body, -1.0]) as server:
        await read(transport, request(server.base))
        assert transport.connections == 1
        assert not server.closed
    await transport.aclose()


@pytest.mark.parametrize(
    ("script", "timeout", "phase"),
    [
        ([-1.0], Timeout(first_event=0.15), "first_event"),
        ([SSE, -1.0], Timeout(first_event=0.15), "first_event"),
        ([SSE, *[chunked(b": ping\n\n"), 0.02] * 100], Timeout(first_event=0.15), "first_event"),
        ([SSE, chunked(event()), -1.0], Timeout(idle=0.15), "idle"),
        ([SSE, chunked(event()), *[chunked(b": ping\n\n"), 0.02] * 100], Timeout(idle=0.15), "idle"),
        ([SSE, chunked(event()), *[chunked(b"d"), 0.02] * 100], Timeout(idle=0.15), "idle"),
        ([SSE, chunked(event()), 0.03, b"xyz\r\n", -1.0], Timeout(idle=0.15), "idle"),
        ([SSE, *[chunked(event()), 0.02] * 100], Timeout(total=0.15), "total"),
        ([-1.0], Timeout(total=0.15), "total"),
    ],
    ids=[
        "silence",
        "headers only",
        "pings first",
        "stall",
        "pings",
        "drip",
        "bad chunk header",
        "total",
        "total before",
    ],
)
async def test_every_wait_ends(transport: Transport, script: Any, timeout: Timeout, phase: str) -> None:
    """Silence, pings, drips and a chunk header that aiohttp cannot read all end on time, in the named phase."""
    async with scripted(script) as server:
        begun = time.monotonic()
        with pytest.raises((APITimeoutError, StreamInterruptedError)) as caught:
            await read(transport, request(server.base, timeout=timeout))
        took = time.monotonic() - begun
        assert took < PATIENCE
        if isinstance(caught.value, APITimeoutError):
            assert caught.value.phase == phase
            assert took >= 0.14
        else:
            assert script[3] == b"xyz\r\n"  # noticed before the clock did
        assert transport.connections == 0


async def test_slow_reader_does_not_use_up_the_idle_time(transport: Transport) -> None:
    """Only waiting for the server counts: a reader that takes its time between events is not timed out."""
    body = [
        SSE,
        chunked(event("a")),
        0.05,
        chunked(event("b")),
        0.05,
        chunked(event("", "stop") + b"data: [DONE]\n\n"),
    ]
    async with scripted([*body, b"0\r\n\r\n", -1.0]) as server:
        stream = await Pipeline([aggregate], transport)(request(server.base, timeout=Timeout(idle=1.0)))
        seen = 0
        async with stream:
            async for _ in stream:
                seen += 1
                await asyncio.sleep(1.2 if seen == 2 else 0.3)
        assert seen >= 4


async def test_held_connection_does_not_hold_the_answer(transport: Transport) -> None:
    """A server that keeps the connection after the terminator delays the end by 100 ms at most."""
    async with scripted([SSE, chunked(event("a", "stop") + b"data: [DONE]\n\n"), -1.0]) as server:
        reading = asyncio.ensure_future(read(transport, request(server.base)))
        await soon(reading.done, within=0.3)
        await reading
        assert transport.connections == 0


async def test_redirect_is_refused(transport: Transport) -> None:
    """The key and the prompt never go to a second place."""
    async with scripted([b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]) as other:
        answer = f"HTTP/1.1 307 T\r\nlocation: {other.base}\r\ncontent-length: 0\r\n\r\n".encode()
        async with scripted([answer]) as server:
            with pytest.raises(RedirectRefusedError, match="redirect"):
                await read(transport, request(server.base))
        assert not other.heads


async def test_body_limit() -> None:
    """An answer over the limit is refused while it comes in."""
    transport = Transport(max_body=1000)
    async with scripted([SSE, *[chunked(event())] * 50, -1.0]) as server:
        with pytest.raises(ResponseTooLargeError, match="1000"):
            await read(transport, request(server.base))
        assert transport.connections == 0
    await transport.aclose()


async def test_refused_connection(transport: Transport) -> None:
    """Nobody listens: one clear error with the provider's name."""
    with pytest.raises(APIConnectionError, match=r"no connection to 127\.0\.0\.1") as caught:
        await read(transport, request("http://127.0.0.1:9/v1"))
    assert caught.value.provider == "openai"


async def test_not_http(transport: Transport) -> None:
    """A server that does not speak HTTP is an invalid response."""
    async with scripted([b"SSH-2.0-OpenSSH_9.2\r\n\r\n"]) as server:
        with pytest.raises(InvalidResponseError, match="HTTP"):
            await read(transport, request(server.base))


async def test_closed_without_an_answer(transport: Transport) -> None:
    """A connection that ends before the headers is a connection error."""
    async with scripted([]) as server:
        with pytest.raises(APIConnectionError, match="without an answer"):
            await read(transport, request(server.base))


async def test_page_instead_of_an_answer(transport: Transport) -> None:
    """An HTML page with status 200 is not a completion."""
    page = b"<html>login</html>"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(page)
    for stream in (True, False):
        async with scripted([head + page]) as server:
            with pytest.raises(InvalidResponseError, match="page"):
                await read(transport, request(server.base, stream=stream))


@pytest.mark.parametrize(
    ("body", "asks"),
    [
        (b"404 page not found", True),
        (b'{"detail":"Not Found"}', True),
        (b'{"error":{"message":"no model m","code":"model_not_found"}}', False),
    ],
)
async def test_a_wrong_address_is_named(transport: Transport, body: bytes, asks: bool) -> None:
    """What a web server says of a path that it does not have names the path; a model that is not there does not."""
    head = b"HTTP/1.1 404 Not Found\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with scripted([head + body]) as server:
        with pytest.raises(NotFoundError) as caught:
            await read(transport, request(server.base + "/v2"))
        told = f"; nothing is at {server.base}/v2/chat/completions, is api_base right?"
        assert str(caught.value).endswith(told) == asks
        assert caught.value.message == str(caught.value)


async def test_early_refusal_of_a_large_upload(transport: Transport) -> None:
    """A server that refuses before it has read the body is heard, and nothing hangs."""
    body = b'{"error":{"message":"slow down","type":"x","code":"rate_limit_exceeded"}}'
    head = (
        b"HTTP/1.1 429 T\r\ncontent-type: application/json\r\nretry-after: 2\r\ncontent-length: %d\r\n\r\n"
        % len(body)
    )
    async with scripted([head + body]) as server:
        asked = msgspec.structs.replace(
            request(server.base), messages=[{"role": "user", "content": "x" * 8_000_000}]
        )
        with pytest.raises(RateLimitError, match="slow down") as caught:
            await read(transport, asked)
        assert caught.value.retry_after == 2.0
        assert caught.value.status_code == 429


async def test_echoed_key_is_hidden(transport: Transport, caplog: pytest.LogCaptureFixture) -> None:
    """A provider that quotes the key in its error does not bring it into exceptions or logs."""
    body = b'{"error":{"message":"Incorrect API key provided: %b","code":"invalid_api_key"}}' % KEY.encode()
    head = b"HTTP/1.1 401 T\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    with caplog.at_level(logging.DEBUG):
        async with scripted([head + body]) as server:
            with pytest.raises(AuthenticationError) as caught:
                await read(transport, request(server.base))
    error = caught.value
    assert "Incorrect API key" in error.message
    for text in (str(error), repr(error), repr(error.__dict__), caplog.text):
        assert KEY not in text
    assert "POST" in caplog.text


async def test_key_is_in_no_repr() -> None:
    """Neither the request nor its access shows the key."""
    asked = request("http://127.0.0.1:1/v1", aws_secret_access_key="aws-canary-secret")
    assert KEY not in repr(asked)
    assert "aws-canary-secret" not in repr(asked)
    assert asked.access is not None
    assert asked.access.api_key == Secret(KEY)


async def test_headers_cannot_be_smuggled() -> None:
    """A line break in a header is refused before anything is sent."""
    with pytest.raises(InvalidRequestError, match="extra_headers"):
        request("http://127.0.0.1:1/v1", extra_headers={"x": "a\r\nb: c"})


async def test_pool_has_its_own_phase() -> None:
    """A call that waits for a free place names the pool, and the place is free again afterwards."""
    transport = Transport(max_connections=1)
    async with scripted([SSE, chunked(event()), -1.0]) as server:
        first = await transport(request(server.base))
        with pytest.raises(APITimeoutError, match="connections are in use") as caught:
            await transport(request(server.base, timeout=Timeout(connect=0.05)))
        assert caught.value.phase == "pool"
        await first.aclose()
        second = await transport(request(server.base))
        await second.aclose()
    await transport.aclose()


async def test_closed_client_is_refused() -> None:
    """A client that was closed does not quietly open again."""
    transport = Transport()
    await transport.aclose()
    await transport.aclose()
    with pytest.raises(ConfigurationError, match="is closed"):
        await transport(request("http://127.0.0.1:1/v1"))


def test_other_event_loop_is_refused() -> None:
    """A client made use of in one loop says so when it is used in another."""
    transport = Transport()

    async def use() -> None:
        async with scripted([SSE, -1.0]) as server:
            stream = await transport(request(server.base))
            await stream.aclose()

    async def close() -> None:
        await transport.aclose()

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(use())
        with pytest.raises(WrongEventLoopError, match="another event loop"):
            asyncio.run(use())
        loop.run_until_complete(close())
    finally:
        loop.close()


async def test_body_is_sent_as_encoded(transport: Transport) -> None:
    """The bytes of the prompt go out in the caller's key order, compact, and the path as it was encoded."""
    async with scripted([SSE, chunked(event("a", "stop") + b"data: [DONE]\n\n"), b"0\r\n\r\n"]) as server:
        await read(transport, request(server.base + "/a%3Ab"))
        assert server.heads[0].startswith(b"POST /v1/a%3Ab/chat/completions HTTP/1.1")
        assert server.bodies[0] == (
            b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,'
            b'"stream_options":{"include_usage":true}}'
        )
