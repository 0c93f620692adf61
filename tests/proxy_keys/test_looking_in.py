"""Commands that look into a ledger while a proxy writes it: they see it all, and nothing is lost by their looking."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from asynccache.usage.ledger_report import read_rows
from tests.cli.command import run
from tests.proxy.process import Running, running
from tests.proxy.upstream import Upstream
from tests.waiting import PATIENCE

from .guarded import HELLO, PRICES, make_key, settings

pytestmark = pytest.mark.anyio


def deleted(process: int) -> list[str]:
    """Files that a process has open and that no longer have a name."""
    folder = Path(f"/proc/{process}/fd")
    if not folder.exists():
        return []
    names: list[str] = []
    for link in folder.iterdir():
        with suppress(FileNotFoundError):  # closed by the process's own work since the listing
            names.append(str(link.readlink()))
    return [name for name in names if name.endswith("(deleted)")]


async def known(proxy: Running, session: aiohttp.ClientSession) -> None:
    """Wait until the proxy, which looks once a second, lets the key of *session* in."""
    async with asyncio.timeout(PATIENCE):
        while (await session.get(f"{proxy.url}/v1/models")).status != 200:
            await asyncio.sleep(0.05)


async def spent(ledger: Path) -> str | None:
    """What the command says that the key has spent."""
    listed = await asyncio.to_thread(run, "keys", "list", str(ledger), "--json")
    amount: str | None = {row["id"]: row["spent"] for row in json.loads(listed.stdout)["keys"]}["team"]
    return amount


@pytest.mark.parametrize("new", [True, False])
async def test_looking_in_takes_nothing_away(new: bool, provider: Upstream, tmp_path: Path) -> None:
    """Each command is the last to close the file but for the proxy; every row and budget stays, even after SIGKILL."""
    ledger, file = tmp_path / "usage.db", tmp_path / "config.yaml"
    if not new:
        make_key(str(ledger), "older")
    file.write_text(provider.config(more=PRICES + settings(ledger=ledger)))
    with running(tmp_path, "--config", str(file), ASYNCCACHE_MASTER_KEY="sk-1234") as proxy:
        made = await asyncio.to_thread(
            run, "keys", "create", str(ledger), "--id", "team", "--model", "m", "--budget", "1"
        )
        async with aiohttp.ClientSession(headers={"x-api-key": made.stdout.strip()}) as session:
            await known(proxy, session)
            for calls in range(1, 4):
                async with session.post(f"{proxy.url}/v1/chat/completions", json=HELLO) as answer:
                    assert answer.status == 200
                async with asyncio.timeout(
                    PATIENCE
                ):  # an answer goes out before the budget's thread has settled it
                    while await spent(ledger) != f"0.0{calls}":
                        pass
                told = await asyncio.to_thread(run, "report", str(ledger), "--json")
                assert json.loads(told.stdout)["total"]["calls"] == calls
        assert deleted(proxy.process.pid) == []
        proxy.process.kill()
        proxy.process.wait(PATIENCE)
    rows = await asyncio.to_thread(read_rows, str(ledger))
    assert [(row.state, row.key_id) for row in rows] == [("settled", "team")] * 3
