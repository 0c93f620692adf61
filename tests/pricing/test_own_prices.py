"""The caller's own prices: our format, LiteLLM's, a file, and what is derived where a rate is missing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from asynccache.errors import InvalidRequestError
from asynccache.pricing.catalogue import Match
from asynccache.pricing.cost import price_usage
from asynccache.pricing.registry import own_models, price_book
from asynccache.reply import Cost
from tests.pricing.usages import used

_LITELLM_ROW = {
    "litellm_provider": "openai",
    "mode": "chat",
    "max_input_tokens": 1000000,
    "max_output_tokens": 128000,
    "input_cost_per_token": 4e-06,
    "output_cost_per_token": 2e-05,
    "cache_read_input_token_cost": 4e-07,
    "cache_creation_input_token_cost": 5e-06,
    "cache_creation_input_token_cost_above_1hr": 8e-06,
    "cache_creation_input_token_cost_above_12hr": 1e-05,
    "input_cost_per_token_above_272k_tokens": 8e-06,
    "output_cost_per_token_above_272k_tokens": 3e-05,
    "cache_read_input_token_cost_above_272k_tokens": 8e-07,
    "input_cost_per_token_flex": 2e-06,
    "output_cost_per_token_flex": 1e-05,
    "input_cost_per_token_above_272k_tokens_flex": 4e-06,
    "regional_processing_uplift_multiplier_eu": 1.1,
    "search_context_cost_per_query": {"search_context_size_medium": 0.01},
    "supports_prompt_caching": True,
    "prompt_cache_min_tokens": 1024,
}


def priced(prices: Any, usage: Any, model: str, provider: str = "openai", **more: Any) -> Cost:
    return price_usage(usage, provider=provider, model=model, prices=price_book(prices), **more)


def test_our_format() -> None:
    """Rates in dollars per million: 10 * 2 + 100 * 0.2 + 20 * 2.5 + 5 * 8 = 130 per million."""
    rows = {"openai/mine": {"input": 2, "read": "0.2", "write": {"30m": 2.5}, "output": 8}}
    cost = priced(rows, used(10, 100, 5, w30m=20), "mine")
    assert cost.total == Decimal("0.00013")
    assert cost.price is not None
    assert cost.price.model == "openai/mine"
    assert cost.price.derived == ()
    long = priced(rows, used(0, 0, 0, w12h=1), "mine").price  # 2.5 times the input, which no row prints
    assert long is not None
    assert long.derived == ("cache_write.12h",)
    assert cost.price.source == "registered by the caller"


def test_litellms_format() -> None:
    """LiteLLM's keys, thresholds, tiers, regions and fees mean the same here."""
    rows = {"mine": _LITELLM_ROW}
    assert priced(rows, used(86, 1920, 300), "mine").total == Decimal("0.007112")
    assert priced(rows, used(86, 0, 300, w30m=1920), "mine").total == Decimal("0.015944")
    assert priced(rows, used(0, 0, 0, w1h=10, w12h=10), "mine").total == Decimal("0.00018")
    # 300,000 * 8 + 10 * 30
    assert priced(rows, used(300_000, 0, 10), "mine").total == Decimal("2.4003")
    # 10 * 2 + 10 * 10, and 300,000 * 4 + 10 * 10 where only the input has a long flex rate
    assert priced(rows, used(10, 0, 10, service_tier="flex"), "mine").total == Decimal("0.00012")
    assert priced(rows, used(300_000, 0, 10, service_tier="flex"), "mine").total == Decimal("1.2001")
    assert priced(rows, used(10, 0, 0), "mine", region="eu").total == Decimal("0.000044")
    assert priced(rows, used(0, 0, 0, server_tool_use={"web_search_requests": 1}), "mine").total == Decimal(
        "0.01"
    )
    match = price_book(rows).find("mine", provider="openai")
    assert type(match) is Match
    assert (match.model.min_cacheable_tokens, match.model.context_window) == (1024, 1_000_000)
    assert match.model.caching == "automatic"


