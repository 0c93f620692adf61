"""A caller's stage that raises, dawdles or swallows a cancellation takes nothing with it. Row 89.

Its own error comes out as it is, its traceback leading to the stage; the attempt is told once; the socket closes.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asynccache import Client, Usage, default_stages
from asynccache.simulator import Simulator
from asynccache.simulator.faults import Faults

from .rig import WIRES, Rig
from .rig import settings as simulated

MOMENTS = ("before", "after", "feed", "flush", "interrupted")


class BrokenError(Exception):
    """What the caller's own code raises."""


class Stage:
    """Breaks at one moment of a call: in `feed`, at the k-th event."""

    name = "of_the_caller"

    def __init__(self, moment: str, at: int) -> None:
        self.moment = moment
        self.left = at
        self.broke = False

    async def __call__(self, request: Any, call_next: Any) -> Any:
        if self.moment == "before":
            self.broke = True
            raise BrokenError
        stream = await call_next(request)
        if self.moment == "after":
            self.broke = True
            raise BrokenError
        return stream.pipe(self)

    def feed(self, event: Any, emit: Any, /) -> None:
        self.left -= 1
        if self.moment == "feed" and self.left < 0:
            self.broke = True
            raise BrokenError
        emit(event)

    def flush(self, _emit: Any, /) -> None:
        if self.moment == "flush":
            self.broke = True
            raise BrokenError


@pytest.mark.timeout(300)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    wire=st.sampled_from(sorted(WIRES)), stream=st.booleans(), place=st.integers(0, 6), at=st.integers(0, 12),
    moment=st.sampled_from(MOMENTS[:-1]), calm=st.lists(st.integers(0, 6), max_size=2),
)  # fmt: skip
def test_any_place_and_any_moment(
    wire: str, stream: bool, place: int, at: int, moment: str, calm: list[int]
) -> None:
    """Whatever stack it stands in: its own error, at most one telling, no connection held, and the next call works."""
    chain: list[Any] = default_stages()
    stage = Stage(moment, at)
    chain.insert(place, stage)
    for other in calm:
        chain.insert(other, Stage("never", 0))

    async def run() -> None:
        told: list[Usage] = []
        async with Simulator(simulated()) as sim, Faults(sim) as faults:
            rig = Rig(sim, faults)
            async with rig.client, Client(chain, max_retries=0, on_usage=told.append) as client:
                raised = None
                try:
                    reply: Any = await client.acompletion(**rig.arguments(wire), stream=stream)
                    if stream:
                        async with reply:
                            async for _ in reply:
                                pass
                except BrokenError as error:
                    raised = error
                assert (raised is not None) == stage.broke  # a short answer may end before its k-th event
                sent = len(faults.log)
                assert sent == (moment != "before")
                assert len(told) == 1 if sent else len(told) <= 1
                if raised is not None:
                    names = [frame.name for frame in raised_in(raised)]
                    assert {"feed", "flush", "__call__"} & set(names)
                await rig.settled(open_at_most=client.connections)
                assert client.connections <= 1

    asyncio.run(run())


def raised_in(error: BaseException) -> Any:
    import traceback

    return traceback.extract_tb(error.__traceback__)
