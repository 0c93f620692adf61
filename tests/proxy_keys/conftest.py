"""Where keys and budgets are kept: every test that asks for `where` runs on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.ledger.conftest import postgres, postgres_url, where
from tests.proxy.conftest import sim
from tests.proxy.upstream import WHOLE, Upstream, upstream

__all__ = ["postgres", "postgres_url", "provider", "sim", "where"]


@pytest.fixture
async def provider() -> AsyncIterator[Upstream]:
    """A provider that answers at once, and counts who asked."""
    async with upstream() as running:
        running.answer(WHOLE)
        yield running
