"""The page's tables: models, keys, what is live, what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynccache.proxy.charts import line, parts
from asynccache.proxy.markup import Markup, clean, el
from asynccache.proxy.wording import age, count, dollars, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from asynccache.proxy.activity import Attempt, Failed
    from asynccache.proxy.asked import Asked
    from asynccache.proxy.sums import Sums
    from asynccache.proxy.view import Row

__all__ = ["failed_table", "live_table", "row_table"]

_MOST_LIVE = 30
_MOST_ROWS = 200
_MOST_FAILED = 20


def row_table(title: str, rows: Mapping[str, Row], what: str, asked: Asked) -> Markup:
    """One line for each model, or key, the dearest first."""
    heads = [
        ("th", what.capitalize(), None),
        ("th", "Requests", "num"),
        ("th", "Uncached", "num wide"),
        ("th", "Written", "num wide"),
        ("th", "Read", "num wide"),
        ("th", "Prompt tokens", "bar"),
        ("th", "Hits", "num"),
        ("th", "Hits over time", "spark-cell wide"),
        ("th", "Output", "num wide"),
        ("th", "Cost", "num"),
        ("th", "Saved", "num"),
    ]
    order = sorted(rows.items(), key=lambda item: (-item[1].sums.cost, -item[1].sums.requests, item[0]))
    lines = [_line(name, row, what, asked) for name, row in order[:_MOST_ROWS]]
    return _table(title, heads, lines, f"{what}s", more=len(order) - len(lines))


def _line(name: str, row: Row, what: str, asked: Asked) -> Markup:
    sums = row.sums
    split = [
        ("read", sums.read),
        ("written", sums.written),
        ("uncached", sums.uncached),
        ("untold", sums.untold),
    ]
    told = f"{sums.read:,} read, {sums.written:,} written, {sums.uncached:,} uncached"
    under = ", ".join(sorted(row.providers)) if what == "model" else None
    return el(
        "tr",
        el(
            "th",
            el("a", clean(name), href=asked.address(**{what: name})),
            el("small", under) if under else None,
            scope="row",
        ),
        el(
            "td",
            count(sums.requests),
            el("small", f"{sums.failed:,} failed", class_="bad") if sums.failed else None,
            class_="num",
        ),
        el("td", count(sums.uncached), class_="num wide"),
        el("td", count(sums.written), class_="num wide"),
        el("td", count(sums.read), class_="num wide"),
        el("td", parts(split, told) if sums.prompt else None, class_="bar", title=told),
        el("td", percent(sums.hit_ratio), class_="num"),
        el(
            "td",
            line([None if one is None else one.hit_ratio for one in row.bins], None, "over time", "spark"),
            class_="spark-cell wide",
        ),
        el("td", count(sums.output), class_="num wide"),
        el("td", _cost(sums), class_="num"),
        el("td", dollars(sums.saved), class_="num good" if sums.saved > 0 else "num"),
    )


def _cost(sums: Sums) -> Markup:
    """What the priced ones cost; no zero where nobody knows the price of any."""
    if sums.unpriced and not sums.cost:
        return el("data", "\u2013", value=0, title="not known", class_="zero")
    return dollars(sums.cost)


def live_table(live: Sequence[Attempt], now: float) -> Markup:
    """What is in progress, the oldest first."""
    heads = [
        ("th", "Model", None),
        ("th", "Key", "wide"),
        ("th", "State", None),
        ("th", "Attempt", "num wide"),
        ("th", "Since", "num"),
    ]
    lines = [
        el(
            "tr",
            el("th", clean(one.label.model), el("small", clean(one.label.provider)), scope="row"),
            el("td", clean(one.label.key), class_="wide"),
            el("td", _state(one)),
            el("td", str(one.number + 1), class_="num wide"),
            el("td", age(now - one.began), class_="num"),
        )
        for one in sorted(live, key=lambda one: one.began)[:_MOST_LIVE]
    ]
    more = len(live) - len(lines)
    return _table("Live", heads, lines, "live", empty="Nothing is in progress.", more=more)


def _state(one: Attempt) -> str:
    if not one.talking:
        return "waiting"
    return "streaming" if one.streamed else "answering"


def failed_table(failed: Sequence[Failed], now: float, refused: Mapping[int, int]) -> Markup:
    """The last errors, newest first: classes and codes, no words of anybody's."""
    heads = [
        ("th", "Error", None),
        ("th", "Status", "num"),
        ("th", "Code", "wide"),
        ("th", "Model", None),
        ("th", "Key", "wide"),
        ("th", "Call", "wide"),
        ("th", "Ago", "num"),
    ]
    lines = [
        el(
            "tr",
            el("th", one.error.removesuffix("Error"), scope="row", title=one.error),
            el("td", "\u2013" if one.status is None else str(one.status), class_="num"),
            el("td", one.code or "\u2013", class_="wide"),
            el("td", clean(one.model)),
            el("td", clean(one.key), class_="wide"),
            el("td", el("code", one.call_id[:12]), class_="wide", title=one.call_id),
            el("td", age(now - one.at), class_="num"),
        )
        for one in failed[:_MOST_FAILED]
    ]
    note = None
    if refused:
        told = ", ".join(f"{many:,} x {status}" for status, many in sorted(refused.items()))
        note = f"Refused before any provider was asked, since start: {told}."
    return _table("Last errors", heads, lines, "failed", empty="None.", note=note)


def _table(
    title: str,
    heads: Iterable[tuple[str, str, str | None]],
    lines: Sequence[Markup],
    name: str,
    *,
    empty: str = "",
    more: int = 0,
    note: str | None = None,
) -> Markup:
    head = el("tr", *(el(tag, text, class_=style, scope="col") for tag, text, style in heads))
    table = el("table", el("thead", head), el("tbody", *lines))
    return el(
        "section",
        el("h2", title),
        el("div", table, class_="scroll") if lines else el("p", empty, class_="quiet"),
        el("p", f"and {more:,} more", class_="quiet") if more > 0 else None,
        el("p", note, class_="quiet note") if note else None,
        class_="card",
        id=name,
    )
