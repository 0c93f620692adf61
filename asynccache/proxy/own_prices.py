"""A deployment's own prices: what its row tells, and the book's for what it leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import structs

from asynccache.pricing.catalogue import Match, PriceBook
from asynccache.pricing.registry import own_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from asynccache.pricing.entries import DatedPrice, Model

__all__ = ["own_book"]

_NEEDED = frozenset({"input_cost_per_token", "output_cost_per_token"})


def own_book(target: str, prices: Mapping[str, float]) -> PriceBook | None:
    """A price book with *prices* of *target* in front; None where there are none.

    Args:
        target: ``provider/model``.
        prices: dollars per token by LiteLLM's names.
    """
    if not prices:
        return None
    provider, _, name = target.partition("/")
    known = PriceBook().find(name, provider=provider)
    row: dict[str, Any] = {"litellm_provider": provider, **prices}
    if type(known) is Match and known.price.output is not None and not _NEEDED & prices.keys():
        row["output_cost_per_token"] = float(known.price.output) / 1e6  # a row is a price by one of these
    rows = own_models({target: row})
    return PriceBook(_completed(rows, known) if type(known) is Match else rows)


def _completed(rows: Iterator[tuple[str, Model]], known: Match) -> Iterator[tuple[str, Model]]:
    """*rows* with the rates that they leave out.

    Where the input rate is the row's own, cache rates that it leaves out stay multiples of that rate.
    """
    for provider, model in rows:
        (own,) = model.prices
        yield provider, structs.replace(model, prices=(_merged(own, known.price),))


def _merged(own: DatedPrice, known: DatedPrice) -> DatedPrice:
    if own.input is not None and own.output is not None:
        return own
    told: dict[str, Any] = {
        name: rate
        for name in ("input", "read", "write", "output")
        if (rate := getattr(own, name)) not in (None, {})
    }
    cache: dict[str, Any] = {} if own.input is None else {"read": None, "write": {}}
    return structs.replace(known, since=own.since, source=own.source, **{**cache, **told})
