"""What one request cost: exact, by bucket, with what it would have cost uncached; never raises, never a silent zero."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple

from asynccache.pricing.amounts import Amounts, amounts_of, counts_of, iteration_counts, rates_for
from asynccache.pricing.book import default_book
from asynccache.pricing.catalogue import Match, NoMatch, PriceBook, remember
from asynccache.pricing.plain import DOLLAR, money, plain_cost, plan_for
from asynccache.pricing.rates import SCALE, UnitRates
from asynccache.pricing.reported import reported_cost
from asynccache.pricing.shelves import canonical
from asynccache.reply import Cost, Price

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from asynccache.reply import Usage

__all__ = ["Request", "find_price", "located", "price_usage", "tier_of", "total_of"]


class Request(NamedTuple):
    """What the price of a usage depends on beside its counts."""

    provider: str
    model: str
    """The model that answered."""
    request_model: str | None = None
    """The model that was asked for."""
    at: datetime | None = None
    region: str | None = None
    write_ttl: str | None = None


class _Sum(NamedTuple):
    """A request added up; None and reasons where something is not known."""

    match: Match
    rates: UnitRates
    amounts: Amounts
    other: int | None
    other_without_cache: int | None
    reasons: tuple[str, ...]


def price_usage(
    usage: Usage,
    *,
    provider: str,
    model: str,
    request_model: str | None = None,
    at: datetime | None = None,
    region: str | None = None,
    write_ttl: str | None = None,
    prices: PriceBook | None = None,
) -> Cost:
    """What *usage* cost; ``total`` is None, with a reason, unless every bucket that was used has a price.

    Args:
        usage: the counts; those that are missing, partial or invalid are not priced.
        provider: who answered.
        model: the model that answered, preferred where both names have a price (on Bedrock the one that was
            asked for, which names the region).
        request_model: the model that was asked for.
        at: when the request was sent; now by default, and a naive time is UTC.
        region: where it ran, where the price depends on it and the model's name does not say it.
        write_ttl: the cache lifetime that was asked for, used where the provider tells no split.
        prices: the book; the shared one by default.
    """
    request = Request(provider, model, request_model, at, region, write_ttl)
    book = prices or default_book()
    reported = reported_cost(usage, provider)
    cost = _plain(usage, request, book, reported)
    if cost is not None:
        return cost
    summed = _sum(usage, request, book)
    if isinstance(summed, str):
        return Cost(reason=summed, reported=reported)
    return _cost(summed, reported, estimated=usage.source == "estimated")


def _plain(usage: Usage, request: Request, book: PriceBook, reported: Decimal | None) -> Cost | None:
    """The cost of an answer that is like many others of its day; None for all else."""
    at = request.at
    if at is None or at.tzinfo is not UTC:
        return None
    provider, model, asked, _, region, _ = request
    key = (
        at.toordinal(), provider, model, asked, region, usage.inference_geo, usage.service_tier, usage.speed,
    )  # fmt: skip
    plan = book.plans.get(key)
    if plan is None and key not in book.plans:
        match = find_price(located(request, usage), book)
        plan = None if type(match) is NoMatch else plan_for(match, tier_of(usage), at)
        remember(book.plans, key, plan)
    return None if plan is None else plain_cost(usage, plan, reported)


def total_of(usage: Usage, request: Request, book: PriceBook) -> float | str:
    """Only the sum, in dollars, or why it is not known."""
    summed = _sum(usage, request, book)
    if isinstance(summed, str):
        return summed
    total = _plus(summed.amounts.total, summed.other)
    return "; ".join(_unknown(summed)) if total is None else total / DOLLAR


def find_price(request: Request, book: PriceBook) -> Match | NoMatch:
    """The entry for the model that answered, else for the one that was asked for; on Bedrock the other way round."""
    names: tuple[str | None, str | None] = (request.model, request.request_model)
    if all(names) and canonical(request.provider) == "bedrock":
        names = (request.request_model, request.model)
    missed: NoMatch | None = None
    for name in filter(None, names):
        found = book.find(name, provider=request.provider or None, at=request.at, region=request.region)
        if type(found) is Match:
            return found
        missed = missed or found
    return missed or NoMatch("neither the request nor the answer names a model")


def _sum(usage: Usage, request: Request, book: PriceBook) -> _Sum | str:
    counts = counts_of(usage, request.write_ttl)
    if isinstance(counts, str):
        return counts
    request = located(request, usage)
    match = find_price(request, book)
    if type(match) is NoMatch:
        return match.reason
    tier = tier_of(usage)
    rates = rates_for(match, tier, counts.prompt, request.at)
    if isinstance(rates, str):
        return f"{match.name}: {rates}"
    amounts = amounts_of(counts, rates)
    if not usage.server_tool_use and not usage.iterations and "request" not in match.price.fees:
        return _Sum(match, rates, amounts, 0, 0, ())
    tools, reasons = _fees(usage, match)
    runs, runs_without_cache, more = _iterations(usage, request, book, tier)
    return _Sum(
        match, rates, amounts, _plus(tools, runs), _plus(tools, runs_without_cache), (*reasons, *more)
    )


def located(request: Request, usage: Usage) -> Request:
    """*request* with the region that the answer tells, where none is given."""
    if request.region is None and usage.inference_geo not in _NOWHERE:
        return request._replace(region=usage.inference_geo)
    return request


_NOWHERE = frozenset({None, "", "global", "not_available"})
"""Geographies that answers name and that mean the plain price."""


def tier_of(usage: Usage) -> str:
    """The service tier that an answer says it was served by, "" for the ordinary one."""
    if usage.speed == "fast":
        return "fast"
    return (usage.service_tier or "").lower()


def _fees(usage: Usage, match: Match) -> tuple[int | None, tuple[str, ...]]:
    """Calls of the provider's own tools, and the call itself where it costs."""
    calls = {"request": 1} if "request" in match.price.fees else {}
    total: int | None = 0
    reasons: list[str] = []
    for name, count in {**calls, **(usage.server_tool_use or {})}.items():
        if not count:
            continue
        fee = match.price.fees.get(name, match.sold.fees.get(name))
        if fee is None or count < 0:
            total = None
            reasons.append(f"{match.name}: no price is known for {name}")
        elif total is not None:
            total += int(count * fee * 10 ** (SCALE - 3))
    return total, tuple(reasons)


