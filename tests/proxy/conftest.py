from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asynccache.proxy.server import Server
from asynccache.simulator import Simulator

from .serving import serving


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        yield running


@pytest.fixture
async def proxy(sim: Simulator) -> AsyncIterator[Server]:
    async with serving(sim) as running:
        yield running
