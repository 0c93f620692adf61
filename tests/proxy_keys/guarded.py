"""A proxy with keys of its callers' own, in the test's loop, in front of a provider that counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from asynccache.proxy.config import parse_config
from asynccache.proxy.gate import Gate, open_gate
from asynccache.proxy.served import Served
from asynccache.proxy.server import Server
from asynccache.proxy.virtual_keys import digest_of, new_key
from asynccache.proxy.yaml_source import parse_yaml
from asynccache.usage.ledger import open_ledger
from asynccache.usage.ledger_budget import BUDGET_TABLES
from asynccache.usage.ledger_door import Door, Script, open_door
from asynccache.usage.ledger_keys import KEY_TABLES, Key, Rights, add_key
from tests.proxy.serving import KEY, url
from tests.proxy.upstream import Upstream

T = TypeVar("T")

PRICES = "    input_cost_per_token: 0\n    cache_read_input_token_cost: 0\n    output_cost_per_token: 0.001\n"
"""A call of ten tokens costs a cent, and no more than a cent: what is reserved is what is spent."""
CENT = 10**10
"""In 10⁻¹² dollars."""
HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 10}
ASK = ("/v1/chat/completions", HELLO)


def door(where: str) -> Door:
    return open_door(where, (*BUDGET_TABLES, *KEY_TABLES))


def through_door(where: str, script: Script[T]) -> T:
    """Run *script*, in a thread of its own: a door has an event loop of its own."""

    def run() -> T:
        opened = door(where)
        try:
            return opened.run(script)
        finally:
            opened.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def make_key(where: str, key_id: str = "team", **rights: Any) -> str:
    """A new key in the ledger at *where*."""
    key = new_key()
    rights.setdefault("models", ("m",))
    if "budget" in rights:
        rights["budget"] = Decimal(rights["budget"])
    kept = Key(id=key_id, digest=digest_of(key), rights=Rights(**rights), created=datetime.now(UTC))
    assert through_door(where, add_key(kept))
    return key


def settings(**values: Any) -> str:
    lines = [f"  {name}: '{value}'\n" for name, value in values.items()]
    return "asynccache_settings:\n" + "".join(lines) if lines else ""


class Guarded:
    """A running proxy and its gate."""

    def __init__(self, server: Server, gate: Gate, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.gate = gate
        self._session = session

    def url(self, path: str = "") -> str:
        return url(self.server, path)

    async def post(
        self, key: str, path: str = ASK[0], body: Any = None, **more: Any
    ) -> tuple[int, dict[str, Any], Any]:
        """Status, answer and headers."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        sent = {**HELLO, **(body or {}), **more}
        async with self._session.post(self.url(path), json=sent, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers


@asynccontextmanager
async def guarded(
    provider: Upstream,
    where: str | None = None,
    *,
    more: str = "",
    master: bool = True,
    audit: Path | None = None,
) -> AsyncIterator[Guarded]:
    """A proxy as its command makes one; *more* are lines of ``asynccache_settings``."""
    named = {name: value for name, value in (("ledger", where), ("audit", audit)) if value is not None}
    text = provider.config(more=PRICES + settings(**named))
    if more:
        text += more if named else "asynccache_settings:\n" + more
    environment = {"ASYNCCACHE_MASTER_KEY": KEY} if master else {}
    config = parse_config(parse_yaml(text.encode(), "config.yaml", environment), environment)
    ledger = None if where is None else open_ledger(where)
    gate = await open_gate(config, ledger)
    try:
        served = Served(config, ledger=ledger, gate=gate)
        gate.note("start", config, address="test")
        async with (
            await Server(served).start(port=0) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            yield Guarded(server, gate, session)
    finally:
        await gate.aclose()
        if ledger is not None:
            await ledger.aclose()
