"""What every test shares: asyncio is the only loop, and no property is judged by a clock."""

from __future__ import annotations

import os

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


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
