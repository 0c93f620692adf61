"""What Converse says, streamed as events or whole, in this library's events; Nova's Invoke says it the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import orjson

from asynccache.errors import InvalidResponseError, StreamInterruptedError
from asynccache.events import (
    CitationDelta,
    Finished,
    ProviderBlocks,
    ReasoningDelta,
    RedactedReasoning,
    ReportedUsage,
    SignatureDelta,
    Started,
    TextDelta,
    ToolCallFragment,
    Unknown,
    Usage,
)
from asynccache.providers.bedrock.answer import excerpt
from asynccache.providers.bedrock.converse_wire import Reasoning, decode_delta, decode_text, read_json
from asynccache.providers.bedrock.failures import failure_of_answer
from asynccache.shapes import is_object
from asynccache.stream import outlet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asynccache.events import Event
    from asynccache.reply import FinishReason
    from asynccache.stream import Emit

__all__ = ["ConverseReader"]

# Why it stopped, in OpenAI's words; facts/wire.md §3.7. A reason that is not here counts as "stop".
_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "malformed_model_output": "stop",
    "malformed_tool_use": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_READ = frozenset({"messageStart", "contentBlockStart", "contentBlockStop", "messageStop", "metadata"})
# The order that OpenAI's message can say.
_REASONING, _TEXT, _CALL = 0, 1, 2


@final
class _Block:
    """One content block as it grows, in Converse's words."""

    __slots__ = ("call", "citations", "has_input", "redacted", "signature", "stopped", "text", "whole")

    def __init__(self, whole: Mapping[str, Any] | None = None, call: int = -1) -> None:
        self.whole = whole  # of what came in one piece, or began with its own event
        self.call = call  # among the caller's tool calls; -1 for any other block
        self.text: list[str] = []  # of text, reasoning or a tool's input
        self.signature: list[str] | None = None  # a list, even an empty one, for reasoning
        self.redacted: list[str] = []
        self.citations: list[Any] = []
        self.has_input = False
        self.stopped = False

    def native(self) -> dict[str, Any] | None:
        """The block as Converse's message would hold it; None when it is blank."""
        text = "".join(self.text)
        if self.whole is not None:
            use = self.whole.get("toolUse")
            if is_object(use) and "input" not in use:
                return {"toolUse": {**use, "input": _parsed(text)}}
            return dict(self.whole)
        if self.redacted:
            return {"reasoningContent": {"redactedContent": "".join(self.redacted)}}
        if self.signature is not None:
            signed = {"signature": "".join(self.signature)} if self.signature else {}
            return {"reasoningContent": {"reasoningText": {"text": text, **signed}}}
        if self.citations:
            return {"citationsContent": {"content": [{"text": text}], "citations": self.citations}}
        return {"text": text} if text.strip() else None


