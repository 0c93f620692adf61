"""A call may be cancelled at any await: whole, streamed, while it retries, while it waits for its turn.

Guarantees 1 and 10. The plain streams have their driver in `tests/test_leaving.py`; it drives these too.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from asynccache import Client, Usage, default_stages
from asynccache.retry import Retry
from asynccache.retry import retry as usual_retry

from ..test_leaving import drive
from .rig import WIRES, Rig

pytestmark = pytest.mark.anyio

QUICK = [Retry(first_wait=0.001) if stage is usual_retry else stage for stage in default_stages()]


class Call:
    """One call that is to be cancelled somewhere, with a pool of three."""

    def __init__(self, rig: Rig, wire: str, *, stream: bool, fault: dict[str, Any] | None = None) -> None:
        self.rig = rig
        self.stream = stream
        self.told: list[Usage] = []
        self.before = len(rig.faults.log)
        self.client = Client(QUICK, max_retries=2, max_connections=3, on_usage=self.told.append)
        self.asked = rig.arguments(wire, fault=fault)

    async def run(self) -> None:
        reply: Any = await self.client.acompletion(**self.asked, stream=self.stream)
        if self.stream:
            async with reply:
                async for _ in reply:
                    pass

    async def check(self) -> None:
        """A row for each attempt that reached the wire, no socket left in use, and the pool serves on."""
        seen = len(self.rig.faults.log) - self.before
        assert seen <= len(self.told) <= seen + 1  # an attempt may be cancelled before its request is out
        await asyncio.gather(*(self.rig.ask("openai", client=self.client) for _ in range(3)))
        await self.client.aclose()
        await self.rig.settled()


async def at_every_point(rig: Rig, least: int, make: Any) -> int:
    step = 0
    while True:
        step += 1
        call = make()
        tasks = len(asyncio.all_tasks())
        reached, cancelled = await drive(call.run, step)
        assert cancelled == reached
        await call.check()
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) <= tasks + 1  # the relay may be about to end a connection
        if not reached:
            assert step > least
            return step - 1


@pytest.mark.parametrize("wire", WIRES)
async def test_whole_answers(rig: Rig, wire: str) -> None:
    """Cancelled at its k-th await for every k, an answer in one piece leaves nothing behind."""
    await at_every_point(rig, 3, lambda: Call(rig, wire, stream=False))


@pytest.mark.parametrize("wire", WIRES)
async def test_retries(rig: Rig, wire: str) -> None:
    """The same while an attempt fails, while the pause is waited out, and in the attempt after it."""
    fault = {"cut_event": 1, "end": "rst", "times": 1}
    number = 0

    def make() -> Call:
        nonlocal number
        number += 1
        return Call(rig, wire, stream=True, fault={**fault, "headers": {"x-number": str(number)}})

    await at_every_point(rig, 8, make)


@pytest.mark.parametrize("wire", ["openai", "anthropic", "converse"])
async def test_errors(rig: Rig, wire: str) -> None:
    """The same where the answer is a refusal with a body."""

    class Refused(Call):
        async def run(self) -> None:
            from asynccache import APIStatusError

            with pytest.raises(APIStatusError):
                await super().run()

    fault = {"status": 400, "body": "{}", "split": 1}
    await at_every_point(rig, 2, lambda: Refused(rig, wire, stream=True, fault=fault))


async def test_waiting_for_a_place(rig: Rig) -> None:
    """Calls cancelled while they wait for a place in the pool leave it to the next, and tell one row each."""
    told: list[Usage] = []
    async with Client(max_retries=0, max_connections=1, on_usage=told.append) as client:
        held = await client.acompletion(
            **rig.arguments("openai", fault={"cut_event": 3, "end": "stall"}), stream=True
        )
        waiting = [
            asyncio.ensure_future(client.acompletion(**rig.arguments("openai"), stream=True))
            for _ in range(20)
        ]
        await asyncio.sleep(0.01)
        for task in waiting[::2]:
            task.cancel()
        await asyncio.sleep(0)
        await held.aclose()
        for task in waiting[1::2]:
            async with await task as stream:
                assert [chunk async for chunk in stream]
        for task in waiting[::2]:
            assert task.cancelled()
    assert len(told) == 21
    assert [usage.source for usage in told].count("provider") == 10
    await rig.settled()


@pytest.mark.parametrize("wire", WIRES)
async def test_a_scope_within_the_loop(rig: Rig, wire: str) -> None:
    """Row 84: scopes around single chunks, within and around each other, catch their own cancellation only."""
    asked = rig.arguments(wire, fault={"cut_event": 6, "end": "stall"})
    async with await rig.client.acompletion(**asked, stream=True) as stream:
        with anyio.move_on_after(5) as outer, anyio.move_on_after(0.05) as inner:
            async for _ in stream:
                with anyio.fail_after(1):
                    await anyio.lowlevel.checkpoint()
    assert inner.cancelled_caught
    assert not outer.cancelled_caught
    await rig.settled()


async def test_two_tasks_close_one_stream(rig: Rig) -> None:
    """Row 82: `aclose` twice, and from another task while one reads, ends both at once and tells one row."""
    told: list[Usage] = []
    asked = rig.arguments("openai", fault={"cut_event": 4, "end": "stall"}, on_usage=told.append)
    stream = await rig.client.acompletion(**asked, stream=True)

    async def read() -> int:
        seen = 0
        async for _ in stream:
            seen += 1
        return seen

    reader = asyncio.ensure_future(read())
    await asyncio.sleep(0.05)
    await asyncio.gather(stream.aclose(), stream.aclose())
    done, _ = await asyncio.wait({reader}, timeout=0.5)
    assert done
    reader.exception()
    assert len(told) == 1
    await rig.settled()


async def test_connection_is_given_back_in_time(rig: Rig) -> None:
    """Guarantee 10: after an end of any kind the server sees its connection again within 100 ms."""
    for wire in WIRES:
        for way in ("aclose", "cancel", "error"):
            asked = rig.arguments(wire, fault={"cut_event": 6, "end": "stall"})
            stream = await rig.client.acompletion(**asked, stream=True)
            await stream.__anext__()
            if way == "cancel":
                with anyio.move_on_after(0.02):
                    async for _ in stream:
                        pass
            elif way == "error":
                with pytest.raises(ZeroDivisionError):
                    async with stream:
                        raise ZeroDivisionError
            else:
                await stream.aclose()
            await rig.settled(within=0.1)
            assert rig.faults.log[-1].closed_by == "client"
