"""Budgets: no number of callers at once, nor of proxies, spends more than there is."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import msgspec
import openai
import pytest

from asynccache.proxy.row_prices import RowPrices
from asynccache.proxy.virtual_keys import digest_of, new_key
from asynccache.usage.ledger_budget import Standing, hold, picodollars, settle, span_of, standing
from asynccache.usage.ledger_keys import Key, Rights
from tests.proxy.process import START, running
from tests.proxy.serving import KEY, ai, claude
from tests.proxy.upstream import CHUNK, DONE, FIRST, STREAM, USAGE, Upstream
from tests.waiting import PATIENCE, until

from .guarded import CENT, HELLO, PRICES, Guarded, door, guarded, make_key, settings, through_door

pytestmark = pytest.mark.anyio

PATIENT = f"import asynccache.proxy.budgets as budgets; budgets._DEADLINE = 30.0; {START}"
"""A proxy that waits for its budgets on a busy machine too."""


async def stands(proxy: Guarded, key_id: str = "team", period: Any = "month") -> Standing:
    assert proxy.gate.budgets is not None
    rights = Rights(models=("m",), budget=Decimal(1), period=period)
    return await proxy.gate.budgets.standing(Key(id=key_id, digest=b"", rights=rights))


async def nothing_held(proxy: Guarded) -> None:
    """Wait until every call is settled."""
    async with asyncio.timeout(PATIENCE):
        while (await stands(proxy)).held:
            await asyncio.sleep(0.01)


async def test_ten_of_two_hundred(where: str, provider: Upstream) -> None:
    """200 parallel calls on a 10-call budget: exactly 10 pass, the others are told so and cost nothing upstream."""
    key = make_key(where, budget="0.10", period="day")
    async with guarded(provider, where) as proxy:
        answers = await asyncio.gather(*(proxy.post(key) for _ in range(200)))
        statuses = [status for status, _, _ in answers]
        assert (statuses.count(200), statuses.count(402)) == (10, 190)
        assert len(provider.bodies) == 10
        assert await stands(proxy, period="day") == (10 * CENT, 0)
        assert (await proxy.post(key))[0] == 402
        assert (await proxy.post(KEY))[0] == 200  # another key is not touched


async def test_ten_of_two_hundred_over_two_processes(
    postgres_url: str, provider: Upstream, tmp_path: Path
) -> None:
    """Two proxies that share a PostgreSQL share the budget: 100 calls to each, and exactly 10 pass."""
    key = make_key(postgres_url, budget="0.10")
    file = tmp_path / "config.yaml"
    file.write_text(provider.config(more=PRICES + settings(ledger=postgres_url)))
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with (
        running(tmp_path / "one", "--config", str(file), start=PATIENT) as one,
        running(tmp_path / "two", "--config", str(file), start=PATIENT) as two,
    ):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def ask(base: str) -> int:
                headers = {"x-api-key": key}
                path = f"{base}/v1/chat/completions"
                async with session.post(path, json=HELLO, headers=headers) as answer:
                    return answer.status

            statuses = await asyncio.gather(*(ask(base) for base in (one.url, two.url) * 100))
        for proxy in (one, two):  # which settle what is to be settled
            proxy.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(proxy.process.wait, PATIENCE) == 0
    assert (statuses.count(200), statuses.count(402)) == (10, 190)
    assert len(provider.bodies) == 10
    span, _ = span_of("month", datetime.now(UTC))
    assert through_door(postgres_url, standing("team", span)) == (10 * CENT, 0)


async def test_a_refusal_speaks_the_callers_dialect(where: str, provider: Upstream) -> None:
    """Both SDKs raise their own error for 402 at once, with what is left and when the budget begins anew."""
    key = make_key(where, budget="0.005")
    _, end = span_of("month", datetime.now(UTC))
    async with guarded(provider, where) as proxy:
        messages: Any = HELLO["messages"]
        async with ai(proxy.server, key) as client:
            with pytest.raises(openai.APIStatusError) as told:
                await client.chat.completions.create(model="m", messages=messages, max_tokens=10)
        assert told.value.status_code == 402
        assert told.value.body["type"] == "insufficient_quota"  # type: ignore[index]
        assert told.value.code == "budget_exceeded"
        assert "$0.005 a month" in str(told.value)
        async with claude(proxy.server, key) as other:
            with pytest.raises(anthropic.APIStatusError) as also:
                await other.messages.create(model="m", messages=messages, max_tokens=10)
        assert also.value.status_code == 402
        assert also.value.body["error"]["type"] == "billing_error"  # type: ignore[index]
    for error in (told, also):
        headers = error.value.response.headers
        assert 0 < int(headers["retry-after"]) <= 31 * 86400
        assert datetime.fromisoformat(headers["x-ratelimit-reset-budget"]) == end
        assert (headers["x-ratelimit-limit-budget"], headers["x-ratelimit-remaining-budget"]) == (
            "0.005",
            "0.005",
        )
    assert provider.bodies == []


async def test_what_was_not_used_is_given_back(where: str, provider: Upstream) -> None:
    """A call reserves its most, 0.09, and settles what it cost, 0.01: the next one fits."""
    key = make_key(where, budget="0.10")
    async with guarded(provider, where) as proxy:
        assert (await proxy.post(key, max_tokens=90))[0] == 200
        assert await stands(proxy) == (CENT, 0)
        assert (await proxy.post(key, max_tokens=90))[0] == 200
        status, answer, _ = await proxy.post(key, max_tokens=90)
        assert (status, answer["error"]["code"]) == (402, "budget_exceeded")
        assert await stands(proxy) == (2 * CENT, 0)


@pytest.mark.parametrize(
    ("ending", "spent"), [("error", 0), ("nobody", 0), ("cut", 10 * CENT), ("whole", CENT)]
)
async def test_endings(ending: str, spent: int, provider: Upstream, tmp_path: Path) -> None:
    """What a provider refused costs nothing; what broke off without its usage costs what was reserved for it."""
    where = str(tmp_path / "ledger.db")
    key = make_key(where, budget="1")
    provider.answers.clear()
    if ending == "error":
        provider.answer(b'{"error":{"message":"no"}}', status=400)
    elif ending == "cut":
        provider.answer(FIRST + CHUNK % b"hi", media="text/event-stream")
    else:
        provider.answer(STREAM, media="text/event-stream")
    async with guarded(provider, where) as proxy:
        if ending == "nobody":
            deployed = proxy.server.served.deployments[0]
            closed = deployed.access.api_base.replace(str(provider.port), "9")  # type: ignore[union-attr]
            deployed.access = msgspec.structs.replace(deployed.access, api_base=closed)
        async with aiohttp.ClientSession(headers={"x-api-key": key}) as session:
            body = {**HELLO, "stream": True, "max_tokens": 100}
            async with session.post(proxy.url("/v1/chat/completions"), json=body) as answer:
                await answer.read()
        assert await stands(proxy) == (spent, 0)


async def test_a_caller_who_leaves_pays_what_was_reserved(provider: Upstream, tmp_path: Path) -> None:
    """Nobody knows what the provider bills for an answer that was left; nothing stays held."""
    where = str(tmp_path / "ledger.db")
    key = make_key(where, budget="1")
    provider.answers.clear()
    provider.answer(FIRST + CHUNK % b"hi", media="text/event-stream")
    provider.stall = True
    async with guarded(provider, where) as proxy:
        async with aiohttp.ClientSession(headers={"x-api-key": key}) as session:
            answer = await session.post(
                proxy.url("/v1/chat/completions"), json={**HELLO, "stream": True, "max_tokens": 50}
            )
            await answer.content.readany()
            assert await stands(proxy) == (0, 5 * CENT)
            answer.close()
        await nothing_held(proxy)
        assert await stands(proxy) == (5 * CENT, 0)


async def test_a_draining_proxy_knows_better(provider: Upstream, tmp_path: Path) -> None:
    """With ``on_disconnect: drain`` an answer that was left settles its true cost."""
    where = str(tmp_path / "ledger.db")
    key = make_key(where, budget="1")
    provider.answers.clear()
    provider.answer(FIRST, *([CHUNK % b"hi"] * 5), USAGE, DONE, media="text/event-stream")
    provider.pause = 0.02
    async with guarded(provider, where, more="  on_disconnect: drain\n") as proxy:
        async with aiohttp.ClientSession(headers={"x-api-key": key}) as session:
            answer = await session.post(
                proxy.url("/v1/chat/completions"), json={**HELLO, "stream": True, "max_tokens": 50}
            )
            await answer.content.readany()
            answer.close()
        await nothing_held(proxy)
        assert (await stands(proxy)).spent < 5 * CENT


async def test_a_price_that_is_not_known_is_no_way_around(provider: Upstream, tmp_path: Path) -> None:
    """A key with a budget may not ask for what nobody can price."""
    where = str(tmp_path / "ledger.db")
    key = make_key(where, budget="1")
    async with guarded(provider, where) as proxy:
        proxy.server.served.deployments[0].prices = RowPrices("openai/no-such-model", {}, None)
        proxy.server.served.deployments[0].target = "openai/no-such-model"
        status, answer, _ = await proxy.post(key)
    assert (status, answer["error"]["code"]) == (403, "price_unknown")
    assert provider.bodies == []


async def test_no_call_on_credit(provider: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database does not answer, keys with a budget are refused in time, and others are not."""
    monkeypatch.setattr("asynccache.usage.ledger_door._LOCKED", 0.3)
    where = str(tmp_path / "ledger.db")
    key = make_key(where, budget="1")
    free = make_key(where, "free")
    async with guarded(provider, where) as proxy:
        with contextlib.closing(sqlite3.connect(where, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            monkeypatch.setattr("asynccache.proxy.budgets._DEADLINE", 0.5)
            status, answer, _ = await proxy.post(key)
            assert (status, answer["error"]["code"]) == (503, "budget_unavailable")
            assert (await proxy.post(free))[0] == 200
            other.execute("ROLLBACK")
        monkeypatch.setattr("asynccache.proxy.budgets._DEADLINE", 30.0)
        assert (await proxy.post(key))[0] == 200
        assert await stands(proxy) == (CENT, 0)  # what had been asked in vain is not held
    assert len(provider.bodies) == 2


async def test_lost_connections(postgres_url: str, provider: Upstream) -> None:
    """PostgreSQL hangs up while calls are in progress: their settles and the next calls find their way."""
    key = make_key(postgres_url, budget="1")
    provider.hang = 0.3
    async with guarded(provider, postgres_url) as proxy:
        calls = [asyncio.ensure_future(proxy.post(key)) for _ in range(5)]
        await until(lambda: len(provider.bodies) == 5)
        await hang_up(postgres_url)
        assert [status for status, _, _ in await asyncio.gather(*calls)] == [200] * 5
        await hang_up(postgres_url)
        assert (await proxy.post(key))[0] == 200
        await nothing_held(proxy)  # a settle that found the connection gone is tried again
        assert await stands(proxy) == (6 * CENT, 0)


async def hang_up(where: str) -> None:
    """End every connection but one's own."""
    import asyncpg

    own = await asyncpg.connect(where)
    try:
        await own.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        )
    finally:
        await own.close()


async def test_a_configured_key_has_a_budget_too(provider: Upstream) -> None:
    """Keys of the configuration need no table; a ledger in memory keeps their budgets as long as it lives."""
    key = new_key()
    row = f"  keys:\n  - {{id: team, sha256: '{digest_of(key).hex()}', models: [m], budget: 0.03, period: day}}\n"
    async with guarded(provider, ":memory:", more=row, master=False) as proxy:
        answers = await asyncio.gather(*(proxy.post(key) for _ in range(20)))
        assert sorted(status for status, _, _ in answers) == [200] * 3 + [402] * 17
        assert await stands(proxy, period="day") == (3 * CENT, 0)
    assert len(provider.bodies) == 3


def test_what_a_dead_process_held_stays_held(where: str) -> None:
    """Nobody knows whether its calls were billed, so nobody else spends that money in this period."""
    assert through_door(where, hold("of the dead", "k", "2026-11", 6, 10)) is None
    assert through_door(where, hold("too much", "k", "2026-11", 5, 10)) == (0, 6)
    assert through_door(where, hold("the rest", "k", "2026-11", 4, 10)) is None


def test_holds_over_many_connections(where: str) -> None:
    """Twelve connections that take and settle at once: the sum is exact, and never over the limit."""
    limit, each, passed = 60, 7, []

    def work(number: int) -> None:
        own = door(where)
        try:
            for turn in range(6):
                name = f"{number}-{turn}"
                if own.run(hold(name, "k", "2026-11", each, limit)) is None:
                    passed.append(name)
        finally:
            own.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own = door(where)
    try:
        assert len(passed) == limit // each
        assert own.run(standing("k", "2026-11")) == (0, len(passed) * each)
        assert own.run(settle(passed[0], 3)) is True
        assert own.run(settle(passed[0], 3)) is False  # told twice, counted once
        assert own.run(settle("never held", 3)) is False
        assert own.run(standing("k", "2026-11")) == (3, (len(passed) - 1) * each)
        assert own.run(standing("k", "2026-12")) == (0, 0)
        assert own.run(hold("large", "k", "2026-12", limit + 1, limit)) == (
            0,
            0,
        )  # the first call of a span too
    finally:
        own.close()


@pytest.mark.parametrize(
    ("period", "now", "name", "end"),
    [
        ("day", "2026-11-22T23:59:59.9+00:00", "2026-11-22", "2026-11-23T00:00:00+00:00"),
        ("day", "2026-11-22T23:30:00-01:00", "2026-11-23", "2026-11-24T00:00:00+00:00"),
        ("month", "2026-12-31T12:00:00+00:00", "2026-12", "2027-01-01T00:00:00+00:00"),
        ("month", "2028-02-29T12:00:00+00:00", "2028-02", "2028-03-01T00:00:00+00:00"),
        ("month", "2026-01-31T12:00:00+00:00", "2026-01", "2026-02-01T00:00:00+00:00"),
    ],
)
def test_periods(period: Any, now: str, name: str, end: str) -> None:
    """A day or month is UTC's, and ends when the next one begins."""
    assert span_of(period, datetime.fromisoformat(now)) == (name, datetime.fromisoformat(end))


def test_amounts_are_rounded_up_and_bounded() -> None:
    """What is finer than the store keeps is never given away."""
    assert picodollars(Decimal("0.01")) == CENT
    assert picodollars(Decimal("1e-13")) == 1
    assert picodollars(Decimal(-1)) == 0
    assert picodollars(Decimal("1e30")) < 2**63


def test_a_budget_needs_a_ledger() -> None:
    """A configured key with a budget and nowhere to keep it is refused at the start."""
    from asynccache.proxy.gate import Gate
    from asynccache.proxy.settings import Config
    from asynccache.proxy.yaml_source import ConfigError

    rights = Rights(models=("m",), budget=Decimal(1))
    config = Config(keys=(Key(id="a", digest=digest_of("x"), rights=rights),))
    with pytest.raises(ConfigError, match=r"key 'a' has a budget: set asynccache_settings\.ledger"):
        Gate().use(config)
