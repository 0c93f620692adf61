"""Instructions per call that is not streamed, ours and raw aiohttp's: the same on a busy machine as on a quiet one.

``python -m benchmarks.instructions [WIRE]`` counts a run of 300 calls and one of 100 with valgrind and divides the
difference by 200, so that starting up does not count. It needs ``valgrind``; WIRE is ``openai`` unless it is named.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.clients import make
from benchmarks.proxy_servers import upstream

ROOT = Path(__file__).resolve().parents[1]
CLIENTS = ("asynccache", "aiohttp")
_SHORT, _LONG = 100, 300


async def calls(client: str, base: str, times: int) -> None:
    """*times* calls, one after the other, after some that warm up."""
    made = make(client)
    for _ in range(20 + times):
        await made.whole(base)
    await made.close()


def counted(client: str, base: str, times: int) -> int:
    """Instructions of a process that makes *times* calls."""
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null",
               sys.executable, "-m", "benchmarks.instructions", "--calls", client, base, str(times)]  # fmt: skip
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    told = subprocess.run(command, check=True, cwd=ROOT, env=environ, capture_output=True, text=True).stderr
    found = re.search(r"I\s+refs:\s+([\d,]+)", told)
    assert found, told
    return int(found[1].replace(",", ""))


def main() -> None:
    """The command, or one run of it."""
    if sys.argv[1:2] == ["--calls"]:
        asyncio.run(calls(sys.argv[2], sys.argv[3], int(sys.argv[4])))
        return
    wire = sys.argv[1] if len(sys.argv) > 1 else "openai"
    with upstream() as port:
        base = f"http://127.0.0.1:{port}/{wire}/20/2/0"
        each = {
            client: (counted(client, base, _LONG) - counted(client, base, _SHORT)) / (_LONG - _SHORT)
            for client in CLIENTS
        }
    for client, instructions in each.items():
        sys.stdout.write(f"{client:12} {instructions:12,.0f} instructions a call\n")
    sys.stdout.write(f"{'ratio':12} {each['asynccache'] / each['aiohttp']:12.2f}\n")


if __name__ == "__main__":
    main()