def test_litellms_rarer_keys() -> None:
    """Steps by prompt length, hours of the day, a hit's older name, `balanced`, and `fast` at the rates of `priority`."""
    row = {"litellm_provider": "openai", "input_cost_per_token": 2e-6, "output_cost_per_token": 8e-6}
    tiers = {
        **row,
        "input_cost_per_token_priority": 4e-6,
        "output_cost_per_token_priority": 16e-6,
        "input_cost_per_token_balanced": 1e-6,
        "output_cost_per_token_balanced": 4e-6,
        "input_cost_per_token_cache_hit": 5e-7,
    }
    assert priced({"mine": tiers}, used(0, 10, 0), "mine").total == Decimal("0.000005")
    for tier, total in (("fast", "0.00004"), ("priority", "0.00004"), ("balanced", "0.00001")):
        assert priced({"mine": tiers}, used(10, 0, 0, service_tier=tier), "mine").total == Decimal(total)

    steps = [
        {"range": [0, 256000.0], "input_cost_per_token": 5e-8, "output_cost_per_token": 4e-7},
        {"range": [256000.0, 1000000.0], "input_cost_per_token": 2.5e-7, "output_cost_per_token": 2e-6},
    ]
    stepped = {"mine": {"litellm_provider": "dashscope", "tiered_pricing": steps}}
    assert priced(stepped, used(256_000, 0, 10), "mine", "dashscope").total == Decimal("0.012804")
    assert priced(stepped, used(256_001, 0, 10), "mine", "dashscope").total == Decimal("0.06402025")

    windows = [
        {"hours_utc": ["00:00-01:00", "10:00-00:00"], "weekdays": [1, 2, 3, 4, 5]},
        {"hours_utc": "00:00-00:00", "weekdays": [6, 7]},
    ]
    hourly = {"mine": {**row, "off_peak_pricing": {"input_cost_per_token": 1e-6, "windows": windows}}}
    for at, rate in (
        (datetime(2026, 11, 23, 0, 59, tzinfo=UTC), "0.000001"),
        (datetime(2026, 11, 23, 1, 0, tzinfo=UTC), "0.000002"),
        (datetime(2026, 11, 23, 23, 59, tzinfo=UTC), "0.000001"),
        (datetime(2026, 11, 22, 5, 0, tzinfo=UTC), "0.000001"),
    ):
        assert priced(hourly, used(1, 0, 0), "mine", at=at).total == Decimal(rate)


def test_what_costs_nothing_costs_nothing_cached() -> None:
    """A row that says 0 for its input has no unknown cache rate: any part of nothing is nothing."""
    cost = priced({"home/llama": {"input": 0, "output": 0}}, used(5, 5, 5, w5m=5), "llama", "home")
    assert (cost.total, cost.reason) == (0, None)


def test_missing_cache_rates_follow_the_providers_rule() -> None:
    """A Claude without cache rates: reads at 0.1, writes at 1.25 and 2 times its input rate, marked derived."""
    rows = {"anthropic/claude-mine": {"input": 4, "output": 20}}
    cost = priced(rows, used(0, 1_000, 0, w5m=1_000, w1h=1_000), "claude-mine", "anthropic")
    assert cost.cache_read == Decimal("0.0004")
    assert cost.cache_write_by_lifetime == {"5m": Decimal("0.005"), "1h": Decimal("0.008")}
    assert cost.price is not None
    assert cost.price.derived == ("cache_read", "cache_write.5m", "cache_write.1h")


def test_missing_cache_rates_follow_the_model_that_is_replaced() -> None:
    """A discount on gpt-4o, whose cache reads cost half its input: 1 a million becomes 0.5 for reads."""
    cost = priced({"openai/gpt-4o": {"input": 1, "output": 4}}, used(0, 1_000_000, 0), "gpt-4o")
    assert cost.total == Decimal("0.5")
    assert cost.price is not None
    assert cost.price.derived == ("cache_read",)
    newer = priced(
        {"openai/gpt-5.6-sol": {"input": 1, "output": 4}}, used(0, 0, 0, w30m=8, w12h=8), "gpt-5.6-sol"
    )
    assert newer.cache_write_by_lifetime == {"30m": Decimal("0.00001"), "12h": Decimal("0.00002")}


