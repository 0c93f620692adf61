"""Children that call through a real client and a ledger until they are killed; forked, so that each starts at once.

Reads lines from stdin: the address of a simulated provider's wire. For each line a child is forked, whose
process id goes to stdout; when that child is dead, the word ``dead``.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import msgspec

import asynccache.usage.ledger as ledger_module
from asynccache.client import Client, default_stages
from asynccache.errors import AsyncCacheError
from asynccache.pipeline import CallNext
from asynccache.request import Request
from asynccache.retry import Retry, retry
from asynccache.usage.ledger import open_ledger
from asynccache.usage.recorder import record_usage

_AT_ONCE = 12
_PROMPT = [{"role": "user", "content": "The same words again and again. " * 20}]
_SCENARIOS: tuple[dict[str, Any], ...] = (
    {},
    {"rate": 2000.0},
    {"answer_tokens": 2},
    {"status": 500, "times": 1},
    {"cut_after_events": 4},
    {"latency": 0.01},
)


class Names:
    """A recorder, and the stage that tells the simulator which attempt it is, so that logs can be compared."""

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}

    def open(self, attempt_id: str, request: Request, /) -> None:
        self._ids[id(request)] = attempt_id

    def settle(self, *_: Any) -> None: ...

    async def stage(self, request: Request, call_next: CallNext) -> Any:
        attempt_id = self._ids.pop(id(request))
        scenario = {**json.loads(request.extra_headers.get("x-simulator", "{}")), "id": attempt_id}
        return await call_next(
            msgspec.structs.replace(
                request, extra_headers={**request.extra_headers, "x-simulator": json.dumps(scenario)}
            )
        )


async def call_until_killed(where: str, base: str) -> None:
    stages = [Retry(first_wait=0.001) if stage is retry else stage for stage in default_stages()]
    names = Names()
    stages.insert(stages.index(record_usage) + 1, names.stage)
    async with (
        open_ledger(where) as ledger,
        Client(stages=ledger.within(stages), recorders=[ledger, names]) as client,
    ):

        async def work(number: int) -> None:
            turn = number
            while True:
                turn += 1
                scenario = json.dumps(_SCENARIOS[turn % len(_SCENARIOS)])
                with suppress(AsyncCacheError):
                    stream = await client.acompletion(
                        "openai/gpt-4o",
                        _PROMPT,
                        api_base=base,
                        api_key="",
                        stream=True,
                        extra_headers={"x-simulator": scenario},
                    )
                    async with stream:
                        async for _ in stream:
                            if turn % 7 == 0:
                                break

        await asyncio.gather(*(work(number) for number in range(_AT_ONCE)))


def die_with(parent: int) -> None:
    """A test that is broken off leaves nobody behind."""
    while os.getppid() == parent:
        time.sleep(0.25)
    os._exit(1)


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(where: str) -> None:
    ledger_module._DEADLINE = 30.0  # a busy machine is no reason to send without a row
    gc.freeze()
    parent = os.getppid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # to be waited for, with a limit
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            threading.Thread(target=die_with, args=(os.getppid(),), daemon=True).start()
            asyncio.run(call_until_killed(where, line.strip()))
            os._exit(0)
        say(str(child))
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            if os.getppid() != parent:  # the test was broken off: its child sees us go
                return
            signal.sigtimedwait({signal.SIGCHLD}, 0.25)
        say("dead")


if __name__ == "__main__":
    main(sys.argv[1])
