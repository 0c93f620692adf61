"""A thousand calls through a real client, some failing, some left: no row lost, none doubled, money exact."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from asynccache.client import Client, default_stages
from asynccache.errors import AsyncCacheError
from asynccache.reply import Usage
from asynccache.retry import Retry, retry
from asynccache.simulator import Record
from asynccache.testing import simulator
from asynccache.usage.ledger import open_ledger
from asynccache.usage.ledger_report import read_rows, summarize
from asynccache.usage.recorder import record_usage
from tests.ledger.attempts import client
from tests.ledger.victim import Names

pytestmark = pytest.mark.anyio

CALLS = 1000
AT_ONCE = 16
PROMPTS = [
    [{"role": "user", "content": f"Prompt {number}. " + "The same words again. " * 600}]
    for number in range(3)
]
FAULTS: list[dict[str, Any]] = [
    {"status": 500, "times": 1},
    {"status": 429, "times": 2},
    {"status": 400},
    {"cut_after_events": 3},
    {"error_after_events": 3},
]
# Dollars for a million tokens, from the providers' pages: uncached, read, written for 5 minutes, output.
RATES = {
    "gpt-4o": ("2.50", "1.25", "0", "10"),
    "claude-sonnet-4-5": ("3", "0.30", "3.75", "15"),
}


def bill(record: Record) -> Decimal:
    """What the simulator's own account of an answer costs, by hand."""
    usage = record.usage or {}
    uncached, read, write, output = (Decimal(rate) / 1_000_000 for rate in RATES[record.body["model"]])
    if record.wire == "anthropic":
        buckets = (
            usage["input_tokens"], usage["cache_read_input_tokens"],
            usage["cache_creation_input_tokens"], usage["output_tokens"],
        )  # fmt: skip
    else:
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        buckets = (usage["prompt_tokens"] - cached, cached, 0, usage["completion_tokens"])
    return sum(
        (count * rate for count, rate in zip(buckets, (uncached, read, write, output), strict=True)),
        Decimal(0),
    )


class Caller:
    """Makes calls of every kind; remembers what it was told."""

    def __init__(self, mine: Client, bases: dict[str, str], seed: int) -> None:
        self.client = mine
        self.heard: list[Usage] = []
        self._bases = bases
        self._random = random.Random(seed)
        self.calls = 0

    async def work(self) -> None:
        while self.calls < CALLS:
            self.calls += 1
            dice = self._random.random()
            scenario = (
                self._random.choice(FAULTS)
                if dice < 0.1
                else {"answer_tokens": self._random.randrange(1, 40)}
            )
            leave = 0.1 <= dice < 0.2
            model = self._random.choice(list(self._bases))
            arguments = {
                "api_base": self._bases[model],
                "api_key": "",
                "on_usage": self.heard.append,
                "max_tokens": 100,
                "cache_control_injection_points": [{"location": "message", "index": 0}],
                "extra_headers": {
                    "x-simulator": json.dumps({**scenario, **({"latency": 0.01} if leave else {})})
                },
            }
            with suppress(AsyncCacheError):
                await self.call(model, self._random.choice(PROMPTS), arguments, leave=leave)

    async def call(self, model: str, prompt: list[Any], arguments: dict[str, Any], *, leave: bool) -> None:
        way = self._random.randrange(3)
        if leave and way == 0:  # cancelled at any moment
            with anyio.move_on_after(self._random.uniform(0, 0.015)):
                await self.client.acompletion(model, prompt, **arguments)
            return
        if not leave and way == 0:
            await self.client.acompletion(model, prompt, **arguments)
            return
        chunks = self._random.randrange(4) if leave else None
        stream = await self.client.acompletion(model, prompt, stream=True, **arguments)
        async with stream:
            async for _ in stream:
                if chunks is not None and (chunks := chunks - 1) < 0:
                    break


@pytest.mark.timeout(300)
async def test_a_thousand_calls_with_faults_and_hang_ups(where: str) -> None:
    """0 rows lost, 0 doubled; the ledger's money is what on_usage heard and what the simulator truly told."""
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    names = Names()
    stages = [Retry(first_wait=0.001) if stage is retry else stage for stage in default_stages()]
    stages.insert(stages.index(record_usage) + 1, names.stage)
    async with (
        simulator() as sim,
        open_ledger(where) as ledger,
        Client(stages=ledger.within(stages), recorders=[ledger, names]) as mine,
    ):
        bases = {"openai/gpt-4o": sim.openai_base, "anthropic/claude-sonnet-4-5": sim.anthropic_base}
        caller = Caller(mine, bases, seed)
        await asyncio.gather(*(caller.work() for _ in range(AT_ONCE)))
        assert await ledger.flush()
        rows = {row.attempt_id: row for row in read_rows(ledger.source)}
        (total,) = summarize(ledger.source)
        counters = ledger.counters

        told = {str(json.loads(record.scenario or "{}")["id"]): record for record in sim.log}
        assert max(Counter(json.loads(record.scenario or "{}")["id"] for record in sim.log).values()) == 1
        assert told.keys() <= rows.keys()
        assert all(rows[name].outcome == "cancelled" for name in rows.keys() - told.keys())
        assert {row.state for row in rows.values()} == {"settled"}
        assert len(caller.heard) == len(rows) == total.attempts
        assert total.calls == CALLS

        outcomes = Counter(row.outcome for row in rows.values())
        assert set(outcomes) == {
            "ok", "let_go", "cancelled", "InternalServerError", "RateLimitError", "BadRequestError",
            "StreamInterruptedError",
        } | (set(outcomes) & {"OverloadedError"})  # fmt: skip
        assert 0.7 * CALLS < outcomes["ok"] < 1.1 * CALLS

        priced = {name for name, row in rows.items() if row.cost is not None}
        assert {name for name, row in rows.items() if row.outcome == "ok"} <= priced
        by_hand = sum((bill(told[name]) for name in priced), Decimal(0))
        by_ear = sum(
            (usage.cost_details.total or Decimal(0) for usage in caller.heard if usage.cost_details),
            Decimal(0),
        )
        assert total.cost == by_ear == by_hand
        assert total.unpriced == len(rows) - len(priced)
        assert (counters.repeated, counters.lost, counters.failed, counters.waiting) == (0, 0, 0, 0)
        assert total.read_tokens > total.written_tokens > 0


