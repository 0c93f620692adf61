"""What each Claude model takes: a table, and the cache rules that follow from it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, final

import msgspec

from asynccache.providers.base import CacheRules

__all__ = ["ModelFacts", "facts_of", "rules_of"]


@final
class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How one model is asked, where models differ."""

    max_tokens: int = 64_000
    """Sent where the caller gives none: Anthropic wants one, and every model from 4.5 on takes this much."""
    thinking: Literal["none", "budget", "adaptive"] = "adaptive"
    """How it is told to think: not at all, by a number of tokens, or by effort."""
    no_thinking: str | None = "disabled"
    """The type of ``thinking`` that turns it off; ``""`` where it is off unless asked, None where it cannot be."""
    sampling: bool = False
    """Whether it takes other temperatures than 1, and the like."""
    mid_system: bool = True
    """Whether a system message may stand between others."""


# platform.claude.com/docs/en/models/*/overview and about-claude/models/migration; facts/wire.md §1.1, §1.5, §1.10.
# Before 4.5 the prompt and max_tokens together must fit the window, so the default leaves room for the prompt.
_CLAUDE_3 = ModelFacts(max_tokens=4096, thinking="none", no_thinking="", sampling=True, mid_system=False)
_CLAUDE_3_5 = msgspec.structs.replace(_CLAUDE_3, max_tokens=8192)
_CLAUDE_4 = msgspec.structs.replace(_CLAUDE_3, max_tokens=32_000, thinking="budget")
_CLAUDE_4_5 = msgspec.structs.replace(_CLAUDE_4, max_tokens=64_000)
_CLAUDE_4_6 = msgspec.structs.replace(_CLAUDE_4_5, thinking="adaptive")
_CLAUDE_4_7 = msgspec.structs.replace(_CLAUDE_4_6, sampling=False)
_ALWAYS_THINKS = ModelFacts(no_thinking=None)

_FACTS: dict[str, ModelFacts] = {
    "claude-2": _CLAUDE_3,
    "claude-2-0": _CLAUDE_3,
    "claude-2-1": _CLAUDE_3,
    "claude-instant-1-2": _CLAUDE_3,
    "claude-3-haiku": _CLAUDE_3,
    "claude-3-sonnet": _CLAUDE_3,
    "claude-3-opus": _CLAUDE_3,
    "claude-3-5-haiku": _CLAUDE_3_5,
    "claude-3-5-sonnet": _CLAUDE_3_5,
    "claude-3-7-sonnet": _CLAUDE_4,
    "claude-sonnet-4": _CLAUDE_4,
    "claude-4-sonnet": _CLAUDE_4,
    "claude-opus-4": _CLAUDE_4,
    "claude-4-opus": _CLAUDE_4,
    "claude-opus-4-1": _CLAUDE_4,
    "claude-sonnet-4-5": _CLAUDE_4_5,
    "claude-haiku-4-5": _CLAUDE_4_5,
    "claude-opus-4-5": _CLAUDE_4_5,
    "claude-sonnet-4-6": _CLAUDE_4_6,
    "claude-opus-4-6": _CLAUDE_4_6,
    "claude-opus-4-7": _CLAUDE_4_7,
    "claude-opus-4-8": msgspec.structs.replace(_CLAUDE_4_7, mid_system=True),
    "claude-mythos-preview": msgspec.structs.replace(_CLAUDE_4_7, no_thinking=None),
    "claude-sonnet-5": ModelFacts(mid_system=False),
    "claude-opus-5": ModelFacts(),
    "claude-haiku-5-5": ModelFacts(),
    "claude-sonnet-5-5": ModelFacts(no_thinking="between_tools"),
    "claude-opus-5-5": _ALWAYS_THINKS,
    "claude-fable-5": _ALWAYS_THINKS,
    "claude-fable-5-1": _ALWAYS_THINKS,
    "claude-fable-5-2": _ALWAYS_THINKS,
    "claude-mythos-5": _ALWAYS_THINKS,
    "claude-mythos-5-1": _ALWAYS_THINKS,
    "claude-mythos-5-2": _ALWAYS_THINKS,
}
# A model that is not in the table is taken for a new one; what it may refuse is not taken for granted.
_UNKNOWN = ModelFacts(no_thinking="disabled", sampling=True, mid_system=False)

# A date, "latest", Bedrock's and Vertex's versions behind the name.
_SUFFIX = re.compile(r"(?:-0)?(?:[-@]\d{8}|-latest|@default|@latest)?(?:-v\d+)?(?::\S*)?(?:\[\S*\])?$")


@lru_cache(maxsize=256)
def facts_of(model: str) -> ModelFacts:
    """The facts of *model*, as Anthropic, Bedrock or Vertex name it."""
    start = model.lower().find("claude-")
    name = model.lower()[max(start, 0) :].replace(".", "-")
    if name in _FACTS:
        return _FACTS[name]
    return _FACTS.get(_SUFFIX.sub("", name, count=1), _UNKNOWN)


@lru_cache(maxsize=256)
def rules_of(model: str) -> CacheRules:
    """The cache rules of *model* on Anthropic's own API; facts/wire.md §1.2, §1.3, §1.5."""
    mid_system = facts_of(model).mid_system
    return CacheRules(style="blocks", automatic="native", mid_system=mid_system, strict_mid_system=mid_system)
