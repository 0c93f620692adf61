"""Many streams at once, a tenth of them spoiled: nothing is lost, memory stands still, the loop runs on.

`python -m tests.soak.run --streams 1000 --pause 0.2` is the comparison with the peers (40 events, 0.2 s apart);
`python -m tests.soak.run --streams 2000 --minutes 10` the long one. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from asynccache import AsyncCacheError, Client, Timeout, Usage

BASES = {"openai": "/openai/v1", "anthropic": "/anthropic", "deepseek": "/deepseek"}
MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "deepseek": "deepseek-chat"}
FAULTS: list[dict[str, Any]] = [
    {"cut_event": 7, "end": "rst"},
    {"cut_event": 12, "end": "clean"},
    {"cut_event": 3, "end": "fin_in_chunk"},
    {"cut_event": 9, "end": "bad_chunk"},
]


def resident() -> float:
    """MB that this process holds."""
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * 4096 / 1e6


class Soak:
    """One run, and all that is counted of it."""

    def __init__(self, url: str, pause: float) -> None:
        self.url = url
        self.pause = pause
        self.told: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.lags: list[float] = []
        self.memory: list[tuple[float, float]] = []

    def note(self, usage: Usage) -> None:
        self.told.append(usage.source)

    async def call(self, client: Client, number: int) -> None:
        wire = list(BASES)[number % len(BASES)]
        fault: dict[str, Any] = {"delay_event": self.pause, "jitter_seed": number}
        if number % 10 == 9:
            fault |= FAULTS[number // 10 % len(FAULTS)]
        try:
            stream = await client.acompletion(
                f"{wire}/{MODELS[wire]}", [{"role": "user", "content": "soak"}], stream=True, api_key="k",
                api_base=self.url + BASES[wire], extra_headers={"x-simulator": json.dumps({"fault": fault})},
            )  # fmt: skip
            async with stream:
                async for _ in stream:
                    pass
            assert stream.usage is not None
            self.outcomes[stream.usage.source] += 1
        except AsyncCacheError as error:
            self.outcomes[type(error).__name__] += 1

    async def watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            self.lags.append(time.perf_counter() - before - 0.01)
            if len(self.lags) % 100 == 0:
                self.memory.append((time.monotonic(), resident()))

    async def run(self, streams: int, minutes: float) -> dict[str, Any]:
        before = resident()
        watch = asyncio.ensure_future(self.watch())
        begun = time.monotonic()
        calls = 0
        async with Client(
            max_retries=0, max_connections=streams, on_usage=self.note, timeout=Timeout(idle=30)
        ) as client:
            if minutes:
                end = begun + minutes * 60
                numbers = iter(range(10**9))

                async def again() -> None:
                    while time.monotonic() < end:
                        await self.call(client, next(numbers))

                await asyncio.gather(*(again() for _ in range(streams)))
                calls = next(numbers)
            else:
                await asyncio.gather(*(self.call(client, number) for number in range(streams)))
                calls = streams
            wall = time.monotonic() - begun
            held = client.connections
        watch.cancel()
        lags = sorted(self.lags)
        return {
            "streams": streams, "calls": calls, "wall_s": round(wall, 2), "cpu_s": round(time.process_time(), 2),
            "rss_before_mb": round(before, 1), "rss_most_mb": round(max(m for _, m in [*self.memory, (0, resident())]), 1),
            "rss_slope_mb_per_min": self.slope(begun), "lag_p99_ms": round(lags[int(len(lags) * 0.99)] * 1e3, 1),
            "lag_worst_ms": round(lags[-1] * 1e3, 1), "rows": len(self.told), "outcomes": dict(self.outcomes),
            "sources": dict(Counter(self.told)), "connections_at_end": held,
        }  # fmt: skip

    def slope(self, begun: float) -> float | None:
        """MB a minute, after the first fifth of the run."""
        if len(self.memory) < 20:
            return None
        points = [(at - begun, held) for at, held in self.memory[len(self.memory) // 5 :]]
        middle = sum(at for at, _ in points) / len(points)
        mean = sum(held for _, held in points) / len(points)
        spread = sum((at - middle) ** 2 for at, _ in points)
        return round(60 * sum((at - middle) * (held - mean) for at, held in points) / spread, 2)


def soak(streams: int, *, events: int = 40, pause: float = 0.2, minutes: float = 0.0) -> dict[str, Any]:
    """One run against a server in a process of its own."""
    command = [sys.executable, "-m", "tests.soak.server", str(events)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        measured = asyncio.run(Soak(url, pause).run(streams, minutes))
        server.stdin.write("\n")
        server.stdin.flush()
        measured["server"] = json.loads(server.stdout.readline())
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--events", type=int, default=40)
    parser.add_argument("--pause", type=float, default=0.2)
    parser.add_argument("--minutes", type=float, default=0.0)
    given = parser.parse_args()
    measured = soak(given.streams, events=given.events, pause=given.pause, minutes=given.minutes)
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main()
