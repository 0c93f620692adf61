"""Waiting for what is to happen: with patience, or within a time that is counted in naps of the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE = 30.0
"""Seconds: more than any machine needs, however busy, for what takes a moment."""
_NAP = 0.001  # seconds


async def until(is_so: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until *is_so*; what never comes to be so is the failure."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"in {seconds:g} s it did not come to be so"
        await asyncio.sleep(_NAP)


async def naps(count: int) -> None:
    """A moment in which both sides of a socket hear what the other has done, however slow the machine is."""
    for _ in range(count):
        await asyncio.sleep(_NAP)


async def soon(is_so: Callable[[], object], within: float) -> None:
    """Wait until *is_so*, for no more naps of a millisecond than there are in *within* seconds.

    A machine that gives this process no time gives it no naps either: what happens in this loop has its time
    on a busy machine too, and no more of it on an idle one.
    """
    for _ in range(round(within / _NAP)):
        if is_so():
            return
        await asyncio.sleep(_NAP)
    assert is_so(), f"in {within * 1000:g} naps of a millisecond it did not come to be so"
