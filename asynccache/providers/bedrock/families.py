"""Which family of bodies a model speaks over InvokeModel: a table, one row a family.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from asynccache.errors import InvalidRequestError
from asynccache.providers.bedrock.converse_answer import ConverseReader
from asynccache.providers.bedrock.invoke_answer import (
    ChatReader,
    ChunkReader,
    ClaudeReader,
    NovaReader,
    TextFamily,
    TextReader,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.providers.bedrock.answer import Reader
    from asynccache.providers.bedrock.models import BedrockModel
    from asynccache.stream import Head

__all__ = ["Family", "family_of", "reader_of"]

Family: TypeAlias = Literal[
    "claude",
    "cohere",
    "command",
    "deepseek",
    "jurassic",
    "llama2",
    "llama3",
    "llama4",
    "mistral",
    "nova",
    "openai",
    "titan",
]

# The first row that fits a model's vendor and name.
_ROWS: tuple[tuple[str, str, Family], ...] = (
    ("anthropic", r"", "claude"),
    ("", r"", "claude"),  # an ARN that hides its model
    ("amazon", r"nova-", "nova"),
    ("amazon", r"titan-(?:text-|tg1-)", "titan"),
    ("meta", r"llama2-", "llama2"),
    ("meta", r"llama3-", "llama3"),
    ("meta", r"llama", "llama4"),
    ("mistral", r"(?:mistral-7b|mixtral-8x7b|mistral-small-2402|mistral-large-2402)", "mistral"),
    ("ai21", r"jamba-", "openai"),
    ("ai21", r"j2-", "jurassic"),
    ("cohere", r"command-r", "cohere"),
    ("cohere", r"command-", "command"),
    ("deepseek", r"r1", "deepseek"),
    ("deepseek", r"v", "openai"),
    ("google", r"gemma", "openai"),
    ("minimax", r"", "openai"),
    ("mistral", r"", "openai"),
    ("moonshot", r"", "openai"),
    ("moonshotai", r"", "openai"),
    ("nvidia", r"", "openai"),
    ("openai", r"", "openai"),
    ("qwen", r"", "openai"),
    ("writer", r"palmyra", "openai"),
    ("xai", r"grok", "openai"),
    ("zai", r"", "openai"),
)

_LLAMA = TextFamily(
    text=(("generation",),),
    reason=(("stop_reason",),),
    prompt=(("prompt_token_count",),),
    completion=(("generation_token_count",),),
)
# Command's events and answers hold the text at the top, the older ones' answers in a list.
_COHERE = TextFamily(
    text=(("text",), ("generations", 0, "text")),
    reason=(("finish_reason",), ("generations", 0, "finish_reason")),
)
# What Claude 2 and Claude Instant answer to a prompt, before there were messages.
_COMPLETIONS = TextFamily(text=(("completion",),), reason=(("stop_reason",),))
_TEXT_FAMILIES: dict[Family, TextFamily] = {
    "cohere": _COHERE,
    "command": _COHERE,
    "deepseek": TextFamily(text=(("choices", 0, "text"),), reason=(("choices", 0, "stop_reason"),)),
    "jurassic": TextFamily(
        text=(("completions", 0, "data", "text"),), reason=(("completions", 0, "finishReason", "reason"),)
    ),
    "llama2": _LLAMA,
    "llama3": _LLAMA,
    "llama4": _LLAMA,
    "mistral": TextFamily(text=(("outputs", 0, "text"),), reason=(("outputs", 0, "stop_reason"),)),
    "titan": TextFamily(
        text=(("outputText",), ("results", 0, "outputText")),
        reason=(("completionReason",), ("results", 0, "completionReason")),
        prompt=(("inputTextTokenCount",),),
        completion=(("results", 0, "tokenCount"),),
    ),
}


def family_of(model: BedrockModel) -> Family:
    """The family of *model*.

    Raises:
        InvalidRequestError: its body is none that is known here.
    """
    for vendor, pattern, family in _ROWS:
        if model.vendor == vendor and re.match(pattern, model.name):
            return family
    known = ", ".join(sorted({vendor for vendor, _, _ in _ROWS if vendor}))
    msg = f"no InvokeModel body is known for {model.id!r} (known: {known}); ask it as bedrock/converse/{model.id}"
    raise InvalidRequestError(msg)


def reader_of(model: BedrockModel, head: Head, *, stream: bool) -> Reader:
    """Who reads the model's answers."""
    told_id = head.request_id or ""
    if model.route == "converse":
        # ConverseStream of OpenAI's newer models counts the cache into the input (maximhq/bifrost#6942).
        suspect = stream and model.vendor == "openai" and not model.name.startswith("gpt-oss")

        def dialect(usage: Mapping[str, Any]) -> str:
            return "bedrock-converse-inclusive" if suspect and _can_hold_cache(usage) else "bedrock-converse"

        return ConverseReader(answer_id=told_id, model=model.id, dialect=dialect)
    family = family_of(model)
    if family == "claude":
        return ChunkReader(ClaudeReader(TextReader(_COMPLETIONS, head, model.id), head))
    if family == "openai":
        return ChunkReader(ChatReader(head))
    if family == "nova":
        inner = ConverseReader(answer_id=told_id, model=model.id, dialect=lambda _: "bedrock-invoke-nova")
        return ChunkReader(NovaReader(inner))
    return ChunkReader(TextReader(_TEXT_FAMILIES[family], head, model.id))


def _can_hold_cache(usage: Mapping[str, Any]) -> bool:
    """Whether the input is large enough to have the cache in it: with the bug it always is, without it hardly ever."""
    names = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    counts = [usage.get(name) or 0 for name in names]
    return all(type(count) is int for count in counts) and counts[0] >= counts[1] + counts[2]
