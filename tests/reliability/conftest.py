"""A rig for each test; in every async test a call that blocks the event loop is an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from blockbuster import BlockBuster

import asynccache
from asynccache.simulator import Simulator
from asynccache.simulator.faults import Faults

from .rig import BOTH, WIRES, Rig, settings


@pytest.fixture(scope="session")
def warm() -> None:
    """What is imported, looked up and loaded on first use has been; only then is every wait a defect."""

    async def ask_all() -> None:
        async with Simulator(settings()) as sim, Faults(sim) as faults:
            made = Rig(sim, faults)
            async with made.client:
                for wire in WIRES:
                    for stream in BOTH:
                        await made.ask(wire, stream=stream)
                        await made.ask(wire, stream=stream, scenario={"status": 400})

    asyncio.run(ask_all())


@pytest.fixture(autouse=True)
def no_blocking(request: pytest.FixtureRequest, warm: None) -> Iterator[None]:
    """Our own code never blocks the loop; what is imported on first use is imported before."""
    if request.node.get_closest_marker("anyio") is None:
        yield
        return
    guard = BlockBuster(scanned_modules=[asynccache])
    guard.activate()
    try:
        yield
    finally:
        guard.deactivate()


@pytest.fixture
async def rig(anyio_backend: str) -> AsyncIterator[Rig]:
    async with Simulator(settings()) as sim, Faults(sim) as faults:
        made = Rig(sim, faults)
        async with made.client:
            yield made
