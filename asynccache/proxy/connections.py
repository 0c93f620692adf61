"""Connections that no silence, drip or flood can hold open; errors of the protocol say nothing of the request."""

from __future__ import annotations

import asyncio
import logging
from os import urandom
from traceback import format_tb
from typing import TYPE_CHECKING, Any, final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from asynccache.proxy.failures import Failure, dialect_of
from asynccache.proxy.telling import id_headers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from asynccache.proxy.settings import Settings

__all__ = ["Incoming", "Listener", "read_bytes"]

_logger = logging.getLogger("asynccache.proxy")
_quiet = logging.getLogger("asynccache.proxy.protocol")

LEAST_RATE = 1024
"""Bytes of a body per second; slower ones are cut off."""
_GRACE = 10.0  # seconds that any body may take


@final
class Incoming(web.BaseRequest):
    """A request whose answer names no software and no version."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.pop("Server", None)


@final
class _Connection(RequestHandler):
    """One connection: its head must come in time, and what goes wrong in it is not logged word for word."""

    __slots__ = ("_head_seconds", "_head_timer", "_settled")

    def __init__(
        self, manager: Listener, *, loop: asyncio.AbstractEventLoop, head_seconds: float, **options: Any
    ) -> None:
        super().__init__(manager, loop=loop, **options)
        self._head_seconds = head_seconds
        self._head_timer: asyncio.TimerHandle | None = None
        self._settled = 0  # requests whose head has come

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._request_count != self._settled:
            self._settled = self._request_count
            self._stop_waiting()
        elif self._head_timer is None and self._current_request is None and not self._request_in_progress:
            self._wait_for_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request
    ) -> web.StreamResponse:
        call_id = urandom(16).hex()
        if status >= 500:
            # Where it failed, not what it says: an error's words may quote the request.
            where = "" if exc is None else "".join(format_tb(exc.__traceback__))
            _logger.error("a request failed: %s (request %s)\n%s", type(exc).__name__, call_id, where)
        if request.writer.output_size > 0:
            msg = "the answer has begun already"
            raise ConnectionError(msg)
        text = "the request is not valid HTTP" if status < 500 else "the proxy failed"
        response = web.Response(
            status=status,
            body=Failure(status=status, message=text).body(dialect_of(request.raw_path), call_id),
            content_type="application/json",
            headers=id_headers(call_id),
        )
        response.force_close()
        return response

    def _wait_for_head(self) -> None:
        self._head_timer = self._loop.call_later(self._head_seconds, self._cut_off)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _cut_off(self) -> None:
        self._head_timer = None
        if self.transport is not None:
            self.transport.abort()


@final
class Listener(web.Server):
    """Makes a connection for every caller; to be handed to ``loop.create_server``."""

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], settings: Settings
    ) -> None:
        super().__init__(handler, request_factory=_incoming, handler_cancellation=True)
        self._settings = settings

    def __call__(self) -> RequestHandler:
        """A connection's protocol."""
        settings = self._settings
        return _Connection(
            self,
            loop=self._loop,
            head_seconds=settings.header_seconds,
            keepalive_timeout=settings.idle_seconds,
            access_log=None,
            logger=_quiet,
            max_headers=64,
            lingering_time=2.0,
        )


def _incoming(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> Incoming:
    return Incoming(message, payload, protocol, writer, task, asyncio.get_running_loop())


async def read_bytes(request: web.BaseRequest, most: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is larger than *most* bytes, after decompression.
        TooSlow: it comes slower than 1 KB/s.
    """
    content = request.content
    if (request.content_length or 0) > most:
        raise TooLarge(most)
    if content.is_eof():
        data = content.read_nowait()
        if len(data) > most:
            raise TooLarge(most)
        return data
    loop = asyncio.get_running_loop()
    parts: list[bytes] = []
    size, began = 0, loop.time()
    try:
        async with asyncio.timeout_at(began + _GRACE) as limit:
            while piece := await content.readany():
                size += len(piece)
                if size > most:
                    raise TooLarge(most)
                parts.append(piece)
                limit.reschedule(began + _GRACE + size / LEAST_RATE)
    except TimeoutError:
        raise TooSlow from None
    return b"".join(parts)


class TooLarge(Exception):  # noqa: N818 - says what it is
    """A body over the limit."""


class TooSlow(Exception):  # noqa: N818 - says what it is
    """A body that does not come."""
