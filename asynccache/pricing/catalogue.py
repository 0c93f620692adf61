"""The price book: which entry prices a model, by name, provider, date and region; offline, loaded on first use."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar, final

import msgspec

from asynccache.pricing.entries import DatedPrice, Model, Multipliers, PriceFile, Sold
from asynccache.pricing.names import bedrock_name
from asynccache.pricing.shelves import Shelf, canonical, index_of_providers, shelf_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from asynccache.pricing.plain import Plan, PlanKey
    from asynccache.pricing.quick import Quote, Shape
    from asynccache.pricing.rates import UnitRates

__all__ = ["Found", "Match", "NoMatch", "PriceBook", "Row", "remember", "utc"]

_REMEMBERED: Final = 4096
"""Names that a book keeps the answer for; a server that is asked for endless names must not grow."""
_ONE: Final = Decimal(1)


@final
class Match(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the book for one model on one day."""

    provider: str
    """Whose price it is, such as ``openai`` for a model that Azure sells at OpenAI's price."""
    model: Model
    price: DatedPrice
    sold: Sold
    calendars: dict[str, tuple[str, ...]]
    source: str
    lifetime: str = ""
    """Of a cache write that names none; "" for the provider's usual one."""
    factor: Decimal = _ONE
    """Regional factor on every rate."""
    note: str = ""
    """What the name leaves open."""
    day: str
    """The day asked for, ISO 8601."""
    rates: dict[tuple[str, int, int], UnitRates | str] = {}
    """Worked-out rates by tier, threshold and window, filled as they are asked for."""

    @property
    def name(self) -> str:
        """The entry, as ``provider/model``."""
        return f"{self.provider}/{self.model.name}"


@final
class NoMatch(msgspec.Struct, frozen=True):
    """No entry, and why."""

    reason: str


K = TypeVar("K")
V = TypeVar("V")


def remember(memory: dict[K, V], key: K, value: V) -> V:
    """Keeps *value*; a memory that is full forgets all."""
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value
    return value


class Row(NamedTuple):
    """A row of the book, whatever the day."""

    shelf: Shelf
    model: Model
    factor: Decimal
    note: str = ""


Found: TypeAlias = Row | NoMatch


