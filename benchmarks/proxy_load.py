"""A load much lighter than any proxy: raw connections that ask again as soon as they are answered, and check."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import NamedTuple

import orjson

from benchmarks.wires import WHOLE_TEXT, text_of

CHUNKS = 200
_TEXT = text_of(CHUNKS)
_PIECES = (b'"content":"', b'"text_delta","text":"')
_EVERY = 50  # streams of which one is read to the letter; of all others the pieces are counted
_END = b"\r\n0\r\n\r\n"


class Load(NamedTuple):
    """What one case found."""

    times: list[float]
    """Seconds that each answer took."""
    took: float
    """Seconds from the first request that counts to the last answer that does."""
    wrong: list[str]
    """What was not as it must be; a few of them."""


class Caller(asyncio.Protocol):
    """One connection that asks again as soon as it is answered, and keeps the times."""

    def __init__(self, request: bytes, times: list[float], wrong: list[str], *, stream: bool) -> None:
        self._request = request
        self._times = times
        self._wrong = wrong
        self._stream = stream
        self._parts: list[bytes] = []
        self._head = b""
        self._left = -1  # bytes of the body still to come; -1 while the head is not whole
        self._tail = b""
        self._chunked = False
        self._count = 0
        self._done = True
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.running = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self._done and self.running:
            self._wrong.append("the connection was closed before the answer's end")
        if not self.lost.done():
            self.lost.set_result(None)

    def stop(self) -> None:
        """Ask no more, and leave an answer that is on its way."""
        self.running = False
        self._transport.abort()

    def _ask(self) -> None:
        self._left, self._head, self._tail, self._done = -1, b"", b"", False
        self._parts = []
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            data = self._head[end + 4 :]
            head = self._head[:end].lower()
            if not head.startswith(b"http/1.1 200"):
                self._wrong.append(self._head[:300].decode("latin-1"))
                self.stop()
                return
            self._chunked = b"transfer-encoding: chunked" in head
            self._left = 1 if self._chunked else int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        self._parts.append(data)
        if self._chunked:
            self._tail = (self._tail + data)[-7:] if len(data) < 7 else data[-7:]
            done = self._tail == _END
        else:
            self._left -= len(data)
            done = self._left == 0
        if done:
            self._times.append(time.perf_counter() - self._began)
            self._done = True
            self._check()
            if self.running:
                self._ask()

    def _check(self) -> None:
        self._count += 1
        body = b"".join(self._parts)
        if self._chunked:
            body = _joined(body)
        if self._stream:
            said = "" if self._count % _EVERY != 1 else _streamed_text(body)
            pieces = max(body.count(piece) for piece in _PIECES)
            right = CHUNKS <= pieces <= CHUNKS + 1 and (not said or said == _TEXT)
        else:
            right = _whole_text(body) == WHOLE_TEXT
        if not right and len(self._wrong) < 5:
            self._wrong.append(f"not what was said upstream: {body[:200]!r}")


def _joined(body: bytes) -> bytes:
    """The body without the frames of its transfer."""
    parts, at = [], 0
    while True:
        line = body.find(b"\r\n", at)
        size = int(body[at:line], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[line + 2 : line + 2 + size])
        at = line + 4 + size


def _streamed_text(body: bytes) -> str:
    said: list[str] = []
    for line in body.split(b"\n"):
        if not line.startswith(b"data: {"):
            continue
        event = orjson.loads(line[6:])
        said += [choice["delta"].get("content") or "" for choice in event.get("choices") or ()]
        if event.get("type") == "content_block_delta":
            said.append(event["delta"].get("text") or "")
    return "".join(said)


def _whole_text(body: bytes) -> str:
    whole = orjson.loads(body)
    return whole["content"][0]["text"] if "content" in whole else whole["choices"][0]["message"]["content"]


def request_for(path: str, body: dict, headers: dict[str, str] | None = None) -> bytes:
    """The bytes of one POST."""
    data = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


async def load(
    port: int, request: bytes, clients: int, seconds: float, *, stream: bool, longest: float, slow: bool
) -> Load:
    """Ask for *seconds*; a *slow* server from the start until every client has one answer, *longest* seconds at most."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    wrong: list[str] = []
    began = time.perf_counter()
    callers = [
        (
            await loop.create_connection(
                lambda: Caller(request, times, wrong, stream=stream), "127.0.0.1", port
            )
        )[1]
        for _ in range(clients)
    ]
    if not slow:
        await asyncio.sleep(min(0.2, seconds / 4))  # warm
        times.clear()
        began = time.perf_counter()
    await asyncio.sleep(seconds)
    while slow and len(times) < clients and time.perf_counter() - began < longest and not wrong:  # noqa: ASYNC110 - a look costs nothing
        await asyncio.sleep(0.05)
    took = time.perf_counter() - began
    found = list(times)
    for caller in callers:
        caller.stop()
    with suppress(TimeoutError):
        async with asyncio.timeout(10):
            await asyncio.gather(*(caller.lost for caller in callers))
    return Load(found, took, wrong)
