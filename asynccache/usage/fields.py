"""How each provider spells its token counts: a table, one row a dialect, and nothing but a table.

A provider that counts in words of its own needs a row here and names it in its `ReportedUsage` events.
Sources are the sections of the wire reference: OpenAI 2.3, Anthropic 1.7, Bedrock 3.4 and 3.5, DeepSeek
4.3, the vendors that speak OpenAI's format 7; and the recorded answers that `tests/usage` reads.
"""

from __future__ import annotations

from typing import TypeAlias, final

import msgspec

__all__ = ["DIALECTS", "SIGNS", "Places", "Spelling"]

Places: TypeAlias = tuple[tuple[str, ...], ...]
"""Where a count may stand in the provider's object; the first place that holds one wins."""


def _at(*dotted: str) -> Places:
    return tuple(tuple(place.split(".")) for place in dotted)


@final
class Spelling(msgspec.Struct, frozen=True, kw_only=True):
    """One dialect: where each count stands, and what the prompt count holds."""

    inclusive: bool
    """Whether *prompt* counts the tokens read from the cache and written to it."""
    total_decides: bool = True
    """Whether a total that adds up only the other way round overrules *inclusive*."""
    prompt: Places
    prompt_also: Places = ()
    """Prompt tokens that the prompt count leaves out."""
    completion: Places
    early_completion: bool = False
    """Whether a stream's first report holds a completion count that is not one yet."""
    total: Places = ()
    read: Places = ()
    written: Places = ()
    lifetimes: tuple[tuple[str, Places], ...] = ()
    """What was written, by lifetime."""
    lifetime_list: Places = ()
    """The same as a list of ``{"ttl": …, "inputTokens": …}``."""
    other_lifetime: str = "5m"
    """The lifetime of written tokens that are in no split."""
    asked_lifetime: bool = False
    """Whether the lifetime that the request asked for comes before *other_lifetime*: no split is ever told."""
    reasoning: Places = ()
    reasoning_apart: bool | None = False
    """Whether the completion count leaves reasoning out; None: the total tells."""
    prompt_parts: tuple[tuple[str, Places], ...] = ()
    """Fields of ``PromptTokensDetails`` beyond the cache."""
    completion_parts: tuple[tuple[str, Places], ...] = ()
    """Fields of ``CompletionTokensDetails`` beyond reasoning."""
    tier: tuple[str, ...] = ("service_tier",)
    """Fields that may name the tier that served the request."""
    server_tools: Places = (("server_tool_use",),)


_CLAUDE_LIFETIMES = (
    ("5m", _at("cache_creation.ephemeral_5m_input_tokens")),
    ("1h", _at("cache_creation.ephemeral_1h_input_tokens")),
)

# A delta brings no split by lifetime, and what it adds comes from server tools, whose breakpoint is 5m.
_ANTHROPIC = Spelling(
    inclusive=False,
    prompt=_at("input_tokens"),
    completion=_at("output_tokens"),
    early_completion=True,
    read=_at("cache_read_input_tokens"),
    written=_at("cache_creation_input_tokens"),
    lifetimes=_CLAUDE_LIFETIMES,
    reasoning=_at("output_tokens_details.thinking_tokens"),
)

_CHAT_PROMPT_PARTS = (
    ("audio_tokens", _at("prompt_tokens_details.audio_tokens")),
    ("image_tokens", _at("prompt_tokens_details.image_tokens")),
    ("text_tokens", _at("prompt_tokens_details.text_tokens")),
)
_CHAT_COMPLETION_PARTS = (
    ("audio_tokens", _at("completion_tokens_details.audio_tokens")),
    ("text_tokens", _at("completion_tokens_details.text_tokens")),
    ("accepted_prediction_tokens", _at("completion_tokens_details.accepted_prediction_tokens")),
    ("rejected_prediction_tokens", _at("completion_tokens_details.rejected_prediction_tokens")),
)

# OpenAI and all that speak its format. Chat has no split by lifetime: 30m unless the request asked for 12h.
_OPENAI = Spelling(
    inclusive=True,  # but some gateways leave the cache out of the prompt and in the total (Portkey)
    prompt=_at("prompt_tokens", "input_tokens"),  # gateways that put Anthropic's counts into the chat format
    completion=_at("completion_tokens", "output_tokens"),
    total=_at("total_tokens"),
    read=_at(
        "prompt_tokens_details.cached_tokens",  # OpenAI, Azure, xAI, Groq, Mistral, Qwen, OpenRouter, vLLM …
        "cached_tokens",  # Moonshot's older models, Together
        "prompt_cache_hit_tokens",  # DeepSeek's models behind other servers
        "cache_read_input_tokens",  # Databricks, Venice, LiteLLM's proxy
    ),
    written=_at(
        "prompt_tokens_details.cache_write_tokens",
        "prompt_tokens_details.cache_creation_input_tokens",  # Qwen
        "prompt_tokens_details.cache_creation_tokens",  # LiteLLM's proxy
        "cache_creation_input_tokens",  # Databricks, Vercel's gateway, LiteLLM's proxy
        "cache_write_tokens",  # Moonshot
    ),
    lifetimes=(
        # Qwen and LiteLLM beneath the details; proxies that speak for Claude, ours among them, beside the counts
        (
            "5m",
            _at(
                "prompt_tokens_details.cache_creation.ephemeral_5m_input_tokens",
                "prompt_tokens_details.cache_creation_token_details.ephemeral_5m_input_tokens",
                "cache_creation.ephemeral_5m_input_tokens",
            ),
        ),
        ("30m", _at("cache_creation.ephemeral_30m_input_tokens")),
        (
            "1h",
            _at(
                "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
                "cache_creation.ephemeral_1h_input_tokens",
            ),
        ),
        ("12h", _at("cache_creation.ephemeral_12h_input_tokens")),
    ),
    other_lifetime="30m",
    asked_lifetime=True,
    reasoning=_at("completion_tokens_details.reasoning_tokens", "reasoning_tokens"),
    reasoning_apart=None,  # xAI counts reasoning in the total only
    prompt_parts=_CHAT_PROMPT_PARTS,
    completion_parts=_CHAT_COMPLETION_PARTS,
    server_tools=_at("server_tool_use", "server_tool_use_details"),  # the latter OpenRouter
)

