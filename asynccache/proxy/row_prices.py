"""The stage that prices a row's answers: by the row's own rates, by the model that it stands for, else by the book."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from asynccache.pricing.annotator import AnnotateCost, annotate_cost
from asynccache.proxy.own_prices import own_book

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.events import Event
    from asynccache.pipeline import CallNext
    from asynccache.pricing.catalogue import PriceBook
    from asynccache.request import Request
    from asynccache.stream import Stream

__all__ = ["RowPrices"]

_MOST_NAMES = 256  # a wildcard has as many models as its callers think of


@final
class RowPrices:
    """Prices the answers of one row of ``model_list``.

    Where the row says something of prices, the name that an answer gives its model counts for nothing: who
    writes a price means this row, whatever its server calls its models.

    Args:
        target: ``provider/model``; a ``*`` at its end stands for the caller's own.
        rates: dollars per token by LiteLLM's names; what is left out is the book's.
        base: the model whose prices hold; None for the one that is asked for.
    """

    name = "annotate_cost"

    def __init__(self, target: str, rates: Mapping[str, float], base: str | None) -> None:
        self._provider = target.partition("/")[0]
        self._rates = rates
        self._base = None if base is None else base.removeprefix(f"{self._provider}/")
        self._known: dict[str, tuple[PriceBook | None, AnnotateCost]] = {}
        if rates:
            self.find(target.partition("/")[2])  # rates that cannot be read are told at the start

    async def __call__(self, request: Request, call_next: CallNext, /) -> Stream[Event]:
        """Let the request pass, and price what comes back."""
        return await self._priced(request.model_id)[1](request, call_next)

    def find(self, model_id: str) -> tuple[PriceBook | None, str]:
        """The book that *model_id* is priced by, None for the shared one, and the model's name there."""
        return self._priced(model_id)[0], self._base or model_id

    def _priced(self, model_id: str) -> tuple[PriceBook | None, AnnotateCost]:
        if self._base is None and not self._rates:
            return None, annotate_cost
        name = self._base or model_id
        found = self._known.get(name)
        if found is None:
            book = own_book(f"{self._provider}/{self._plain(name)}", self._rates)
            found = (book, AnnotateCost(book, model=name))
            if len(self._known) < _MOST_NAMES:
                self._known[name] = found
        return found

    def _plain(self, name: str) -> str:
        """*name* as the book has it: how Bedrock is asked is no part of it."""
        return name.removeprefix("converse/").removeprefix("invoke/") if self._provider == "bedrock" else name

    def __repr__(self) -> str:
        return self.name
