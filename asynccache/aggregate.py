"""Stage: an answer's bytes become events; and events become one whole completion."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, ClassVar, final

import msgspec
import orjson

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
    ReportedUsage,
    SignatureDelta,
    Started,
    TextDelta,
    ToolCallFragment,
    Unknown,
    Usage,
)
from asynccache.providers.registry import get
from asynccache.reply import CacheReport, Choice, Completion, Function, Message, ToolCall
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynccache.pipeline import CallNext
    from asynccache.reply import FinishReason
    from asynccache.request import Request
    from asynccache.stream import Stream

__all__ = ["Aggregator", "aggregate"]


async def aggregate(request: Request, call_next: CallNext) -> Stream[Event]:
    """Decode the bytes that come from the transport into events, in the words of the request's provider."""
    stream: Stream[Any] = await call_next(request)
    try:
        decoder = get(request.provider).decoder(request, stream.head)
    except BaseException:
        await stream.aclose()
        raise
    return stream.pipe(decoder)


class _Answer(msgspec.Struct):  # made in half the time of a class with slots
    """What one of the answers has come to so far; pieces are joined once, at the end."""

    reasoning: list[str] = []
    refusal: list[str] = []
    blocks: dict[int, tuple[list[str], list[str]] | dict[str, Any]] = {}
    """Thinking, by position."""
    calls: dict[int, tuple[list[str], list[str], list[str]]] = {}
    """Id, name and arguments, by position."""
    legacy: tuple[list[str], list[str]] | None = None
    """Name and arguments."""
    citations: list[Any] = []
    provider_blocks: list[dict[str, Any]] | None = None
    audio: dict[str, Any] | None = None
    logprobs: dict[str, Any] | None = None
    finish: FinishReason | None = None
    native: str | None = None

    def choice(self, index: int, text: str, *, whole: bool) -> Choice:
        calls, function_call = None, None
        if whole or self.finish is not None:  # half a call is never handed out as a call
            function_call = None if self.legacy is None else _function(*self.legacy)
            calls = self._calls() if self.calls else None
        message = Message(
            content=text if text or not (calls or function_call or self.refusal) else None,
            tool_calls=calls,
            refusal="".join(self.refusal) or None,
            reasoning_content="".join(self.reasoning) or None,
            thinking_blocks=self._thinking() if self.blocks else None,
            citations=self.citations or None,
            provider_blocks=self.provider_blocks,
            audio=self.audio,
            function_call=function_call,
        )
        return Choice(
            index=index,
            message=message,
            finish_reason=self.finish,
            native_finish_reason=self.native,
            logprobs=self.logprobs,
        )

    def _calls(self) -> list[ToolCall]:
        return [
            ToolCall(id="".join(ids), function=_function(names, arguments))
            for _, (ids, names, arguments) in sorted(self.calls.items())
        ]

    def _thinking(self) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        for _, block in sorted(self.blocks.items()):
            if isinstance(block, dict):
                blocks.append(block)
            else:
                thinking, signature = block
                blocks.append(
                    {"type": "thinking", "thinking": "".join(thinking), "signature": "".join(signature)}
                )
        return blocks


