"""A clock that runs with real time and can be moved forward, so that a lifetime of an hour takes no hour."""

from __future__ import annotations

import re
import time

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def seconds(span: float | str) -> float:
    """The seconds in `90`, `"90"`, `"6m"` or `"1h30m"`.

    Raises:
        ValueError: The text is no span of time.
    """
    if not isinstance(span, str):
        return float(span)
    text = span.strip().lower()
    found = _SPAN.findall(text)
    if found and "".join(f"{number}{unit}" for number, unit in found) == text:
        return float(sum(float(number) * _SECONDS[unit] for number, unit in found))
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"no span of time: {span!r}; write seconds, or '30s', '6m', '1h30m', '2d'") from None


class VirtualClock:
    """Real time plus whatever was added by `advance`; or, frozen at a start, only that."""

    __slots__ = ("_ahead", "_start")

    def __init__(self, start: float | None = None) -> None:
        self._start = start
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since the epoch, as this clock sees it."""
        return (time.time() if self._start is None else self._start) + self._ahead

    def advance(self, span: float | str) -> float:
        """Moves the clock forward by a span (`360`, `"6m"`) and returns the new time.

        Raises:
            ValueError: The span is negative or is no span of time.
        """
        step = seconds(span)
        if not 0 <= step < float("inf"):
            raise ValueError(f"a clock only moves forward: {span!r} is refused")
        self._ahead += step
        return self.now()
