"""What attempts add up to: tokens by bucket and exact money."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, final

import msgspec

if TYPE_CHECKING:
    from asynccache.events import Usage

__all__ = ["Sums", "sums_of"]

_ZERO: Final = Decimal(0)
_LEFT: Final = frozenset({"let_go", "cancelled"})


@final
class Sums(msgspec.Struct, kw_only=True):
    """Counts and amounts; what was not told adds nothing."""

    requests: int = 0
    """Attempts that are over."""
    ok: int = 0
    let_go: int = 0
    """Answers that the caller left or cancelled."""
    failed: int = 0
    unpriced: int = 0
    """Attempts that answered or told tokens, and whose cost is not known."""
    prompt: int = 0
    uncached: int = 0
    read: int = 0
    written: int = 0
    written_5m: int = 0
    written_30m: int = 0
    written_1h: int = 0
    written_12h: int = 0
    told: int = 0
    """Prompt tokens of attempts that tell how many of them were read from the cache."""
    output: int = 0
    reasoning: int = 0
    cost: Decimal = _ZERO
    cost_uncached: Decimal = _ZERO
    cost_read: Decimal = _ZERO
    cost_write: Decimal = _ZERO
    cost_output: Decimal = _ZERO
    gained: Decimal = _ZERO
    """Saved by attempts that the cache made cheaper."""
    lost: Decimal = _ZERO
    """What the cache cost where writes were dearer than reads gave back."""

    def add(self, other: Sums) -> None:
        """Add *other* to this."""
        for name, value in zip(_NAMES, msgspec.structs.astuple(other), strict=True):
            if value:
                setattr(self, name, getattr(self, name) + value)

    @property
    def saved(self) -> Decimal:
        """What the same requests would have cost more, had nothing been cached."""
        return self.gained - self.lost

    @property
    def cost_other(self) -> Decimal:
        """Tools of the provider's and whatever else is no token of a bucket."""
        return self.cost - self.cost_uncached - self.cost_read - self.cost_write - self.cost_output

    @property
    def untold(self) -> int:
        """Prompt tokens of no bucket that was told."""
        return max(self.prompt - self.uncached - self.read - self.written, 0)

    @property
    def hit_ratio(self) -> float | None:
        """The share of the prompt tokens that was read from the cache; None where nothing is known."""
        return self.read / self.told if self.told else None


_NAMES: Final = Sums.__struct_fields__


def sums_of(usage: Usage, outcome: str) -> Sums:
    """One attempt's."""
    prompt, written, cost = usage.prompt_tokens_details, usage.cache_creation, usage.cost_details
    total = None if cost is None else cost.total
    saved = _ZERO if cost is None else cost.saved or _ZERO
    sums = Sums(
        requests=1,
        ok=int(outcome == "ok"),
        let_go=int(outcome in _LEFT),
        failed=int(outcome != "ok" and outcome not in _LEFT),
        unpriced=int(total is None and (outcome == "ok" or usage.prompt_tokens is not None)),
        prompt=usage.prompt_tokens or 0,
        uncached=prompt.uncached_tokens or 0,
        read=prompt.cached_tokens or 0,
        written=prompt.cache_write_tokens or 0,
        written_5m=written.ephemeral_5m_input_tokens or 0,
        written_30m=written.ephemeral_30m_input_tokens or 0,
        written_1h=written.ephemeral_1h_input_tokens or 0,
        written_12h=written.ephemeral_12h_input_tokens or 0,
        told=0 if prompt.cached_tokens is None else usage.prompt_tokens or 0,
        output=usage.completion_tokens or 0,
        reasoning=usage.completion_tokens_details.reasoning_tokens or 0,
        gained=max(saved, _ZERO),
        lost=max(-saved, _ZERO),
    )
    if cost is not None and total is not None:
        sums.cost = total
        sums.cost_uncached = cost.uncached_input or _ZERO
        sums.cost_read = cost.cache_read or _ZERO
        sums.cost_write = cost.cache_write or _ZERO
        sums.cost_output = cost.output or _ZERO
    return sums
