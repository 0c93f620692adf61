"""The public functions on prices, with LiteLLM's names: what an answer cost, what a model costs and can do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from asynccache.errors import InvalidRequestError
from asynccache.pricing.book import default_book
from asynccache.pricing.catalogue import NoMatch, PriceBook, Row
from asynccache.pricing.cost import Request, price_usage, total_of
from asynccache.pricing.info import ModelInfo, model_info
from asynccache.pricing.quick import quick_total, remember_quote, shape_of
from asynccache.pricing.registry import own_models
from asynccache.reply import Completion, PromptTokensDetails, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ModelInfo",
    "cost_per_token",
    "get_model_info",
    "price_of",
    "register_model",
    "supports_prompt_caching",
]


def price_of(
    answer: Completion,
    model: str | None = None,
    *,
    provider: str | None = None,
    region: str | None = None,
    service_tier: str | None = None,
    at: datetime | None = None,
    prices: PriceBook | None = None,
) -> float:
    """What *answer* cost, in US dollars; *model*, *provider*, *region* and *service_tier* are for what it does not say.

    Raises:
        InvalidRequestError: the price is not known; the message says why.
    """
    shape = None
    if at is None and prices is None:
        shape = shape_of(answer, model, provider, region, service_tier)
        quote = default_book().quotes.get(shape)
        if quote is not None:
            quick = quick_total(answer.usage, answer.created, quote)
            if quick is not None:
                return quick
    if at is None and answer.created > 0:
        at = datetime.fromtimestamp(answer.created, UTC)
    usage = _with_tier(answer, service_tier)
    book = prices or default_book()
    owner, asked = _owner(model, provider, answer.model, book)
    request = Request(owner, answer.model or asked, asked or None, at, region)
    total = total_of(usage, request, book)
    if isinstance(total, str):
        raise InvalidRequestError(f"the cost is not known: {total}", provider=owner or None, model=model)
    if shape is not None:
        remember_quote(shape, usage, request, book)
    return total


def _with_tier(answer: Completion, service_tier: str | None) -> Usage:
    """The usage with the tier that the answer names, else *service_tier*."""
    usage = answer.usage
    tier = usage.service_tier or answer.service_tier or service_tier
    return usage if tier == usage.service_tier else msgspec.structs.replace(usage, service_tier=tier)


def cost_per_token(  # noqa: PLR0913  # LiteLLM's signature
    model: str = "",
    prompt_tokens: int = 0,
    completion_tokens: int = 0,
    *,
    custom_llm_provider: str | None = None,
    region_name: str | None = None,
    cache_creation_input_tokens: int = 0,
    cache_read_input_tokens: int = 0,
    usage_object: Usage | None = None,
    service_tier: str | None = None,
    at: datetime | None = None,
    prices: PriceBook | None = None,
) -> tuple[float, float]:
    """What prompt and completion cost, in US dollars; *prompt_tokens* counts cached tokens in.

    Raises:
        InvalidRequestError: the price is not known; the message says why.
    """
    usage = usage_object or Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=cache_read_input_tokens, cache_write_tokens=cache_creation_input_tokens
        ),
        service_tier=service_tier,
        source="provider",
    )
    provider, name = _owner(model, custom_llm_provider, "", prices or default_book())
    cost = price_usage(usage, provider=provider, model=name, at=at, region=region_name, prices=prices)
    if cost.total is None or cost.output is None:
        raise InvalidRequestError(f"the cost is not known: {cost.reason}", model=model)
    return float(cost.total - cost.output), float(cost.output)


def get_model_info(model: str, custom_llm_provider: str | None = None) -> ModelInfo:
    """What *model* costs today and can do.

    Raises:
        InvalidRequestError: the book does not know it; the message names the nearest that it knows.
    """
    book = default_book()
    match = book.find(model, provider=custom_llm_provider)
    if type(match) is NoMatch:
        near = book.nearest(model)
        hint = f"; the nearest known: {', '.join(near)}" if near else ""
        raise InvalidRequestError(f"{match.reason}{hint}", model=model)
    return model_info(match)


def supports_prompt_caching(model: str, custom_llm_provider: str | None = None) -> bool:
    """Whether *model* caches prompts, by itself or by marks; False for a model that the book does not know."""
    if not isinstance(model, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers too
        return False  # type: ignore[unreachable]  # likewise
    found = default_book().look_up(model, provider=custom_llm_provider)
    return type(found) is Row and found.model.caching is not None


def register_model(prices: Mapping[str, Any]) -> None:
    """Adds rows to the shared book, in front of the built-in ones.

    Args:
        prices: rows by ``provider/model``, in our format (US dollars per million tokens), such as
            ``{"openai/mine": {"input": 2, "read": 0.2, "output": 8}}``, or in LiteLLM's (dollars per token),
            such as ``{"mine": {"litellm_provider": "openai", "input_cost_per_token": 2e-06}}``.

    Raises:
        InvalidRequestError: a row cannot be read; none of them is added then.
    """
    default_book().add(list(own_models(prices)))


def _owner(model: str | None, provider: str | None, answered: str, book: PriceBook) -> tuple[str, str]:
    """Who answered, and the name of the model that was asked for, without its provider."""
    name = model or ""
    head, slash, tail = name.partition("/")
    if provider is not None:
        owner = book.known(provider)
        return provider, tail if slash and owner is not None and book.known(head) == owner else name
    if slash and book.known(head) is not None:
        return head, tail
    return book.provider_of(name or answered) or "", name
