"""The figures of `docs/reliability.md`, measured: `python -m tests.reliability.measure [section …]`.

Each section writes what it found into `figures.json`, with the command and the day; `python -m
tests.reliability.catalogue --write` puts them on the page. A quiet machine is wanted for all but the counts.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import anyio

from asynccache import Client
from asynccache.simulator import Simulator
from asynccache.simulator.faults import Faults

from ..soak.run import soak
from .accounts import account
from .clocked import CLOCKS, LIMIT
from .relay import relay
from .rig import SSE, WIRES, Rig, settings
from .watch import MIB, Watch

FIGURES = Path(__file__).with_name("figures.json")
TESTS = Path(__file__).resolve().parents[1]


async def with_rig(work: Callable[[Rig], Any]) -> Any:
    async with Simulator(settings()) as sim, Faults(sim) as faults:
        rig = Rig(sim, faults)
        async with rig.client:
            for wire in WIRES:  # what is loaded on first use is loaded
                await rig.ask(wire)
                await rig.ask(wire, scenario={"status": 429})
            return await work(rig)


async def clocks(rig: Rig, *, times: int = 5) -> dict[str, float]:
    """Milliseconds after its limit, at worst, that each clock fired."""
    late: dict[str, float] = {}
    for name, clock in CLOCKS.items():
        for _ in range(times):
            took, phase = await clock(rig)
            assert phase == name.partition(":")[0], (name, phase)
            late[name] = max(late.get(name, -1e9), round((took - LIMIT) * 1e3, 1))
    return late


async def pauses(rig: Rig) -> dict[str, Any]:
    """Seconds waited for each form of Retry-After, and milliseconds until an hour is refused."""

    async def wait(number: int, **headers: str) -> float:
        fault = {"status": 429, "body": "{}", "headers": {**headers, "x-number": str(number)}, "times": 1}
        async with Client(max_retries=1) as client:
            outcome = await rig.ask("openai", client=client, fault=fault)
        assert outcome.error is None
        return round(outcome.took, 4)

    date = format_datetime(datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3), usegmt=True)
    left = (
        datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC) - datetime.now(UTC)
    ).total_seconds()
    waited = {f"a date {left:.3f} s ahead": (left, await wait(0, **{"retry-after": date}))}
    waited["1 s"] = (1.0, await wait(1, **{"retry-after": "1"}))
    waited["2.5 s"] = (2.5, await wait(2, **{"retry-after": "2.5"}))
    waited["400 ms"] = (0.4, await wait(3, **{"retry-after-ms": "400"}))
    hours = []
    async with Client(max_retries=3) as client:
        for number in range(41):
            fault = {"status": 429, "body": "{}", "headers": {"retry-after": "3600", "x-number": str(number)}}
            outcome = await rig.ask("openai", client=client, fault=fault)
            assert outcome.error is not None
            assert outcome.error.retry_after == 3600
            hours.append(outcome.took * 1e3)
    return {"waited": waited, "an hour, ms": {"median": round(statistics.median(hours), 2), "worst": round(max(hours), 2)}}  # fmt: skip


async def leaving(rig: Rig, *, times: int = 20) -> dict[str, float]:
    """Milliseconds, at worst, until the server sees the end of a connection that was left."""
    worst: dict[str, float] = {}
    for wire in WIRES:
        for way in ("aclose", "cancel", "error", "drop"):
            for _ in range(times):
                asked = rig.arguments(wire, fault={"cut_event": 6, "end": "stall"})
                stream: Any = await rig.client.acompletion(**asked, stream=True)
                await stream.__anext__()
                if way == "cancel":
                    task = asyncio.ensure_future(stream_to_end(stream))
                    await asyncio.sleep(0.005)
                    task.cancel()
                    begun = time.perf_counter()
                    await asyncio.wait([task])
                elif way == "error":
                    begun = time.perf_counter()
                    try:
                        async with stream:
                            raise ZeroDivisionError
                    except ZeroDivisionError:
                        pass
                elif way == "drop":
                    import warnings

                    begun = time.perf_counter()
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", ResourceWarning)
                        del stream
                else:
                    begun = time.perf_counter()
                    await stream.aclose()
                while rig.faults.open:
                    await asyncio.sleep(0)
                worst[way] = round(max(worst.get(way, 0.0), (time.perf_counter() - begun) * 1e3), 2)
    return worst


async def stream_to_end(stream: Any) -> None:
    async for _ in stream:
        pass


async def bounds() -> dict[str, Any]:
    """Memory and the loop's worst pause, the server in another process; the loop's own noise beside it."""
    faults: dict[str, dict[str, Any]] = {
        "a line without end": {"cut_event": 3, "end": "flood"},
        "a gzip bomb": {"cut_event": 3, "end": "bomb", "encoding": "gzip"},
        "an event of 64 MiB": {"event_size": 64 * MIB},
    }
    told: dict[str, Any] = {}
    with relay() as bases:
        async with Client(max_retries=0) as client, Simulator() as sim, Faults(sim) as here:
            rig = Rig(sim, here)
            for wire in SSE:
                await rig.ask(wire, client=client, base=bases[wire])
            async with Watch() as watch:
                await anyio.sleep(1)
            told["nothing"] = {"loop lag, ms": round(watch.lag * 1e3, 1)}
            for name, fault in faults.items():
                worst: dict[str, Any] = {
                    "error": set(),
                    "memory, MB": 0.0,
                    "loop lag, ms": 0.0,
                    "took, s": 0.0,
                }
                for wire in SSE:
                    async with Watch() as watch:
                        outcome = await rig.ask(wire, client=client, base=bases[wire], fault=fault)
                    worst["error"].add(type(outcome.error).__name__)
                    worst["memory, MB"] = max(worst["memory, MB"], round(watch.most / 1e6, 1))
                    worst["loop lag, ms"] = max(worst["loop lag, ms"], round(watch.lag * 1e3, 1))
                    worst["took, s"] = max(worst["took, s"], round(outcome.took, 2))
                worst["error"] = sorted(worst["error"])
                told[name] = worst
            await rig.client.aclose()
    return told


async def accounts() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return await account(10_000, Path(folder) / "ledger.db", seed=4711)


def run_tests(*arguments: str, long: bool = False) -> str:
    """Run tests with a report, which comes back; every one of them must pass."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--timeout=0", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junitxml={report}"]  # fmt: skip
        extra = {"ASYNCCACHE_LONG": "1"} if long else {}
        subprocess.run([*command, *arguments], check=True, cwd=TESTS.parent, env={**os.environ, **extra})
        return report.read_text()


