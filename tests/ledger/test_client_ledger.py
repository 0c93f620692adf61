"""A client with a ledger writes a row for every attempt, and closes what it opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from asynccache import Client
from asynccache.testing import simulator
from asynccache.usage.ledger import open_ledger

pytestmark = pytest.mark.anyio

MESSAGES = [{"role": "user", "content": "hi"}]


async def test_by_path(tmp_path: Path) -> None:
    """A path opens a ledger that closes with the client; its rows are there afterwards, priced."""
    where = tmp_path / "usage.db"
    async with simulator() as sim, Client(ledger=where) as client:
        reply = await client.acompletion("openai/gpt-4o", MESSAGES, api_key="k", api_base=sim.openai_base)
        async with await client.acompletion(
            "openai/gpt-4o", MESSAGES, api_key="k", api_base=sim.openai_base, stream=True
        ) as stream:
            async for _ in stream:
                pass
    ledger = open_ledger(where)
    (row,) = await ledger.summarize(by=["model"])
    assert row.calls == 2
    assert reply.cost.total is not None
    assert stream.cost.total is not None
    assert row.cost == reply.cost.total + stream.cost.total
    await ledger.aclose()


async def test_by_object() -> None:
    """A ledger of the caller's own stays open after the client."""
    ledger = open_ledger(":memory:")
    async with simulator() as sim, Client(ledger=ledger) as client:
        await client.acompletion("openai/gpt-4o", MESSAGES, api_key="k", api_base=sim.openai_base)
    await ledger.flush()
    (row,) = await ledger.summarize(by=["model"])
    assert row.calls == 1
    await ledger.aclose()
