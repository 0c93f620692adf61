"""What every test shares: asyncio is the only loop, no property is judged by a clock, and Ctrl-C is heard."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# `CI`, which `.ci/run` sets, makes hypothesis draw the same examples each time; at one's desk it goes on looking.
settings.register_profile(
    "unhurried",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unhurried")

# A shell's background jobs ignore Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
