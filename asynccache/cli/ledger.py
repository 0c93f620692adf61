"""Command: what a ledger adds up to, in a table with bars, or as JSON."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from asynccache.cli.report import STYLES, shares
from asynccache.cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from asynccache.usage.ledger_report import Grouping, Summary

__all__ = ["report"]

_GROUPINGS: Final[tuple[Grouping, ...]] = (
    "model",
    "key",
    "day",
    "provider",
    "deployment",
    "outcome",
    "state",
)
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_HEADS: Final = ("calls", "prompt", "read", "written", "output", "hits", "cost", "saved")
_BAR = 24  # cells of the longest bar, where there is room


def _groupings(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[Grouping, ...]:
    """Groupings with commas between them."""
    asked = [name.strip() for name in value.split(",") if name.strip()]
    unknown = [name for name in asked if name not in _GROUPINGS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(_GROUPINGS)}")
    return tuple(name for want in dict.fromkeys(asked) for name in _GROUPINGS if name == want)


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """A day or a moment of ISO 8601, UTC where it names no zone; or so long ago: 24h, 7d, 2w."""
    if value is None:
        return None
    if value[:-1].isdecimal() and value[-1] in _UNITS:
        return datetime.now(UTC) - int(value[:-1]) * _UNITS[value[-1]]
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        msg = f"{value!r} is neither a day such as 2026-11-01 nor a time such as 24h or 7d"
        raise click.BadParameter(msg) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@click.command
@click.argument("ledger")
@click.option(
    "--by",
    default="model",
    show_default=True,
    metavar="model,key,day,…",
    callback=_groupings,
    help="What to group by.",
)
@click.option("--since", metavar="DAY|24h|7d", callback=_moment, help="Leave out what began before.")
@click.option("--until", metavar="DAY|24h|7d", callback=_moment, help="Leave out what began then or later.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; amounts are strings.")
def report(
    ledger: str, by: tuple[Grouping, ...], since: datetime | None, until: datetime | None, *, as_json: bool
) -> None:
    """Tokens by bucket, exact cost and saving, and the cache's hit ratio, from a LEDGER.

    LEDGER is a file of SQLite's or a postgresql:// address; it may be in use. Prompt tokens are drawn as
    bars: read from the cache, written to it, and neither.
    """
    from asynccache.usage.ledger_report import summarize

    groups = summarize(ledger, by, since=since, until=until)
    total = summarize(ledger, since=since, until=until)
    if as_json:
        click.echo(json.dumps(_document(groups, total, by, since, until), indent=2))
    elif not total:
        click.echo("no calls")
    else:
        _show(Screen(), groups, total[0], by)


def _document(
    groups: Sequence[Summary],
    total: Sequence[Summary],
    by: Sequence[Grouping],
    since: datetime | None,
    until: datetime | None,
) -> dict[str, Any]:
    return {
        "since": None if since is None else since.isoformat(),
        "until": None if until is None else until.isoformat(),
        "by": list(by),
        "groups": [group.to_dict() for group in groups],
        "total": total[0].to_dict() if total else None,
    }


def _show(screen: Screen, groups: Sequence[Summary], total: Summary, by: Sequence[Grouping]) -> None:
    lines = [(*(group.by[name] or "-" for name in by), *_cells(group)) for group in groups]
    last = (*("total" if place == 0 else "" for place in range(len(by))), *_cells(total))
    heads = (*by, *_HEADS)
    widths = [max(len(line[place]) for line in (heads, last, *lines)) for place in range(len(heads))]
    bar = min(_BAR, shutil.get_terminal_size().columns - sum(widths) - 2 * len(widths) - 1)
    most = max((group.prompt_tokens for group in groups), default=0)
    screen.line(_line(heads, widths, len(by)), "bold")
    for line, group in zip(lines, groups, strict=True):
        screen.write(_line(line, widths, len(by)))
        _draw(screen, group, most, bar)
        screen.line()
    screen.line(_line(last, widths, len(by)), "bold")
    for sentence in _remarks(total):
        screen.line(sentence, "dim")


def _cells(group: Summary) -> tuple[str, ...]:
    counts = (
        group.calls,
        group.prompt_tokens,
        group.read_tokens,
        group.written_tokens,
        group.output_tokens,
    )
    ratio = "-" if group.hit_ratio is None else f"{group.hit_ratio:.1%}"
    return (*(f"{count:,}" for count in counts), ratio, _exact(group.cost), _exact(group.saved))


def _line(cells: Sequence[str], widths: Sequence[int], texts: int) -> str:
    padded = [
        cell.ljust(width) if place < texts else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded)


def _draw(screen: Screen, group: Summary, most: int, width: int) -> None:
    """The group's prompt tokens, as long as their share of the largest group's."""
    if width < 8 or not group.prompt_tokens:
        return
    screen.write("  ")
    rest = max(0, group.prompt_tokens - group.read_tokens - group.written_tokens)
    counts = (group.read_tokens, group.written_tokens, rest)
    length = max(sum(count > 0 for count in counts), group.prompt_tokens * width // most)
    for cells, cell, style in zip(shares(counts, length), screen.cells, STYLES, strict=True):
        screen.write(cell * cells, style)


def _remarks(total: Summary) -> list[str]:
    """What the table does not say and a reader should know."""
    said = [
        ("attempts tried again", total.attempts - total.calls),
        ("attempts that failed", total.failed),
        ("answers left before their end", total.let_go),
        ("attempts whose cost is not known (their tokens are counted)", total.unpriced),
        ("attempts still open", total.open),
        ("attempts that ended with their process (what they used is not known)", total.unknown),
    ]
    return [f"{what}: {count:,}" for what, count in said if count]


def _exact(amount: Decimal) -> str:
    """US dollars to the last digit, and to the cent at least."""
    digits = format(amount, ",f").lstrip("-")
    whole, _, part = digits.partition(".")
    sign = "-" if amount < 0 else ""
    return f"{sign}${whole}.{part.rstrip('0').ljust(2, '0')}"
