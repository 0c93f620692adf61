"""An event loop whose clock stands still while something runs, and jumps over every wait: waits are exact, and take no time.

``@in_virtual_time`` is for tests that wait for timers alone; what is to come over a socket never does.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any

import pytest


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc,valid-type]  # which class it is, the system decides
    """Instead of waiting it moves the clock on."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            assert timeout is not None, "nothing is ready, and no timer is set: this would wait for ever"
            self.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time begins at 1000 seconds."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        self._jumping.now = 1000.0
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


BACKEND: tuple[str, Mapping[str, Any]] = ("asyncio", {"loop_factory": VirtualLoop})
in_virtual_time = pytest.mark.parametrize("anyio_backend", [pytest.param(BACKEND, id="virtual")])
