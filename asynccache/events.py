"""What can happen while an answer streams in: one flat, closed union of small frozen Structs."""

from __future__ import annotations

from typing import Any, TypeAlias, final

import msgspec

from asynccache.reply import FinishReason, Usage
from asynccache.request import Recorder

__all__ = [
    "AudioDelta",
    "CitationDelta",
    "Event",
    "Finished",
    "LogprobsDelta",
    "ProviderBlocks",
    "ReasoningDelta",
    "Recorder",
    "RedactedReasoning",
    "RefusalDelta",
    "ReportedUsage",
    "SignatureDelta",
    "Started",
    "TextDelta",
    "ToolCallFragment",
    "Unknown",
    "Usage",
]


@final
class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The provider has begun to answer; the first event of an answer, and the first again where facts come late."""

    id: str = ""
    model: str = ""
    """The model that answers, as the provider names it."""
    created: int = 0
    """Seconds since 1970; 0 where the provider does not say."""
    service_tier: str | None = None
    system_fingerprint: str | None = None
    raw: Any = None


@final
class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the answer's text."""

    text: str
    index: int = 0
    """Which of the ``n`` answers it belongs to."""
    raw: bytes | None = None
    """The provider's own event that it came in."""


@final
class RefusalDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the model's refusal."""

    text: str
    index: int = 0
    raw: bytes | None = None


@final
class ReasoningDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the model's visible reasoning."""

    text: str
    block: int | None = None
    """The position of the thinking block, where reasoning comes in blocks (Anthropic)."""
    index: int = 0
    raw: bytes | None = None


@final
class SignatureDelta(msgspec.Struct, frozen=True, gc=False):
    """The signature of a thinking block, to be sent back with it."""

    signature: str
    block: int
    index: int = 0
    raw: bytes | None = None


@final
class RedactedReasoning(msgspec.Struct, frozen=True, gc=False):
    """A thinking block that only the provider can read, to be sent back as it is."""

    data: str
    block: int
    index: int = 0
    raw: bytes | None = None


@final
class ToolCallFragment(msgspec.Struct, frozen=True, gc=False):
    """A piece of a call of one of the caller's tools; ``id`` and ``name`` come with the first piece."""

    call: int
    """The position among the answer's tool calls, from 0."""
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    index: int = 0
    raw: bytes | None = None
    legacy: bool = False
    """Whether it is OpenAI's former ``function_call``: one call, without an id."""


@final
class CitationDelta(msgspec.Struct, frozen=True):
    """A source that the model names for what it said, in the provider's words."""

    citation: Any
    index: int = 0
    raw: bytes | None = None


@final
class ProviderBlocks(msgspec.Struct, frozen=True):
    """The whole answer in the provider's own blocks and order, where OpenAI's shape cannot say them.

    Comes once, before `Finished`, when the answer holds more than reasoning, text and calls of the
    caller's tools in that order: what the provider's own tools did, for example.
    """

    blocks: list[dict[str, Any]]
    index: int = 0


@final
class AudioDelta(msgspec.Struct, frozen=True):
    """A piece of spoken answer, in the provider's words."""

    audio: dict[str, Any]
    index: int = 0
    raw: bytes | None = None


@final
class LogprobsDelta(msgspec.Struct, frozen=True):
    """Log-probabilities of the tokens just said."""

    logprobs: Any
    index: int = 0
    raw: bytes | None = None


@final
class Finished(msgspec.Struct, frozen=True, gc=False):
    """One answer is complete."""

    reason: FinishReason
    native: str | None = None
    """The provider's own word."""
    index: int = 0
    raw: bytes | None = None


@final
class ReportedUsage(msgspec.Struct, frozen=True):
    """What the provider said about tokens, in its own words; may come often.

    Each field replaces the same field of an earlier one, unless it is null: counts are cumulative.
    """

    raw: Any
    """The provider's usage object, untouched."""
    dialect: str
    """The row of ``usage/fields.py`` that says how its counts are spelled: ``openai``, ``anthropic``,
    ``deepseek``, ``bedrock-converse`` …"""


@final
class Unknown(msgspec.Struct, frozen=True):
    """An event that this version has no name for; nothing is lost."""

    name: str
    raw: Any


Event: TypeAlias = (
    Started
    | TextDelta
    | RefusalDelta
    | ReasoningDelta
    | SignatureDelta
    | RedactedReasoning
    | ToolCallFragment
    | CitationDelta
    | ProviderBlocks
    | AudioDelta
    | LogprobsDelta
    | Finished
    | ReportedUsage
    | Unknown
    | Usage
)
