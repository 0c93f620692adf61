"""A proxy that is killed under load at random moments: each attempt that reached a provider has its row, and one only.

Each call asks for a model of its own by a wildcard, so that rows and the simulator's log are joined call by call.
``ASYNCCACHE_KILLS=50 pytest tests/proxy/test_kills.py`` sets how many; the long version is
``pytest tests/proxy/test_kills.py -m slow -s --timeout=0``.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from asynccache.simulator import Record, Simulator
from asynccache.usage.ledger_report import Row, read_rows
from tests.cli.command import environment
from tests.ledger.test_kill import wait_quiet
from tests.waiting import PATIENCE, until

from .process import START

pytestmark = pytest.mark.anyio

PATIENT = f"""
import asynccache.proxy.served as served, asynccache.usage.ledger as ledger
served._LEDGER_SECONDS = ledger._DEADLINE = 30.0
{START}
"""
"""A proxy that waits for its rows on a busy machine too."""
KILLS = int(os.environ.get("ASYNCCACHE_KILLS", "8"))
MANY = 200
MOST_CALLS = 80  # of one life: a number, not a time, so that a busy machine kills no sooner
AT_ONCE = 16

# What is asked -> the provider, the simulator's scenario, the path.
KINDS = {
    "plain": ("openai/*", "{}", "/v1/chat/completions"),
    "slow": ("openai/*", '{"rate": 400}', "/v1/chat/completions"),
    "flaky": ("openai/*", '{"status": 500, "times": 40}', "/v1/chat/completions"),
    "cut": ("deepseek/*", '{"cut_after_events": 4}', "/v1/chat/completions"),
    "claude": ("anthropic/*", '{"rate": 800}', "/v1/messages"),
    "across": ("anthropic/*", "{}", "/v1/chat/completions"),
    "late": ("openai/*", '{"latency": 0.05}', "/v1/chat/completions"),
}


def config_of(sim: Simulator, ledger: Path) -> str:
    rows = ""
    for name, (model, scenario, _) in KINDS.items():
        base = getattr(sim, f"{model.partition('/')[0]}_base")
        rows += (
            f"- model_name: {name}/*\n  litellm_params:\n    model: {model}\n    api_base: {base}\n    api_key: k\n"
            f"    extra_headers: {{x-simulator: '{scenario}'}}\n"
        )
    return f"model_list:\n{rows}asynccache_settings: {{ledger: '{ledger}', cooldown_seconds: 0}}\n"


class Killed:
    """One ledger, one simulator, and proxies that die one after the other."""

    def __init__(self, sim: Simulator, folder: Path, seed: int) -> None:
        self.sim = sim
        self.ledger = folder / "ledger.db"
        self.config = folder / "c.yaml"
        self.config.write_text(config_of(sim, self.ledger))
        self.chance = random.Random(seed)
        self.asked = 0
        self.whole: set[str] = set()
        """Models of the calls whose end the caller has seen."""
        self.starts: list[float] = []

    async def start(self) -> tuple[asyncio.subprocess.Process, str]:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PATIENT, "--config", str(self.config), "--port", "0",
            env=environment(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        said = b""
        async with asyncio.timeout(60):
            while b"listening on " not in said:
                line = await process.stderr.readline()
                assert line, said.decode()
                said += line
        self.starts.append(time.monotonic() - began)
        return process, said.split(b"listening on ")[1].split()[0].decode()

    async def ask(self, session: aiohttp.ClientSession, url: str) -> None:
        """Ask until the proxy is dead."""
        while True:
            self.asked += 1
            kind = list(KINDS)[self.asked % len(KINDS)]
            model = f"gpt-4o-{self.asked}" if kind not in {"claude", "across"} else f"claude-{self.asked}"
            stream = kind in {"slow", "cut"} or self.asked % 2 == 0
            body: dict[str, Any] = {
                "model": f"{kind}/{model}",
                "messages": [{"role": "user", "content": "hi"}],
            }
            body |= {"max_tokens": 64, "stream": stream}
            try:
                async with session.post(url + KINDS[kind][2], data=orjson.dumps(body)) as answer:
                    told = await answer.read()
            except aiohttp.ClientError:
                return
            if answer.status == 200 and (not stream or b"[DONE]" in told or b"message_stop" in told):
                self.whole.add(model)

    async def round(self) -> None:
        """One life: begun on the ledger of the last one, killed under load."""
        process, url = await self.start()
        assert {row.state for row in self.rows()} <= {"settled", "unknown"}, (
            "the last one's rows are not closed"
        )
        before = len(self.sim.log)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            asking = [asyncio.ensure_future(self.ask(session, url)) for _ in range(AT_ONCE)]
            try:
                calls = self.chance.randrange(1, MOST_CALLS)
                await until(lambda: len(self.sim.log) >= before + calls)
                await asyncio.sleep(self.chance.uniform(0.0, 0.02))
            finally:
                process.kill()
                await process.wait()
            await asyncio.gather(*asking)
        await wait_quiet(self.sim)

    def rows(self) -> list[Row]:
        return list(read_rows(str(self.ledger))) if self.ledger.exists() else []

    def check(self, *, last: bool) -> tuple[int, Counter[str]]:
        """Rows against the log; how many never left, and how the rows ended."""
        with sqlite3.connect(self.ledger) as file:
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        file.close()
        rows = self.rows()
        arrived = Counter(record.body["model"] for record in self.sim.log)
        kept = Counter(name_of(row) for row in rows)
        assert len({row.attempt_id for row in rows}) == len(rows)
        missing = arrived - kept
        assert not missing, f"{missing.total()} attempts without a row"
        never_sent = kept - arrived
        assert not never_sent or max(never_sent.values()) == 1, "a row is doubled"
        open_ones = Counter(name_of(row) for row in rows if row.state != "settled")
        assert never_sent <= open_ones, "what was never sent is settled"
        told: dict[str, Record] = {record.body["model"]: record for record in self.sim.log}
        good = [row for row in rows if row.outcome == "ok"]
        for row in good:
            assert counts(told[name_of(row)].usage) == (row.prompt_tokens, row.output_tokens)
        assert self.whole <= {name_of(row) for row in good}, "a caller saw the end of what has no row"
        if last:
            assert {row.state for row in rows} <= {"settled", "unknown"}
        return never_sent.total(), Counter(row.outcome or row.state for row in rows)


def name_of(row: Row) -> str:
    return row.model.rpartition("/")[2]


def counts(usage: dict[str, Any] | None) -> tuple[int, int]:
    """Tokens in and out, as the simulated provider told them."""
    assert usage is not None
    if "prompt_tokens" in usage:
        return usage["prompt_tokens"], usage["completion_tokens"]
    cached = usage.get("cache_read_input_tokens", 0) + usage.get("cache_creation_input_tokens", 0)
    return usage["input_tokens"] + cached, usage["output_tokens"]


async def kill(times: int, folder: Path, *, start: float = PATIENCE) -> str:
    """Kill *times* proxies, which take *start* seconds at most to begin, by the median; what was seen."""
    seed = random.randrange(2**32)
    async with Simulator() as sim:
        killed = Killed(sim, folder, seed)
        for _ in range(times):
            await killed.round()
            killed.check(last=False)
        process, _ = await killed.start()  # the last start closes what the last kill left open
        process.terminate()
        assert await process.wait() == 0
        never_sent, outcomes = killed.check(last=True)
    assert outcomes["unknown"] > 0, seed
    assert outcomes["ok"] > times, seed
    assert statistics.median(killed.starts) < start
    return (
        f"{times} kills (seed {seed}): {len(sim.log)} attempts arrived, {outcomes.total()} rows, {dict(outcomes)}; "
        f"{never_sent} rows of attempts that never left; {len(killed.whole)} ends seen by callers; "
        f"start {statistics.median(killed.starts):.2f} s, at most {max(killed.starts):.2f} s"
    )


@pytest.mark.timeout(300)
async def test_a_proxy_is_killed_a_few_times(tmp_path: Path) -> None:
    """No attempt without a row, none with two, no row settled that never left, and the file is whole."""
    sys.stdout.write((await kill(KILLS, tmp_path)) + "\n")


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_a_proxy_is_killed_200_times(tmp_path: Path) -> None:
    """The same, for as long as chance needs to come everywhere."""
    sys.stdout.write((await kill(MANY, tmp_path, start=5)) + "\n")
