"""The recorded interactions with Anthropic's Messages API, and what a decoder makes of their bytes."""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from typing import Any

import anyio

from asynccache.events import (
    Event,
    Finished,
    ProviderBlocks,
    ReasoningDelta,
    ReportedUsage,
    Started,
    TextDelta,
    ToolCallFragment,
)
from asynccache.providers.anthropic.answer import AnswerDecoder
from asynccache.stream import Head
from tests.shared import SHARED

FOLDERS = ("anthropic", "azure-anthropic", "vertex-anthropic")


@lru_cache(maxsize=1)
def interactions() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every recorded case with its ground truth; none where the recordings are not beside the checkout."""
    found = []
    for folder in FOLDERS if SHARED else ():
        assert SHARED is not None
        for path in sorted((SHARED / "recordings" / folder / "messages").glob("*.expected.json")):
            case = json.loads((path.parent / path.name.replace(".expected", "")).read_bytes())
            found.append((case, json.loads(path.read_bytes())))
    return found


def answers() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Those that were answered."""
    return [(case, truth) for case, truth in interactions() if case["status"] == 200]


def refusals() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Those that were refused."""
    return [(case, truth) for case, truth in interactions() if case["status"] != 200]


def body_of(case: dict[str, Any]) -> bytes:
    """The body as it was received."""
    if case.get("response_body_base64") is not None:
        return base64.b64decode(case["response_body_base64"])
    return case["response_body"].encode()


def head_of(case: dict[str, Any]) -> Head:
    """What was known before the body."""
    headers = {name.lower(): value for name, value in (case["response_headers"] or {}).items()}
    return Head(headers=headers)


def cut(body: bytes, size: int | None) -> list[bytes]:
    """*body* in reads of *size* bytes; in one where it is None."""
    if size is None:
        return [body]
    return [body[at : at + size] for at in range(0, len(body), size)]


def decode(pieces: list[bytes], head: Head | None = None, *, streamed: bool = True) -> list[Event]:
    """The events of an answer that comes in *pieces*."""
    decoder = AnswerDecoder(head or Head(headers={"content-type": "text/event-stream"}), streamed=streamed)
    events: list[Event] = []
    try:
        for piece in pieces:
            decoder.feed(piece, events.append)
    except anyio.EndOfStream:
        return events
    decoder.flush(events.append)
    return events


def said(events: list[Event]) -> dict[str, Any]:
    """What *events* come to, in the words of a ground truth."""
    calls: dict[int, dict[str, Any]] = {}
    for event in events:
        if type(event) is ToolCallFragment:
            call = calls.setdefault(event.call, {"id": event.id, "name": event.name, "arguments": ""})
            call["arguments"] += event.arguments
    started = [event for event in events if type(event) is Started]
    return {
        "text": "".join(event.text for event in events if type(event) is TextDelta),
        "thinking": "".join(event.text for event in events if type(event) is ReasoningDelta),
        "tool_calls": list(calls.values()),
        "finish_reason": [event.native for event in events if type(event) is Finished],
        "model": started[0].model,
        "id": started[0].id,
    }


def usage_of(events: list[Event]) -> dict[str, Any]:
    """Every usage field, as last reported; null never replaces a number."""
    usage: dict[str, Any] = {}
    for event in events:
        if type(event) is ReportedUsage:
            assert event.dialect == "anthropic"
            usage.update({name: value for name, value in event.raw.items() if value is not None})
    return usage


def blocks_of(events: list[Event]) -> list[dict[str, Any]] | None:
    """The provider's own blocks, where they were handed out."""
    found = [event.blocks for event in events if type(event) is ProviderBlocks]
    return found[0] if found else None
