"""What goes on: every attempt, live and added up, for the metrics and the page; never a prompt, never a key.

One `Activity` lives as long as the process, whatever configuration is served. It hears of attempts as a
recorder, as the ledger does, so that both add up the same; two stages tell it what a recorder is not told.
"""

from __future__ import annotations

import asyncio
import re
import time
from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

import msgspec

from asynccache.errors import AsyncCacheError
from asynccache.proxy.passes import Passes
from asynccache.proxy.sums import Sums, sums_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynccache.events import Event, Usage
    from asynccache.pipeline import CallNext
    from asynccache.proxy.deployment import Deployment
    from asynccache.request import Request
    from asynccache.stream import Emit, Stream

__all__ = [
    "Activity",
    "Attempt",
    "Failed",
    "Histogram",
    "Label",
    "Series",
    "mark_content",
    "mark_sent",
    "observe",
]

MOST_SERIES = 500
"""Labels kept apart. Beyond them keys are added up as ``other``; beyond twice as many, so is everything."""
STEPS: Final = {60: 60, 600: 144}
"""Lengths of a bin of time in seconds, and how many of them are kept: an hour of minutes, a day of tens."""
_MINUTE: Final = 60  # seconds; of it every length is a multiple
_ERRORS_KEPT = 50
_SHORT = 1024  # tokens; the shortest prompt that most providers cache
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0)
_OWN_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)


class Label(NamedTuple):
    """Whose attempts are added up together; every part is bounded by the configuration."""

    model: str
    """The name that callers ask for, as configured."""
    provider: str
    deployment: str
    key: str


_OTHER = Label("other", "other", "other", "other")


@final
class Histogram:
    """How long something took, in buckets."""

    __slots__ = ("counts", "limits", "total")

    def __init__(self, limits: tuple[float, ...] = _SECONDS) -> None:
        self.limits = limits
        self.counts = [0] * (len(limits) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(self.limits, seconds)] += 1
        self.total += seconds


