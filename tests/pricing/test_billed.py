"""Our price against what providers themselves billed, and against genai-prices' own data set."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from asynccache.pricing.cost import price_usage
from asynccache.reply import Cost, Usage
from tests.pricing.usages import answered_at, recorded, used
from tests.shared import requires_shared, shared

# Open weights: OpenRouter hands the request to one of many hosts, each with a price of its own.
_OPEN_WEIGHTS = ("openai/gpt-oss-",)

# Every miss among anthropic/* and openai/*, by model, answer date and amount billed.
_EXPLAINED = {
    (
        "openai/gpt-5.2",
        "2026-08-19",
        "0.066407",
    ): "three web searches, for which OpenRouter lists no price: left open",
    ("anthropic/claude-opus-5", "2026-07-27", "0"): "the caller's own key: OpenRouter itself billed nothing",
    ("openai/gpt-4o-mini", None, "0.0160614"): "an advisor of another model ran; its tokens are not told",
    (
        "openai/gpt-5.1-codex-mini",
        None,
        "0.00216775",
    ): "OpenRouter's PDF reader charged $0.002, not told as usage",
    ("openai/gpt-5.6-sol", None, "0.025265"): "undated: it is the launch price, which held until 2026-08-21",
}


def _billed() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(
        shared("recordings", "_conformance", "cost", "provider_billed.json").read_bytes()
    )
    return cases


def _ours(case: dict[str, Any]) -> Cost:
    raw = case["raw_usage"]
    api = "responses" if "input_tokens" in raw else "chat"
    usage = recorded(case["provider"], api, raw)
    if case["provider"] == "vercel-gateway":
        # Its completion count leaves reasoning out; what it bills shows that.
        spoken = (usage.completion_tokens or 0) + (usage.completion_tokens_details.reasoning_tokens or 0)
        usage = msgspec.structs.replace(usage, completion_tokens=spoken)
    if searches := raw.get("server_tool_use_details", {}).get("web_search_requests"):
        usage = msgspec.structs.replace(usage, server_tool_use={"web_search_requests": searches})
    return price_usage(
        usage,
        provider=case["provider"],
        model=case["response_model"] or case["model"],
        request_model=case["model"],
        at=answered_at(case["served_date"]),
    )


def _agrees(cost: Cost, billed: float) -> bool:
    return cost.total is not None and abs(float(cost.total) - billed) <= 0.001 * abs(billed)


def _key(case: dict[str, Any]) -> tuple[str, str | None, str]:
    at = answered_at(case["served_date"])
    return case["model"], None if at is None else at.date().isoformat(), str(case["billed"])


@requires_shared
def test_what_claude_and_gpt_were_billed() -> None:
    """Within 0.1 % of the bill for at least 97 % of anthropic/* and 90 % of openai/*; every miss has its reason."""
    told: Counter[str] = Counter()
    agreed: Counter[str] = Counter()
    missed = set()
    for case in _billed():
        vendor = case["model"].partition("/")[0]
        if vendor not in ("anthropic", "openai") or case["model"].startswith(_OPEN_WEIGHTS):
            continue
        told[vendor] += 1
        if _agrees(_ours(case), case["billed"]):
            agreed[vendor] += 1
        else:
            missed.add(_key(case))
    assert missed == set(_EXPLAINED)
    assert (told["anthropic"], told["openai"]) == (88, 125)
    assert agreed["anthropic"] / told["anthropic"] >= 0.97
    assert agreed["openai"] / told["openai"] >= 0.90


@requires_shared
def test_what_xai_billed() -> None:
    """All twenty answers of xAI's own cost what its ticks say, and the ticks are kept beside our price."""
    cases = [case for case in _billed() if case["provider"] == "xai"]
    assert len(cases) == 20
    for case in cases:
        cost = _ours(case)
        assert _agrees(cost, case["billed"]), (case["model"], cost)
        assert cost.reported == round(Decimal(str(case["billed"])), 12)


@requires_shared
def test_bills_are_kept_beside_our_price() -> None:
    """Wherever OpenRouter and Vercel say what they billed, `reported` says it too."""
    cases = [case for case in _billed() if case["provider"] in ("openrouter", "vercel-gateway")]
    assert len(cases) > 400
    for case in cases:
        assert _ours(case).reported == Decimal(str(case["raw_usage"]["cost"])).normalize()


# Where genai-prices' own data set says otherwise, with who is right and why.
_OTHERWISE = {
    ("openai", "gpt-5.6-sol"): "both: theirs is the launch price, ours today's; we have the history",
    (
        "openai",
        "gpt-oss-120b",
    ): "we: OpenAI sells no access to its open weights, so there is no price of its own",
    ("deepseek", "deepseek-v4-flash"): "both: theirs is of before 2026-08-17, ours today's at noon",
    ("openrouter", "z-ai/glm-4.6"): "both: OpenRouter's price changed since",
    ("mistral", "mistral-medium-latest"): "both: the name stands for a newer and dearer model since",
    (
        "anthropic",
        "claude-sonnet-4-5-20250929",
    ): "both: the surcharge above 200,000 tokens ended on 2026-04-30",
    ("bedrock", "claude-sonnet-4-5-20250929"): "open: AWS still lists the surcharge, which they leave out",
    ("gemini", "gemini-2.5-flash-image"): "they: we do not price pictures, and say so",
    ("gemini", "gemini-3-pro-image-preview"): "they: we do not price pictures, and say so",
    (
        "gemini",
        "gemini-2.5-flash",
    ): "they: one answer tells how many cached tokens were audio, which no usage of ours does",
    ("gemini", "anthropic/claude-sonnet-4.5"): "we: that is an OpenRouter name, which Google does not sell",
}


@requires_shared
def test_genai_prices_own_data_set() -> None:
    """Of its 377 prices of text answers ours is the same to the last digit, but where the table says why not."""
    cases = json.loads(shared("recordings", "_conformance", "cost", "genai_prices_usages.json").read_bytes())[
        "cases"
    ]
    agreed = 0
    otherwise = set()
    for case in cases:
        for extracted in case["extracted"]:
            counts = extracted["usage"]
            for price in extracted["prices"]:
                if price["provider_id"] == "azure" or price["api_flavor"] == "embeddings":
                    continue
                provider, model = _seller(price, case["model"])
                cost = price_usage(_counted(counts, provider), provider=provider, model=model, at=_NOON)
                tools = cost.other or 0
                total = Decimal(price["input_price"]) + Decimal(price["output_price"])
                if cost.total is not None and cost.total - tools == total:
                    agreed += 1
                else:
                    otherwise.add((provider, case["model"]))
    assert otherwise == set(_OTHERWISE)
    assert agreed >= 355


_NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _seller(price: dict[str, Any], model: str) -> tuple[str, str]:
    if price["provider_id"] == "aws":
        return "bedrock", f"us.anthropic.{model}"
    if price["provider_id"] == "google":
        return "vertex" if price["api_flavor"] == "anthropic" else "gemini", model
    return price["provider_id"], model


def _counted(counts: dict[str, int], provider: str) -> Usage:
    read, written, hour = (
        counts.get(name, 0) for name in ("cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
    )
    rest = {"w30m" if provider == "openai" else "w5m": written - hour}
    usage = used(
        counts["input_tokens"] - read - written, read, counts.get("output_tokens", 0), w1h=hour, **rest
    )
    heard = msgspec.structs.replace(
        usage.prompt_tokens_details, audio_tokens=counts.get("input_audio_tokens")
    )
    searches = {"web_search_requests": counts.get("web_searches", 0)}
    return msgspec.structs.replace(usage, prompt_tokens_details=heard, server_tool_use=searches)
