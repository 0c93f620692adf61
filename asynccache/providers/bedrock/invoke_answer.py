"""What InvokeModel says, streamed in base64 chunks or whole: the reader of each family of models.

The body is the model's own. Bedrock adds to the last event of a stream, and to the headers of a whole answer,
how many tokens it counted: used where the model itself tells none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, final

import anyio
import msgspec
import orjson

from asynccache.errors import InvalidResponseError, StreamInterruptedError
from asynccache.events import Finished, ReportedUsage, Started, TextDelta, Unknown
from asynccache.providers.anthropic.decode import MessagesDecoder
from asynccache.providers.bedrock.answer import excerpt
from asynccache.providers.bedrock.converse_wire import read_json
from asynccache.providers.bedrock.failures import failure_of_answer
from asynccache.providers.mending import loosely
from asynccache.providers.openai_decode import ChatDecoder
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.events import Event
    from asynccache.providers.bedrock.answer import Reader
    from asynccache.reply import FinishReason
    from asynccache.stream import Emit, Head

__all__ = ["ChatReader", "ChunkReader", "ClaudeReader", "NovaReader", "TextFamily", "TextReader"]

_METRICS = "amazon-bedrock-invocationMetrics"
_METRICS_KEY = f'"{_METRICS}"'.encode()
_METRICS_DIALECT = "bedrock-invoke-metrics"

# The same counts, where an answer is not streamed.
_COUNT_HEADERS = {
    "x-amzn-bedrock-input-token-count": "inputTokenCount",
    "x-amzn-bedrock-output-token-count": "outputTokenCount",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokenCount",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokenCount",
}


@final
class _Chunk(msgspec.Struct, rename={"event": "bytes"}, gc=False):
    event: bytes | None = None  # base64 on the wire


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


@final
class ChunkReader:
    """A `Reader` that takes the base64 off; what is inside is another reader's."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner

    @property
    def done(self) -> bool:
        """Whether nothing more will be said."""
        return self._inner.done

    def took_progress(self) -> bool:
        """Whether something meaningful was said since the last time this was asked."""
        return self._inner.took_progress()

    def event(self, name: str, payload: bytes, emit: Emit[Event]) -> None:
        """Take one event of a stream."""
        if name != "chunk":
            emit(Unknown(name, payload))
            return
        try:
            chunk = _decode_chunk(payload).event
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            msg = f"the answer holds a chunk that is no base64 in JSON ({exc}): {excerpt(payload)}"
            raise InvalidResponseError(msg) from exc
        if chunk:
            self._inner.event(name, chunk, emit)

    def body(self, data: bytes, emit: Emit[Event]) -> None:
        """Take a whole answer."""
        self._inner.body(data, emit)

    def finish(self, emit: Emit[Event]) -> None:
        """The stream has ended."""
        self._inner.finish(emit)


@final
class ClaudeReader:
    """Anthropic's own events; `message_stop` ends them.

    Args:
        completions: reads what the oldest models answer to a prompt, before there were messages.
        head: what was known before the answer's body.
    """

    def __init__(self, completions: Reader, head: Head) -> None:
        self.done = False
        self._messages = MessagesDecoder()
        self._head = head
        self._completions = completions
        self._completes: bool | None = None  # whether it is these; None until the first event

    def took_progress(self) -> bool:
        """Whether something meaningful was said since the last time this was asked."""
        progress, self._messages.progress = self._messages.progress, False
        return progress or bool(self._completes and self._completions.took_progress())

    def event(self, name: str, payload: bytes, emit: Emit[Event]) -> None:
        """Take one of Anthropic's events; one that is metrics alone is passed over."""
        if self._completes is None:
            self._completes = _is_completion(payload)
        if self._completes:
            self._completions.event(name, payload, emit)
            self.done = self._completions.done
            return
        if not self._messages.counted and _METRICS_KEY in payload:
            emit(ReportedUsage(read_json(payload).get(_METRICS), _METRICS_DIALECT))
        if payload.startswith(b'{"amazon-bedrock-') and _is_metrics_alone(payload):
            return
        try:
            self._messages.feed(payload, emit)
        except anyio.EndOfStream:
            self.done = True

    def body(self, data: bytes, emit: Emit[Event]) -> None:
        """Take Anthropic's message."""
        _refuse_errors(data)
        self._completes = _is_completion(data)
        if self._completes:
            self._completions.body(data, emit)
        else:
            self._messages.feed_answer(data, emit)
            if not self._messages.counted and (counts := _header_counts(self._head)):
                emit(ReportedUsage(counts, _METRICS_DIALECT))
        self.done = True

    def finish(self, emit: Emit[Event]) -> None:
        """The stream has ended."""
        if self._completes:
            self._completions.finish(emit)
        else:
            self._messages.flush(emit)


