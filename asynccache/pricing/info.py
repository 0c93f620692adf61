"""What a model costs and can do, in one flat object with LiteLLM's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from asynccache.mapped import Mapped
from asynccache.pricing.rates import SCALE, Asked, UnitRates, unit_rates

if TYPE_CHECKING:
    from asynccache.pricing.catalogue import Match

__all__ = ["ModelInfo", "model_info"]


@final
class ModelInfo(Mapped, frozen=True, kw_only=True):
    """One model: prices in US dollars per token at the standard tier, and its abilities; None is not known."""

    key: str
    """The entry of the book, as ``provider/model``."""
    provider: str
    mode: str = "chat"
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None
    cache_read_input_token_cost: float | None = None
    cache_creation_input_token_cost: float | None = None
    """Of a write with the default lifetime."""
    cache_creation_input_token_cost_above_1hr: float | None = None
    supports_prompt_caching: bool = False
    caching: str | None = None
    """``automatic``, ``explicit`` (by marks) or ``both``; None where the model caches nothing."""
    min_cacheable_tokens: int | None = None
    max_breakpoints: int | None = None
    cache_lifetimes: tuple[str, ...] = ()
    service_tiers: tuple[str, ...] = ()
    since: str = ""
    """First day of this price, ISO 8601."""
    source: str = ""
    retired: str | None = None
    """The day on which the provider shut it down."""


def model_info(match: Match) -> ModelInfo:
    """What the book says of *match*."""
    model, price = match.model, match.price
    rates = unit_rates(price, match.sold, Asked("", 0, match.factor), lifetime=match.lifetime)
    found = rates if type(rates) is UnitRates else None
    caches = model.caching is not None
    return ModelInfo(
        key=match.name,
        provider=match.provider,
        mode=model.mode,
        max_input_tokens=model.context_window,
        max_output_tokens=model.max_output_tokens,
        input_cost_per_token=_dollars(found and found.input),
        output_cost_per_token=_dollars(found and found.output),
        cache_read_input_token_cost=_dollars(found and found.read) if caches else None,
        cache_creation_input_token_cost=_dollars(found and found.write_any) if caches else None,
        cache_creation_input_token_cost_above_1hr=_dollars(found and found.write.get("1h")),
        supports_prompt_caching=caches,
        caching=model.caching,
        min_cacheable_tokens=model.min_cacheable_tokens,
        max_breakpoints=model.max_breakpoints,
        cache_lifetimes=model.lifetimes,
        service_tiers=tuple(sorted({*price.tiers, *match.sold.tiers})),
        since=price.since,
        source=match.source,
        retired=model.retired or None,
    )


def _dollars(units: int | None) -> float | None:
    return None if units is None else units / 10**SCALE
