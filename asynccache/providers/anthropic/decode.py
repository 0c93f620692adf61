"""Anthropic's messages, streamed as events or whole, to this library's events."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import anyio

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
)
from asynccache.providers.anthropic.blocks import BlockLog, OpenBlock
from asynccache.providers.anthropic.wire import (
    Delta,
    WireEvent,
    decode_text,
    is_truncated,
    parse_answer,
    parse_event,
    parse_value,
    text_or_none,
)
from asynccache.providers.in_band import find_error
from asynccache.providers.mending import excerpt
from asynccache.providers.statuses import error_from_object
from asynccache.stream import outlet

if TYPE_CHECKING:
    from asynccache.events import Event
    from asynccache.reply import FinishReason
    from asynccache.stream import Emit

__all__ = ["DIALECT", "MessagesDecoder"]

DIALECT = "anthropic"
"""The row of ``usage/fields.py`` that spells its counts."""

# Why it stopped, in OpenAI's words; facts/wire.md §5.1. A reason that is not here counts as "stop".
_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "compaction": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


@final
class MessagesDecoder:
    """A machine from the JSON of single events to events; whatever carried them is off already.

    ``done`` is set by ``message_stop``, ``counted`` where usage was told, ``progress`` by every event that brings
    the answer forward, for whoever watches the time: it is never reset here.
    """

    __slots__ = ("_finished", "_log", "_reason", "_spoken", "_started", "counted", "done", "progress")

    def __init__(self) -> None:
        self.done = False
        self.progress = False
        self.counted = False
        self._log = BlockLog()
        self._spoken: OpenBlock | None = None  # the block that the last event was a piece of text of
        self._started = False
        self._finished = False
        self._reason: str | None = None  # as the first event tells it, where it tells one

    def feed_run(self, run: list[bytes], emit: Emit[Event]) -> None:
        """Take events that came together, as `feed` takes each; blank ones are passed over.

        After a piece of text the next is most likely one too: it takes a shorter way.
        """
        say = outlet(emit, TextDelta)
        block = self._spoken
        for data in run:
            if block is not None:
                try:
                    event = decode_text(data)
                except (ValueError, RecursionError):
                    block = self._spoken = None
                else:
                    text = event.delta.text
                    if text and event.index == block.index:
                        self.progress = True
                        block.text.append(text)
                        say(TextDelta(text, 0, data))
                        continue
            if data and not data.isspace():
                self.feed(data, emit)
                block = self._spoken

    def feed(self, data: bytes, emit: Emit[Event]) -> None:
        """Take the JSON of one event.

        Raises:
            anyio.EndOfStream: it was the last one of the answer.
            APIStatusError: it is an error.
            InvalidResponseError: it is not of the format, or out of order.
        """
        event = parse_event(data)
        kind = event.type
        delta = event.delta
        if kind == "content_block_delta" and delta is not None and delta.type == "text_delta":
            opened = self._log.open.get(event.index)
            if (
                opened is not None and delta.text and event.error is None
            ):  # nearly all events: a piece of text
                self.progress = True
                self._spoken = opened
                opened.text.append(delta.text)
                emit(TextDelta(delta.text, 0, data))
                return
        if event.error is not None or kind == "error":
            raise error_from_object(None, event.error or "", request_id=text_or_none(event.request_id))
        if kind == "content_block_delta":
            self._delta(event, data, emit)
        elif kind == "content_block_start":
            self._start(self._new_index(event, data), bytes(event.content_block), data, emit)
        elif kind == "content_block_stop":
            self._stop(self._opened(event, data), data, emit)
        elif kind == "message_start":
            self._message(event, data, emit)
        elif kind == "message_delta":
            self._message_delta(event, data, emit)
        elif kind == "message_stop":
            self._end(data, emit)
            raise anyio.EndOfStream
        elif kind != "ping":
            if kind is None and (error := find_error(parse_value(data))) is not None:
                raise error
            emit(Unknown(kind or "", data))

    def flush(self, emit: Emit[Event]) -> None:  # noqa: ARG002 - nothing is held back
        """There are no more events.

        Raises:
            StreamInterruptedError: the answer's last event has not come.
        """
        if self.done:
            return
        msg = (
            "the stream ended before the answer did: message_stop is missing"
            if self._started
            else "the answer was empty: the stream ended before its first event"
        )
        raise StreamInterruptedError(msg)

    def feed_answer(self, body: bytes, emit: Emit[Event]) -> None:
        """Take the one JSON body of an answer that is not streamed.

        Raises:
            APIStatusError: it is an error.
            StreamInterruptedError: it is cut short, or empty.
            InvalidResponseError: it is something else.
        """
        if not body.strip():
            msg = "the answer was empty"
            raise StreamInterruptedError(msg)
        try:
            answer = parse_answer(body)
        except InvalidResponseError as exc:
            if not is_truncated(body):
                raise
            msg = f"the answer is cut short after {len(body)} bytes"
            raise StreamInterruptedError(msg) from exc
        if answer.error is not None or answer.type == "error":
            raise error_from_object(None, answer.error or "", request_id=text_or_none(answer.request_id))
        if answer.content is None:
            if (error := find_error(parse_value(body))) is not None:
                raise error
            msg = f"the answer is no message of Anthropic's: {excerpt(body)}"
            raise InvalidResponseError(msg)
        self._started = True
        emit(Started(id=answer.id or "", model=answer.model or "", raw=body))
        for index, raw in enumerate(answer.content):
            self._stop(self._start(index, bytes(raw), None, emit), None, emit)
        if answer.usage is not None:
            self.counted = True
            emit(ReportedUsage(answer.usage, DIALECT))
        if answer.stop_reason is not None:
            self._finish(answer.stop_reason, body, emit)
        self._end(body, emit)

    def _message(self, event: WireEvent, data: bytes, emit: Emit[Event]) -> None:
        message = event.message
        if message is None:
            msg = f"a message_start without its message: {excerpt(data)}"
            raise InvalidResponseError(msg)
        self._started = True
        emit(Started(id=message.id or "", model=message.model or "", raw=data))
        if message.usage is not None:
            self.counted = True
            emit(ReportedUsage(message.usage, DIALECT))
        self._reason = message.stop_reason
        for index, raw in enumerate(message.content or ()):  # calls that code makes, while it still runs
            self._stop(self._start(index, bytes(raw), data, emit), data, emit)

    def _delta(self, event: WireEvent, data: bytes, emit: Emit[Event]) -> None:
        opened = self._opened(event, data)
        self.progress = True
        delta = event.delta
        kind = None if delta is None else delta.type
        if delta is None or kind is None:
            emit(Unknown("content_block_delta", data))
        elif kind == "text_delta":
            if text := delta.text:
                opened.text.append(text)
                emit(TextDelta(text, 0, data))
        elif kind == "input_json_delta":
            if piece := delta.partial_json:
                if opened.stopped:
                    msg = f"arguments for a call that has ended: {excerpt(data)}"
                    raise InvalidResponseError(msg)
                opened.input.append(piece)
                if opened.call >= 0:
                    emit(ToolCallFragment(opened.call, None, None, piece, 0, data))
        elif kind == "thinking_delta":
            if text := delta.thinking:
                opened.text.append(text)
                emit(ReasoningDelta(text, opened.index, 0, data))
        else:
            self._rarer_delta(kind, delta, data, opened, emit)

    def _rarer_delta(
        self, kind: str, delta: Delta, data: bytes, opened: OpenBlock, emit: Emit[Event]
    ) -> None:
        if kind == "signature_delta":
            if signature := delta.signature:
                opened.signature = (opened.signature or "") + signature
                emit(SignatureDelta(signature, opened.index, 0, data))
        elif kind == "citations_delta":
            self._log.cite(opened, delta.citation)
            emit(CitationDelta(delta.citation, 0, data))
        else:
            opened.add_unnamed(data)
            emit(Unknown(kind, data))

    def _start(self, index: int, raw: bytes, data: bytes | None, emit: Emit[Event]) -> OpenBlock:
        """A block begins, or stands whole: what it holds already is emitted."""
        self.progress = True
        opened = self._log.start(index, raw)
        block = opened.block
        if opened.call >= 0:
            emit(ToolCallFragment(opened.call, block.id, block.name, "", 0, data))
        elif block.type == "text":
            if block.text:
                emit(TextDelta(block.text, 0, data))
            for citation in block.citations or ():
                emit(CitationDelta(citation, 0, data))
        elif block.type == "thinking":
            if block.thinking:
                emit(ReasoningDelta(block.thinking, index, 0, data))
            if block.signature:
                emit(SignatureDelta(block.signature, index, 0, data))
        elif block.type == "redacted_thinking":
            emit(RedactedReasoning(block.data or "", index, 0, data))
        return opened

    def _stop(self, opened: OpenBlock, data: bytes | None, emit: Emit[Event]) -> None:
        """A block ends: a call that brought no pieces has its arguments in its first event, or has none."""
        if opened.stopped:
            return
        opened.stopped = True
        if opened.call >= 0 and not opened.input:
            emit(ToolCallFragment(opened.call, None, None, opened.first_input, 0, data))

    def _message_delta(self, event: WireEvent, data: bytes, emit: Emit[Event]) -> None:
        self.progress = True
        if event.usage is not None:
            if not self.counted:  # the first report counts as not the last word, which this one is
                self.counted = True
                emit(ReportedUsage({}, DIALECT))
            emit(ReportedUsage(event.usage, DIALECT))
        reason = None if event.delta is None else event.delta.stop_reason
        if reason is not None and not self._finished:
            self._finish(reason, data, emit)

    def _finish(self, native: str | None, data: bytes, emit: Emit[Event]) -> None:
        """The first reason to stop holds."""
        self._finished = True
        for opened in self._log.open.values():
            self._stop(opened, data, emit)
        blocks = self._log.provider_blocks()
        if blocks is not None:
            emit(ProviderBlocks(blocks))
        reason: FinishReason = "tool_calls" if native is None and self._log.has_calls else "stop"
        emit(Finished(_FINISH.get(native or "", reason), native, 0, data))

    def _end(self, data: bytes, emit: Emit[Event]) -> None:
        if not self._started:
            msg = f"an answer that ends before its message_start: {excerpt(data)}"
            raise InvalidResponseError(msg)
        if not self._finished:
            self._finish(self._reason, data, emit)
        self.done = True

    def _opened(self, event: WireEvent, data: bytes) -> OpenBlock:
        opened = self._log.open.get(event.index)
        if opened is None:
            msg = f"{event.type} for a content block that has not begun: {excerpt(data)}"
            raise InvalidResponseError(msg)
        return opened

    def _new_index(self, event: WireEvent, data: bytes) -> int:
        if not self._started or event.index in self._log.open or not event.content_block:
            msg = f"a content_block_start out of order: {excerpt(data)}"
            raise InvalidResponseError(msg)
        return event.index
