"""Events to OpenAI's chunks: what a streaming caller sees."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, final

from asynccache.events import (
    AudioDelta,
    CitationDelta,
    Event,
    Finished,
    LogprobsDelta,
    ProviderBlocks,
    ReasoningDelta,
    RedactedReasoning,
    RefusalDelta,
    SignatureDelta,
    Started,
    TextDelta,
    ToolCallFragment,
    Usage,
)
from asynccache.reply import Chunk, ChunkChoice, Delta, FunctionDelta, ToolCallDelta

__all__ = ["ChunkWriter"]

_Draw: TypeAlias = Callable[[Any], tuple[Delta, int]]


@final
class ChunkWriter:
    """Makes the chunk that an event stands for; the last chunk holds the usage and no choices."""

    __slots__ = ("created", "fingerprint", "id", "model", "tier")

    def __init__(self) -> None:
        self.id = ""
        self.model = ""
        self.created = 0
        self.tier: str | None = None
        self.fingerprint: str | None = None

    def write(self, event: Event) -> Chunk | None:
        """The chunk for *event*; None for an event that OpenAI's format has no chunk for."""
        if type(event) is TextDelta:
            choice = ChunkChoice(Delta(event.text), event.index)
            return self._chunk([choice], event.raw)
        if type(event) is Started:
            return self._start(event)
        if type(event) is Usage:
            return self.last(event)
        if type(event) is Finished:
            choice = ChunkChoice(
                Delta(), event.index, finish_reason=event.reason, native_finish_reason=event.native
            )
            return self._chunk([choice], event.raw)
        if type(event) is LogprobsDelta:
            return self._chunk([ChunkChoice(Delta(), event.index, logprobs=event.logprobs)], event.raw)
        draw = _DRAW.get(type(event))
        if draw is None:
            return None
        delta, index = draw(event)
        return self._chunk([ChunkChoice(delta, index)], getattr(event, "raw", None))

    def last(self, usage: Usage) -> Chunk:
        """The last chunk: the usage, and no choices."""
        return self._chunk([], None, usage)

    def _start(self, event: Started) -> Chunk | None:
        first = not self.created
        self.id = event.id or self.id
        self.model = event.model or self.model
        self.created = event.created or self.created or int(time.time())
        self.tier = event.service_tier or self.tier
        self.fingerprint = event.system_fingerprint or self.fingerprint
        return self._chunk([ChunkChoice(Delta("", "assistant"))], event.raw) if first else None

    def _chunk(self, choices: list[ChunkChoice], raw: Any, usage: Usage | None = None) -> Chunk:
        return Chunk(
            self.id,
            choices,
            self.created,
            self.model,
            usage=usage,
            service_tier=self.tier,
            system_fingerprint=self.fingerprint,
            raw=raw,
        )


def _reasoning(event: ReasoningDelta) -> tuple[Delta, int]:
    blocks = None if event.block is None else [{"type": "thinking", "thinking": event.text}]
    return Delta(reasoning_content=event.text, thinking_blocks=blocks), event.index


def _signature(event: SignatureDelta) -> tuple[Delta, int]:
    block = {"type": "thinking", "thinking": "", "signature": event.signature}
    return Delta(thinking_blocks=[block]), event.index


def _redacted(event: RedactedReasoning) -> tuple[Delta, int]:
    return Delta(thinking_blocks=[{"type": "redacted_thinking", "data": event.data}]), event.index


def _call(event: ToolCallFragment) -> tuple[Delta, int]:
    function = FunctionDelta(name=event.name, arguments=event.arguments)
    if event.legacy:
        return Delta(function_call=function), event.index
    kind: Literal["function"] | None = "function" if event.id is not None else None
    return Delta(
        tool_calls=[ToolCallDelta(index=event.call, id=event.id, function=function, type=kind)]
    ), event.index


def _refusal(event: RefusalDelta) -> tuple[Delta, int]:
    return Delta(refusal=event.text), event.index


def _citation(event: CitationDelta) -> tuple[Delta, int]:
    return Delta(citations=[event.citation]), event.index


def _provider_blocks(event: ProviderBlocks) -> tuple[Delta, int]:
    return Delta(provider_blocks=event.blocks), event.index


def _audio(event: AudioDelta) -> tuple[Delta, int]:
    return Delta(audio=event.audio), event.index


_DRAW: dict[Any, _Draw] = {
    ReasoningDelta: _reasoning,
    SignatureDelta: _signature,
    RedactedReasoning: _redacted,
    ToolCallFragment: _call,
    RefusalDelta: _refusal,
    CitationDelta: _citation,
    ProviderBlocks: _provider_blocks,
    AudioDelta: _audio,
}
