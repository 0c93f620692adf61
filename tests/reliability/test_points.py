"""A call may be cancelled at any await: whole, streamed, while it retries, while it waits for its turn.

Guarantees 1 and 10. `python -m tests.reliability.measure points` counts the points.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest

from asynccache import Client, Timeout, Usage
from asynccache.usage.ledger import open_ledger
from asynccache.usage.ledger_report import read_rows

from .points import Behind, Call, at_every_point
from .rig import SOON, WIRES, Rig

pytestmark = pytest.mark.anyio

THREE = ("openai", "anthropic", "converse")
EACH = {"delay_event": 0.001}  # every event is a read of its own
# name -> what is asked, and how many suspensions there are at least
PATHS: dict[str, tuple[dict[str, Any], int]] = {
    "streamed": ({"fault": EACH}, 8),
    "whole": ({"stream": False}, 3),
    "refused": ({"fault": {"status": 400, "body": "{}", "split": 1}}, 2),
    "cut": ({"fault": {**EACH, "cut_event": 6, "end": "rst"}}, 6),
    "timed out": (
        {"fault": {"cut_event": 0, "end": "stall"}, "timeout": Timeout(first_event=0.03), "max_retries": 0},
        2,
    ),
}


@pytest.mark.parametrize("wire", THREE)
@pytest.mark.parametrize("path", PATHS)
async def test_every_path(rig: Rig, wire: str, path: str, record_property: Any) -> None:
    """Cancelled at its k-th suspension, for every k, a call leaves no socket, no task and no place taken behind."""
    asked, least = PATHS[path]
    record_property("points", await at_every_point(rig, lambda: Call(rig, wire, **asked), least=least))


@pytest.mark.parametrize("wire", ["deepseek", "invoke"])
async def test_the_other_wires(rig: Rig, wire: str, record_property: Any) -> None:
    """The same on the wires that share most of their code with these."""
    points = await at_every_point(rig, lambda: Call(rig, wire, fault={"split": 400}), least=4)
    points += await at_every_point(rig, lambda: Call(rig, wire, stream=False), least=3)
    record_property("points", points)


@pytest.mark.parametrize("wire", THREE)
@pytest.mark.parametrize("way", ["scope", "group"])
async def test_scopes_and_groups(rig: Rig, wire: str, way: str, record_property: Any) -> None:
    """The same where a scope, or a whole task group, is cancelled: it goes on being so until the call is left."""
    fault = {**EACH, "cut_event": 5, "end": "clean"}
    points = await at_every_point(rig, lambda: Call(rig, wire, fault=fault), least=6, way=way)
    record_property("points", points)


@pytest.mark.parametrize("wire", WIRES)
async def test_retries(rig: Rig, wire: str, record_property: Any) -> None:
    """The same while an attempt fails, while the pause is waited out, and in the attempt after it."""
    number = 0

    def make() -> Call:
        nonlocal number
        number += 1
        fault = {"cut_event": 1, "end": "rst", "times": 1, "headers": {"x-number": str(number)}}
        return Call(rig, wire, fault=fault)

    record_property("points", await at_every_point(rig, make, least=8))


@pytest.mark.parametrize("wire", THREE)
async def test_a_full_pool(rig: Rig, wire: str, record_property: Any) -> None:
    """The same for a call that waits for its turn behind three others, and gets it."""
    points = await at_every_point(rig, lambda: Behind(rig, wire, fault={"split": 400}), least=5)
    record_property("points", points)


@pytest.mark.parametrize("wire", THREE)
async def test_a_ledger(rig: Rig, wire: str, tmp_path: Path, record_property: Any) -> None:
    """The same while the row is written ahead, and while it is waited for at the end: one row an attempt."""
    told: list[Usage] = []
    async with await asyncio.to_thread(open_ledger, tmp_path / "ledger.db") as ledger:  # opening blocks

        class Kept(Call):
            async def run(self) -> None:
                await super().run()
                await ledger.flush()

            async def check(self) -> None:
                await super().check()
                told.extend(self.told)

        points = await at_every_point(
            rig, lambda: Kept(rig, wire, ledger=ledger, fault={"split": 400}), least=6
        )
        assert await ledger.flush()
        counters = ledger.counters
    record_property("points", points)
    rows = await asyncio.to_thread(read_rows, ledger.source)
    assert len(rows) == len(told)
    assert {row.state for row in rows} == {"settled"}
    assert (counters.repeated, counters.lost, counters.failed) == (0, 0, 0)


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
        with anyio.move_on_after(50) as outer, anyio.move_on_after(0.05) as inner:
            async for _ in stream:
                with anyio.fail_after(30):
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
    done, _ = await asyncio.wait({reader}, timeout=SOON)
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
