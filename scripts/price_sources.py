"""Reads the two public price collections, genai-prices and LiteLLM's map, into the rows of our price files."""

# ruff: noqa: INP001  # scripts are run by path and report by printing
from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asynccache.pricing.entries import Above, DatedPrice, Model, Rates, Tier
from asynccache.pricing.litellm_format import model_from_litellm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNITS = {
    "input_mtok": "input",
    "cache_read_mtok": "read",
    "output_mtok": "output",
    "input_audio_mtok": "audio_input",
    "cache_audio_read_mtok": "audio_read",
    "output_audio_mtok": "audio_output",
}
FEES = {"web_searches_kcount": "web_search_requests", "requests_kcount": "request"}
FIRST = "2023-01-01"
"""The day given to the oldest price of a history whose first day no collection tells."""
CHAT_MODES = {"chat", "responses", "completion", None}


@dataclass(frozen=True)
class Source:
    """A collection of prices: its name, version and the day it was published."""

    name: str
    version: str
    day: str


# The collections' publication days, for telling which of two differing figures is newer.
DAYS = {("genai-prices", "0.2.3"): "2026-11-10", ("litellm", "1.109.1"): "2026-11-20"}


def source(name: str) -> Source:
    """The installed version of *name*."""
    version = importlib.metadata.version(name)
    return Source(name, version, DAYS.get((name, version), "unknown"))


def litellm_map() -> dict[str, dict[str, Any]]:
    """LiteLLM's bundled map, read as a file: importing LiteLLM takes seconds and reaches for the network."""
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("litellm is not installed: pip install --no-deps litellm")
    path = Path(spec.origin).with_name("model_prices_and_context_window_backup.json")
    rows: dict[str, dict[str, Any]] = json.loads(path.read_text())
    rows.pop("sample_spec", None)
    return rows


def from_litellm(sellers: Iterable[str], *, since: str, lifetime: str) -> Iterator[Model]:
    """Chat models of LiteLLM's map that *sellers* (its ``litellm_provider``) sell."""
    wanted = set(sellers)
    for key, row in litellm_map().items():
        if row.get("litellm_provider") not in wanted or row.get("mode") not in CHAT_MODES:
            continue
        if not row.get("input_cost_per_token") and not row.get("tiered_pricing") and not _free(key):
            continue
        # Pictures cost more than text, and no usage of ours counts their tokens apart.
        if row.get("output_cost_per_image_token"):
            continue
        yield model_from_litellm(
            _bare(key, wanted).lower(), row, since=since, lifetime=_lifetime(key, lifetime)
        )


def _free(key: str) -> bool:
    return key.endswith(":free")


def _bare(key: str, sellers: set[str]) -> str:
    head, slash, tail = key.partition("/")
    known = {*sellers, "vertex_ai", "bedrock", "azure_ai", "vercel_ai_gateway", "openrouter"}
    return tail if slash and head in known else key


def _lifetime(key: str, lifetime: str) -> str:
    return "30m" if re.search(r"(?:openai\.|moonshotai\.|xai\.|zai\.)", key) else lifetime


def from_genai_prices(provider_id: str, *, since: str, lifetime: str) -> Iterator[Model]:
    """Chat models of a provider of genai-prices, with every start date and variant that our rows can say."""
    from genai_prices.data import providers

    provider = next(provider for provider in providers if provider.id == provider_id)
    host = f":{provider_id.removeprefix('huggingface_')}" if provider_id.startswith("huggingface_") else ""
    for info in provider.models:
        if _draws(info):
            continue
        prices = tuple(_dated(info, since, _lifetime(info.id, lifetime)))
        if not prices or any(price.input is None or price.output is None for price in prices):
            continue
        # Hugging Face routes to many hosts; only with the host in its name does a model have one price.
        name = info.id.lower().rstrip("-:") + host
        names = dict.fromkeys(spelled + host for spelled in _names(info.match))
        names.pop(name, None)
        yield Model(name=name, prices=prices, also=tuple(names), context_window=info.context_window)


def _draws(info: Any) -> bool:
    """Whether the model answers with pictures at a rate of their own."""
    prices = info.prices if isinstance(info.prices, list) else [info]
    return any(getattr(price.prices, "output_image_mtok", None) is not None for price in prices)


