"""Usages for price tests: written out by bucket, and read from what providers really said."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime
from typing import Any

from asynccache.reply import CacheCreation, CompletionTokensDetails, PromptTokensDetails, Usage
from asynccache.usage.reading import read_usage

_BY_API = {
    "messages": "anthropic",
    "responses": "openai-responses",
    "converse": "bedrock-converse",
    "converse-stream": "bedrock-converse",
    "generate": "gemini",
    "stream-generate": "gemini",
}
_BY_INVOKE_FIELD = {
    "prompt_tokens": "bedrock-invoke-openai",
    "inputTokens": "bedrock-invoke-nova",
    "inputTokenCount": "bedrock-invoke-metrics",
    "input_tokens": "bedrock-invoke-claude",
}


def used(
    uncached: int = 0,
    read: int = 0,
    output: int = 0,
    *,
    w5m: int = 0,
    w30m: int = 0,
    w1h: int = 0,
    w12h: int = 0,
    **more: Any,
) -> Usage:
    """A usage in which every bucket is told."""
    written = w5m + w30m + w1h + w12h
    return Usage(
        prompt_tokens=uncached + read + written,
        completion_tokens=output,
        total_tokens=uncached + read + written + output,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=read, cache_write_tokens=written, uncached_tokens=uncached
        ),
        completion_tokens_details=more.pop("spoken", CompletionTokensDetails()),
        cache_read_input_tokens=read,
        cache_creation_input_tokens=written,
        cache_creation=CacheCreation(
            ephemeral_5m_input_tokens=w5m,
            ephemeral_30m_input_tokens=w30m,
            ephemeral_1h_input_tokens=w1h,
            ephemeral_12h_input_tokens=w12h,
        ),
        source="provider",
        **more,
    )


def recorded(provider: str, api: str, raw: dict[str, Any], **more: Any) -> Usage:
    """The usage that the provider's own object tells."""
    if api.startswith("invoke"):
        dialect = next(name for field, name in _BY_INVOKE_FIELD.items() if field in raw)
    elif (provider, api) == ("deepseek", "chat"):
        dialect = "deepseek"
    else:
        dialect = _BY_API.get(api, "openai")
    return read_usage(raw, dialect, **more)


def answered_at(date: str | None) -> datetime | None:
    """The moment of an HTTP date; None where there is none, or it was blotted out."""
    if not date or "GMT" not in date:
        return None
    return email.utils.parsedate_to_datetime(date).astimezone(UTC)
