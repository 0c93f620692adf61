"""Many calls over all wires with a ledger, a tenth of them spoiled and a tenth cancelled: rows beside the relay's log."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import anyio

from asynccache import AsyncCacheError, Client, Usage, default_stages
from asynccache.retry import Retry, retry
from asynccache.simulator import Simulator
from asynccache.simulator.faults import Faults
from asynccache.usage.ledger import open_ledger
from asynccache.usage.ledger_report import read_rows
from asynccache.usage.recorder import record_usage

from ..ledger.victim import Names
from .rig import WIRES, Rig, settings

AT_ONCE = 24
FAULTS: list[dict[str, Any]] = [
    {"fault": {"cut_event": 0, "end": "rst"}},
    {"fault": {"cut_event": 4, "end": "rst"}},
    {"fault": {"cut_event": 6, "end": "clean"}},
    {"fault": {"cut_event": 5, "end": "fin_in_chunk"}},
    {"fault": {"cut_event": 7, "end": "bad_chunk", "delay_event": 0.001}},
    {"fault": {"no_answer": True}},
    {"fault": {"body": "<html>", "content_type": "text/html"}},
    {"scenario": {"status": 500}},
    {"scenario": {"status": 429, "retry_after": "0"}},
    {"scenario": {"status": 400}},
    {"scenario": {"error_after_events": 4}},
]


class Heard:
    """A recorder that counts what it is told of each attempt."""

    def __init__(self) -> None:
        self.settled: Counter[str] = Counter()

    def open(self, attempt_id: str, _request: Any, /) -> None:
        pass

    def settle(self, attempt_id: str, _usage: Usage, _model: str | None, _error: Any, /) -> None:
        self.settled[attempt_id] += 1


async def one(rig: Rig, client: Client, chance: random.Random) -> str:
    """A call of any kind; how it ended."""
    wire = chance.choice(list(WIRES))
    dice = chance.random()
    asked: dict[str, Any] = chance.choice(FAULTS) if dice < 0.1 else {}
    wait: float | None = None
    if 0.1 <= dice < 0.2:
        wait = chance.uniform(0, 0.03)
        asked = {"fault": {"delay_event": 0.002}}
    try:
        with anyio.move_on_after(wait) as scope:
            arguments = rig.arguments(wire, **asked)
            if chance.random() < 0.5:
                await client.acompletion(**arguments)
            else:
                async with await client.acompletion(**arguments, stream=True) as stream:
                    async for _ in stream:
                        pass
    except AsyncCacheError as error:
        return type(error).__name__
    return "cancelled" if scope.cancelled_caught else "ok"


async def account(calls: int, path: Path, *, seed: int) -> dict[str, Any]:
    """Make *calls*, and count what is missing, doubled or wrong."""
    chance = random.Random(seed)
    heard, names = Heard(), Names()
    stages = [Retry(first_wait=0.001) if stage is retry else stage for stage in default_stages()]
    stages.insert(stages.index(record_usage) + 1, names.stage)
    outcomes: Counter[str] = Counter()
    left = iter(range(calls))
    async with Simulator(settings()) as sim, Faults(sim) as faults:
        rig = Rig(sim, faults)
        ledger = await asyncio.to_thread(open_ledger, path)
        async with (
            ledger,
            Client(ledger.within(stages), recorders=[ledger, names, heard], max_retries=2) as client,
        ):

            async def work() -> None:
                for _ in left:
                    outcomes[await one(rig, client, chance)] += 1

            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(work())
            assert await ledger.flush()
            counters = ledger.counters
        await rig.client.aclose()
    rows = {row.attempt_id: row for row in await asyncio.to_thread(read_rows, ledger.source)}
    log = {
        record.scenario.partition('"id": "')[2].partition('"')[0]: record
        for record in faults.log
        if record.scenario
    }
    return {
        "calls": sum(outcomes.values()),
        "outcomes": dict(outcomes),
        "attempts on the wire": len(faults.log),
        "sent twice": len(faults.log) - len(log),
        "rows": len(rows),
        "missing": len(log.keys() - rows.keys()),
        "of nobody": sum(rows[name].outcome != "cancelled" for name in rows.keys() - log.keys()),
        "doubled": counters.repeated + sum(count - 1 for count in heard.settled.values()),
        "unheard": len(rows.keys() ^ heard.settled.keys()),
        "not settled": sum(row.state != "settled" for row in rows.values()),
        "lost": counters.lost + counters.failed,
        "false successes": sum(row.outcome == "ok" and not log[name].finished for name, row in rows.items()),
    }  # fmt: skip
