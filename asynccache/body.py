"""The body of one answer: a source of bytes that no silence, drip or flood can hold up."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, final

import aiohttp
import anyio
from aiohttp.http_exceptions import HttpProcessingError

from asynccache.errors import (
    APITimeoutError,
    AsyncCacheError,
    ResponseTooLargeError,
    StreamInterruptedError,
)

if TYPE_CHECKING:
    from asynccache.clocks import Limit, Watch

__all__ = ["INHERITED", "Body"]

_MAX_ERROR_BODY = 64 * 1024
_DRAIN = 0.1  # seconds that a connection may take to end after the answer did

# What reading a body may raise; the parser's own errors are no ClientError.
_BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError, EOFError, ValueError)

# Exception to "no module-level state": what a forked child inherited. To close it there, or to let it be collected,
# would take the parent's own sockets out of the epoll that both share.
INHERITED: list[Any] = []


@final
class Body:
    """One answer's bytes as they come, its socket and its place in the pool.

    Args:
        response: the answer, its head read.
        watch: what ends the waits for it.
        places: where one place is given back when it is closed.
        max_body: the largest body taken, in bytes after decompression.
    """

    __slots__ = (
        "_closed", "_content", "_loop", "_lost", "_max", "_pid", "_places", "_received", "_watch", "response",
        "touch",
    )  # fmt: skip

    def __init__(
        self, response: aiohttp.ClientResponse, watch: Watch, places: asyncio.Semaphore, max_body: int
    ) -> None:
        self.response = response
        self.touch = watch.touch
        self._content = response.content
        self._watch = watch
        self._places = places
        self._max = max_body
        self._received = 0
        self._closed = False
        self._pid = os.getpid()
        self._loop = asyncio.get_running_loop()
        watch.end = self._expire
        protocol: Any = None if response.connection is None else response.connection.protocol
        self._lost: asyncio.Future[None] | None = getattr(protocol, "closed", None)
        if self._lost is not None:
            self._lost.add_done_callback(self._give_up)

    async def receive(self) -> bytes:
        """The next piece of the body."""
        watch = self._watch
        began = watch.since = watch.time()
        try:
            data = await self._content.readany()
        except AsyncCacheError:
            if not (data := _unread(self._content)):
                raise
        except _BROKEN as exc:
            if not (data := _unread(self._content)):
                msg = f"the connection broke before the answer ended ({type(exc).__name__})"
                raise StreamInterruptedError(msg) from exc
        finally:
            watch.waited += watch.time() - (watch.since or began)
            watch.since = None
        if not data:
            raise anyio.EndOfStream
        self._received += len(data)
        if self._received > self._max:
            msg = f"the answer is larger than {self._max} bytes; Client(max_body_bytes=...) allows more"
            raise ResponseTooLargeError(msg)
        return data

    async def finish(self) -> None:
        """The answer is whole: let the connection end it too, so that it can be used again."""
        if self._content.at_eof():  # nearly always: the end of the body came with the end of the answer
            return
        try:
            async with asyncio.timeout(_DRAIN):
                while await self._content.readany():
                    pass
        except (TimeoutError, AsyncCacheError, *_BROKEN):
            self.close()

    async def read_error(self) -> bytes:
        """The first 64 KiB of an error's body, as much of it as comes."""
        content = b""
        try:
            while len(content) < _MAX_ERROR_BODY:
                content += await self.receive()
        except (anyio.EndOfStream, StreamInterruptedError, APITimeoutError):
            pass  # the status says enough; the body only explains it
        return content[:_MAX_ERROR_BODY]

    def close(self) -> None:
        """Free the socket at once: it goes back to the pool only if the body was read to its end."""
        if self._closed:
            return
        self._closed = True
        if self._pid != os.getpid():
            INHERITED.append(self.response)
            return
        if self._loop.is_closed():
            self.response.close()
            return
        self._watch.stop()
        if self._lost is not None:
            self._lost.remove_done_callback(self._give_up)
            self._lost.remove_done_callback(_hear)
            self._lost.add_done_callback(_hear)  # the pool keeps it: an end without a listener is logged
        self.response.close()
        self._places.release()

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

    def _give_up(self, lost: asyncio.Future[None]) -> None:
        """The connection is gone: wake a reader whom nobody else will.

        aiohttp's parser in C closes the connection at a chunk header that is no number, and leaves it at that
        (seen in 3.14.5).
        """
        _hear(lost)
        if not self._content.is_eof() and self._content.exception() is None:
            msg = "the connection was given up before the answer ended: what came is not HTTP"
            self._content.set_exception(StreamInterruptedError(msg))

    def _expire(self, limit: Limit, what: str) -> None:
        self._content.set_exception(limit.error(what))
        self.response.close()


def _unread(content: aiohttp.StreamReader) -> bytes:
    """What had come before the body broke: an exception makes aiohttp's reader forget it."""
    buffer: Any = getattr(content, "_buffer", None)  # there is no public way to it
    if not buffer:
        return b""
    data = b"".join(buffer)
    buffer.clear()
    return data


def _hear(lost: asyncio.Future[None]) -> None:
    if not lost.cancelled():
        lost.exception()
