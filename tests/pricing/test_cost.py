"""The sum: each figure worked out in its docstring."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from asynccache.pricing.catalogue import PriceBook
from asynccache.pricing.cost import price_usage
from asynccache.pricing.registry import price_book
from asynccache.reply import (
    CacheCreation,
    CompletionTokensDetails,
    Cost,
    Iteration,
    PromptTokensDetails,
    Usage,
)
from tests.pricing.usages import recorded, used
from tests.shared import requires_shared, shared

SONNET = "claude-sonnet-4-5"


def cost(usage: Usage, model: str, provider: str = "openai", **more: Any) -> Cost:
    return price_usage(usage, provider=provider, model=model, **more)


def test_every_bucket_of_a_mixed_answer() -> None:
    """Sonnet 4.5, per million: 86 * 3 + 1420 * 0.30 + 300 * 3.75 + 200 * 6 + 300 * 15 = $0.007509; without a
    cache 2006 * 3 + 300 * 15 = $0.010518, so that $0.003009 was saved.
    """
    priced = cost(used(86, 1420, 300, w5m=300, w1h=200), SONNET, "anthropic")
    assert priced.uncached_input == Decimal("0.000258")
    assert priced.cache_read == Decimal("0.000426")
    assert priced.cache_write == Decimal("0.002325")
    assert priced.cache_write_by_lifetime == {"5m": Decimal("0.001125"), "1h": Decimal("0.0012")}
    assert priced.output == Decimal("0.0045")
    assert priced.other == 0
    assert priced.total == Decimal("0.007509")
    assert priced.without_cache == Decimal("0.010518")
    assert priced.saved == Decimal("0.003009")
    assert priced.reason is None
    assert priced.price is not None
    assert (priced.price.model, priced.price.tier) == ("anthropic/claude-sonnet-4-5", "standard")
    assert priced.price.source.startswith("https://")


def test_a_write_that_is_never_read_costs_more_than_no_cache() -> None:
    """Sonnet 4.5: 1920 * 3.75 against 1920 * 3 per million is a loss of $0.00144."""
    assert cost(used(86, 0, 300, w5m=1920), SONNET, "anthropic").saved == Decimal("-0.00144")


@pytest.mark.parametrize(
    ("prompt", "total"),
    [
        # 100 * 4 + 271,900 * 0.4 + 300 * 20 = 400 + 108,760 + 6,000
        (272_000, Decimal("0.11516")),
        # 101 * 8 + 271,900 * 0.8 + 300 * 30 = 808 + 217,520 + 9,000
        (272_001, Decimal("0.227328")),
    ],
)
def test_openai_reprices_above_272000_tokens(prompt: int, total: Decimal) -> None:
    """GPT-5.6 Sol: exactly 272,000 tokens are still short; one more doubles input and cache, and output by half."""
    usage = used(prompt - 271_900, 271_900, 300)
    assert cost(usage, "gpt-5.6-sol", at=datetime(2026, 11, 22, tzinfo=UTC)).total == total


@pytest.mark.parametrize(
    ("prompt", "total"),
    [
        # 10,000 * 0.1 + 90,000 * 0.01 + 1000 * 0.5 = 1,000 + 900 + 500
        (100_000, Decimal("0.0024")),
        # 10,001 * 0.5 + 90,000 * 0.05 + 1000 * 2.5 = 5,000.5 + 4,500 + 2,500
        (100_001, Decimal("0.0120005")),
    ],
)
def test_haiku_costs_five_times_as_much_above_100000_tokens(prompt: int, total: Decimal) -> None:
    """Haiku 5.5: from the 100,001st token on every token of the request costs five times as much."""
    usage = used(prompt - 90_000, 90_000, 1000)
    assert cost(usage, "claude-haiku-5-5", "anthropic").total == total


def test_openai_charges_for_writes_since_5_6() -> None:
    """GPT-5.6: 86 * 4 + 1920 * 5 + 300 * 20 per million = $0.015944; a write that asked for 12h costs 10 a million."""
    told = {
        "prompt_tokens": 2006,
        "completion_tokens": 300,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 1920},
    }
    day = datetime(2026, 11, 22, tzinfo=UTC)
    assert cost(recorded("openai", "chat", told), "gpt-5.6", at=day).total == Decimal("0.015944")
    unsplit = used(86, 0, 300, w30m=1920)
    unsplit = Usage(
        **{
            **{name: getattr(unsplit, name) for name in unsplit.__struct_fields__},
            "cache_creation": CacheCreation(),
        }
    )
    assert cost(unsplit, "gpt-5.6", at=day).cache_write_by_lifetime == {"30m": Decimal("0.0096")}
    long_lived = cost(unsplit, "gpt-5.6", at=day, write_ttl="12h")
    assert long_lived.cache_write_by_lifetime == {"12h": Decimal("0.0192")}
    assert long_lived.total == Decimal("0.025544")


@pytest.mark.parametrize(
    ("moment", "total"),
    [
        # Monday 23 November 2026, 01:30 UTC is peak: 86 * 0.30 + 1920 * 0.006 + 300 * 1.20 = 397.32
        ("2026-11-23T01:30:00+00:00", Decimal("0.00039732")),
        # Monday, 04:00 UTC: the span ends before it. 86 * 0.15 + 1920 * 0.003 + 300 * 0.60 = 198.66
        ("2026-11-23T04:00:00+00:00", Decimal("0.00019866")),
        ("2026-11-23T06:00:00+00:00", Decimal("0.00039732")),
        # Saturday 21 November 2026, 01:30 UTC: weekends are off-peak all day.
        ("2026-11-21T01:30:00+00:00", Decimal("0.00019866")),
        # Thursday 1 October 2026 is a public holiday in China.
        ("2026-10-01T01:30:00+00:00", Decimal("0.00019866")),
        # The same hour told in Beijing's time is the same price.
        ("2026-11-23T09:30:00+08:00", Decimal("0.00039732")),
    ],
)
def test_deepseek_by_the_hour(moment: str, total: Decimal) -> None:
    """DeepSeek's peak is 01:00-04:00 and 06:00-10:00 UTC, Monday to Friday, Chinese holidays excepted."""
    at = datetime.fromisoformat(moment)
    assert cost(used(86, 1920, 300), "deepseek-flash", "deepseek", at=at).total == total


