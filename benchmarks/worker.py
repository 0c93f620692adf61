"""A process that measures some clients: one JSON order a line in, one JSON answer a line out.

``python -m benchmarks.worker NAME[,NAME…]``
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import json
import os
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from benchmarks.clients import KNOWN, Client, Said, make, wire_of
from benchmarks.upstream import raise_file_limit
from benchmarks.wires import CACHED, PROMPT, WHOLE_TEXT, WHOLE_TOKENS, text_of

_LONGEST = 120  # seconds for one order: some clients wait for ever for a connection


def rss() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def check(name: str, said: Said, text: str, tokens: int) -> None:
    """Refuse a figure of a client that did not read the answer."""
    if name in {"floor", "aiohttp"}:
        return
    wanted = (text, PROMPT, tokens, CACHED)
    if said[:4] != wanted:
        short = tuple(str(value)[:60] for value in said[:4])
        msg = f"{name} read {short} where {tuple(str(value)[:60] for value in wanted)} was sent"
        raise AssertionError(msg)


def expected_text(wire: str, chunks: int) -> str:
    """What a stream says."""
    return '{"text":"' + " word" * chunks + '"}' if wire == "openai-tools" else text_of(chunks)


async def stream(name: str, client: Client, order: dict[str, Any]) -> dict[str, Any]:
    """One stream, or several at once: CPU and wall time, and the wait for the first text."""
    base, at_once = order["base"], order.get("at_once", 1)
    gc.collect()
    begin, cpu = time.perf_counter(), time.process_time()
    if at_once == 1:
        answers = [await client.stream(base)]
    else:
        answers = await asyncio.gather(*(client.stream(base) for _ in range(at_once)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
    chunks = int(base.split("/")[4])
    for said in answers:
        check(name, said, expected_text(wire_of(base), chunks), chunks)
    first = answers[0].first
    return {"cpu": cpu, "wall": wall, "first": first and first - begin, "reads": answers[0].reads}


async def whole(name: str, client: Client, order: dict[str, Any]) -> dict[str, Any]:
    """Answers that are not streamed, *at_once* at a time."""
    base, at_once, rounds = order["base"], order["at_once"], order["rounds"]
    gc.collect()
    begin, cpu = time.perf_counter(), time.process_time()

    async def ask() -> None:
        for _ in range(rounds):
            check(name, await client.whole(base), WHOLE_TEXT, WHOLE_TOKENS)

    if at_once == 1:
        await ask()
    else:
        await asyncio.gather(*(ask() for _ in range(at_once)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
    return {"cpu": cpu / rounds / at_once, "wall": wall / rounds / at_once}


async def hold(_name: str, client: Client, order: dict[str, Any]) -> dict[str, Any]:
    """Memory while *count* streams are open, each with its first piece received."""
    held: list[Any] = []
    await client.stream(order["warm"])
    gc.collect()
    before, result = rss(), []
    for count in order["counts"]:
        while len(held) < count:
            size = min(100, count - len(held))
            held += await asyncio.gather(*(client.hold(order["base"]) for _ in range(size)))
        gc.collect()
        result.append((count, (rss() - before) / count))
    return {"bytes": result}


async def main() -> None:
    """Obey orders until there are no more."""
    raise_file_limit()
    warnings.simplefilter("ignore")
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what clients print goes elsewhere
    clients: dict[str, Client] = {}
    ready: dict[str, Any] = {}
    for name in sys.argv[1].split(","):
        try:
            clients[name] = make(name)
            packages = KNOWN[name][2]
            ready[name] = {
                package: importlib.metadata.version(package)
                for package in packages
                if package != "asynccache"
            }
        except ImportError as error:
            ready[name] = f"not installed ({error})"
    print(json.dumps(ready), file=out)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        try:
            measure = {"stream": stream, "whole": whole, "hold": hold}[order["do"]]
            async with asyncio.timeout(_LONGEST):
                answer = await measure(order["client"], clients[order["client"]], order)
        except Exception as error:  # noqa: BLE001 - the table says which client failed, and how
            answer = {
                "error": f"{type(error).__name__}: {error}"[:300],
                "trace": traceback.format_exc()[-2000:],
            }
        print(json.dumps(answer), file=out)
    os._exit(0)  # some clients keep threads


if __name__ == "__main__":
    asyncio.run(main())
