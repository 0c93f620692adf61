"""Plots as SVG, written by hand: bars and lines need no library."""

from __future__ import annotations

import math
from html import escape
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_COLOURS = ("#1b6ca8", "#d1495b", "#3a7d44", "#8d6a9f", "#c98a1b", "#555555")
_WIDTH, _BAR, _LEFT = 720, 26, 150


def _svg(height: int, body: Sequence[str]) -> str:
    style = "text{font:13px system-ui,sans-serif;fill:#333}.t{font-weight:600}.g{stroke:#ddd}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}">'
    return "\n".join(
        [head, f"<style>{style}</style>", '<rect width="100%" height="100%" fill="#fff"/>', *body, "</svg>\n"]
    )


def bars(title: str, values: Mapping[str, float], unit: str) -> str:
    """One bar a name, on a logarithmic axis."""
    low = math.log10(min(values.values())) - 0.3
    span = math.log10(max(values.values())) - low
    body = [f'<text class="t" x="10" y="22">{escape(title)}</text>']
    for row, (name, value) in enumerate(sorted(values.items(), key=lambda pair: pair[1])):
        y = 40 + row * _BAR
        width = (math.log10(value) - low) / span * (_WIDTH - _LEFT - 110)
        colour = _COLOURS[0] if name == "asynccache" else "#b8c4cc"
        body.append(f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        body.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.0f}" height="{_BAR - 8}" fill="{colour}"/>')
        body.append(f'<text x="{_LEFT + width + 6:.0f}" y="{y + 14}">{value:.3g} {escape(unit)}</text>')
    return _svg(50 + len(values) * _BAR, body)


def lines(title: str, series: Mapping[str, Mapping[float, float]], across: str, unit: str) -> str:
    """One line a name; the places stand evenly across, the values begin at 0."""
    places = sorted({place for line in series.values() for place in line})
    values = [value for line in series.values() for value in line.values()]
    top, height = max(values) * 1.15, 240

    def x(place: float) -> float:
        return 60 + (_WIDTH - 220) * places.index(place) / max(1, len(places) - 1)

    def y(value: float) -> float:
        return 40 + height - height * value / top

    body = [f'<text class="t" x="10" y="22">{escape(title)} ({escape(unit)})</text>']
    for step in range(5):
        value = top * step / 4
        body.append(f'<line class="g" x1="60" x2="{_WIDTH - 160}" y1="{y(value):.0f}" y2="{y(value):.0f}"/>')
        body.append(f'<text x="52" y="{y(value) + 4:.0f}" text-anchor="end">{value:.2g}</text>')
    body += [
        f'<text x="{x(place):.0f}" y="{height + 60}" text-anchor="middle">{place:g}</text>'
        for place in places
    ]
    body.append(f'<text x="{_WIDTH - 150}" y="{height + 60}">{escape(across)}</text>')
    for number, (name, line) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{x(place):.0f},{y(value):.0f}" for place, value in sorted(line.items()))
        body.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        body.append(
            f'<text x="{_WIDTH - 150}" y="{60 + 20 * number}" style="fill:{colour}">{escape(name)}</text>'
        )
    return _svg(height + 75, body)


def write_plots(measured: Mapping[str, Any], folder: Path) -> None:
    """The plots that RESULTS.md shows."""
    titles = {
        "openai/2000/16x1/0": "CPU per streamed chunk, OpenAI, 16 events a write",
        "openai/2000/1/150": "CPU per streamed chunk, OpenAI, one event a packet",
        "anthropic/2000/16x1/0": "CPU per streamed chunk, Anthropic, 16 events a write",
        "converse/2000/16x1/0": "CPU per streamed chunk, ConverseStream, 16 events a write",
    }
    for number, (setting, title) in enumerate(titles.items(), 1):
        figures = measured["streams"].get(setting, {})
        values = {name: median(figure["cpu"]) for name, figure in figures.items() if figure["cpu"]}
        if values:
            (folder / f"streams-{number}.svg").write_text(bars(f"{title} (logarithmic)", values, "µs"))
    parts = measured["parts"]["ours"]
    if parts:
        grown = {
            "chunks of text": _line(parts, "chunks"),
            "pieces of arguments": _line(parts, "arguments"),
        }
        (folder / "growth.svg").write_text(lines("CPU per chunk as answers grow", grown, "chunks", "µs"))
        depth = {"no-op stages": _line(parts, "depth")}
        (folder / "depth.svg").write_text(
            lines("CPU per chunk as stages are added", depth, "stages added", "µs")
        )
    at_once = {
        name: {float(count): median(samples) for count, samples in line.items() if samples}
        for name, line in measured["at_once"].items()
    }
    (folder / "at-once.svg").write_text(lines("CPU per chunk with streams at once", at_once, "streams", "µs"))


def _line(parts: Sequence[Mapping[str, Any]], name: str) -> dict[float, float]:
    return {float(place): median(part[name][place] for part in parts) for place in parts[0][name]}