@final
class ConverseReader:
    """A `Reader` of Converse's answers.

    Args:
        answer_id: the id of the answer, as Converse's body has none.
        model: the model that was asked, as Converse does not say which one answers.
        dialect: the row of ``usage/fields.py`` for a usage object.
    """

    def __init__(self, *, answer_id: str, model: str, dialect: Callable[[Mapping[str, Any]], str]) -> None:
        self.done = False
        self._progress = False
        self._id = answer_id
        self._model = model
        self._dialect = dialect
        self._started = False
        self._stopped = False
        self._counted = False
        self._blocks: dict[int, _Block] = {}
        self._emit: Emit[Event] = _nowhere
        self._say: Emit[Event] = _nowhere  # where it sends text
        self._spoken: tuple[int, list[str]] | None = (
            None  # the block's text that the last event was a piece of
        )
        self._calls = 0
        self._rank = _REASONING
        self._plain = True  # reasoning, text and calls in that order say it all

    def took_progress(self) -> bool:
        """Whether something meaningful was said since the last time this was asked."""
        progress, self._progress = self._progress, False
        return progress

    def events(self, name: str, payloads: list[bytes], emit: Emit[Event]) -> None:
        """Take events of one name that came together.

        After a piece of text the next is most likely one too: it takes a shorter way.
        """
        if name != "contentBlockDelta":
            for payload in payloads:
                self.event(name, payload, emit)
                if self.done:
                    return
            return
        if emit is not self._emit:
            self._emit, self._say = emit, outlet(emit, TextDelta)
        say = self._say
        for payload in payloads:
            if self._spoken is not None:
                index, pieces = self._spoken
                try:
                    told = decode_text(payload)
                except (ValueError, RecursionError):
                    self._spoken = None
                else:
                    text = told.delta.text
                    if text and told.content_block_index == index:
                        self._progress = True
                        pieces.append(text)
                        say(TextDelta(text, 0, payload))
                        continue
            self.event(name, payload, emit)

    def event(self, name: str, payload: bytes, emit: Emit[Event]) -> None:
        """Take one event of a stream; padding and unknown fields are passed over."""
        self._spoken = None
        if name == "contentBlockDelta":
            self._delta(payload, emit)
            return
        if name not in _READ:  # what it holds may be anything
            emit(Unknown(name, payload))
            return
        told = read_json(payload)
        if name == "messageStart":
            self._start(payload, emit)
        elif name == "contentBlockStart":
            self._start(payload, emit)
            self._block_start(told, payload, emit)
        elif name == "contentBlockStop":
            self._block_stop(self._blocks.get(told.get("contentBlockIndex", 0)), payload, emit)
        elif name == "messageStop":
            self._start(payload, emit)
            self._message_stop(told, payload, emit)
        else:
            self._metadata(told, emit)
            self.done = self._stopped

    def body(self, data: bytes, emit: Emit[Event]) -> None:
        """Take a whole answer.

        Raises:
            APIStatusError: it is an error.
            InvalidResponseError: it is something else.
        """
        told = read_json(data)
        output = told.get("output")
        message = output.get("message") if is_object(output) else None
        if not is_object(message):
            if {"message", "Message", "__type"} & told.keys():
                raise failure_of_answer(500, {}, data)
            msg = f"the answer is none of Converse's: {excerpt(data)}"
            raise InvalidResponseError(msg)
        self._start(data, emit)
        for index, block in enumerate(message.get("content") or ()):
            self._whole_block(index, block, emit)
        self._metadata(told, emit)
        self._message_stop(told, data, emit)
        self.done = True

    def finish(self, emit: Emit[Event]) -> None:
        """The stream has ended; without `metadata` the usage is partial, which is no error."""
        if not self._stopped:
            what = "messageStop is missing" if self._started else "it was empty"
            msg = f"the stream ended before the answer did: {what}"
            raise StreamInterruptedError(msg)
        if not self._counted:
            emit(Usage(source="partial"))

    def _start(self, raw: bytes, emit: Emit[Event]) -> None:
        if not self._started:
            self._started = True
            emit(Started(id=self._id, model=self._model, raw=raw))

    def _delta(self, payload: bytes, emit: Emit[Event]) -> None:
        told = decode_delta(payload)
        delta = told.delta
        if not self._started:
            self._start(payload, emit)
        if delta is None:
            return
        self._progress = True
        index = told.content_block_index
        block = self._blocks.get(index)
        if block is None:
            block = self._blocks[index] = _Block()
        if delta.text is not None:
            self._text(block, delta.text, payload, emit)
            if delta.text:
                self._spoken = index, block.text
        elif delta.tool_use is not None:
            self._input(block, delta.tool_use.input, payload, emit)
        elif delta.reasoning_content is not None:
            self._reasoning(index, block, delta.reasoning_content, payload, emit)
        elif delta.citation is not None:
            self._plain = False
            block.citations.append(delta.citation)
            emit(CitationDelta(delta.citation, 0, payload))
        else:
            self._plain = False
            emit(Unknown("contentBlockDelta", payload))

    def _text(self, block: _Block, text: str, raw: bytes | None, emit: Emit[Event]) -> None:
        if not text:
            return
        block.text.append(text)
        if self._rank is not _TEXT:
            self._order(_TEXT)
        emit(TextDelta(text, 0, raw))

    def _input(self, block: _Block, piece: str | None, raw: bytes | None, emit: Emit[Event]) -> None:
        if not piece:
            return
        block.text.append(piece)
        if block.call >= 0:
            block.has_input = True
            emit(ToolCallFragment(block.call, None, None, piece, 0, raw))

    def _reasoning(
        self, index: int, block: _Block, told: Reasoning, raw: bytes | None, emit: Emit[Event]
    ) -> None:
        self._order(_REASONING)
        if block.signature is None:
            block.signature = []
        if told.text:
            block.text.append(told.text)
            emit(ReasoningDelta(told.text, index, 0, raw))
        if told.signature:
            block.signature.append(told.signature)
            emit(SignatureDelta(told.signature, index, 0, raw))
        if told.redacted_content:
            block.redacted.append(told.redacted_content)
            if raw is None:
                emit(RedactedReasoning(told.redacted_content, index))

    def _block_start(self, told: Mapping[str, Any], raw: bytes, emit: Emit[Event]) -> None:
        """Only tool calls, tool results and images begin with an event of their own."""
        start = told.get("start")
        if is_object(start) and start:
            self._progress = True
            self._open(told.get("contentBlockIndex", 0), start, raw, emit)

    def _open(self, index: int, whole: Mapping[str, Any], raw: bytes | None, emit: Emit[Event]) -> _Block:
        use = whole.get("toolUse")
        if is_object(use) and use.get("type") in {None, "tool_use"}:
            self._order(_CALL)
            block = self._blocks[index] = _Block(whole, self._calls)
            self._calls += 1
            emit(ToolCallFragment(block.call, use.get("toolUseId"), use.get("name"), "", 0, raw))
            return block
        self._plain = False  # what Bedrock's own tools did
        block = self._blocks[index] = _Block(whole)
        return block

    def _block_stop(self, block: _Block | None, raw: bytes | None, emit: Emit[Event]) -> None:
        if block is None or block.stopped:
            return
        block.stopped = True
        if block.call >= 0 and not block.has_input:
            block.has_input = True
            emit(ToolCallFragment(block.call, None, None, "{}", 0, raw))  # a call without arguments
        if block.redacted and raw is not None:
            index = next(index for index, known in self._blocks.items() if known is block)
            emit(RedactedReasoning("".join(block.redacted), index, 0, raw))

    def _whole_block(self, index: int, block: Any, emit: Emit[Event]) -> None:
        """A block of an answer that is not streamed."""
        if not is_object(block):
            return
        grown = self._blocks[index] = _Block()
        grown.stopped = True
        cited = block.get("citationsContent")
        if block.get("text") is not None:
            self._text(grown, str(block["text"]), None, emit)
        elif is_object(block.get("toolUse")):
            opened = self._open(index, block, None, emit)
            if opened.call >= 0:
                opened.stopped = True
                told = block["toolUse"].get("input")
                arguments = orjson.dumps({} if told is None else told).decode()
                emit(ToolCallFragment(opened.call, None, None, arguments))
        elif is_object(block.get("reasoningContent")):
            self._whole_reasoning(index, grown, block["reasoningContent"], emit)
        elif is_object(cited):
            grown.whole = block
            self._plain = False
            for part in cited.get("content") or ():
                emit(TextDelta(str(part.get("text", ""))))
            for citation in cited.get("citations") or ():
                emit(CitationDelta(citation))
        else:
            grown.whole = block
            self._plain = False
            emit(Unknown("block", block))

    def _whole_reasoning(self, index: int, block: _Block, told: Mapping[str, Any], emit: Emit[Event]) -> None:
        inner = told.get("reasoningText")
        spoken: Mapping[str, Any] = inner if is_object(inner) else {}
        reasoning = Reasoning(spoken.get("text"), spoken.get("signature"), told.get("redactedContent"))
        self._reasoning(index, block, reasoning, None, emit)

    def _message_stop(self, told: Mapping[str, Any], raw: bytes, emit: Emit[Event]) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._progress = True
        for block in self._blocks.values():
            self._block_stop(block, raw, emit)
        if (extra := told.get("additionalModelResponseFields")) is not None:
            emit(Unknown("additionalModelResponseFields", extra))
        if not self._plain:
            natives = [self._blocks[index].native() for index in sorted(self._blocks)]
            emit(ProviderBlocks([block for block in natives if block is not None]))
        native = told.get("stopReason")
        native = native if isinstance(native, str) else None
        default: FinishReason = "tool_calls" if native is None and self._calls else "stop"
        emit(Finished(_FINISH.get(native or "", default), native, 0, raw))

    def _metadata(self, told: Mapping[str, Any], emit: Emit[Event]) -> None:
        tier = told.get("serviceTier")
        tier = tier.get("type") if is_object(tier) else tier
        if isinstance(tier, str):
            emit(Started(id=self._id, model=self._model, service_tier=tier))
        usage = told.get("usage")
        if is_object(usage):
            self._counted = True
            emit(ReportedUsage(usage, self._dialect(usage)))
        for name in ("trace", "performanceConfig"):
            if told.get(name) is not None:
                emit(Unknown(name, told[name]))

    def _order(self, rank: int) -> None:
        if rank < self._rank:
            self._plain = False
        self._rank = max(rank, self._rank)


def _nowhere(_event: Event) -> None:
    """Where events go before the first of a stream: none come then."""


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text) if text.strip() else {}
    except orjson.JSONDecodeError:  # cut by max_tokens: kept as text rather than guessed
        return text
