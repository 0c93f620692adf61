"""The costs that LiteLLM computes for the same answers, and where it is known to be wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from asynccache.pricing.cost import price_usage
from asynccache.reply import Usage
from tests.pricing.usages import recorded, used
from tests.shared import requires_shared, shared

# LiteLLM's named bugs, with the right amount worked out.
_ITS_BUGS = {
    # The usage says batch, which halves every rate: (86 * 3 + 1920 * 0.3 + 300 * 15) / 2 per million.
    "anthropic_batchtier": Decimal("0.002667"),
    # A split that tells 1000 of 1920 as 1h: 86 * 3 + 1000 * 6 + 920 * 3.75 + 300 * 15 per million.
    "converse_partial_details": Decimal("0.014208"),
}
_DIALECT = {"/v1/chat/completions": "chat", "/chat/completions": "chat", "/v1/messages": "messages"}


@requires_shared
def test_every_cost_of_the_parity_table() -> None:
    """Each of the 33 answers costs what LiteLLM says, but for the two where it is named as wrong."""
    cases = json.loads(shared("facts", "parity.json").read_bytes())
    assert len(cases) == 33
    for case in cases:
        provider, _, model = case["model"].partition("/")
        told = case["provider_usage"]
        api = _DIALECT.get(case["path"]) or case["path"].rpartition("/")[2]
        usage = recorded(
            provider,
            api,
            {**told["usage"], "service_tier": told.get("service_tier")} if api == "chat" else told["usage"],
        )
        cost = price_usage(
            usage, provider=provider, model=model.removeprefix("converse/").removeprefix("invoke/")
        )
        expected = _ITS_BUGS.get(case["case"], round(Decimal(case["cost"]), 9))
        assert cost.total == expected, (case["case"], cost)


_NOVEMBER = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("provider", "model", "usage", "region", "prompt", "output"),
    [
        ("openai", "gpt-5.6", used(200, 2000, 300, w30m=400), None, "0.0036", "0.006"),
        ("openai", "gpt-5.6", used(10_000, 290_000, 300), None, "0.312", "0.009"),
        ("openai", "gpt-5.6", used(20_000, 252_000, 300), None, "0.1808", "0.006"),
        ("openai", "gpt-5.6", used(86, 1920, 300), "eu", "0.0012232", "0.0066"),
        ("openai", "gpt-5", used(86, 1920, 300, service_tier="flex"), None, "0.00017375", "0.0015"),
        ("openai", "gpt-5", used(86, 1920, 300, service_tier="priority"), None, "0.000695", "0.006"),
        ("anthropic", "claude-sonnet-5", used(86, 1920, 300), None, "0.000556", "0.003"),
        (
            "anthropic",
            "claude-sonnet-5",
            used(86, 1920, 300, inference_geo="us"),
            None,
            "0.0006116",
            "0.0033",
        ),
        (
            "bedrock",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            used(86, 1920, 300),
            None,
            "0.0009174",
            "0.00495",
        ),
        ("bedrock", "us.amazon.nova-pro-v1:0", used(86, 1920, 300), None, "0.0004528", "0.00096"),
        # 86 * 1.05 + 1920 * 0.2625, and 300 * 4.2: the European profile of Nova Pro
        ("bedrock", "eu.amazon.nova-pro-v1:0", used(86, 1920, 300), None, "0.0005943", "0.00126"),
        ("openai", "gpt-4o", used(86, 1920, 300), None, "0.002615", "0.003"),
    ],
)
def test_the_further_figures(
    provider: str, model: str, usage: Usage, region: str | None, prompt: str, output: str
) -> None:
    """Prompt and output of further answers, as other calculators have them: tiers, regions, thresholds, writes."""
    cost = price_usage(usage, provider=provider, model=model, region=region, at=_NOVEMBER)
    assert cost.total is not None
    assert (cost.total - (cost.output or 0), cost.output) == (Decimal(prompt), Decimal(output))
