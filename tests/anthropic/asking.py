"""Requests for the tests: what is asked, and the body that goes out."""

from __future__ import annotations

import json
from typing import Any

from asynccache.providers.anthropic import provider
from asynccache.request import Mark, Request

MODEL = "anthropic/claude-sonnet-4-5"
USER = {"role": "user", "content": "hi"}


def ask(*messages: Any, marks: tuple[Mark, ...] = (), model: str = MODEL, **fields: Any) -> Request:
    """A request of *messages*; *fields* that Request has are its own, all others are params."""
    own = {name: fields.pop(name) for name in tuple(fields) if name in Request.__struct_fields__}
    return Request(model=model, messages=list(messages) or [USER], marks=marks, params=fields, **own)


def body_of(request: Request) -> dict[str, Any]:
    """The body on the wire."""
    body: dict[str, Any] = json.loads(provider.encode(request).body)
    return body


def sent(*messages: Any, marks: tuple[Mark, ...] = (), **fields: Any) -> dict[str, Any]:
    """The body on the wire for *messages*."""
    return body_of(ask(*messages, marks=marks, **fields))


def call(name: str = "f", arguments: str = "{}", call_id: str = "c1") -> dict[str, Any]:
    """A call as OpenAI writes it."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*made: dict[str, Any], content: str | None = None) -> dict[str, Any]:
    """An assistant message that makes calls."""
    return {"role": "assistant", "content": content, "tool_calls": list(made)}


def result(content: Any = "ok", call_id: str = "c1") -> dict[str, Any]:
    """The result of a call."""
    return {"role": "tool", "tool_call_id": call_id, "content": content}


TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "description": "d",
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
    },
}
