"""Charts as SVG without a script: bars in time, lines, and one bar in parts; each piece says its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynccache.proxy.markup import Markup, el, join

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bars", "line", "parts", "round_up"]

_WIDE, _HIGH = 1000, 200  # units of the drawing; it is stretched to its place


def bars(
    columns: Sequence[Sequence[tuple[str, float]]], titles: Sequence[str], most: float, name: str
) -> Markup:
    """Stacked bars, one for each column of *(class, value)*, from below; *most* is the height of the drawing."""
    width = _WIDE / max(len(columns), 1)
    drawn: list[Markup] = []
    for place, (column, title) in enumerate(zip(columns, titles, strict=True)):
        left = place * width
        pieces = [
            el("rect", class_="hit", x=_number(left), y=0, width=_number(width), height=_HIGH),
        ]
        floor = float(_HIGH)
        for style, value in column:
            high = value / most * _HIGH if most else 0.0
            if high <= 0:
                continue
            floor -= high
            pieces.append(
                el(
                    "rect",
                    class_=style,
                    x=_number(left + width * 0.1),
                    y=_number(floor),
                    width=_number(width * 0.8),
                    height=_number(high),
                )
            )
        drawn.append(el("g", el("title", title), *pieces))
    return _drawing(name, "chart", *_grid(), *drawn)


def line(
    values: Sequence[float | None], titles: Sequence[str] | None, name: str, style: str = "chart"
) -> Markup:
    """A line of shares from 0 to 1, broken where nothing is known for long."""
    step = _WIDE / max(len(values), 1)
    drawn: list[Markup] = [] if style == "spark" else _grid()
    for run in _runs(values, step):
        points = " ".join(f"{_number(x)},{_number(y)}" for x, y in run)
        ends = f"{_number(run[-1][0])},{_HIGH} {_number(run[0][0])},{_HIGH}"
        drawn.append(el("polygon", class_="under", points=f"{points} {ends}"))
        drawn.append(el("polyline", class_="line", points=points))
    for place, title in enumerate(titles or ()):
        hit = el("rect", class_="hit", x=_number(place * step), y=0, width=_number(step), height=_HIGH)
        drawn.append(el("g", el("title", title), hit))
    return _drawing(name, style, *drawn)


def _runs(values: Sequence[float | None], step: float) -> list[list[tuple[float, float]]]:
    """The points of each line: one ends where nothing is known for longer than a twelfth of the whole."""
    found: list[list[tuple[float, float]]] = []
    last = -len(values)
    for place, value in enumerate(values):
        if value is None:
            continue
        if place - last > max(len(values) / 12, 1):
            found.append([])
        found[-1].append(((place + 0.5) * step, _HIGH * (1 - value)))
        last = place
    for run in found:
        if len(run) == 1:  # a short stroke: a dot would be stretched
            ((x, y),) = run
            run[:] = [(x - step / 2, y), (x + step / 2, y)]
    return found


def parts(values: Sequence[tuple[str, float]], name: str) -> Markup:
    """One bar of all *(class, value)*, side by side."""
    whole = sum(value for _, value in values)
    left = 0.0
    drawn: list[Markup] = []
    for style, value in values:
        width = value / whole * _WIDE if whole else 0.0
        if width > 0:
            drawn.append(el("rect", class_=style, x=_number(left), y=0, width=_number(width), height=_HIGH))
            left += width
    return _drawing(name, "parts", *drawn)


def round_up(value: float) -> float:
    """The next number that reads well as the end of an axis."""
    if value <= 0:
        return 0.0
    unit = 1.0
    while unit < value:
        unit *= 10
    while unit >= value * 10:
        unit /= 10
    return next((unit * share for share in (0.15, 0.2, 0.3, 0.5, 0.75) if unit * share >= value), unit)


def _grid() -> list[Markup]:
    return [
        el("line", class_="grid", x1=0, x2=_WIDE, y1=_number(_HIGH * share), y2=_number(_HIGH * share))
        for share in (0, 0.5, 1)
    ]


def _drawing(name: str, style: str, *children: Markup) -> Markup:
    return el(
        "svg",
        join(*children),
        class_=style,
        viewBox=f"0 0 {_WIDE} {_HIGH}",
        preserveAspectRatio="none",
        role="img",
        aria_label=name,
    )


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
