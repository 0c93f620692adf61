"""Refreshes the price files: rewrites the ring's, adds models that are new to the reviewed ones, changes no reviewed row.

    pip install genai-prices==0.2.3 && pip install --no-deps litellm==1.109.1
    python scripts/refresh_prices.py [provider ...]

Then read the diff, check what is new against the provider's own page, and run scripts/check_prices.py.
"""

# ruff: noqa: INP001, T201  # scripts are run by path and report by printing
from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
from price_differences import differences
from price_sources import from_genai_prices, from_litellm, source

from asynccache.pricing.catalogue import Match, NoMatch, PriceBook
from asynccache.pricing.entries import DatedPrice, Model, PriceFile, Sold
from asynccache.pricing.shelves import Shelf, canonical

DATA = Path(__file__).resolve().parents[1] / "asynccache" / "pricing" / "data"


@dataclass(frozen=True)
class Feed:
    """Where a provider's rows come from."""

    page: str
    genai: tuple[str, ...] = ()
    litellm: tuple[str, ...] = ()
    lifetime: str = "5m"
    reviewed: bool = False
    shared: dict[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    """Beginnings of the names that are taken over; all, when there are none."""
    without: tuple[str, ...] = ()
    """Beginnings of names that are not: another provider's prices hold for them."""
    extra: tuple[Model, ...] = ()
    """Rows that neither collection has, kept here by hand."""


def free(name: str, since: str, source: str) -> Model:
    """A model that its provider gives away, in so many words: an explicit zero, not an unknown price."""
    price = DatedPrice(since=since, input=Decimal(0), read=Decimal(0), output=Decimal(0), source=source)
    return Model(name=name, prices=(price,), note="Free of charge.")


# Resellers of Claude whose lists print no rate for an hour: it is the vendor's, twice the input.
HOUR = {"multipliers": {"write": {"1h": 2}}}

FEEDS = {
    "anthropic": Feed(
        "https://platform.claude.com/docs/en/about-claude/pricing",
        ("anthropic",),
        ("anthropic",),
        reviewed=True,
    ),
    "openai": Feed(
        "https://developers.openai.com/api/docs/pricing", ("openai",), ("openai",), "30m", reviewed=True
    ),
    "deepseek": Feed(
        "https://api-docs.deepseek.com/quick_start/pricing", ("deepseek",), ("deepseek",), reviewed=True
    ),
    "bedrock": Feed(
        "https://aws.amazon.com/bedrock/pricing/",
        ("aws",),
        ("bedrock", "bedrock_converse", "bedrock_mantle"),
        reviewed=True,
    ),
    "azure": Feed(
        "https://azure.microsoft.com/en-us/pricing/details/cognitive-services/openai-service/",
        ("azure",),
        ("azure", "azure_ai"),
        "30m",
    ),
    "gemini": Feed(
        "https://ai.google.dev/gemini-api/docs/pricing",
        ("google",),
        ("gemini",),
        only=("gemini", "gemma", "learnlm", "robotics"),
    ),
    "vertex": Feed(
        "https://cloud.google.com/vertex-ai/generative-ai/pricing",
        (),
        ("vertex_ai-language-models", "vertex_ai", "vertex_ai-anthropic_models"),
        without=("claude",),
    ),
    "openrouter": Feed(
        "https://openrouter.ai/models",
        ("openrouter",),
        ("openrouter",),
        shared=HOUR,
        extra=(
            free("*:free", "2023-07-01", "https://openrouter.ai/docs/guides/routing/model-variants/free"),
        ),
    ),
    "xai": Feed("https://docs.x.ai/docs/models", ("x-ai",), ("xai",)),
    "groq": Feed("https://groq.com/pricing", ("groq",), ("groq",)),
    "mistral": Feed("https://mistral.ai/pricing", ("mistral",), ("mistral",)),
    "moonshot": Feed("https://platform.kimi.ai/docs/pricing/chat", ("moonshotai",), ("moonshot",)),
    "zai": Feed(
        "https://docs.z.ai/guides/overview/pricing",
        ("zai",),
        ("zai",),
        extra=tuple(
            free(name, "2026-01-19", "https://docs.z.ai/guides/overview/pricing")
            for name in ("glm-4.7-flash", "glm-4.5-flash", "glm-4.6v-flash")
        ),
    ),
    "qwen": Feed(
        "https://www.alibabacloud.com/help/en/model-studio/models",
        (),
        ("dashscope", "qwencloud", "qwen_ai_platform"),
    ),
    "cerebras": Feed("https://www.cerebras.ai/pricing", ("cerebras",), ("cerebras",)),
    "together": Feed("https://www.together.ai/pricing", ("together",), ("together_ai",)),
    "fireworks": Feed("https://fireworks.ai/pricing", ("fireworks",), ("fireworks_ai",)),
    "perplexity": Feed(
        "https://docs.perplexity.ai/docs/getting-started/pricing", ("perplexity",), ("perplexity",)
    ),
    "minimax": Feed("https://platform.minimax.io/docs/pricing/overview", ("minimax",), ("minimax",)),
    "cohere": Feed("https://cohere.com/pricing", ("cohere",), ("cohere_chat",)),
    "databricks": Feed(
        "https://www.databricks.com/product/pricing/foundation-model-serving",
        ("databricks",),
        ("databricks",),
    ),
    "snowflake": Feed("https://www.snowflake.com/legal-files/CreditConsumptionTable.pdf", (), ("snowflake",)),
    "avian": Feed("https://avian.io/pricing/", ("avian",)),
    "doubleword": Feed("https://docs.doubleword.ai/inference-api/models", ("doubleword",)),
    "copilot": Feed(
        "https://docs.github.com/en/copilot/reference/copilot-billing/models-and-pricing",
        ("github-copilot",),
        ("github_copilot",),
        shared=HOUR,
    ),
    "vercel-gateway": Feed("https://vercel.com/ai-gateway/models", (), ("vercel_ai_gateway",), shared=HOUR),
    "huggingface": Feed(
        "https://router.huggingface.co/v1/models",
        tuple(
            f"huggingface_{host}"
            for host in (
                "groq",
                "cerebras",
                "together",
                "fireworks-ai",
                "novita",
                "nebius",
                "nscale",
                "hyperbolic",
                "ovhcloud",
                "sambanova",
            )
        ),
    ),
}


LEFT_OUT = {"*-image*": "pictures cost more than text, and no usage of ours counts their tokens apart"}


def rows_of(feed: Feed) -> list[Model]:
    """What both collections say, genai-prices' row first where both have the model."""
    genai_day, litellm = source("genai-prices").day, source("litellm")
    rows: dict[str, Model] = {}
    spelled: dict[str, str] = {}
    for provider in feed.genai:
        for model in from_genai_prices(provider, since=genai_day, lifetime=feed.lifetime):
            if model.name not in rows and model.name not in spelled:
                rows[model.name] = model
                spelled.update(dict.fromkeys((model.name, *model.also), model.name))
    for model in from_litellm(feed.litellm, since=litellm.day, lifetime=feed.lifetime):
        name = model.name
        if name in spelled:
            rows[spelled[name]] = with_tiers(with_abilities(rows[spelled[name]], model), model)
        else:
            rows[name] = msgspec.structs.replace(model, name=name)
            spelled[name] = name
    rows.update({model.name: model for model in feed.extra})
    kept = (
        row
        for row in rows.values()
        if (not feed.only or row.name.startswith(feed.only)) and not row.name.startswith(feed.without)
    )
    return [
        with_caching(row) for row in kept if not any(fnmatchcase(row.name, pattern) for pattern in LEFT_OUT)
    ]


def with_caching(model: Model) -> Model:
    """*model* said to cache where a price for cached tokens is printed: Claude by marks, others by themselves."""
    if model.caching is not None or not model.prices[-1].read:
        return model
    return msgspec.structs.replace(model, caching="explicit" if "claude" in model.name else "automatic")


def with_abilities(ours: Model, other: Model) -> Model:
    """*ours* with what only *other* says of the model's abilities."""
    missing = {
        name: getattr(other, name)
        for name in ("context_window", "max_output_tokens", "caching", "min_cacheable_tokens")
        if getattr(ours, name) is None
    }
    return msgspec.structs.replace(ours, **missing)


def with_tiers(ours: Model, other: Model) -> Model:
    """*ours* with the service tiers that only *other* prints, where both mean the same standard price."""
    day = source("litellm").day
    price, theirs = price_on(ours, day), other.prices[-1]
    if (price.input, price.output) != (theirs.input, theirs.output):
        return ours
    both = msgspec.structs.replace(price, tiers={**theirs.tiers, **price.tiers})
    return msgspec.structs.replace(ours, prices=tuple(both if one is price else one for one in ours.prices))


def price_on(model: Model, day: str) -> DatedPrice:
    """What *model* cost on *day*."""
    return next((price for price in reversed(model.prices) if price.since <= day), model.prices[0])


def named_alone(name: str, provider: str) -> str:
    """*name* without its provider, which the book takes off before it looks."""
    head, slash, tail = name.partition("/")
    return tail if slash and canonical(head) == provider else name


def explained(name: str, feed: Feed, file: PriceFile) -> PriceFile:
    """*file* with a word in each row on what the other collection prints."""
    shelf = Shelf(file)
    litellm = source("litellm")
    words: dict[str, dict[str, list[str]]] = {}
    for origin, model in (
        *(
            ("litellm", model)
            for model in from_litellm(feed.litellm, since=litellm.day, lifetime=feed.lifetime)
        ),
        *(
            ("genai-prices", model)
            for one in feed.genai
            for model in from_genai_prices(one, since=litellm.day, lifetime=feed.lifetime)
        ),
    ):
        row = shelf.find(named_alone(model.name, name))
        if row is None:
            continue
        match = Match(
            provider=name,
            model=row,
            price=price_on(row, litellm.day),
            sold=file.shared,
            calendars={},
            source="",
            day=litellm.day,
            lifetime="",
        )
        if found := differences(match, model):
            told = words.setdefault(row.name, {}).setdefault(origin, [])
            told.extend([] if any(word.startswith(found) for word in told) else [f"{found}: {UNDECIDED}"])
    rows = tuple(
        msgspec.structs.replace(
            row, explained={origin: " | ".join(told) for origin, told in words[row.name].items()}
        )
        if row.name in words
        else row
        for row in file.models
    )
    return msgspec.structs.replace(file, models=rows)


UNDECIDED = "the collections differ; the one that links the provider's own page is kept"


def refreshed(name: str, feed: Feed, today: str) -> PriceFile:
    """The file of *name* as it should stand."""
    path = DATA / f"{name}.json"
    rows = rows_of(feed)
    if feed.reviewed and path.exists():
        old = msgspec.json.decode(path.read_bytes(), type=PriceFile)
        book = PriceBook()
        new = tuple(
            model
            for model in rows
            if not any(fnmatchcase(model.name, pattern) for pattern in old.left_out)
            and type(book.find(as_sold(model.name), provider=name)) is NoMatch
        )
        return msgspec.structs.replace(old, models=(*old.models, *new))
    file = PriceFile(
        provider=name,
        source=feed.page,
        checked=today,
        note="Written by scripts/refresh_prices.py from genai-prices and LiteLLM's map; edits belong into the script.",
        left_out=LEFT_OUT,
        shared=msgspec.convert({"unread": "input", **feed.shared}, Sold),
        models=tuple(sorted(alone(rows, name), key=lambda model: model.name)),
    )
    return explained(name, feed, file)


def as_sold(name: str) -> str:
    """*name* as a customer spells it: genai-prices says "regional." for what any Bedrock profile but the global costs."""
    return re.sub(r"^regional\.", "us.", name)


def alone(rows: list[Model], provider: str) -> list[Model]:
    """*rows* under names without their provider; the first of two that become one stays."""
    kept: dict[str, Model] = {}
    for row in rows:
        name = named_alone(row.name, provider)
        kept.setdefault(name, msgspec.structs.replace(row, name=name))
    return list(kept.values())


def written(file: PriceFile) -> bytes:
    """One row a line, so that a diff shows a price change as one line; numbers as they are printed."""
    plain = msgspec.json.decode(msgspec.json.encode(file))
    models = plain.pop("models")
    head = msgspec.json.format(msgspec.json.encode(_numbers(plain)), indent=1).decode()
    lines = ",\n  ".join(msgspec.json.encode(_numbers(model)).decode() for model in models)
    return f'{head[:-2]},\n "models": [\n  {lines}\n ]\n}}\n'.encode()


_TEXT = {
    "name",
    "also",
    "since",
    "until",
    "source",
    "note",
    "mode",
    "retired",
    "explained",
    "lifetimes",
    "lifetime",
    "hours",
    "provider",
    "checked",
    "calendars",
    "left_out",
    "caching",
    "not_on",
    "unread",
    "unwritten",
}


def _numbers(value: Any, key: str = "") -> Any:
    if key in _TEXT:
        return value
    if isinstance(value, dict):
        return {name: _numbers(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, str):
        return msgspec.Raw(f"{Decimal(value).normalize():f}".encode())
    return value


def main() -> None:
    """Writes the files named on the command line, or all."""
    today = source("litellm").day
    for name in sys.argv[1:] or FEEDS:
        path = DATA / f"{name}.json"
        file = refreshed(name, FEEDS[name], today)
        path.write_bytes(written(file))
        print(f"{name}: {len(file.models)} models, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
