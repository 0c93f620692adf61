"""An answer going out piece by piece: a caller who does not read costs bounded memory and bounded time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EventStream", "Watch"]

_TICK = 1.0  # seconds between two looks


@final
class Watch:
    """One timer for all answers: it cuts off those whose caller has not read for too long.

    Args:
        seconds: how long one write may wait.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._streams: set[EventStream] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, stream: EventStream) -> None:
        """Look after *stream* until it is over."""
        self._streams.add(stream)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(min(_TICK, self._seconds), self._look)

    def remove(self, stream: EventStream) -> None:
        """It is over."""
        self._streams.discard(stream)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for stream in tuple(self._streams):
            if stream.since is not None and now - stream.since > self._seconds:
                stream.abort()
        self._timer = loop.call_later(min(_TICK, self._seconds), self._look) if self._streams else None


@final
class _Events(web.StreamResponse):
    """A response whose head goes out with its first event: one packet, one call of the system."""

    _send_headers_immediately = False


@final
class EventStream:
    """A stream of server-sent events to one caller.

    Attributes:
        since: when the write in progress began; None while none waits.
        gone: whether the caller is known to have left.
    """

    def __init__(self, request: web.BaseRequest, headers: Mapping[str, str], watch: Watch) -> None:
        self.since: float | None = None
        self.gone = False
        self.response = _Events(
            headers={
                "content-type": "text/event-stream; charset=utf-8",
                "cache-control": "no-cache",
                **headers,
            }
        )
        self._request = request
        self._watch = watch
        self._loop = asyncio.get_running_loop()

    async def begin(self) -> None:
        """Get the head ready; it goes out with what is written first.

        Raises:
            ConnectionError: the caller has left.
        """
        self._watch.add(self)
        try:
            await self.response.prepare(self._request)
        except ConnectionError:
            self.gone = True
            raise

    async def write(self, data: bytes) -> None:
        """Send *data*; waits while the caller has not read what came before.

        Raises:
            ConnectionError: the caller has left.
        """
        self.since = self._loop.time()
        try:
            await self.response.write(data)
        except ConnectionError:
            self.gone = True
            raise
        finally:
            self.since = None

    async def end(self, data: bytes = b"") -> None:
        """Send *data*, and that nothing more comes."""
        if self.gone:
            return
        self.since = self._loop.time()
        try:
            await self.response.write_eof(data)
        except ConnectionError:
            self.gone = True
        finally:
            self.since = None

    def close(self) -> None:
        """It need not be looked after any more."""
        self._watch.remove(self)

    def abort(self) -> None:
        """Cut the caller off: what it has not read is thrown away, and its handler is cancelled."""
        self.gone = True
        transport = self._request.transport
        if transport is not None:
            transport.abort()
