"""DeepSeek: OpenAI's chat format, a cache without marks, reasoning that is sent back on tool turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynccache.providers.base import CacheRules
from asynccache.providers.openai import ChatProfile, OpenAIChat

if TYPE_CHECKING:
    from asynccache.request import Request

__all__ = ["provider"]

# api-docs.deepseek.com, chat completion reference; facts/wire.md §4.
_PARAMS = frozenset(
    [
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "stop",
        "stream_options",
        "temperature",
        "thinking",
        "tool_choice",
        "top_logprobs",
        "top_p",
        "user",
        "user_id",
        "parallel_tool_calls",
        "seed",
        "metadata",
    ]
)
_RULES = CacheRules(style="none", reason="DeepSeek caches by itself and takes no marks")


def _rules(_request: Request, _profile: ChatProfile) -> CacheRules:
    return _RULES


def _adapt(body: dict[str, Any], _request: Request) -> None:
    """``user`` is never made ``user_id``: that would split the cache by user (facts/wire.md §4.2)."""
    if "max_completion_tokens" in body:
        body.setdefault("max_tokens", body["max_completion_tokens"])
        del body["max_completion_tokens"]
    if body.get("reasoning_effort") == "none":
        del body["reasoning_effort"]
        body.setdefault("thinking", {"type": "disabled"})
    messages = body["messages"]
    for position, message in enumerate(messages):
        mended = _mended(message)
        if mended is not message:
            if messages is body["messages"]:
                messages = list(messages)
            messages[position] = mended
    body["messages"] = messages


def _mended(message: Any) -> Any:
    """*message* as DeepSeek takes it: it knows no developer, and no null beside tool calls."""
    role = message.get("role")
    if role == "developer":
        return {**message, "role": "system"}
    if role == "assistant" and message.get("content") is None and message.get("tool_calls"):
        return {**message, "content": ""}
    return message


provider = OpenAIChat(
    ChatProfile(
        name="deepseek",
        base="https://api.deepseek.com",
        base_variables=("DEEPSEEK_BASE_URL", "DEEPSEEK_API_BASE"),
        key_variables=("DEEPSEEK_API_KEY",),
        official=("deepseek.com",),
        dialect="deepseek",
        needs_done=True,
        params=_PARAMS,
        cache_rules=_rules,
        replays_reasoning=True,
        adapt=_adapt,
    )
)
