"""Events to OpenAI's chunks: what a streaming caller sees."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final

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

if TYPE_CHECKING:
    from asynccache.stream import Emit

__all__ = ["ChunkWriter"]

_Draw: TypeAlias = Callable[[Any], tuple[Delta, int]]


@final
class ChunkWriter:
    """A machine from events to chunks; the last chunk holds the usage and no choices.

    Args:
        watch: told of every event before its chunk is made.
        broken: told why the answer ended before its end, None when the caller let it go.
    """

    __slots__ = ("_broken", "_created", "_fingerprint", "_id", "_model", "_tier", "_watch")

    def __init__(
        self, watch: Callable[[Event], object], broken: Callable[[BaseException | None], object]
    ) -> None:
        self._watch = watch
        self._broken = broken
        self._id = ""
        self._model = ""
        self._created = 0
        self._tier: str | None = None
        self._fingerprint: str | None = None

    def feed(self, event: Event, emit: Emit[Chunk]) -> None:
        """Make the chunk that *event* stands for, if it stands for one."""
        self._watch(event)
        if type(event) is TextDelta:
            choice = ChunkChoice(delta=Delta(content=event.text), index=event.index)
            emit(self._chunk([choice], event.raw))
        elif type(event) is Started:
            self._start(event, emit)
        elif type(event) is Usage:
            emit(self._chunk([], None, event))
        elif type(event) is Finished:
            choice = ChunkChoice(
                delta=Delta(),
                index=event.index,
                finish_reason=event.reason,
                native_finish_reason=event.native,
            )
            emit(self._chunk([choice], event.raw))
        elif type(event) is LogprobsDelta:
            choice = ChunkChoice(delta=Delta(), index=event.index, logprobs=event.logprobs)
            emit(self._chunk([choice], event.raw))
        else:
            draw = _DRAW.get(type(event))
            if draw is not None:
                delta, index = draw(event)
                emit(self._chunk([ChunkChoice(delta=delta, index=index)], getattr(event, "raw", None)))

    def flush(self, emit: Emit[Chunk]) -> None:
        """Nothing is held back."""

    def interrupted(self, error: BaseException | None, _emit: Emit[Chunk]) -> None:
        """The answer ended before its end."""
        self._broken(error)

    def _start(self, event: Started, emit: Emit[Chunk]) -> None:
        first = not self._created
        self._id = event.id or self._id
        self._model = event.model or self._model
        self._created = event.created or self._created or int(time.time())
        self._tier = event.service_tier or self._tier
        self._fingerprint = event.system_fingerprint or self._fingerprint
        if first:
            emit(self._chunk([ChunkChoice(delta=Delta(role="assistant", content=""))], event.raw))

    def _chunk(self, choices: list[ChunkChoice], raw: Any, usage: Usage | None = None) -> Chunk:
        return Chunk(
            id=self._id,
            choices=choices,
            created=self._created,
            model=self._model,
            usage=usage,
            service_tier=self._tier,
            system_fingerprint=self._fingerprint,
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