def _iterations(
    usage: Usage, request: Request, book: PriceBook, tier: str
) -> tuple[int | None, int | None, tuple[str, ...]]:
    """Model runs inside the answer that its own counts leave out, each by its own model."""
    total: int | None = 0
    without_cache: int | None = 0
    reasons: list[str] = []
    for run in usage.iterations or ():
        if run.type in _COUNTED:
            continue
        counts = iteration_counts(run)
        match = find_price(request._replace(model=run.model or request.model), book)
        if isinstance(counts, str) or type(match) is NoMatch:
            rates: UnitRates | str = match.reason if type(match) is NoMatch else str(counts)
        else:
            rates = rates_for(match, tier, counts.prompt, request.at)
        if isinstance(counts, str) or isinstance(rates, str):
            reasons.append(f"iteration {run.type}: {rates}")
            total = without_cache = None
            continue
        amounts = amounts_of(counts, rates)
        total, without_cache = _plus(total, amounts.total), _plus(without_cache, amounts.without_cache)
    return total, without_cache, tuple(reasons)


_COUNTED = frozenset({"message"})
"""Iterations whose tokens are in the answer's own counts."""


def _plus(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _unknown(summed: _Sum) -> tuple[str, ...]:
    amounts, name = summed.amounts, summed.match.name
    buckets = (
        ("uncached input", amounts.uncached),
        ("cache reads", amounts.read),
        ("cache writes", amounts.written),
        ("output", amounts.output),
    )
    missing = [bucket for bucket, amount in buckets if amount is None]
    return (*(f"{name}: no price is known for {bucket}" for bucket in missing), *summed.reasons)


def _was_used(derived: str, amounts: Amounts) -> bool:
    """Whether a derived rate is part of the sum."""
    _, dot, lifetime = derived.partition(".")
    return lifetime in (amounts.written or {}) or "" in (amounts.written or {}) if dot else bool(amounts.read)


def _cost(summed: _Sum, reported: Decimal | None, *, estimated: bool) -> Cost:
    match, rates, amounts = summed.match, summed.rates, summed.amounts
    total = _plus(amounts.total, summed.other)
    without_cache = _plus(amounts.without_cache, summed.other_without_cache)
    saved = None if total is None or without_cache is None else without_cache - total
    by_lifetime = amounts.written or {}
    reasons = _unknown(summed) if total is None else ()
    if match.note:
        reasons = (*reasons, match.note)
    return Cost(
        total=money(total),
        uncached_input=money(amounts.uncached),
        cache_read=money(amounts.read),
        cache_write=None if amounts.written is None else money(sum(by_lifetime.values())),
        cache_write_by_lifetime={
            ttl or match.lifetime or match.sold.lifetime: amount
            for ttl, units in by_lifetime.items()
            if (amount := money(units)) is not None
        },
        output=money(amounts.output),
        other=money(summed.other),
        without_cache=money(without_cache),
        saved=money(saved),
        price=Price(
            model=match.name,
            since=match.price.since,
            tier=rates.tier,
            source=match.source,
            derived=tuple(name for name in rates.derived if _was_used(name, amounts))
            if rates.derived
            else (),
        ),
        reason="; ".join(reasons) or None,
        reported=reported,
        estimated=estimated,
    )
