"""Exactly one row for each attempt that reached the wire, whatever ended it. Guarantee 1."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from .accounts import account

pytestmark = pytest.mark.anyio

WRONG = ("sent twice", "missing", "of nobody", "doubled", "unheard", "not settled", "lost", "false successes")


async def rows_are_attempts(calls: int, path: Path) -> None:
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    told = await account(calls, path, seed=seed)
    assert told["calls"] == calls
    assert {name: told[name] for name in WRONG} == dict.fromkeys(WRONG, 0), told
    assert told["outcomes"]["cancelled"] > calls // 25
    assert told["outcomes"]["StreamInterruptedError"] > calls // 100
    assert (
        told["rows"] >= told["attempts on the wire"] > calls * 0.8
    )  # a busy machine sends none of what is cancelled


@pytest.mark.timeout(300)
async def test_six_hundred_calls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """600 calls over five wires, 10 % faults, 10 % cancelled, a ledger: no row is missing, none is double."""
    await rows_are_attempts(600, tmp_path / "ledger.db")
    assert "aiohttp.server" not in {
        record.name for record in caplog.records
    }  # callers who leave are no errors


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_ten_thousand_calls(tmp_path: Path) -> None:
    """The same with 10,000: pytest -m slow tests/reliability/test_accounts.py."""
    await rows_are_attempts(10_000, tmp_path / "ledger.db")
