"""A Recorder that loses nothing: a row is opened before the first byte leaves, and settled exactly once.

`open` and `settle` only hand a row to the writer's thread; the `write_ahead` stage, which belongs right
inside ``record_usage``, holds a request back until its row is durable. So every attempt that reached a
provider has a row, whatever becomes of this process.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import weakref
from typing import TYPE_CHECKING, Any, Self, final

import anyio
import anyio.to_thread

from asynccache.errors import ConfigurationError
from asynccache.usage.ledger_row import Labels, Row, opened_row, settled_row
from asynccache.usage.ledger_waiting import tell
from asynccache.usage.ledger_writer import Counters, Writer
from asynccache.usage.recorder import record_usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from asynccache.events import Event, Recorder
    from asynccache.pipeline import CallNext, Stage
    from asynccache.reply import Usage
    from asynccache.request import Request
    from asynccache.stream import Emit, Stream
    from asynccache.usage.ledger_report import Grouping, Summary
    from asynccache.usage.ledger_sqlite import Durability
    from asynccache.usage.ledger_store import Store

__all__ = ["Counters", "Ledger", "open_ledger"]

_logger = logging.getLogger("asynccache")

_DEADLINE = 2.0  # seconds that a call waits for its row at most
_MAX_WAITING = 50_000  # rows; about 60 MB


def open_ledger(
    where: str | Path,
    *,
    durability: Durability = "process",
    strict: bool = False,
    max_waiting: int = _MAX_WAITING,
) -> Ledger:
    """Open the ledger at *where*; blocks until the database is ready, which is milliseconds for a file.

    Args:
        where: a path, ``sqlite:///path`` or ``:memory:`` for SQLite, ``postgresql://…`` for PostgreSQL.
        durability: what a row of SQLite's survives: the death of the ``process``, or of the ``power`` too.
        strict: refuse calls whose row cannot be written in time; otherwise they go on, loudly.
        max_waiting: rows kept in memory while the database fails.

    Raises:
        ConfigurationError: the ledger is another process's, or cannot be used; the message says why.
    """
    owner = secrets.randbits(62)
    return Ledger(
        _store(where, owner, durability),
        owner=owner,
        strict=strict,
        max_waiting=max_waiting,
        source=str(where),
    )


@final
class Ledger:
    """Every attempt's row, in SQLite or PostgreSQL; made by `open_ledger`, closed by `aclose`.

    May be used from any thread and any event loop. After ``fork`` a child opens one of its own.
    """

    def __init__(self, store: Store, *, owner: int, strict: bool, max_waiting: int, source: str) -> None:
        self.address: str = store.address
        """Where it is, without a password."""
        self.source: str = store.address if source == ":memory:" else source
        """What `summarize` and `read_rows` take to read it."""
        self._owner = owner
        self._strict = strict
        self._writer = Writer(store, max_waiting=max_waiting)
        self._open: dict[str, _Opened] = {}
        self._sending: dict[int, _Opened] = {}  # by the identity of the request that is being sent
        self._settled: dict[str, int] = {}  # tickets of rows not durable yet, oldest first
        self._repeated = 0
        self._writer.start()
        self._finalizer = weakref.finalize(self, self._writer.close)  # also when the interpreter ends

    def open(self, attempt_id: str, request: Request, /) -> None:
        """An attempt is about to be sent."""
        self.open_labelled(attempt_id, request, None)

    def open_labelled(self, attempt_id: str, request: Request, labels: Labels | None) -> None:
        """As `open`, with what the caller knows beyond the request."""
        row = opened_row(attempt_id, request, labels, self._owner)
        opened = _Opened(row, self._writer.put(row), id(request))
        self._open[attempt_id] = self._sending[opened.request] = opened

    def settle(
        self, attempt_id: str, usage: Usage, model: str | None, error: BaseException | None, /
    ) -> None:
        """The attempt is over; only the first settle of an attempt counts."""
        opened = self._open.pop(attempt_id, None)
        if opened is None:
            self._repeated += 1
            _logger.warning(
                "the ledger heard twice of the end of attempt %s, or never of its start", attempt_id
            )
            return
        if self._sending.get(opened.request) is opened:  # the stage was not there to take it
            del self._sending[opened.request]
        # Without the stage nobody says that the caller left; a partial usage does.
        let_go = usage.source == "partial" if opened.let_go is None else opened.let_go
        ticket = self._writer.put(settled_row(opened.row, usage, model, error, let_go=let_go))
        if ticket is not None:
            self._settled[attempt_id] = ticket
        self._forget_durable()
        for loop, waiting in opened.waiting:
            tell(loop, waiting.set)

    async def write_ahead(self, request: Request, call_next: CallNext, /) -> Stream[Event]:
        """Stage, right inside ``record_usage``: nothing is sent before its row is durable.

        Raises:
            ConfigurationError: it was not in time, and the ledger is strict.
        """
        opened = self._sending.pop(id(request), None)  # record_usage has just told us of this very object
        writer = self._writer
        durable = await writer.wait(writer.last, _DEADLINE, anyway=self._strict)
        if self._strict and not durable:
            msg = (
                f"the ledger {self.address} did not take the call's row in {_DEADLINE:g} s; nothing was sent"
            )
            raise ConfigurationError(msg)
        stream = await call_next(request)
        if opened is None:  # a stage between has changed it, or it is another ledger's
            return stream
        opened.let_go = False
        return stream.pipe(_Departure(opened))

    def within(self, stages: Iterable[Stage]) -> list[Stage]:
        """*stages* with `write_ahead` right inside ``record_usage``."""
        placed: list[Stage] = []
        for stage in stages:
            placed.append(stage)
            if stage is record_usage:
                placed.append(self.write_ahead)
        return placed

    def labelled(
        self,
        *,
        key_id: str | None = None,
        deployment_id: str | None = None,
        tags: dict[str, str] | None = None,
    ) -> Recorder:
        """This ledger as the recorder of calls that bear these labels; takes the ledger's place."""
        return _Labelled(self, Labels(key_id=key_id, deployment_id=deployment_id, tags=tags))

    async def opened(self, attempt_id: str, *, timeout: float = _DEADLINE) -> bool:
        """Wait until the attempt's opening is durable; False when it is not within *timeout* seconds.

        A database that is failing is not waited for.
        """
        opened = self._open.get(attempt_id)
        if opened is None:
            return await self.wait_settled(attempt_id, timeout=timeout)
        return opened.ticket is not None and await self._writer.wait(opened.ticket, timeout)

    async def wait_settled(self, attempt_id: str, *, timeout: float = _DEADLINE) -> bool:
        """Wait until the attempt is settled, and that is durable; False when it is not within *timeout* seconds.

        A database that is failing is not waited for. While it is not, an attempt that the ledger no longer
        holds in memory is durable.
        """
        began = time.monotonic()
        opened = self._open.get(attempt_id)
        if opened is not None:
            over = asyncio.Event()
            opened.waiting.append((asyncio.get_running_loop(), over))
            with anyio.move_on_after(timeout) as scope:
                # Settled from another thread in between, it may not have seen us.
                if self._open.get(attempt_id) is opened:
                    await over.wait()
            if scope.cancelled_caught:
                return False
        ticket = self._settled.get(attempt_id)
        if ticket is None:
            return not self._writer.failing
        return await self._writer.wait(ticket, timeout - (time.monotonic() - began))

    async def flush(self, *, timeout: float = 10.0) -> bool:
        """Wait until everything recorded so far is durable; False when it took longer than *timeout* seconds."""
        return await self._writer.wait(self._writer.last, timeout, anyway=True)

    async def summarize(
        self, by: Sequence[Grouping] = (), *, since: datetime | None = None, until: datetime | None = None
    ) -> list[Summary]:
        """What the durable rows add up to; see `ledger_report.summarize`."""
        from asynccache.usage.ledger_report import summarize

        return await anyio.to_thread.run_sync(lambda: summarize(self.source, by, since=since, until=until))

    @property
    def lag(self) -> float:
        """Seconds since nothing was waiting to be written, or since the last progress."""
        return self._writer.lag

    @property
    def counters(self) -> Counters:
        """How it is doing: a snapshot."""
        writer = self._writer
        return Counters(
            written=writer.written,
            groups=writer.groups,
            failed=writer.failed,
            lost=writer.lost,
            repeated=self._repeated,
            waiting=writer.last - writer.durable,
            lag=writer.lag,
        )

    def close(self, *, timeout: float = 5.0) -> None:
        """Write what is waiting and let go of the database; attempts still open become unknown. Idempotent."""
        self._finalizer.detach()
        self._writer.close(timeout)

    async def aclose(self) -> None:
        """As `close`, without holding up the event loop."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Ledger({self.address!r})"

    def _forget_durable(self) -> None:
        """Two at a time, so that as many go as come and no settle pays for many."""
        for _ in range(2):
            oldest = next(iter(self._settled), None)
            if oldest is None or self._settled[oldest] > self._writer.durable:
                return
            self._settled.pop(oldest, None)


@final
class _Opened:
    """An attempt in flight."""

    __slots__ = ("let_go", "request", "row", "ticket", "waiting")

    def __init__(self, row: Row, ticket: int | None, request: int) -> None:
        self.row = row
        self.request = request
        self.ticket = ticket
        self.let_go: bool | None = None  # None: the stage is not there to see it
        self.waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []


@final
class _Departure:
    """Sees that the caller leaves an answer before its end, which a recorder is not told."""

    takes: frozenset[type[Any]] = frozenset()

    def __init__(self, opened: _Opened) -> None:
        self._opened = opened

    def feed(self, event: Event, emit: Emit[Event], /) -> None:
        """Events pass by."""
        emit(event)

    def flush(self, _emit: Emit[Event], /) -> None:
        """A whole answer."""

    def interrupted(self, error: BaseException | None, _emit: Emit[Event]) -> None:
        """Without an error it was the caller who ended it."""
        self._opened.let_go = error is None


@final
class _Labelled:
    """A ledger's view of calls with the same labels."""

    def __init__(self, ledger: Ledger, labels: Labels) -> None:
        self._ledger = ledger
        self._labels = labels

    def open(self, attempt_id: str, request: Request, /) -> None:
        """An attempt is about to be sent."""
        self._ledger.open_labelled(attempt_id, request, self._labels)

    def settle(
        self, attempt_id: str, usage: Usage, model: str | None, error: BaseException | None, /
    ) -> None:
        """The attempt is over."""
        self._ledger.settle(attempt_id, usage, model, error)


def _store(where: str | Path, owner: int, durability: Durability) -> Store:
    text = str(where)
    scheme, found, path = text.partition("://")
    if found and scheme in {"postgresql", "postgres"}:
        from asynccache.usage.ledger_postgres import PostgresStore

        return PostgresStore(text, owner=owner)
    if found and (scheme != "sqlite" or not path.startswith("/")):
        shown = f"{scheme}://…"
        msg = f"no ledger at {shown!r}: give a path, sqlite:///path, ':memory:' or postgresql://…"
        raise ConfigurationError(msg)
    from asynccache.usage.ledger_sqlite import SqliteStore

    return SqliteStore(path.removeprefix("/") if found else where, durability=durability)