def points() -> dict[str, int]:
    report = run_tests(
        "tests/reliability/test_points.py", "tests/reliability/test_proxy_points.py", "tests/test_leaving.py"
    )
    counted = [int(number) for number in re.findall(r'name="points" value="(\d+)"', report)]
    return {"points": sum(counted), "runs": len(counted)}


def splits() -> dict[str, int]:
    report = run_tests("tests/reliability/test_properties.py", "-k", "random_splits", long=True)
    return {
        name: int(number) for name, number in re.findall(r'name="(splits|streams)" value="(\d+)"', report)
    }


def kills() -> list[str]:
    """What each test of kills says of itself, 200 times each."""
    tests = ("tests/ledger/test_kill.py", "tests/proxy/test_kills.py::test_a_proxy_is_killed_200_times")
    command = [sys.executable, "-m", "pytest", "-q", "-s", "--timeout=0", "-p", "no:cacheprovider", *tests]
    environ = {**os.environ, "ASYNCCACHE_KILLS": "200"}
    run = subprocess.run(command, check=True, cwd=TESTS.parent, env=environ, capture_output=True, text=True)
    found = sorted(
        re.findall(r"^\.?(200 kills.*)$", run.stdout, re.MULTILINE), key=lambda line: "seed" in line
    )
    assert len(found) == 3, run.stdout
    return [f"{what}: {line}" for what, line in zip(("ledger", "ledger", "proxy"), found, strict=True)]


def soaked() -> dict[str, Any]:
    """1,000 streams at once on one core, as the peers had them."""
    return soak(1000)


def soaked_long() -> dict[str, Any]:
    """2,000 streams at once for ten minutes, through the proxy and its ledger, on two cores."""
    return soak(2000, minutes=10, proxy=True)


SECTIONS: dict[str, Callable[[], Any]] = {
    "accounts": lambda: asyncio.run(accounts()),
    "bounds": lambda: asyncio.run(bounds()),
    "clocks": lambda: asyncio.run(with_rig(clocks)),
    "kills": kills,
    "leaving": lambda: asyncio.run(with_rig(leaving)),
    "pauses": lambda: asyncio.run(with_rig(pauses)),
    "points": points,
    "soak": soaked,
    "soak_long": soaked_long,
    "splits": splits,
}


def main(*sections: str) -> None:
    unknown = set(sections) - set(SECTIONS)
    if unknown:
        sys.exit(f"no section {sorted(unknown)}; there are {sorted(SECTIONS)}")
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # the simulator's callers leave
    for section in sections or SECTIONS:
        told = SECTIONS[section]()
        figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
        figures[section] = {
            "command": f"python -m tests.reliability.measure {section}",
            "day": datetime.now(UTC).date().isoformat(),
            "told": told,
        }
        FIGURES.write_text(json.dumps(figures, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        sys.stdout.write(f"{section}: {json.dumps(told, ensure_ascii=False)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
