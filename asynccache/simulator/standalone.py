"""The simulator as a process of its own: listens until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from .server import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from .settings import SimulatorSettings


def run(
    port: int = 8099,
    *,
    settings: SimulatorSettings | None = None,
    started: Callable[[Simulator], None] | None = None,
) -> None:
    """Serves on loopback until the process is told to stop.

    Args:
        port: Where to listen; 0 takes any free port.
        settings: Pace and size of the answers.
        started: Called once it listens, to say where.
    """
    asyncio.run(_serve(port, settings, started))


async def _serve(
    port: int, settings: SimulatorSettings | None, started: Callable[[Simulator], None] | None
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    simulator = await Simulator(settings).start(port)
    try:
        if started is not None:
            started(simulator)
        await stop.wait()
    finally:
        await simulator.stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
