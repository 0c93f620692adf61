"""LiteLLM's price rows, read into ours: ``input_cost_per_token``, ``…_above_272k_tokens_flex`` and their kin."""

from __future__ import annotations

import re
from decimal import Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import msgspec

from asynccache.pricing.entries import Above, Caching, DatedPrice, Model, Rates, Tier, Window
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["is_litellm_price", "is_litellm_row", "model_from_litellm"]

_BUCKETS: Final = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "read",
    "input_cost_per_token_cache_hit": "hit",  # the same in older rows; the newer name comes first
    "cache_creation_input_token_cost": "write",
    "cache_creation_input_token_cost_above_1hr": "write:1h",
    "cache_creation_input_token_cost_above_12hr": "write:12h",
    "input_cost_per_audio_token": "audio_input",
    "cache_read_input_audio_token_cost": "audio_read",
    "output_cost_per_audio_token": "audio_output",
}
_TIERS: Final = {
    "flex": "flex",
    "priority": "priority",
    "balanced": "balanced",
    "batches": "batch",
    "ultrafast": "ultrafast",
}
_KEY: Final = re.compile(
    r"(?P<bucket>" + "|".join(sorted(_BUCKETS, key=len, reverse=True)) + r")"
    r"(?:_above_(?P<over>\d+)k_tokens)?(?:_(?P<tier>" + "|".join(_TIERS) + r"))?"
)
# Twelve digits hold every printed price and drop what binary floats add at the end.
_PRINTED: Final = Context(prec=12)


def is_litellm_price(key: str) -> bool:
    """Whether *key* is a rate by the token that is read here."""
    return _KEY.fullmatch(key) is not None


def is_litellm_row(row: Mapping[str, Any]) -> bool:
    """Whether *row* is spelled LiteLLM's way."""
    return any(key in row for key in ("input_cost_per_token", "output_cost_per_token", "litellm_provider"))


def model_from_litellm(
    name: str, row: Mapping[str, Any], *, since: str, lifetime: str = "5m", source: str = ""
) -> Model:
    """The model that LiteLLM's *row* describes; *lifetime* is what its plain write rate pays for.

    Raises:
        ValueError: a rate is not a number, or is negative; the message names its key.
    """
    buckets: dict[tuple[str, int], dict[str, Decimal]] = {}
    for key, value in row.items():
        match = _KEY.fullmatch(key)
        if match is None or value is None:
            continue
        place = (_TIERS.get(match["tier"] or "", ""), int(match["over"] or 0) * 1000)
        buckets.setdefault(place, {})[_BUCKETS[match["bucket"]]] = _per_million(key, value)

    price = DatedPrice(
        since=since,
        above=_thresholds("", buckets, lifetime),
        tiers={tier: _tier(tier, buckets, lifetime) for tier in sorted({t for t, _ in buckets if t})},
        regions=_regions(row),
        fees=_fees(row),
        source=str(row.get("source") or source),
        windows=_windows(row, lifetime),
        **_rates(buckets.get(("", 0), {}), lifetime),
    )
    return Model(
        name=name,
        prices=(_with_steps(price, row, lifetime),),
        mode=str(row.get("mode") or "chat"),
        context_window=_count(row.get("max_input_tokens")),
        max_output_tokens=_count(row.get("max_output_tokens")),
        caching=_caching(name, row),
        min_cacheable_tokens=_count(row.get("prompt_cache_min_tokens")),
    )


def _per_million(key: str, value: Any) -> Decimal:
    try:
        rate = _PRINTED.create_decimal(str(value)) * 1_000_000
    except InvalidOperation:
        raise ValueError(f"{key} is {value!r}; a price is a number of dollars per token") from None
    if not rate.is_finite() or rate < 0:
        raise ValueError(f"{key} is {value!r}; a price is a number of dollars per token, zero or more")
    return rate.normalize()


def _found(row: Mapping[str, Any]) -> dict[str, Decimal]:
    """The plain rates of *row*, without thresholds and tiers."""
    return {
        bucket: _per_million(key, value)
        for key, bucket in _BUCKETS.items()
        if (value := row.get(key)) is not None
    }


