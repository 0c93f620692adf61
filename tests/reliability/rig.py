"""One client, one relay that spoils answers, one simulator behind it; and what came of a call."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

from asynccache import AsyncCacheError, Client, Completion, Usage
from asynccache.simulator import Record, Simulator, SimulatorSettings
from asynccache.simulator.faults import Faults
from tests.waiting import soon

KEY = "sk-canary-0123456789abcdefghijklmnop"
PROMPT = "The canary prompt of the house: plover-4711"
TEXT = "Hello, wörld \u2028 and \U0001f600! The answer goes on for a while, word by word, until it ends."
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
            "required": ["city", "country"],
        },
    },
}

# name -> (model, the base's name)
WIRES = {
    "openai": ("openai/gpt-4o", "openai_base"),
    "anthropic": ("anthropic/claude-sonnet-4-5", "anthropic_base"),
    "deepseek": ("deepseek/deepseek-chat", "deepseek_base"),
    "converse": ("bedrock/converse/anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock_base"),
    "invoke": ("bedrock/invoke/anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock_base"),
}
SOON = 20.0
"""Seconds, on any machine: what takes longer hangs until a limit of the client's ends it, of minutes by default."""
SSE = ("openai", "anthropic", "deepseek")
BEDROCK = ("converse", "invoke")
BOTH = (True, False)


class Outcome(NamedTuple):
    """What came of one call."""

    text: str
    chunks: list[Any]
    completion: Completion | None
    usage: Usage | None
    error: Any
    usages: list[Usage]
    """All that `on_usage` was told."""
    took: float
    record: Record | None
    """What truly went out."""


class Rig:
    """Asks a wire with a fault, and tells what came of it."""

    def __init__(self, sim: Simulator, faults: Faults) -> None:
        self.sim = sim
        self.faults = faults
        self.client = Client(max_retries=0)

    def arguments(
        self, wire: str, *, fault: dict[str, Any] | None = None, base: str | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """What `acompletion` takes; knobs of the simulator itself go into *scenario*."""
        model, name = WIRES[wire]
        scenario = arguments.pop("scenario", {})
        header = {**scenario, **({"fault": fault} if fault is not None else {})}
        return {
            "model": model,
            "messages": [{"role": "user", "content": PROMPT}],
            "api_key": KEY,
            "api_base": base or getattr(self.faults, name),
            "extra_headers": {"x-simulator": json.dumps(header)} if header else None,
            **({"aws_region_name": "us-east-1"} if wire in BEDROCK else {}),
            **arguments,
        }

    async def ask(
        self, wire: str, *, stream: bool = True, client: Client | None = None, **arguments: Any
    ) -> Outcome:
        """One call to its end, whatever that is; only errors of ours are caught."""
        usages: list[Usage] = []
        chunks: list[Any] = []
        before = len(self.faults.log)
        begun = time.monotonic()
        reply: Any = None
        error: AsyncCacheError | None = None
        asked = self.arguments(wire, on_usage=usages.append, **arguments)
        try:
            reply = await (client or self.client).acompletion(**asked, stream=stream)
            if stream:
                async with reply:
                    async for chunk in reply:
                        chunks.append(chunk)  # noqa: PERF401 - what came before an error stays
        except AsyncCacheError as exc:
            error = exc
        took = time.monotonic() - begun
        completion = None if reply is None else reply.completion if stream else reply
        text = (completion.choices[0].message.content or "") if completion and completion.choices else ""
        record = self.faults.log[before] if len(self.faults.log) > before else None
        usage = None if reply is None else reply.usage
        return Outcome(text, chunks, completion, usage, error, usages, took, record)

    async def settled(self, *, open_at_most: int = 0, within: float = 0.1) -> None:
        """No more connections stand than these, soon: in naps of the loop, so that no other load counts."""
        await soon(lambda: self.faults.open <= open_at_most, within)


def settings(**given: Any) -> SimulatorSettings:
    return SimulatorSettings(**{"answer": TEXT, **given})