@final
class PriceBook:
    """Prices by model; the caller's own rows, where there are any, come before the built-in ones.

    Args:
        models: own rows, as (provider, model).
        problem: why the own rows could not be read; a book with one prices nothing and says so, because
            prices that the caller meant to replace would be wrong.
    """

    def __init__(self, models: Iterable[tuple[str, Model]] = (), *, problem: str = "") -> None:
        self._problem = problem
        self._own: dict[str, Shelf] = {}
        self._found: dict[tuple[str, str | None, str | None], Found] = {}
        self._matches: dict[tuple[str, str | None, str | None, str], Match] = {}
        self._vendors: dict[str, str | None] = {}
        self.quotes: dict[Shape, Quote] = {}
        """Rates that `completion_cost` need not look up again."""
        self.plans: dict[PlanKey, Plan | None] = {}
        """The same for the cost of a call, by bucket; None where each has to be worked out."""
        self.add(models)

    def add(self, models: Iterable[tuple[str, Model]]) -> None:
        """Puts *models*, as (provider, model), before the built-in entries of the same names."""
        rows: dict[str, dict[str, Model]] = {}
        for provider, model in models:
            rows.setdefault(canonical(provider) or provider.lower(), {})[model.name] = model
        for provider, added in rows.items():
            self._shelve(provider, added)
        for memory in (self._found, self._matches, self._vendors, self.quotes, self.plans):
            memory.clear()

    def _shelve(self, provider: str, added: dict[str, Model]) -> None:
        before, built_in = self._own.get(provider), shelf_of(provider)
        kept = {} if before is None else {model.name: model for model in before.file.models}
        told = {
            name: _with_multipliers(model, None if built_in is None else built_in.find(name))
            for name, model in added.items()
        }
        self._own[provider] = Shelf(
            PriceFile(
                provider=provider,
                source="registered by the caller",
                checked="",
                shared=_own_terms(None if built_in is None else built_in.file.shared),
                models=tuple({**kept, **told}.values()),
            )
        )

    def find(
        self,
        model: str,
        *,
        provider: str | None = None,
        at: datetime | None = None,
        region: str | None = None,
    ) -> Match | NoMatch:
        """The entry for *model* as of *at* (now by default; a naive time is UTC)."""
        day = utc(at).date().isoformat()
        key = (model, provider, region, day)
        match = self._matches.get(key)
        if match is not None:
            return match
        found = self.look_up(model, provider=provider, region=region)
        if type(found) is NoMatch:
            return found
        return remember(self._matches, key, _dated(found, day))

    def look_up(self, model: str, *, provider: str | None = None, region: str | None = None) -> Found:
        """The row for *model*, whatever the day."""
        if self._problem:
            return NoMatch(self._problem)
        key = (model, provider, region)
        return self._found.get(key) or remember(self._found, key, self._search(model, provider, region))

    def known(self, provider: str) -> str | None:
        """The book's name for *provider*; None where neither it nor the caller has prices of such."""
        return canonical(provider) or (provider.lower() if provider.lower() in self._own else None)

    def provider_of(self, model: str) -> str | None:
        """The provider that a bare *model* name means; None when nothing or more than one sells it."""
        if model not in self._vendors:
            owners = self._owners(model.strip())
            remember(self._vendors, model, owners[0] if len(owners) == 1 else None)
        return self._vendors[model]

    def nearest(self, name: str, n: int = 3) -> list[str]:
        """The *n* known names most like *name*, as ``provider/model``."""
        head, slash, tail = name.partition("/")
        wanted = canonical(head) if slash else None
        rows = [row for row in self.models() if wanted in (None, row[0])]
        names = {model.name: f"{provider}/{model.name}" for provider, model in reversed(rows)}
        close = difflib.get_close_matches((tail if wanted else name).lower(), names, n=n, cutoff=0.4)
        return [names[found] for found in close]

    def models(self, provider: str | None = None) -> Iterator[tuple[str, Model]]:
        """Every row as (provider, model), own ones first; of *provider* only, if one is named."""
        wanted = None if provider is None else canonical(provider) or provider
        for name, shelf in self._own.items():
            if wanted in (None, name):
                yield from ((name, model) for model in shelf.file.models)
        for row in index_of_providers().rows:
            if wanted == row.name or (wanted is None and row.bare):
                built_in = shelf_of(row.name)
                yield from () if built_in is None else ((row.name, model) for model in built_in.file.models)

    def _search(self, model: str, provider: str | None, region: str | None) -> Found:
        name, owner = model.strip(), None if provider is None else canonical(provider) or provider.lower()
        head, slash, tail = name.partition("/")
        named = self.known(head) if slash else None
        if owner is None and named is not None:
            owner, name = named, tail
        elif named is not None and named == owner:
            name = tail
        if owner is None:
            owners = self._owners(name) or self._resellers(name)
            if len(owners) != 1:
                return NoMatch(_unowned(model, owners))
            owner = owners[0]
        return self._at(owner, name, region) or NoMatch(
            f"no price is known for the model {name!r} of {owner}"
        )

    def _at(self, owner: str, name: str, region: str | None) -> Found | None:
        """The row for *name* on the shelves of *owner* and of those whose models it sells."""
        if owner == "bedrock":
            return self._at_bedrock(name, region)
        *path, last = name.split("/")
        for shelf in self._shelves(owner):
            alone = bool(path) and (not shelf.slashed or path == ["models"])
            model = shelf.find(name) or (shelf.find(last) if alone else None)
            if model is not None:
                return Row(shelf, model, _regional(model, region))
        row = index_of_providers().by_name.get(owner)
        vendor = canonical(path[-1]) if path else None
        for seller in row.sells if row is not None else ():
            # A reseller's name may carry the vendor: ``anthropic/claude-…``.
            found = self._at(seller, last, None) if vendor in (None, seller) else None
            if type(found) is Row:
                raised = (
                    row.regional
                    if row is not None and row.regional and _raises(region, found.model)
                    else _ONE
                )
                return Row(found.shelf, found.model, found.factor * raised)
        return None

    def _at_bedrock(self, name: str, region: str | None) -> Found | None:
        parts = bedrock_name(name.removeprefix("converse/").removeprefix("invoke/"))
        if parts.opaque:
            mine = self._own.get("bedrock")
            named = None if mine is None else mine.models.get(parts.base.lower())
            if mine is not None and named is not None:
                return Row(mine, named, _ONE)
            return NoMatch(
                f"{name!r} is a resource of your account: its name does not say which model it runs; "
                f"a price for 'bedrock/{parts.base}' of your own does"
            )
        where = parts.region or (region or "")
        for shelf in self._shelves("bedrock"):
            own = shelf.find(f"{where}.{parts.base}") if where else None
            if own is not None:
                return Row(shelf, own, _ONE)
            model = shelf.find(parts.base)
            if model is not None:
                regions = model.prices[-1].regions
                note = _NO_PROFILE if not where and "*" in regions and "" not in regions else ""
                return Row(shelf, model, _regional(model, where), note)
        return None

    def _shelves(self, owner: str) -> Iterator[Shelf]:
        own = self._own.get(owner)
        if own is not None:
            yield own
        built_in = shelf_of(owner)
        if built_in is not None:
            yield built_in

    def _owners(self, name: str) -> list[str]:
        """Whose a bare name is: the vendor's, else that of the providers that the caller has prices for."""
        if name.startswith("ft:"):
            return ["openai"]
        vendors = list(islice(self._sellers(name, bare=True), 1))
        if vendors:
            return vendors
        if name.startswith("arn:aws") or self._at_bedrock(name, None) is not None:
            return ["bedrock"]
        return [owner for owner, shelf in self._own.items() if shelf.find(name)]

    def _resellers(self, name: str) -> list[str]:
        # That a name ends in ":free" says nothing of who gives it away.
        return [] if name.endswith(":free") else list(self._sellers(name, bare=False))

    def _sellers(self, name: str, *, bare: bool) -> Iterator[str]:
        for row in index_of_providers().rows:
            if (
                row.bare is bare
                and (shelf := shelf_of(row.name)) is not None
                and shelf.find(name) is not None
            ):
                yield row.name


