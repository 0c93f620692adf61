"""What holds for every price of every usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynccache.answer_cost import completion_cost
from asynccache.pricing.book import default_book
from asynccache.pricing.catalogue import PriceBook
from asynccache.pricing.cost import Request, price_usage, total_of
from asynccache.reply import Completion, Cost, Usage
from tests.pricing.usages import used

MODELS = [
    ("openai", "gpt-4o"),
    ("openai", "gpt-5.4"),
    ("openai", "gpt-5.6-sol"),
    ("openai", "gpt-6.2-sol"),
    ("anthropic", "claude-haiku-5-5"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-fable-5-2"),
    ("deepseek", "deepseek-flash"),
    ("deepseek", "deepseek-chat"),
    ("bedrock", "us.anthropic.claude-opus-5-5"),
    ("bedrock", "us.amazon.nova-pro-v1:0"),
    ("bedrock", "global.openai.gpt-5.6-luna"),
    ("gemini", "gemini-2.5-pro"),
    ("xai", "grok-4"),
    ("openrouter", "anthropic/claude-opus-4.5"),
]
COUNT = st.integers(0, 10**7)
BUCKETS = ("uncached", "read", "output", "w5m", "w30m", "w1h", "w12h")
COUNTS = st.fixed_dictionaries(dict.fromkeys(BUCKETS, COUNT))
MOMENT = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds UTC
TIER = st.sampled_from([None, "default", "standard", "batch", "flex", "priority"])


def parts(cost: Cost) -> list[Decimal]:
    told = [cost.uncached_input, cost.cache_read, cost.cache_write, cost.output, cost.other]
    return [part for part in told if part is not None]


@given(model=st.sampled_from(MODELS), counts=COUNTS, at=MOMENT, tier=TIER)
@settings(max_examples=300, deadline=None)
def test_the_parts_are_the_whole(
    model: tuple[str, str], counts: dict[str, int], at: datetime, tier: str | None
) -> None:
    """No bucket is negative, the buckets add up to the total to the last digit, and the saving is what it says."""
    cost = price_usage(used(**counts, service_tier=tier), provider=model[0], model=model[1], at=at)
    if cost.total is None:
        assert cost.reason
        return
    assert len(parts(cost)) == 5
    assert min(parts(cost)) >= 0
    assert sum(parts(cost)) == cost.total
    assert sum(cost.cache_write_by_lifetime.values()) == cost.cache_write
    assert cost.without_cache is not None
    assert cost.saved == cost.without_cache - cost.total


@given(
    model=st.sampled_from(MODELS),
    counts=COUNTS,
    at=MOMENT,
    bucket=st.sampled_from(BUCKETS),
    more=st.integers(0, 10**6),
)
@settings(max_examples=300, deadline=None)
def test_more_tokens_never_cost_less(
    model: tuple[str, str], counts: dict[str, int], at: datetime, bucket: str, more: int
) -> None:
    """The total rises, or stays, in every count; what has no price is known to cost nothing while there is none of it."""

    def total(told: dict[str, int]) -> Decimal | None:
        return price_usage(used(**told), provider=model[0], model=model[1], at=at).total

    less, greater = total(counts), total({**counts, bucket: counts[bucket] + more})
    if less is None:
        assert greater is None
    elif greater is None:
        assert counts[bucket] == 0
    else:
        assert less <= greater


@given(model=st.sampled_from(MODELS), counts=COUNTS, at=MOMENT, tier=TIER)
@settings(max_examples=400, deadline=None)
def test_the_short_way_is_the_long_way(
    model: tuple[str, str], counts: dict[str, int], at: datetime, tier: str | None
) -> None:
    """`completion_cost`'s float is the nearest to the exact total, or both are unknown for the same reason."""
    usage = used(**counts, service_tier=tier)
    exact = price_usage(usage, provider=model[0], model=model[1], at=at)
    quick = total_of(usage, Request(*model, at=at), default_book())
    assert quick == (exact.reason if exact.total is None else float(exact.total))
    if exact.total is not None:
        answer = Completion(model=model[1], created=int(at.timestamp()), usage=usage)
        # The first call looks the rates up, the second has them.
        assert completion_cost(answer, custom_llm_provider=model[0]) == float(exact.total)
        assert completion_cost(answer, custom_llm_provider=model[0]) == float(exact.total)


@given(counts=COUNTS, at=MOMENT)
@settings(max_examples=50, deadline=None)
def test_a_day_is_one_price_but_for_deepseek(counts: dict[str, int], at: datetime) -> None:
    """The hour changes no price but DeepSeek's."""
    usage = used(**counts)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    for provider, model in MODELS:
        if provider == "deepseek":
            continue
        totals = {
            price_usage(usage, provider=provider, model=model, at=day + timedelta(hours=hour)).total
            for hour in (0, 2, 12, 23)
        }
        assert len(totals) == 1


@given(
    text=st.text(max_size=40),
    counts=st.dictionaries(
        st.sampled_from(
            ["prompt_tokens", "completion_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
        ),
        st.one_of(st.none(), st.integers(-(10**12), 10**12)),
    ),
    source=st.sampled_from(["provider", "partial", "estimated", "missing", "invalid"]),
    tier=st.one_of(st.none(), st.text(max_size=8)),
)
@settings(max_examples=300, deadline=None)
def test_nothing_that_is_said_raises(
    text: str, counts: dict[str, int | None], source: str, tier: str | None
) -> None:
    """Whatever a provider, a model name and a usage say, there is a cost with a total, or one with a reason."""
    usage = msgspec.convert({**counts, "source": source, "service_tier": tier, "raw": {"cost": text}}, Usage)
    for provider, model in (("openai", "gpt-4o"), (text, text), ("bedrock", text), ("openrouter", text)):
        cost = price_usage(
            usage, provider=provider, model=model, request_model=text, region=text, write_ttl=text
        )
        assert cost.total is not None or cost.reason
        assert cost.total is None or cost.total >= 0


@pytest.mark.parametrize(
    "name", ["", "/", "//", ":", ".", "us.", "arn:aws:bedrock", "ft:", ":free", "a" * 10_000, "@latest"]
)
def test_odd_names_are_not_found(name: str) -> None:
    """A name that is none is answered with a reason, quickly."""
    assert PriceBook().find(name).__class__.__name__ == "NoMatch"
