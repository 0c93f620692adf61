"""What any answer cost: ours, an OpenAI or Anthropic SDK's, LiteLLM's, or the JSON that a provider sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from asynccache.errors import InvalidRequestError
from asynccache.pricing.catalogue import PriceBook
from asynccache.pricing.estimate import estimated_usage
from asynccache.pricing.functions import price_of
from asynccache.pricing.registry import own_models
from asynccache.reply import Completion, Usage
from asynccache.shapes import is_object
from asynccache.usage.recognized import recognized_usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["completion_cost", "read_answer"]


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
    base_model: str | None = None,
    custom_cost_per_token: Mapping[str, Any] | None = None,
    at: datetime | None = None,
    prices: PriceBook | None = None,
) -> float:
    """What an answer cost, in US dollars.

    Without an answer the cost is estimated from *prompt* or *messages* and *completion*: a guess at token
    counts of a few per cent, with nothing cached. ``reply.cost`` has the exact amount, bucket by bucket.

    Args:
        completion_response: a `Completion`, a stream that has ended, an SDK's object, or a dict; its usage may
            be spelled as any provider spells it.
        model: the model, where the answer does not name it, or its provider: ``anthropic/claude-…``.
        prompt: text sent, for an estimate.
        messages: messages sent, for an estimate.
        completion: text received, for an estimate.
        custom_llm_provider: the provider, where *model* does not say it.
        region_name: where it ran.
        service_tier: the tier, where the answer does not say it.
        base_model: the model behind a deployment's name; it comes before every other name.
        custom_cost_per_token: the caller's own rates for this answer, with LiteLLM's names.
        at: when it was sent; by default what the answer says, else now.
        prices: the book; the shared one by default.

    Raises:
        InvalidRequestError: the price is not known, or the answer holds no usage; the message says why.
    """
    answer = completion_response
    if answer is None:
        answer = Completion(usage=estimated_usage(prompt, messages, completion))
    elif type(answer) is not Completion:
        answer = read_answer(answer)
    if base_model is not None:
        answer, model = msgspec.structs.replace(answer, model=""), base_model
    if custom_cost_per_token is not None:
        model = model or answer.model
        prices, custom_llm_provider = _own_book(custom_cost_per_token, model), _OWN
        answer, model = msgspec.structs.replace(answer, model=""), f"{_OWN}/{model}"
    return price_of(
        answer,
        model,
        provider=custom_llm_provider,
        region=region_name,
        service_tier=service_tier,
        at=at,
        prices=prices,
    )


_OWN: Final = "own"


def _own_book(rates: Mapping[str, Any], model: str) -> PriceBook:
    """A book with *rates*, LiteLLM's or ours, as the only price of *model*."""
    return PriceBook(own_models({f"{_OWN}/{model or 'model'}": {**rates, "provider": _OWN}}))


def read_answer(answer: Any) -> Completion:
    """What the price of *answer* depends on, as a completion without content.

    Raises:
        InvalidRequestError: there is no usage in it that could be read.
    """
    whole = _get(answer, "completion")
    if type(whole) is Completion:  # a stream's
        return whole
    told = _first(answer, _USAGES)
    if told is None:
        raise InvalidRequestError(
            "completion_response has no 'usage'; give the whole answer, or prompt and completion"
        )
    usage = told if type(told) is Usage else recognized_usage(_plain(told))
    tier = _first(answer, _TIERS)
    tier = tier.get("type") if is_object(tier) else tier
    return Completion(
        model=str(_get(answer, "model") or ""),
        created=_moment(_first(answer, _MOMENTS)),
        usage=usage,
        service_tier=tier if isinstance(tier, str) else None,
    )


# By what names answers call their parts.
_USAGES: Final = ("usage", "usage_metadata", "usageMetadata")
_TIERS: Final = ("service_tier", "serviceTier")
_MOMENTS: Final = ("created", "created_at")
_LATEST: Final = datetime.max.replace(tzinfo=UTC).timestamp()


def _first(answer: Any, names: tuple[str, ...]) -> Any:
    return next((value for name in names if (value := _get(answer, name)) is not None), None)


def _get(value: Any, name: str) -> Any:
    return value.get(name) if is_object(value) else getattr(value, name, None)


def _moment(created: Any) -> int:
    """Seconds since the epoch; 0 for what is no moment."""
    if isinstance(created, bool) or not isinstance(created, (int, float)) or not 0 < created < _LATEST:
        return 0
    return int(created)


def _plain(value: Any) -> Mapping[str, Any]:
    """An object's fields by name, in whatever way the object tells them."""
    if is_object(value):
        return value
    dump = getattr(value, "model_dump", None)  # of pydantic, which the SDKs are made of
    told = dump() if callable(dump) else getattr(value, "__dict__", None)
    if not is_object(told):
        raise InvalidRequestError(f"completion_response.usage is {type(value).__name__}; it holds no counts")
    return told if callable(dump) else {name: _nested(inner) for name, inner in told.items()}


def _nested(value: Any) -> Any:
    return _plain(value) if hasattr(value, "__dict__") else value
