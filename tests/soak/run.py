"""Many streams at once, a tenth of them spoiled: nothing is lost, memory stands still, the loop runs on.

`python -m tests.soak.run --streams 1000` is the comparison with the peers (40 events, 0.2 s apart);
`python -m tests.soak.run --streams 2000 --minutes 10 --proxy` the long one, with a proxy and its ledger in between.
The client has one core, everything else the other. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asynccache import AsyncCacheError, Client, Timeout, Usage

from .proxied import Proxied, proxied
from .server import FAULTS

BASES = {"openai": "/openai/v1", "anthropic": "/anthropic", "deepseek": "/deepseek"}
MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "deepseek": "deepseek-chat"}
_TICK = 0.01  # seconds
_RAMP = 8.0  # seconds


def resident(process: str = "self") -> float:
    """MB that a process holds."""
    return int(Path(f"/proc/{process}/statm").read_bytes().split()[1]) * 4096 / 1e6


def pin(process: int, core: int) -> None:
    """Keep a process on one core, where there are two."""
    cores = sorted(os.sched_getaffinity(0) | os.sched_getaffinity(process))
    if len(cores) > 1:
        os.sched_setaffinity(process, {cores[core % len(cores)]})


class Soak:
    """One run, and all that is counted of it."""

    def __init__(self, url: str, proxy: Proxied | None = None) -> None:
        self.url = url
        self.proxy = proxy
        self.told: Counter[str] = Counter()
        self.tokens = 0
        """Of the prompts of whole answers, as the answers told."""
        self.outcomes: Counter[str] = Counter()
        self.lags = array("f")
        self.busy = array("f")
        """CPU seconds of this thread between two looks: the lag on a machine that has nothing else to do."""
        self.memory: list[tuple[float, float]] = []

    def note(self, usage: Usage) -> None:
        self.told[usage.source] += 1
        if usage.source == "provider":
            self.tokens += usage.prompt_tokens or 0

    def _asked(self, number: int) -> dict[str, Any]:
        wire = list(BASES)[number % len(BASES)]
        fault = FAULTS[number // 10 % len(FAULTS)] if number % 10 == 9 else "whole"
        if self.proxy is not None:
            return {"model": f"openai/{fault}-{wire}", "api_base": f"{self.proxy.url}/v1"}
        return {"model": f"{wire}/{MODELS[wire]}", "api_base": f"{self.url}/{fault}{BASES[wire]}"}

    async def call(self, client: Client, number: int) -> None:
        messages = [{"role": "user", "content": f"soak-{number + 1}"}]
        try:
            stream = await client.acompletion(
                messages=messages, stream=True, api_key="k", **self._asked(number)
            )
            async with stream:
                async for _ in stream:
                    pass
            assert stream.usage is not None
            self.outcomes[stream.usage.source] += 1
        except AsyncCacheError as error:
            self.outcomes[type(error).__name__] += 1

    async def watch(self) -> None:
        looked = 0.0
        while True:
            before, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(_TICK)
            self.lags.append(time.perf_counter() - before - _TICK)
            self.busy.append(time.thread_time() - worked)
            if before - looked >= 1.0:
                looked = before
                self.memory.append((time.monotonic(), resident()))
                if self.proxy is not None:
                    self.proxy.look()

    async def run(self, streams: int, minutes: float) -> dict[str, Any]:
        before, worked = resident(), time.process_time()
        watch = asyncio.ensure_future(self.watch())
        begun = time.monotonic()
        async with Client(
            max_retries=0, max_connections=streams, on_usage=self.note, timeout=Timeout(idle=30)
        ) as client:
            calls = await self._load(client, streams, begun + minutes * 60 if minutes else None)
            wall = time.monotonic() - begun
            held = client.connections
        watch.cancel()
        most = max(held for _, held in [*self.memory, (0.0, resident())])
        return {
            "streams": streams, "calls": calls, "wall_s": round(wall, 2),
            "cpu_s": round(time.process_time() - worked, 2), "rss_before_mb": round(before, 1),
            "rss_most_mb": round(most, 1), "rss_slope_mb_per_min": slope(self.memory),
            "lag_p99_ms": at(self.lags, 0.99), "lag_worst_ms": at(self.lags, 1.0),
            "busy_p99_ms": at(self.busy, 0.99), "busy_worst_ms": at(self.busy, 1.0),
            "rows": self.told.total(), "sources": dict(self.told), "tokens": self.tokens,
            "outcomes": dict(self.outcomes), "connections_at_end": held,
        }  # fmt: skip

    async def _load(self, client: Client, streams: int, until: float | None) -> int:
        """All at once, or, for minutes, one after the other within the time of an answer."""
        numbers = iter(range(10**9))

        async def ask(place: int) -> None:
            await asyncio.sleep(_RAMP * place / streams if until else 0)
            await self.call(client, next(numbers))
            while until is not None and time.monotonic() < until:
                await self.call(client, next(numbers))

        await asyncio.gather(*(ask(place) for place in range(streams)))
        return next(numbers)


def at(values: Sequence[float], share: float) -> float:
    """The value that *share* of them do not exceed, of seconds, in milliseconds."""
    return round(sorted(values)[min(int(len(values) * share), len(values) - 1)] * 1e3, 1)


def slope(memory: list[tuple[float, float]]) -> float | None:
    """MB a minute, after the first fifth of the run."""
    points = memory[len(memory) // 5 :]
    if len(points) < 20:
        return None
    middle = sum(when for when, _ in points) / len(points)
    mean = sum(held for _, held in points) / len(points)
    spread = sum((when - middle) ** 2 for when, _ in points)
    return round(60 * sum((when - middle) * (held - mean) for when, held in points) / spread, 2)


@contextmanager
def provider(events: int, pause: float, measured: dict[str, Any]) -> Iterator[str]:
    """The provider in a process of its own, on the other core; in the end *measured* has what it saw."""
    command = [sys.executable, "-m", "tests.soak.server", str(events), str(pause)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        pin(server.pid, 1)
        yield server.stdout.readline().strip()
        server.stdin.write("\n")
        server.stdin.flush()
        measured["server"] = json.loads(server.stdout.readline())


def soak(
    streams: int, *, events: int = 40, pause: float = 0.2, minutes: float = 0.0, proxy: bool = False
) -> dict[str, Any]:
    """One run."""
    cores, (soft, hard) = os.sched_getaffinity(0), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    measured: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory() as folder, provider(events, pause, measured) as url:
            if not proxy:
                pin(0, 0)
                measured |= asyncio.run(Soak(url).run(streams, minutes))
            else:
                with proxied(url, Path(folder)) as between:
                    pin(between.process.pid, 1)
                    pin(0, 0)
                    measured |= asyncio.run(Soak(url, between).run(streams, minutes))
                    measured["proxy"] = between.measured()
    finally:
        os.sched_setaffinity(0, cores)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--events", type=int, default=40)
    parser.add_argument("--pause", type=float, default=0.2)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--proxy", action="store_true")
    given = parser.parse_args()
    sys.stdout.write(json.dumps(soak(**vars(given))) + "\n")


if __name__ == "__main__":
    main()
