"""How a simulated provider behaves when a request asks for nothing special."""

from __future__ import annotations

from typing import final

import msgspec


@final
class SimulatorSettings(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """The pace and size of answers; the defaults are as fast as the loop allows, which is what tests want."""

    rate: float | None = None
    """Tokens a second; None = no waiting between events."""

    latency: float = 0.0
    """Seconds before the first event (or before the whole body, to which the writing time is added)."""

    answer_tokens: int = 48
    """How long a filler answer is."""

    thinking_tokens: int = 24
    """How long a model thinks, where it thinks."""

    answer: str | None = None
    """The text of every answer, instead of the filler."""

    max_body: int = 32 * 1024 * 1024
    """A larger request body is refused with 413 (Anthropic's limit)."""

    def __post_init__(self) -> None:
        if self.rate is not None and self.rate <= 0:
            raise ValueError(f"rate={self.rate!r}: tokens a second must be above 0, or None for no waiting")
        if self.latency < 0 or self.answer_tokens < 0 or self.thinking_tokens < 0:
            raise ValueError("latency, answer_tokens and thinking_tokens cannot be negative")
