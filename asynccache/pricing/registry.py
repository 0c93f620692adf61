"""The caller's own prices, read into rows of the book: our format, and LiteLLM's JSON format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from asynccache.errors import InvalidRequestError
from asynccache.pricing.catalogue import PriceBook
from asynccache.pricing.entries import DatedPrice, Model, Rates
from asynccache.pricing.litellm_format import is_litellm_row, model_from_litellm
from asynccache.pricing.shelves import canonical
from asynccache.shapes import is_object

__all__ = ["own_models", "price_book", "read_prices"]


def price_book(prices: PriceBook | Mapping[str, Any] | str | Path) -> PriceBook:
    """The book that *prices* stand for: itself, rows by model name, or a JSON file of such rows.

    Raises:
        InvalidRequestError: a row or the file cannot be read; the message names it.
    """
    if isinstance(prices, PriceBook):
        return prices
    rows = prices if isinstance(prices, Mapping) else read_prices(Path(prices))
    return PriceBook(own_models(rows))


def read_prices(path: Path) -> Mapping[str, Any]:
    """The rows of a price file.

    Raises:
        InvalidRequestError: it is not there, or not a JSON object of rows.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise InvalidRequestError(f"the price file {path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise InvalidRequestError(
            f"the price file {path} is not a JSON object of rows by model name: {error}"
        ) from error


def own_models(rows: Mapping[str, Any]) -> Iterator[tuple[str, Model]]:
    """*rows* by ``provider/model``, in our format or LiteLLM's, as (provider, model).

    Raises:
        InvalidRequestError: a row is not one; the message names its key and what is wrong.
    """
    today = datetime.now(UTC).date().isoformat()
    for key, told in rows.items():
        if key in _NOTES:
            continue
        if not is_object(told):
            raise InvalidRequestError(
                f"prices[{key!r}] is {told!r}; a row is an object such as {{'input': 3, 'output': 15}}"
            )
        provider, name = _owner(key, told)
        if canonical(provider) == "bedrock":  # one price for a model, by whichever operation it is asked
            name = name.removeprefix("converse/").removeprefix("invoke/")
        try:
            model = _model(name, told, today)
            _check(model)
            if _has_rates(model):
                yield provider, model
        except (ValueError, TypeError) as error:  # msgspec.ValidationError is a ValueError
            raise InvalidRequestError(f"prices[{key!r}]: {error}") from error


_NOTES: Final = frozenset({"sample_spec", "fallback_generalizations"})
"""What LiteLLM's file holds beside models."""


def _has_rates(model: Model) -> bool:
    """Whether *model* is sold by the token; LiteLLM's file has pictures and speech as well."""
    return any(price.input is not None or price.output is not None for price in model.prices)


def _owner(key: str, row: Mapping[str, Any]) -> tuple[str, str]:
    head, slash, tail = key.partition("/")
    told = row.get("litellm_provider") or row.get("provider")
    if isinstance(told, str):
        provider = canonical(told) or told
        return provider, tail if slash and canonical(head) == canonical(told) else key
    if slash:
        return head, tail
    provider = PriceBook().provider_of(key) or ""
    if not provider:
        raise InvalidRequestError(f"prices[{key!r}] names no provider; write it as 'provider/{key}'")
    return provider, key


def _model(name: str, row: Mapping[str, Any], today: str) -> Model:
    if is_litellm_row(row):
        lifetime = "30m" if row.get("litellm_provider") == "openai" else "5m"
        model = model_from_litellm(
            name.lower(), row, since=today, lifetime=lifetime, source="registered by the caller"
        )
        return msgspec.structs.replace(model, prices=tuple(map(_with_fast, model.prices)))
    plain = {field: value for field, value in row.items() if field != "provider"}
    if "prices" in plain:
        return msgspec.convert({**plain, "name": name.lower()}, Model, strict=False)
    abilities = {field: plain.pop(field) for field in Model.__struct_fields__ if field in plain}
    price = msgspec.convert(
        {"since": today, "source": "registered by the caller", **plain}, DatedPrice, strict=False
    )
    if price.input is None and price.output is None:
        raise ValueError("has neither an 'input' nor an 'output' rate")
    abilities.setdefault("caching", "automatic" if price.read is not None else None)
    return msgspec.convert({**abilities, "name": name.lower(), "prices": (price,)}, Model, strict=False)


def _with_fast(price: DatedPrice) -> DatedPrice:
    """LiteLLM prices OpenAI's tier "fast" by the keys of "priority"."""
    if "fast" in price.tiers or "priority" not in price.tiers:
        return price
    return msgspec.structs.replace(price, tiers={**price.tiers, "fast": price.tiers["priority"]})


def _check(model: Model) -> None:
    for price in model.prices:
        parts: list[Rates] = [price, *price.above, *price.tiers.values(), *price.windows]
        for part in parts:
            rates = {name: getattr(part, name) for name in Rates.__struct_fields__ if name != "write"}
            rates.update({f"write.{lifetime}": rate for lifetime, rate in part.write.items()})
            for name, rate in rates.items():
                if rate is not None and not (rate.is_finite() and rate >= 0):
                    raise ValueError(f"{name} is {rate}; a rate is a number of dollars, zero or more")
