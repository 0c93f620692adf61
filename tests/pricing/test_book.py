"""Which entry prices a model, however it is spelled."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from asynccache.pricing.book import find, nearest, provider_of
from asynccache.pricing.catalogue import Match, NoMatch, PriceBook
from asynccache.pricing.registry import price_book
from asynccache.pricing.shelves import index_of_providers, shelf_of
from asynccache.simulator.rules import ANTHROPIC_MINIMUM, BEDROCK_MINIMUM, anthropic_rule
from tests.shared import requires_shared, shared


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        # bare names and dated snapshots
        ("gpt-4o", "openai/gpt-4o"),
        ("gpt-4o-2024-11-20", "openai/gpt-4o"),
        ("gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13"),
        ("gpt-5.6", "openai/gpt-5.6-sol"),
        ("gpt-5.6-luna-2026-07-13", "openai/gpt-5.6-luna"),
        ("gpt-3.5-turbo", "openai/gpt-3.5-turbo"),
        ("gpt-35-turbo", "openai/gpt-3.5-turbo"),
        ("gpt-3.5-turbo-1106", "openai/gpt-3.5-turbo-1106"),
        ("claude-3-5-sonnet-20240620", "anthropic/claude-3-5-sonnet"),
        ("claude-3-5-sonnet-latest", "anthropic/claude-3-5-sonnet"),
        ("claude-sonnet-4-0", "anthropic/claude-sonnet-4-0"),
        ("claude-sonnet-4-20250514", "anthropic/claude-sonnet-4-0"),
        ("claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4-5"),
        ("Claude-Haiku-4.5", "anthropic/claude-haiku-4-5"),
        ("claude-4.5-haiku-20251001", "anthropic/claude-haiku-4-5"),
        ("claude-opus-4-5", "anthropic/claude-opus-4-5"),
        ("deepseek-chat", "deepseek/deepseek-chat"),
        # prefixes
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("anthropic/claude-opus-5-5", "anthropic/claude-opus-5-5"),
        ("deepseek/deepseek-v4-pro", "deepseek/deepseek-v4-pro"),
        ("openrouter/anthropic/claude-4.6-sonnet-20260217", "openrouter/anthropic/claude-sonnet-4.6"),
        ("openrouter/qwen/qwen3-next-80b-a3b-thinking", "openrouter/qwen/qwen3-next-80b-a3b-thinking"),
        ("openrouter/meta-llama/llama-4-scout:free", "openrouter/*:free"),
        ("gemini/models/gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        # Bedrock
        ("anthropic.claude-opus-5-5", "bedrock/anthropic.claude-opus-5-5"),
        ("bedrock/converse/us.amazon.nova-pro-v1:0", "bedrock/amazon.nova-pro-v1:0"),
        ("bedrock/invoke/eu.amazon.nova-2-lite-v1:0", "bedrock/eu.amazon.nova-2-lite-v1:0"),
        ("bedrock/us-gov-west-1/anthropic.claude-sonnet-5", "bedrock/anthropic.claude-sonnet-5"),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-haiku-5-5",
            "bedrock/anthropic.claude-haiku-5-5",
        ),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-5-sonnet-20240620-v1:0",
            "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0",
        ),
        # Azure and Vertex
        ("azure/gpt-5-mini-2025-08-07", "azure/gpt-5-mini-2025-08-07"),
        ("azure/o3-deep-research-2025-06-26", "azure/o3-deep-research"),
        ("vertex_ai/claude-3-7-sonnet@20250219", "anthropic/claude-3-7-sonnet"),
        # fine-tunes
        ("ft:gpt-4o-mini-2024-07-18:acme::A1b2C3", "openai/ft:gpt-4o-mini"),
        ("openai/ft:gpt-4.1-2025-04-14:acme:support:xyz", "openai/ft:gpt-4.1"),
    ],
)
def test_names_find_their_entry(name: str, entry: str) -> None:
    """Prefixes, dates, profiles, ARNs and reversed words lead to the entry that is meant."""
    match = find(name)
    assert type(match) is Match, match
    assert match.name == entry


@requires_shared
def test_the_models_of_the_seed_page_have_prices() -> None:
    """Every model that the page this project grew from uses is priced and known to cache, or known not to."""
    page = shared("seed", "prompt-caching.txt").read_text()
    for name in ("gpt-4o", "gpt-3.5-turbo", "claude-3-5-sonnet-20240620", "deepseek/deepseek-chat"):
        assert name in page
        assert type(find(name)) is Match


@pytest.mark.parametrize(
    ("region", "factor"),
    [("us", "1.1"), ("eu-central-1", "1.1"), ("global", "1"), (None, "1"), ("us-gov", "1.2")],
)
def test_the_region_may_be_told_apart(region: str | None, factor: str) -> None:
    """Where the name says no region, the argument does."""
    match = find("anthropic.claude-opus-5-5", provider="bedrock", region=region)
    assert type(match) is Match
    assert match.factor == Decimal(factor)


def test_a_foundation_model_by_arn_runs_in_its_region() -> None:
    """The ARN's region is where it runs, and regional inference costs 10 % more since Claude 4.5."""
    match = find("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-5-5")
    assert type(match) is Match
    assert match.factor == Decimal("1.1")


