"""How each provider's prompt cache behaves: facts in tables, each with its source.

Sources: [oai] OpenAI's guide to prompt caching and SDK 3.54.0; [cld] platform.claude.com, build-with-claude/prompt-caching;
[aws] Bedrock's user guide, prompt-caching; [ds] api-docs.deepseek.com, guides/kv_cache; [rec] seen in every recorded
answer that we have, though no page says so.
"""

from __future__ import annotations

import re
from typing import Literal, final

import msgspec

MINUTE = 60
HOUR = 3600

Kind = Literal["automatic", "breakpoints", "marked", "units"]


@final
class CacheRule(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The numbers of one provider's cache for one family of models."""

    kind: Kind
    """automatic: any common prefix; breakpoints, marked: only where one was written; units: whole persisted prefixes."""

    minimum: int
    """Tokens a prefix needs before it is cached at all; shorter ones are silently left out."""

    lifetime: int
    """Seconds an entry lives after the start of the request that wrote or read it, unless its mark says otherwise."""

    step: int = 1
    """Reads are counted down to a multiple of this."""

    interval: int = 1
    """A prefix is found only at multiples of this."""

    lookback: int = 0
    """How far back from a breakpoint a written prefix is looked for: positions (marked) or breakpoints (breakpoints)."""

    max_writes: int = 4
    """Breakpoints that a request can write."""


# --- OpenAI -----------------------------------------------------------------------------------------------------

# [oai] "GPT-5.6 and later": gpt-5.6-*, gpt-6-*, gpt-6.1-*, gpt-6.2-*
_OPENAI_VERSION = re.compile(r"(?:^|[/.])gpt-(\d+)(?:\.(\d+))?(?![\d.]|o)")

OPENAI_BREAKPOINTS = CacheRule(
    kind="breakpoints", minimum=1024, lifetime=30 * MINUTE, lookback=80, max_writes=4
)  # [oai] exact counts, 30m minimum lifetime, the latest 80 breakpoints are considered
OPENAI_IMPLICIT_EXTRA = 3  # [oai] implicit mode: one implicit breakpoint and the latest three explicit ones

# [oai] 1024 tokens, 128-token steps; in_memory is kept for 5-10 minutes without use, 24h where extended retention exists
OPENAI_IN_MEMORY = CacheRule(kind="automatic", minimum=1024, lifetime=10 * MINUTE, step=128)
OPENAI_EXTENDED = CacheRule(kind="automatic", minimum=1024, lifetime=24 * HOUR, step=128)
OPENAI_55 = CacheRule(kind="automatic", minimum=1024, lifetime=24 * HOUR, step=128, interval=2048)
_EXTENDED = ("gpt-5.5", "gpt-5.4", "gpt-5.2", "gpt-5.1", "gpt-5-", "gpt-4.1")
RETENTION = {"in_memory": 10 * MINUTE, "in-memory": 10 * MINUTE, "24h": 24 * HOUR}
OPENAI_TTL = {"30m": 30 * MINUTE, "12h": 12 * HOUR}


def openai_version(model: str) -> tuple[int, int]:
    """(5, 6) for gpt-5.6-sol; (0, 0) for a name that is no GPT with a number."""
    found = _OPENAI_VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def openai_rule(model: str) -> CacheRule:
    """OpenAI's rule for this model."""
    version = openai_version(model)
    if version >= (5, 6):
        return OPENAI_BREAKPOINTS
    if version == (5, 5):
        return OPENAI_55
    extended = model.startswith(_EXTENDED) or model == "gpt-5"
    return OPENAI_EXTENDED if extended else OPENAI_IN_MEMORY


# --- Anthropic --------------------------------------------------------------------------------------------------

ANTHROPIC_TTL = {"5m": 5 * MINUTE, "1h": HOUR}
ANTHROPIC_LOOKBACK = 20  # [cld] block positions, the breakpoint itself being the first

# [cld] minimum cacheable prompt length; the first fragment found in the model's name decides
ANTHROPIC_MINIMUM = (
    ("mythos-preview", 2048),
    ("fable-5", 512),
    ("mythos-5", 512),
    ("sonnet-5-5", 512),
    ("haiku-5-5", 512),
    ("opus-5", 512),
    ("opus-4-8", 1024),
    ("opus-4-7", 2048),
    ("opus-4-6", 4096),
    ("opus-4-5", 4096),
    ("haiku-4-5", 4096),
    ("haiku", 2048),
    ("opus", 1024),
    ("sonnet", 1024),
)
BEDROCK_MINIMUM = (
    ("mythos-preview", 4096),
    ("opus-4-7", 4096),
    *ANTHROPIC_MINIMUM,
)  # [aws] where it deviates
NOVA_MINIMUM = 1024  # [aws] 1K tokens per checkpoint


def anthropic_rule(model: str, minimums: tuple[tuple[str, int], ...] = ANTHROPIC_MINIMUM) -> CacheRule:
    """Anthropic's rule for this model, under whatever name it goes on this platform."""
    name = model.lower().replace(".", "-")
    minimum = next((tokens for fragment, tokens in minimums if fragment in name), 1024)
    return CacheRule(
        kind="marked", minimum=minimum, lifetime=ANTHROPIC_TTL["5m"], lookback=ANTHROPIC_LOOKBACK
    )


# --- DeepSeek ---------------------------------------------------------------------------------------------------

# [ds] units are persisted at the end of the user input, at the end of the output, at common prefixes and at fixed
# intervals (no number is given; 4096 is ours), and live for hours to days (one day is ours).
# [rec] every hit is a multiple of 128 tokens, and the least is 128.
DEEPSEEK = CacheRule(kind="units", minimum=128, lifetime=24 * HOUR, step=128, interval=4096)


def deepseek_rule(_model: str) -> CacheRule:
    """DeepSeek's rule, the same for all its models."""
    return DEEPSEEK
