"""Stage: writes the price, the breakdown and the saving on the final Usage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, final

import msgspec

from asynccache.events import Event, Started, Usage
from asynccache.pricing.cost import price_usage

if TYPE_CHECKING:
    from asynccache.pipeline import CallNext
    from asynccache.pricing.catalogue import PriceBook
    from asynccache.request import Request
    from asynccache.stream import Emit, Stream

__all__ = ["AnnotateCost", "annotate_cost"]


@final
class AnnotateCost:
    """The stage that prices an answer's usage, by the shared book or by one of its own.

    Args:
        book: the prices; the shared book when None.
        model: the name that every answer is priced by; None for the one that it has.
    """

    name = "annotate_cost"

    def __init__(self, book: PriceBook | None = None, *, model: str | None = None) -> None:
        self._book = book
        self._model = model

    async def __call__(self, request: Request, call_next: CallNext, /) -> Stream[Event]:
        """Let the request pass, and price what comes back by when it was sent."""
        sent = datetime.now(UTC)
        return (await call_next(request)).pipe(_Annotator(request, sent, self._book, self._model))

    def __repr__(self) -> str:
        return self.name


@final
class _Annotator:
    """Prices the `Usage` that passes by, with what `Started` said of the model."""

    takes = frozenset({Started, Usage})

    def __init__(
        self, request: Request, sent: datetime, book: PriceBook | None, priced_as: str | None
    ) -> None:
        self._request = request
        self._sent = sent
        self._book = book
        self._priced_as = priced_as
        self._model = ""
        self._tier: str | None = None

    def feed(self, event: Event, emit: Emit[Event]) -> None:
        """Pass everything on; a usage leaves with its cost."""
        if type(event) is Usage:
            emit(self._priced(event))
            return
        if type(event) is Started:
            self._model = event.model or self._model
            self._tier = event.service_tier or self._tier
        emit(event)

    def flush(self, emit: Emit[Event]) -> None:
        """Nothing is held back."""

    def _priced(self, usage: Usage) -> Usage:
        request = self._request
        if usage.service_tier is None and self._tier is not None:
            usage = msgspec.structs.replace(usage, service_tier=self._tier)
        cost = price_usage(
            usage,
            provider=request.provider,
            model=self._priced_as or self._model or request.model_id,
            request_model=self._priced_as or request.model_id,
            at=self._sent,
            write_ttl=_asked_lifetime(request) if request.marks else None,
            prices=self._book,
        )
        total = None if cost.total is None else float(cost.total)
        return msgspec.structs.replace(usage, cost=total, cost_details=cost)


def _asked_lifetime(request: Request) -> str | None:
    """The one lifetime that the request's marks ask for, None where they ask for none or for several."""
    lifetimes = {mark.ttl for mark in request.marks}
    return lifetimes.pop() if len(lifetimes) == 1 else None


annotate_cost: AnnotateCost = AnnotateCost()
