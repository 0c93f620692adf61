"""The cache rules of every target that the shared translation cases name."""

from __future__ import annotations

from asynccache.providers.base import CacheRules

CLAUDE = CacheRules(style="blocks", automatic="native", mid_system=False)
NEW_CLAUDE = CacheRules(style="blocks", automatic="native", strict_mid_system=True)
ON_BEDROCK = CacheRules(style="blocks", automatic="explicit", mid_system=False)
NOVA = CacheRules(
    style="blocks",
    ttls=frozenset(),
    tools=False,
    tool_results=False,
    text_only=True,
    automatic="explicit",
    mid_system=False,
)
OPENAI = CacheRules(
    style="parts",
    ttls=frozenset({"30m", "12h"}),
    tools=False,
    ordered_ttls=False,
    params=frozenset(
        {"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "prompt_cache_breakpoint"}
    ),
)
OLD_OPENAI = CacheRules(style="none", reason="it caches by itself", params=OPENAI.params)
NO_MARKS = CacheRules(style="none", reason="it takes no marks")
GATEWAY = CacheRules(style="kept", params=OPENAI.params)

ALL = {
    "anthropic": CLAUDE,
    "converse": ON_BEDROCK,
    "invoke": ON_BEDROCK,
    "nova": NOVA,
    "llama": NO_MARKS,
    "deepseek": NO_MARKS,
    "openai_real": OLD_OPENAI,
    "openai_custom_base": OLD_OPENAI,
    "openai_gpt56": OPENAI,
}
