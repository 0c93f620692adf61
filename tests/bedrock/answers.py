"""Bytes of an answer through our own machines: decoder, usage, the running whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio

from asynccache.aggregate import Aggregator
from asynccache.events import Event, Usage
from asynccache.providers.bedrock import provider
from asynccache.reply import Completion
from asynccache.request import Request
from asynccache.stream import Head, Stream
from asynccache.usage.normalizer import UsageNormalizer


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
    heard, whole = Heard(), Aggregator()
    async with decoded:
        try:
            async for event in decoded:
                heard.events.append(event)
                if type(event) is Usage:
                    heard.usage = event
                whole.add(event)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            heard.error = error
    heard.completion = whole.completion(whole=heard.error is None)
    return heard