@final
class NovaReader:
    """Converse's events, each inside an object of its name."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self._events = msgspec.json.Decoder(dict[str, msgspec.Raw])

    @property
    def done(self) -> bool:
        """Whether nothing more will be said."""
        return self._inner.done

    def took_progress(self) -> bool:
        """Whether something meaningful was said since the last time this was asked."""
        return self._inner.took_progress()

    def event(self, _name: str, payload: bytes, emit: Emit[Event]) -> None:
        """Take one event: the object's one name is its kind."""
        try:
            told = self._events.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            msg = f"the answer holds an event that is none of Nova's ({exc}): {excerpt(payload)}"
            raise InvalidResponseError(msg) from exc
        for name, inner in told.items():
            if name != _METRICS:
                self._inner.event(name, bytes(inner), emit)

    def body(self, data: bytes, emit: Emit[Event]) -> None:
        """Take a whole answer, which is Converse's."""
        self._inner.body(data, emit)

    def finish(self, emit: Emit[Event]) -> None:
        """The stream has ended."""
        self._inner.finish(emit)


@final
class ChatReader:
    """OpenAI's chat chunks (gpt-oss and its like); the one with Bedrock's metrics is the last."""

    def __init__(self, head: Head) -> None:
        self.done = False
        self._progress = False
        self._head = head
        self._told = False  # whether the model itself told its usage
        self._chat = ChatDecoder(
            sse=True, dialect="bedrock-invoke-openai", needs_done=False, touch=self._meaningful
        )

    def took_progress(self) -> bool:
        """Whether something meaningful was said since the last time this was asked."""
        progress, self._progress = self._progress, False
        return progress

    def event(self, _name: str, payload: bytes, emit: Emit[Event]) -> None:
        """Take one chunk."""
        watched = self._watch(emit)
        self._chat.feed(b"data: " + payload.replace(b"\n", b" ") + b"\n\n", watched)
        if _METRICS_KEY in payload:
            if not self._told:
                emit(ReportedUsage(read_json(payload).get(_METRICS), _METRICS_DIALECT))
            self._chat.flush(watched)
            self.done = True

    def body(self, data: bytes, emit: Emit[Event]) -> None:
        """Take a whole completion."""
        _refuse_errors(data)
        whole = ChatDecoder(sse=False, dialect="bedrock-invoke-openai", needs_done=False)
        watched = self._watch(emit)
        whole.feed(data, watched)
        whole.flush(watched)
        if not self._told and (counts := _header_counts(self._head)):
            emit(ReportedUsage(counts, _METRICS_DIALECT))
        self.done = True

    def finish(self, emit: Emit[Event]) -> None:
        """The stream has ended."""
        self._chat.flush(self._watch(emit))

    def _meaningful(self) -> None:
        self._progress = True

    def _watch(self, emit: Emit[Event]) -> Emit[Event]:
        def watched(event: Event) -> None:
            self._told = self._told or type(event) is ReportedUsage
            emit(event)

        return watched


Place: TypeAlias = tuple[str | int, ...]


@final
class TextFamily(msgspec.Struct, frozen=True, kw_only=True):
    """Where a family that answers with plain text says what: one place for chunks, one for whole answers."""

    text: tuple[Place, ...]
    reason: tuple[Place, ...]
    prompt: tuple[Place, ...] = ()
    completion: tuple[Place, ...] = ()


# Why it stopped, in OpenAI's words, whatever the case; a reason that is not here counts as "stop".
_TEXT_FINISH: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "content_filtered": "content_filter",
    "error_toxic": "content_filter",
}


