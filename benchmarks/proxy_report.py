"""The Proxy section of RESULTS.md: targets first, then every figure, written between two markers."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.proxy_servers import OURS, PEERS, RELAY
from benchmarks.report import number, put_section, table, targets_table
from benchmarks.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BEGIN, END = "<!-- proxy: begin -->", "<!-- proxy: end -->"
_DIRECT = "upstream alone"
_CASES = {
    "1": "1 client",
    "16": "16 clients",
    "128": "128 clients",
    "streams": "streams of 200 chunks, 128 clients",
}


def write_proxy(measured: Mapping[str, Any], path: Path) -> None:
    """Put the section in its place."""
    put_section(path, BEGIN, END, _section(measured))


def _section(measured: Mapping[str, Any]) -> str:
    parts = [
        "## Proxy",
        _about(measured["about"]),
        "### Targets of the proxy\n\n" + targets_table(_all_targets(measured)),
        "### One process on one core\n\n" + _processes(measured),
        *(f"{name}:\n\n{_case(measured, case)}" for case, name in _CASES.items()),
        "Other formats, asynccache alone:\n\n" + _others(measured),
        _errors(measured),
    ]
    return "\n\n".join(part for part in parts if part)


def _about(about: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    where = (
        "The server that is measured has one core to itself, load and upstream have the other"
        if about["cores"] > 1
        else "Load, upstream and server share one core"
    )
    return (
        f"{about['date']}, Python {about['python']}, {about['cores']} cores, {about['seconds']} s; {versions}. Written by "
        "`python -m benchmarks.proxy --litellm PYTHON --portkey FOLDER`, raw figures in [proxy.json](results/proxy.json).\n\n"
        f"{where}. The load is raw connections that ask again as soon as they are answered; the upstream writes "
        f"pre-built bytes. Servers take turns, case by case, {about['rounds']} rounds; a figure is the median over rounds. "
        "Each answer's status and text are checked, of streams the number of pieces, and one in fifty to the letter. "
        "The *bare aiohttp relay* reads, checks and counts nothing: what it costs is aiohttp's. *Added* is over the same load sent to the upstream itself in the same round. A server that does not answer "
        "each of its clients twice a second is measured once, until each has one answer."
    )


def _of(measured: Mapping[str, Any], case: str, name: str, figure: str) -> float | None:
    samples = measured["cases"].get(case, {}).get(name, {}).get(figure)
    return median(samples) if samples else None


def _added(measured: Mapping[str, Any], case: str, name: str, figure: str) -> float | None:
    mine = measured["cases"].get(case, {}).get(name, {}).get(figure)
    direct = measured["cases"].get(case, {}).get(_DIRECT, {}).get(figure)
    if not mine or not direct:
        return None
    return median(one - other for one, other in zip(mine, direct, strict=False))


def _over(measured: Mapping[str, Any], case: str, name: str, peer: str) -> float | None:
    mine, theirs = _of(measured, case, name, "rate"), _of(measured, case, peer, "rate")
    return mine / theirs if mine and theirs else None


def _all_targets(measured: Mapping[str, Any]) -> Iterator[Target]:
    for name in OURS:
        cpu, theirs = (_of(measured, "16", who, "cpu") for who in (name, PEERS[0]))
        relay = _of(measured, "16", RELAY, "cpu") or 0
        floor = f"a relay on aiohttp that does nothing else {relay:.2f}"
        both = (
            f"it takes {cpu or 0:.2f} ms of CPU a request, {floor}, LiteLLM {theirs:.1f} (23 when the target was set)"
            if theirs
            else ""
        )
        for case in ("16", "128"):
            figure = _over(measured, case, name, PEERS[0])
            yield Target(
                f"{name}: requests/s over LiteLLM's, {case} clients", 60, figure, upper=False, why=both
            )
        cpu, theirs = (_of(measured, "16", who, "cpu") for who in (name, PEERS[1]))
        both = (
            f"it takes {cpu or 0:.2f} ms of CPU a request, {floor}, Portkey {theirs:.2f} (2.2 when the target was set)"
            if theirs
            else ""
        )
        for case in ("16", "128"):
            figure = _over(measured, case, name, PEERS[1])
            yield Target(
                f"{name}: requests/s over Portkey's, {case} clients", 4, figure, upper=False, why=both
            )
        added = _added(measured, "1", name, "p50")
        why = f"p50 {_of(measured, '1', name, 'p50') or 0:.2f} ms, of which the upstream alone is {_of(measured, '1', _DIRECT, 'p50') or 0:.2f}"
        yield Target(f"{name}: added p50 at one client", 1, added, unit="ms", why=why)
        kept = measured["servers"].get(name, {})
        started = kept.get("started") or ()
        why = "starts took " + ", ".join(f"{one:.2f}" for one in started) + " s"
        yield Target(f"{name}: ready", 1, median(started) if started else None, unit="s", why=why)
        most = kept.get("most")
        why = f"idle it holds {kept.get('idle', 0):.0f} MB; the rest are 128 open answers and what the allocator keeps of them"
        yield Target(f"{name}: RSS at its highest", 60, most, unit="MB", why=why)


def _processes(measured: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    for name in (RELAY, *OURS, *PEERS):
        kept = measured["servers"].get(name)
        if kept is None or "most" not in kept:
            rows.append([name, *["not installed"] * 7])
            continue
        started = f"{median(kept['started']):.2f}"
        figures = [_of(measured, case, name, "rate") for case in ("16", "streams")]
        cpu = [_of(measured, case, name, "cpu") for case in ("16", "streams")]
        shown = ["-" if value is None else number(value) for value in (*figures, *cpu)]
        rows.append([_bold(name), started, f"{kept['idle']:.0f}", f"{kept['most']:.0f}", *shown])
    head = [
        "", "ready, s", "RSS idle, MB", "highest", "requests/s at 16", "streams/s at 128", "CPU ms a request", "CPU ms a stream",
    ]  # fmt: skip
    return table(head, rows)


def _bold(name: str) -> str:
    return f"**{name}**" if name in OURS else name


def _case(measured: Mapping[str, Any], case: str) -> str:
    figures = measured["cases"].get(case, {})
    rows: list[list[str]] = []
    for name in (_DIRECT, RELAY, *OURS, *PEERS):
        kept = figures.get(name)
        if kept is None:
            rows.append([name, *["not measured"] * 6])
            continue
        times = [number(median(kept[figure])) for figure in ("p50", "p99")]
        added = [_added(measured, case, name, figure) for figure in ("p50", "p99")]
        over = ["-" if value is None or name == _DIRECT else number(value) for value in added]
        cpu = "-" if name == _DIRECT else number(median(kept["cpu"]))
        rows.append([_bold(name), number(median(kept["rate"])), *times, *over, cpu])
    return table(["", "a second", "p50 ms", "p99 ms", "added p50", "added p99", "CPU ms each"], rows)


def _others(measured: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    for case, figures in measured["others"].items():
        cells: list[str] = []
        for name in OURS:
            kept = figures.get(name)
            cells.append(
                f"{number(median(kept['rate']))} /s, {number(median(kept['cpu']))} ms" if kept else "-"
            )
        rows.append([case, *cells])
    return table(["", *(f"{name}: a second, CPU each" for name in OURS)], rows)


def _errors(measured: Mapping[str, Any]) -> str:
    if not measured["errors"]:
        return ""
    lines = [f"- {name}: {' '.join(error.split())[:300]}" for name, error in measured["errors"].items()]
    return "Not measured, or wrong:\n\n" + "\n".join(lines)
