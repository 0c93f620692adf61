"""What the bytes of an answer come to, through our own machines: text, calls, usage, cost, as plain values."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import anyio

from asynccache.aggregate import Aggregator
from asynccache.events import Event
from asynccache.pricing.cost import price_usage
from asynccache.providers.registry import get
from asynccache.reply import Choice
from asynccache.request import Access, Request
from asynccache.stream import Head
from asynccache.usage.normalizer import UsageNormalizer

from ..shared import SHARED

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
_LARGEST = 60_000  # bytes of a body that is rewritten: the few larger ones say nothing new
_BEDROCK = {
    "converse": "converse",
    "converse-stream": "converse",
    "invoke": "invoke",
    "invoke-stream": "invoke",
}


class Answer(NamedTuple):
    """An answer as it came, and what it was the answer to."""

    id: str
    wire: str
    """``chat``, ``messages``, ``converse`` or ``invoke``."""
    carrier: str
    """``sse``, ``json`` or ``frames``."""
    model: str
    stream: bool
    headers: dict[str, str]
    body: bytes


@lru_cache(maxsize=8)
def answers(carrier: str, *wires: str) -> tuple[Answer, ...]:
    """The recorded answers that *carrier* carries on *wires* (all, if none is named)."""
    return tuple(
        answer for answer in _recorded() if answer.carrier == carrier and (not wires or answer.wire in wires)
    )


@lru_cache(maxsize=1)
def _recorded() -> tuple[Answer, ...]:
    return tuple(_read())


def _read() -> Iterator[Answer]:
    for path in sorted((SHARED / "recordings").glob("[a-z]*/*/*.expected.json")) if SHARED else ():
        provider, api = path.parent.parent.name, path.parent.name
        wire = _BEDROCK.get(api, "") if provider == "bedrock" else api if api in {"chat", "messages"} else ""
        truth = json.loads(path.read_bytes())
        case = json.loads(path.with_name(path.name.replace(".expected", "")).read_bytes())
        if not wire or case["status"] != 200 or truth.get("error"):
            continue
        told = case.get("response_body_base64")
        body = base64.b64decode(told) if told else (case.get("response_body") or "").encode()
        if len(body) > _LARGEST:
            continue
        headers = {name.lower(): str(value) for name, value in (case["response_headers"] or {}).items()}
        name = case.get("model") or truth.get("model") or "model"
        owner = {"chat": "deepseek" if provider == "deepseek" else "openai", "messages": "anthropic"}
        yield Answer(
            case["id"],
            wire,
            _carrier(wire, body, headers, stream=case["stream"]),
            f"bedrock/{wire}/{name}" if provider == "bedrock" else f"{owner[wire]}/{name}",
            bool(case["stream"]),
            headers,
            body,
        )


def _carrier(wire: str, body: bytes, headers: dict[str, str], *, stream: bool) -> str:
    if wire in {"converse", "invoke"}:
        return "frames" if body[:1] == b"\0" else "json"
    kind = headers.get("content-type", "")
    headers["content-type"] = kind or ("text/event-stream" if stream else "application/json")
    return "sse" if "event-stream" in kind or (stream and "json" not in kind) else "json"


def outcome(answer: Answer, body: bytes, *, step: int | None = None) -> dict[str, Any]:
    """What *body* comes to as *answer*, read in pieces of *step* bytes; errors are raised."""
    provider, _, name = answer.model.partition("/")
    base = Access(provider=provider, api_base="http://127.0.0.1:1/v1")
    request = Request(model=answer.model, messages=[], stream=answer.stream, access=base)
    head = Head(headers=answer.headers, request_id=answer.headers.get("x-amzn-requestid"))
    decoder = get(provider).decoder(request, head)
    usage, whole = UsageNormalizer(streamed=answer.stream), Aggregator()

    def hear(event: Event) -> None:
        if type(event) in UsageNormalizer.takes:
            usage.feed(event, whole.add)
        else:
            whole.add(event)

    pieces = [body[at : at + step] for at in range(0, len(body), step)] if step else [body]
    try:
        for piece in pieces:
            decoder.feed(piece, hear)
        decoder.flush(hear)
    except anyio.EndOfStream:
        pass
    usage.flush(whole.add)
    completion = whole.completion()
    counts = completion.usage.to_dict()
    counts.pop("raw", None)
    cost = price_usage(completion.usage, provider=provider, model=completion.model, request_model=name, at=AT)
    return {
        "id": completion.id,
        "model": completion.model,
        "usage": counts,
        "cost": (cost.total, cost.saved, cost.reason),
        "choices": [_said(choice) for choice in completion.choices],
    }


def _said(choice: Choice) -> dict[str, Any]:
    message = choice.message
    return {
        "text": message.content,
        "reasoning": message.reasoning_content,
        "refusal": message.refusal,
        "calls": [
            (call.id, call.function.name, _parsed(call.function.arguments))
            for call in message.tool_calls or []
        ],
        "thinking": message.thinking_blocks,
        "finish": (choice.finish_reason, choice.native_finish_reason),
    }


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
