"""What the page shows: one stretch of time, added up by model, by key and by the moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final

import msgspec

from asynccache.proxy.activity import STEPS
from asynccache.proxy.sums import Sums

if TYPE_CHECKING:
    from asynccache.proxy.activity import Activity, Label, Series

__all__ = ["SPANS", "Row", "Span", "View", "look"]

Span: TypeAlias = Literal["hour", "day", "all"]

SPANS: Final[dict[Span, tuple[str, int]]] = {
    "hour": ("Last hour", 60),
    "day": ("Last 24 h", 600),
    "all": ("Since start", 600),
}
"""The words for each, and the seconds of its bins; what is older than a day is in the sums alone."""


_YOUNG: Final = 3600


@final
class Row(msgspec.Struct, kw_only=True):
    """The attempts of one model, or of one key, or all."""

    sums: Sums
    bins: list[Sums | None]
    """Oldest first; None where nothing ended."""
    providers: set[str]


@final
class View(msgspec.Struct, kw_only=True):
    """One look at the activity."""

    span: Span
    step: int
    first: int
    """When the first bin begins, in seconds since 1970."""
    all: Row
    models: dict[str, Row]
    keys: dict[str, Row]


def look(activity: Activity, span: Span, *, model: str | None = None, key: str | None = None) -> View:
    """What *activity* holds of *span*, of one model or one key where they are given."""
    step = SPANS[span][1]
    if span == "all" and activity.clock() - activity.began < _YOUNG:
        step = SPANS["hour"][1]
    many = STEPS[step]
    last = int(activity.clock() // step)
    places = range(last - many + 1, last + 1)
    view = View(span=span, step=step, first=places[0] * step, all=_row(many), models={}, keys={})
    for label, series in activity.series.items():
        if (model is not None and label.model != model) or (key is not None and label.key != key):
            continue
        rows = (
            view.all,
            view.models.setdefault(label.model, _row(many)),
            view.keys.setdefault(label.key, _row(many)),
        )
        for row in rows:
            _add(row, label, series, step, places, whole=span == "all")
    for table in (view.models, view.keys):
        for name in [name for name, row in table.items() if not row.sums.requests]:
            del table[name]
    return view


def _row(many: int) -> Row:
    return Row(sums=Sums(), bins=[None] * many, providers=set())


def _add(row: Row, label: Label, series: Series, step: int, places: range, *, whole: bool) -> None:
    row.providers.add(label.provider)
    for place, sums in series.bins[step].items():
        if place in places:
            at = place - places[0]
            bin_sums = row.bins[at] = row.bins[at] or Sums()
            bin_sums.add(sums)
            if not whole:
                row.sums.add(sums)
    if whole:
        row.sums.add(series.total)