def test_vertex_costs_more_in_a_region() -> None:
    """Google sells Claude at Anthropic's price; since 4.5 a regional endpoint costs 10 % more than the global one."""

    def factor(model: str, region: str | None) -> Decimal:
        match = find(model, provider="vertex_ai", region=region)
        assert type(match) is Match
        return match.factor

    assert factor("claude-sonnet-4-5@20250929", "us-east5") == Decimal("1.1")
    assert factor("claude-opus-5-5", "europe-west1") == Decimal("1.1")
    assert factor("claude-opus-5-5", "global") == factor("claude-opus-5-5", None) == 1
    assert factor("claude-opus-4-1@20250805", "us-east5") == 1
    assert factor("gemini-3.6-flash", "us-central1") == Decimal("1.1")


def test_old_models_cost_the_same_everywhere() -> None:
    """The 10 % of regional profiles begin with Claude 4.5."""
    match = find("us.anthropic.claude-sonnet-4-20250514-v1:0")
    assert type(match) is Match
    assert match.factor == 1


@pytest.mark.parametrize(
    ("name", "provider", "reason"),
    [
        ("nonsense", None, "no price is known for the model 'nonsense'"),
        ("gpt-9", "openai", "no price is known for the model 'gpt-9' of openai"),
        ("gpt-4o", "opnai", "no price is known for the model 'gpt-4o' of opnai"),
        ("", None, "no price is known for the model ''"),
        (
            "bedrock/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/x1y2",
            None,
            "is a resource of your account: its name does not say which model it runs",
        ),
        ("ft:gpt-9:acme::x", None, "no price is known for the model 'ft:gpt-9:acme::x' of openai"),
    ],
)
def test_no_match_says_why(name: str, provider: str | None, reason: str) -> None:
    """What the book does not know is a reason, never a guess."""
    found = find(name, provider=provider)
    assert type(found) is NoMatch
    assert reason in found.reason


def test_a_name_that_several_sell_is_ambiguous() -> None:
    """A model that only resellers have, at prices of their own, asks for its provider."""
    found = find("llama-3.3-70b")
    assert type(found) is NoMatch or found.provider == "cerebras"
    book = price_book({"groq/mine": {"input": 1, "output": 1}, "together/mine": {"input": 2, "output": 2}})
    ambiguous = book.find("mine")
    assert type(ambiguous) is NoMatch
    assert ambiguous.reason == "'mine' is sold by groq, together: name the provider, as in 'groq/mine'"
    assert book.provider_of("mine") is None


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("gpt-4o", "openai"),
        ("o4-mini", "openai"),
        ("ft:gpt-4o:acme::x", "openai"),
        ("claude-sonnet-4-20250514", "anthropic"),
        ("deepseek-chat", "deepseek"),
        ("us.anthropic.claude-opus-5-5", "bedrock"),
        ("amazon.nova-lite-v1:0", "bedrock"),
        ("gemini-2.5-flash", "gemini"),
        ("grok-4", "xai"),
        ("kimi-k2.6", "moonshot"),
        ("glm-4.6", "zai"),
        ("llama-3.3-70b-versatile", None),
        ("what", None),
    ],
)
def test_a_bare_name_names_its_provider(name: str, provider: str | None) -> None:
    """Vendors' own models are found by name alone; what only resellers have is not."""
    assert provider_of(name) == provider


def test_every_model_of_the_four_is_found_by_its_bare_name() -> None:
    """No row of one vendor hides behind another's."""
    for provider in ("anthropic", "openai", "deepseek", "bedrock"):
        shelf = shelf_of(provider)
        assert shelf is not None
        for model in shelf.file.models:
            assert provider_of(model.name) == provider, model.name


