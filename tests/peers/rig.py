"""Puts a client, a process of its own, before a fault; kills it where it does not come back."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from asynccache.simulator import Simulator, SimulatorSettings
from asynccache.simulator.faults import Faults

from .cases import CASES, KEY, LIMIT, TEXT, Case
from .judging import Truth

HERE = Path(__file__).resolve().parent
_GRACE = 6.0
"""Seconds beyond a case's limit until a client is killed."""


class Column(NamedTuple):
    """A client on a wire."""

    client: str
    wire: str


COLUMNS = (
    Column("asynccache", "openai"), Column("openai", "openai"), Column("litellm", "openai"),
    Column("asynccache", "anthropic"), Column("anthropic", "anthropic"), Column("litellm", "anthropic"),
)  # fmt: skip


class Elsewhere:
    """Another origin: takes what it is sent, and remembers it."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: list[bytes] = []

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.read(65536))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()


class Asker:
    """A client's process."""

    def __init__(self, python: str, client: str) -> None:
        self.python = python
        self.client = client
        self.version = ""
        self.is_warm = False
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> asyncio.subprocess.Process:
        mine = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OPENAI_", "ANTHROPIC_"))
        }
        mine |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        if self.client == "asynccache":
            mine["PYTHONPATH"] = str(HERE.parents[1])
        process = await asyncio.create_subprocess_exec(
            self.python, str(HERE / "asker.py"), self.client, env=mine, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, limit=2**20,
        )  # fmt: skip
        assert process.stdout is not None
        self.version = json.loads(await process.stdout.readline())["version"]
        return process

    async def ask(self, case: dict[str, Any], limit: float) -> dict[str, Any] | None:
        """What came of it; None where it had to be killed."""
        process = self._process = self._process or await self.start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(case).encode() + b"\n")
        try:
            async with asyncio.timeout(limit):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        await self.stop()
        return None

    async def stop(self) -> None:
        process, self._process = self._process, None
        self.is_warm = False
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()


class Rig:
    """One simulator, one relay, one other origin."""

    def __init__(self, sim: Simulator, faults: Faults, elsewhere: Elsewhere) -> None:
        self.sim = sim
        self.faults = faults
        self.elsewhere = elsewhere
        self.events: dict[str, int] = {}
        """How many events a whole answer has, by wire."""
        self.usage: dict[str, tuple[int, int]] = {}

    async def ask(self, asker: Asker, wire: str, case: Case) -> tuple[dict[str, Any] | None, Truth]:
        """Put *asker* before *case*; a new process is first put before nothing, and loads what it needs."""
        if not asker.is_warm:
            asker.is_warm = True
            await self._put(asker, wire, CASES["plain"], 90.0)
        return await self._put(asker, wire, case, case.within + _GRACE)

    async def _put(
        self, asker: Asker, wire: str, case: Case, limit: float
    ) -> tuple[dict[str, Any] | None, Truth]:
        before = len(self.faults.log)
        self.elsewhere.heard.clear()
        base = self.faults.openai_base if wire == "openai" else self.faults.anthropic_base
        asked = {
            "wire": wire, "base": base, "key": KEY, "retries": case.retries, "timeout": LIMIT,
            "headers": {"x-simulator": json.dumps(self._scenario(wire, case, before))},
        }  # fmt: skip
        came = await asker.ask(asked, limit)
        heard = b"".join(self.elsewhere.heard)
        truth = Truth(
            attempts=len(self.faults.log) - before,
            usage=self.usage.get(wire, (0, 0)),
            key_elsewhere=KEY.encode() in heard,
        )
        return came, truth

    def _scenario(self, wire: str, case: Case, number: int) -> dict[str, Any]:
        count = self.events.get(wire, 0)
        fault, scenario = dict(case.fault), dict(case.scenario)
        if case.cut is not None:
            fault["cut_event"] = case.cut if case.cut >= 0 else count + case.cut
        after = scenario.get("error_after_events", 0)
        if after < 0:
            scenario["error_after_events"] = count + after
        if "headers" in fault:
            fault["headers"] = {
                name: value.replace("ELSEWHERE", f"{self.elsewhere.url}/v1/chat/completions")
                for name, value in fault["headers"].items()
            }
        return {"id": f"peers-{number}", **scenario, **({"fault": fault} if fault else {})}

    async def learn(self, asker: Asker, wire: str) -> None:
        """What a whole answer is, from one that nothing happened to."""
        await self.ask(asker, wire, CASES["plain"])
        record, meant = self.faults.log[-1], self.sim.log[-1].usage or {}
        self.events[wire] = record.events_sent
        self.usage[wire] = (
            meant.get("prompt_tokens", meant.get("input_tokens", 0)),
            meant.get("completion_tokens", meant.get("output_tokens", 0)),
        )


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    """A running one."""
    elsewhere = Elsewhere()
    server = await asyncio.start_server(elsewhere.take, "127.0.0.2", 0)
    elsewhere.url = f"http://127.0.0.2:{server.sockets[0].getsockname()[1]}"
    async with Simulator(SimulatorSettings(answer=TEXT)) as sim, Faults(sim) as faults:
        yield Rig(sim, faults, elsewhere)
    server.close()
