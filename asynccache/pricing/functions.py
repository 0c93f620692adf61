"""The public functions on prices, with LiteLLM's names: what an answer cost, what a model costs and can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynccache.errors import InvalidRequestError
from asynccache.pricing.answers import Answer, read_answer
from asynccache.pricing.book import default_book
from asynccache.pricing.catalogue import NoMatch, PriceBook, Row
from asynccache.pricing.cost import Request, price_usage, total_of
from asynccache.pricing.estimate import estimated_usage
from asynccache.pricing.info import ModelInfo, model_info
from asynccache.pricing.quick import quick_total, remember_quote, shape_of
from asynccache.pricing.registry import own_models
from asynccache.reply import Completion, PromptTokensDetails, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

__all__ = [
    "ModelInfo",
    "completion_cost",
    "cost_per_token",
    "get_model_info",
    "register_model",
    "supports_prompt_caching",
]


def completion_cost(  # noqa: PLR0913  # LiteLLM's signature
    completion_response: Any = None,
    model: str | None = None,
    prompt: str = "",
    messages: Iterable[Any] = (),
    completion: str = "",
    *,
    custom_llm_provider: str | None = None,
    region_name: str | None = None,
    service_tier: str | None = None,
    at: datetime | None = None,
    prices: PriceBook | None = None,
) -> float:
    """What an answer cost, in US dollars.

    Without an answer the cost is estimated from *prompt* or *messages* and *completion*: a guess at token
    counts of a few per cent, with nothing cached. ``reply.cost`` has the exact amount, bucket by bucket.

    Args:
        completion_response: a `Completion`, a stream's completion, or any object or dict of OpenAI's shape.
        model: the model, where the answer does not name it, or its provider: ``anthropic/claude-…``.
        prompt: text sent, for an estimate.
        messages: messages sent, for an estimate.
        completion: text received, for an estimate.
        custom_llm_provider: the provider, where *model* does not say it.
        region_name: where it ran.
        service_tier: the tier, where the answer does not say it.
        at: when it was sent; by default what the answer says, else now.
        prices: the book; the shared one by default.

    Raises:
        InvalidRequestError: the price is not known; the message says why.
    """
    shape = None
    if type(completion_response) is Completion and at is None and prices is None:
        shape = shape_of(completion_response, model, custom_llm_provider, region_name, service_tier)
        quote = default_book().quotes.get(shape)
        if quote is not None:
            quick = quick_total(completion_response.usage, completion_response.created, quote)
            if quick is not None:
                return quick
    answer = (
        Answer(estimated_usage(prompt, messages, completion))
        if completion_response is None
        else read_answer(completion_response, service_tier)
    )
    book = prices or default_book()
    provider, asked = _owner(model, custom_llm_provider, answer, book)
    request = Request(provider, answer.model or asked, asked or None, at or answer.at, region_name)
    total = total_of(answer.usage, request, book)
    if isinstance(total, str):
        raise InvalidRequestError(f"the cost is not known: {total}", provider=provider or None, model=model)
    if shape is not None:
        remember_quote(shape, answer.usage, request, book)
    return total


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
    provider, name = _owner(model, custom_llm_provider, Answer(usage), prices or default_book())
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


def _owner(model: str | None, provider: str | None, answer: Answer, book: PriceBook) -> tuple[str, str]:
    """Who answered, and the name of the model that was asked for, without its provider."""
    name = model or ""
    head, slash, tail = name.partition("/")
    if provider is not None:
        owner = book.known(provider)
        return provider, tail if slash and owner is not None and book.known(head) == owner else name
    if slash and book.known(head) is not None:
        return head, tail
    found = book.provider_of(name or answer.model) or answer.provider or ""
    return found, name
