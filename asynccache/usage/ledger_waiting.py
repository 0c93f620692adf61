"""Who waits in one event loop until rows are durable: one alarm for all of them, one call from the writer's thread."""

from __future__ import annotations

import heapq
import itertools
import logging
import time
from typing import TYPE_CHECKING, TypeAlias, final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Room", "tell"]

_Waiter: TypeAlias = tuple[int, int, float, "asyncio.Future[None]"]
"""Ticket, order of coming, until when by ``time.monotonic()``, and what is done then."""

_logger = logging.getLogger("asynccache")


@final
class Room:
    """One event loop's waiters. All but `call` is for that loop's thread.

    Args:
        loop: whose they are.
        served: the ticket that is durable; a number that cannot be reached lets everybody out.
    """

    __slots__ = ("_alarm", "_alarm_at", "_is_called", "_order", "_served", "_waiters", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, served: Callable[[], float]) -> None:
        self.loop = loop
        self._served = served
        self._waiters: list[_Waiter] = []
        self._order = itertools.count()
        self._is_called = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0

    def enter(self, ticket: int, until: float) -> asyncio.Future[None]:
        """Done when *ticket* is served, or it is later than *until*; who enters looks once more before awaiting it."""
        future: asyncio.Future[None] = self.loop.create_future()
        heapq.heappush(self._waiters, (ticket, next(self._order), until, future))
        if self._alarm is None or until < self._alarm_at:
            self._set_alarm(until)
        return future

    def call(self) -> None:
        """From any thread: some more were served. Many calls before the loop gets to it are one."""
        if self._waiters and not self._is_called:
            self._is_called = True
            tell(self.loop, self._let_out)

    def _let_out(self) -> None:
        self._is_called = False  # first: whoever is served from now on is called anew
        served, waiters = self._served(), self._waiters
        while waiters and waiters[0][0] <= served:
            _resolve(heapq.heappop(waiters)[3])

    def _set_alarm(self, until: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = until
        self._alarm = self.loop.call_later(max(until - time.monotonic(), 0.0), self._ring)

    def _ring(self) -> None:
        """A timer for each waiter would cost more than all else here, and nearly none ever goes off."""
        self._alarm = None
        now = time.monotonic()
        for _, _, until, future in self._waiters:
            if until <= now:
                _resolve(future)
        self._waiters[:] = [waiter for waiter in self._waiters if not waiter[3].done()]
        heapq.heapify(self._waiters)
        if self._waiters:
            self._set_alarm(min(until for _, _, until, _ in self._waiters))


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Have *loop* call *callback*; if it is closed, nobody waits there any more."""
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        _logger.debug("an event loop that waited for the ledger is closed")


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
