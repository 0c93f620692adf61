"""Prices and ids that a row of the configuration gives itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from asynccache.pricing.catalogue import Match
from asynccache.proxy.own_prices import own_book
from asynccache.proxy.yaml_source import ConfigError
from asynccache.simulator import Simulator

from .serving import ai, served, serving

pytestmark = pytest.mark.anyio
TARGET = "anthropic/claude-sonnet-4-5"  # 3 and 15 dollars per million, 0.30 read, 3.75 and 6 written


def price(**prices: float) -> Any:
    book = own_book(TARGET, prices)
    assert book is not None
    found = book.find("claude-sonnet-4-5", provider="anthropic")
    assert type(found) is Match
    return found.price


def test_a_rate_that_is_left_out_is_the_books() -> None:
    """As LiteLLM has it: a row that tells one rate replaces that rate, and no more."""
    told = price(output_cost_per_token=0.00001)
    assert (told.input, told.output, told.read) == (3, 10, Decimal("0.3"))
    assert told.write == {"5m": Decimal("3.75"), "1h": 6}


def test_cache_rates_follow_an_input_rate_of_the_rows_own() -> None:
    """A discount on the prompt is one on its cached tokens too, which cost a multiple of it."""
    assert price(input_cost_per_token=0.000002).output == 15
    assert price(input_cost_per_token=0.000002).read is None  # the book derives it
    assert price(input_cost_per_token=0.000002, cache_read_input_token_cost=1e-7).read == Decimal("0.1")


async def test_half_a_price_still_makes_a_cost(sim: Simulator) -> None:
    """An answer of a row with one own rate has its cost, worked out with the book's other rates."""
    rows = f"""
model_list:
- model_name: m
  litellm_params: {{model: simulator/{TARGET}}}
  model_info: {{id: the-one, input_cost_per_token: 0.000002}}
"""
    async with serving(sim, rows) as proxy, ai(proxy) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="m", messages=[{"role": "user", "content": "hi"}]
        )
        usage = raw.parse().usage
        assert usage is not None
        expected = (usage.prompt_tokens * 2 + usage.completion_tokens * 15) / 1e6
        assert float(raw.headers["x-litellm-response-cost"]) == pytest.approx(expected)
        assert raw.headers["x-litellm-model-id"] == "the-one"


def test_two_rows_cannot_have_one_id() -> None:
    """The ledger and the router tell deployments apart by id, so a second one of a name is refused by path."""
    row = "- {model_name: m, litellm_params: {model: openai/gpt-4o}, model_info: {id: same}}\n"
    with pytest.raises(ConfigError, match="another row's id"):
        served(None, f"model_list:\n{row}{row}")