def test_deepseek_before_there_was_a_peak() -> None:
    """V4 Flash in May 2026, Monday 01:30 UTC, was flat: 86 * 0.14 + 1920 * 0.0028 + 300 * 0.28 = 101.416."""
    at = datetime(2026, 5, 4, 1, 30, tzinfo=UTC)
    assert cost(used(86, 1920, 300), "deepseek-v4-flash", "deepseek", at=at).total == Decimal("0.000101416")


def test_an_american_bedrock_profile_costs_ten_per_cent_more() -> None:
    """Sonnet 4.5, 86 uncached, 1920 read, 300 out is $0.005334; `us.` is 1.1 times that, `global.` is not."""
    usage = used(86, 1920, 300)
    base = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert cost(usage, f"us.{base}", "bedrock").total == Decimal("0.0058674")
    assert cost(usage, f"eu.{base}", "bedrock").total == Decimal("0.0058674")
    assert cost(usage, f"global.{base}", "bedrock").total == Decimal("0.005334")
    plain = cost(usage, base, "bedrock")
    assert plain.total == Decimal("0.005334")
    assert plain.reason is not None
    assert "profile" in plain.reason
    # On Bedrock the request names the region; the answer's own name does not.
    answered = cost(usage, "claude-sonnet-4-5-20250929", "bedrock", request_model=f"us.{base}")
    assert answered.total == Decimal("0.0058674")


def test_american_inference_costs_ten_per_cent_more() -> None:
    """Sonnet 5: (86 * 2 + 1920 * 0.2 + 300 * 10) * 1.1 = 3,911.6 per million, when the usage says `us`."""
    usage = used(86, 1920, 300)
    assert cost(usage, "claude-sonnet-5", "anthropic").total == Decimal("0.003556")
    abroad = used(86, 1920, 300, inference_geo="us")
    assert cost(abroad, "claude-sonnet-5", "anthropic").total == Decimal("0.0039116")
    assert cost(used(86, 1920, 300, inference_geo="global"), "claude-sonnet-5", "anthropic").total == Decimal(
        "0.003556"
    )


