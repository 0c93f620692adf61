"""The one shared price book: the built-in prices, the file that ASYNCCACHE_PRICES names, and what is registered.

It is the single piece of module-level state in this folder: ``register_model`` has nowhere else to put what
it is told. Code that wants no shared state passes a `PriceBook` of its own.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from asynccache.errors import InvalidRequestError
from asynccache.pricing.catalogue import Match, NoMatch, PriceBook
from asynccache.pricing.registry import own_models, read_prices

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "PRICES_VARIABLE",
    "Match",
    "NoMatch",
    "PriceBook",
    "default_book",
    "find",
    "nearest",
    "provider_of",
]

PRICES_VARIABLE = "ASYNCCACHE_PRICES"


@lru_cache(maxsize=1)
def default_book() -> PriceBook:
    """The shared book; a file named by ``ASYNCCACHE_PRICES`` that cannot be read leaves it with no prices."""
    path = os.environ.get(PRICES_VARIABLE)
    if not path:
        return PriceBook()
    try:
        return PriceBook(own_models(read_prices(Path(path))))
    except InvalidRequestError as error:
        return PriceBook(problem=f"{PRICES_VARIABLE}: {error.message}")


def find(
    model: str, *, provider: str | None = None, at: datetime | None = None, region: str | None = None
) -> Match | NoMatch:
    """The entry for *model* in the shared book, as of *at* (now by default)."""
    return default_book().find(model, provider=provider, at=at, region=region)


def provider_of(bare_model: str) -> str | None:
    """The provider that a bare model name means; None when nothing sells it, or more than one do."""
    return default_book().provider_of(bare_model)


def nearest(name: str, n: int = 3) -> list[str]:
    """The *n* known names most like *name*, as ``provider/model``, for error messages."""
    return default_book().nearest(name, n)
