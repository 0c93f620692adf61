"""One thread writes the ledger: at once when idle, in groups under load; what a full disk refuses waits in memory."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, final

import msgspec

from asynccache.usage.ledger_store import RefusedRowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from asynccache.usage.ledger_row import Row
    from asynccache.usage.ledger_store import Store

__all__ = ["Counters", "Writer", "tell"]

_Waiter: TypeAlias = tuple[int, int, asyncio.AbstractEventLoop, "asyncio.Future[None]"]
"""Ticket, order of coming, and whom to tell."""

_logger = logging.getLogger("asynccache")

_LARGEST_GROUP = 500  # rows in one transaction
_LONGEST_GATHERING = 0.02  # seconds that a group under load may wait for more rows
_FIRST_RETRY, _LONGEST_RETRY = 0.05, 5.0  # seconds between two tries at a database that fails
_LOG_EVERY = 30.0  # seconds between two lines about the same trouble


@final
class Counters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a ledger is doing."""

    written: int
    """Rows made durable: an attempt counts twice, opened and settled, or once where one group held both."""
    groups: int
    """Transactions that it took."""
    failed: int
    """Transactions that the database refused; their rows wait and are tried again."""
    lost: int
    """Rows that will never be written."""
    repeated: int
    """Settles of attempts that were settled already, or never opened: no-ops."""
    waiting: int
    """Rows in memory, not durable yet."""
    lag: float
    """Seconds since the ledger last had nothing waiting, or last made some of it durable."""