def test_no_geography_is_no_region() -> None:
    """Claude on Bedrock by plain id, whose answer says that its geography is not available, costs the plain price."""
    usage = used(86, 1920, 300, inference_geo="not_available")
    assert cost(usage, "anthropic.claude-sonnet-5", "bedrock").total == Decimal("0.003556")


@pytest.mark.parametrize(
    ("model", "provider", "tier", "total"),
    [
        # 1.7 times what is standard: 86 * 2.5 + 1920 * 1.25 + 300 * 10
        ("gpt-4o", "openai", "priority", Decimal("0.0095455")),
        # batch of gpt-4o leaves cached tokens at the standard rate: 86 * 1.25 + 1920 * 1.25 + 300 * 5
        ("gpt-4o", "openai", "batch", Decimal("0.0040075")),
        # Half of what is standard: 86 * 1.25 + 1920 * 0.125 + 300 * 10
        ("gpt-5", "openai", "flex", Decimal("0.00167375")),
        # The answer may call it fast: 2 * (86 * 1.25 + 1920 * 0.125 + 300 * 10)
        ("gpt-5", "openai", "fast", Decimal("0.006695")),
        ("gpt-5", "openai", "default", Decimal("0.0033475")),
        # Three times what is standard: 86 * 2 + 1920 * 0.1 + 300 * 10
        ("gpt-6.2-sol", "openai", "ultrafast", Decimal("0.010092")),
        ("claude-sonnet-4-5", "anthropic", "batch", Decimal("0.002667")),
    ],
)
def test_service_tiers(model: str, provider: str, tier: str, total: Decimal) -> None:
    """The tier that the answer names sets the rates."""
    at = datetime(2026, 11, 22, tzinfo=UTC)
    priced = cost(used(86, 1920, 300, service_tier=tier), model, provider, at=at)
    assert priced.total == total
    assert priced.price is not None
    assert priced.price.tier == ("standard" if tier == "default" else tier)


def test_fast_mode_of_claude() -> None:
    """Opus 5.5 in fast mode: 2 * (86 * 4 + 1920 * 0.2 + 300 * 20) = 13,456 per million."""
    priced = cost(used(86, 1920, 300, speed="fast", service_tier="standard"), "claude-opus-5-5", "anthropic")
    assert priced.total == Decimal("0.013456")


def test_a_tier_without_a_price_is_not_guessed() -> None:
    """A tier that nobody prints for a model leaves the cost open and says so."""
    priced = cost(used(10, 0, 10, service_tier="ultrafast"), "gpt-4o")
    assert priced.total is None
    assert priced.reason == "openai/gpt-4o: no price is known for the service tier 'ultrafast'"


@requires_shared
def test_advisor_iterations_are_priced_by_their_own_model() -> None:
    """Sonnet 5 answers with 2411 in and 145 out; its advisor Opus 4.8 read 2543 and wrote 18 tokens:
    (2411 * 2 + 145 * 10) + (2543 * 5 + 18 * 25) = 6,272 + 13,165 = $0.019437.
    """
    path = "anthropic__messages__test-anthropic-advisor-tool-stream__0__a1ed26.expected.json"
    told = json.loads(shared("recordings", "anthropic", "messages", path).read_bytes())
    priced = cost(recorded("anthropic", "messages", told["raw_usage"]), told["model"], "anthropic")
    assert priced.total == Decimal("0.019437")
    assert priced.other == Decimal("0.013165")
    assert priced.output == Decimal("0.00145")


def test_an_iteration_of_an_unknown_model_leaves_the_total_open() -> None:
    """What an inner run of a model without a price cost is not known, so neither is the sum; the rest is told."""
    run = Iteration(type="advisor_message", model="claude-next", input_tokens=5, output_tokens=5)
    priced = cost(used(10, 0, 10, iterations=(run,)), SONNET, "anthropic")
    assert priced.total is None
    assert priced.output == Decimal("0.00015")
    assert (
        priced.reason
        == "iteration advisor_message: no price is known for the model 'claude-next' of anthropic"
    )


