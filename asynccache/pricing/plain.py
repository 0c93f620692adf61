"""The cost of the common answer: text that read from the cache or did not, by rates that were looked up that day.

A busy server prices answers of the same few models. A `Plan` holds all of such a cost but the counts;
whatever it cannot say (writes, tools, iterations, audio, long prompts, odd counts, prices by the hour)
goes the long way through `cost.py`, which says the same.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias, final

import msgspec

from asynccache.pricing.amounts import rates_for
from asynccache.pricing.rates import SCALE
from asynccache.reply import Cost, Price

if TYPE_CHECKING:
    from datetime import datetime

    from asynccache.pricing.catalogue import Match
    from asynccache.reply import Usage

__all__ = ["DOLLAR", "Plan", "PlanKey", "money", "plain_cost", "plan_for"]

DOLLAR: Final = 10**SCALE
_NOTHING: Final = Decimal(0)
_UNIT: Final = Decimal(1).scaleb(-SCALE)
_UNBOUNDED: Final = 1 << 62


PlanKey: TypeAlias = tuple[
    int, str, str, str | None, str | None, str | None, str | None, str | None
]  # fmt: skip
"""What rates depend on beside the counts: day, provider, both models, region, geography, tier and speed."""


@final
class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Rates in 10⁻¹⁸ dollars per token, the prompt that they reach to and what is said of them."""

    longest: int
    input: int
    output: int
    read: int | None
    price: Price
    """Where nothing was read from the cache, or at no cost."""
    price_with_read: Price
    reason: str | None


def money(amount: int | None) -> Decimal | None:
    """Dollars from 10⁻¹⁸ dollars, exactly, without trailing zeros."""
    if not amount:
        return None if amount is None else _NOTHING
    if not amount % DOLLAR:
        return Decimal(amount // DOLLAR)
    return (amount * _UNIT).normalize()


def plan_for(match: Match, tier: str, at: datetime | None) -> Plan | None:
    """What answers by *match* cost all day; None where that hangs on more than their counts."""
    rates = rates_for(match, tier, 0, at)
    if isinstance(rates, str) or rates.input is None or rates.output is None:
        return None
    if match.price.windows or "request" in match.price.fees:
        return None
    plan = match.price.tiers.get(tier) or match.sold.tiers.get(tier)
    thresholds = (*match.price.above, *(() if plan is None else plan.above))
    price = Price(model=match.name, since=match.price.since, tier=rates.tier, source=match.source)
    derived = tuple(name for name in rates.derived if "." not in name)  # the others are of writes
    return Plan(
        longest=min((above.over for above in thresholds), default=_UNBOUNDED),
        input=rates.input,
        output=rates.output,
        read=rates.read,
        price=price,
        price_with_read=msgspec.structs.replace(price, derived=derived) if derived else price,
        reason=match.note or None,
    )


def plain_cost(usage: Usage, plan: Plan, reported: Decimal | None) -> Cost | None:
    """What *usage* cost; None where the long way has to be gone."""
    prompt, output = usage.prompt_tokens, usage.completion_tokens
    details = usage.prompt_tokens_details
    if (
        usage.source != "provider"
        or prompt is None
        or output is None
        or output < 0
        or prompt > plan.longest
        or details.cache_write_tokens
        or usage.cache_creation_input_tokens
        or details.audio_tokens
        or usage.completion_tokens_details.audio_tokens
        or usage.server_tool_use
        or usage.iterations
    ):
        return None
    read = details.cached_tokens or usage.cache_read_input_tokens or 0
    uncached = prompt - read
    if read < 0 or uncached < 0 or (read and plan.read is None):
        return None
    paid_read = read * (plan.read or 0)
    paid_input, paid_output = uncached * plan.input, output * plan.output
    total = paid_input + paid_read + paid_output
    without_cache = prompt * plan.input + paid_output
    dollars = money(total)
    return Cost(
        total=dollars,
        uncached_input=money(paid_input),
        cache_read=money(paid_read),
        cache_write=_NOTHING,
        output=money(paid_output),
        other=_NOTHING,
        without_cache=money(without_cache) if read else dollars,
        saved=money(without_cache - total),
        price=plan.price_with_read if paid_read else plan.price,
        reason=plan.reason,
        reported=reported,
    )
