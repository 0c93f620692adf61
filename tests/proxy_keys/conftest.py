"""Where keys and budgets are kept, on both databases; and what no test here may depend on: load, and midnight."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from tests.ledger.conftest import postgres, postgres_url, where
from tests.proxy.conftest import sim
from tests.proxy.upstream import WHOLE, Upstream, upstream

__all__ = ["postgres", "postgres_url", "provider", "sim", "where"]

_DAY = 86_400
_TOO_LATE = 25  # seconds


@pytest.fixture(autouse=True)
def the_same_day() -> None:
    """Budgets begin anew at midnight, UTC: no test begins just before it."""
    left = _DAY - time.time() % _DAY
    if left < _TOO_LATE:
        time.sleep(left + 0.1)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is slow because the machine is busy is waited for; `test_no_call_on_credit` has its own limits."""
    monkeypatch.setattr("asynccache.proxy.budgets._DEADLINE", 30.0)
    monkeypatch.setattr("asynccache.usage.ledger_door._LOCKED", 20.0)


@pytest.fixture
async def provider() -> AsyncIterator[Upstream]:
    """A provider that answers at once, and counts who asked."""
    async with upstream() as running:
        running.answer(WHOLE)
        yield running
