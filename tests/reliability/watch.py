"""The most memory held, and the longest pause of the loop, while something runs."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path
from typing import Self

MIB = 1024 * 1024


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    return pages * 4096


class Watch:
    """The most memory, and the longest pause of the loop, while it runs."""

    def __init__(self) -> None:
        self.most = 0
        self.lag = 0.0

    async def __aenter__(self) -> Self:
        gc.collect()
        self.before = resident()
        self.task = asyncio.ensure_future(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            self.lag = max(self.lag, time.perf_counter() - before - 0.005)
            self.most = max(self.most, resident() - self.before)