def test_what_iterations_read_and_wrote() -> None:
    """A compaction by the same model: 100 * 3 + 1000 * 0.3 + 200 * 6 + 300 * 3.75 + 10 * 15 = 3,075 per million;
    uncached it had been 1600 * 3 + 10 * 15 = 4,950.
    """
    run = Iteration(
        type="compaction",
        input_tokens=100,
        cache_read_input_tokens=1000,
        cache_creation_input_tokens=500,
        ephemeral_1h_input_tokens=200,
        output_tokens=10,
    )
    priced = cost(used(0, 0, 0, iterations=(run,)), SONNET, "anthropic")
    assert priced.total == priced.other == Decimal("0.003075")
    assert priced.without_cache == Decimal("0.00495")


@requires_shared
def test_writes_told_beside_an_empty_split() -> None:
    """Five answers tell writes beside a split of 0/0 (LiteLLM bills them too low): they cost the 5m rate, 1.25
    times the input rate. Haiku 4.5's first: 2250 * 1 + 11,911 * 1.25 + 147 * 5 per million and one web search at
    a cent are $0.02787375.
    """
    rate = {"claude-sonnet-4-0": "3.75", "claude-haiku-4-5": "1.25", "claude-3-haiku": "0.3"}
    totals = []
    for path in sorted(shared("recordings", "anthropic", "messages").glob("*.expected.json")):
        told = json.loads(path.read_bytes())
        raw = told.get("raw_usage") or {}
        written = raw.get("cache_creation_input_tokens") or 0
        if not written or any((raw.get("cache_creation") or {"": 1}).values()):
            continue
        priced = cost(recorded("anthropic", "messages", raw), told["model"], "anthropic")
        assert priced.price is not None
        per_million = Decimal(rate[priced.price.model.removeprefix("anthropic/")])
        assert priced.cache_write_by_lifetime == {"5m": per_million * written / 1_000_000}, path.name
        totals.append(priced.total)
    assert len(totals) == 5
    assert Decimal("0.02787375") in totals


def test_server_tools_cost_by_the_call() -> None:
    """Three web searches at $10 a thousand are $0.03; fetches are free; a tool without a price leaves the sum open."""
    priced = cost(
        used(0, 0, 0, server_tool_use={"web_search_requests": 3, "web_fetch_requests": 9}),
        SONNET,
        "anthropic",
    )
    assert priced.total == priced.other == Decimal("0.03")
    unknown = cost(used(1, 0, 0, server_tool_use={"moon_shots": 1}), SONNET, "anthropic")
    assert unknown.total is None
    assert unknown.reason == "anthropic/claude-sonnet-4-5: no price is known for moon_shots"
    assert cost(used(1, 0, 0, server_tool_use={"moon_shots": 0}), SONNET, "anthropic").total == Decimal(
        "0.000003"
    )


def test_spoken_tokens_have_rates_of_their_own() -> None:
    """gpt-audio: (100 - 40) * 2.5 + 40 * 32 + (50 - 20) * 10 + 20 * 64 = 150 + 1,280 + 300 + 1,280 per million."""
    usage = Usage(
        prompt_tokens=100,
        completion_tokens=50,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=0, audio_tokens=40),
        completion_tokens_details=CompletionTokensDetails(audio_tokens=20),
        source="provider",
    )
    assert cost(usage, "gpt-audio").total == Decimal("0.00301")


def test_prices_of_the_day() -> None:
    """GPT-5.6 Sol cost 5 and 30 a million until 2026-08-21, 4 and 20 from then on."""
    usage = used(1_000_00, 0, 1_000_0)
    before = cost(usage, "gpt-5.6-sol", at=datetime(2026, 8, 20, 23, 59, tzinfo=UTC))
    after = cost(usage, "gpt-5.6-sol", at=datetime(2026, 8, 21, tzinfo=UTC))
    assert (before.total, after.total) == (Decimal("0.8"), Decimal("0.6"))


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        (Usage(source="missing"), "the provider's usage is missing"),
        (Usage(source="invalid"), "the provider's usage is invalid"),
        (Usage(prompt_tokens=5, source="partial"), "the provider's usage is partial"),
        (Usage(prompt_tokens=5, source="provider"), "the provider told no count of completion tokens"),
        (Usage(completion_tokens=5, source="provider"), "the provider told no count of prompt tokens"),
        (
            Usage(
                prompt_tokens=5,
                completion_tokens=5,
                prompt_tokens_details=PromptTokensDetails(cached_tokens=6),
                source="provider",
            ),
            "the counts contradict each other",
        ),
        (
            Usage(prompt_tokens=-5, completion_tokens=5, source="provider"),
            "the counts contradict each other",
        ),
        (
            Usage(
                prompt_tokens=5,
                completion_tokens=5,
                cache_creation_input_tokens=2,
                cache_creation=CacheCreation(ephemeral_1h_input_tokens=3),
                source="provider",
            ),
            "more tokens are told as written by lifetime than as written",
        ),
    ],
)
def test_counts_that_say_too_little_or_too_much_are_not_priced(usage: Usage, reason: str) -> None:
    """Without every count, or with counts that cannot be, there is no total but a reason."""
    assert cost(usage, "gpt-4o") == Cost(reason=reason)


