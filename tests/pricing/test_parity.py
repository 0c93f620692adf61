"""The costs that LiteLLM computes for the same answers, and where it is known to be wrong."""

from __future__ import annotations

import json
from decimal import Decimal

from asynccache.pricing.cost import price_usage
from tests.pricing.usages import recorded
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
