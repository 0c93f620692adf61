"""OpenAI's former spelling of a tool call: asked for with functions, answered with function_call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asynccache import Client
from asynccache.arguments import build_request
from asynccache.request import Timeout

from .scripted import scripted

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b"
CALL = {"name": "f", "arguments": '{"a": 1}'}


def choice(**fields: Any) -> bytes:
    told = {"id": "c", "created": 1, "model": "gpt-4o", "choices": [{"index": 0, **fields}]}
    return json.dumps(told).encode()


async def ask(media: bytes, body: bytes, *, stream: bool) -> Any:
    async with scripted([HEAD % (media, len(body), body)]) as server, Client(max_retries=0) as client:
        asked = [{"role": "user", "content": "hi"}]
        reply: Any = await client.acompletion(
            "openai/gpt-4o",
            asked,
            api_base=server.base,
            api_key="k",
            functions=[{"name": "f"}],
            stream=stream,
        )
        return ([chunk async for chunk in reply], reply.completion) if stream else reply


async def test_whole() -> None:
    """The message holds the call as OpenAI has it, and goes back into messages as it is."""
    said = choice(
        message={"role": "assistant", "content": None, "function_call": CALL}, finish_reason="function_call"
    )
    reply = await ask(b"application/json", said, stream=False)
    message = reply.choices[0].message
    assert message.to_dict() == {"role": "assistant", "content": None, "refusal": None, "function_call": CALL}
    assert message.function_call.name == "f"
    assert message.tool_calls is None
    assert reply.choices[0].finish_reason == "function_call"
    asked = build_request(
        "openai/gpt-4o", [message], stream=False, timeout=Timeout(), max_retries=0, arguments={}
    )
    assert asked.messages[0]["function_call"] == CALL


async def test_streamed() -> None:
    """Its pieces come as OpenAI's deltas, and add up to the same message."""
    pieces = [{"name": "f", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ": 1}"}]
    events = [choice(delta={"function_call": piece}) for piece in pieces]
    events += [choice(delta={}, finish_reason="function_call"), b"[DONE]"]
    body = b"".join(b"data: %b\n\n" % event for event in events)
    chunks, whole = await ask(b"text/event-stream", body, stream=True)
    deltas = [chunk.choices[0].delta.to_dict() for chunk in chunks if chunk.choices]
    assert [delta["function_call"] for delta in deltas if "function_call" in delta] == pieces
    assert whole.choices[0].message.function_call.to_dict() == CALL
    assert whole.choices[0].message.tool_calls is None


@pytest.mark.parametrize("empty", [None, {}, {"name": "", "arguments": ""}])
async def test_none(empty: Any) -> None:
    """Servers that always send the field call nothing with it."""
    said = choice(message={"content": "hi", "function_call": empty}, finish_reason="stop")
    reply = await ask(b"application/json", said, stream=False)
    assert reply.choices[0].message.to_dict() == {"role": "assistant", "content": "hi", "refusal": None}
