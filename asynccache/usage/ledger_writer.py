"""One thread writes the ledger: at once when idle, in groups under load; what a full disk refuses waits in memory."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
import time
from typing import TYPE_CHECKING, final

import msgspec

from asynccache.usage.ledger_store import RefusedRowError
from asynccache.usage.ledger_waiting import Room

if TYPE_CHECKING:
    from asynccache.usage.ledger_row import Row
    from asynccache.usage.ledger_store import Store

__all__ = ["Counters", "Writer"]

_logger = logging.getLogger("asynccache")

_LARGEST_GROUP = 500  # rows in one transaction
_LONGEST_GATHERING = 0.02  # seconds that a group under load may wait for more rows
_LONGEST_ROUNDS = 0.002  # seconds that a busy event loop may add to a group before the writer is woken
_LONGEST_SLEEP = 1.0  # seconds; an event loop that ended may owe its ring
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
        self._is_promised = False  # an event loop is going to ring
        self._queue: list[Row] = []
        self._rooms: dict[asyncio.AbstractEventLoop, Room] = {}
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
                if self._is_asleep and not self._is_promised:
                    self._wake_soon()
                return ticket
            self.lost += 1
        self._lament(row)
        return None

    def _wake_soon(self) -> None:
        """With the lock held; an event loop ends its round first, so that the threads do not fight over Python's lock."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._wake_writer()
            return
        self._is_promised = True
        loop.call_soon(self._ring, loop, self.last, time.monotonic() + _LONGEST_ROUNDS)

    def _ring(self, loop: asyncio.AbstractEventLoop, last: int, until: float) -> None:
        """Wake the writer, once a round of the loop has brought no row: what a busy one brings is one group."""
        if self.last != last and time.monotonic() < until:
            loop.call_soon(self._ring, loop, self.last, until)
            return
        with self._lock:
            self._is_promised = False
            self._wake_writer()

    def _wake_writer(self) -> None:
        """With the lock held; a writer at work looks by itself, and is spared the switch of threads."""
        if self._is_asleep:
            self._is_asleep = False
            self._bell.release()

    async def wait(self, ticket: int, seconds: float, *, anyway: bool = False) -> bool:
        """Whether that row is durable within *seconds*; a database that is failing is not waited for, unless *anyway*."""
        if self.durable >= ticket:
            return True
        room = self._room()
        until = time.monotonic() + seconds
        while self.durable < ticket and (anyway or not self.failing) and time.monotonic() < until:
            change = room.enter(ticket, until)
            if self.durable >= ticket or (self.failing and not anyway):  # since then, and nobody was told
                break
            await change
        return self.durable >= ticket

    def _room(self) -> Room:
        """Where the waiters of the running event loop are."""
        loop = asyncio.get_running_loop()
        found = self._rooms.get(loop)
        if found is None:
            with self._lock:
                others = {known: room for known, room in self._rooms.items() if not known.is_closed()}
                found = others[loop] = Room(loop, self._served)
                self._rooms = others  # a new one: the writer goes through the former
        return found

    def _served(self) -> float:
        """The last ticket that nobody need wait for any more; a failing database lets everybody decide anew."""
        return math.inf if self.failing else self.durable

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
                    self._is_promised = False
                    rows = self._queue[:_LARGEST_GROUP]
                    del self._queue[:_LARGEST_GROUP]
                    return rows
                self._is_asleep = True
            if not self._bell.acquire(timeout=_LONGEST_SLEEP):
                with self._lock:
                    if not self._is_asleep:  # rung just now
                        self._bell.acquire()
                    self._is_asleep = False

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
        self._call_rooms()

    def _call_rooms(self) -> None:
        for room in self._rooms.values():
            room.call()

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
        self._call_rooms()  # each decides whether to wait on
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