_RESPONSES = Spelling(
    inclusive=True,
    prompt=_at("input_tokens"),
    completion=_at("output_tokens"),
    total=_at("total_tokens"),
    read=_at("input_tokens_details.cached_tokens", "input_tokens_details.cache_read_input_tokens"),
    written=_at("input_tokens_details.cache_write_tokens"),
    lifetimes=(
        ("30m", _at("input_tokens_details.cache_write_tokens_details.ttl_30m_tokens")),
        ("12h", _at("input_tokens_details.cache_write_tokens_details.ttl_12h_tokens")),
    ),
    other_lifetime="30m",
    asked_lifetime=True,
    reasoning=_at("output_tokens_details.reasoning_tokens"),
    reasoning_apart=None,
)

_DEEPSEEK = Spelling(
    inclusive=True,
    prompt=_at("prompt_tokens"),
    completion=_at("completion_tokens"),
    total=_at("total_tokens"),
    read=_at("prompt_cache_hit_tokens", "prompt_tokens_details.cached_tokens"),
    reasoning=_at("completion_tokens_details.reasoning_tokens"),
)

_CONVERSE = Spelling(
    inclusive=False,  # a stream that counts the cache in is seen by its total
    prompt=_at("inputTokens"),
    completion=_at("outputTokens"),
    total=_at("totalTokens"),
    read=_at("cacheReadInputTokens", "cacheReadInputTokenCount"),
    written=_at("cacheWriteInputTokens", "cacheWriteInputTokenCount"),
    lifetime_list=_at("cacheDetails"),
    tier=("serviceTier",),
    server_tools=_at("serverToolUsage"),
)

_INVOKE_CLAUDE = msgspec.structs.replace(
    _ANTHROPIC,
    # The invocation metrics stand beside Anthropic's own counts, and alone where a family tells nothing else.
    prompt=_at("input_tokens", "inputTokenCount"),
    completion=_at("output_tokens", "outputTokenCount"),
    read=_at("cache_read_input_tokens", "cacheReadInputTokenCount"),
    written=_at("cache_creation_input_tokens", "cacheWriteInputTokenCount"),
)

_INVOKE_NOVA = msgspec.structs.replace(
    _CONVERSE,
    prompt=_at("inputTokens", "inputTokenCount"),
    completion=_at("outputTokens", "outputTokenCount"),
)

_GEMINI = Spelling(
    inclusive=True,
    total_decides=False,  # the total counts thoughts and tool prompts as well
    prompt=_at("promptTokenCount"),
    prompt_also=_at("toolUsePromptTokenCount"),
    completion=_at("candidatesTokenCount"),
    total=_at("totalTokenCount"),
    read=_at("cachedContentTokenCount"),
    reasoning=_at("thoughtsTokenCount"),
    reasoning_apart=True,
    tier=("serviceTier", "trafficType"),
)

DIALECTS: dict[str, Spelling] = {
    "openai": _OPENAI,
    "openai-responses": _RESPONSES,
    "anthropic": _ANTHROPIC,
    "deepseek": _DEEPSEEK,
    "bedrock-converse": _CONVERSE,
    # ConverseStream of OpenAI's models counts the cache in and adds it to the total once more
    # (maximhq/bifrost#6942), so that no sum can show it: the provider names this row by the model.
    "bedrock-converse-inclusive": msgspec.structs.replace(
        _CONVERSE, inclusive=True, total_decides=False, other_lifetime="30m"
    ),
    "bedrock-invoke-claude": _INVOKE_CLAUDE,
    "bedrock-invoke-nova": _INVOKE_NOVA,
    # The counts that Bedrock itself adds to a stream of any family.
    "bedrock-invoke-metrics": msgspec.structs.replace(_INVOKE_CLAUDE, early_completion=False),
    "bedrock-invoke-openai": _OPENAI,
    "gemini": _GEMINI,
}
"""Every dialect by the name that `ReportedUsage.dialect` gives it."""

SIGNS: tuple[tuple[str, str], ...] = (
    ("prompt_tokens", "openai"),
    ("input_tokens_details", "openai-responses"),
    ("cache_read_input_tokens", "anthropic"),
    ("cache_creation_input_tokens", "anthropic"),
    ("total_tokens", "openai-responses"),
    ("input_tokens", "anthropic"),
    ("inputTokens", "bedrock-converse"),
    ("inputTokenCount", "bedrock-invoke-metrics"),
    ("promptTokenCount", "gemini"),
)
"""By what field a usage object shows its dialect where nobody names it; the first that it has decides."""
