"""The Speed section of RESULTS.md: targets first, then every figure, written between two markers."""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from benchmarks.clients import KNOWN, REFERENCE
from benchmarks.targets import TIMES, targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.targets import Target

BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"

_SETTINGS = {
    "2000/16x1/0": "2,000; 16 a write",
    "2000/16/150": "2,000; 16 a read",
    "200/16/150": "200; 16 a read",
    "2000/16/0": "2,000; 16 in one, back to back",
    "2000/1/150": "2,000; one a packet",
    "200/1/150": "200; one a packet",
    "400/1/2000": "400; one a packet, 2 ms apart",
}
_WIRES = {"openai": "OpenAI", "anthropic": "Anthropic", "converse": "ConverseStream"}


def write_results(measured: Mapping[str, Any], path: Path) -> None:
    """Put the section in its place."""
    put_section(path, BEGIN, END, _section(measured))


def put_section(path: Path, begin: str, end: str, section: str) -> None:
    """Write *section* between its markers, at the end where there are none; what others wrote in the file stays."""
    text = path.read_text() if path.exists() else "# Results\n"
    if begin not in text:
        text += f"\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    path.write_text(f"{before}{begin}\n{section}\n{end}{rest.partition(end)[2]}")


def _section(measured: Mapping[str, Any]) -> str:
    parts = [
        "## Speed",
        _about(measured["about"]),
        "### Targets\n\n" + targets_table(targets(measured)),
        *(
            f"### Streams: {name}, CPU µs per chunk\n\n{_streams(measured, wire)}"
            for wire, name in _WIRES.items()
        ),
        "![](results/streams-1.svg)\n\n![](results/streams-2.svg)\n\n![](results/streams-3.svg)\n\n![](results/streams-4.svg)",
        "### The rest\n\n" + _first(measured),
        _calls(measured),
        _memory(measured),
        _imports(measured),
        _small_parts(measured),
        "### Growth\n\n" + _growth(measured),
        _errors(measured),
    ]
    return "\n\n".join(part for part in parts if part)


