"""Killed under load at random moments: every call that reached the provider has its row, and only one."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from asynccache.simulator import Record, Simulator
from asynccache.usage.ledger import open_ledger
from asynccache.usage.ledger_report import read_rows
from tests.waiting import PATIENCE

pytestmark = pytest.mark.anyio

KILLS = int(os.environ.get("ASYNCCACHE_KILLS", "30"))
"""In each database; ``ASYNCCACHE_KILLS=200 pytest tests/ledger/test_kill.py --timeout=0`` is the long run."""

MOST_CALLS = 80
"""That a child makes: a number, not a time, so that its work is the same on a machine that is busy."""

ROOT = Path(__file__).resolve().parents[2]


def attempt_of(record: Record) -> str:
    return str(json.loads(record.scenario or "{}")["id"])


def is_over(record: Record) -> bool:
    """Refusals are over when they are begun: the simulator does not note who left in the middle of one."""
    return record.closed_by is not None or record.status not in {None, 200}


async def wait_quiet(sim: Simulator) -> None:
    """Until the simulator has seen the end of all that the dead process had sent."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        if all(is_over(record) for record in sim.log):
            before = len(sim.log)
            await asyncio.sleep(0.02)
            if len(sim.log) == before and all(is_over(record) for record in sim.log):
                return
        await asyncio.sleep(0.01)
    left = [record.scenario for record in sim.log if not is_over(record)]
    raise AssertionError(f"the simulator still has open exchanges of a process that is dead: {left}")


async def kill_one(process: asyncio.subprocess.Process, sim: Simulator, calls: int, pause: float) -> None:
    """Fork a child, let it work until *calls* have arrived and for *pause* seconds more, and kill it."""
    assert process.stdin is not None
    assert process.stdout is not None
    before = len(sim.log)
    process.stdin.write(f"{sim.openai_base}\n".encode())
    async with asyncio.timeout(2 * PATIENCE):
        child = int(await process.stdout.readline())
        while len(sim.log) < before + calls:
            await asyncio.sleep(0.001)
        await asyncio.sleep(pause)
        os.kill(child, signal.SIGKILL)
        assert await process.stdout.readline() == b"dead\n"


@pytest.mark.timeout(max(300, KILLS * 3))
async def test_rows_after_kills_are_the_calls_of_the_simulators_log(where: str) -> None:
    """After each of many SIGKILLs under load: no call without a row, no row twice, none open, no false success."""
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.ledger.victim", where,
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    unknown = settled = 0
    try:
        async with Simulator() as sim:
            for _ in range(KILLS):
                await kill_one(process, sim, moments.randrange(1, MOST_CALLS), moments.uniform(0.0, 0.02))
                await wait_quiet(sim)
                limit = time.monotonic() + PATIENCE
                while (
                    time.monotonic() < limit
                ):  # PostgreSQL lets go of a dead session's lock when it has noticed
                    async with open_ledger(where) as ledger:  # the next start: what is open becomes unknown
                        rows = {row.attempt_id: row for row in read_rows(ledger.source)}
                    if all(row.state != "open" for row in rows.values()):
                        break
                    await asyncio.sleep(0.05)
                arrived = Counter(attempt_of(record) for record in sim.log)
                assert max(arrived.values()) == 1, seed
                assert arrived.keys() <= rows.keys(), seed
                assert {row.state for row in rows.values()} <= {"settled", "unknown"}, seed
                never_sent = rows.keys() - arrived.keys()  # killed between the commit and the first byte
                assert all(rows[name].state == "unknown" for name in never_sent), seed
                assert len(never_sent) <= 12 * KILLS
                told = {attempt_of(record): record for record in sim.log}
                for name, row in rows.items():
                    if row.outcome == "ok":
                        usage = told[name].usage
                        assert usage is not None, seed
                        assert row.prompt_tokens == usage["prompt_tokens"], seed
                        assert row.output_tokens == usage["completion_tokens"], seed
            unknown = sum(row.state == "unknown" for row in rows.values())
            settled = sum(row.state == "settled" for row in rows.values())
            sys.stdout.write(
                f"{KILLS} kills: {len(sim.log)} calls arrived, {settled} settled,"
                f" {unknown} unknown, of them {len(never_sent)} never sent\n"
            )
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
    assert settled > KILLS
    assert unknown > 0
