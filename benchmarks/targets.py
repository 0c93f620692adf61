"""The project's own targets, each with the ratio measured in this run; a miss says why."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.clients import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


TIMES = "\N{MULTIPLICATION SIGN}"


class Target(NamedTuple):
    """One bound and what was measured."""

    what: str
    bound: float
    figure: float | None
    upper: bool = True
    unit: str = TIMES
    why: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure keeps the bound, before it is rounded to be printed."""
        if self.figure is None:
            return False
        return self.figure <= self.bound if self.upper else self.figure >= self.bound


_STAGES = (
    "beside the same decoding there are the event that the caller's stages see, the public chunk (three Structs "
    "and one coroutine) and the running whole, some steps more for a read, and once a call "
    "all that the rows on calls count; what the reference does not do cannot be made to cost nothing in Python"
)
_PER_CALL = (
    "a call checks the request, plans marks, finds address and key, runs five stages, keeps the clocks that end every "
    "wait, reads a usage with its invariants and prices it bucket by bucket. `python -m benchmarks.instructions` counts "
    "918,000 instructions, twice those of raw aiohttp, which are among them; what runs once between two waits is cold, "
    "so in time it weighs more"
)
_FIRST = "{theirs:.1f} ms against {mine:.2f}; raw aiohttp itself takes {raw:.2f} here, of which {theirs:.1f} is {times:.0f} times"
# CPU µs a chunk of the peers when the targets were set.
_WAS = {("litellm", "openai"): 500, ("openai", "openai"): 184, ("anthropic", "anthropic"): 51,
        ("aiobotocore", "converse"): 39, ("litellm", "converse"): 420}  # fmt: skip


def targets(measured: Mapping[str, Any]) -> Iterator[Target]:
    """Every target of the project that this suite measures."""
    yield from _streams(measured)
    yield from _calls(measured)
    yield from _small(measured)
    yield from _growth(measured)


def _cpu(measured: Mapping[str, Any], setting: str, name: str) -> list[float]:
    return list(measured["streams"].get(setting, {}).get(name, {}).get("cpu") or [])


def _of(measured: Mapping[str, Any], setting: str, over: str, under: str) -> float | None:
    from benchmarks.report import ratio

    one, other = _cpu(measured, setting, over), _cpu(measured, setting, under)
    return ratio(one, other) if one and other else None


def _streams(measured: Mapping[str, Any]) -> Iterator[Target]:
    names = {"openai": "OpenAI", "anthropic": "Anthropic", "converse": "Converse"}
    for setting, how in (
        ("2000/16x1/0", "16 a write"),
        ("2000/16/150", "16 a read (harder: a wake-up each)"),
    ):
        for wire, name in names.items():
            figure = _of(measured, f"{wire}/{setting}", "asynccache", REFERENCE)
            yield Target(f"{name} chunk, {how}, against {REFERENCE}", 1.3, figure, why=_STAGES)
    for peer, wire, bound, one in (
        ("litellm", "openai", 100, 7),
        ("openai", "openai", 35, 4),
        ("anthropic", "anthropic", 10, None),
        ("aiobotocore", "converse", 8, None),
        ("litellm", "converse", 100, None),
    ):
        setting = f"{wire}/2000/16x1/0"
        figure = _of(measured, setting, peer, "asynccache")
        took, ours, least = (
            median(_cpu(measured, setting, name) or [0]) for name in (peer, "asynccache", REFERENCE)
        )
        why = (
            f"{peer} took {_WAS[peer, wire]} µs a chunk when the target was set, and {took:.0f} here; "
            f"asynccache takes {ours:.1f}, {REFERENCE} {least:.1f}"
        )
        what = f"{wire} chunk, 16 a write: {peer} over asynccache"
        yield Target(what, bound, figure, upper=False, why=why)
        if one is not None:
            figure = _of(measured, f"{wire}/2000/1/150", peer, "asynccache")
            what = f"{wire} chunk, one a packet: {peer} over asynccache"
            yield Target(
                what, one, figure, upper=False, why="the wake-up dominates, and it is the same for both"
            )
    for wire, name in names.items():
        figure = _of(measured, f"{wire}/2000/1/150", "asynccache", REFERENCE)
        yield Target(f"{name} chunk, one a packet, against {REFERENCE}", 1.1, figure, why=_STAGES)


