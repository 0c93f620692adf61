"""One turn's tokens and money in a line each, and the bar that shows them at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from asynccache.cli.screen import Screen
    from asynccache.reply import Cost, Usage

__all__ = ["draw_bar", "money", "money_line", "saved_text", "shares", "token_line"]

STYLES = ("green", "yellow", "bright_black")
"""Of the bar's parts: read, written, uncached."""


def shares(counts: tuple[int, ...], width: int) -> list[int]:
    """*width* cells shared out by *counts*; whatever is not nothing gets one at least."""
    total = sum(counts)
    if not total:
        return [0 for _ in counts]
    cells = [max(1, count * width // total) if count else 0 for count in counts]
    cells[counts.index(max(counts))] += width - sum(cells)
    return cells


def draw_bar(screen: Screen, usage: Usage, width: int) -> None:
    """The prompt as a bar: what was read from the cache, written to it, and neither."""
    details = usage.prompt_tokens_details
    counts = (details.cached_tokens or 0, details.cache_write_tokens or 0, details.uncached_tokens or 0)
    for cells, cell, style in zip(shares(counts, width), screen.cells, STYLES, strict=True):
        screen.write(cell * cells, style)


def token_line(usage: Usage) -> str:
    """Where the tokens went."""
    details = usage.prompt_tokens_details
    return (
        f"in {_count(usage.prompt_tokens)} = read {_count(details.cached_tokens)}"
        f" + written {_count(details.cache_write_tokens)} + uncached {_count(details.uncached_tokens)},"
        f" out {_count(usage.completion_tokens)}"
    )


def money_line(cost: Cost) -> str:
    """What it cost, what it would have cost without caching, and the difference; or why that is not known."""
    if cost.total is None:
        return f"cost unknown: {cost.reason or 'no price'}"
    text = f"cost {money(cost.total)}"
    if cost.without_cache is None or cost.saved is None:
        return text
    return (
        f"{text}, without caching {money(cost.without_cache)}, {saved_text(cost.saved, cost.without_cache)}"
    )


def saved_text(saved: Decimal, without_cache: Decimal) -> str:
    """The saving, with its share; a cache that cost more than it gave back is called by its name."""
    if not saved:
        return "nothing saved"
    percent = f"{abs(saved) / without_cache:.0%}" if without_cache else "0%"
    if saved < 0:
        return f"{money(-saved)} more ({percent}), for writing it"
    return f"saved {money(saved)} ({percent})"


def money(amount: Decimal) -> str:
    """US dollars, to a thousandth of a cent."""
    return f"${amount:,.5f}"


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"
