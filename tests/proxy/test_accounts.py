"""Hundreds of calls, a tenth of them failing and a tenth of the callers leaving: every cent is in the ledger."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import aiohttp
import orjson
import pytest

from asynccache.simulator import Simulator
from asynccache.usage.ledger import open_ledger
from asynccache.usage.ledger_report import read_rows

from .serving import KEY, serving, url

pytestmark = pytest.mark.anyio

ROWS = """
model_list:
- {model_name: gpt, litellm_params: {model: simulator/openai/gpt-4o}}
- {model_name: claude, litellm_params: {model: simulator/anthropic/claude-sonnet-4-5}}
- model_name: broken
  litellm_params: {model: simulator/openai/gpt-4o, extra_headers: {x-simulator: '{"status":500}'}}
- model_name: cut
  litellm_params: {model: simulator/anthropic/claude-sonnet-4-5, extra_headers: {x-simulator: '{"cut_after_events":9}'}}
- model_name: slow
  litellm_params: {model: simulator/openai/gpt-4o, extra_headers: {x-simulator: '{"rate":200}'}}
"""


async def test_nothing_is_lost_and_nothing_doubled(sim: Simulator, tmp_path: Path) -> None:
    """Rows are the calls of the simulator's own log, and the callers' sums are the ledger's, to the cent."""
    draw = random.Random(7)
    kinds = [
        draw.choices(("gpt", "claude", "broken", "cut", "slow"), (45, 35, 5, 5, 10))[0] for _ in range(300)
    ]
    heard: list[float] = []
    async with open_ledger(tmp_path / "ledger.db") as ledger:
        settings = "{max_retries: 0}"
        async with (
            serving(sim, ROWS, ledger=ledger, settings=settings) as proxy,
            aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
        ):
            limit = asyncio.Semaphore(32)

            async def one(number: int, kind: str) -> None:
                stream = number % 2 == 0 or kind in {"slow", "cut"}
                body = {
                    "model": kind,
                    "stream": stream,
                    **({"stream_options": {"include_usage": True}} if stream else {}),
                    "max_tokens": 30,
                    "messages": [{"role": "user", "content": f"{number} " + "word " * (number % 50)}],
                }
                async with limit:
                    answer = await session.post(url(proxy, "/v1/chat/completions"), json=body)
                    if kind == "slow":
                        await answer.content.readany()
                        answer.close()
                        return
                    data = await answer.read()
                if kind in {"gpt", "claude"}:
                    last = data.split(b"\n\n")[-3].removeprefix(b"data: ") if stream else data
                    heard.append(orjson.loads(last)["usage"]["cost"])

            await asyncio.gather(*(one(number, kind) for number, kind in enumerate(kinds)))
            while proxy.active:
                await asyncio.sleep(0.01)
        rows = read_rows(str(tmp_path / "ledger.db"))
    assert len(rows) == len(sim.log) == 300
    assert all(row.state == "settled" for row in rows)
    assert len({row.attempt_id for row in rows}) == 300
    assert sum(float(row.cost or 0) for row in rows if row.source == "provider") == pytest.approx(
        sum(heard), abs=1e-9
    )
    assert len(heard) == sum(kind in {"gpt", "claude"} for kind in kinds)