@final
class Writer:
    """Takes rows from any thread, in order; tells event loops when they are durable.

    Args:
        store: the database; used by the writer's thread alone.
        max_waiting: rows kept in memory while the database fails; what comes beyond is lost, loudly.
    """

    def __init__(self, store: Store, *, max_waiting: int) -> None:
        self.durable = 0
        """The ticket of the last durable row."""
        self.last = 0
        """The ticket of the last row taken."""
        self.failing = False
        """The last transaction was refused, and refused again."""
        self.lost = 0
        self.failed = 0
        self.written = 0
        self.groups = 0
        self._store = store
        self._max_waiting = max_waiting
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._bell = threading.Lock()  # released to wake the writer
        self._bell.acquire()
        self._is_asleep = False
        self._queue: list[Row] = []
        self._waiters: list[_Waiter] = []
        self._order = itertools.count()
        self._progress = time.monotonic()
        self._said = -_LOG_EVERY
        self._closing: float | None = None  # by when the last rows must be written
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asynccache ledger", daemon=True)
        self._started: threading.Event = threading.Event()
        self._refusal: BaseException | None = None

    def start(self) -> None:
        """Start the thread; returns when the database is ready.

        Raises:
            ConfigurationError: the database cannot be used.
        """
        self._thread.start()
        self._started.wait()
        if self._refusal is not None:
            self._thread.join()
            raise self._refusal

    def put(self, row: Row) -> int | None:
        """Take *row* and give its ticket; None where it is lost. Never blocks for long, never raises."""
        with self._lock:
            taken = (
                len(self._queue) < self._max_waiting and self._closing is None and self._pid == os.getpid()
            )
            if taken:  # a forked child has no writer
                if self.last == self.durable:
                    self._progress = time.monotonic()
                ticket = self.last = self.last + 1
                self._queue.append(row)
                self._wake_writer()
                return ticket
            self.lost += 1
        self._lament(row)
        return None

    def _wake_writer(self) -> None:
        """With the lock held; a writer at work looks by itself, and is spared the switch of threads."""
        if self._is_asleep:
            self._is_asleep = False
            self._bell.release()

    async def wait(self, ticket: int, seconds: float, *, anyway: bool = False) -> bool:
        """Whether that row is durable within *seconds*; a database that is failing is not waited for, unless *anyway*."""
        if self.durable >= ticket:
            return True
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self.durable < ticket and (anyway or not self.failing) and loop.time() < until:
            change = self._change(ticket, loop)
            alarm = loop.call_at(until, _resolve, (change,))  # a cancel scope costs ten times as much
            try:
                await change
            finally:
                alarm.cancel()
        return self.durable >= ticket

    def _change(self, ticket: int, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Done when that row is durable, or the database fails."""
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self.durable < ticket:
                heapq.heappush(self._waiters, (ticket, next(self._order), loop, future))
                return future
        future.set_result(None)
        return future

    @property
    def lag(self) -> float:
        """Seconds since nothing was waiting, or since the last progress."""
        return 0.0 if self.last == self.durable else time.monotonic() - self._progress

    def close(self, timeout: float = 5.0) -> None:
        """Write what is waiting, within *timeout* seconds, and let go of the database. Idempotent."""
        if self._pid != os.getpid():
            return
        with self._lock:
            if self._closing is None:
                self._closing = time.monotonic() + timeout
            self._wake_writer()
        self._ending.set()
        self._thread.join(timeout + 1.0)

    def _run(self) -> None:
        try:
            self._store.connect()
        except BaseException as error:  # noqa: BLE001 - start() raises it in the caller's thread
            self._refusal = error
            return
        finally:
            self._started.set()
        try:
            while rows := self._take():
                began = time.thread_time()  # not the clock: much of that is waiting for Python's lock
                self._write(rows)
                self._announce(len(rows))
                self._gather(time.thread_time() - began)
        finally:
            self._release()

    def _take(self) -> list[Row]:
        """The next group, waiting for its first row; empty when the writer is to end."""
        while True:
            with self._lock:
                if self._queue or self._closing is not None:
                    rows = self._queue[:_LARGEST_GROUP]
                    del self._queue[:_LARGEST_GROUP]
                    return rows
                self._is_asleep = True
            self._bell.acquire()

    def _write(self, rows: list[Row]) -> None:
        """Returns when *rows* are durable, or when there is no hope for them."""
        latest = list({row.attempt_id: row for row in rows}.values())
        wait = 0.0  # a lost connection is made again at once
        while True:
            try:
                self._store.write(latest)
            except RefusedRowError as error:
                self._write_singly(latest, error)
            except Exception as error:  # noqa: BLE001 - whatever a database does, calls go on and rows wait
                self._complain(error, len(rows), again=wait > 0)
                if self._is_too_late():
                    self._lose(latest)
                    return
                if self._ending.wait(wait):
                    time.sleep(_FIRST_RETRY)
                wait = min(max(wait * 2, _FIRST_RETRY), _LONGEST_RETRY)
                continue
            else:
                self.written += len(latest)
                self.groups += 1
            if self.failing:
                self.failing = False
                _logger.warning("the ledger %s is written again", self._store.address)
            return

    def _write_singly(self, rows: list[Row], error: RefusedRowError) -> None:
        """One bad row must not take the others with it."""
        if len(rows) > 1:
            for row in rows:
                self._write([row])
            return
        _logger.error("the ledger %s refuses a row: %s", self._store.address, error)
        self._lose(rows)

    def _announce(self, count: int) -> None:
        """*count* rows more are durable: tell those who wait for them."""
        with self._lock:
            self.durable += count
            self._progress = time.monotonic()
            ready: list[_Waiter] = []
            while self._waiters and self._waiters[0][0] <= self.durable:
                ready.append(heapq.heappop(self._waiters))
        _wake(ready)

    def _gather(self, spent: float) -> None:
        """Under load, let a group grow for twice the work that the last one was: a third of a core at most."""
        if self._queue and self._closing is None:
            time.sleep(min(2 * spent, _LONGEST_GATHERING))

    def _is_too_late(self) -> bool:
        return self._closing is not None and time.monotonic() >= self._closing

    def _lose(self, rows: list[Row]) -> None:
        with self._lock:
            self.lost += len(rows)
        for row in rows:
            self._lament(row)

    def _lament(self, row: Row) -> None:
        _logger.error("the ledger %s lost a row: %s", self._store.address, row.to_json())

    def _complain(self, error: Exception, rows: int, *, again: bool) -> None:
        with self._lock:
            self.failed += 1
            self.failing = again
            if not again:
                return
            waiting, self._waiters = self._waiters, []
        _wake(waiting)  # each decides whether to wait on
        now = time.monotonic()
        if now - self._said >= _LOG_EVERY:
            self._said = now
            _logger.error(
                "the ledger %s cannot be written (%s: %s); calls go on, %d rows wait in memory",
                self._store.address,
                type(error).__name__,
                error,
                rows + len(self._queue),
            )

    def _release(self) -> None:
        try:
            self._store.close()
        except Exception:
            _logger.exception("the ledger %s was not closed properly", self._store.address)


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Have *loop* call *callback*; if it is closed, nobody waits there any more."""
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        _logger.debug("an event loop that waited for the ledger is closed")


def _wake(waiters: Iterable[_Waiter]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for _, _, loop, future in waiters:
        by_loop.setdefault(loop, []).append(future)
    for loop, futures in by_loop.items():
        tell(loop, partial(_resolve, futures))


def _resolve(futures: Iterable[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
