"""What a streaming caller holds: the chunks as they come, then usage, cost and the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import anyio
from msgspec import structs

from asynccache.aggregate import Aggregator
from asynccache.chunks import ChunkWriter
from asynccache.errors import AsyncCacheError, ConfigurationError, StreamInterruptedError
from asynccache.events import TextDelta
from asynccache.providers.access import secrets_of
from asynccache.reply import Chunk, ChunkChoice, Cost, Delta, Usage
from asynccache.secret import redact

if TYPE_CHECKING:
    from types import TracebackType

    from asynccache.events import Event, Unknown
    from asynccache.reply import CacheReport, Completion
    from asynccache.request import Request
    from asynccache.stream import Stream

__all__ = ["CompletionStream", "LastUsage", "collect"]


@final
class LastUsage:
    """A recorder that remembers the last usage, so that a stream left early can still tell it."""

    def __init__(self) -> None:
        self.usage: Usage | None = None

    def open(self, _attempt_id: str, _request: Request, /) -> None:
        """An attempt begins."""

    def settle(
        self, _attempt_id: str, usage: Usage, _model: str | None, _error: BaseException | None, /
    ) -> None:
        """An attempt is over."""
        self.usage = usage


@final
class CompletionStream:
    """An answer as it streams in: iterate over its chunks, best under ``async with``.

    Leaving the block, `aclose`, a cancellation and an error close the connection at once; after a plain
    ``break`` it closes when the stream is let go.
    """

    def __init__(self, events: Stream[Event], request: Request, last: LastUsage) -> None:
        self._events = events
        self._ready = events.ready
        self._head = events.head
        self._request = request
        self._last = last
        self._whole = Aggregator()
        self._texts = self._whole.texts
        self._writer = ChunkWriter()
        self._final: Chunk | None = None  # with the usage; held back while a stage has more to say
        self._ended = False

    def __aiter__(self) -> CompletionStream:
        return self

    async def __anext__(self) -> Chunk:
        ready = self._ready
        try:
            while True:
                event = ready.popleft() if ready else await self._events.receive()
                if (
                    type(event) is TextDelta
                ):  # nearly all; here, as two calls more would be a tenth of a chunk's cost
                    text, index, head = event.text, event.index, self._writer
                    self._texts[index].append(text)
                    return Chunk(
                        head.id,
                        [ChunkChoice(Delta(text), index)],
                        head.created,
                        head.model,
                        None,
                        head.tier,
                        head.fingerprint,
                        event.raw,
                    )
                self._whole.add(event)
                chunk = self._writer.write(event)
                if chunk is None:
                    continue
                if chunk.usage is None:
                    return chunk
                self._final = chunk
                if not (ready or self._ended):
                    return self._take_final()
        except anyio.EndOfStream:
            if self._ended:
                raise StopAsyncIteration from None
            return self._take_final()
        except anyio.ClosedResourceError:
            msg = "this stream was closed before its end; what had come is in `completion`, ask again for the rest"
            raise ConfigurationError(msg, model=self._request.model) from None
        except AsyncCacheError as error:
            describe(error, self._request, self._head.request_id, self._whole)
            raise

    def _take_final(self) -> Chunk:
        """The one chunk with the usage: the last word, also where a stage spoke after it or let none through."""
        self._ended = True
        if self._final is not None:
            return self._final
        usage = self.usage or Usage()
        self._whole.add(usage)
        return self._writer.last(usage)

    async def __aenter__(self) -> CompletionStream:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let the answer go and close its connection. Idempotent."""
        await self._events.aclose()

    async def read_ready(self) -> list[Chunk]:
        """All chunks that are ready, waiting for the first; empty when the answer is over."""
        chunks: list[Chunk] = []
        while not chunks or self._ready:
            try:
                chunks.append(await self.__anext__())
            except StopAsyncIteration:
                break
        return chunks

    @property
    def usage(self) -> Usage | None:
        """What the request used: final after the last chunk, what is known after an early end, else None."""
        return self._whole.usage or self._last.usage

    @property
    def cost(self) -> Cost:
        """What the request cost; its ``total`` is None, with a reason, while that is not known."""
        usage = self.usage
        if usage is None:
            return Cost(reason="the answer is not complete")
        return usage.cost_details or Cost(reason="the answer carries no cost")

    @property
    def completion(self) -> Completion:
        """The answer as it stands: whole after the last chunk."""
        whole = self._whole.completion(report=self.cache_report, whole=self._whole.usage is not None)
        return _with_usage(whole, self.usage)

    @property
    def cache_report(self) -> CacheReport:
        """What became of every cache mark."""
        return self._head.cache_report

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request."""
        return self._head.request_id

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer, names in lower case."""
        return dict(self._head.headers)

    @property
    def unknown_events(self) -> list[Unknown]:
        """What the provider sent that this version has no name for."""
        return list(self._whole.unknown)


async def collect(events: Stream[Event], request: Request, last: LastUsage) -> Completion:
    """Read an answer to its end and give it whole.

    Raises:
        APIConnectionError: it broke off.
        APIStatusError: the provider reported an error.
    """
    whole = Aggregator()
    try:
        await events.drain(whole.add)
    except AsyncCacheError as error:
        describe(error, request, events.head.request_id, whole)
        raise
    if whole.usage is None and last.usage is not None:
        whole.add(last.usage)
    return whole.completion(report=events.head.cache_report, keep_raw=True)


def describe(
    error: AsyncCacheError, request: Request, request_id: str | None = None, whole: Aggregator | None = None
) -> None:
    """Write on *error* whom it concerns and what had been said, and hide keys that the provider echoed."""
    secrets = tuple(secrets_of(request))
    error.message = redact(error.message, *secrets)
    error.args = (error.message, *error.args[1:])
    error.code = error.code and redact(error.code, *secrets)
    error.provider = error.provider or request.provider
    error.model = error.model or request.model
    request_id = error.request_id or request_id
    error.request_id = request_id and redact(request_id, *secrets)
    if isinstance(error, StreamInterruptedError) and error.completion is None and whole and whole.begun:
        error.completion = _with_usage(whole.completion(whole=False), error.usage)


def _with_usage(completion: Completion, told: Usage | None) -> Completion:
    """*completion* with what the provider had told of usage before the answer broke off."""
    if completion.usage.source != "missing" or told is None:
        return completion
    return structs.replace(completion, usage=told)
