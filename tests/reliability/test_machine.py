"""Any order of opening, reading, leaving, cutting and closing keeps sockets, tasks and rows in step.

Guarantees 1 and 10, as a state machine: hypothesis draws the order, a real relay and real sockets take part.
"""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asynccache import AsyncCacheError, Client, ConfigurationError, Timeout, Usage
from asynccache.simulator import Simulator
from asynccache.simulator.faults import Faults
from tests.waiting import naps, soon

from .rig import SOON, WIRES, Rig
from .rig import settings as simulated

LONG = bool(os.environ.get("ASYNCCACHE_LONG"))
CUTS: list[dict[str, Any]] = [
    {"cut_event": 8, "end": "stall"},
    {"cut_event": 5, "end": "rst"},
    {"cut_event": 5, "end": "fin"},
    {"cut_event": 5, "end": "clean"},
    {"cut_event": 5, "end": "bad_chunk"},
    {"framing": "close"},
    {"hang_up": True},
    {},
]


class Calls(RuleBasedStateMachine):
    """One client, its calls, and what the relay has seen of them."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.run = self.loop.run_until_complete
        self.sim = Simulator(simulated())
        self.run(self.sim.start())
        self.faults = Faults(self.sim)
        self.run(self.faults.__aenter__())
        self.rig = Rig(self.sim, self.faults)
        self.told: list[Usage] = []
        limits = Timeout(connect=SOON, first_event=SOON, idle=SOON)
        self.client = Client(max_retries=0, max_connections=4, on_usage=self.told.append, timeout=limits)
        # A stream that failed or ended keeps its place until a rule takes it away: what hypothesis may draw
        # next does not depend on how quick the machine was.
        self.places: list[Any] = []
        self.closed = False
        self.attempts = 0
        self.run(asyncio.sleep(0))
        self.tasks = len(asyncio.all_tasks(self.loop))

    @precondition(lambda self: len(self.places) < 3)
    @rule(wire=st.sampled_from(sorted(WIRES)), fault=st.sampled_from(CUTS))
    def open(self, wire: str, fault: dict[str, Any]) -> None:
        asked = self.rig.arguments(wire, fault=fault)

        async def call() -> None:
            self.places.append(None)
            try:
                self.places[-1] = await self.client.acompletion(**asked, stream=True)
            except ConfigurationError:
                assert self.closed
                return  # what was refused before anything was sent is no attempt
            except AsyncCacheError:
                pass
            self.attempts += 1

        self.run(call())  # whose task would keep what it returns until the loop has let go of it

    @property
    def streams(self) -> list[Any]:
        return [stream for stream in self.places if stream is not None]

    def take(self, which: int) -> Any:
        """The stream of a place, which is free from then on."""
        return self.places.pop(which % len(self.places))

    @precondition(lambda self: self.places and not self.closed)
    @rule(which=st.integers(0, 2), chunks=st.integers(1, 30))
    def read(self, which: int, chunks: int) -> None:
        place = which % len(self.places)
        if (stream := self.places[place]) is None:
            return

        async def take() -> None:
            try:
                async with asyncio.timeout(0.02):
                    for _ in range(chunks):
                        await stream.__anext__()
            except (AsyncCacheError, StopAsyncIteration, TimeoutError):
                self.places[place] = None
                await stream.aclose()
            except Exception as error:
                if type(error).__name__ != "ClosedResourceError":
                    raise

        self.run(take())

    @precondition(lambda self: self.places)
    @rule(which=st.integers(0, 2))
    def leave(self, which: int) -> None:
        if (stream := self.take(which)) is not None:
            self.run(stream.aclose())
            self.run(stream.aclose())

    @precondition(lambda self: self.places)
    @rule(which=st.integers(0, 2))
    def drop(self, which: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self.take(which)
            gc.collect()

    @precondition(lambda self: self.places)
    @rule(which=st.integers(0, 2))
    def fail_in_the_block(self, which: int) -> None:
        if (stream := self.take(which)) is None:
            return

        async def body() -> None:
            try:
                async with stream:
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass

        self.run(body())

    @precondition(lambda self: not self.closed)
    @rule(wire=st.sampled_from(sorted(WIRES)), after=st.floats(0, 0.02))
    def cancel(self, wire: str, after: float) -> None:
        asked = self.rig.arguments(wire, fault=CUTS[0])

        async def call() -> None:
            stream = await self.client.acompletion(**asked, stream=True)
            async with stream:
                async for _ in stream:
                    pass

        async def cancelled() -> None:
            task = asyncio.ensure_future(call())
            await asyncio.sleep(after)
            before = len(self.told)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert len(self.told) <= before + 1

        self.run(cancelled())
        self.attempts += 1

    @precondition(lambda self: not self.closed)
    @rule(wire=st.sampled_from(sorted(WIRES)))
    def whole(self, wire: str) -> None:
        outcome = self.run(self.rig.ask(wire, stream=False, client=self.client))
        assert outcome.error is None
        self.attempts += 1

    @rule()
    def close(self) -> None:
        if len(self.places) < 2:
            return
        self.closed = True
        self.run(self.client.aclose())

    @invariant()
    def rows_and_sockets(self) -> None:
        """A row for each attempt that is over, a socket at most for each that is not, and for each that lies idle."""
        if not hasattr(self, "loop"):
            return
        self.run(naps(5))  # until a connection that the server has closed is known to be
        self.run(soon(lambda: self.faults.open <= 4, within=0.05))
        over = self.attempts - len(self.streams)
        finished = len(self.told)
        assert over <= finished <= self.attempts, (over, finished, self.attempts)
        assert self.client.connections <= 4
        assert len(asyncio.all_tasks(self.loop)) <= self.tasks + 6 * 4  # the relay's and the simulator's own

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for stream in self.streams:
            self.run(stream.aclose())
        self.run(self.client.aclose())
        self.run(self.rig.settled())
        assert len(self.told) == self.attempts
        self.run(self.rig.client.aclose())
        self.run(self.faults.__aexit__(None, None, None))
        self.run(self.sim.stop())
        self.run(self.loop.shutdown_asyncgens())
        self.run(soon(lambda: len(asyncio.all_tasks(self.loop)) == 1, within=0.05))  # which asks
        self.loop.close()


TestCalls = pytest.mark.timeout(300)(Calls.TestCase)
TestCalls.settings = settings(
    max_examples=300 if LONG else 12,
    stateful_step_count=50 if LONG else 25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
