"""SIGHUP: what it changes, it changes at once; what takes a restart is named, and nothing is passed over in silence."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from asynccache.proxy.audit import verify_audit
from asynccache.proxy.settings import Settings
from asynccache.proxy.virtual_keys import digest_of, new_key
from tests.proxy.process import Running, run, running
from tests.proxy.serving import KEY
from tests.proxy.upstream import Upstream
from tests.waiting import PATIENCE

from .guarded import HELLO, PRICES

pytestmark = pytest.mark.anyio

MASTER = f"general_settings: {{master_key: {KEY}}}\n"
READ = "the configuration was read again"
STAYS = "the configuration stays as it was"


class Reloaded:
    """A proxy whose file is written anew."""

    def __init__(
        self, proxy: Running, file: Path, provider: Upstream, session: aiohttp.ClientSession
    ) -> None:
        self.proxy = proxy
        self._file = file
        self._models = provider.config(more=PRICES)
        self._session = session
        self.seen = len(proxy.said)

    def write(self, keys: Any = (), **settings: Any) -> None:
        own = json.dumps({"asynccache_settings": {**settings, "keys": list(keys)}})[1:-1]
        self._file.write_text(f"{self._models}{MASTER}{own}\n")

    async def reload(self, keys: Any = (), **settings: Any) -> str:
        """What the proxy said of it."""
        self.write(keys, **settings)
        self.proxy.process.send_signal(signal.SIGHUP)
        self.proxy.wait_for(f"(?s).{{{self.seen}}}.*({READ}|{STAYS}).*\n")
        async with self._session.get(f"{self.proxy.url}/healthz") as answer:
            assert answer.status == 200  # it answers when it has said all
        told, self.seen = self.proxy.said[self.seen :], len(self.proxy.said)
        return told

    async def status(self, key: str) -> int:
        headers = {"x-api-key": key}
        async with self._session.post(
            f"{self.proxy.url}/v1/chat/completions", json=HELLO, headers=headers
        ) as answer:
            return answer.status


def row(key: str, key_id: str = "team", **rights: Any) -> dict[str, Any]:
    return {"id": key_id, "sha256": digest_of(key).hex(), "models": ["m"], **rights}


def warned(told: str) -> list[str]:
    return re.findall(r"Warning: asynccache_settings\.(\w+) was changed, and stays as it was", told)


async def test_keys_and_budgets_change_at_once_and_the_rest_is_named(
    provider: Upstream, tmp_path: Path
) -> None:
    """Keys, rights and budgets of the file count from the reload on; ledger and log stay, and the log says so."""
    one, two, poor = new_key(), new_key(), new_key()
    ledger, audit, file = tmp_path / "ledger.db", tmp_path / "audit.jsonl", tmp_path / "config.yaml"
    opened = {"ledger": str(ledger), "audit": str(audit)}
    text = provider.config(more=PRICES) + MASTER
    file.write_text(text + json.dumps({"asynccache_settings": {**opened, "keys": [row(one)]}})[1:-1] + "\n")
    with running(tmp_path, "--config", str(file)) as proxy:
        async with aiohttp.ClientSession() as session:
            it = Reloaded(proxy, file, provider, session)
            assert [await it.status(key) for key in (one, two, poor)] == [200, 401, 401]
            told = await it.reload([row(two), row(poor, "poor", budget=0.015)], **opened)
            assert warned(told) == []
            assert [await it.status(key) for key in (one, two, poor, poor)] == [401, 200, 200, 402]
            told = await it.reload([row(two), row(poor, "poor", budget=0.025)], **opened)
            assert [await it.status(key) for key in (poor, poor)] == [200, 402]
            told = await it.reload([row(two, models=["other"])], **opened)
            assert [await it.status(key) for key in (two, poor)] == [403, 401]

            told = await it.reload(
                [row(two)], ledger=str(tmp_path / "b.db"), audit=str(tmp_path / "b.jsonl"), idle_seconds=3
            )
            assert warned(told) == ["ledger", "audit", "idle_seconds"]
            assert await it.status(two) == 200  # what does not take a restart was done
            assert not (tmp_path / "b.db").exists()
            assert not (tmp_path / "b.jsonl").exists()
            told = await it.reload([row(one)], **opened)
            assert warned(told) == []

            told = await it.reload([row(one), row(two, "team")], **opened)
            assert STAYS in told
            assert "has the same id as another" in told
            assert [await it.status(key) for key in (one, two)] == [200, 401]
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(PATIENCE) == 0
    assert verify_audit(audit).trouble is None
    events = [json.loads(line)["event"] for line in audit.read_text().splitlines()]
    assert (events.count("start"), events.count("reload"), events.count("stop")) == (1, 5, 1)
    assert [key for key in (one, two, poor, KEY) if key in proxy.said] == []


async def test_a_budget_without_a_ledger_is_not_let_in_by_a_reload(
    provider: Upstream, tmp_path: Path
) -> None:
    """Where the process has no ledger, a reload that brings a budget changes nothing, and says why."""
    key, file = new_key(), tmp_path / "config.yaml"
    file.write_text(provider.config(more=PRICES) + MASTER)
    with running(tmp_path, "--config", str(file)) as proxy:
        async with aiohttp.ClientSession() as session:
            it = Reloaded(proxy, file, provider, session)
            told = await it.reload([row(key, budget=1)], ledger=str(tmp_path / "ledger.db"))
            assert STAYS in told
            assert "the key 'team' has a budget" in told
            assert warned(told) == ["ledger"]
            assert await it.status(key) == 401


def test_what_a_limit_means_over_replicas_is_told(tmp_path: Path) -> None:
    """Where processes share a ledger, the start says which limits count in each of them; else there is nothing to say."""
    key, file = new_key(), tmp_path / "config.yaml"
    for ledger, rights, is_told in (
        ("postgresql://db/x", {"rpm": 5}, True),
        ("postgresql://db/x", {"budget": 5}, False),
        ("usage.db", {"rpm": 5}, False),
    ):
        own = {"ledger": ledger, "keys": [row(key, **rights)]}
        file.write_text(json.dumps({"asynccache_settings": own}))
        done = run("--config", str(file), "--check")
        assert done.returncode == 0
        assert ("rpm, tpm and concurrency (team) count in each process" in done.stderr) == is_told


def test_every_setting_is_accounted_for() -> None:
    """A new setting is a decision: it takes effect by a reload, or is named there as taking a restart."""
    from asynccache.proxy import settings

    by_reload = {
        "stream_usage", "cost_in_bodies", "on_disconnect", "shutdown_seconds", "write_seconds", "max_body_bytes",
        "sticky_seconds", "cooldown_seconds", "max_retries", "request_seconds", "traces", "traces_older_names",
    }  # fmt: skip
    assert {*by_reload, *settings._FIXED} == set(Settings.__struct_fields__)
    assert not by_reload & set(settings._FIXED)