@final
class Series:
    """What the attempts of one label add up to: since the start, and by time.

    The newest minute is added up by itself: an attempt is one addition, and a minute one more for each sum
    that it is part of.
    """

    __slots__ = ("_bins", "_minute", "_newest", "_total", "first_content", "misses", "outcomes", "took")

    def __init__(self) -> None:
        self._total = Sums()
        self._bins: dict[int, dict[int, Sums]] = {step: {} for step in STEPS}
        self._newest: Sums | None = None  # of the minute, and in no other sum yet
        self._minute = 0
        self.outcomes: dict[str, int] = {}
        self.misses: dict[str, int] = {}
        self.first_content = Histogram()
        self.took = Histogram()

    @property
    def total(self) -> Sums:
        """All attempts that are over."""
        self._settle()
        return self._total

    @property
    def bins(self) -> dict[int, dict[int, Sums]]:
        """The same by time: for each length of a bin those that are not too old, by their number since 1970."""
        self._settle()
        return self._bins

    def add(self, sums: Sums, now: float) -> None:
        """One attempt more, which ended *now*."""
        minute = int(now // _MINUTE)
        if minute != self._minute:
            self._settle()
            self._minute = minute
        if self._newest is None:
            self._newest = sums
        else:
            self._newest.add(sums)

    def _settle(self) -> None:
        newest, self._newest = self._newest, None
        if newest is None:
            return
        self._total.add(newest)
        for step, bins in self._bins.items():
            place = self._minute * _MINUTE // step
            if place not in bins:
                bins[place] = Sums()
                for old in [other for other in bins if other <= place - STEPS[step]]:
                    del bins[old]
            bins[place].add(newest)


@final
class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that failed: its class and codes, none of its words, for they may quote the prompt."""

    at: float
    model: str
    key: str
    error: str
    status: int | None
    code: str | None
    call_id: str


@final
class Activity:
    """All that goes on in this process.

    Args:
        clock: what time it is, in seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.began = clock()
        self.series: dict[Label, Series] = {}
        self.live: dict[str, Attempt] = {}
        self.failed: deque[Failed] = deque(maxlen=_ERRORS_KEPT)
        self.refused: dict[int, int] = {}
        """Calls that no provider was asked for, by the status that they were refused with."""
        self.overhead = Histogram(_OWN_SECONDS)
        self.passes = Passes()

    def watch(self, deployment: Deployment, key_id: str | None, began: float = 0.0) -> Attempt:
        """The recorder of one attempt on *deployment*.

        Args:
            deployment: who is asked.
            key_id: the name of the caller's key.
            began: when the call's last byte had come, by ``time.perf_counter()``; 0 where nobody knows.
        """
        provider = deployment.target.partition("/")[0]
        label = Label(deployment.group, provider, deployment.label, key_id or "none")
        return Attempt(self, label, began)

    def refuse(self, status: int) -> None:
        """A call was refused before any provider was asked."""
        self.refused[status] = self.refused.get(status, 0) + 1

    def of(self, label: Label) -> Series:
        """Where *label*'s attempts are added up."""
        found = self.series.get(label)
        if found is None:
            if len(self.series) >= MOST_SERIES:
                label = label._replace(key="other")
            if label not in self.series and len(self.series) >= 2 * MOST_SERIES:
                label = _OTHER
            found = self.series.setdefault(label, Series())
        return found


@final
class Attempt:
    """One attempt: a recorder, and what the two stages see of it.

    Attributes:
        label: whose it is.
        began: when it was opened, by the activity's clock.
        streamed: whether its answer is a stream.
        talking: whether its first content has come.
        left: whether its caller left it before its end.
    """

    __slots__ = (
        "_activity", "_came", "_sent", "_started", "began", "call_id", "label", "left", "number", "streamed", "talking",
    )  # fmt: skip

    def __init__(self, activity: Activity, label: Label, came: float) -> None:
        self._activity = activity
        self._came = came
        self._started = self._sent = 0.0
        self.label = label
        self.began = 0.0
        self.call_id = ""
        self.number = 0
        self.streamed = False
        self.talking = False
        self.left = False

    def open(self, attempt_id: str, request: Request, /) -> None:
        """It is about to be sent."""
        self.began = self._activity.clock()
        self._started = self._sent = time.perf_counter()
        self.call_id, self.number, self.streamed = request.call_id, request.attempt, request.stream
        self._activity.live[attempt_id] = self

    def sent(self) -> None:
        """Nothing of ours stands between it and the provider any more."""
        self._sent = time.perf_counter()
        if self.number == 0 and self._came:
            self._activity.overhead.observe(self._sent - self._came)

    def content(self) -> None:
        """The first of the answer is there."""
        self.talking = True
        if self.streamed:
            self._activity.of(self.label).first_content.observe(time.perf_counter() - self._sent)

    def settle(
        self, attempt_id: str, usage: Usage, _model: str | None, error: BaseException | None, /
    ) -> None:
        """It is over."""
        activity = self._activity
        activity.live.pop(attempt_id, None)
        now = activity.clock()
        outcome = _outcome(error, left=self.left)
        sums = sums_of(usage, outcome)
        series = activity.of(self.label)
        series.add(sums, now)
        series.took.observe(time.perf_counter() - self._started)
        series.outcomes[outcome] = series.outcomes.get(outcome, 0) + 1
        if (reason := _miss(usage)) is not None:
            series.misses[reason] = series.misses.get(reason, 0) + 1
        if sums.failed:
            activity.failed.appendleft(self._failed(now, outcome, error))

    def _failed(self, now: float, outcome: str, error: BaseException | None) -> Failed:
        status: Any = getattr(error, "status_code", None)
        code: Any = getattr(error, "phase", None) or getattr(error, "code", None)
        return Failed(
            at=now,
            model=self.label.model,
            key=self.label.key,
            error=outcome,
            status=status if type(status) is int else None,
            code=code if isinstance(code, str) and _CODE.fullmatch(code) else None,
            call_id=self.call_id,
        )


async def observe(request: Request, call_next: CallNext, /) -> Stream[Event]:
    """Stage, outside ``record_usage``: sees that a caller leaves."""
    stream = await call_next(request)
    attempt = _attempt_of(request)
    return stream if attempt is None else stream.pipe(_Leaving(attempt))


def mark_content(request: Request) -> None:
    """The first content of its answer is there."""
    attempt = _attempt_of(request)
    if attempt is not None:
        attempt.content()


async def mark_sent(request: Request, call_next: CallNext, /) -> Stream[Event]:
    """Stage, innermost: sees when the request goes out."""
    attempt = _attempt_of(request)
    if attempt is not None:
        attempt.sent()
    return await call_next(request)


def _attempt_of(request: Request) -> Attempt | None:
    for recorder in request.recorders:
        if type(recorder) is Attempt:
            return recorder
    return None


@final
class _Leaving:
    """Sees that an answer is left before its end, which a recorder is not told."""

    takes: frozenset[type[Any]] = frozenset()

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def feed(self, event: Event, emit: Emit[Event], /) -> None:
        """Events pass by."""
        emit(event)

    def flush(self, _emit: Emit[Event], /) -> None:
        """A whole answer."""

    def interrupted(self, error: BaseException | None, _emit: Emit[Event]) -> None:
        """Without an error it was the caller who ended it."""
        self._attempt.left = error is None


def _outcome(error: BaseException | None, *, left: bool) -> str:
    """One of a few words: as the ledger's, and ``other`` for what is no error of ours."""
    if error is None:
        return "let_go" if left else "ok"
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return type(error).__name__ if isinstance(error, AsyncCacheError) else "other"


def _miss(usage: Usage) -> str | None:
    """Why nothing was read from the cache, as far as the counts tell; None where something was, or nobody knows."""
    told = usage.prompt_tokens_details
    if told.cached_tokens != 0 or not usage.prompt_tokens:
        return None
    if told.cache_write_tokens:
        return "written"
    return "short" if usage.prompt_tokens < _SHORT else "unknown"