def _dated(info: Any, since: str, lifetime: str) -> Iterator[DatedPrice]:
    conditional = info.prices if isinstance(info.prices, list) else None
    rows = (
        [(since, info.prices)]
        if conditional is None
        else [
            (FIRST if row.constraint is None else row.constraint.start_date.isoformat(), row.prices)
            for row in conditional
            if row.constraint is None or hasattr(row.constraint, "start_date")
        ]
    )
    now = max((first for first, _ in rows if first <= since), default=rows[0][0])
    current = next(prices for first, prices in rows if first == now)
    tiers = dict(_tiers(info, *_rates(current, lifetime), lifetime))
    for first, prices in rows:
        rates, above = _rates(prices, lifetime)
        yield DatedPrice(
            since=first,
            above=above,
            # A factor holds whatever the price was; rates of a tier are those of today.
            tiers={name: tier for name, tier in tiers.items() if first == now or tier.factor is not None},
            fees=_fees(prices),
            source=_link(info.price_comments),
            **rates,
        )


def _tiers(
    info: Any, base: dict[str, Any], above: tuple[Above, ...], lifetime: str
) -> Iterator[tuple[str, Tier]]:
    for variant in info.price_variants or ():
        name = variant.when.get("service_tier") or variant.when.get("processing") or variant.when.get("speed")
        if not name or name == "default" or len(variant.when) != 1:
            continue
        tier = _tier(variant.prices, base, above, lifetime)
        if tier is not None:
            yield name, tier


def _tier(prices: Any, base: dict[str, Any], above: tuple[Above, ...], lifetime: str) -> Tier | None:
    rates, steps = _rates(prices, lifetime)
    if not rates.get("input"):
        return None
    ratio = rates["input"] / base["input"]
    tier = Tier(above=steps, **rates)
    expected = _rescaled(base, ratio)
    same_steps = [s.over for s in steps] == [a.over for a in above]
    whole = {**dict.fromkeys(Rates.__struct_fields__), **rates, "write": rates.get("write", {})}
    # Two places are what providers print factors with; 1.666… is a rate, not a factor.
    if (
        ratio == round(ratio, 2)
        and same_steps
        and all(whole[name] == expected.get(name) for name in ("input", "output", "read", "write"))
    ):
        return Tier(factor=ratio.normalize())
    return tier


def _rescaled(base: dict[str, Any], ratio: Decimal) -> dict[str, Any]:
    scaled: dict[str, Any] = {n: r * ratio for n, r in base.items() if n != "write" and r is not None}
    return {"read": None, **scaled, "write": {ttl: r * ratio for ttl, r in base.get("write", {}).items()}}


def _rates(prices: Any, lifetime: str) -> tuple[dict[str, Any], tuple[Above, ...]]:
    plain = {name: value for name, value in vars(prices).items() if value is not None}
    steps = sorted({tier.start for value in plain.values() for tier in getattr(value, "tiers", ())})

    def at(step: int | None) -> dict[str, Any]:
        def one(value: Any) -> Decimal:
            if not hasattr(value, "tiers"):
                return Decimal(value).normalize()
            reached = [tier.price for tier in value.tiers if step is not None and tier.start <= step]
            return Decimal(reached[-1] if reached else value.base).normalize()

        write = {
            ttl: one(plain[unit])
            for unit, ttl in (
                ("cache_write_mtok", lifetime),
                ("cache_write_5m_mtok", "5m"),
                ("cache_write_1h_mtok", "1h"),
            )
            if unit in plain
        }
        return {**{ours: one(plain[unit]) for unit, ours in UNITS.items() if unit in plain}, "write": write}

    return at(None), tuple(Above(over=step, **at(step)) for step in steps)


def _fees(prices: Any) -> dict[str, Decimal]:
    return {
        ours: Decimal(value)
        for unit, ours in FEES.items()
        if (value := getattr(prices, unit, None)) is not None and not hasattr(value, "tiers")
    }


def _link(comment: str | None) -> str:
    found = re.search(r"https://[^\s)`\"]+", comment or "")
    return found.group().rstrip(".,;") if found else ""


def _names(match: Any) -> Iterator[str]:
    """Names that a match clause spells out; patterns over dates need none, our own matching takes dates off."""
    for clause in getattr(match, "or_", None) or [match]:
        if hasattr(clause, "equals"):
            yield clause.equals.lower()
        elif hasattr(clause, "starts_with"):
            yield clause.starts_with.lower().rstrip("-@:")
        elif hasattr(clause, "or_"):
            yield from _names(clause)
        elif hasattr(clause, "contains"):
            yield clause.contains.lower().rstrip("-@:")
