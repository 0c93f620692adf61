"""Simulator and relay in a process of their own: says its address, ends when its input does."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator

from asynccache.simulator import Simulator
from asynccache.simulator.faults import Faults

from .rig import settings

PATHS = {"openai": "/openai/v1", "anthropic": "/anthropic", "deepseek": "/deepseek", "converse": "/bedrock", "invoke": "/bedrock"}  # fmt: skip


async def serve() -> None:
    async with Simulator(settings()) as sim, Faults(sim) as faults:
        sys.stdout.write(f"{faults.url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def relay() -> Iterator[dict[str, str]]:
    """The base address of each wire."""
    command = [sys.executable, "-m", "tests.reliability.relay"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        yield {wire: url + path for wire, path in PATHS.items()}
        process.stdin.close()


if __name__ == "__main__":
    asyncio.run(serve())
