"""Bodies that are sound JSON and nothing else: refused as the caller's fault, and nothing is asked upstream."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from asynccache.simulator import Simulator

from .serving import serving
from .test_passing import post

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]
ODD: dict[str, dict[str, Any]] = {
    "role is an object": {"messages": [{"role": {}, "content": "hi"}]},
    "role is a list": {"messages": [{"role": [], "content": "hi"}]},
    "system is a number": {"messages": HI, "system": 5},
    "system is numbers": {"messages": HI, "system": [5]},
    "a result of numbers": {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [5]}]}]},
    "a message is a number": {"messages": [5]},
    "messages are a text": {"messages": "hi"},
    "content is a number": {"messages": [{"role": "user", "content": 5}]},
}  # fmt: skip


@pytest.mark.parametrize("model", ["gpt", "claude", "deepseek", "bedrock"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
@pytest.mark.parametrize("odd", ODD)
async def test_odd_bodies_are_the_callers_fault(odd: str, path: str, model: str) -> None:
    """The answer is a 400, or the provider's own; never a 500."""
    async with Simulator() as sim, serving(sim) as proxy:
        status, answer, _ = await post(
            proxy, path, orjson.dumps({"model": model, "max_tokens": 9, **ODD[odd]})
        )
    assert status in {200, 400}, answer
    if status == 400:
        assert orjson.loads(answer)["error"]["message"]


@pytest.mark.parametrize("choice", [{"type": {}}, {"type": []}, {"type": "tool", "name": {}}, []])
async def test_an_odd_tool_choice(choice: Any) -> None:
    """It is no reason to fail."""
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    asked = {"model": "gpt", "max_tokens": 9, "messages": HI, "tools": tools, "tool_choice": choice}
    async with Simulator() as sim, serving(sim) as proxy:
        status, answer, _ = await post(proxy, "/v1/messages", orjson.dumps(asked))
    assert status in {200, 400}, answer