_NO_PROFILE: Final = "the id names no profile and is priced as global; regional profiles cost more"


def _unowned(model: str, owners: list[str]) -> str:
    if not owners:
        return f"no price is known for the model {model!r}"
    return f"{model!r} is sold by {', '.join(owners)}: name the provider, as in '{owners[0]}/{model}'"


def _raises(region: str | None, model: Model) -> bool:
    """Whether a reseller's regional endpoint costs more for *model*: only where its vendor's regions do."""
    return region not in (None, "", "global") and bool(model.prices and model.prices[-1].regions)


def utc(at: datetime | None) -> datetime:
    """*at* in UTC: now when it is None, and a naive time taken as UTC."""
    if at is None:
        return datetime.now(UTC)
    if at.tzinfo is UTC:
        return at
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _regional(model: Model, region: str | None) -> Decimal:
    """The factor of *region*; it is the same for all dates of a model, so the newest price holds it."""
    regions = model.prices[-1].regions if model.prices else {}
    if not regions:
        return _ONE
    name = (region or "").lower()
    if name in regions or not name or name == "global":
        return regions.get(name, _ONE)
    return regions.get("*", _ONE)


def _dated(row: Row, day: str) -> Match:
    shelf, model, factor, note = row
    prices = model.prices
    price = next((price for price in reversed(prices) if price.since <= day), prices[0])
    return Match(
        provider=shelf.file.provider,
        model=model,
        price=price,
        sold=_sold(shelf.file.shared, model),
        lifetime=model.lifetimes[0] if model.lifetimes else "",
        calendars=shelf.file.calendars,
        source=price.source or shelf.file.source,
        factor=factor,
        note=note,
        day=day,
    )


def _own_terms(shared: Sold | None) -> Sold:
    """What holds for the caller's rows: the provider's multipliers, but no fee and no guess from its table."""
    if shared is None:
        return Sold(unwritten="unknown")
    unwritten = "derived" if shared.unwritten == "derived" else "unknown"
    return msgspec.structs.replace(shared, fees={}, unread="unknown", unwritten=unwritten)


def _with_multipliers(model: Model, known: Model | None) -> Model:
    """*model* with the cache rates of the built-in row of its name as factors, to derive what it leaves out."""
    if model.multipliers is not None or known is None or not known.prices:
        return model
    price = known.prices[-1]
    if not price.input or price.read is None:
        return model
    factors = Multipliers(
        read=price.read / price.input, write={ttl: rate / price.input for ttl, rate in price.write.items()}
    )
    return msgspec.structs.replace(model, multipliers=factors)


def _sold(shared: Sold, model: Model) -> Sold:
    if model.multipliers is None:
        return shared
    unwritten = "derived" if model.multipliers.write else "input"
    return msgspec.structs.replace(shared, multipliers=model.multipliers, unwritten=unwritten)
