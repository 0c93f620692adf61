"""Bodies that are sound JSON and nothing else: the caller's fault or the provider's matter, never a failure of ours."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import orjson
import pytest

from asynccache.proxy.server import Server
from asynccache.simulator import Simulator

from .serving import KEY, serving, url

pytestmark = pytest.mark.anyio

MARK = {"type": "ephemeral", "ttl": "1h"}
PNG, PDF = "iVBORw0KGgo=", "JVBERi0="
SCHEMA = {"type": "object", "properties": {}}
CHAT: dict[str, Any] = {
    "temperature": 0.5, "top_p": 0.9, "max_tokens": 50, "n": 1, "stop": ["x"], "user": "u", "seed": 3, "stream": False,
    "stream_options": {"include_usage": True}, "reasoning_effort": "low", "parallel_tool_calls": True,
    "metadata": {"a": "b"}, "logit_bias": {"5": 1}, "logprobs": True, "top_logprobs": 2, "service_tier": "auto",
    "thinking": {"type": "enabled", "budget_tokens": 1024}, "prompt_cache_key": "k",
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
    "tools": [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}, "cache_control": MARK}
    ],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": MARK}]},
        {"role": "user", "name": "bob", "content": [
            {"type": "text", "text": "t"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
            {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "f"}},
        ]},
        {"role": "assistant", "content": "c", "reasoning_content": "r",
         "thinking_blocks": [{"type": "thinking", "thinking": "x", "signature": "s"}],
         "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]},
        {"role": "tool", "tool_call_id": "t", "content": [{"type": "text", "text": "x"}], "cache_control": MARK},
        {"role": "user", "content": "go", "cache_control": MARK},
    ],
}  # fmt: skip
MESSAGES: dict[str, Any] = {
    "max_tokens": 2000, "temperature": 0.5, "top_k": 3, "stop_sequences": ["x"], "stream": False, "service_tier": "auto",
    "system": [{"type": "text", "text": "s", "cache_control": MARK}], "metadata": {"user_id": "u"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "tools": [{"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True, "cache_control": MARK}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "t", "cache_control": MARK},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "document", "title": "t",
             "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "x", "signature": "s"}, {"type": "redacted_thinking", "data": "d"},
            {"type": "text", "text": "c"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": [{"type": "text", "text": "x"}]}
        ]},
    ],
}  # fmt: skip
RESPONSES: dict[str, Any] = {
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "t"}]}], "stream": False, "instructions": "s",
    "max_output_tokens": 9, "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
}  # fmt: skip
BODIES = {
    "/v1/chat/completions": (CHAT, ("gpt", "claude", "deepseek", "bedrock", "invoke")),
    "/v1/messages": (MESSAGES, ("gpt", "claude", "deepseek", "bedrock", "invoke")),
    "/v1/messages/count_tokens": (MESSAGES, ("gpt", "claude")),
    "/v1/responses": (RESPONSES, ("gpt",)),
}
ODD: tuple[Any, ...] = ({"type": {}}, [5], 5, None, "odd", [], {}, [[]], True, -1.5)
FEW = 3


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a body."""
    if path:
        yield path
    members = value.items() if type(value) is dict else enumerate(value) if type(value) is list else ()
    for name, member in members:
        yield from places(member, (*path, name))


def with_odd(body: dict[str, Any], path: tuple[Any, ...], odd: Any) -> dict[str, Any]:
    changed: Any = copy.deepcopy(body)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = odd
    return changed  # type: ignore[no-any-return]


async def failures(path: str, odds: tuple[Any, ...]) -> list[Any]:
    """What was answered by a 5xx that no provider gave: each odd value in each place of a body, for each model."""
    async with Simulator() as sim, serving(sim, settings="{max_retries: 0, cooldown_seconds: 0}") as proxy:
        return [one async for one in _failures(sim, proxy, path, odds)]


async def _failures(sim: Simulator, proxy: Server, path: str, odds: tuple[Any, ...]) -> AsyncIterator[Any]:
    body, models = BODIES[path]
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as session:
        for model in models:
            for place in places(body):
                for odd in odds:
                    asked, before = {**with_odd(body, place, odd), "model": model}, len(sim.log)
                    async with session.post(url(proxy, path), data=orjson.dumps(asked)) as answer:
                        told = await answer.read()
                    is_sims = any(record.status is None for record in sim.log[before:])  # it failed itself
                    if answer.status >= 500 and not is_sims:
                        yield model, place, odd, told


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", BODIES)
async def test_odd_members(path: str) -> None:
    """An object, a list or a number in the place of whatever a body holds is answered by no failure of the proxy's."""
    assert await failures(path, ODD[:FEW]) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("path", BODIES)
async def test_all_odd_members(path: str) -> None:
    """The same with everything that JSON has."""
    assert await failures(path, ODD) == []
