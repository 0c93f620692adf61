"""The public functions, as their users call them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types import Usage as AnthropicUsage
from openai.types.chat import ChatCompletion
from openai.types.responses import Response, ResponseUsage

import asynccache
from asynccache.answer_cost import completion_cost
from asynccache.errors import InvalidRequestError
from asynccache.pricing.book import default_book
from asynccache.pricing.functions import (
    cost_per_token,
    get_model_info,
    register_model,
    supports_prompt_caching,
)
from asynccache.pricing.registry import price_book
from asynccache.reply import Completion, Iteration, Usage
from tests.pricing.usages import used

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_795_371_340,
    "model": "gpt-4o-2024-08-06",
    "choices": [],
    "usage": {
        "prompt_tokens": 2006,
        "completion_tokens": 300,
        "total_tokens": 2306,
        "prompt_tokens_details": {"cached_tokens": 1920},
    },
}


@pytest.fixture
def shared_book() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    default_book.cache_clear()
    yield
    default_book.cache_clear()


def test_the_cost_of_every_shape_of_answer() -> None:
    """A dict, OpenAI's own object, any object, and our completion cost the same $0.005615."""
    reply = Completion(model="gpt-4o-2024-08-06", created=1_795_371_340, usage=used(86, 1920, 300))
    shapes = [ANSWER, ChatCompletion.model_validate(ANSWER), SimpleNamespace(**ANSWER), reply]
    assert [completion_cost(shape) for shape in shapes] == [0.005615] * 4
    assert completion_cost(completion_response=reply, model="openai/gpt-4o") == 0.005615


def test_the_seed_pages_own_snippet() -> None:
    """The first page's model, long retired, still has its price: 86 * 3 + 1920 * 0.3 + 300 * 15 per million."""
    reply = Completion(model="claude-3-5-sonnet-20240620", usage=used(86, 1920, 300))
    assert (
        completion_cost(completion_response=reply, model="anthropic/claude-3-5-sonnet-20240620") == 0.005334
    )
    assert supports_prompt_caching(model="anthropic/claude-3-5-sonnet-20240620") is True
    assert asynccache.completion_cost is completion_cost
    assert asynccache.supports_prompt_caching is supports_prompt_caching


def test_the_answers_model_may_name_its_provider() -> None:
    """Without any word on the provider, a prefix of the answer's own model name is one."""
    for model in (
        "anthropic/claude-sonnet-4.5",
        "openrouter/anthropic/claude-sonnet-4.5",
        "claude-sonnet-4-5",
    ):
        assert completion_cost({**ANSWER, "model": model}) == 0.005334
    assert completion_cost({**ANSWER, "model": "us.anthropic.claude-sonnet-4-5-20250929-v1:0"}) == 0.0058674


def test_litellms_usage_is_read() -> None:
    """Anthropic's counters at the top level of an OpenAI-shaped usage, with their split by lifetime."""
    usage = {
        "prompt_tokens": 2006,
        "completion_tokens": 300,
        "cache_read_input_tokens": 1420,
        "cache_creation_input_tokens": 500,
        "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 200},
    }
    assert completion_cost({"usage": usage}, model="anthropic/claude-sonnet-4-5") == 0.007509
    assert (
        completion_cost({"usage": usage}, model="claude-sonnet-4-5", custom_llm_provider="anthropic")
        == 0.007509
    )


def _hit(**usage: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306, **usage}}