def test_a_bucket_without_a_rate_is_not_zero() -> None:
    """A caller's model without a cache rate, of a provider that publishes no rule for it: the reads stay open."""
    book = price_book({"openai/mine": {"input": 2, "output": 8}})
    priced = cost(used(10, 5, 5, w30m=5), "mine", prices=book)
    assert priced.total is None
    assert priced.without_cache is not None
    assert priced.reason == (
        "openai/mine: no price is known for cache reads; openai/mine: no price is known for cache writes"
    )
    assert cost(used(10, 0, 5), "mine", prices=book).total == Decimal("0.00006")


def test_what_the_provider_billed_stands_beside_ours() -> None:
    """OpenRouter's credits and xAI's ticks (10⁻¹⁰ dollars) are read from the provider's own object."""
    billed = cost(used(1, 0, 1, raw={"cost": 0.00002}), "anthropic/claude-opus-5", "openrouter")
    assert billed.reported == Decimal("0.00002")
    ticks = cost(used(1, 0, 1, raw=[{"cost_in_usd_ticks": 158_500}]), "grok-3-mini", "xai")
    assert ticks.reported == Decimal("0.00001585")
    kept = used(1, 0, 1, cost_details=Cost(reported=Decimal(7)))
    assert cost(kept, "gpt-4o").reported == 7
    assert cost(used(1, 0, 1, raw={"cost": "much"}), "openai/gpt-4o", "openrouter").reported is None
    assert cost(Usage(raw={"cost": 0.5}), "nothing", "openrouter").reported == Decimal("0.5")


def test_small_amounts_are_exact() -> None:
    """One cached token of DeepSeek V4 Pro before August 2026 cost $0.000000003625."""
    at = datetime(2026, 6, 1, tzinfo=UTC)
    priced = cost(used(0, 1, 0), "deepseek-v4-pro", "deepseek", at=at)
    assert priced.total == Decimal("0.000000003625")
    assert cost(used(0, 0, 0), "deepseek-v4-pro", "deepseek", at=at).total == 0


def test_an_empty_book_prices_nothing_by_itself() -> None:
    """A book of the caller's still has the built-in prices behind it."""
    assert cost(used(1, 0, 0), "gpt-4o", prices=PriceBook()).total == Decimal("0.0000025")


def test_an_hour_bought_of_a_reseller() -> None:
    """OpenRouter prints Claude's five minutes only; an hour is derived at twice the input, 1000 * 3 * 2, not at 3.75."""
    cost = price_usage(used(0, 0, 0, w1h=1000), provider="openrouter", model="anthropic/claude-sonnet-4.6")
    assert cost.total == Decimal("0.006")
    assert cost.price is not None
    assert cost.price.derived == ("cache_write.1h",)
    usual = price_usage(used(0, 0, 0, w5m=1000), provider="openrouter", model="anthropic/claude-sonnet-4.6")
    assert usual.total == Decimal("0.00375")
    assert usual.price is not None
    assert usual.price.derived == ()


def test_hours_are_never_billed_as_minutes() -> None:
    """Bedrock sells five minutes of Claude 3.7 only: an hour told of it has no price, and is not 3.75 a million."""
    usage = used(0, 0, 0, w1h=1000)
    cost = price_usage(usage, provider="bedrock", model="us.anthropic.claude-3-7-sonnet-20250219-v1:0")
    assert cost.total is None
    assert cost.reason is not None
    assert cost.reason.endswith("no price is known for cache writes")
    nova = price_usage(usage, provider="bedrock", model="amazon.nova-pro-v1:0")
    assert nova.total == Decimal("0.0008")  # no fee for writing: ordinary input, however long it is kept
