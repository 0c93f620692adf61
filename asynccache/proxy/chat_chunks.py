"""Events to the bytes of OpenAI's chunks: a piece of text costs a few joins, all else goes by the chunk writer."""

from __future__ import annotations

import time
from typing import Any, final

import orjson

from asynccache.chunks import ChunkWriter
from asynccache.events import Started, TextDelta, Usage

__all__ = ["DONE", "ChunkBytes", "usage_object"]

DONE = b"data: [DONE]\n\n"
_TAIL = b'},"logprobs":null,"finish_reason":null}]}\n\n'


@final
class ChunkBytes:
    """Makes the server-sent events of one answer; the usage is left to the end, `usage` writes it.

    Attributes:
        usage: the answer's usage, once it has come.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self._writer = ChunkWriter()
        self._facts: dict[str, Any] = {}
        self._head = b""

    def write(self, event: Any) -> bytes:
        """The event for *event*, b"" where there is none."""
        kind: Any = event.__class__
        if kind is TextDelta:
            index = b"%d" % event.index
            text = orjson.dumps(event.text)
            return b"".join((self._head, index, b',"delta":{"content":', text, _TAIL))
        if kind is Usage:
            self.usage = event
            return b""
        chunk = self._writer.write(event)
        if kind is Started:
            self._begin(event)
        return b"" if chunk is None else self._framed(chunk.choices)

    def last(self, *, cost: bool) -> bytes:
        """The chunk that holds the usage and no choices; b"" where there is none."""
        if self.usage is None:
            return b""
        whole: dict[str, Any] = {**self._facts, "choices": [], "usage": usage_object(self.usage, cost=cost)}
        return b"data: " + orjson.dumps(whole) + b"\n\n"

    def _begin(self, event: Any) -> None:
        known = self._facts
        self._facts = {
            "id": event.id or known.get("id", ""),
            "object": "chat.completion.chunk",
            "created": event.created or known.get("created") or int(time.time()),
            "model": event.model or known.get("model", ""),
        }
        for name in ("service_tier", "system_fingerprint"):
            value = getattr(event, name) or known.get(name)
            if value is not None:
                self._facts[name] = value
        self._head = b"data: " + orjson.dumps(self._facts)[:-1] + b',"choices":[{"index":'

    def _framed(self, choices: Any) -> bytes:
        rows = [choice.to_dict() for choice in choices]
        return b"data: " + orjson.dumps({**self._facts, "choices": rows}) + b"\n\n"


def usage_object(usage: Usage, *, cost: bool) -> dict[str, Any]:
    """*usage* as answers carry it."""
    plain = usage.to_dict()
    if not cost:
        del plain["cost"]
    return plain