def test_cached_tokens_are_never_billed_at_full_price_by_accident() -> None:
    """Without a rate and without a rule the cost is open, and says what is missing."""
    cost = priced({"custom/mine": {"input": 2, "output": 8}}, used(10, 5, 5), "mine", "custom")
    assert cost.total is None
    assert cost.reason == "custom/mine: no price is known for cache reads"


def test_own_rows_come_first_and_the_book_stays_behind() -> None:
    """A replaced model has the caller's price, its neighbours keep theirs, and the shared book is untouched."""
    rows = {"openai/gpt-4o": {"input": 1, "read": 1, "output": 1}}
    assert priced(rows, used(1_000_000), "gpt-4o-2024-08-06").total == 1
    assert priced(rows, used(1_000_000), "gpt-4o-mini").total == Decimal("0.15")
    assert price_usage(used(1_000_000), provider="openai", model="gpt-4o").total == Decimal("2.5")


def test_a_new_provider() -> None:
    """A provider that the book never heard of is priced by the caller's rows."""
    book = price_book({"acme/rocket-1": {"input": 1, "output": 2, "read": 0}})
    assert book.provider_of("rocket-1") == "acme"
    assert price_usage(used(5, 5, 5), provider="acme", model="rocket-1", prices=book).total == Decimal(
        "0.000015"
    )
    found = book.find("acme/rocket-1")
    assert type(found) is Match


def test_a_whole_row_with_history() -> None:
    """A row may be a whole model of ours, with dated prices and abilities."""
    row = {
        "prices": [
            {"since": "2026-01-01", "input": 1, "output": 1},
            {"since": "2026-06-01", "input": 2, "output": 2},
        ],
        "caching": "automatic",
        "min_cacheable_tokens": 256,
    }
    book = price_book({"acme/rocket-1": row})
    early = price_usage(
        used(1_000_000), provider="acme", model="rocket-1", prices=book, at=datetime(2026, 3, 1, tzinfo=UTC)
    )
    late = price_usage(
        used(1_000_000), provider="acme", model="rocket-1", prices=book, at=datetime(2026, 7, 1, tzinfo=UTC)
    )
    assert (early.total, late.total) == (1, 2)


def test_a_later_row_replaces_an_earlier_one() -> None:
    """Adding the same name again changes its price; what was added before stays."""
    book = price_book({"openai/other": {"input": 5, "output": 1}})
    for rate in (1, 2):
        book.add(own_models({"openai/mine": {"input": rate, "output": 1}}))
        assert price_usage(used(1_000_000), provider="openai", model="mine", prices=book).total == rate
    assert price_usage(used(1_000_000), provider="openai", model="other", prices=book).total == 5


def test_a_bare_name_stays_its_vendors() -> None:
    """A price for gpt-4o at another provider changes nothing for the bare name."""
    book = price_book({"azure/gpt-4o": {"input": 9, "output": 9}, "openai/gpt-4o": {"input": 1, "output": 1}})
    assert book.provider_of("gpt-4o") == "openai"
    match = book.find("gpt-4o")
    assert type(match) is Match
    assert (match.provider, match.price.input) == ("openai", 1)


