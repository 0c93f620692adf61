"""The sum of one request in whole numbers of 10⁻¹⁸ dollars, bucket by bucket, with what stays unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from asynccache.pricing.catalogue import Match, utc
from asynccache.pricing.rates import Asked, UnitRates, unit_rates, window_at

if TYPE_CHECKING:
    from datetime import datetime

    from asynccache.reply import Iteration, Usage

__all__ = ["Amounts", "Counts", "amounts_of", "counts_of", "iteration_counts", "rates_for"]


@final
class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What is billed of one model run, in disjoint buckets."""

    uncached: int
    read: int
    written: dict[str, int]
    """By lifetime; the key "" is the default one."""
    output: int
    audio_input: int = 0
    audio_output: int = 0

    @property
    def prompt(self) -> int:
        """All of the prompt, which is what thresholds look at."""
        return self.uncached + self.read + sum(self.written.values())


@final
class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """Integers of 10⁻¹⁸ dollars; None where the rate is not known."""

    uncached: int | None
    read: int | None
    written: dict[str, int] | None
    output: int | None
    uncached_instead: int | None
    """What the tokens read and written would have cost as ordinary input."""

    @property
    def total(self) -> int | None:
        """The sum, None when any part of it is unknown."""
        if self.uncached is None or self.read is None or self.written is None or self.output is None:
            return None
        return self.uncached + self.read + sum(self.written.values()) + self.output

    @property
    def without_cache(self) -> int | None:
        """The sum had nothing been cached."""
        if self.uncached is None or self.uncached_instead is None or self.output is None:
            return None
        return self.uncached + self.uncached_instead + self.output


_LIFETIMES: Final = (
    ("5m", "ephemeral_5m_input_tokens"),
    ("30m", "ephemeral_30m_input_tokens"),
    ("1h", "ephemeral_1h_input_tokens"),
    ("12h", "ephemeral_12h_input_tokens"),
)


def counts_of(usage: Usage, write_ttl: str | None = None) -> Counts | str:
    """The billed counts of *usage*, or why they cannot be told."""
    if usage.source in ("missing", "invalid", "partial"):
        return f"the provider's usage is {usage.source}"
    prompt, output = usage.prompt_tokens, usage.completion_tokens
    if prompt is None or output is None:
        return "the provider told no count of " + ("prompt" if prompt is None else "completion") + " tokens"
    details, spoken = usage.prompt_tokens_details, usage.completion_tokens_details
    read = details.cached_tokens or usage.cache_read_input_tokens or 0
    total_written = details.cache_write_tokens or usage.cache_creation_input_tokens or 0
    uncached = prompt - read - total_written
    audio_input, audio_output = details.audio_tokens or 0, spoken.audio_tokens or 0
    if min(prompt, output, read, total_written, audio_input, audio_output) < 0 or uncached < 0:
        return "the counts contradict each other"
    written = {}
    if total_written:
        by_lifetime = _by_lifetime(usage, total_written, write_ttl)
        if by_lifetime is None:
            return "more tokens are told as written by lifetime than as written"
        written = by_lifetime
    return Counts(
        uncached=uncached,
        read=read,
        written=written,
        output=output,
        audio_input=min(audio_input, uncached),
        audio_output=min(audio_output, output),
    )


def _by_lifetime(usage: Usage, total: int, write_ttl: str | None) -> dict[str, int] | None:
    told = {
        ttl: count for ttl, name in _LIFETIMES if (count := getattr(usage.cache_creation, name)) is not None
    }
    rest = total - sum(told.values())
    if rest < 0 or min(told.values(), default=0) < 0:
        return None
    written = {ttl: count for ttl, count in told.items() if count}
    if rest:
        # Beside a split, even 0/0, what is left was written by the provider's own tools: the default lifetime.
        ttl = "" if told or write_ttl is None else write_ttl
        written[ttl] = written.get(ttl, 0) + rest
    return written


def iteration_counts(run: Iteration) -> Counts | str:
    """The billed counts of a model run inside an answer."""
    hour = run.ephemeral_1h_input_tokens
    rest = run.cache_creation_input_tokens - hour
    if min(run.input_tokens, run.cache_read_input_tokens, hour, rest, run.output_tokens) < 0:
        return "the counts of an iteration contradict each other"
    written = {ttl: count for ttl, count in (("1h", hour), ("", rest)) if count}
    return Counts(
        uncached=run.input_tokens, read=run.cache_read_input_tokens, written=written, output=run.output_tokens
    )


def rates_for(match: Match, tier: str, prompt_tokens: int, at: datetime | None) -> UnitRates | str:
    """The rates of a request with a prompt of that length, or why there are none."""
    window = window_at(match.price, utc(at), match.calendars) if match.price.windows else None
    plan = match.price.tiers.get(tier) or match.sold.tiers.get(tier)
    thresholds = plan.above if plan is not None and plan.factor is None else match.price.above
    step = sum(prompt_tokens > above.over for above in thresholds) if thresholds else 0
    key = (tier, step, 0 if window is None else 1 + match.price.windows.index(window))
    rates = match.rates.get(key)
    if rates is None:
        asked = Asked(tier, prompt_tokens, match.factor)
        rates = unit_rates(
            match.price, match.sold, asked, lifetime=match.lifetime, window=window, on=match.day
        )
        match.rates[key] = rates
    return rates


def amounts_of(counts: Counts, rates: UnitRates) -> Amounts:
    """*counts* at *rates*."""
    spoken = rates.audio_input
    uncached = _times(counts.uncached, rates.input)
    if counts.audio_input and uncached is not None and spoken is not None and rates.input is not None:
        uncached += counts.audio_input * (spoken - rates.input)
    output = _times(counts.output, rates.output)
    if (
        counts.audio_output
        and output is not None
        and rates.audio_output is not None
        and rates.output is not None
    ):
        output += counts.audio_output * (rates.audio_output - rates.output)
    return Amounts(
        uncached=uncached,
        read=_times(counts.read, rates.read),
        written=_written(counts, rates),
        output=output,
        uncached_instead=_times(counts.read + sum(counts.written.values()), rates.input),
    )


def _written(counts: Counts, rates: UnitRates) -> dict[str, int] | None:
    written: dict[str, int] = {}
    for ttl, count in counts.written.items():
        rate = rates.written(ttl)
        if rate is None:
            return None
        written[ttl] = count * rate
    return written


def _times(count: int, rate: int | None) -> int | None:
    if rate is None:
        return None if count else 0
    return count * rate
