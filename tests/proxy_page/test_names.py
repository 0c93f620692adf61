"""The metrics' names are a contract: none is renamed or gains a label by accident, and the page on watching has all."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from asynccache.simulator import Simulator
from asynccache.usage.ledger import open_ledger
from tests.proxy.serving import KEY, serving, url
from tests.proxy_page.test_agreement import Scraped
from tests.proxy_page.traffic import TARGETS, Traffic, config

pytestmark = pytest.mark.anyio

WATCHING = Path(__file__).resolve().parents[2] / "docs" / "watching.md"
_OF = "model provider deployment"
CONTRACT = {
    "asynccache_input_tokens_total": f"{_OF} kind",
    "asynccache_output_tokens_total": _OF,
    "asynccache_reasoning_tokens_total": _OF,
    "asynccache_cost_usd_total": f"{_OF} kind",
    "asynccache_savings_usd_total": f"{_OF} sign",
    "asynccache_requests_total": f"{_OF} outcome",
    "asynccache_cache_misses_total": f"{_OF} reason",
    "asynccache_unpriced_requests_total": _OF,
    "asynccache_time_to_first_token_seconds": _OF,
    "asynccache_request_duration_seconds": _OF,
    "asynccache_overhead_seconds": "",
    "asynccache_refused_requests_total": "status",
    "asynccache_open_requests": "",
    "asynccache_open_streams": "",
    "asynccache_ledger_lag_seconds": "",
    "asynccache_ledger_waiting_rows": "",
    "asynccache_ledger_lost_rows_total": "",
}
KINDS = {
    "uncached", "cache_read", "cache_write", "cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h",
    "untold",
}  # fmt: skip


async def test_names_and_labels(tmp_path: Path) -> None:
    """What a scrape tells after calls of every kind, name by name and label by label."""
    async with (
        open_ledger(str(tmp_path / "l.db")) as ledger,
        Simulator() as sim,
        serving(sim, config(), ledger=ledger) as server,
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
    ):
        await Traffic(server, list(TARGETS), 7).run(30)
        await session.post(url(server, "/v1/chat/completions"), json={"model": "nobody", "messages": [{}]})
        scraped = Scraped(await (await session.get(url(server, "/metrics"))).text())
    found: dict[str, set[str]] = {}
    for sample in scraped.samples:
        name = re.sub(r"_(bucket|sum|count)$", "", sample.name)
        found.setdefault(name, set()).update(set(sample.labels) - {"le"})
    assert found == {name: set(labels.split()) for name, labels in CONTRACT.items()}
    told = {
        sample.labels["kind"] for sample in scraped.samples if sample.name == "asynccache_input_tokens_total"
    }
    assert told == KINDS
    page = WATCHING.read_text(encoding="utf-8")
    assert [name for name in CONTRACT if f"`{name}`" not in page] == []
    assert set(re.findall(r"`(asynccache_[a-z_]+)`", page)) <= set(CONTRACT)
