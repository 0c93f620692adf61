"""How long each wait of a call may take: its own limit, or the whole call's where that is nearer."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, final

from asynccache.errors import APITimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from asynccache.errors import TimeoutPhase
    from asynccache.request import Timeout

__all__ = ["Limit", "Watch", "nearest_limit"]

_SOON = 0.001  # seconds; a timer may go off a little early
_LOOK_AGAIN = 0.05  # seconds until a wait that is used up, but that nobody waits, is looked at again


@final
class Limit:
    """How long one wait may take, and the error for when it took longer."""

    __slots__ = ("phase", "seconds")

    def __init__(self, phase: TimeoutPhase, seconds: float | None) -> None:
        self.phase: TimeoutPhase = phase
        self.seconds = seconds

    def error(self, what: str) -> APITimeoutError:
        """The error for when *what* did not come in time."""
        took = "" if self.seconds is None else f" within {max(self.seconds, 0):.3g} s"
        return APITimeoutError(f"{what}{took} (timeout {self.phase!r})", phase=self.phase)


def nearest_limit(phase: TimeoutPhase, seconds: float | None, deadline: float | None) -> Limit:
    """The limit for a wait that begins now: its own, or the whole call's where that is nearer."""
    if deadline is not None:
        left = deadline - time.monotonic()
        if seconds is None or left < seconds:
            return Limit("total", max(left, 0.0))
    return Limit(phase, seconds)


@final
class Watch:
    """The one timer of a call: it ends the wait for the answer's head, then every wait for its body.

    Time counts while this side waits for the server and nothing meaningful comes; a slow reader on this
    side does not use it up. The timer is armed when the request goes out, and again only when it goes off.

    Waiting for the head is what happens under ``with watch:``, which raises `TimeoutError` when that takes
    too long; `reached` is then the limit. From there on *end* is called in its place.
    """

    __slots__ = (
        "_cancelling", "_deadline", "_idle", "_limit", "_loop", "_task", "_timeout", "_timer", "end", "reached", "since",
        "time", "waited",
    )  # fmt: skip

    def __init__(self, timeout: Timeout, deadline: float | None) -> None:
        self._timeout = timeout
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._limit: tuple[TimeoutPhase, float | None] = ("first_event", timeout.first_event)
        self._idle: tuple[TimeoutPhase, float | None] = ("idle", timeout.idle)
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._timer: asyncio.TimerHandle | None = None
        self.time = time.monotonic  # not the loop's, which is a Python function around it
        self.waited = 0.0
        """Seconds waited since the last meaningful event, without the wait in progress."""
        self.since: float | None = self.time()
        """When the wait in progress began; None while nobody waits."""
        self.reached: Limit | None = None
        self.end: Callable[[Limit, str], None] | None = None
        self._arm()

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._cancelling = 0 if self._task is None else self._task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self.since is not None:
            self.waited += self.time() - self.since
            self.since = None
        if self.reached is None or task is None:
            return
        # As `asyncio.timeout` has it: a cancellation from outside that came as well goes on.
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from exc

    def touch(self) -> None:
        """A meaningful event came: the idle clock starts anew."""
        self.waited = 0.0
        self._limit = self._idle
        if self.since is not None:
            self.since = self.time()

    def stop(self) -> None:
        """There is nothing more to wait for."""
        self.end = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        """Set the timer to when the first limit could be reached; `touch` does not set it anew."""
        phase, seconds = self._limit
        idle = self._timeout.idle
        delay = math.inf
        if seconds is not None:
            waiting = 0.0 if self.since is None else self.time() - self.since
            delay = seconds - self.waited - waiting
        if phase != "idle" and idle is not None and idle < delay:
            delay = idle
        if self._deadline is not None:
            delay = min(delay, self._deadline - time.monotonic())
        if delay < math.inf:
            self._timer = self._loop.call_later(max(delay, _SOON), self._ring)

    def _ring(self) -> None:
        phase, seconds = self._limit
        waiting = 0.0 if self.since is None else self.time() - self.since
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._expire(Limit("total", self._timeout.total), "the answer was not complete")
        elif self.since is not None and seconds is not None and self.waited + waiting >= seconds:
            what = "no meaningful event came" if phase == "idle" else "the answer had not begun"
            self._expire(Limit(phase, seconds), what)
        elif self.since is None and seconds is not None and self.waited >= seconds:
            self._timer = self._loop.call_later(_LOOK_AGAIN, self._ring)
        else:
            self._arm()

    def _expire(self, limit: Limit, what: str) -> None:
        if self._task is not None:
            self.reached = limit
            self._task.cancel()
        elif self.end is not None:
            self.end(limit, what)
