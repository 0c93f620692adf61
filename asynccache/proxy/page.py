"""``GET /ui``: what goes on, for people; plain HTML that no script runs in, drawn anew at every look."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from asynccache.proxy.charts import bars, line, parts, round_up
from asynccache.proxy.markup import Markup, clean, el, join
from asynccache.proxy.tables import failed_table, live_table, row_table
from asynccache.proxy.view import SPANS, look
from asynccache.proxy.wording import age, clock, count, dollars, percent, shown_count, shown_dollars

if TYPE_CHECKING:
    from decimal import Decimal

    from asynccache.proxy.activity import Activity
    from asynccache.proxy.asked import Asked
    from asynccache.proxy.sums import Sums
    from asynccache.proxy.view import View

__all__ = ["page", "page_headers"]

REFRESH_SECONDS: Final = 10


@lru_cache(maxsize=1)
def _style() -> str:
    return files("asynccache.proxy").joinpath("static", "page.css").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def page_headers() -> dict[str, str]:
    """What a browser is allowed to do with the page: show it, with this one style, and nothing else."""
    digest = b64encode(sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }


def page(activity: Activity, asked: Asked, base: str) -> bytes:
    """The whole page.

    Args:
        activity: what it shows.
        asked: which part of it.
        base: the address that callers use, for a page that has nothing to show yet.
    """
    view = look(activity, asked.span, model=asked.model, key=asked.key)
    now = activity.clock()
    live = [
        attempt
        for attempt in activity.live.values()
        if asked.model in {None, attempt.label.model} and asked.key in {None, attempt.label.key}
    ]
    failed = [
        one for one in activity.failed if asked.model in {None, one.model} and asked.key in {None, one.key}
    ]
    body = join(
        _top(activity, asked, now),
        _filters(asked),
        _tiles(view.all.sums, len(live)),
        _charts(view) if view.all.sums.requests else None if live else _nothing(asked, base),
        row_table("Models", view.models, "model", asked) if view.models else None,
        row_table("Keys", view.keys, "key", asked) if view.keys else None,
        live_table(live, now),
        failed_table(failed, now, activity.refused),
        _foot(activity, now),
    )
    return ("<!doctype html>" + _document(asked, body)).encode()


def _document(asked: Asked, body: Markup) -> Markup:
    refresh = None if asked.still else el("meta", http_equiv="refresh", content=REFRESH_SECONDS)
    return el(
        "html",
        el(
            "head",
            el("meta", charset="utf-8"),
            el("meta", name="viewport", content="width=device-width, initial-scale=1"),
            el("meta", name="color-scheme", content="light dark"),
            refresh,
            el("title", "asynccache"),
            el("link", rel="icon", href=_ICON),
            Markup(f"<style>{_style()}</style>"),
        ),
        el("body", el("main", body)),
        lang="en",
    )


_ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect y='9' width='4' height='7' rx='1' fill='%238b98a9'/%3E"
    "%3Crect x='6' y='5' width='4' height='11' rx='1' fill='%232a9d78'/%3E"
    "%3Crect x='12' width='4' height='16' rx='1' fill='%232a9d78'/%3E%3C/svg%3E"
)


def _top(activity: Activity, asked: Asked, now: float) -> Markup:
    spans = [
        el(
            "a",
            words,
            href=asked.address(span=span),
            aria_current="page" if span == asked.span else None,
        )
        for span, (words, _) in SPANS.items()
    ]
    switch = ("Go on", False) if asked.still else ("Pause", True)
    return el(
        "header",
        el(
            "div",
            el("h1", el("a", "asynccache", href=asked.address(span="all", model=None, key=None))),
            el(
                "p",
                el(
                    "span", "paused at" if asked.still else "live,", class_="still" if asked.still else "beat"
                ),
                f" {clock(now)} UTC · up {age(now - activity.began)}",
                class_="quiet",
            ),
        ),
        el("nav", *spans, el("a", switch[0], href=asked.address(still=switch[1]), class_="switch")),
    )


def _filters(asked: Asked) -> Markup | None:
    found = [
        el(
            "a",
            f"{what} ",
            el("b", clean(name)),
            el("span", " ✕", aria_label="remove"),
            href=asked.address(**{what: None}),
        )
        for what, name in (("model", asked.model), ("key", asked.key))
        if name is not None
    ]
    return el("p", "Only ", *found, class_="filters") if found else None


def _tiles(sums: Sums, live: int) -> Markup:
    return el(
        "section",
        _tile("cost", "Cost", dollars(sums.cost), _note_of_cost(sums)),
        _tile(
            "saved",
            "Saved",
            dollars(sums.saved),
            _note_of_saving(sums),
        ),
        _tile(
            "hits",
            "Cache hits",
            el("data", percent(sums.hit_ratio), value="" if sums.hit_ratio is None else sums.hit_ratio),
            f"{shown_count(sums.read)} tokens read",
        ),
        _tile("prompt", "Prompt tokens", count(sums.prompt), _split(sums)),
        _tile("output", "Output tokens", count(sums.output), _reasoning(sums)),
        _tile("requests", "Requests", count(sums.requests), _ends(sums)),
        _tile("live", "Live now", count(live), None),
        class_="tiles",
    )


def _tile(name: str, title: str, value: Markup, note: str | None) -> Markup:
    return el("div", el("h2", title), el("p", value, class_="value"), el("p", note, class_="quiet"), id=name)


def _note_of_cost(sums: Sums) -> str:
    if sums.unpriced:
        return f"{sums.unpriced:,} more without a known price"
    priced = sums.ok
    return f"{shown_dollars(sums.cost / priced)} a request" if priced else ""


def _note_of_saving(sums: Sums) -> str:
    if sums.saved < 0:
        return "writes cost more than reads gave back"
    return f"{percent(float(sums.saved / (sums.cost + sums.saved)))} of the bill" if sums.saved else ""


def _split(sums: Sums) -> Markup | None:
    if not sums.prompt:
        return None
    return parts(_buckets(sums), f"{sums.uncached:,} uncached, {sums.read:,} read, {sums.written:,} written")


def _reasoning(sums: Sums) -> str:
    return f"{shown_count(sums.reasoning)} reasoning" if sums.reasoning else ""


def _ends(sums: Sums) -> str:
    told = [f"{sums.failed:,} failed"] if sums.failed else []
    if sums.let_go:
        told.append(f"{sums.let_go:,} left")
    return ", ".join(told) or ("all answered" if sums.requests else "")


def _buckets(sums: Sums) -> list[tuple[str, float]]:
    return [
        ("read", sums.read),
        ("written", sums.written),
        ("uncached", sums.uncached),
        ("untold", sums.untold),
    ]


def _charts(view: View) -> Markup:
    some = [bin_sums for bin_sums in view.all.bins if bin_sums is not None]
    tokens = round_up(max((sums.prompt for sums in some), default=0))
    money = round_up(float(max((max(sums.cost, sums.cost + sums.saved) for sums in some), default=0)))
    times = [clock(view.first + place * view.step) for place in range(len(view.all.bins))]
    return el(
        "section",
        _chart(
            "Prompt tokens",
            shown_count(tokens),
            bars(
                [[] if one is None else _buckets(one) for one in view.all.bins],
                [_token_title(at, one) for at, one in zip(times, view.all.bins, strict=True)],
                tokens,
                "Prompt tokens over time, by bucket",
            ),
            view,
            (("read", "read from cache"), ("written", "written to cache"), ("uncached", "uncached")),
        ),
        _chart(
            "Cache hit ratio",
            "100 %",
            line(
                [None if one is None else one.hit_ratio for one in view.all.bins],
                [
                    f"{at}  {percent(None if one is None else one.hit_ratio)}"
                    for at, one in zip(times, view.all.bins, strict=True)
                ],
                "Cache hit ratio over time",
            ),
            view,
            (),
        ),
        _chart(
            "Cost and what was saved",
            f"${money:g}",
            bars(
                [[] if one is None else _money(one) for one in view.all.bins],
                [_money_title(at, one) for at, one in zip(times, view.all.bins, strict=True)],
                money,
                "Cost and savings over time",
            ),
            view,
            (("cost", "cost"), ("gained", "saved")),
        ),
        class_="charts",
    )


def _money(sums: Sums) -> list[tuple[str, float]]:
    return [("cost", float(sums.cost)), ("gained", max(float(sums.saved), 0.0))]


def _money_title(at: str, sums: Sums | None) -> str:
    told: tuple[Decimal, Decimal] | None = None if sums is None else (sums.cost, sums.saved)
    return at if told is None else f"{at}  cost {shown_dollars(told[0])}, saved {shown_dollars(told[1])}"


def _token_title(at: str, sums: Sums | None) -> str:
    if sums is None:
        return at
    return f"{at}  {sums.read:,} read, {sums.written:,} written, {sums.uncached:,} uncached"


def _chart(title: str, top: str, drawing: Markup, view: View, legend: tuple[tuple[str, str], ...]) -> Markup:
    length = len(view.all.bins) * view.step
    shown = [clock(view.first + length * share / 4) for share in range(4)]
    return el(
        "figure",
        el(
            "figcaption",
            el("h2", title),
            el("p", *(el("span", words, class_=f"key {style}") for style, words in legend), class_="legend"),
        ),
        el("div", el("span", top, class_="top"), drawing, class_="plot"),
        el("p", *(el("span", at) for at in shown), el("span", "now"), class_="times"),
    )


def _nothing(asked: Asked, base: str) -> Markup:
    if asked.model is not None or asked.key is not None or asked.span != "all":
        return el("section", el("h2", "Nothing here"), el("p", "No call ended in this part."), class_="empty")
    return el(
        "section",
        el("h2", "No calls yet"),
        el("p", "Point any OpenAI or Anthropic client at this address; its calls show up here."),
        el("pre", f"OPENAI_BASE_URL={clean(base)}/v1\nANTHROPIC_BASE_URL={clean(base)}"),
        class_="empty",
    )


def _foot(activity: Activity, now: float) -> Markup:
    since = clock(activity.began, day=True)
    return el(
        "footer",
        f"Counted by this process since {since} UTC ({age(now - activity.began)}). "
        "Every number carries its exact value: point at it. ",
        "What came before, and other processes', is in the ledger: ",
        el("code", "asynccache report"),
        ".",
    )
