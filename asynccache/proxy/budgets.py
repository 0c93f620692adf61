"""Budgets: held before a call, settled after it, by one thread that owns a door to the ledger's database.

The same thread reads the keys there once a second, so that one that is made or revoked counts everywhere
within that time.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar, final
from uuid import uuid4

import anyio
import anyio.to_thread

from asynccache.errors import APIStatusError, BillingError
from asynccache.usage.ledger_budget import BUDGET_TABLES, hold, picodollars, settle, span_of, standing
from asynccache.usage.ledger_door import Door, Script, open_door
from asynccache.usage.ledger_keys import KEY_TABLES, all_keys, keys_mark
from asynccache.usage.ledger_waiting import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal
    from pathlib import Path

    from asynccache.usage.ledger_budget import Standing
    from asynccache.usage.ledger_keys import Key

__all__ = ["BudgetRefusedError", "Budgets", "Hold"]

_logger = logging.getLogger("asynccache.proxy")

T = TypeVar("T")
_Work: TypeAlias = "Callable[[], Script[Any]]"

_KEYS_EVERY: Final = 1.0  # seconds until a revoked key is refused at the latest
_WHOLE_EVERY: Final = 30.0  # seconds until rights that somebody changed by hand are known at the latest
_DEADLINE: Final = 2.0  # seconds that a call waits for its budget
_AGAIN: Final = 0.25  # seconds between two tries to settle while the database fails
_FAREWELL: Final = 3.0  # seconds that the last settles have
_DOLLAR: Final = 10**12


class BudgetRefusedError(BillingError):
    """The caller's key has not so much left; nothing was sent.

    Attributes:
        headers: the limit and when it begins anew.
    """

    headers: dict[str, str]


class Hold(NamedTuple):
    """What is held for one call."""

    id: str
    amount: int
    """In 10⁻¹² dollars."""


class _Job(NamedTuple):
    """A script and who waits for it; nobody for a settle, which is tried until it is done."""

    work: _Work
    loop: asyncio.AbstractEventLoop | None = None
    future: asyncio.Future[Any] | None = None


@final
class Budgets:
    """The budgets of all keys, and the keys of the database.

    Args:
        where: the ledger, as `open_ledger` takes it.
        on_keys: called in the thread with all keys of the database, when it has read them.
        clock: seconds since 1970, by which days and months begin.

    Raises:
        ConfigurationError: the database cannot be used.
    """

    def __init__(
        self,
        where: str | Path,
        on_keys: Callable[[Sequence[Key]], object],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._door: Door = open_door(where, (*BUDGET_TABLES, *KEY_TABLES))
        self._on_keys = on_keys
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._owed: deque[_Work] = deque()
        self._said = False
        self._mark = (-1, -1)
        self._next_whole = 0.0
        self._thread = threading.Thread(target=self._run, name="asynccache budgets", daemon=True)
        self._thread.start()

    async def hold(self, key: Key, amount: Decimal) -> Hold:
        """Hold *amount* dollars of the key's budget.

        Raises:
            BudgetRefusedError: so much is not left.
            APIStatusError: the database does not answer; no call is made on credit.
        """
        rights = key.rights
        assert rights.budget is not None  # noqa: S101 - only keys with one are held to it
        limit, wanted = picodollars(rights.budget), picodollars(amount)
        span, end = span_of(rights.period, self._now())
        held = Hold(uuid4().hex, wanted)
        try:
            with anyio.fail_after(_DEADLINE):
                left = await self._ask(lambda: hold(held.id, key.id, span, wanted, limit))
        except BaseException as error:
            self.settle(held, 0)  # it may have been taken after all
            if isinstance(error, (ConnectionError, TimeoutError)):
                msg = "the budget of this key cannot be checked just now; try again"
                raise APIStatusError(
                    msg, status_code=503, code="budget_unavailable", retry_after=1.0
                ) from error
            raise
        if left is not None:
            raise _refused(key, wanted, limit, left, (self._now(), end))
        return held

    def settle(self, held: Hold, spent: int) -> None:
        """Replace what was held by what was spent; never blocks, and is tried until it is done."""
        self._jobs.put(_Job(lambda: settle(held.id, spent)))

    async def standing(self, key: Key) -> Standing:
        """Where the key's budget stands in this period, everything settled so far included."""
        span, _ = span_of(key.rights.period, self._now())
        return await self._ask(lambda: standing(key.id, span))

    async def refresh(self) -> None:
        """Read the keys now."""
        self._on_keys(await self._ask(all_keys))

    def close(self) -> None:
        """Settle what is to be settled, and let go of the database. Idempotent."""
        self._jobs.put(None)
        self._thread.join(_FAREWELL + 5.0)

    async def aclose(self) -> None:
        """As `close`, without holding up the event loop."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    async def _ask(self, work: Callable[[], Script[T]]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work, loop, future))
        return await future

    def _run(self) -> None:
        next_keys = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= next_keys:
                next_keys = now + _KEYS_EVERY
                self._read_keys()
            self._pay()
            try:
                job = self._jobs.get(timeout=min(next_keys - now, _AGAIN if self._owed else _KEYS_EVERY))
            except queue.Empty:
                continue
            if job is None:
                break
            self._do(job)
        self._end()

    def _do(self, job: _Job) -> None:
        if job.future is None or job.loop is None:
            self._owed.append(job.work)
            return
        future = job.future
        if future.cancelled():
            return
        try:
            try:
                found = self._door.run(job.work())
            except ConnectionError:  # it may have been the connection alone; no hold is ever taken twice
                if future.cancelled():
                    return
                found = self._door.run(job.work())
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            told = error
            tell(job.loop, lambda: None if future.done() else future.set_exception(told))
        else:
            tell(job.loop, lambda: None if future.done() else future.set_result(found))

    def _pay(self) -> None:
        """Settle what is owed; what fails is tried again."""
        while self._owed:
            try:
                self._door.run(self._owed[0]())
            except ConnectionError as error:
                self._complain(error)
                return
            except Exception:
                _logger.exception("a call cannot be settled; what it held stays held")
            else:
                self._said = False
            self._owed.popleft()

    def _read_keys(self) -> None:
        """Ask every time whether keys came or went, and read them all where they did, or after a while."""
        now = time.monotonic()
        try:
            mark = self._door.run(keys_mark())
            if mark == self._mark and now < self._next_whole:
                return
            self._on_keys(self._door.run(all_keys()))
            self._mark, self._next_whole = mark, now + _WHOLE_EVERY
        except Exception as error:  # noqa: BLE001 - the thread lives on; the keys stay as they were
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._said:
            self._said = True
            _logger.error("budgets and keys cannot be reached, and stay as they were: %s", error)

    def _end(self) -> None:
        until = time.monotonic() + _FAREWELL
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                self._do(job)
        self._pay()
        while self._owed and time.monotonic() < until:
            time.sleep(_AGAIN)
            self._pay()
        if self._owed:
            _logger.error("%d calls could not be settled; what they held stays held", len(self._owed))
        self._door.close()


def _refused(
    key: Key, wanted: int, limit: int, at: Standing, span: tuple[datetime, datetime]
) -> BudgetRefusedError:
    now, end = span
    left = max(limit - at.spent - at.held, 0)
    moment = end.isoformat().replace("+00:00", "Z")
    in_flight = f" (and {_dollars(at.held)} held for calls in progress)" if at.held else ""
    error = BudgetRefusedError(
        f"this key's budget is {_dollars(limit)} a {key.rights.period}, of which {_dollars(at.spent)} is"
        f" spent{in_flight}; this call may cost up to {_dollars(wanted)}. A smaller max_tokens may fit; the"
        f" budget begins anew at {moment}",
        status_code=402,
        code="budget_exceeded",
        retry_after=(end - now).total_seconds(),
    )
    error.headers = {
        "x-ratelimit-limit-budget": _plain(limit),
        "x-ratelimit-remaining-budget": _plain(left),
        "x-ratelimit-reset-budget": moment,
    }
    return error


def _dollars(amount: int) -> str:
    return f"${_plain(amount)}"


def _plain(amount: int) -> str:
    """Dollars with every digit that matters."""
    whole, rest = divmod(amount, _DOLLAR)
    digits = f"{rest:012d}".rstrip("0")
    return f"{whole}.{digits:0<2}"
