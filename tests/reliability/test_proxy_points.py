"""The proxy's handler is cancelled at each of its suspensions: one row an attempt, nothing left upstream, and it serves on.

Guarantees 1, 10 and 14.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from asynccache.proxy.server import Server
from asynccache.simulator import Simulator
from asynccache.usage.ledger import open_ledger
from asynccache.usage.ledger_report import read_rows
from tests.waiting import soon, until

from ..proxy.serving import KEY, served, url
from .points import AtStep
from .rig import settings

pytestmark = pytest.mark.anyio

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
WAYS = [
    (CHAT, "gpt", True), (CHAT, "gpt", False), (CHAT, "claude", True), (CHAT, "bedrock", True),
    (MESSAGES, "claude", True), (MESSAGES, "claude", False), (MESSAGES, "gpt", True),
]  # fmt: skip


class Cancelling:
    """Stands before a server's handler, and cancels it at its k-th suspension."""

    def __init__(self, server: Server) -> None:
        self.handle = server._handle
        self.step = 0
        self.reached = False
        server._handle = self.around  # type: ignore[method-assign]  # before it listens

    async def around(self, request: Any) -> Any:
        task = asyncio.current_task()
        assert task is not None
        at = AtStep(self.handle(request), self.step, task.cancel)
        try:
            return await at
        finally:
            self.reached = at.reached


async def ask(session: aiohttp.ClientSession, server: Server, path: str, model: str, stream: bool) -> bool:
    """Whether a whole answer came."""
    body = {
        "model": model,
        "stream": stream,
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "hi"}],
    }
    try:
        async with session.post(url(server, path), json=body, headers={"x-api-key": KEY}) as reply:
            text = await reply.text()
    except aiohttp.ClientError:
        return False
    return reply.status == 200 and (not stream or "[DONE]" in text or "message_stop" in text)


@pytest.mark.parametrize(("path", "model", "stream"), WAYS)
async def test_handler(path: str, model: str, stream: bool, tmp_path: Path, record_property: Any) -> None:
    """Cancelled at its k-th suspension, for every k, as a caller who leaves cancels it."""
    ledger = await asyncio.to_thread(open_ledger, tmp_path / "ledger.db")
    async with Simulator(settings(rate=2000.0)) as sim, ledger, aiohttp.ClientSession() as session:
        server = Server(served(sim, ledger=ledger))
        cancelling = Cancelling(server)
        async with await server.start(port=0):
            assert await ask(session, server, path, model, stream)
            rows, sent = 1, 1
            while True:
                cancelling.step += 1
                whole = await ask(session, server, path, model, stream)
                await soon(lambda: all(record.closed_by for record in sim.log), within=0.25)
                await until(lambda: not server.active)  # which may wait for the ledger's thread
                assert await ledger.flush()
                found = await asyncio.to_thread(read_rows, ledger.source)
                assert {row.state for row in found} == {"settled"}
                more, on_wire = len(found) - rows, len(sim.log) - sent
                assert on_wire <= more <= 1, (
                    cancelling.step
                )  # cancelled before it was sent, an attempt may have a row
                rows, sent = len(found), len(sim.log)
                if not cancelling.reached:
                    assert whole
                    break
            record_property("points", cancelling.step - 1)
            assert cancelling.step > 4