async def test_a_caller_who_leaves_is_told_from_a_whole_answer(tmp_path: Path) -> None:
    """With the stage: let_go is what the caller left, also where the provider had told all it used."""
    async with (
        simulator(answer_tokens=30) as sim,
        open_ledger(tmp_path / "l.db") as ledger,
        client(ledger) as mine,
    ):
        base = sim.openai_base
        for leave in (False, True):
            stream = await mine.acompletion(
                "openai/gpt-4o", PROMPTS[0], stream=True, api_base=base, api_key=""
            )
            async with stream:
                async for _ in stream:
                    if leave:
                        break
        assert await ledger.flush()
        rows = sorted(read_rows(ledger.source), key=lambda row: row.opened_at)
    assert [row.outcome for row in rows] == ["ok", "let_go"]
    assert rows[0].cost is not None
    assert (rows[1].cost, rows[1].source) == (None, "missing")


async def test_the_row_is_durable_before_the_request_arrives(where: str) -> None:
    """Whoever answers finds the row of the call in the ledger, open; and whoever has the answer, settled."""
    found: list[list[str]] = []
    async with simulator() as sim, open_ledger(where) as ledger:

        async def look(request: Any, call_next: Any) -> Any:
            found.append([row.state for row in read_rows(ledger.source)])
            return await call_next(request)

        stages = ledger.within(default_stages())
        async with Client(stages=[*stages, look], recorders=[ledger]) as mine:
            for _ in range(3):
                await mine.acompletion("openai/gpt-4o", PROMPTS[0], api_base=sim.openai_base, api_key="")
                assert await ledger.flush()
    assert [sorted(states) for states in found] == [
        ["open"],
        ["open", "settled"],
        ["open", "settled", "settled"],
    ]


async def test_opened_and_settled_can_be_awaited_by_the_attempt(where: str) -> None:
    """A proxy waits for the row before it sends its last words."""
    ids: list[str] = []

    class Ids:
        def open(self, attempt_id: str, request: Any, /) -> None:
            ids.append(attempt_id)

        def settle(self, *_: Any) -> None: ...

    async with simulator() as sim, open_ledger(where) as ledger, client(ledger) as plain:
        del plain
        async with Client(stages=ledger.within(default_stages()), recorders=[Ids(), ledger]) as mine:
            stream = await mine.acompletion(
                "openai/gpt-4o", PROMPTS[0], stream=True, api_base=sim.openai_base, api_key=""
            )
            assert await ledger.opened(ids[0])
            async with stream:
                async for _ in stream:
                    pass
                assert await ledger.wait_settled(ids[0])
                assert [row.outcome for row in read_rows(ledger.source)] == ["ok"]


async def test_a_lone_row_does_not_wait_for_company(tmp_path: Path) -> None:
    """Idle: committed at once. The quickest of 50, far below any fixed interval between groups, which none is below."""
    from tests.ledger.attempts import FULL, REQUEST

    async with open_ledger(tmp_path / "l.db") as ledger:
        took = []
        for number in range(50):
            await asyncio.sleep(0.002)
            began = anyio.current_time()
            ledger.open(str(number), REQUEST)
            assert await ledger.opened(str(number))
            took.append(anyio.current_time() - began)
            ledger.settle(str(number), FULL, "m", None)
            assert await ledger.flush()
    assert min(took) < 0.015


async def test_rows_under_load_share_transactions(where: str) -> None:
    """A thousand attempts at once need far fewer than a thousand transactions, and all are durable."""
    from tests.ledger.attempts import FULL, REQUEST

    async with open_ledger(where) as ledger:

        async def attempt(number: int) -> bool:
            ledger.open(str(number), REQUEST)
            opened = await ledger.opened(str(number), timeout=20)
            ledger.settle(str(number), FULL, "m", None)
            return opened and await ledger.wait_settled(str(number), timeout=20)

        assert all(await asyncio.gather(*(attempt(number) for number in range(1000))))
        assert ledger.counters.groups < 200
        assert len(read_rows(ledger.source)) == 1000