@pytest.mark.parametrize(
    ("answer", "model", "cost"),
    [
        # DeepSeek's own words: 1920 read at 0.028, 86 at 0.28, 300 at 0.42
        (
            _hit(prompt_cache_hit_tokens=1920, prompt_cache_miss_tokens=86),
            "deepseek/deepseek-chat",
            0.00020384,
        ),
        # LiteLLM's Usage, its hour beneath the details: 1920 at 6, 86 at 3, 300 at 15
        (
            _hit(
                cache_creation_input_tokens=1920,
                cache_read_input_tokens=0,
                prompt_tokens_details={
                    "cached_tokens": 0,
                    "cache_creation_tokens": 1920,
                    "cache_creation_token_details": {"ephemeral_1h_input_tokens": 1920},
                },
            ),
            "anthropic/claude-sonnet-4-5",
            0.016278,
        ),
        # two searches at 10 a thousand beside 2006 at 3 and 300 at 15
        (_hit(server_tool_use={"web_search_requests": 2}), "claude-sonnet-4-5", 0.030518),
        # fast is twice, us 1.1 times: (2006 * 5 + 300 * 25) * 2.2
        (_hit(speed="fast", inference_geo="us"), "anthropic/claude-opus-5", 0.038566),
        # Anthropic's own answer, whoever sells it
        (
            {"usage": {"input_tokens": 86, "cache_read_input_tokens": 1920, "output_tokens": 300}},
            "vertex_ai/claude-sonnet-4-5",
            0.005334,
        ),
        # Responses
        (
            {
                "created_at": 1_795_371_340.0,
                "usage": {
                    "input_tokens": 2006,
                    "input_tokens_details": {"cached_tokens": 1920},
                    "output_tokens": 300,
                    "total_tokens": 2306,
                },
            },
            "gpt-4o",
            0.005615,
        ),
        # Converse, its tier beside the usage: priority is 1.75 times, (86 * 0.8 + 1920 * 0.2 + 300 * 3.2) * 1.75
        (
            {
                "usage": {
                    "inputTokens": 86,
                    "cacheReadInputTokens": 1920,
                    "outputTokens": 300,
                    "totalTokens": 2306,
                },
                "serviceTier": {"type": "priority"},
            },
            "bedrock/amazon.nova-pro-v1:0",
            0.0024724,
        ),
        # Gemini: thoughts beside the candidates
        (
            {
                "usageMetadata": {
                    "promptTokenCount": 100,
                    "candidatesTokenCount": 10,
                    "thoughtsTokenCount": 90,
                }
            },
            "gemini/gemini-2.5-pro",
            0.001125,
        ),
    ],
)
def test_an_answer_as_its_provider_spells_it(answer: dict[str, Any], model: str, cost: float) -> None:
    """No count, no fee and no factor of an answer is passed over, whatever its fields are called."""
    assert completion_cost(answer, model=model) == pytest.approx(cost, rel=1e-12)


def test_sdk_objects_of_other_wires() -> None:
    """Anthropic's and OpenAI Responses' own objects cost what their JSON costs."""
    usage = {"input_tokens": 86, "cache_read_input_tokens": 1920, "output_tokens": 300}
    message = AnthropicMessage.model_construct(model="claude-sonnet-4-5", usage=AnthropicUsage(**usage))
    assert completion_cost(message) == 0.005334
    told = {
        "input_tokens": 2006,
        "input_tokens_details": {"cached_tokens": 1920, "cache_write_tokens": 0},
        "output_tokens": 300,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 2306,
    }
    response = Response.model_construct(
        model="gpt-4o", created_at=1.0, usage=ResponseUsage.model_validate(told)
    )
    assert completion_cost(response) == 0.005615


def test_our_own_json_costs_the_same_again() -> None:
    """A completion that was written down as JSON and read back keeps its searches, its speed and its runs."""
    usage = used(
        86,
        1920,
        300,
        w1h=100,
        speed="fast",
        server_tool_use={"web_search_requests": 1},
        iterations=(
            Iteration(type="advisor_message", model="claude-opus-5", input_tokens=10, output_tokens=1),
        ),
    )
    reply = Completion(model="claude-opus-5", created=1_795_371_340, usage=usage)
    there = completion_cost(reply)
    assert completion_cost(reply.to_dict()) == completion_cost(json.loads(reply.to_json())) == there
    # fast is 10/1/20/50: 860 + 1920 + 2000 + 15000, the run 100 + 50, all per million; a search is 0.01
    assert there == pytest.approx(0.02993, rel=1e-12)


@pytest.mark.parametrize("created", [1e20, 1_700_000_000_000, -1, True, float("nan"), "today"])
def test_a_moment_that_is_none_is_now(created: Any) -> None:
    """An answer's date that no calendar has does not stop its price."""
    assert completion_cost({**ANSWER, "created": created}) == 0.005615


