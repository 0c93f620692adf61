"""Answers in OpenAI's chat format, streamed or whole, to events; for OpenAI and all who speak like it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, final

import anyio
import msgspec

from asynccache.errors import InvalidResponseError, StreamInterruptedError
from asynccache.events import (
    AudioDelta,
    CitationDelta,
    Finished,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    ReportedUsage,
    Started,
    TextDelta,
    ToolCallFragment,
    Unknown,
)
from asynccache.providers.in_band import find_error
from asynccache.providers.mending import excerpt, loosely, mended
from asynccache.providers.openai_calls import CallLog
from asynccache.providers.openai_wire import (
    Body,
    Choice,
    Message,
    decode,
    decode_piece,
    decode_text,
    flat_text,
    text_of,
    whole_number,
    without_empties,
)
from asynccache.providers.statuses import error_from_object, status_error
from asynccache.shapes import is_array, is_object
from asynccache.sse import MAX_EVENT, SSEDecoder, looks_like_events
from asynccache.stream import outlet

if TYPE_CHECKING:
    from asynccache.events import Event
    from asynccache.reply import FinishReason
    from asynccache.stream import Emit

__all__ = ["ChatDecoder"]


# The provider's word to OpenAI's; facts/wire.md §5.1. A word that is not here counts as "stop".
_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "function_call",
    "blocklist": "content_filter",
    "content_filter": "content_filter",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "prohibited_content": "content_filter",
    "recitation": "content_filter",
    "refusal": "content_filter",
    "safety": "content_filter",
    "spii": "content_filter",
}
# Words that mean the server broke off, with the status that they stand for; facts/wire.md §4.4, §7.
_BROKEN_OFF = {"insufficient_system_resource": 503, "error": 502, "network_error": 502}


@final
class ChatDecoder:
    """A machine from bytes to events.

    Args:
        sse: whether the bytes are an event stream; else they are one JSON body.
        dialect: the row of ``usage/fields.py`` for what it says of tokens.
        needs_done: whether only ``[DONE]`` ends a stream; else a clean end after a finish reason does too.
        touch: told of every read that brought something meaningful.
        max_event: the largest event taken, in bytes.
    """

    def __init__(
        self, *, sse: bool, dialect: str, needs_done: bool, touch: Any = None, max_event: int = MAX_EVENT
    ) -> None:
        self._sse = SSEDecoder(max_event) if sse else None
        self._body: list[bytes] = []  # of an answer in one piece, or of what only calls itself a stream
        self._foreign: bool | None = None  # whether it does; None until its first byte has come
        self._dialect = dialect
        self._needs_done = needs_done
        self._touch = touch
        self._started = False
        self._facts: tuple[Any, ...] = ()
        self._index = -1  # of the answer spoken of last
        self._in_text = False  # whether the last event was a piece of text
        self._in_call = False  # whether it was a piece of a call
        self._open: set[int] = set()  # answers begun and not finished
        self._finished: set[int] = set()
        self._calls = CallLog()
        self._emit: Emit[Event] = _nowhere
        self._emit_text: Emit[Event] = _nowhere
        self._done = False
        self._progress = False

    def feed(self, chunk: bytes, emit: Emit[Event]) -> None:
        """Take any piece of the body."""
        if self._sse is None:
            self._body.append(chunk)
            return
        if not self._started:
            if self._foreign is None and not chunk.isspace():
                self._foreign = chunk.lstrip()[:1] in {b"{", b"[", b"<"}
            if self._foreign:
                self._body.append(chunk)
        self._progress = False
        if emit is not self._emit:
            self._emit, self._emit_text = emit, outlet(emit, TextDelta)
        self._sse.feed_runs(chunk, self._run)
        if self._progress and self._touch is not None:
            self._touch()
        if self._done:
            raise anyio.EndOfStream

    def flush(self, emit: Emit[Event]) -> None:
        """The body is at its end.

        Raises:
            StreamInterruptedError: the answer is not.
        """
        if self._done:
            return
        self._emit = self._emit_text = emit
        if self._sse is None:
            body = b"".join(self._body)
            if not looks_like_events(body):
                self._whole(body)
                return
            if self._misnamed(body, emit):
                return
        rest = None if self._sse is None else self._sse.rest  # an end that lacks only its blank line
        if rest is not None and (rest == b"[DONE]" or loosely(rest) is not None):
            self._run([rest])
            if rest == b"[DONE]":
                return
        if not self._started:
            self._mislabelled(b"".join(self._body).strip())
            return
        if self._needs_done or self._open or not self._finished:
            msg = "the stream ended before the answer did"
            raise StreamInterruptedError(msg)

    def _misnamed(self, body: bytes, emit: Emit[Event]) -> bool:
        """A stream that is called something else; returns whether the answer is at its end."""
        self._sse = SSEDecoder(max(len(body), MAX_EVENT))
        with suppress(anyio.EndOfStream):
            self.feed(body, emit)
        return self._done

    def _mislabelled(self, body: bytes) -> None:
        """No event came: gateways call an error in JSON, or a page of their own, an event stream."""
        if body[:1] in {b"{", b"["}:
            self._whole(body)
        elif body[:1] == b"<":
            msg = f"the answer is a page, no chat completion: {excerpt(body)}"
            raise InvalidResponseError(msg)
        else:
            msg = "the answer was empty: the stream ended before its first event"
            raise StreamInterruptedError(msg)

    def _whole(self, body: bytes) -> None:
        text = body.strip()
        if not text:
            msg = "the answer was empty"
            raise StreamInterruptedError(msg)
        parsed = self._parse(text)
        if parsed.choices is None and not parsed.error:
            if (error := find_error(loosely(text))) is not None:
                raise error
            msg = f"the answer is no chat completion: {excerpt(text)}"
            raise InvalidResponseError(msg)
        self._take(parsed, text)

    def _parse(self, data: bytes) -> Body:
        try:
            return decode(data)
        except (ValueError, RecursionError) as exc:
            event = "" if self._sse is None else self._sse.event
            told = loosely(data)
            if (error := find_error(told, event)) is not None:
                raise error from exc
            if is_object(told):
                data = msgspec.json.encode(without_empties(told))
            return decode(mended(data, Body, "OpenAI's chat"))

    def _run(self, run: list[bytes]) -> None:
        """After a piece of text, or of a call, the next is most likely one too: such take the short way."""
        for data in run:
            if self._in_text:
                try:
                    (choice,) = decode_text(data).choices
                except (ValueError, RecursionError):
                    self._in_text = False
                else:
                    content = choice.delta.content
                    if content and choice.index == self._index:
                        self._progress = True
                        self._emit_text(TextDelta(content, choice.index, data))
                        continue
            elif self._in_call and self._is_piece(data):
                continue
            self._other_event(data)

    def _is_piece(self, data: bytes) -> bool:
        """Whether *data* is one more piece of a call that has begun, and no more; then it is emitted."""
        try:
            (choice,) = decode_piece(data).choices
            (call,) = choice.delta.tool_calls
        except (ValueError, RecursionError):
            self._in_call = False
            return False
        index = choice.index
        position = self._calls.position(index, call.index)
        if position is None or index != self._index:
            return False
        self._progress = True
        self._emit(ToolCallFragment(position, None, None, call.function.arguments, index, data))
        return True

    def _other_event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self._done = True
            self._in_text = self._in_call = False  # what the same read holds after it is none of the answer
            if not self._started:
                msg = "the answer was empty: the stream ended before its first event"
                raise StreamInterruptedError(msg)
        elif not self._done and (said := data.strip()) and said != b"null":
            if said == b"[DONE]":
                self._other_event(said)
            else:
                self._take(self._parse(data), data)

    def _take(self, body: Body, raw: bytes) -> None:
        if body.error:
            self._take_usage(body, None)
            raise error_from_object(None, body.error)
        if is_object(body.x_groq) and body.x_groq.get("error"):
            self._take_usage(body, None)
            raise error_from_object(None, body.x_groq["error"])
        if body.choices is None and body.usage is None and self._is_other(body, raw):
            return
        facts = (body.id, body.model, body.service_tier, body.system_fingerprint)
        if facts != self._facts:
            self._start(body, facts, raw)
        choices = body.choices
        if choices:
            if len(choices) > 1:
                self._progress = True
            try:
                for choice in choices:
                    self._choice(choice, raw)
            finally:  # what an answer that breaks off has used is told all the same
                self._take_usage(body, choices[0])
        else:
            self._take_usage(body, None)

    def _is_other(self, body: Body, raw: bytes) -> bool:
        """Whether what brings neither choices nor usage is no chunk at all; then it is passed on as it came.

        Raises:
            APIStatusError: it is an error.
        """
        event = self._sse.event if self._sse else "body"
        if (error := find_error(loosely(raw), event)) is not None:
            raise error
        if body.model is not None:
            return False
        self._emit(Unknown(event, msgspec.Raw(raw)))
        return True

    def _start(self, body: Body, facts: tuple[Any, ...], raw: bytes) -> None:
        if self._started and (None in facts or not facts[0]):
            facts = tuple(new or old for new, old in zip(facts, self._facts, strict=True))
            if facts == self._facts:
                return
        self._started = True
        self._facts = facts
        name, model, tier, fingerprint = facts
        self._emit(
            Started(
                id=text_of(name),
                model=text_of(model),
                created=whole_number(body.created),
                service_tier=tier if isinstance(tier, str) else None,
                system_fingerprint=fingerprint if isinstance(fingerprint, str) else None,
                raw=raw,
            )
        )

    def _choice(self, choice: Choice, raw: bytes) -> None:
        index = whole_number(choice.index)
        message = choice.delta or choice.message
        if message is not None:
            content = message.content
            if content:
                if type(content) is str:
                    self._progress = self._in_text = True
                    self._emit(TextDelta(content, index, raw))
                else:
                    self._parts(content, index, raw)
            self._rest_of(message, index, raw)
        if choice.logprobs is not None:
            self._emit(LogprobsDelta(choice.logprobs, index, raw))
        if choice.finish_reason is None and choice.stop_reason is not None:
            word = choice.stop_reason
            choice.finish_reason = word if isinstance(word, str) and word in _FINISH else None
        if choice.finish_reason is not None or choice.error:
            self._finish(choice, index, raw)
        elif index not in self._finished:
            self._open.add(index)
            self._index = index

    def _rest_of(self, message: Message, index: int, raw: bytes) -> None:
        reasoning = message.reasoning_content or message.reasoning
        if reasoning and type(reasoning) is str:
            self._progress = True
            self._emit(ReasoningDelta(reasoning, None, index, raw))
        if message.tool_calls:
            self._progress = self._in_call = True
            for call in message.tool_calls:
                self._emit(self._calls.take(call, index, raw))
        if message.refusal:
            self._progress = True
            self._emit(RefusalDelta(text_of(message.refusal), index, raw))
        if (legacy := message.function_call) is not None and (legacy.name or legacy.arguments):
            self._progress = True
            self._emit(
                ToolCallFragment(
                    0, None, text_of(legacy.name) or None, text_of(legacy.arguments), index, raw, True
                )
            )
        if message.annotations:
            for annotation in message.annotations:
                self._emit(CitationDelta(annotation, index, raw))
        if message.audio:
            self._progress = True
            self._emit(AudioDelta(message.audio, index, raw))

    def _parts(self, parts: Any, index: int, raw: bytes) -> None:
        """Content as a list of parts (Mistral, Databricks): text, thinking, references."""
        self._progress = True
        for part in parts if is_array(parts) else [parts]:
            kind = part.get("type") if is_object(part) else None
            if kind in {"text", "output_text"}:
                self._emit(TextDelta(text_of(part.get("text")), index, raw))
            elif kind in {"thinking", "reasoning"}:
                self._emit(
                    ReasoningDelta(flat_text(part.get("thinking") or part.get("summary")), None, index, raw)
                )
            else:
                self._emit(Unknown("content_part", part))

    def _finish(self, choice: Choice, index: int, raw: bytes) -> None:
        word = text_of(choice.finish_reason)
        if choice.error or word in _BROKEN_OFF:
            if choice.error:
                raise error_from_object(None, choice.error)
            msg = f"the provider broke the answer off: finish_reason {word!r}"
            raise status_error(_BROKEN_OFF[word], msg, code=word)
        self._open.discard(index)
        self._index = -1
        if index in self._finished or not (word or self._sse is None):  # in a stream "" is said all along
            return
        self._finished.add(index)
        self._progress = True
        reason: FinishReason = "tool_calls" if not word and self._calls.has_calls(index) else "stop"
        self._emit(Finished(_FINISH.get(word.lower(), reason), word, index, raw))

    def _take_usage(self, body: Body, choice: Choice | None) -> None:
        usage = body.usage
        if usage is None and choice is not None:
            usage = choice.usage
        if usage is None and is_object(body.x_groq):
            usage = body.x_groq.get("usage")
        if usage is not None:
            self._emit(ReportedUsage(usage, self._dialect))


def _nowhere(_event: Event) -> None:
    """Where events go before the first piece of the body: none come then."""
