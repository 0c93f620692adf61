"""No recorded answer is unpriced, priced zero or a fault where anyone knows its price."""

from __future__ import annotations

import json
from collections import Counter

from asynccache.pricing.book import find
from asynccache.pricing.catalogue import Match
from asynccache.pricing.cost import price_usage
from tests.pricing.usages import answered_at, recorded
from tests.shared import requires_shared, shared

# Models that neither genai-prices nor LiteLLM has a price for with that provider.
_NOBODY_KNOWS = {
    ("cerebras", "qwen-3-235b-a22b-instruct-2507"),
    ("copilot", "gpt-4o"),  # sold by the seat, not by the token
    ("databricks", "databricks-claude-3-7-sonnet"),
    ("gpustack", "qwen3"),
    # Hugging Face has one price a host: none is listed for Groq, and the other request names no host.
    ("huggingface", "moonshotai/Kimi-K2-Instruct-0905:groq"),
    ("huggingface", "meta-llama/Llama-3.1-8B-Instruct"),
    ("llamacpp", "Qwen3-1.7B-Q4_K_M"),
    ("venice", "qwen3-5-9b"),
    ("zai", "z-model"),
}
_FREE = {("zai", "glm-4.7-flash")}


@requires_shared
def test_every_recorded_answer_has_a_price() -> None:
    """All answers with status 200 are priced but those of nine models that nobody lists; zero only if given away.

    Counts that cannot be true (more tokens cached than the prompt had) are refused with that reason.
    """
    outcomes: Counter[str] = Counter()
    for path in sorted(shared("recordings").glob("[a-z]*/*/*.expected.json")):
        told = json.loads(path.read_bytes())
        case = json.loads(path.with_name(path.name.replace(".expected", "")).read_bytes())
        if case["status"] != 200 or not told.get("raw_usage") or not told.get("usage"):
            continue
        usage = recorded(case["provider"], case["api"], told["raw_usage"])
        headers = {name.lower(): value for name, value in (case.get("response_headers") or {}).items()}
        date = headers.get("date")
        cost = price_usage(
            usage,
            provider=case["provider"],
            model=told.get("model") or case["model"],
            request_model=case["model"],
            at=answered_at(date[0] if isinstance(date, list) else date),
        )
        key = (case["provider"], case["model"])
        if cost.total is None:
            assert cost.reason, path.name
            assert key in _NOBODY_KNOWS or usage.source in ("invalid", "partial", "missing"), (
                path.name,
                cost.reason,
            )
            outcomes[usage.source if usage.source != "provider" else "unknown price"] += 1
        else:
            assert cost.total > 0 or key in _FREE or usage.total_tokens == 0, path.name
            outcomes["priced"] += 1
    assert outcomes["priced"] >= 570
    assert outcomes["unknown price"] == 15
    assert outcomes["invalid"] == 6


@requires_shared
def test_no_answer_is_older_than_its_first_price() -> None:
    """The vendors' prices begin no later than the first recorded answer of their model."""
    dated = 0
    for path in sorted(shared("recordings").glob("[a-z]*/*/*.expected.json")):
        told = json.loads(path.read_bytes())
        case = json.loads(path.with_name(path.name.replace(".expected", "")).read_bytes())
        headers = {name.lower(): value for name, value in (case.get("response_headers") or {}).items()}
        date = headers.get("date")
        at = answered_at(date[0] if isinstance(date, list) else date)
        if at is None or case["status"] != 200 or case["provider"] not in ("anthropic", "openai", "deepseek"):
            continue
        match = find(told.get("model") or case["model"], provider=case["provider"], at=at)
        assert type(match) is Match, path.name
        assert match.price.since <= at.date().isoformat(), (match.name, at)
        dated += 1
    assert dated > 100
