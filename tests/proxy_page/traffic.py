"""Calls of every kind through a proxy in front of simulated providers."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import aiohttp

from asynccache.proxy.server import Server
from tests.proxy.serving import KEY, url

PROMPTS = [f"Contract {number}. " + "Every clause of it, read and read again. " * 420 for number in range(4)]
FAULTS: list[dict[str, Any]] = [
    {"status": 429},
    {"status": 500},
    {"status": 400},
    {"cut_after_events": 3},
]


class Traffic:
    """Makes calls by dice of its own.

    Attributes:
        asked: how many calls it made.
        answered: how many of them were answered to their end.
    """

    def __init__(self, server: Server, models: list[str], seed: int, *, key: str = KEY) -> None:
        self.asked = 0
        self.answered = 0
        self._server = server
        self._models = models
        self._random = random.Random(seed)
        self._headers = {"authorization": f"Bearer {key}"}

    async def run(self, calls: int, at_once: int = 12, *, leaves: bool = True, faults: float = 0.12) -> None:
        async with aiohttp.ClientSession(headers=self._headers) as session:
            left = [calls]

            async def work() -> None:
                while left[0] > 0:
                    left[0] -= 1
                    await self._call(session, leaves=leaves, faults=faults)

            await asyncio.gather(*(work() for _ in range(min(at_once, calls))))

    async def _call(self, session: aiohttp.ClientSession, *, leaves: bool, faults: float) -> None:
        dice = self._random.random()
        model = self._random.choice(self._models)
        if dice < faults:
            scenario = self._random.choice(FAULTS)
            await self.chat(session, model, scenario, stream="cut_after_events" in scenario)
        elif leaves and dice < faults + 0.08:
            await self.leave(session, "gpt")
        elif dice < 0.35 and model == "claude":
            await self.message(session, stream=self._random.random() < 0.5)
        else:
            scenario = {"answer_tokens": self._random.randrange(1, 40)}
            await self.chat(session, model, scenario, stream=self._random.random() < 0.6)

    def _body(self, model: str, scenario: dict[str, Any], *, stream: bool) -> dict[str, Any]:
        # The scenario travels in the prompt's last words: headers of callers go nowhere.
        prompt = self._random.choice(PROMPTS)
        mark = {"cache_control": {"type": "ephemeral"}} if self._random.random() < 0.8 else {}
        return {
            "model": f"{model}{self._suffix(scenario)}",
            "stream": stream,
            "max_tokens": scenario.get("answer_tokens", 30),
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": prompt, **mark}]},
                {"role": "user", "content": f"Question {self._random.randrange(1000)}?"},
            ],
        }

    def _suffix(self, scenario: dict[str, Any]) -> str:
        return "" if "answer_tokens" in scenario else f"-{NAMES[json.dumps(scenario)]}"

    async def chat(
        self, session: aiohttp.ClientSession, model: str, scenario: dict[str, Any], *, stream: bool
    ) -> None:
        self.asked += 1
        body = self._body(model, scenario, stream=stream)
        async with session.post(url(self._server, "/v1/chat/completions"), json=body) as answer:
            said = await answer.read()
            self.answered += answer.status == 200 and b'"error"' not in said

    async def message(self, session: aiohttp.ClientSession, *, stream: bool) -> None:
        self.asked += 1
        body = self._body("claude", {"answer_tokens": self._random.randrange(1, 40)}, stream=stream)
        system = body["messages"].pop(0)["content"]
        async with session.post(url(self._server, "/v1/messages"), json={**body, "system": system}) as answer:
            await answer.read()
            self.answered += answer.status == 200

    async def leave(self, session: aiohttp.ClientSession, model: str) -> None:
        """A stream that is left when its first words have come, long before its usage."""
        self.asked += 1
        body = self._body(f"{model}-slow", {"answer_tokens": 30}, stream=True)
        async with session.post(url(self._server, "/v1/chat/completions"), json=body) as answer:
            await answer.content.readany()
            answer.close()


NAMES = dict(zip(map(json.dumps, FAULTS), ("limited", "down", "refused", "cut"), strict=True))
TARGETS = {
    "gpt": "openai/gpt-4o",
    "claude": "anthropic/claude-sonnet-4-5",
    "deepseek": "deepseek/deepseek-v4-flash",
    "bedrock": "bedrock/converse/anthropic.claude-sonnet-4-5-20250929-v1:0",
}


def config(*more: str) -> str:
    """Every target, and for each fault a name that meets it always; a name that speaks slowly."""
    rows = [_row(name, target) for name, target in TARGETS.items()]
    for name, target in TARGETS.items():
        rows += [_row(f"{name}-{fault}", target, scenario) for scenario, fault in NAMES.items()]
    rows.append(_row("gpt-slow", TARGETS["gpt"], json.dumps({"rate": 10, "answer_tokens": 2000})))
    return "model_list:\n" + "\n".join([*rows, *more])


def _row(name: str, target: str, scenario: str = "") -> str:
    headers = f", extra_headers: {{x-simulator: '{scenario}'}}" if scenario else ""
    return f'- model_name: {name}\n  litellm_params: {{model: "simulator/{target}"{headers}, max_retries: 0}}'
