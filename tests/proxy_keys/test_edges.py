"""Edges of time and of life: midnight, a clock that goes back, a key that is revoked while its stream flows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from asynccache.proxy.activity import Activity, Label
from asynccache.proxy.asked import Asked
from asynccache.proxy.budgets import BudgetRefusedError, Budgets
from asynccache.proxy.page import page
from asynccache.proxy.sums import Sums
from asynccache.proxy.view import look
from asynccache.proxy.virtual_keys import KeyRing, digest_of, new_key
from asynccache.usage.ledger_door import Script
from asynccache.usage.ledger_keys import Key, Rights, add_key, revoke_key
from tests.cli.command import run
from tests.proxy.upstream import DONE, STREAM, Upstream
from tests.waiting import PATIENCE, until

from .guarded import ASK, HELLO, guarded, make_key, through_door

pytestmark = pytest.mark.anyio

MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
ONE = Decimal("0.01")


def key(period: str) -> Key:
    rights = Rights(models=("m",), budget=Decimal("0.02"), period=period)  # type: ignore[arg-type]
    return Key(id=period, digest=b"", rights=rights)


@pytest.mark.parametrize("period", ["day", "month"])
async def test_a_budget_begins_anew_at_midnight(period: str, where: str) -> None:
    """By UTC, to the second; what was held before counts where it was held, and a clock set back finds its day again."""
    now = [MIDNIGHT - 1]
    budgets = Budgets(where, lambda _keys: None, clock=lambda: now[0])
    team = key(period)
    try:
        held = [await budgets.hold(team, ONE) for _ in range(2)]
        with pytest.raises(BudgetRefusedError) as refused:
            await budgets.hold(team, ONE)
        assert refused.value.retry_after == 1
        assert refused.value.headers["x-ratelimit-reset-budget"] == "2026-12-01T00:00:00Z"
        now[0] = MIDNIGHT
        later = await budgets.hold(team, ONE)
        budgets.settle(held[0], 10**10)
        budgets.settle(held[1], 5 * 10**9)
        budgets.settle(later, 10**9)
        assert tuple(await budgets.standing(team)) == (10**9, 0)
        now[0] = MIDNIGHT - 0.5
        assert tuple(await budgets.standing(team)) == (15 * 10**9, 0)
        with pytest.raises(BudgetRefusedError):
            await budgets.hold(team, ONE)
    finally:
        await budgets.aclose()


def test_a_clock_that_goes_back_revives_no_key() -> None:
    """What has expired stays expired until the keys change or the process ends; what has not is still good."""
    now = [1000.0]
    ring = KeyRing(lambda: now[0])
    old, good = new_key(), new_key()
    end = datetime.fromtimestamp(1005, UTC)
    ring.load(
        [
            Key(id="old", digest=digest_of(old), rights=Rights(models=("m",), expires=end)),
            Key(id="good", digest=digest_of(good), rights=Rights(models=("m",))),
        ]
    )
    assert ring.find(old) is not None
    now[0] = 1005.0
    assert ring.find(old) is None
    now[0] = 900.0
    assert ring.find(old) is None
    assert ring.find(good) is not None


def test_a_clock_that_goes_back_draws_a_page() -> None:
    """Sums stay whole, no bin is lost, no age is below nothing."""
    now = [MIDNIGHT]
    activity = Activity(lambda: now[0])
    series = activity.of(Label("m", "p", "d", "k"))
    for step in (0, 300, 60, -7200):
        now[0] = MIDNIGHT + step
        series.add(Sums(requests=1, ok=1, prompt=5, told=5), now[0])
    now[0] = MIDNIGHT - 7200
    assert look(activity, "all").all.sums.requests == 4
    assert look(activity, "hour").all.sums.requests == 1
    drawn = page(activity, Asked(), "http://x").decode()
    assert "up 0 s" in drawn
    now[0] = MIDNIGHT + 300
    assert look(activity, "day").all.sums.requests == 4


async def test_ten_thousand_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read when they change, not every time that it is asked whether they have."""
    monkeypatch.setattr("asynccache.proxy.budgets._KEYS_EVERY", 0.02)
    where = str(tmp_path / "ledger.db")
    first = make_key(where, "first")
    created = datetime.now(UTC)

    def fill() -> Script[None]:
        for number in range(10_000):
            rights = Rights(models=("m",))
            made = Key(id=f"k{number}", digest=digest_of(str(number)), rights=rights, created=created)
            yield from add_key(made)

    through_door(where, fill())
    ring, heard = KeyRing(), [0]

    def hear(keys: Sequence[Key]) -> None:
        heard[0] += 1
        ring.load(keys)

    budgets = Budgets(where, hear)
    try:
        await until(lambda: heard[0])
        await asyncio.sleep(0.5)  # it is asked some twenty times
        assert heard[0] == 1
        assert ring.find(first) is not None
        assert ring.find("9999") is not None
        through_door(where, revoke_key("first", datetime.now(UTC)))
        late = await asyncio.to_thread(make_key, where, "late")
        await until(lambda: ring.find(first) is None and ring.find(late) is not None)
        assert heard[0] <= 3
    finally:
        await budgets.aclose()


async def test_revoked_while_its_stream_flows(provider: Upstream, tmp_path: Path) -> None:
    """The stream ends as it began, whole and settled; the next call is refused."""
    where = str(tmp_path / "ledger.db")
    mine = make_key(where, budget="1")
    provider.answers.clear()
    provider.answer(*STREAM.splitlines(keepends=True), media="text/event-stream")
    provider.pause = 0.2
    async with (
        guarded(provider, where) as proxy,
        aiohttp.ClientSession(headers={"x-api-key": mine}) as session,
        session.post(proxy.url(ASK[0]), json={**HELLO, "stream": True}) as answer,
    ):
        await answer.content.readany()
        assert (await asyncio.to_thread(run, "keys", "revoke", where, "team")).returncode == 0
        async with asyncio.timeout(PATIENCE):
            while (await session.get(proxy.url("/v1/models"))).status != 401:
                await asyncio.sleep(0.05)
        assert (await answer.read()).endswith(DONE)
    listed = json.loads((await asyncio.to_thread(run, "keys", "list", where, "--json")).stdout)["keys"]
    assert [(row["state"], row["held"]) for row in listed] == [("revoked", "0")]
    assert float(listed[0]["spent"]) >= 0.01


def test_one_name_made_by_many_at_once(where: str) -> None:
    """Of eight who make a key of one name at the same moment one does; the others are told, not failed."""
    rights = Rights(models=("m",))
    created = datetime.now(UTC) - timedelta(seconds=1)
    keys = [Key(id="team", digest=digest_of(new_key()), rights=rights, created=created) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda one: through_door(where, add_key(one)), keys))
    assert sorted(made) == [False] * 7 + [True]
