"""Compares every price of the book with genai-prices and LiteLLM's map; fails on a difference that no row explains.

    pip install genai-prices==0.2.3 && pip install --no-deps litellm==1.109.1
    python scripts/check_prices.py [--all]

Of each difference it prints our figures' day and theirs, so that the newer is seen. An explanation stands in the
row itself: ``"explained": {"litellm": "input 0.5: why"}``. It begins with the figures that it explains, so that it
holds for these and no others.
"""

# ruff: noqa: INP001, T201  # scripts are run by path and report by printing
from __future__ import annotations

import sys
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from price_differences import differences, explains
from price_sources import Source, from_genai_prices, from_litellm, source
from refresh_prices import FEEDS, as_sold

from asynccache.pricing.catalogue import NoMatch, PriceBook
from asynccache.pricing.shelves import shelf_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asynccache.pricing.entries import Model


class Difference(NamedTuple):
    """One row where a collection says otherwise."""

    provider: str
    model: str
    source: Source
    figures: str
    explanation: str
    since: str

    @property
    def explained(self) -> bool:
        """Whether the row explains exactly these figures."""
        return bool(self.explanation) if self.figures == MISSING else explains(self.explanation, self.figures)


MISSING = "has a price, we have none"


def rows(provider: str) -> Iterator[tuple[Source, Model]]:
    """What both collections say of *provider*'s models."""
    feed = FEEDS[provider]
    genai, litellm = source("genai-prices"), source("litellm")
    for name in feed.genai:
        for model in from_genai_prices(name, since=genai.day, lifetime=feed.lifetime):
            yield genai, model
    for model in from_litellm(feed.litellm, since=litellm.day, lifetime=feed.lifetime):
        yield litellm, model


def compared(provider: str, book: PriceBook) -> Iterator[Difference]:
    """Every difference between the book and the collections for *provider*."""
    shelf = shelf_of(provider)
    left_out = {} if shelf is None else shelf.file.left_out
    only = FEEDS[provider].only
    for origin, model in rows(provider):
        if only and not model.name.startswith(only):
            continue
        name = as_sold(model.name)
        today = datetime.now(UTC)
        ours = book.find(name, provider=provider, at=today)
        why = next((text for pattern, text in left_out.items() if fnmatchcase(name, pattern)), "")
        if type(ours) is NoMatch:
            yield Difference(provider, model.name, origin, MISSING, why, "")
        elif not why and (figures := differences(ours, model)):
            explanation = ours.model.explained.get(origin.name, "")
            yield Difference(provider, model.name, origin, figures, explanation, ours.price.since)


def main() -> int:
    """Prints the differences; 1 when one of them is not explained."""
    book = PriceBook()
    unexplained = total = 0
    for provider in FEEDS:
        for difference in compared(provider, book):
            total += 1
            unexplained += not difference.explained
            if difference.explained and "--all" not in sys.argv:
                continue
            mark = "explained" if difference.explained else "UNEXPLAINED"
            origin = difference.source
            print(
                f"{mark:<12}{difference.provider}/{difference.model}: {origin.name} {origin.version} ({origin.day}) {difference.figures}; ours is of {difference.since or 'no day'}"
            )
    print(f"{total} differences, {unexplained} of them unexplained")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