def test_a_large_file_is_read_at_once() -> None:
    """Five thousand rows take well under a second."""
    rows = {f"acme/model-{number}": {"input": 1, "output": 1} for number in range(5000)}
    worked = time.thread_time()
    book = price_book(rows)
    assert price_usage(used(1_000_000), provider="acme", model="model-4999", prices=book).total == 1
    assert time.thread_time() - worked < 2


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"openai/x": 5}, "prices['openai/x'] is 5; a row is an object"),
        ({"x": {"input": 1, "output": 1}}, "prices['x'] names no provider; write it as 'provider/x'"),
        ({"openai/x": {"read": 1}}, "prices['openai/x']: has neither an 'input' nor an 'output' rate"),
        ({"openai/x": {"input": "much"}}, "prices['openai/x']: "),
        ({"openai/x": {"inptu": 1}}, "inptu"),
        (
            {"openai/x": {"litellm_provider": "openai", "input_cost_per_token": "much"}},
            "input_cost_per_token is 'much'",
        ),
        ({"openai/x": {"litellm_provider": "openai", "input_cost_per_token": -1}}, "zero or more"),
        ({"openai/x": {"input": -1, "output": 1}}, "input is -1; a rate is a number of dollars"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(rows: dict[str, Any], words: str) -> None:
    """The message names the row, what is wrong, and is a configuration error."""
    with pytest.raises(InvalidRequestError) as raised:
        price_book(rows)
    assert words in raised.value.message


def test_a_file_of_prices(tmp_path: Path) -> None:
    """A path to a JSON file, in LiteLLM's form with its explaining row."""
    path = tmp_path / "prices.json"
    painter = {"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0.04}
    notes = {"sample_spec": {"max_tokens": "explained"}, "fallback_generalizations": {"rules": []}}
    path.write_text(json.dumps({**notes, "mine": _LITELLM_ROW, "painter": painter}))
    assert priced(path, used(86, 1920, 300), "mine").total == Decimal("0.007112")
    assert priced(str(path), used(86, 1920, 300), "mine").total == Decimal("0.007112")


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "cannot be read"), ("[1]", "is not a JSON object"), ("{", "is not a JSON object")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    """The message names the file."""
    path = tmp_path / "prices.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidRequestError) as raised:
        price_book(path)
    assert str(path) in raised.value.message
    assert words in raised.value.message


_ENVIRONMENT = """
from asynccache.answer_cost import completion_cost
from asynccache.pricing.functions import supports_prompt_caching
answer = {"model": "gpt-4o", "usage": {"prompt_tokens": 1000000, "completion_tokens": 0}}
try:
    print(completion_cost(answer))
except Exception as error:
    print(error)
print(supports_prompt_caching("gpt-4o"))
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"openai/gpt-4o": {"input": 7, "output": 7, "read": 1}}', "7.0\nTrue\n"),
        ("{", "the cost is not known: ASYNCCACHE_PRICES: the price file"),
    ],
)
def test_the_environment_names_a_file(tmp_path: Path, text: str, said: str) -> None:
    """ASYNCCACHE_PRICES is read into the shared book; broken, it leaves nothing priced rather than priced wrong."""
    path = tmp_path / "prices.json"
    path.write_text(text)
    ran = subprocess.run(
        [sys.executable, "-c", _ENVIRONMENT],
        capture_output=True,
        text=True,
        check=True,
        env={"ASYNCCACHE_PRICES": str(path), "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert ran.stdout.startswith(said)


def test_more_of_litellms_keys() -> None:
    """A fee by the call, Anthropic's geographies, marks and automatic caching at once, null values."""
    rows = {
        "acme/one": {
            "litellm_provider": "acme",
            "input_cost_per_token": 1e-6,
            "output_cost_per_token": None,
            "input_cost_per_request": 0.005,
            "provider_specific_entry": {"us": 1.1, "fast": 2},
            "supports_prompt_caching": True,
            "supports_prompt_cache_breakpoint": True,
        },
        "acme/claude-two": {
            "litellm_provider": "acme",
            "input_cost_per_token": 1e-6,
            "supports_prompt_caching": True,
        },
        "acme/three": {
            "litellm_provider": "acme",
            "input_cost_per_token": 1e-6,
            "regional_endpoint_uplift_multiplier": 1.2,
        },
    }
    book = price_book(rows)
    assert price_book(book) is book
    cost = price_usage(used(1000), provider="acme", model="one", prices=book)
    assert (cost.total, cost.other) == (Decimal("0.006"), Decimal("0.005"))
    unknown = price_usage(used(1000, 0, 1), provider="acme", model="one", prices=book)
    assert unknown.reason == "acme/one: no price is known for output"
    assert price_usage(
        used(1000), provider="acme", model="one", region="us", prices=book
    ).uncached_input == Decimal("0.0011")
    assert price_usage(used(1000), provider="acme", model="three", region="x", prices=book).total == Decimal(
        "0.0012"
    )
    caching = {model.name: model.caching for _, model in book.models("acme")}
    assert caching == {"one": "both", "claude-two": "explicit", "three": None}


def test_hours_and_thresholds_together() -> None:
    """By night a tenth, and above 1000 tokens twice as much, by night too; a window may pass midnight."""
    row = {
        "input": 10,
        "output": 10,
        "above": [{"over": 1000, "input": 20, "output": 20}],
        "windows": [{"hours": [["22:00", "06:00"]], "input": 1, "output": 1}],
    }
    book = price_book({"acme/owl": row})

    def total(prompt: int, hour: int) -> Decimal | None:
        at = datetime(2026, 11, 20, hour, tzinfo=UTC)
        return price_usage(used(prompt), provider="acme", model="owl", prices=book, at=at).total

    assert [total(1000, hour) for hour in (12, 23, 5, 6)] == [
        Decimal(c) for c in ("0.01", "0.001", "0.001", "0.01")
    ]
    assert total(2000, 12) == Decimal("0.04")
    assert total(2000, 23) == Decimal("0.004")


def test_tiers_with_dates() -> None:
    """A tier is sold from its first day until its last."""
    row = {
        "input": 10,
        "output": 10,
        "tiers": {"rush": {"factor": 3, "since": "2026-02-01", "until": "2026-03-01"}},
    }
    book = price_book({"acme/owl": row})

    def total(month: int) -> Decimal | None:
        at = datetime(2026, month, 1, tzinfo=UTC)
        return price_usage(
            used(1000, service_tier="rush"), provider="acme", model="owl", prices=book, at=at
        ).total

    assert [total(month) for month in (1, 2, 3)] == [None, Decimal("0.03"), None]


def test_a_threshold_that_names_one_rate() -> None:
    """Above it cache rates rise as the input does, and the output stays; one without an input rate changes only its own."""
    rows = {
        "acme/a": {
            "input": 1,
            "read": "0.1",
            "write": {"5m": 2},
            "output": 4,
            "above": [{"over": 10, "input": 3}],
        },
        "acme/b": {"input": 1, "read": "0.1", "output": 4, "above": [{"over": 10, "output": 8}]},
    }
    book = price_book(rows)
    a = price_usage(
        used(1_000_000, 1_000_000, 1_000_000, w5m=1_000_000), provider="acme", model="a", prices=book
    )
    assert (a.uncached_input, a.cache_read, a.cache_write, a.output) == (3, Decimal("0.3"), 6, 4)
    b = price_usage(used(1_000_000, 1_000_000, 1_000_000), provider="acme", model="b", prices=book)
    assert (b.uncached_input, b.cache_read, b.output) == (1, Decimal("0.1"), 8)


def test_a_profile_of_ones_own_account_may_be_priced() -> None:
    """The name of an application profile says nothing of its model: a row of the caller's own does, the reason says so."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/Ab12"
    usage = used(1_000_000)
    unknown = price_usage(usage, provider="bedrock", model="claude-sonnet-4-5", request_model=arn)
    assert unknown.total is None
    assert unknown.reason is not None
    assert f"a price for 'bedrock/{arn}' of your own does" in unknown.reason
    rows = {f"bedrock/{arn}": {"input": 3.3, "output": 16.5}}
    assert priced(rows, usage, arn, "bedrock").total == Decimal("3.3")
    assert priced(rows, usage, f"converse/{arn}", "bedrock").total == Decimal("3.3")


@pytest.mark.parametrize("route", ["", "converse/", "invoke/"])
@pytest.mark.parametrize("asked", ["", "converse/", "invoke/"])
def test_bedrock_by_any_operation(route: str, asked: str) -> None:
    """Bedrock's operations cost the same: a row under the name of one is found by that of any other."""
    book = price_book({f"bedrock/{route}us.meta.mine-v1:0": {"input": 2, "output": 8}})
    match = book.find(f"bedrock/{asked}us.meta.mine-v1:0")
    assert isinstance(match, Match)
    assert match.name == "bedrock/us.meta.mine-v1:0"
