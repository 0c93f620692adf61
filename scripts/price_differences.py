"""Where another collection prints another figure than our book, in words that can be pinned."""

# ruff: noqa: INP001  # scripts are run by path and report by printing
from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from asynccache.pricing.rates import Asked, UnitRates, unit_rates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asynccache.pricing.catalogue import Match
    from asynccache.pricing.entries import DatedPrice, Model, Rates, Tier, Window

PER_MILLION = Decimal(10) ** 12
PLAIN = ("input", "read", "output")
# A thousandth of the rate: what a conversion from other units, such as Databricks', leaves behind.
TOLERANCE = Decimal("0.001")


class Figure(NamedTuple):
    """One printed rate: where it holds, and what it says."""

    tier: str
    prompt_tokens: int
    bucket: str
    rate: Decimal

    def __str__(self) -> str:
        where = f"{self.tier} " if self.tier else ""
        above = f"above {self.prompt_tokens - 1} " if self.prompt_tokens else ""
        return f"{where}{above}{self.bucket} {self.rate.normalize():f}"


def figures(price: DatedPrice) -> Iterator[Figure]:
    """Every rate that *price* prints for text tokens."""
    yield from _rates(price, "", 0)
    for above in price.above:
        yield from _rates(above, "", above.over + 1)
    for name, tier in price.tiers.items():
        yield from _tier(name, tier, price)


def _rates(rates: Rates, tier: str, tokens: int, factor: Decimal = Decimal(1)) -> Iterator[Figure]:
    for bucket in PLAIN:
        rate = getattr(rates, bucket)
        if rate is not None:
            yield Figure(tier, tokens, bucket, rate * factor)
    for lifetime, rate in rates.write.items():
        yield Figure(tier, tokens, f"write.{lifetime}", rate * factor)


def _tier(name: str, tier: Tier, price: DatedPrice) -> Iterator[Figure]:
    if tier.factor is not None:
        yield from _rates(price, name, 0, tier.factor)
        for above in price.above:
            yield from _rates(above, name, above.over + 1, tier.factor)
        return
    yield from _rates(tier, name, 0)
    for above in tier.above:
        yield from _rates(above, name, above.over + 1)


def differences(ours: Match, theirs: Model) -> str:
    """What *theirs* prints and we do not, "" where it prints nothing else; silence is no difference."""
    price = next((p for p in reversed(theirs.prices) if p.since <= ours.day), theirs.prices[0])
    found = [str(figure) for figure in figures(price) if _differs(figure, ours)]
    minimum = theirs.min_cacheable_tokens
    if minimum is not None and ours.model.min_cacheable_tokens not in (None, minimum):
        found.append(f"minimum {minimum}")
    return ", ".join(found)


def _differs(figure: Figure, ours: Match) -> bool:
    window = _dearest(ours.price)
    rates = [
        unit_rates(
            ours.price,
            ours.sold,
            Asked(figure.tier, figure.prompt_tokens, ours.factor),
            lifetime=ours.lifetime,
            window=hours,
            on=ours.day,
        )
        for hours in ([None] if window is None else [None, window])
    ]
    return not any(type(rate) is UnitRates and _same(rate, figure) for rate in rates)


def _same(rates: UnitRates, figure: Figure) -> bool:
    if figure.bucket.startswith("write."):
        lifetime = figure.bucket.partition(".")[2]
        unit = rates.write.get(lifetime, rates.write_any)
    else:
        unit = getattr(rates, figure.bucket)
    if unit is None:
        return False
    ours = Decimal(unit) / PER_MILLION
    return abs(ours - figure.rate) <= TOLERANCE * figure.rate


def _dearest(price: DatedPrice) -> Window | None:
    """The window, where a price has hours: collections without hours print one price or the other."""
    return price.windows[0] if price.windows else None


def explains(text: str, found: str) -> bool:
    """Whether one of the explanations in *text*, ``figures: why | figures: why``, is about *found*."""
    return any(part.partition(": ")[0] == found for part in text.split(" | "))