def test_a_deployments_name_and_rates_of_ones_own() -> None:
    """`base_model` says what a deployment runs; `custom_cost_per_token` prices this one answer, in LiteLLM's words."""
    answer = {**ANSWER, "model": "our-deployment"}
    assert completion_cost(answer, model="azure/our-deployment", base_model="azure/gpt-4o") == 0.005615
    rates = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "cache_read_input_token_cost": 1e-7}
    own = completion_cost(answer, model="azure/our-deployment", custom_cost_per_token=rates)
    assert own == pytest.approx((86 + 192 + 600) / 1e6)
    with pytest.raises(InvalidRequestError, match="no price is known for cache reads"):
        completion_cost(
            ANSWER, custom_cost_per_token={"input_cost_per_token": 1e-6, "output_cost_per_token": 0}
        )


def test_tier_region_and_date_may_be_told() -> None:
    """What the answer leaves out comes from the arguments; what it says comes first."""
    assert completion_cost(ANSWER, service_tier="priority") == 0.0095455
    assert completion_cost({**ANSWER, "service_tier": "default"}, service_tier="priority") == 0.005615
    answer = {**ANSWER, "model": "anthropic.claude-sonnet-5"}
    assert completion_cost(answer, custom_llm_provider="bedrock", region_name="eu-west-1") == 0.0039116
    old = {**ANSWER, "model": "gpt-5.6-sol", "created": int(datetime(2026, 8, 1, tzinfo=UTC).timestamp())}
    assert completion_cost(old) == pytest.approx((86 * 5 + 1920 * 0.5 + 300 * 30) / 1e6)
    assert completion_cost(old, at=datetime(2026, 9, 1, tzinfo=UTC)) == 0.007112
    book = price_book({"openai/gpt-4o": {"input": 1, "read": 1, "output": 1}})
    assert completion_cost(ANSWER, prices=book) == 0.002306


def test_an_estimate_before_the_call() -> None:
    """Without an answer the counts are guessed: about a token for four characters, nothing cached."""
    text = "The quick brown fox jumps over the lazy dog. " * 200
    guessed = completion_cost(model="gpt-4o", prompt=text, completion="Yes.")
    assert guessed == pytest.approx(2001 * 2.5e-6 + 1e-5, rel=0.15)
    messages = [{"role": "user", "content": [{"type": "text", "text": text}]}]
    assert completion_cost(model="gpt-4o", messages=messages) == pytest.approx(guessed, rel=0.02)
    assert completion_cost(model="gpt-4o", prompt="你好世界") == pytest.approx(4 * 2.5e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"completion_response": {**ANSWER, "model": "gpt-99"}}, "no price is known for the model 'gpt-99'"),
        ({"completion_response": {"model": "gpt-4o"}}, "completion_response has no 'usage'"),
        ({"completion_response": {"model": "gpt-4o", "usage": {"input_tokens": 5}}}, "usage is partial"),
        ({"completion_response": {"model": "gpt-4o", "usage": {"words": 5}}}, "its fields: words"),
        ({"completion_response": {"model": "gpt-4o", "usage": 5}}, "usage is int"),
        (
            {"completion_response": Completion(model="gpt-4o", usage=Usage(source="missing"))},
            "usage is missing",
        ),
        ({"prompt": "Hello"}, "neither the request nor the answer names a model"),
        ({"model": "openai/", "prompt": "Hello"}, "neither the request nor the answer names a model"),
    ],
)
def test_an_unknown_cost_is_an_error_and_never_zero(arguments: dict[str, Any], words: str) -> None:
    """The function promises a float: without a price it raises, and says why."""
    with pytest.raises(InvalidRequestError) as raised:
        completion_cost(**arguments)
    assert words in raised.value.message


def test_cost_per_token() -> None:
    """Prompt and completion apart; the prompt count holds the cached tokens."""
    prompt, completion = cost_per_token("gpt-4o", 2006, 300, cache_read_input_tokens=1920)
    assert (prompt, completion) == (0.002615, 0.003)
    assert (
        cost_per_token("anthropic/claude-sonnet-4-5", 2006, 0, cache_creation_input_tokens=1920)[0]
        == 0.007458
    )
    assert cost_per_token("gpt-4o", usage_object=used(86, 1920, 300)) == (0.002615, 0.003)
    assert cost_per_token("gpt-4o", 10, 0, service_tier="priority")[0] == 0.0000425
    with pytest.raises(InvalidRequestError, match="no price is known"):
        cost_per_token("gpt-99", 1, 1)


