"""How long each wait of a call may take: its own limit, or the whole call's where that is nearer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, final

from asynccache.errors import APITimeoutError

if TYPE_CHECKING:
    from asynccache.errors import TimeoutPhase
    from asynccache.request import Timeout

__all__ = ["Clock", "Limit"]


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


@final
class Clock:
    """The limits of one call."""

    __slots__ = ("begun", "deadline", "timeout")

    def __init__(self, timeout: Timeout, deadline: float | None) -> None:
        self.timeout = timeout
        self.deadline = deadline
        self.begun = 0.0  # when the request went out

    def limit(self, phase: TimeoutPhase, seconds: float | None) -> Limit:
        """The limit for a wait that begins now: its own, or the whole call's where that is nearer."""
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if seconds is None or left < seconds:
                return Limit("total", max(left, 0.0))
        return Limit(phase, seconds)