def test_nearest_names() -> None:
    """A misspelt name brings the one that was meant first, within its provider if that is named."""
    assert nearest("claud-sonet-4.5")[0] == "anthropic/claude-sonnet-4-5"
    assert nearest("openai/gpt4o")[0] == "openai/gpt-4o"
    assert len(nearest("gpt-5", 2)) == 2
    assert nearest("zzzzzzzzzzzzzzzz") == []


def test_history_is_kept() -> None:
    """A request is priced as of its day; one from before the first known day, by the first price."""

    def price_on(*day: int) -> Decimal | None:
        match = find("o3", at=datetime(*day, tzinfo=UTC))  # type: ignore[arg-type]  # year, month, day
        assert type(match) is Match
        return match.price.input

    assert price_on(2025, 6, 9) == 10
    assert price_on(2025, 6, 10) == 2
    assert price_on(2020, 1, 1) == 10
    naive = find("o3", at=datetime(2025, 6, 9, 23, 0))  # noqa: DTZ001 - a naive time is taken as UTC
    assert type(naive) is Match
    assert naive.price.input == 10


def test_the_book_does_not_grow_without_bound() -> None:
    """A server that is asked for endless names keeps a bounded number of answers."""
    book = PriceBook()
    for number in range(9000):
        book.find(f"openai/gpt-4o-{20_240_101 + number}")
    assert len(book._found) <= 4096
    assert len(book._matches) <= 4096


_LOADING = """
import time
import asynccache.pricing.book as book
book.find("warm-the-imports", provider="nobody")
began = time.perf_counter()
assert book.find("gpt-4o", provider="openai").name and book.find("claude-opus-5", provider="anthropic").name
print(time.perf_counter() - began)
"""