def _rates(found: Mapping[str, Decimal], lifetime: str) -> dict[str, Any]:
    write = {
        ttl: found[bucket]
        for bucket, ttl in (("write", lifetime), ("write:1h", "1h"), ("write:12h", "12h"))
        if bucket in found
    }
    plain: dict[str, Any] = {
        name: rate for name, rate in found.items() if name != "hit" and not name.startswith("write")
    }
    if "hit" in found:
        plain.setdefault("read", found["hit"])
    # An explicit zero for writes says that there is no fee on top: the tokens stay ordinary input.
    return {**plain, "write": {} if set(write.values()) == {Decimal(0)} else write}


def _thresholds(
    tier: str, buckets: Mapping[tuple[str, int], dict[str, Decimal]], lifetime: str
) -> tuple[Above, ...]:
    overs = sorted(over for name, over in buckets if name == tier and over)
    return tuple(Above(over=over, **_rates(buckets[tier, over], lifetime)) for over in overs)


def _tier(tier: str, buckets: Mapping[tuple[str, int], dict[str, Decimal]], lifetime: str) -> Tier:
    return Tier(above=_thresholds(tier, buckets, lifetime), **_rates(buckets.get((tier, 0), {}), lifetime))


def _with_steps(price: DatedPrice, row: Mapping[str, Any], lifetime: str) -> DatedPrice:
    """*price* by ``tiered_pricing``, a list of ranges of prompt tokens, each with its own rates."""
    steps = row.get("tiered_pricing")
    if not is_array(steps) or not steps or not all(is_object(step) and step.get("range") for step in steps):
        return price
    first, *longer = sorted(steps, key=lambda step: float(step["range"][0]))
    above = tuple(
        Above(over=int(float(step["range"][0])), **_rates(_found(step), lifetime)) for step in longer
    )
    base = Rates(**_rates(_found(first), lifetime))
    rates = {name: getattr(base, name) for name in Rates.__struct_fields__}
    return msgspec.structs.replace(price, above=above, **rates)


def _windows(row: Mapping[str, Any], lifetime: str) -> tuple[Window, ...]:
    """``off_peak_pricing``: rates that hold in the hours, UTC, and on the weekdays that it lists."""
    told = _object(row.get("off_peak_pricing"))
    rates = _rates(_found(told), lifetime)
    windows: list[Window] = []
    for window in told.get("windows") or ():
        hours = window.get("hours_utc") or ()
        spans = [hours] if isinstance(hours, str) else list(hours)
        days = tuple(window.get("weekdays") or range(1, 8))
        windows.append(Window(hours=tuple((span[:5], span[-5:]) for span in spans), days=days, **rates))
    return tuple(windows)


def _regions(row: Mapping[str, Any]) -> dict[str, Decimal]:
    regions = {
        region: Decimal(str(row[key]))
        for region in ("eu", "us")
        if (key := f"regional_processing_uplift_multiplier_{region}") in row
    }
    if "regional_endpoint_uplift_multiplier" in row:
        regions["*"] = Decimal(str(row["regional_endpoint_uplift_multiplier"]))
    specific = _object(row.get("provider_specific_entry"))
    if "us" in specific:
        regions["us"] = Decimal(str(specific["us"]))
    return regions


def _object(value: Any) -> Mapping[str, Any]:
    return value if is_object(value) else {}


def _fees(row: Mapping[str, Any]) -> dict[str, Decimal]:
    fees: dict[str, Decimal] = {}
    searches = _object(row.get("search_context_cost_per_query"))
    if "search_context_size_medium" in searches:
        fees["web_search_requests"] = Decimal(str(searches["search_context_size_medium"])) * 1000
    if row.get("input_cost_per_request"):
        fees["request"] = Decimal(str(row["input_cost_per_request"])) * 1000
    return fees


def _caching(name: str, row: Mapping[str, Any]) -> Caching | None:
    if row.get("supports_prompt_cache_breakpoint"):
        return "both"
    if not row.get("supports_prompt_caching"):
        return None
    return "explicit" if "claude" in name else "automatic"


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and value > 0 else None
