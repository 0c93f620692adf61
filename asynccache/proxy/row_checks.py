"""A row of ``model_list`` that could never do what it says is refused at the start, with what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynccache.cache_injection import injected_wishes
from asynccache.errors import AsyncCacheError
from asynccache.pricing.catalogue import NoMatch, PriceBook
from asynccache.proxy.litellm_keys import FOREIGN, PRICES
from asynccache.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.proxy.settings import Model
    from asynccache.proxy.yaml_source import Source
    from asynccache.request import Path

__all__ = ["check_provider", "check_row"]

_PROBE = Request(model="openai/gpt-4o", messages=({"role": "user", "content": "."},))
_NEEDED = ("input_cost_per_token", "output_cost_per_token")


def check_provider(source: Source, params: Mapping[str, Any], path: Path) -> None:
    """Refuse a provider of LiteLLM's that is none here, before its own parameters are called unknown.

    Raises:
        ConfigError: it is one; the message says how its models can be asked all the same.
    """
    model: Any = params.get("model")
    named: Any = params.get("custom_llm_provider") or (
        model.partition("/")[0] if isinstance(model, str) and "/" in model else None
    )
    remedy = FOREIGN.get(named) if isinstance(named, str) else None
    if remedy is not None:
        raise source.error((*path, "model"), f"there is no provider {named!r} here; {remedy}")


def check_row(source: Source, model: Model) -> None:
    """Refuse what is written as it should be and still cannot work.

    Raises:
        ConfigError: something cannot; the message names it.
    """
    inner = (*model.path, "litellm_params")
    _check_stars(source, model, inner)
    if not model.name:
        raise source.error((*model.path, "model_name"), "is empty")
    for name, value in (("api_key", model.api_key), ("api_base", model.api_base)):
        if value is not None and not (value if isinstance(value, str) else value.reveal()).strip():
            what = "is empty; give it a value, or leave the line out to use the provider's own"
            raise source.error((*inner, name), what)
    for name, seconds in (("timeout", model.timeout), ("stream_timeout", model.stream_timeout)):
        if seconds is not None and not seconds > 0:
            raise source.error((*inner, name), f"{seconds:g} is not above 0 seconds")
    if model.max_retries is not None and model.max_retries < 0:
        name = "num_retries" if (*inner, "num_retries") in source.lines else "max_retries"
        raise source.error((*inner, name), f"{model.max_retries} is below 0")
    _check_points(source, model, inner)
    _check_prices(source, model, inner)


def _check_stars(source: Source, model: Model, inner: Path) -> None:
    for path, text in (((*model.path, "model_name"), model.name), ((*inner, "model"), model.model)):
        if "*" in text[:-1]:
            raise source.error(path, f"{text!r}: a * can stand at the end alone, for whatever callers write")
    if model.model.endswith("*") and "/" not in model.model:
        what = "a * stands for names of one provider, as in 'openai/*'; for all of them model_name is '*' too"
        raise source.error((*inner, "model"), what)


def _check_points(source: Source, model: Model, inner: Path) -> None:
    path = (*inner, "cache_control_injection_points")
    try:
        injected_wishes([("the point", point) for point in model.injection_points], _PROBE, [], newest=1)
    except AsyncCacheError as exc:
        raise source.error(path, exc.message) from exc


def _check_prices(source: Source, model: Model, inner: Path) -> None:
    finer = model.prices.keys() - set(PRICES)
    if finer and not set(_NEEDED) <= model.prices.keys():
        name = min(finer)
        raise source.error((*inner, name), f"means nothing without {' and '.join(_NEEDED)} beside it")
    base = model.base_model
    if base is None:
        return
    provider = model.model.removeprefix("simulator/").partition("/")[0]
    found = PriceBook().look_up(base.removeprefix(f"{provider}/"), provider=provider)
    if type(found) is NoMatch:
        near = ", ".join(map(repr, PriceBook().nearest(f"{provider}/{base.rpartition('/')[2]}")))
        what = f"{base!r} is in no price book, so it says nothing of prices; nearest: {near or 'none'}"
        raise source.error((*model.path, "model_info", "base_model"), what)
