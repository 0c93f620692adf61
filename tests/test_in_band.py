"""Errors inside answers of status 200, in the dialects that servers tell them in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asynccache import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BillingError,
    Client,
    ContextWindowExceededError,
    InternalServerError,
    OverloadedError,
    RateLimitError,
)

from .scripted import event, scripted

pytestmark = pytest.mark.anyio

DIALECTS: dict[str, tuple[Any, type[APIStatusError], int]] = {
    "openai": ({"error": {"message": "m", "type": "server_error"}}, InternalServerError, 500),
    "text": ({"error": "m"}, InternalServerError, 500),
    "vllm": (
        {"object": "error", "message": "maximum context length", "type": "BadRequestError", "code": 400},
        ContextWindowExceededError,
        400,
    ),
    "vllm type alone": ({"object": "error", "message": "m", "type": "RateLimitError"}, RateLimitError, 429),
    "fastapi": ({"detail": "Not authenticated"}, AuthenticationError, 401),
    "fastapi list": ({"detail": [{"loc": ["body"], "msg": "field required"}]}, BadRequestError, 422),
    "databricks": ({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "m"}, RateLimitError, 429),
    "dashscope": (
        {"code": "InvalidApiKey", "message": "m", "request_id": "r"},
        AuthenticationError,
        401,
    ),
    "minimax": (
        {"base_resp": {"status_code": 1008, "status_msg": "balance"}, "choices": None},
        BillingError,
        402,
    ),
    "google": (
        [{"error": {"code": 503, "status": "UNAVAILABLE", "message": "m"}}],
        OverloadedError,
        503,
    ),
    "grpc word": ({"error": {"status": "RESOURCE_EXHAUSTED", "message": "m"}}, RateLimitError, 429),
    "anthropic": (
        {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
        OverloadedError,
        529,
    ),
    "openrouter": ({"id": "x", "choices": [], "error": {"code": 502, "message": "m"}}, InternalServerError, 502),
    "openrouter choice": (
        {
            "id": "x",
            "model": "m",
            "choices": [{"index": 0, "error": {"code": 429, "message": "m"}, "finish_reason": "error"}],
        },
        RateLimitError,
        429,
    ),
    "choice without a reason": (
        {"id": "x", "model": "m", "choices": [{"index": 0, "error": {"code": 429, "message": "m"}}]},
        RateLimitError,
        429,
    ),
    "moonshot": (
        {"error": {"message": "m", "type": "exceeded_current_quota_error"}},
        BillingError,
        429,
    ),
    "bare message": ({"message": "Unauthorized"}, AuthenticationError, 401),
}  # fmt: skip


def answer(body: bytes, media: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def ask(base: str, model: str = "openai/m", **arguments: Any) -> Any:
    messages = [{"role": "user", "content": "hi"}]
    async with Client(max_retries=0) as client:
        reply = await client.acompletion(model, messages, api_base=base, api_key="k-12345678", **arguments)
        if arguments.get("stream"):
            return [chunk async for chunk in reply]
        return reply


@pytest.mark.parametrize("name", DIALECTS)
async def test_dialects(name: str) -> None:
    """An error in any dialect is the right error: as a body, as the first event, after text and before [DONE]."""
    told, kind, status = DIALECTS[name]
    body = json.dumps(told).encode()
    said = b"data: " + body + b"\n\n"
    for media, sent in (
        ("application/json", body),
        ("text/event-stream", said),
        ("text/event-stream", event("a") + said + b"data: [DONE]\n\n"),
    ):
        async with scripted([answer(sent, media)]) as server:
            with pytest.raises(kind) as caught:
                await ask(server.base, stream=media != "application/json")
        assert caught.value.status_code == status


@pytest.mark.parametrize("name", ["fastapi", "vllm", "bare message", "openai"])
async def test_on_anthropics_wire(name: str) -> None:
    """Gateways speak of errors in their own words on Anthropic's wire too."""
    told, kind, status = DIALECTS[name]
    body = json.dumps(told).encode()
    for media, sent in (("application/json", body), ("text/event-stream", b"data: " + body + b"\n\n")):
        async with scripted([answer(sent, media)]) as server:
            with pytest.raises(kind) as caught:
                await ask(server.base, "anthropic/claude-x", stream=media != "application/json")
        assert caught.value.status_code == status


async def test_an_event_named_error() -> None:
    """Whatever an event named error holds is an error, though it would be unknown by any other name."""
    said = event("a") + b'event: error\ndata: {"reason": "gateway died"}\n\ndata: [DONE]\n\n'
    async with scripted([answer(said, "text/event-stream")]) as server:
        with pytest.raises(InternalServerError, match="gateway died"):
            await ask(server.base, stream=True)


async def test_no_error() -> None:
    """A false error, an event of another kind and a message without the marks of an error end no answer."""
    sound = (
        b'data: {"error": false, "id": "c", "model": "m", "choices": []}\n\n'
        b'event: note\ndata: {"message": "warming up", "progress": 3}\n\n'
        b'data: {"object": "ping"}\n\n'
    )
    said = event("a") + sound + event("b", "stop") + b"data: [DONE]\n\n"
    async with scripted([answer(said, "text/event-stream")]) as server:
        chunks = await ask(server.base, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "ab"
