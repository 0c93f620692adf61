"""The writer is woken at the end of an event loop's round; rows do not depend on the loop's living that long."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asynccache.usage.ledger import open_ledger
from tests.ledger.attempts import FULL, REQUEST

if TYPE_CHECKING:
    from asynccache.usage.ledger import Ledger

_PATIENCE = 60.0  # seconds; a second is what it should take


def _until_written(ledger: Ledger, rows: int) -> None:
    began = time.monotonic()
    while ledger.counters.written < rows:
        assert time.monotonic() - began < _PATIENCE, ledger.counters
        time.sleep(0.01)


def test_rows_of_a_loop_that_ends_at_once_are_written(tmp_path: Path) -> None:
    """A loop that is closed before it could wake the writer, and is followed by silence, costs no row."""
    ledger = open_ledger(tmp_path / "ledger.db")
    loop = asyncio.new_event_loop()

    def last_words() -> None:
        ledger.open("attempt", REQUEST)
        loop.stop()

    loop.call_soon(last_words)
    loop.run_forever()
    loop.close()

    _until_written(ledger, 1)
    ledger.close()


def test_a_loop_that_ended_holds_up_no_other(tmp_path: Path) -> None:
    """What it owed the writer is made good: the next loop's rows are written at once, each by a ring of its own."""
    ledger = open_ledger(tmp_path / "ledger.db")
    loop = asyncio.new_event_loop()
    loop.call_soon(lambda: (ledger.open("first", REQUEST), loop.stop()))
    loop.run_forever()
    loop.close()

    async def ask() -> None:
        for number in range(50):
            ledger.open(f"attempt {number}", REQUEST)
            assert await ledger.opened(f"attempt {number}", timeout=_PATIENCE)

    began = time.monotonic()
    asyncio.run(ask())
    assert time.monotonic() - began < 25.0  # a second for each, had it slept through them
    _until_written(ledger, 51)
    ledger.close()


@pytest.mark.parametrize("busy", [True, False])
def test_many_rows_of_one_round_are_one_group(tmp_path: Path, *, busy: bool) -> None:
    """What an event loop brings before it comes to rest is committed together; it never waits for more than that."""
    ledger = open_ledger(tmp_path / "ledger.db")

    async def call(number: int) -> None:
        for _ in range(number % 3 if busy else 0):
            await asyncio.sleep(0)
        ledger.open(f"attempt {number}", REQUEST)
        assert await ledger.opened(f"attempt {number}", timeout=_PATIENCE)
        ledger.settle(f"attempt {number}", FULL, None, None)
        assert await ledger.wait_settled(f"attempt {number}", timeout=_PATIENCE)

    async def calls() -> None:
        await asyncio.gather(*(call(number) for number in range(60)))

    asyncio.run(calls())
    counters = ledger.counters
    ledger.close()
    assert counters.written == 120
    assert counters.groups < 60
