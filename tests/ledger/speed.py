"""How fast a ledger is: ``python -m tests.ledger.speed [LEDGER]``, a new file in a temporary folder by default."""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from asynccache.client import Client, default_stages
from asynccache.testing import simulator
from asynccache.usage.ledger import Ledger, open_ledger
from tests.ledger.attempts import FULL, REQUEST

ROWS = 20_000
CALLS = 1000


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


async def in_a_burst(ledger: Ledger) -> None:
    """What the caller's side pays, and how fast the writer follows."""
    gc.collect()
    began = time.perf_counter()
    for number in range(ROWS):
        ledger.open(f"burst-{number}", REQUEST)
        ledger.settle(f"burst-{number}", FULL, "m", None)
    caller = time.perf_counter() - began
    assert await ledger.flush(timeout=120)
    took = time.perf_counter() - began
    counters = ledger.counters
    say(
        f"burst: open + settle {caller / ROWS * 1e6:.1f} µs on the caller's side;"
        f" {ROWS / took:,.0f} settles/s durable, {counters.written} rows in {counters.groups} transactions"
    )


async def one_by_one(ledger: Ledger) -> None:
    """How long a lone row takes until it is durable."""
    took: list[float] = []
    for number in range(500):
        await asyncio.sleep(0.001)
        began = time.perf_counter()
        ledger.open(f"lone-{number}", REQUEST)
        assert await ledger.opened(f"lone-{number}")
        took.append(time.perf_counter() - began)
        ledger.settle(f"lone-{number}", FULL, "m", None)
        assert await ledger.flush()
    cuts = statistics.quantiles(took, n=100)
    say(f"lone: durable in {cuts[49] * 1e6:,.0f} µs (median), {cuts[98] * 1e6:,.0f} µs (p99)")


async def in_calls(ledger: Ledger | None, at_once: int) -> tuple[float, float]:
    """Seconds per call through a real client, the simulator in the same process: by the clock, and of CPU."""
    stages = default_stages()
    async with AsyncExitStack() as stack:
        sim = await stack.enter_async_context(simulator(answer="yes"))
        client = await stack.enter_async_context(
            Client(
                stages=stages if ledger is None else ledger.within(stages),
                recorders=() if ledger is None else (ledger,),
            )
        )

        async def work(calls: int) -> None:
            for _ in range(calls):
                await client.acompletion(
                    "openai/gpt-4o", [{"role": "user", "content": "x"}], api_base=sim.openai_base, api_key=""
                )

        await work(50)
        began, busy = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work(CALLS // at_once) for _ in range(at_once)))
        return (time.perf_counter() - began) / CALLS, (time.process_time() - busy) / CALLS


async def main(where: str) -> None:
    async with open_ledger(where) as ledger:
        say(repr(ledger))
        await in_a_burst(ledger)
        await one_by_one(ledger)
        for at_once in (1, 16):
            off, on = [], []
            for _ in range(5):  # by turns, so that a busy machine is busy for both
                off.append(await in_calls(None, at_once))
                on.append(await in_calls(ledger, at_once))
            for place, what in enumerate(("clock", "CPU")):
                without, with_it = (statistics.median(run[place] for run in runs) * 1e6 for runs in (off, on))
                say(
                    f"calls, {at_once} at once, {what}: {without:,.0f} µs without, {with_it:,.0f} µs with the ledger"
                    f" and its stage (+{with_it - without:,.0f} µs a call)"
                )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(main(str(Path(folder) / "ledger.db")))
