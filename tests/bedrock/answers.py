"""Bytes of an answer through our own machines: decoder, usage, the running whole."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import anyio
import orjson

from asynccache.aggregate import Aggregator
from asynccache.events import Event, Usage
from asynccache.pricing.annotator import annotate_cost
from asynccache.providers.bedrock import provider
from asynccache.reply import Completion
from asynccache.request import Request
from asynccache.stream import Head, Stream
from asynccache.usage.normalizer import UsageNormalizer


def pack(headers: bytes, payload: bytes) -> bytes:
    """A frame with checksums that are right."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return head + struct.pack(">I", zlib.crc32(head))


def string_header(name: str, value: str) -> bytes:
    """One header of type 7."""
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()


def event(name: str, payload: object, kind: str = "event") -> bytes:
    """An event, or an exception, as Bedrock frames it."""
    headers = string_header(f":{kind}-type", name) + string_header(":content-type", "application/json")
    return pack(headers + string_header(":message-type", kind), orjson.dumps(payload))


def chunk(payload: object) -> bytes:
    """An event of a model's own, as InvokeModelWithResponseStream frames it."""
    return event("chunk", {"bytes": base64.b64encode(orjson.dumps(payload)).decode(), "p": "abc"})


class Pieces:
    """A source that gives out bytes in the pieces it was given."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    async def receive(self) -> bytes:
        """The next piece."""
        for piece in self._pieces:
            return piece
        raise anyio.EndOfStream

    async def aclose(self) -> None:
        """Nothing is held."""


class Heard:
    """What one answer came to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.usage: Usage | None = None
        self.completion = Completion()
        self.error: Exception | None = None


def cut(body: bytes, size: int | None) -> list[bytes]:
    """*body* in pieces of *size* bytes; None is whole."""
    return [body[at : at + size] for at in range(0, len(body), size)] if size else [body]


async def hear(
    model: str,
    body: bytes,
    *,
    stream: bool,
    headers: dict[str, str] | None = None,
    size: int | None = None,
    **params: Any,
) -> Heard:
    """Decode *body* as an answer of *model*, received in pieces of *size* bytes."""
    request = Request(model=model, messages=[], stream=stream, **params)
    told = {name.lower(): value for name, value in (headers or {}).items()}
    head = Head(headers=told, request_id=told.get("x-amzn-requestid"))
    decoded: Stream[Event] = Stream(Pieces(cut(body, size)), head)
    decoded = decoded.pipe(provider.decoder(request, head)).pipe(UsageNormalizer(streamed=stream))

    async def answered(_request: Request) -> Stream[Event]:
        return decoded

    decoded = await annotate_cost(request, answered)
    heard, whole = Heard(), Aggregator()
    async with decoded:
        try:
            async for event in decoded:
                heard.events.append(event)
                if type(event) is Usage:
                    heard.usage = event
                whole.add(event)
        except Exception as error:
            heard.error = error
    heard.completion = whole.completion(whole=heard.error is None)
    return heard
