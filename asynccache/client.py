"""One session, one pipeline, any number of requests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, final, overload

from asynccache.aggregate import aggregate
from asynccache.arguments import build_request, read_count, read_timeout
from asynccache.cache_control import translate_cache_control
from asynccache.completion_stream import CompletionStream, LastUsage, collect, describe
from asynccache.errors import AsyncCacheError
from asynccache.pipeline import Pipeline
from asynccache.pricing.annotator import AnnotateCost, annotate_cost
from asynccache.pricing.registry import price_book
from asynccache.request import Timeout
from asynccache.retry import retry
from asynccache.transport import MAX_BODY, MAX_EVENT, Transport
from asynccache.usage.ledger import open_ledger
from asynccache.usage.normalizer import normalize_usage
from asynccache.usage.recorder import OnUsage, record_usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from asynccache.events import Recorder
    from asynccache.pipeline import Stage
    from asynccache.pricing.book import PriceBook
    from asynccache.reply import Completion
    from asynccache.request import OnUsage as OnUsageCallback
    from asynccache.usage.ledger import Ledger

__all__ = ["Client", "default_stages"]


def default_stages() -> list[Stage]:
    """The stages that every request passes, outermost first; put your own before or between them."""
    return [retry, record_usage, annotate_cost, normalize_usage, aggregate, translate_cache_control]


@final
class Client:
    """One pool of connections and one pipeline. Belongs to the event loop that first uses it.

    Args:
        stages: the pipeline, outermost first; `default_stages` when None.
        prices: prices of your own, which come before those that ship: a book, rows by model name in our
            format or LiteLLM's, or the path of a JSON file of such rows.
        on_usage: called with the usage of every attempt, exactly once, whatever ended it.
        recorders: as *on_usage*, told of the beginning too.
        ledger: every attempt gets a row, written before a byte leaves: a `Ledger`, which stays the
            caller's, or where one is (a path, ``sqlite:///…``, ``postgresql://…``), which closes with
            the client.
        timeout: seconds for a whole call, or a `Timeout`.
        max_retries: how often a call that failed before its first content is tried again.
        max_connections: answers in flight at once; further calls wait for their turn.
        max_body_bytes: the largest answer taken, after decompression.
        max_event_bytes: the largest single event of a stream taken.
    """

    def __init__(  # noqa: PLR0913 - each has a default, and all but the first a name
        self,
        stages: Iterable[Stage] | None = None,
        *,
        prices: PriceBook | Mapping[str, Any] | str | Path | None = None,
        on_usage: OnUsageCallback | None = None,
        recorders: Iterable[Recorder] = (),
        ledger: Ledger | str | Path | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int = 2,
        max_connections: int = 1000,
        max_body_bytes: int = MAX_BODY,
        max_event_bytes: int = MAX_EVENT,
    ) -> None:
        self._transport = Transport(
            max_connections=max_connections, max_body=max_body_bytes, max_event=max_event_bytes
        )
        chain = default_stages() if stages is None else list(stages)
        if prices is not None:
            book = price_book(prices)
            chain = [AnnotateCost(book) if stage is annotate_cost else stage for stage in chain]
        self._own_ledger = None
        if isinstance(ledger, (str, Path)):
            ledger = self._own_ledger = open_ledger(ledger)
        if ledger is not None:
            chain = ledger.within(chain)
            recorders = (*recorders, ledger)
        self.pipeline: Pipeline = Pipeline(chain, self._transport)
        self._recorders = (*recorders, *(() if on_usage is None else (OnUsage(on_usage),)))
        self._timeout = read_timeout(timeout, Timeout())
        self._max_retries = read_count("max_retries", max_retries)

    @overload
    async def acompletion(
        self, model: str, messages: Sequence[Any], *, stream: Literal[True], **arguments: Any
    ) -> CompletionStream: ...
    @overload
    async def acompletion(
        self, model: str, messages: Sequence[Any], *, stream: Literal[False] = False, **arguments: Any
    ) -> Completion: ...
    @overload
    async def acompletion(
        self, model: str, messages: Sequence[Any], *, stream: bool, **arguments: Any
    ) -> Completion | CompletionStream: ...
    async def acompletion(
        self, model: str, messages: Sequence[Any], *, stream: bool = False, **arguments: Any
    ) -> Completion | CompletionStream:
        """Ask *model*; see `asynccache.acompletion` for the arguments."""
        on_usage = arguments.pop("on_usage", None)
        last = LastUsage()
        own = () if on_usage is None else (OnUsage(on_usage),)
        request = build_request(
            model,
            messages,
            stream=bool(stream),
            timeout=self._timeout,
            max_retries=self._max_retries,
            arguments=arguments,
            recorders=(*self._recorders, *own, last),
            call_id=os.urandom(16).hex(),
        )
        try:
            events = await self.pipeline(request)
        except AsyncCacheError as error:
            describe(error, request)
            raise
        if stream:
            return CompletionStream(events, request, last)
        return await collect(events, request, last)

    @property
    def connections(self) -> int:
        """How many connections the pool holds, in use or waiting for use."""
        return self._transport.connections

    async def aclose(self) -> None:
        """Close every connection, and the ledger that was opened here. Idempotent."""
        await self._transport.aclose()
        if self._own_ledger is not None:
            await self._own_ledger.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Client(\n{self.pipeline!r}\n)"
