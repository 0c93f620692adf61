"""What a price file may say: dated rates by model, the rules of their provider, and what a model can do.

Money is US dollars per million tokens, as providers print it, read as exact decimals.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias, final

import msgspec

__all__ = [
    "Above",
    "Billed",
    "Caching",
    "DatedPrice",
    "Model",
    "Multipliers",
    "PriceFile",
    "Provider",
    "Rates",
    "Sold",
    "Tier",
    "Window",
]

Caching: TypeAlias = Literal["automatic", "explicit", "both"]


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Dollars per million tokens; None is a rate that the provider does not print."""

    input: Decimal | None = None
    read: Decimal | None = None
    """Prompt tokens read from the cache."""
    write: dict[str, Decimal] = {}
    """Prompt tokens written to the cache, by lifetime."""
    output: Decimal | None = None
    audio_input: Decimal | None = None
    audio_read: Decimal | None = None
    audio_output: Decimal | None = None


@final
class Above(Rates, frozen=True, kw_only=True):
    """Rates of the whole request once its prompt is longer than ``over`` tokens (exactly ``over`` is not)."""

    over: int


@final
class Tier(Rates, frozen=True, kw_only=True):
    """A service tier: all standard rates times ``factor``, or the rates that stand here.

    With a factor, rates that stand here replace only their own bucket, below every threshold. Without one
    they are the whole tier, and ``above`` holds its thresholds.
    """

    factor: Decimal | None = None
    above: tuple[Above, ...] = ()
    since: str = ""
    until: str = ""
    """First day on which the tier is no longer sold at this rate; "" for open."""


@final
class Window(Rates, frozen=True, kw_only=True):
    """Rates that hold only in some hours, UTC, by the request's start."""

    hours: tuple[tuple[str, str], ...]
    """Half-open spans ``["01:00", "04:00"]``; a span may pass midnight."""
    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    """ISO weekdays, Monday is 1."""
    not_on: str = ""
    """The file's calendar of days on which the window does not apply."""


@final
class DatedPrice(Rates, frozen=True, kw_only=True):
    """What a model costs from ``since`` on."""

    since: str
    """First day, ISO 8601, that this price is known to hold; the earliest one serves older requests too."""
    above: tuple[Above, ...] = ()
    tiers: dict[str, Tier] = {}
    windows: tuple[Window, ...] = ()
    regions: dict[str, Decimal] = {}
    """Factors on every rate by region or geography; ``"*"`` is any region that is not named."""
    fees: dict[str, Decimal] = {}
    """Dollars per thousand calls, by the counter of the provider's own tools; ``request`` is the call itself."""
    source: str = ""
    """Where it is printed; "" stands for the file's source."""
    note: str = ""


@final
class Multipliers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Cache rates as the provider publishes them: factors on the input rate, for rates that no entry prints."""

    read: Decimal | None = None
    write: dict[str, Decimal] = {}


@final
class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One model of one provider: how it is spelled, what it costs since when, what it can do."""

    name: str
    prices: tuple[DatedPrice, ...] = ()
    """Oldest first."""
    also: tuple[str, ...] = ()
    """Other spellings; dated snapshots need none."""
    mode: str = "chat"
    context_window: int | None = None
    max_output_tokens: int | None = None
    caching: Caching | None = None
    min_cacheable_tokens: int | None = None
    max_breakpoints: int | None = None
    lifetimes: tuple[str, ...] = ()
    """What a cache entry may live for; the first one is the default."""
    multipliers: Multipliers | None = None
    """In place of the file's, where this model has its own."""
    retired: str = ""
    """Day on which the provider shut the model down, "" while it serves."""
    explained: dict[str, str] = {}
    """Why another source says otherwise, by the source's name."""
    note: str = ""


@final
class Sold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all models of a file share unless they say otherwise."""

    tiers: dict[str, Tier] = {}
    fees: dict[str, Decimal] = {}
    multipliers: Multipliers = Multipliers()
    lifetime: str = "5m"
    """The lifetime of a write that names none."""
    unread: Literal["input", "unknown"] = "unknown"
    """What a cached token costs where no read rate is printed: the input rate, or nobody knows."""
    unwritten: Literal["input", "derived", "unknown"] = "input"
    """What a written token costs where no write rate is printed: the input rate, a multiple of it, or nobody knows."""


@final
class PriceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider's prices."""

    provider: str
    source: str
    checked: str
    """The day on which the file was last reviewed, ISO 8601."""
    note: str = ""
    shared: Sold = Sold()
    calendars: dict[str, tuple[str, ...]] = {}
    """Named lists of days, ISO 8601."""
    left_out: dict[str, str] = {}
    """Models that other collections price and this file does not, by pattern, with the reason."""
    models: tuple[Model, ...] = ()


@final
class Billed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a provider's usage says what was billed."""

    path: tuple[str, ...]
    unit: Decimal = Decimal(1)
    """Dollars that one of its units is worth."""


@final
class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the index: how a provider is named and whose models it sells."""

    name: str
    also: tuple[str, ...] = ()
    sells: tuple[str, ...] = ()
    """Providers whose own prices hold here where this one's file has no row."""
    regional: Decimal | None = None
    """Factor of a regional endpoint on what it sells of others."""
    bare: bool = False
    """A model's bare name may mean this provider."""
    file: bool = True
    billed: Billed | None = None