def _calls(measured: Mapping[str, Any]) -> Iterator[Target]:
    from benchmarks.report import ratio

    first = measured["first"]
    if first.get("asynccache"):
        figure = ratio(first["asynccache"], first["aiohttp"])
        yield Target("time to the first text, against raw aiohttp", 1.4, figure, why=_PER_CALL)
        peer = ratio(first["litellm"], first["asynccache"]) if first.get("litellm") else None
        theirs, mine, raw = (median(first.get(name) or [0]) for name in ("litellm", "asynccache", "aiohttp"))
        why = _FIRST.format(theirs=theirs, mine=mine, raw=raw, times=theirs / raw)
        yield Target("time to the first text: litellm over asynccache", 20, peer, upper=False, why=why)
    for at_once in (1, 64, 512):
        figures = measured["calls"][f"openai/{at_once}"]
        mine = figures["asynccache"]["cpu"]
        figure = ratio(mine, figures["aiohttp"]["cpu"])
        yield Target(f"a call, {at_once} at once, CPU against raw aiohttp", 1.4, figure, why=_PER_CALL)
        theirs = figures.get("litellm", {}).get("cpu")
        peer = median(theirs) / median(mine) if theirs else None
        yield Target(
            f"a call, {at_once} at once: litellm over asynccache", 15, peer, upper=False, why=_PER_CALL
        )


def _small(measured: Mapping[str, Any]) -> Iterator[Target]:
    frames = measured["frames"]
    figure = median(frames["botocore"]) / median(frames["ours"]) if "ours" in frames else None
    yield Target("a Bedrock frame: botocore over asynccache", 5, figure, upper=False)
    ours, theirs = measured["parts"]["ours"], measured["parts"]["litellm"]
    cost = median(part["cost"] for part in theirs) / median(part["cost"] for part in ours) if theirs else None
    why = "a sum with its breakdown from the dict of an answer, every bucket exact; LiteLLM's own grew faster, too"
    yield Target("`completion_cost`: litellm over asynccache", 100, cost, upper=False, why=why)
    long = (
        median(part["translate"]["1000"] for part in theirs)
        / median(part["translate"]["1000"] for part in ours)
        if theirs
        else None
    )
    why = "a look for marks at every message, the turns lined up, and the JSON; no message is copied"
    yield Target("1,000 messages translated: litellm over asynccache", 40, long, upper=False, why=why)
    imports = measured["imports"]
    if "asynccache" in imports:
        seconds = median(seconds for seconds, _, _ in imports["asynccache"])
        held = median(held for _, _, held in imports["asynccache"])
        yield Target("`import asynccache` over the interpreter", 80, seconds * 1e3, unit="ms")
        yield Target("memory of a process that has imported it", 25, held / 1e6, unit="MB")


def _growth(measured: Mapping[str, Any]) -> Iterator[Target]:
    parts = measured["parts"]["ours"]

    def of(name: str, place: int) -> float:
        return median(part[name][str(place)] for part in parts)

    stage = (of("depth", 20) - of("depth", 0)) / 20
    yield Target("one more no-op stage, per chunk", 0.2, stage, unit="µs")
    figure = of("chunks", 20_000) / of("chunks", 2_000)
    yield Target("a chunk of 20,000 against one of 2,000 (linear: 1)", 1.2, figure)
    figure = of("arguments", 10_000) / of("arguments", 1_000)
    yield Target("a piece of 10,000 tool arguments against one of 1,000 (linear: 1)", 1.2, figure)
    figure = of("translate", 1_000) / 10 / of("translate", 100)
    yield Target("a message of 1,000 against one of 100 (linear: 1)", 1.2, figure)
    streams = measured["at_once"]["asynccache"]
    if streams.get("512") and streams.get("16"):
        figure = median(streams["512"]) / median(streams["16"])
        yield Target("a chunk with 512 streams at once against 16 (linear: 1)", 1.2, figure)
    held = dict(measured["memory"].get("asynccache", []))
    for count in (1000, 2000):
        if count in held:
            yield Target(f"memory of one of {count} open streams", 60, held[count] / 1024, unit="KiB")
