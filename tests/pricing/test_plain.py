"""Answers that are like many others of their day cost by the short way what they cost by the long one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asynccache.pricing.book import PriceBook, default_book
from asynccache.pricing.cost import price_usage
from asynccache.pricing.entries import DatedPrice, Model
from asynccache.reply import CompletionTokensDetails, PromptTokensDetails, Usage

_ROWS = sorted({(provider, model.name) for provider, model in default_book().models()})
_SMALL = st.sampled_from([None, 0, 0, 0, 3, -1])
_PROMPTS = st.sampled_from([0, 1, 2_006, 200_000, 200_001, 272_001, 10**6, None])


@st.composite
def _usages(draw: st.DrawFn) -> Usage:
    prompt = draw(_PROMPTS)
    read = draw(st.sampled_from([None, 0, 1, prompt, (prompt or 0) // 2, (prompt or 0) + 1]))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=draw(st.sampled_from([0, 1, 300, 300, -1, None])),
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=read, cache_write_tokens=draw(_SMALL), audio_tokens=draw(_SMALL)
        ),
        completion_tokens_details=CompletionTokensDetails(audio_tokens=draw(_SMALL)),
        cache_read_input_tokens=draw(st.sampled_from([read, None])),
        source=draw(st.sampled_from(["provider", "provider", "provider", "partial", "estimated"])),
        service_tier=draw(
            st.sampled_from([None, None, "priority", "flex", "batch", "standard", "unheard-of"])
        ),
        speed=draw(st.sampled_from([None, None, "fast"])),
        inference_geo=draw(st.sampled_from([None, None, "us", "global"])),
        server_tool_use=draw(st.sampled_from([None, None, {"web_search_requests": 2}])),
    )


@settings(max_examples=300, deadline=None)
@example(
    ("openai", "gpt-4o"),
    Usage(prompt_tokens=9, completion_tokens=2, source="provider"),
    datetime(2026, 3, 1, tzinfo=UTC),
    None,
)
@given(
    st.sampled_from(_ROWS),
    _usages(),
    st.integers(0, 17_000).map(lambda hours: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=hours)),
    st.sampled_from([None, None, "us-east-1", "eu"]),
)
def test_the_short_way_says_what_the_long_one_says(
    row: tuple[str, str], usage: Usage, at: datetime, region: str | None
) -> None:
    """A time without a zone means UTC and goes the long way: every amount, name and reason is the same."""
    provider, model = row
    costs = [
        price_usage(usage, provider=provider, model=model, request_model=model, at=moment, region=region)
        for moment in (at, at, at.replace(tzinfo=None))
    ]
    assert costs[0] == costs[1] == costs[2]
    assert costs[0].to_dict() == costs[2].to_dict()


def test_a_new_price_is_used_at_once() -> None:
    """What was remembered of a model is forgotten when the book gets another price for it."""
    book = PriceBook([("acme", _model("1"))])
    usage = Usage(prompt_tokens=10, completion_tokens=0, source="provider")
    at = datetime(2026, 3, 1, tzinfo=UTC)

    def total() -> str:
        return str(price_usage(usage, provider="acme", model="m", at=at, prices=book).total)

    before = total(), total()
    book.add([("acme", _model("2"))])
    assert (before, total()) == (("0.00001", "0.00001"), "0.00002")


def _model(price: str) -> Model:
    rate = Decimal(price)
    return Model(name="m", prices=(DatedPrice(since="2026-01-01", input=rate, output=rate),))


@pytest.mark.parametrize("read", [0, 1_920])
def test_every_row_of_the_book_by_both_ways(read: int) -> None:
    """Rates that are derived are named where they were used, and prices by the hour are those of the hour."""
    usage = Usage(
        prompt_tokens=2_006,
        completion_tokens=300,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=read),
        source="provider",
    )
    derived = by_the_hour = 0
    for provider, model in _ROWS:
        totals = set[Decimal | None]()
        for hour in (0, 3, 9, 17, 20):
            at = datetime(2026, 11, 20, hour, 30, tzinfo=UTC)
            short = price_usage(usage, provider=provider, model=model, at=at)
            assert short == price_usage(usage, provider=provider, model=model, at=at.replace(tzinfo=None))
            totals.add(short.total)
        by_the_hour += len(totals) > 1
        derived += short.price is not None and bool(short.price.derived)
    assert by_the_hour, "no row has prices by the hour: this test no longer tests them"
    assert derived or not read, "no row derives its rate of reads: this test no longer tests that"
