"""What a cache says about one request: the counts, the reason, and what will be written."""

from __future__ import annotations

from typing import Literal, final

import msgspec

Why = Literal["hit", "cold", "expired", "not_ready", "below_minimum", "not_asked"]
"""hit: something was read · cold: nothing matching was ever written · expired: it was, too long ago · not_ready: its
first answer has not begun · below_minimum: every breakpoint is too early · not_asked: the request uses no cache."""


@final
class Plan(msgspec.Struct, frozen=True, gc=False):
    """An entry that becomes readable when the answer begins."""

    digest: bytes
    lifetime: int


@final
class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the cache did for one request."""

    total: int
    """Every token of the prompt; read + written never exceed it."""

    read: int
    written: dict[int, int]
    """Tokens written, by their lifetime in seconds."""

    why: Why
    at: float
    """The start of the request, from which lifetimes run."""

    plans: tuple[Plan, ...] = ()

    @property
    def write_total(self) -> int:
        """Every token written."""
        return sum(self.written.values())

    @property
    def uncached(self) -> int:
        """What was neither read nor written."""
        return self.total - self.read - self.write_total
