"""One dated price, brought to the whole-number rates of one request: tier, threshold, hour and region applied.

A rate is an integer of 10⁻¹⁸ US dollars per token, so that sums are exact.
"""

from __future__ import annotations

from datetime import datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, NamedTuple, final

import msgspec

from asynccache.pricing.entries import Above, DatedPrice, Rates, Sold, Window

__all__ = ["SCALE", "Asked", "UnitRates", "unit_rates", "window_at"]

SCALE: Final = 18
"""Decimal places of a dollar that the integers count."""
_PER_MILLION: Final = Decimal(10) ** (SCALE - 6)

STANDARD: Final = frozenset(
    {
        "",
        "standard",
        "default",
        "auto",
        "on_demand",
        "on-demand",
        "none",
        "null",
        "scale",
        "reserved",
        "standard_only",
    }
)
"""What providers call the ordinary tier, and capacity that is paid for beforehand and counted at list price."""


class Asked(NamedTuple):
    """What decides the rates of a request beside its model and date."""

    tier: str
    prompt_tokens: int
    factor: Decimal


@final
class UnitRates(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whole numbers of 10⁻¹⁸ dollars per token; None is a rate that nobody prints and nothing implies."""

    input: int | None
    read: int | None
    output: int | None
    audio_input: int | None
    audio_output: int | None
    write: dict[str, int]
    write_any: int | None
    """The rate of a lifetime that is not listed."""
    tier: str
    derived: tuple[str, ...]

    def written(self, lifetime: str) -> int | None:
        """The rate of a write; hours that a list of minutes does not print are nobody's, not the minutes' price."""
        rate = self.write.get(lifetime)
        if rate is not None or (self.write and lifetime in _HOURS):
            return rate
        return self.write_any


_HOURS: Final = frozenset({"1h", "12h"})


def window_at(price: DatedPrice, at: datetime, calendars: dict[str, tuple[str, ...]]) -> Window | None:
    """The window of *price* that *at* (UTC) falls into, None for the ordinary hours."""
    for window in price.windows:
        if at.isoweekday() not in window.days:
            continue
        if window.not_on and at.date().isoformat() in calendars.get(window.not_on, ()):
            continue
        now = at.timetz().replace(tzinfo=None)
        if any(_within(now, start, end) for start, end in window.hours):
            return window
    return None


def _within(now: time, start: str, end: str) -> bool:
    first, last = time.fromisoformat(start), time.fromisoformat(end)
    if first < last:
        return first <= now < last
    return now >= first or now < last


def unit_rates(
    price: DatedPrice,
    sold: Sold,
    asked: Asked,
    *,
    lifetime: str = "",
    window: Window | None = None,
    on: str = "",
) -> UnitRates | str:
    """The rates of one request, or why they are not known.

    Args:
        price: the dated price.
        sold: what all models of its provider share.
        asked: tier, prompt length and regional factor of the request.
        lifetime: the model's default lifetime of a cache write; "" for the provider's.
        window: the hours' rates that hold.
        on: the day, ISO 8601, for tiers with dates.
    """
    base: Rates = price
    thresholds: tuple[Above, ...] = price.above
    factor = asked.factor
    if asked.tier not in STANDARD:
        tier = price.tiers.get(asked.tier) or sold.tiers.get(asked.tier)
        if tier is None or (tier.until and on >= tier.until) or on < tier.since:
            return f"no price is known for the service tier {asked.tier!r}"
        if tier.factor is not None:
            factor *= tier.factor
            # What a tier prints for itself is already the tier's rate.
            base = _merge(price, _scaled(tier, 1 / tier.factor))
        else:
            base, thresholds = _merge(price, tier), tier.above
    if window is not None:
        base, thresholds = _merge(base, window), window_thresholds(base, window, thresholds)
    for above in thresholds:
        if asked.prompt_tokens > above.over:
            base = _raise(base, above)
    named = asked.tier if asked.tier not in STANDARD else "standard"
    return _whole(base, msgspec.structs.replace(sold, lifetime=lifetime or sold.lifetime), factor, named)


def window_thresholds(base: Rates, window: Window, thresholds: tuple[Above, ...]) -> tuple[Above, ...]:
    """Thresholds inside a window: raised by what the window raises the input rate by."""
    if not thresholds or not base.input or not window.input:
        return thresholds
    ratio = window.input / base.input
    return tuple(
        msgspec.structs.replace(above, **_rate_fields(_scaled(above, ratio))) for above in thresholds
    )


def _rate_fields(rates: Rates) -> dict[str, object]:
    return {name: getattr(rates, name) for name in Rates.__struct_fields__}


def _scaled(rates: Rates, factor: Decimal) -> Rates:
    plain = {
        name: None if (rate := getattr(rates, name)) is None else rate * factor
        for name in Rates.__struct_fields__
        if name != "write"
    }
    return Rates(**plain, write={ttl: rate * factor for ttl, rate in rates.write.items()})


def _merge(base: Rates, over: Rates) -> Rates:
    """*over* where it says something, *base* elsewhere."""
    merged = {
        name: getattr(base, name) if (rate := getattr(over, name)) is None else rate
        for name in Rates.__struct_fields__
        if name != "write"
    }
    return Rates(**merged, write=over.write or base.write)


def _raise(base: Rates, above: Above) -> Rates:
    """*above*; a cache rate that it leaves out rises as the input does."""
    if not base.input or not above.input:
        return _merge(base, above)
    rise = above.input / base.input
    lifted = _scaled(base, rise)
    return _merge(msgspec.structs.replace(lifted, output=base.output, audio_output=base.audio_output), above)


def _whole(rates: Rates, sold: Sold, factor: Decimal, tier: str) -> UnitRates:
    derived: list[str] = []
    read = rates.read
    if read is None and rates.input is not None:
        if sold.multipliers.read is not None:
            read = rates.input * sold.multipliers.read
            derived.append("cache_read")
        elif not rates.input:
            read = rates.input  # any part of nothing is nothing
        elif sold.unread == "input":
            read = rates.input
            derived.append("cache_read at the input rate")

    write = dict(rates.write)
    other: Decimal | None
    if rates.input is not None and (write or sold.unwritten == "derived"):
        for ttl, multiplier in sold.multipliers.write.items():
            if ttl not in write:
                write[ttl] = rates.input * multiplier
                derived.append(f"cache_write.{ttl}")
    if write:
        other = write[sold.lifetime] if sold.lifetime in write else next(iter(write.values()))
    else:
        # Without any fee for writing, what is written is ordinary input.
        other = None if sold.unwritten == "unknown" and rates.input else rates.input
    return UnitRates(
        input=_unit(rates.input, factor),
        read=_unit(read, factor),
        output=_unit(rates.output, factor),
        audio_input=_unit(rates.audio_input, factor),
        audio_output=_unit(rates.audio_output, factor),
        write={ttl: _exact(rate, factor) for ttl, rate in write.items()},
        write_any=_unit(other, factor),
        tier=tier,
        derived=tuple(derived),
    )


def _unit(rate: Decimal | None, factor: Decimal) -> int | None:
    return None if rate is None else _exact(rate, factor)


def _exact(rate: Decimal, factor: Decimal) -> int:
    """Every printed rate is a whole number here; a caller's finer one is rounded at the eighteenth place."""
    return int((rate * factor * _PER_MILLION).to_integral_value(ROUND_HALF_EVEN))
