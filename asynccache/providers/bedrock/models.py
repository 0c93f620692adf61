"""What is known of Bedrock's models: who made them, and what their prompt caches and parameters take.

Sources: facts of https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html (lifetimes, places of
checkpoints) and .../conversation-inference-supported-models-features.html (tool choice), state of 2026-11.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, TypeAlias, final

import msgspec

from asynccache.providers.anthropic.rules import facts_of
from asynccache.providers.base import CacheRules

__all__ = ["UNMARKABLE", "BedrockModel", "Route", "cache_rules", "read_model"]

Route: TypeAlias = Literal["converse", "invoke"]

# Inference profiles put where they route to before the model's own id.
_PROFILE = re.compile(r"^(?:us|us-gov|eu|apac|ap|au|jp|ca|sa|af|me|il|in|global)\.(?=[a-z0-9]+\.)")
_OPAQUE = re.compile(
    r":(?:application-inference-profile|provisioned-model|custom-model(?:-deployment)?|imported-model)/"
)


@final
class BedrockModel(msgspec.Struct, frozen=True, gc=False):
    """A model as its caller named it, read."""

    route: Route
    id: str
    """The model id, inference profile or ARN, as it goes into the address."""
    vendor: str
    """Who made it: ``anthropic``, ``amazon``, ``meta`` …; empty where an ARN does not tell."""
    name: str
    """Its name without profile, vendor and ARN: ``claude-sonnet-4-5-20250929-v1:0``."""

    @property
    def is_claude(self) -> bool:
        """Whether Anthropic's fields mean something to it."""
        return self.vendor == "anthropic"


@lru_cache(maxsize=256)
def read_model(model_id: str) -> BedrockModel:
    """The model after ``bedrock/``: ``converse/…``, ``invoke/…``, or an id alone, which is Converse's."""
    first, slash, rest = model_id.partition("/")
    route: Route = "invoke" if slash and first == "invoke" else "converse"
    if slash and first in {"converse", "invoke"}:
        model_id = rest
    plain = model_id
    if plain.startswith("arn:"):
        plain = "" if _OPAQUE.search(plain) else plain.rpartition("/")[2]
    vendor, dot, name = _PROFILE.sub("", plain).partition(".")
    if not dot:
        return BedrockModel(route, model_id, "", plain)
    return BedrockModel(route, model_id, vendor, name)


_FIVE_MINUTES = frozenset({"5m"})
_CLAUDE_1H = CacheRules(style="blocks", automatic="explicit", mid_system=False)
_CLAUDE_5M = msgspec.structs.replace(_CLAUDE_1H, ttls=_FIVE_MINUTES)
_NOVA = CacheRules(
    style="blocks",
    ttls=_FIVE_MINUTES,
    tools=False,
    tool_results=False,
    text_only=True,
    automatic="explicit",
    mid_system=False,
)
# Converse refuses a checkpoint directly behind these; the block that a part becomes is not known before it is encoded.
UNMARKABLE = frozenset({"document", "file", "video", "video_url"})
_NO_CACHE = CacheRules(style="none", reason="this model has no prompt caching on Bedrock", mid_system=False)
_GPT = CacheRules(
    style="none",
    reason="OpenAI's models on Bedrock take cache marks over the Responses API only",
    mid_system=False,
)

# The first row that fits a model's vendor and name. Claude before 3.5 v2 has no caching; an hour came with 4.5.
_CACHE: tuple[tuple[str, str, CacheRules], ...] = (
    ("anthropic", r"claude-(?:v|instant|3-(?:opus|sonnet|haiku)|3-5-sonnet-20240620)", _NO_CACHE),
    ("anthropic", r"claude-(?:3-|(?:sonnet|opus)-4-2|opus-4-1-)", _CLAUDE_5M),
    ("anthropic", r"", _CLAUDE_1H),
    ("amazon", r"nova-(?:2-)?(?:micro|lite|pro|premier)", _NOVA),
    ("openai", r"", _GPT),
    ("", r"", _CLAUDE_1H),  # an ARN that hides its model: the caller who marks it knows
)


@lru_cache(maxsize=256)
def cache_rules(model: BedrockModel) -> CacheRules:
    """What the model's prompt cache takes, and where its conversations take system messages."""
    rules = next(
        (
            rules
            for vendor, pattern, rules in _CACHE
            if model.vendor == vendor and re.match(pattern, model.name)
        ),
        _NO_CACHE,
    )
    if model.is_claude and facts_of(model.name).mid_system:
        return msgspec.structs.replace(rules, mid_system=True, strict_mid_system=True)
    return rules
