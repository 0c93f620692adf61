"""The short way of `completion_cost`: what it cannot say goes the long way, and both say the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from asynccache.answer_cost import completion_cost
from asynccache.errors import InvalidRequestError
from asynccache.pricing.book import default_book
from asynccache.pricing.cost import price_usage
from asynccache.pricing.functions import register_model
from asynccache.reply import CacheCreation, Completion, CompletionTokensDetails, PromptTokensDetails, Usage
from tests.pricing.usages import used

NOON = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp())
PLAIN = used(86, 1920, 300)


@pytest.fixture(autouse=True)
def shared_book() -> Iterator[None]:
    """Every test begins without a quote, and leaves none."""
    default_book.cache_clear()
    yield
    default_book.cache_clear()


def twice(usage: Usage, model: str, provider: str, created: int = NOON) -> float:
    """The cost after a plain answer of the same shape was priced, so that there is a quote to go by."""
    plain = msgspec.structs.replace(
        PLAIN, service_tier=usage.service_tier, speed=usage.speed, inference_geo=usage.inference_geo
    )
    completion_cost(Completion(model=model, created=NOON, usage=plain), custom_llm_provider=provider)
    assert default_book().quotes
    return completion_cost(
        Completion(model=model, created=created, usage=usage), custom_llm_provider=provider
    )


def counted(**more: Any) -> Usage:
    """A usage with a few tokens of each kind and *more*."""
    return msgspec.structs.replace(PLAIN, **more)


@pytest.mark.parametrize(
    ("usage", "model", "provider"),
    [
        (PLAIN, "gpt-4o", "openai"),
        (used(1, 2, 3, w5m=4, w1h=5), "claude-sonnet-4-5", "anthropic"),
        (used(1, 2, 3, w30m=4, w12h=5), "gpt-5.6", "openai"),
        (used(1, 2, 3, w5m=7), "gpt-5.6", "openai"),
        (
            counted(
                cache_creation=CacheCreation(),
                prompt_tokens_details=PromptTokensDetails(cache_write_tokens=9),
            ),
            "claude-opus-5",
            "anthropic",
        ),
        (used(300_000, 0, 3), "gpt-5.6", "openai"),
        (used(1, 2, 3, server_tool_use={"web_search_requests": 2}), "claude-sonnet-4-5", "anthropic"),
        (used(1, 2, 3, service_tier="batch"), "claude-sonnet-4-5", "anthropic"),
        (used(1, 2, 3, speed="fast"), "claude-opus-5", "anthropic"),
        (used(1, 2, 3, inference_geo="us"), "claude-opus-5", "anthropic"),
        (counted(prompt_tokens_details=PromptTokensDetails(audio_tokens=50)), "gpt-audio", "openai"),
        (counted(completion_tokens_details=CompletionTokensDetails(audio_tokens=50)), "gpt-audio", "openai"),
        (counted(source="estimated"), "gpt-4o", "openai"),
        (used(0, 0, 0), "gpt-4o", "openai"),
    ],
)
def test_both_ways_say_the_same(usage: Usage, model: str, provider: str) -> None:
    """Lifetimes, long prompts, tools, tiers, speed, geography, audio, estimates: the exact total, to the last bit."""
    exact = price_usage(usage, provider=provider, model=model, at=datetime.fromtimestamp(NOON, UTC))
    assert exact.total is not None
    assert twice(usage, model, provider) == float(exact.total)


def test_a_quote_ends() -> None:
    """DeepSeek's quote ends with its half hour, everybody's with the day, and a new one begins."""
    peak = int(datetime(2026, 11, 20, 9, 59, tzinfo=UTC).timestamp())
    assert twice(PLAIN, "deepseek-flash", "deepseek", peak) == 0.00039732
    assert twice(PLAIN, "deepseek-flash", "deepseek", peak + 60) == 0.00019866
    before = int(datetime(2026, 8, 20, 23, 59, tzinfo=UTC).timestamp())
    assert twice(PLAIN, "gpt-5.6-sol", "openai", before) == pytest.approx(
        (86 * 5 + 1920 * 0.5 + 300 * 30) / 1e6
    )
    assert twice(PLAIN, "gpt-5.6-sol", "openai", before + 60) == 0.007112


def test_an_answer_without_a_date_is_of_now() -> None:
    """Completions that say no time are priced by the clock."""
    completion = Completion(model="gpt-4o", usage=PLAIN)
    assert (
        completion_cost(completion, "openai/gpt-4o")
        == completion_cost(completion, "openai/gpt-4o")
        == 0.005615
    )
    (quote,) = default_book().quotes.values()
    assert quote.since <= time.time() < quote.until


@pytest.mark.parametrize(
    "usage",
    [
        counted(prompt_tokens=5),
        counted(completion_tokens=-1),
        counted(completion_tokens=None),
        counted(source="partial"),
        counted(prompt_tokens_details=PromptTokensDetails(cached_tokens=-5)),
        counted(
            prompt_tokens_details=PromptTokensDetails(cache_write_tokens=5),
            cache_creation=CacheCreation(ephemeral_5m_input_tokens=6),
        ),
        counted(
            prompt_tokens_details=PromptTokensDetails(cache_write_tokens=5),
            cache_creation=CacheCreation(ephemeral_5m_input_tokens=-6),
        ),
    ],
)
def test_what_has_no_price_has_none_the_short_way_either(usage: Usage) -> None:
    """Counts that cannot be are refused though there is a quote."""
    with pytest.raises(InvalidRequestError, match="the cost is not known"):
        twice(usage, "gpt-4o", "openai")


def test_an_open_rate_stays_open() -> None:
    """A model whose cache rate nobody knows has a quote for what is known, and no price for cached tokens."""
    register_model({"openai/mine": {"input": 2, "output": 8}})
    plain = Completion(model="mine", created=NOON, usage=used(10, 0, 5))
    assert completion_cost(plain, "openai/mine") == completion_cost(plain, "openai/mine") == 0.00006
    for usage in (
        used(10, 1, 5),
        used(10, 0, 5, w30m=1),
        counted(
            cache_creation=CacheCreation(), prompt_tokens_details=PromptTokensDetails(cache_write_tokens=1)
        ),
    ):
        with pytest.raises(InvalidRequestError, match="no price is known for cache"):
            completion_cost(Completion(model="mine", created=NOON, usage=usage), "openai/mine")


def test_registering_ends_every_quote() -> None:
    """A new price holds from the next call on."""
    answer = Completion(model="gpt-4o", created=NOON, usage=PLAIN)
    assert completion_cost(answer, "openai/gpt-4o") == 0.005615
    register_model({"openai/gpt-4o": {"input": 1, "read": 1, "output": 1}})
    assert completion_cost(answer, "openai/gpt-4o") == 0.002306


def test_a_price_by_the_call_has_no_quote() -> None:
    """Where the call itself costs, the long way adds its fee."""
    register_model({"acme/per-call": {"input": 1, "output": 1, "fees": {"request": 5}}})
    answer = Completion(model="per-call", created=NOON, usage=used(0, 0, 0))
    assert (
        completion_cost(answer, "acme/per-call")
        == completion_cost(answer, custom_llm_provider="acme")
        == 0.005
    )
    assert default_book().quotes == {}
