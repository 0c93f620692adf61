"""A running simulator for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asynccache.simulator import Simulator, SimulatorSettings, VirtualClock


@pytest.fixture
async def sim(anyio_backend: str) -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorSettings(), clock=VirtualClock(start=1_795_000_000.0)) as running:
        yield running
