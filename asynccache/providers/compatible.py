"""Providers that speak OpenAI's chat format: one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynccache.providers.base import CacheRules
from asynccache.providers.openai import ChatProfile, OpenAIChat

if TYPE_CHECKING:
    from asynccache.request import Request

__all__ = ["ROWS", "compatible"]

# name: address, variable of the key, usage dialect, whether it caches by marks of its own ("keeps")
# or takes none ("strips"). Sources: facts/wire.md §7 and the vendors' API references.
ROWS: dict[str, tuple[str, str, str, str]] = {
    "cerebras": ("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "openai", "strips"),
    "dashscope": (
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_KEY",
        "openai",
        "keeps",
    ),
    "fireworks": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "openai", "strips"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY", "openai", "strips"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY", "openai", "strips"),
    "moonshot": ("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", "openai", "strips"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openai", "keeps"),
    "together": ("https://api.together.xyz/v1", "TOGETHER_API_KEY", "openai", "strips"),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY", "openai", "strips"),
    "zai": ("https://api.z.ai/api/paas/v4", "ZAI_API_KEY", "openai", "strips"),
}

_STRIPS = CacheRules(
    style="none",
    reason="this provider caches by itself and takes no marks",
    params=frozenset({"prompt_cache_key"}),
)
_KEEPS = CacheRules(
    style="kept", params=frozenset({"prompt_cache_key", "prompt_cache_options", "prompt_cache_breakpoint"})
)


def compatible(name: str) -> OpenAIChat:
    """The provider of row *name*."""
    base, key, dialect, marks = ROWS[name]
    variable = name.upper()
    rules = _KEEPS if marks == "keeps" else _STRIPS

    def cache_rules(_request: Request, _profile: ChatProfile) -> CacheRules:
        return rules

    return OpenAIChat(
        ChatProfile(
            name=name,
            base=base,
            base_variables=(f"{variable}_BASE_URL", f"{variable}_API_BASE"),
            key_variables=(key,),
            dialect=dialect,
            cache_rules=cache_rules,
            replays_reasoning=True,
        )
    )
