"""The relay and its simulator in a process of their own: says where it listens, and at the end what it saw."""

from __future__ import annotations

import asyncio
import json
import sys

from asynccache.simulator import Simulator, SimulatorSettings
from asynccache.simulator.faults import Faults


async def serve(events: int) -> None:
    async with Simulator(SimulatorSettings(answer_tokens=events)) as sim, Faults(sim) as faults:
        sys.stdout.write(f"{faults.url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.sleep(0.2)
        whole = sum(record.finished for record in faults.log)
        seen = {
            "attempts": len(faults.log),
            "whole": whole,
            "open": faults.open,
            "connections": faults.accepted,
        }
        sys.stdout.write(json.dumps(seen) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