@final
class TextReader:
    """Plain text in pieces (Llama, Titan, Mistral); the event with a reason to stop ends it."""

    def __init__(self, family: TextFamily, head: Head, model: str) -> None:
        self.done = False
        self._progress = False
        self._family = family
        self._head = head
        self._model = model
        self._started = False
        self._spoken = False
        self._finished = False
        self._counts: dict[str, Any] = {}  # as the model tells them, where Bedrock's own do not come

    def took_progress(self) -> bool:
        """Whether something meaningful was said since the last time this was asked."""
        progress, self._progress = self._progress, False
        return progress

    def event(self, _name: str, payload: bytes, emit: Emit[Event]) -> None:
        """Take one piece."""
        told = read_json(payload)
        self._take(told, payload, emit)
        self._counts |= self._told_counts(told)
        metrics = told.get(_METRICS)
        if metrics is not None:
            emit(ReportedUsage(metrics, _METRICS_DIALECT))
            self.done = self._finished

    def body(self, data: bytes, emit: Emit[Event]) -> None:
        """Take a whole answer."""
        _refuse_errors(data)
        told = read_json(data)
        if _find(told, self._family.text) is None:
            msg = f"the answer is not of the model's family: {excerpt(data)}"
            raise InvalidResponseError(msg)
        counts = _header_counts(self._head) or self._told_counts(told)
        self._take(told, data, emit)
        if counts:
            emit(ReportedUsage(counts, _METRICS_DIALECT))
        self.done = True

    def finish(self, emit: Emit[Event]) -> None:
        """The stream has ended, without Bedrock's metrics."""
        if self._counts:
            emit(ReportedUsage(self._counts, _METRICS_DIALECT))
        if not self._finished:
            msg = "the stream ended before the answer did: no reason to stop was told"
            raise StreamInterruptedError(msg)

    def _told_counts(self, told: Mapping[str, Any]) -> dict[str, Any]:
        return _counts(
            inputTokenCount=_find(told, self._family.prompt),
            outputTokenCount=_find(told, self._family.completion),
        )

    def _take(self, told: Mapping[str, Any], raw: bytes, emit: Emit[Event]) -> None:
        if not self._started:
            self._started = True
            emit(Started(id=self._head.request_id or "", model=self._model, raw=raw))
        places = self._family.text
        # A last event may hold the whole answer once more, where an answer in one piece has it.
        text = _find(told, places[:1] if self._spoken else places)
        if isinstance(text, str) and text:
            self._progress = self._spoken = True
            emit(TextDelta(text, 0, raw))
        native = _find(told, self._family.reason)
        if isinstance(native, str) and not self._finished:
            self._finished = True
            emit(Finished(_TEXT_FINISH.get(native.lower(), "stop"), native, 0, raw))


def _find(told: Any, places: tuple[Place, ...]) -> Any:
    """What stands at the first of *places* that holds something."""
    for place in places:
        value = told
        for step in place:
            if isinstance(step, int):
                value = value[step] if is_array(value) and len(value) > step else None
            else:
                value = value.get(step) if is_object(value) else None
        if value is not None:
            return value
    return None


def _is_metrics_alone(payload: bytes) -> bool:
    """Whether *payload* has no event beside Bedrock's metrics: they may stand before it as well as after."""
    return all(name.startswith("amazon-bedrock-") for name in read_json(payload))


def _is_completion(data: bytes) -> bool:
    """Whether *data* is an answer to a prompt, or a piece of one."""
    told = loosely(data)
    return is_object(told) and isinstance(told.get("completion"), str) and told.get("content") is None


def _header_counts(head: Head) -> dict[str, int]:
    found = ((name, head.headers.get(header, "")) for header, name in _COUNT_HEADERS.items())
    return {name: int(value) for name, value in found if value.isdigit()}


def _counts(**counts: Any) -> dict[str, Any]:
    return {name: count for name, count in counts.items() if count is not None}


def _refuse_errors(data: bytes) -> None:
    """An error of Bedrock's in an answer of status 200 (gateways do that)."""
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        return  # the family's own reader says what is wrong
    if is_object(told) and len(told) <= 2 and isinstance(told.get("message") or told.get("Message"), str):
        raise failure_of_answer(500, {}, data)
