"""Metrics, page, ledger and the simulator's own log say the same, to the token and to the last digit of the cost."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from prometheus_client.parser import text_string_to_metric_families

from asynccache.simulator import Record, Simulator
from asynccache.usage.ledger import open_ledger
from asynccache.usage.ledger_report import Summary, read_rows, summarize
from tests.proxy.serving import KEY, serving, url
from tests.proxy_page.traffic import TARGETS, Traffic, config

pytestmark = pytest.mark.anyio

# Dollars for a million tokens, from the providers' pages: uncached, read, written for 5 minutes, output.
RATES = {
    "gpt-4o": ("2.50", "1.25", "0", "10"),
    "claude": ("3", "0.30", "3.75", "15"),
}


class Scraped:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> Decimal:
        return sum(
            (
                Decimal(repr(sample.value))
                for sample in self.samples
                if sample.name == name and labels.items() <= sample.labels.items()
            ),
            Decimal(0),
        )


def shown(page: str, tile: str) -> Decimal:
    """The exact value that a tile of the page bears."""
    found = re.search(rf'id="{tile}"><h2>[^<]*</h2><p class="value"><data value="([^"]+)"', page)
    assert found, page[:4000]
    return Decimal(found.group(1))


def row_of(page: str, table: str, name: str) -> list[Decimal]:
    """The exact values of a row: requests, uncached, written, read, output, cost, saved."""
    [section] = re.findall(rf'<section class="card" id="{table}">(.*?)</section>', page)
    [row] = [row for row in re.findall(r"<tr><th scope.*?</tr>", section) if f">{name}</a>" in row]
    return [Decimal(value) for value in re.findall(r'<data value="([^"]+)"', row)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("calls", [300, pytest.param(1000, marks=pytest.mark.slow)])
async def test_all_say_the_same(calls: int, tmp_path: Path) -> None:
    """Streams and whole answers in two formats from four providers, failing, cut and left ones among them."""
    ledger = open_ledger(str(tmp_path / "ledger.db"))
    headers = {"authorization": f"Bearer {KEY}"}
    async with ledger, Simulator() as sim, serving(sim, config(), ledger=ledger) as server:
        traffic = Traffic(server, list(TARGETS), 11)
        await traffic.run(calls)
        async with aiohttp.ClientSession(headers=headers) as session:
            while server.active:
                await (await session.get(url(server, "/healthz"))).read()
            assert await ledger.flush()
            scraped = Scraped(await (await session.get(url(server, "/metrics"))).text())
            page = await (await session.get(url(server, "/ui"))).text()
            refused = await session.get(url(server, "/metrics"), headers={"authorization": "Bearer wrong"})
        [whole] = summarize(ledger.source)
        by_model = {one.by["deployment"]: one for one in summarize(ledger.source, ["deployment"])}
        rows = read_rows(ledger.source)
        served = {one.id[:16]: one.group for one in server.served.deployments}
    assert refused.status == 401
    assert traffic.asked == whole.attempts == len(sim.log) == calls
    assert traffic.answered == whole.ok
    assert min(whole.failed, whole.let_go, whole.read_tokens, whole.written_tokens) > 0
    check_metrics(scraped, whole, by_model)
    outcomes = Counter(row.outcome for row in rows)
    for outcome, count in outcomes.items():
        assert scraped.total("asynccache_requests_total", outcome=outcome or "") == count
    check_page(page, whole, {served[str(name)]: one for name, one in by_model.items()})
    check_log(sim.log, whole, by_model, served)


def check_metrics(scraped: Scraped, whole: Summary, by_model: dict[Any, Summary]) -> None:
    for labels, one in [({}, whole), *(({"deployment": str(name)}, one) for name, one in by_model.items())]:
        tokens = {
            "uncached": one.uncached_tokens,
            "cache_read": one.read_tokens,
            "cache_write_5m": one.written_5m_tokens,
            "cache_write_1h": one.written_1h_tokens,
        }
        for kind, count in tokens.items():
            assert scraped.total("asynccache_input_tokens_total", kind=kind, **labels) == count
        assert scraped.total("asynccache_input_tokens_total", **labels) == one.prompt_tokens
        assert scraped.total("asynccache_output_tokens_total", **labels) == one.output_tokens
        assert scraped.total("asynccache_reasoning_tokens_total", **labels) == one.reasoning_tokens
        assert scraped.total("asynccache_cost_usd_total", **labels) == pytest.approx(
            one.cost, rel=Decimal("1e-12")
        )
        saved = [
            scraped.total("asynccache_savings_usd_total", sign=sign, **labels) for sign in ("plus", "minus")
        ]
        assert saved[0] - saved[1] == pytest.approx(one.saved, abs=Decimal("1e-12"))
        assert scraped.total("asynccache_requests_total", **labels) == one.attempts
        assert scraped.total("asynccache_request_duration_seconds_count", **labels) == one.attempts
    assert scraped.total("asynccache_overhead_seconds_count") == whole.attempts
    assert scraped.total("asynccache_open_requests") == scraped.total("asynccache_open_streams") == 0
    assert (
        scraped.total("asynccache_ledger_lost_rows_total")
        == scraped.total("asynccache_ledger_waiting_rows")
        == 0
    )


def check_page(page: str, whole: Summary, by_model: dict[str, Summary]) -> None:
    assert shown(page, "cost") == whole.cost
    assert shown(page, "saved") == whole.saved
    assert shown(page, "prompt") == whole.prompt_tokens
    assert shown(page, "output") == whole.output_tokens
    assert shown(page, "requests") == whole.attempts
    assert float(shown(page, "hits")) == whole.hit_ratio
    assert shown(page, "live") == 0
    for name, one in [("master", whole), *by_model.items()]:
        assert row_of(page, "keys" if one is whole else "models", name) == [
            one.attempts, one.uncached_tokens, one.written_tokens, one.read_tokens, one.output_tokens, one.cost, one.saved,
        ]  # fmt: skip


def check_log(
    log: list[Record], whole: Summary, by_model: dict[Any, Summary], served: dict[str, str]
) -> None:
    """What the simulator says that it sent; of an answer that was cut, only the prompt was told."""
    seen = [buckets(record) for record in log if record.usage is not None]
    assert sum(one[0] for one in seen) == whole.uncached_tokens
    assert sum(one[1] for one in seen) == whole.read_tokens
    assert sum(one[2] for one in seen) == whole.written_tokens
    finished = [record for record in log if record.usage is not None and record.finished]
    assert sum(buckets(record)[3] for record in finished) == whole.output_tokens
    for name, model in (("gpt", "gpt-4o"), ("claude", "claude")):
        billed = sum(
            (bill(record, model) for record in finished if record.body.get("model", "").startswith(model)),
            Decimal(0),
        )
        mine = [one for key, one in by_model.items() if served[str(key)].startswith(name)]
        assert sum((one.cost for one in mine), Decimal(0)) == billed > 0


def buckets(record: Record) -> tuple[int, int, int, int]:
    usage: dict[str, Any] = record.usage or {}
    if "inputTokens" in usage:
        counts = "inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "outputTokens"
        return tuple(usage.get(name, 0) for name in counts)  # type: ignore[return-value]
    if "input_tokens" in usage:
        counts = "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"
        return tuple(usage[name] for name in counts)  # type: ignore[return-value]
    read = usage.get("prompt_cache_hit_tokens")
    if read is None:
        read = usage["prompt_tokens_details"]["cached_tokens"]
    return usage["prompt_tokens"] - read, read, 0, usage["completion_tokens"]


def bill(record: Record, model: str) -> Decimal:
    """What an answer costs, by hand."""
    rates = [Decimal(rate) / 1_000_000 for rate in RATES[model]]
    return sum((count * rate for count, rate in zip(buckets(record), rates, strict=True)), Decimal(0))
