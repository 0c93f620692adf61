"""Whatever the fuzzer ever crashed on, and what it begins with, holds; no fuzzer is needed for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from .run import kept
from .seeds import seeds
from .targets import TARGETS

CRASHERS = sorted((Path(__file__).parent / "crashers").glob("*-*"))


@pytest.mark.parametrize("target", TARGETS)
def test_seeds(target: str) -> None:
    """Small answers of every wire, cut anywhere and with any byte wrong, hold what the target asks."""
    for seed in seeds(target):
        TARGETS[target](seed)
        for at in range(1, len(seed), 1 + len(seed) // 60):
            TARGETS[target](seed[:at])
            TARGETS[target](seed[:at] + bytes([seed[at] ^ 0xFF]) + seed[at + 1 :])


@pytest.mark.parametrize("crasher", CRASHERS, ids=lambda path: path.name)
def test_crashers(crasher: Path) -> None:
    """What once crashed does no more."""
    TARGETS[crasher.name.partition("-")[0]](crasher.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_kept(target: str) -> None:
    """So does all that fuzzing has found to lead somewhere new."""
    for data in kept(target):
        TARGETS[target](data)
