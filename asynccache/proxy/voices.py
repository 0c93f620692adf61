"""How an answer is said to its caller: as the provider's own bytes, or as chunks made of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

import msgspec
import orjson

from asynccache.aggregate import Aggregator
from asynccache.events import Started, Usage
from asynccache.proxy.chat_chunks import DONE, ChunkBytes, usage_object

if TYPE_CHECKING:
    from asynccache.proxy.taps import Tap

__all__ = ["ChatVoice", "RawVoice", "Voice", "WholeChatVoice"]


class Voice(Protocol):
    """Makes a caller's bytes out of a stream's items."""

    @property
    def usage(self) -> Usage | None:
        """The answer's usage, once it has come."""
        ...

    @property
    def streamed(self) -> bool:
        """Whether it speaks in server-sent events; else in one JSON body, which `last` gives."""
        ...

    def write(self, item: Any, /) -> bytes:
        """What *item* adds, b"" where nothing is to be said yet."""
        ...

    def last(self) -> bytes:
        """What is said when the answer is over and its usage known."""
        ...


@final
class RawVoice:
    """The provider's own bytes, the cost written beside their usage."""

    def __init__(self, tap: Tap, *, streamed: bool, chunks: bool, usage: bool, cost: bool) -> None:
        self.usage: Usage | None = None
        self.streamed = streamed
        self._tap = tap
        self._chunks = chunks
        self._wants_usage = usage
        self._cost = cost
        self._made: ChunkBytes | None = ChunkBytes() if chunks and usage else None

    def write(self, item: Any, /) -> bytes:
        """Bytes as they are; events are for the end."""
        kind: Any = item.__class__
        if kind is bytes:
            piece: bytes = item
            return piece
        if kind is Usage:
            self.usage = item
        if self._made is not None and kind in {Started, Usage}:
            self._made.write(item)
        return b""

    def last(self) -> bytes:
        """What the tap has kept; where the provider has no usage chunk but the caller wants one, one is made."""
        told = self.usage is not None and self.usage.source in {"provider", "partial"}
        more = self._made.last(cost=self._cost) if self._made is not None and told else b""
        cost = self.usage.cost if self._cost and self.usage is not None else None
        return self._tap.last(cost, usage=self._wants_usage, more=more)


@final
class ChatVoice:
    """OpenAI's chunks, made of events."""

    def __init__(self, *, usage: bool, cost: bool) -> None:
        self.streamed = True
        self._bytes = ChunkBytes()
        self._wants_usage = usage
        self._cost = cost

    def write(self, item: Any, /) -> bytes:
        """A chunk, or nothing."""
        return self._bytes.write(item)

    @property
    def usage(self) -> Usage | None:
        """The answer's usage, once it has come."""
        return self._bytes.usage

    def last(self) -> bytes:
        """Usage where it is wanted, then the end."""
        return (self._bytes.last(cost=self._cost) if self._wants_usage else b"") + DONE


@final
class WholeChatVoice:
    """One ``chat.completion``, made of events."""

    def __init__(self, *, cost: bool) -> None:
        self.streamed = False
        self._whole = Aggregator()
        self._cost = cost

    @property
    def usage(self) -> Usage | None:
        """The answer's usage, once it has come."""
        return self._whole.usage

    def write(self, item: Any, /) -> bytes:
        """Nothing is said before the end."""
        self._whole.add(item)
        return b""

    def last(self) -> bytes:
        """The completion."""
        completion = self._whole.completion()
        plain = msgspec.structs.replace(completion, usage=Usage()).to_dict()
        return orjson.dumps({**plain, "usage": usage_object(completion.usage, cost=self._cost)})
