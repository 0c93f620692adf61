"""A few seconds of fuzzing on each push, from the stored inputs on; the long run is a command in `run.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 10


@pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris is not here: it has CPython 3.11 on Linux alone"
)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("target", ["sse", "frames", "usage", "body"])
def test_nothing_crashes(target: str, tmp_path: Path) -> None:
    """The target holds what it asks, whatever the fuzzer thinks of; a crasher is printed, to become a file."""
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fuzz.run",
            target,
            f"-max_total_time={SECONDS}",
            "-print_final_stats=1",
            *(
                ["-seed=4711"] if os.environ.get("CI") else []
            ),  # a push is judged by the same inputs each time
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ASYNCCACHE_FUZZ": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said[-4000:]
    executed = int(said.partition("stat::number_of_executed_units:")[2].split()[0])
    assert executed > 300, said[-4000:]  # more than it begins with, on a machine of any kind
