"""The total alone, of the common answer: text tokens, at rates that were looked up before.

`completion_cost` is called for every answer of a busy server, most often with the same few models. A
`Quote` holds what such answers cost for as long as it is sure to hold; whatever it cannot say (tools,
iterations, audio, long prompts, odd counts) goes the long way through `cost.py`, which says the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from asynccache.pricing.amounts import rates_for
from asynccache.pricing.catalogue import NoMatch, remember, utc
from asynccache.pricing.cost import find_price, located, tier_of
from asynccache.pricing.rates import SCALE

if TYPE_CHECKING:
    from datetime import datetime

    from asynccache.pricing.catalogue import Match, PriceBook
    from asynccache.pricing.cost import Request
    from asynccache.reply import Completion, Usage

__all__ = ["Quote", "Shape", "quick_total", "remember_quote", "shape_of"]

_DOLLAR: Final = 10**SCALE
_DAY: Final = 86_400
_HALF_HOUR: Final = 1_800
_UNBOUNDED: Final = 1 << 62


class Shape(NamedTuple):
    """What an answer's rates depend on beside its time and its counts."""

    answered: str
    model: str | None
    provider: str | None
    region: str | None
    tier: str | None
    speed: str | None
    geography: str | None


@final
class Quote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Rates in 10⁻¹⁸ dollars per token, the times between which they hold and the prompt that they reach to."""

    since: int
    until: int
    longest: int
    input: int
    output: int
    read: int | None
    write: int | None
    """Of the default lifetime."""
    write_5m: int | None
    write_30m: int | None
    write_1h: int | None
    write_12h: int | None


def shape_of(
    answer: Completion, model: str | None, provider: str | None, region: str | None, tier: str | None
) -> Shape:
    """What the rates of *answer* depend on; what it says of its tier comes before *tier*."""
    usage = answer.usage
    told = usage.service_tier or answer.service_tier or tier
    return Shape(answer.model, model, provider, region, told, usage.speed, usage.inference_geo)


def quick_total(usage: Usage, created: int, quote: Quote) -> float | None:
    """Dollars; None where the long way has to be gone."""
    at = created if created > 0 else time.time()
    prompt, output = usage.prompt_tokens, usage.completion_tokens
    if (
        prompt is None
        or output is None
        or usage.source != "provider"
        or usage.server_tool_use
        or usage.iterations
        or output < 0
        or prompt > quote.longest
        or not quote.since <= at < quote.until
    ):
        return None
    details = usage.prompt_tokens_details
    if details.audio_tokens or usage.completion_tokens_details.audio_tokens:
        return None
    read = details.cached_tokens or usage.cache_read_input_tokens or 0
    written = details.cache_write_tokens or usage.cache_creation_input_tokens or 0
    uncached = prompt - read - written
    if uncached < 0 or read < 0 or written < 0:
        return None
    total = uncached * quote.input + output * quote.output
    if read:
        if quote.read is None:
            return None
        total += read * quote.read
    if written:
        paid = _written(usage, written, quote)
        if paid is None:
            return None
        total += paid
    return total / _DOLLAR


def _written(usage: Usage, written: int, quote: Quote) -> int | None:
    creation = usage.cache_creation
    total = 0
    for count, rate in (
        (creation.ephemeral_5m_input_tokens, quote.write_5m),
        (creation.ephemeral_30m_input_tokens, quote.write_30m),
        (creation.ephemeral_1h_input_tokens, quote.write_1h),
        (creation.ephemeral_12h_input_tokens, quote.write_12h),
    ):
        if count:
            if count < 0 or rate is None:
                return None
            total += count * rate
            written -= count
    if written < 0 or quote.write is None:
        return None
    return total + written * quote.write


def remember_quote(shape: Shape, usage: Usage, request: Request, book: PriceBook) -> None:
    """Keeps what answers like this one cost around its time, where they all cost the same."""
    at = utc(request.at)
    match = find_price(located(request, usage), book)
    quote = None if type(match) is NoMatch else _quote(match, tier_of(usage), at)
    if quote is not None:
        remember(book.quotes, shape, quote)


def _quote(match: Match, tier: str, at: datetime) -> Quote | None:
    rates = rates_for(match, tier, 0, at)
    if isinstance(rates, str) or rates.input is None or rates.output is None or "request" in match.price.fees:
        return None
    # A window may begin at any half hour; a price, at any midnight.
    step = _HALF_HOUR if match.price.windows else _DAY
    since = int(at.timestamp()) // step * step
    plan = match.price.tiers.get(tier) or match.sold.tiers.get(tier)
    thresholds = (*match.price.above, *(() if plan is None else plan.above))
    return Quote(
        since=since,
        until=since + step,
        longest=min((above.over for above in thresholds), default=_UNBOUNDED),
        input=rates.input,
        output=rates.output,
        read=rates.read,
        write=rates.write_any,
        write_5m=rates.written("5m"),
        write_30m=rates.written("30m"),
        write_1h=rates.written("1h"),
        write_12h=rates.written("12h"),
    )