def _about(about: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in sorted(about["versions"].items()))
    return (
        f"{about['date']}, Python {about['python']}, {about['system']}, {about['cpu']}, {about['cores']} cores, "
        f"{about['seconds']} s; {versions}. Written by `python -m benchmarks`, raw figures in "
        "[speed.json](results/speed.json).\n\n"
        "The upstream is a process of its own that writes pre-built bytes, much faster than any client reads them. "
        "*16 a write*, which the targets are about: every event is an HTTP chunk of its own, as a server sends it that "
        "flushes each, and 16 of them go into a write, write after write without a pause; the floor takes 0.2 µs a "
        "chunk there and aiohttp 1.9, as when the targets were set. *16 in one, back to back*: the 16 are one HTTP chunk, "
        "which spares aiohttp most of its work; the kernel joins the writes into a few large reads, so that hardly "
        "anything but the client's own work is left. *16 a read* and *one a packet*: writes come 150 µs apart, so that "
        "each is a read, and a wake-up, of its own; *2 ms apart*: the process sleeps between them, and wakes up cold. "
        f"Rounds are interleaved; a figure is the median of CPU time, with the quartiles in brackets; {TIMES} is the median "
        f"over rounds of the ratio to *{REFERENCE}*: correct framing and typed decode of the fields a client uses, "
        "text joined, nothing else. The light clients share one process, each peer has its own; garbage is collected "
        "before each figure, outside its clock. Every stream's text and usage are compared with what was sent."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown's."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Three digits, thousands with commas."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _spread(samples: Sequence[float]) -> str:
    if len(samples) < 4:
        return number(median(samples))
    low, _, high = quantiles(samples, n=4)
    return f"{number(median(samples))} [{number(low)} to {number(high)}]"


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of each round, or of the medians where there are not as many rounds."""
    if len(mine) == len(theirs):
        return median(one / other for one, other in zip(mine, theirs, strict=True))
    return median(mine) / median(theirs)


def targets_table(found: Iterable[Target]) -> str:
    """Each target beside what was measured, and why misses are misses."""
    rows = []
    misses: dict[str, list[str]] = {}
    for target in found:
        if target.figure is None:
            verdict = "not measured"
        elif target.met:
            verdict = "met"
        else:
            verdict = "**missed**"
            if target.why:
                misses.setdefault(target.why, []).append(f"*{target.what}*")
        sign = "≤" if target.upper else "≥"
        shown = "-" if target.figure is None else f"{number(target.figure)} {target.unit}"
        rows.append([target.what, f"{sign} {target.bound:g} {target.unit}", shown, verdict])
    rendered = table(["what", "target", "measured", ""], rows)
    reasons = [f"- {'; '.join(what)}: {why}." for why, what in misses.items()]
    return rendered + ("\n\nWhy the misses:\n\n" + "\n".join(reasons) if reasons else "")


def _streams(measured: Mapping[str, Any], wire: str) -> str:
    names = [name for name in KNOWN if wire in KNOWN[name][3]]
    rows = []
    for name in names:
        cells = []
        for setting in _SETTINGS:
            figures = measured["streams"].get(f"{wire}/{setting}", {})
            cpu = figures.get(name, {}).get("cpu")
            reference = figures.get(REFERENCE, {}).get("cpu")
            cells.append(
                f"{_spread(cpu)} · {number(ratio(cpu, reference))}{TIMES}" if cpu and reference else "-"
            )
        if name in measured["errors"]:
            cells = ["not installed"] * len(_SETTINGS)
        rows.append([f"**{name}**" if name == "asynccache" else name, *cells])
    reads = [
        f"{median(found):g} at *{name}*"
        for setting, name in _SETTINGS.items()
        if (found := measured["streams"].get(f"{wire}/{setting}", {}).get(REFERENCE, {}).get("reads"))
    ]
    note = f"Reads per stream as {REFERENCE} saw them, median: {', '.join(reads)}. Fewer than writes: a busy machine joins them."
    return table(["client", *_SETTINGS.values()], rows) + "\n\n" + note


def _first(measured: Mapping[str, Any]) -> str:
    times = {name: samples for name, samples in measured["first"].items() if samples}
    rows = [
        [name, _spread(samples), f"{number(ratio(samples, times['aiohttp']))}{TIMES}"]
        for name, samples in times.items()
    ]
    return "Time to the first text, ms, over loopback:\n\n" + table(["client", "ms", "to raw aiohttp"], rows)


def _calls(measured: Mapping[str, Any]) -> str:
    names = list(measured["calls"]["openai/1"])
    columns = list(measured["calls"])
    rows = []
    for name in dict.fromkeys([*names, *(name for column in measured["calls"].values() for name in column)]):
        cells = []
        for column in columns:
            figures = measured["calls"][column]
            cpu = figures.get(name, {}).get("cpu")
            raw = figures["aiohttp"]["cpu"]
            cells.append(f"{_spread(cpu)} · {number(ratio(cpu, raw))}{TIMES}" if cpu else "-")
        rows.append([name, *cells])
    head = ["client", *(f"{column.replace('/', ', ')} at once" for column in columns)]
    return f"One answer, not streamed: CPU µs per call, {TIMES} raw aiohttp:\n\n" + table(head, rows)


def _memory(measured: Mapping[str, Any]) -> str:
    rows = [
        [name, " · ".join(f"{count:,} open: {number(held / 1024)}" for count, held in held_by)]
        for name, held_by in measured["memory"].items()
    ]
    return "Memory per open stream, KiB of RSS:\n\n" + table(["client", "KiB a stream"], rows)


def _imports(measured: Mapping[str, Any]) -> str:
    rows = [
        [
            f"`import {name}`",
            _spread([seconds * 1e3 for seconds, _, _ in figures]),
            number(median(grown for _, grown, _ in figures) / 1e6),
            number(median(held for _, _, held in figures) / 1e6),
        ]
        for name, figures in measured["imports"].items()
    ]
    return "Import in a new process, over the bare interpreter:\n\n" + table(
        ["", "ms", "MB more", "MB in all"], rows
    )


def _small_parts(measured: Mapping[str, Any]) -> str:
    ours, theirs = measured["parts"]["ours"], measured["parts"]["litellm"]
    rows = []
    for length in ours[0]["translate"]:
        mine = median(part["translate"][length] for part in ours)
        peer = median(part["translate"][length] for part in theirs) if theirs else None
        rows.append(
            _compared(f"{length} messages to Anthropic's body, marks and JSON", mine, peer, "litellm")
        )
    mine = median(part["cost"] for part in ours)
    peer = median(part["cost"] for part in theirs) if theirs else None
    rows.append(_compared("`completion_cost`", mine, peer, "litellm"))
    frames = measured["frames"]
    if "ours" in frames:
        rows.append(
            _compared("AWS frame, 16 a read", median(frames["ours"]), median(frames["botocore"]), "botocore")
        )
    return "Small parts, CPU µs:\n\n" + table(["", "asynccache", "peer", "ratio"], rows)


def _compared(what: str, mine: float, peer: float | None, name: str) -> list[str]:
    if peer is None:
        return [what, number(mine), f"{name}: not installed", "-"]
    return [what, number(mine), f"{name} {number(peer)}", f"{number(peer / mine)}{TIMES}"]


def _growth(measured: Mapping[str, Any]) -> str:
    parts = measured["parts"]["ours"]
    lines = []
    for name, what in (
        ("chunks", "CPU µs per chunk of text, by chunks in the answer"),
        ("arguments", "CPU µs per piece of a tool call's arguments, by pieces"),
        ("depth", "CPU µs per chunk, by no-op stages added"),
    ):
        figures = {place: median(part[name][place] for part in parts) for place in parts[0][name]}
        lines.append(
            f"- {what}: " + " · ".join(f"{int(place):,}: {number(value)}" for place, value in figures.items())
        )
    figures = {
        place: median(part["translate"][place] for part in parts) / int(place)
        for place in parts[0]["translate"]
    }
    lines.append(
        "- CPU µs per message translated, by messages: "
        + " · ".join(f"{int(place):,}: {number(value)}" for place, value in figures.items())
    )
    streams = measured["at_once"]["asynccache"]
    lines.append(
        "- CPU µs per chunk, by streams of 200 chunks at once (16 a read): "
        + " · ".join(f"{place}: {number(median(samples))}" for place, samples in streams.items() if samples)
    )
    plots = "![](results/growth.svg)\n\n![](results/depth.svg)\n\n![](results/at-once.svg)"
    return "All from memory, through every stage, except the last:\n\n" + "\n".join(lines) + "\n\n" + plots


def _errors(measured: Mapping[str, Any]) -> str:
    if not measured["errors"]:
        return ""
    return "Not measured:\n\n" + "\n".join(f"- {name}: {error}" for name, error in measured["errors"].items())
