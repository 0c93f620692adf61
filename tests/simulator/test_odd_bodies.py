"""Odd bodies on every wire: whatever stands in a field, the answer is one or a refusal, never a fault of the server."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import aiohttp
import orjson
import pytest

from asynccache.simulator import Simulator

pytestmark = pytest.mark.anyio

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Rome"]},
        "days": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "unit": {"anyOf": [{"type": "number", "minimum": 2}]},
    },
    "required": ["city", "days", "unit"],
}
ASK = "call get_weather for Rome"
FUNCTION: dict[str, Any] = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
CHAT: dict[str, Any] = {
    "model": "deepseek-flash",
    "messages": [{"role": "user", "content": [{"type": "text", "text": ASK}]}],
    "tools": [FUNCTION],
    "tool_choice": "auto",
    "max_tokens": 50,
    "stop": ["x"],
    "response_format": {"type": "text"},
    "thinking": {"type": "enabled"},
    "temperature": 1,
    "stream_options": {"include_usage": True},
    "user_id": "me",
    "stream": True,
}
MARK = {"type": "ephemeral", "ttl": "5m"}
CLAUDE: dict[str, Any] = {
    "system": [{"type": "text", "text": "s", "cache_control": MARK}],
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "get_weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "ok"}]},
                {"type": "text", "text": ASK, "citations": {"enabled": True}},
            ],
        },
    ],
    "tools": [{"name": "get_weather", "input_schema": SCHEMA, "cache_control": MARK}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": False},
    "max_tokens": 5000,
    "stop_sequences": ["x"],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
    "metadata": {"user_id": "me"},
}
CONVERSE: dict[str, Any] = {
    "system": [{"text": "s"}, {"cachePoint": {"type": "default", "ttl": "5m"}}],
    "messages": [
        {"role": "user", "content": [{"text": "hi"}]},
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                {"toolUse": {"toolUseId": "t", "name": "get_weather", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "ok"}]}}, {"text": ASK}],
        },
    ],
    "toolConfig": {
        "tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": SCHEMA}}}],
        "toolChoice": {"any": {}},
    },
    "inferenceConfig": {"maxTokens": 50, "stopSequences": ["x"]},
    "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
    "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{}"}}}},
}
RESPONSES: dict[str, Any] = {
    "model": "gpt-4o",
    "instructions": "s",
    "input": [{"role": "user", "content": [{"type": "input_text", "text": ASK}]}],
    "tools": [{"type": "function", "name": "get_weather", "parameters": SCHEMA}],
    "tool_choice": "auto",
    "max_output_tokens": 50,
    "text": {"format": {"type": "text"}},
    "stream": True,
}
CLAUDE_ID = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
BODIES: dict[str, dict[str, Any]] = {
    "/deepseek/chat/completions": CHAT,
    "/openai/v1/chat/completions": {**CHAT, "model": "gpt-4o"},
    "/openai/v1/responses": RESPONSES,
    "/anthropic/v1/messages": {"model": "claude-sonnet-4-5", "stream": True, **CLAUDE},
    "/anthropic/v1/messages/count_tokens": {"model": "claude-sonnet-4-5", **CLAUDE},
    f"/bedrock/model/{CLAUDE_ID}/invoke": {"anthropic_version": "bedrock-2023-05-31", **CLAUDE},
    f"/bedrock/model/{CLAUDE_ID}/converse": CONVERSE,
    f"/bedrock/model/{CLAUDE_ID}/converse-stream": CONVERSE,
}
ODD: tuple[Any, ...] = (None, True, 0, -1, 2.5, 1e300, "", "odd", [], ["odd"], [[]], [None], {}, {"odd": []})


def places(value: Any) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in a body."""
    inner: Any = value.items() if type(value) is dict else enumerate(value) if type(value) is list else ()
    for name, held in inner:
        yield (name,)
        for path in places(held):
            yield (name, *path)


def with_odd(body: dict[str, Any], path: tuple[str | int, ...], odd: Any) -> bytes:
    changed: Any = copy.deepcopy(body)
    at = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = odd
    return orjson.dumps(changed)


@pytest.mark.parametrize("path", BODIES)
async def test_no_odd_value_is_a_fault(sim: Simulator, path: str) -> None:
    """Each field of a rich body, at any depth, holds each odd value in turn: 200 or 4xx, and whole answers."""
    headers = {"authorization": "Bearer k", "anthropic-version": "2023-06-01"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for place in places(BODIES[path]):
            for odd in ODD:
                body = with_odd(BODIES[path], place, odd)
                async with session.post(sim.url + path, data=body) as response:
                    await response.read()
                assert response.status < 500, (place, odd)


@pytest.mark.parametrize("path", BODIES)
async def test_the_body_itself_is_taken(sim: Simulator, path: str) -> None:
    """The bodies that are made odd are none themselves; else every answer would be a refusal."""
    headers = {"authorization": "Bearer k", "anthropic-version": "2023-06-01"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(sim.url + path, json=BODIES[path]) as response,
    ):
        assert response.status == 200, await response.text()


@pytest.mark.parametrize(
    ("path", "place", "odd"),
    [
        ("/deepseek/chat/completions", ("max_tokens",), "odd"),
        ("/deepseek/chat/completions", ("max_tokens",), 0),
        ("/deepseek/chat/completions", ("tools", 0, "function", "parameters"), "odd"),
        ("/anthropic/v1/messages", ("max_tokens",), 2.5),
        ("/anthropic/v1/messages", ("tools", 0, "input_schema"), "odd"),
        ("/anthropic/v1/messages", ("tools", 0, "input_schema"), ["odd"]),
        (f"/bedrock/model/{CLAUDE_ID}/invoke", ("max_tokens",), "odd"),
        (f"/bedrock/model/{CLAUDE_ID}/converse", ("inferenceConfig", "maxTokens"), "odd"),
        (f"/bedrock/model/{CLAUDE_ID}/converse", ("inferenceConfig", "maxTokens"), 0),
    ],
)
async def test_what_providers_refuse(
    sim: Simulator, path: str, place: tuple[str | int, ...], odd: Any
) -> None:
    """A limit that is no count, and a schema that is no object, are 400 as at the provider."""
    headers = {"authorization": "Bearer k", "anthropic-version": "2023-06-01"}
    body = with_odd(BODIES[path], place, odd)
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(sim.url + path, data=body) as response,
    ):
        assert response.status == 400, await response.text()
