"""Where a ledger is kept: every test that asks for `where` runs on both databases; none gives up on a busy machine."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger.postgres import server, why_not

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call waits for its row as long as a busy machine takes to write it; the test of the limit has its own."""
    monkeypatch.setattr("asynccache.usage.ledger._DEADLINE", 30.0)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server that lives as long as the tests."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """An empty place on that server: a schema of its own."""
    import asyncio

    import asyncpg

    schema = f"test_{next(_numbers)}"

    async def make() -> None:
        connection = await asyncpg.connect(postgres)
        await connection.execute(f"CREATE SCHEMA {schema}")
        await connection.close()

    with asyncio.Runner() as runner:
        runner.run(make())
    return f"{postgres}&search_path={schema}"


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What `open_ledger` is given: an empty place on SQLite or PostgreSQL."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    return str(request.getfixturevalue("postgres_url"))