@final
class Aggregator:
    """The running whole of one answer: `add` every event, then ask for the `completion`.

    Attributes:
        texts: the pieces of text of each of the answers; who has many to add may append them here.
    """

    def __init__(self) -> None:
        self.id = ""
        self.model = ""
        self.created = 0
        self.service_tier: str | None = None
        self.system_fingerprint: str | None = None
        self.usage: Usage | None = None
        self.unknown: list[Unknown] = []
        self.texts: defaultdict[int, list[str]] = defaultdict(list)
        self._raw: Any = None
        self._answers: dict[int, _Answer] = {}

    @property
    def begun(self) -> bool:
        """Whether the provider has begun to answer."""
        return bool(self._answers or self.texts or self.id or self.model)

    def add(self, event: Event) -> None:
        """Take one event."""
        if type(event) is TextDelta:
            self.texts[event.index].append(event.text)
        else:
            take = self._takers.get(type(event))
            if take is None:
                msg = (
                    f"{type(event).__name__} is no event; a pipeline needs `aggregate`, see default_stages()"
                )
                raise TypeError(msg)
            take(self, event)

    def completion(
        self, *, report: CacheReport | None = None, whole: bool = True, keep_raw: bool = False
    ) -> Completion:
        """All that was said.

        Args:
            report: what became of the caller's cache marks.
            whole: whether the answer came to its end; without it, calls of an unfinished answer are left out.
            keep_raw: whether the first event holds the provider's whole answer.
        """
        return Completion(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=[
                self._answer(index).choice(index, "".join(self.texts[index]), whole=whole)
                for index in sorted({*self._answers, *self.texts})
            ],
            usage=self.usage or Usage(),
            service_tier=self.service_tier,
            system_fingerprint=self.system_fingerprint,
            cache_report=report or CacheReport(),
            raw=_parsed(self._raw) if keep_raw else None,
        )

    def _answer(self, index: int) -> _Answer:
        answer = self._answers.get(index)
        if answer is None:
            answer = self._answers[index] = _Answer()
        return answer

    def _started(self, event: Started) -> None:
        self.id = event.id or self.id
        self.model = event.model or self.model
        self.created = event.created or self.created or int(time.time())
        self.service_tier = event.service_tier or self.service_tier
        self.system_fingerprint = event.system_fingerprint or self.system_fingerprint
        self._raw = event.raw if self._raw is None else self._raw

    def _reasoning(self, event: ReasoningDelta) -> None:
        answer = self._answer(event.index)
        answer.reasoning.append(event.text)
        if event.block is not None:
            self._thinking_block(answer, event.block)[0].append(event.text)

    def _signature(self, event: SignatureDelta) -> None:
        self._thinking_block(self._answer(event.index), event.block)[1].append(event.signature)

    def _thinking_block(self, answer: _Answer, position: int) -> tuple[list[str], list[str]]:
        block = answer.blocks.get(position)
        if not isinstance(block, tuple):
            block = answer.blocks[position] = ([], [])
        return block

    def _redacted(self, event: RedactedReasoning) -> None:
        self._answer(event.index).blocks[event.block] = {"type": "redacted_thinking", "data": event.data}

    def _call(self, event: ToolCallFragment) -> None:
        answer = self._answer(event.index)
        if event.legacy:
            if answer.legacy is None:
                answer.legacy = ([], [])
            answer.legacy[0].append(event.name or "")
            answer.legacy[1].append(event.arguments)
            return
        call = answer.calls.get(event.call)
        if call is None:
            call = answer.calls[event.call] = ([], [], [])
        if event.id:
            call[0].append(event.id)
        if event.name:
            call[1].append(event.name)
        call[2].append(event.arguments)

    def _refusal(self, event: RefusalDelta) -> None:
        self._answer(event.index).refusal.append(event.text)

    def _citation(self, event: CitationDelta) -> None:
        self._answer(event.index).citations.append(event.citation)

    def _provider_blocks(self, event: ProviderBlocks) -> None:
        self._answer(event.index).provider_blocks = event.blocks

    def _audio(self, event: AudioDelta) -> None:
        answer = self._answer(event.index)
        audio = answer.audio or {}
        for name, value in event.audio.items():
            grows = name in {"data", "transcript"} and isinstance(value, str)
            audio[name] = audio.get(name, "") + value if grows else value
        answer.audio = audio

    def _logprobs(self, event: LogprobsDelta) -> None:
        answer = self._answer(event.index)
        if not is_object(event.logprobs):
            return
        merged: dict[str, Any] = answer.logprobs or {}
        for name, value in event.logprobs.items():
            earlier = merged.get(name)
            merged[name] = [*earlier, *value] if is_array(earlier) and is_array(value) else value or earlier
        answer.logprobs = merged

    def _finished(self, event: Finished) -> None:
        answer = self._answer(event.index)
        if answer.finish is None:
            answer.finish, answer.native = event.reason, event.native

    def _usage(self, event: Usage) -> None:
        self.usage = event

    def _reported(self, event: ReportedUsage) -> None:
        """Only a pipeline without ``normalize_usage`` lets it come here; it says nothing of the answer."""

    def _unknown(self, event: Unknown) -> None:
        self.unknown.append(event)

    # In the class, not in each answer: a table of bound methods would be a tenth of an open stream's memory.
    _takers: ClassVar[dict[Any, Callable[[Aggregator, Any], None]]] = {
        Started: _started,
        ReasoningDelta: _reasoning,
        SignatureDelta: _signature,
        RedactedReasoning: _redacted,
        ToolCallFragment: _call,
        RefusalDelta: _refusal,
        CitationDelta: _citation,
        ProviderBlocks: _provider_blocks,
        AudioDelta: _audio,
        LogprobsDelta: _logprobs,
        Finished: _finished,
        Usage: _usage,
        Unknown: _unknown,
        ReportedUsage: _reported,
    }


def _function(names: list[str], arguments: list[str]) -> Function:
    return Function(name="".join(names), arguments="".join(arguments))


def _parsed(raw: Any) -> Any:
    if isinstance(raw, bytes):
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            return raw
    return raw
