"""The examples for Prometheus and Grafana name what the proxy really tells."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from asynccache.simulator import Simulator
from asynccache.usage.ledger import open_ledger
from tests.proxy.serving import KEY, serving, url
from tests.proxy_page.test_agreement import Scraped
from tests.proxy_page.traffic import TARGETS, Traffic, config

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_METRIC = re.compile(r"asynccache[a-z0-9_:]+")


async def test_names_are_those_of_a_scrape(tmp_path: Path) -> None:
    """Every metric, label and word that a query asks for stands in a scrape, or is recorded by a rule."""
    rules: Any = yaml.safe_load((EXAMPLES / "prometheus-rules.yml").read_text())
    recorded = {rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}
    dashboard = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    queries += [one["definition"] for one in dashboard["templating"]["list"] if "definition" in one]
    async with (
        open_ledger(str(tmp_path / "l.db")) as ledger,
        Simulator() as sim,
        serving(sim, config(), ledger=ledger) as server,
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
    ):
        await Traffic(server, list(TARGETS), 4).run(40)
        await session.post(url(server, "/v1/chat/completions"), json={"model": "nobody", "messages": [{}]})
        scraped = Scraped(await (await session.get(url(server, "/metrics"))).text())
    names = {sample.name for sample in scraped.samples}
    asked = {name for query in queries for name in _METRIC.findall(query)}
    assert asked <= names | recorded
    assert "asynccache_cache_hit_ratio" in recorded
    told = {(name, value) for sample in scraped.samples for name, value in sample.labels.items()}
    for query in queries:
        assert query.count("(") == query.count(")")
        for name, value in re.findall(r'(\w+)!?="([^"$]+)"', query):
            assert (name, value) in told
        for labels in re.findall(r"by \(([^)]*)\)", query):
            assert {one.strip() for one in labels.split(",")} <= {name for name, _ in told}


def test_panels_do_not_overlap() -> None:
    """The dashboard fills its 24 columns."""
    dashboard = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
