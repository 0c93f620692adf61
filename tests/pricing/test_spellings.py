"""A model is priced however it is spelled: dates, windows, regions' profiles, fine-tunes, vendors before the name."""

from __future__ import annotations

import pytest

from asynccache.pricing.book import find
from asynccache.pricing.catalogue import Match, NoMatch

SPELLINGS = [
    ("anthropic", "claude-opus-5-5-20261001", "anthropic/claude-opus-5-5"),
    ("anthropic", "claude-opus-4-6[1m]", "anthropic/claude-opus-4-6"),
    ("anthropic", "claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4-5"),
    ("anthropic", "claude-4.6-opus", "anthropic/claude-opus-4-6"),
    ("vertex", "claude-opus-4-6@default", "anthropic/claude-opus-4-6"),
    ("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc", "openai/ft:gpt-4o-mini"),
    ("openai", "gpt-5.6-sol-2026-05-01", "openai/gpt-5.6-sol"),
    ("mistral", "magistral-medium-2509", "mistral/magistral-medium"),
    ("mistral", "pixtral-12b-2409", "mistral/pixtral-12b"),
    ("openrouter", "anthropic/claude-4.5-sonnet-20250929", "openrouter/anthropic/claude-sonnet-4.5"),
    ("openrouter", "openai/gpt-5:online", "openrouter/openai/gpt-5"),
    ("groq", "openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
]


@pytest.mark.parametrize(("provider", "name", "row"), SPELLINGS)
def test_spellings(provider: str, name: str, row: str) -> None:
    """The name finds the row of the model that it means."""
    match = find(name, provider=provider)
    assert type(match) is Match
    assert match.name == row


@pytest.mark.parametrize(
    "profile", ["us", "us-gov", "eu", "apac", "ap", "jp", "au", "ca", "sa", "af", "me", "il", "in", "global"]
)
@pytest.mark.parametrize("route", ["", "converse/", "invoke/"])
def test_profiles(profile: str, route: str) -> None:
    """Every geography's profile finds its model; only the global one costs no more than the list."""
    match = find(f"{route}{profile}.anthropic.claude-sonnet-4-5-20250929-v1:0", provider="bedrock")
    assert type(match) is Match
    assert match.name == "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert (match.factor > 1) is (profile != "global")


@pytest.mark.parametrize(
    ("provider", "name"),
    [("openai", "gpt-99-ultra"), ("anthropic", "claude-novel-9"), ("openai", "ft:gpt-99-ultra:acme::x")],
)
def test_what_nobody_sells(provider: str, name: str) -> None:
    """A model that is not known has no price of another one's, and a reason that names it."""
    match = find(name, provider=provider)
    assert type(match) is NoMatch
    assert name in match.reason
