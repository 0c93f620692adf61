"""How much a key may ask in a minute and at once: counted in this process, exactly, with the moment to come again."""

from __future__ import annotations

import math
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, final

from asynccache.errors import RateLimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynccache.usage.ledger_keys import Rights

__all__ = ["KeyLimits", "Place", "RateRefusedError", "Taken", "Window"]

_MINUTE: Final = 60.0
_SOON: Final = 1.0  # seconds; when a call in progress ends is not known


class RateRefusedError(RateLimitError):
    """A limit of the caller's key is reached; nothing was sent.

    Attributes:
        headers: the limit and when it is over, in both dialects' words.
    """

    headers: dict[str, str]


@final
class Taken:
    """What one call takes up of a window; more or less once its true size is known."""

    __slots__ = ("amount", "at")

    def __init__(self, at: float, amount: int) -> None:
        self.at = at
        self.amount = amount


@final
class Window:
    """What was taken in the last minute: never more than *limit* in any minute, wherever it begins."""

    __slots__ = ("_taken", "_total", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken: deque[Taken] = deque()
        self._total = 0

    def wait(self, amount: int, now: float) -> float:
        """Seconds until *amount* fits; 0 where it does, infinity where it never will."""
        self._forget(now)
        missing = self._total + amount - self.limit
        if missing <= 0 or not amount:
            return 0.0
        if amount > self.limit:
            return math.inf
        for taken in self._taken:
            missing -= taken.amount
            if missing <= 0:
                return taken.at + _MINUTE - now
        return math.inf

    def left(self, now: float) -> int:
        """How much still fits."""
        self._forget(now)
        return max(self.limit - self._total, 0)

    def take(self, amount: int, now: float) -> Taken:
        """Take it, whether it fits or not."""
        taken = Taken(now, amount)
        self._taken.append(taken)
        self._total += amount
        return taken

    def change(self, taken: Taken, amount: int, now: float) -> None:
        """Its true size is *amount*."""
        self._forget(now)
        if self._taken and taken.at >= self._taken[0].at:
            self._total += amount - taken.amount
            taken.amount = amount

    def _forget(self, now: float) -> None:
        taken = self._taken
        while taken and taken[0].at + _MINUTE <= now:
            self._total -= taken.popleft().amount


@final
class Place:
    """What one call takes up of its key's limits."""

    __slots__ = ("_is_over", "_limits", "_request", "_tokens")

    def __init__(self, limits: KeyLimits, request: Taken, tokens: Taken) -> None:
        self._limits = limits
        self._request = request
        self._tokens = tokens
        self._is_over = False

    def settle(self, tokens: int, *, counts: bool = True) -> None:
        """The call is over; a refused one does not *count*. Only the first time matters."""
        if self._is_over:
            return
        self._is_over = True
        limits = self._limits
        now = limits.clock()
        limits.in_flight -= 1
        limits.tokens.change(self._tokens, tokens, now)
        if not counts:
            limits.requests.change(self._request, 0, now)


@final
class KeyLimits:
    """One key's calls in progress and in the last minute.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.in_flight = 0
        self.requests = Window(0)
        self.tokens = Window(0)

    def enter(self, rights: Rights, tokens: int) -> Place:
        """Take a place for a call of about so many *tokens*.

        Raises:
            RateRefusedError: a limit is reached.
        """
        now = self.clock()
        if rights.concurrency is not None and self.in_flight >= rights.concurrency:
            what = f"{rights.concurrency} calls at the same time"
            raise _refused(what, "too_many_calls", _SOON, {})
        for window, limit, amount, unit in (
            (self.requests, rights.rpm, 1, "requests"),
            (self.tokens, rights.tpm, tokens, "tokens"),
        ):
            if limit is None:
                continue
            window.limit = limit
            wait = window.wait(amount, now)
            if wait > 0:
                asked = f"; this call may take {amount}" if unit == "tokens" else ""
                headers = _headers(unit, limit, window.left(now), wait)
                raise _refused(f"{limit} {unit} a minute{asked}", f"{unit}_per_minute", wait, headers)
        self.in_flight += 1
        # What is not limited is not remembered: its windows would grow without end.
        return Place(
            self,
            self._take(self.requests, rights.rpm, 1, now),
            self._take(self.tokens, rights.tpm, tokens, now),
        )

    def _take(self, window: Window, limit: int | None, amount: int, now: float) -> Taken:
        return window.take(amount, now) if limit is not None else Taken(-math.inf, amount)


def _refused(what: str, code: str, wait: float, headers: dict[str, str]) -> RateRefusedError:
    if math.isfinite(wait):
        when = f"try again in {wait:.1f} s" if wait >= 1 else f"try again in {wait * 1000:.0f} ms"
    else:
        when = "it is more than a minute holds; ask for less"
    error = RateRefusedError(
        f"this key may make {what}; {when}"
        if code != "tokens_per_minute"
        else f"this key may use {what}; {when}",
        status_code=429,
        code=code,
        retry_after=wait if math.isfinite(wait) else None,
    )
    error.headers = headers
    return error


def _headers(unit: str, limit: int, left: int, wait: float) -> dict[str, str]:
    """The limit in OpenAI's words (a span) and in Anthropic's (a moment)."""
    told = {
        f"x-ratelimit-limit-{unit}": str(limit),
        f"x-ratelimit-remaining-{unit}": str(left),
        f"anthropic-ratelimit-{unit}-limit": str(limit),
        f"anthropic-ratelimit-{unit}-remaining": str(left),
    }
    if math.isfinite(wait):
        moment = datetime.now(UTC) + timedelta(seconds=wait)
        told[f"x-ratelimit-reset-{unit}"] = f"{wait:.3f}s"
        told[f"anthropic-ratelimit-{unit}-reset"] = moment.isoformat(timespec="milliseconds").replace(
            "+00:00", "Z"
        )
    return told