def test_what_a_model_costs_and_can_do() -> None:
    """Prices per token and abilities, by attribute and by name."""
    info = get_model_info("anthropic/claude-haiku-5-5")
    assert info.key == "anthropic/claude-haiku-5-5"
    assert (info.max_input_tokens, info.max_output_tokens) == (1_000_000, 128_000)
    assert info.input_cost_per_token == 1e-7
    assert info["cache_read_input_token_cost"] == 1e-8
    assert info.cache_creation_input_token_cost == 1.25e-7
    assert info.cache_creation_input_token_cost_above_1hr == 2e-7
    assert info.min_cacheable_tokens == 512
    assert info.max_breakpoints == 4
    assert info.cache_lifetimes == ("5m", "1h")
    assert info.supports_prompt_caching is True
    newer = get_model_info("gpt-6.2-sol")
    assert (newer.caching, newer.cache_lifetimes, newer.min_cacheable_tokens) == (
        "both",
        ("30m", "12h"),
        1024,
    )
    assert "ultrafast" in newer.service_tiers
    plain = get_model_info("gpt-3.5-turbo")
    assert plain.supports_prompt_caching is False
    assert plain.cache_read_input_token_cost is None
    assert get_model_info("us.anthropic.claude-opus-5").input_cost_per_token == 5.5e-6
    assert get_model_info("gpt-4o", "azure").provider == "azure"


def test_an_unknown_model_brings_the_nearest() -> None:
    """The error names what may have been meant."""
    with pytest.raises(InvalidRequestError) as raised:
        get_model_info("claude-sonet-4.5")
    assert "anthropic/claude-sonnet-4-5" in raised.value.message


@pytest.mark.parametrize(
    ("model", "provider", "supported"),
    [
        ("gpt-4o", None, True),
        ("openai/gpt-5.6", None, True),
        ("deepseek/deepseek-chat", None, True),
        ("bedrock/us.amazon.nova-pro-v1:0", None, True),
        ("claude-3-5-sonnet-20240620", "anthropic", True),
        ("gpt-3.5-turbo", None, False),
        ("amazon.titan-text-lite-v1", None, False),
        ("nonsense", None, False),
        ("", None, False),
        (None, None, False),
        ("gpt-4o", "nobody", False),
    ],
)
def test_who_caches(model: Any, provider: str | None, supported: bool) -> None:
    """True where the book says so, False for what it does not know, and never an exception."""
    assert supports_prompt_caching(model, provider) is supported


@pytest.mark.usefixtures("shared_book")
def test_registered_prices_are_shared() -> None:
    """A registered model has its price in every function; nothing is added when one row cannot be read."""
    register_model({"openai/rocket": {"input": 3, "read": 1, "output": 4}})
    assert completion_cost({**ANSWER, "model": "rocket"}) == pytest.approx(
        (86 * 3 + 1920 * 1 + 300 * 4) / 1e6
    )
    assert supports_prompt_caching("openai/rocket") is True
    assert get_model_info("rocket").input_cost_per_token == 3e-6
    with pytest.raises(InvalidRequestError):
        register_model({"openai/rocket-2": {"input": 3, "output": 4}, "openai/rocket-3": {"price": 3}})
    assert supports_prompt_caching("rocket-2") is False
    with pytest.raises(InvalidRequestError):
        get_model_info("openai/rocket-2")
    register_model(
        {
            "gpt-4o": {
                "litellm_provider": "openai",
                "input_cost_per_token": 1e-6,
                "output_cost_per_token": 1e-6,
            }
        }
    )
    assert completion_cost({**ANSWER, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}) == 2e-6


def test_amounts_are_decimal_exact() -> None:
    """The float is the nearest to the exact amount, however many tokens were used."""
    usage = used(123_457, 98_765, 4_321)
    exact = (
        Decimal(123_457) * Decimal("2.5") + Decimal(98_765) * Decimal("1.25") + Decimal(4_321) * 10
    ) / 1_000_000
    assert completion_cost(Completion(model="gpt-4o", usage=usage)) == float(exact)