@pytest.mark.slow  # it decides by a clock, which a busy machine spoils: pytest -m slow tests/pricing
def test_loading_is_quick() -> None:
    """The vendors' files load in 15 ms on first use, best of five (a shared machine is not always quick)."""
    times = [
        float(
            subprocess.run(
                [sys.executable, "-c", _LOADING], capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(5)
    ]
    assert min(times) <= 0.015


def test_every_file_loads_and_every_row_is_dated_and_sourced() -> None:
    """Each price of each provider has a day, a source, and rates that are not negative, oldest first."""
    rows = 0
    for provider in index_of_providers().rows:
        shelf = shelf_of(provider.name)
        assert shelf is not None
        assert shelf.file.provider == provider.name
        assert shelf.file.source.startswith("https://")
        assert datetime.fromisoformat(shelf.file.checked)
        names = [model.name for model in shelf.file.models]
        assert len(names) == len(set(names)), provider.name
        for model in shelf.file.models:
            assert model.name == model.name.lower()
            assert model.prices, model.name
            days = [price.since for price in model.prices]
            assert days == sorted(days), model.name
            for price in model.prices:
                rows += 1
                assert datetime.fromisoformat(price.since)
                rates = [
                    price.input,
                    price.read,
                    price.output,
                    *price.write.values(),
                    *price.regions.values(),
                ]
                assert all(rate is None or rate >= 0 for rate in rates), model.name
                assert price.input is not None, model.name
    assert rows > 2000


@requires_shared
def test_minimums_are_those_of_the_wire_facts() -> None:
    """The minimum cacheable lengths of wire.md 1.4 and 3.3, by model."""
    facts = {
        512: "fable-5 fable-5-1 mythos-5 mythos-5-1 opus-5 opus-5-5 sonnet-5-5 haiku-5-5",
        1024: "opus-4-8 sonnet-5 sonnet-4-6 sonnet-4-5 sonnet-4-0 opus-4-1 opus-4-0",
        2048: "opus-4-7 mythos-preview",
        4096: "opus-4-6 opus-4-5 haiku-4-5",
    }
    for minimum, names in facts.items():
        for name in names.split():
            match = find(f"anthropic/claude-{name}")
            assert type(match) is Match
            assert match.model.min_cacheable_tokens == minimum, name
    deviating = find("bedrock/us.anthropic.claude-opus-4-7")
    assert type(deviating) is Match
    assert deviating.model.min_cacheable_tokens == 4096
    haiku = find("claude-3-5-haiku-20241022")
    assert type(haiku) is Match
    assert haiku.model.min_cacheable_tokens == 2048


@requires_shared
def test_every_row_of_the_price_tables() -> None:
    """All prices of Claude and GPT in wire.md 6.1 and 6.2, cell by cell."""
    text = shared("facts", "wire.md").read_text()
    tables = text[text.index("### 6.1") : text.index("### 6.3")]
    day = datetime(2026, 11, 22, tzinfo=UTC)
    checked = 0
    for line in tables.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or cells[0] == "model":
            continue
        is_claude = cells[0].startswith("claude")
        lifetimes = ("5m", "1h") if is_claude else ("30m", "12h")
        for name, columns in _models(cells):
            match = find(name, at=day)
            assert type(match) is Match, name
            rates = [
                match.price.input,
                match.price.read,
                *(match.price.write.get(ttl) for ttl in lifetimes),
                match.price.output,
            ]
            for rate, column in zip(rates, columns, strict=True):
                printed = column.rstrip(" ¹")
                expected = None if printed in ("0", "\u2013", "none published") else Decimal(printed)
                assert rate == expected, (name, columns)
            checked += 1
    assert checked == 41


@requires_shared
def test_every_row_of_deepseeks_table() -> None:
    """All prices of wire.md 6.4: hit, miss and output, off-peak and peak."""
    text = shared("facts", "wire.md").read_text()
    table = text[text.index("### 6.4") : text.index("Peak = ")]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line[:2] == "| "
    ]
    name = ""
    for title, hit, miss, output, hours in rows[1:]:
        name = title or name
        match = find(name, provider="deepseek", at=datetime(2026, 11, 22, tzinfo=UTC))
        assert type(match) is Match
        rates = match.price if hours == "off-peak" else match.price.windows[0]
        assert [rates.read, rates.input, rates.output] == [Decimal(hit), Decimal(miss), Decimal(output)]
    assert len(rows) == 5


def _models(cells: list[str]) -> list[tuple[str, list[str]]]:
    """A row that stands for several models, one by one: ``claude-opus-5, 4-8``, ``gpt-5.4 / -mini / -nano``."""
    title = cells[0].split(" (")[0]
    columns = cells[1:6]
    if " / -" in title:
        base, *suffixes = title.split(" / ")
        return [
            (base + suffix, [cell.split("/")[min(position, len(cell.split("/")) - 1)] for cell in columns])
            for position, suffix in enumerate(["", *suffixes])
        ]
    if " / " in title:
        first, second = title.split(" / ")
        return [(first, columns), ("claude-" + second, columns)]
    first, *more = title.split(", ")
    family = first.rsplit("-", 1)[0] if first.startswith("gpt") else "-".join(first.split("-")[:2])
    suffix = "-pro" if first.endswith("-pro") else ""
    family = family.rsplit("-", 1)[0] if suffix else family
    names = [first, *(f"{family}-{part.removesuffix(suffix)}{suffix}" for part in more)]
    return [(name, columns) for name in names]


def test_the_index_names_no_provider_twice() -> None:
    """Each name of a provider leads to one row."""
    names = [name for row in index_of_providers().rows for name in (row.name, *row.also)]
    assert len(names) == len(set(names))
    sold = {seller for row in index_of_providers().rows for seller in row.sells}
    assert sold <= {row.name for row in index_of_providers().rows}


def test_the_simulator_caches_what_the_book_says() -> None:
    """Minimum lengths stand in two tables that share no code: the simulator's rules and the book agree."""
    for provider, minimums in (("anthropic", ANTHROPIC_MINIMUM), ("bedrock", BEDROCK_MINIMUM)):
        shelf = shelf_of(provider)
        assert shelf is not None
        told = [model for model in shelf.file.models if "claude" in model.name and model.min_cacheable_tokens]
        assert len(told) > 20
        for model in told:
            assert anthropic_rule(model.name, minimums).minimum == model.min_cacheable_tokens, model.name


@pytest.mark.parametrize(
    "name", ["amazon.nova-pro-v1:0", "us.amazon.nova-pro-v1", "amazon.nova-pro", "amazon.nova-pro-v1:0:300k"]
)
def test_a_bedrock_id_with_and_without_its_version(name: str) -> None:
    """The version's number may be left off; one that would mean two models is nobody's."""
    found = PriceBook().find(name, provider="bedrock")
    assert type(found) is Match
    assert found.model.name == "amazon.nova-pro-v1:0"
