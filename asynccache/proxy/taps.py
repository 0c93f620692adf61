"""Taps: an answer's bytes flow through as they came; only what usage, cost and the end need is decoded."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, final

import anyio
import msgspec
import orjson

from asynccache.events import ReportedUsage, Started, Unknown
from asynccache.proxy.alike import likeness
from asynccache.sse import SSEDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynccache.pipeline import CallNext
    from asynccache.proxy.alike import Likeness
    from asynccache.request import Request
    from asynccache.stream import Emit, Head, Machine, Stream

__all__ = ["CHAT", "MESSAGES", "RESPONSES", "StreamTap", "Tap", "TapStage", "WholeTap", "Wire"]

_KEPT = (Started, ReportedUsage)


class Wire(Protocol):
    """What a tap must know of a wire format."""

    @property
    def fields(self) -> tuple[bytes, ...]:
        """How the texts begin that an event may bring."""
        ...

    def matters(self, data: bytes) -> bool:
        """Whether the event with *data* says anything beyond a piece of content."""
        ...

    def holds_usage(self, data: bytes) -> bool:
        """Whether the event is the one that the end's usage stands in: it and what follows wait for the cost."""
        ...


@final
class _Chat:
    """OpenAI's chunks: ``data:`` lines, usage on a chunk of its own, ``[DONE]``."""

    fields = (b'"content":"', b'"reasoning_content":"', b'"arguments":"')

    def matters(self, data: bytes) -> bool:
        return (
            data.startswith(b"[DONE]")
            or data.count(b'"usage"') != data.count(b'"usage":null')
            or data.count(b'"finish_reason"') != data.count(b'"finish_reason":null')
            or data.find(b'"error"') >= 0
            or data.find(b'"choices"') < 0
        )

    def holds_usage(self, data: bytes) -> bool:
        return data.find(b'"usage"') >= 0 and _usage_of(data) is not None and not _choices_of(data)


@final
class _Messages:
    """Anthropic's events: usage in ``message_start`` and ``message_delta``, then ``message_stop``."""

    fields = (b'"text":"', b'"thinking":"', b'"partial_json":"')

    def matters(self, data: bytes) -> bool:
        return data.find(b'"content_block_delta"', 0, 64) < 0

    def holds_usage(self, data: bytes) -> bool:
        return data.find(b'"message_delta"', 0, 40) >= 0 and _usage_of(data) is not None


@final
class _Responses:
    """The Responses API's events: usage in the last one."""

    fields = (b'"delta":"',)

    def matters(self, data: bytes) -> bool:
        return data.find(b'.delta"', 0, 80) < 0

    def holds_usage(self, data: bytes) -> bool:
        return any(data.find(mark, 0, 60) >= 0 for mark in _ENDS) and _usage_of(data) is not None


_ENDS = (b'"response.completed"', b'"response.incomplete"')
CHAT: Wire = _Chat()
MESSAGES: Wire = _Messages()
RESPONSES: Wire = _Responses()


class _Inner(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()


class _Holder(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()
    choices: list[msgspec.Raw] | None = None
    response: _Inner | None = None  # of an event of the Responses API


_holder = msgspec.json.Decoder(_Holder).decode


def _usage_of(data: bytes) -> bytes | None:
    try:
        held = _holder(data)
    except (ValueError, RecursionError):
        return None
    usage = bytes(held.usage if held.response is None else held.response.usage)
    return usage if usage.startswith(b"{") else None


def _choices_of(data: bytes) -> bool:
    return bool(_holder(data).choices)


@final
class TapStage:
    """The stage in the place of ``aggregate``: pipes a tap into the answer, which *decoder* understands."""

    name = "tap"

    def __init__(self, decoder: Callable[[Request, Head], Machine[bytes, Any]], wire: Wire) -> None:
        self._decoder = decoder
        self._wire = wire
        self.tap: Tap | None = None
        """The tap of the attempt that answers."""

    async def __call__(self, request: Request, call_next: CallNext, /) -> Stream[Any]:
        """Let the bytes pass under watch."""
        stream: Stream[Any] = await call_next(request)
        try:
            decoder = self._decoder(request, stream.head)
        except BaseException:
            await stream.aclose()
            raise
        streamed = request.stream and not stream.head.content_type.endswith("json")
        tap: Tap = StreamTap(decoder, self._wire, stream.head.touch) if streamed else WholeTap(decoder)
        self.tap = tap
        return stream.pipe(tap)


class Tap(Protocol):
    """A machine from bytes to bytes, with the few events between them that the stages need."""

    def feed(self, item: bytes, emit: Emit[Any], /) -> None:
        """Take a piece of the answer."""

    def flush(self, emit: Emit[Any], /) -> None:
        """There is no more of it."""

    def last(self, cost: float | None, *, usage: bool, more: bytes = b"") -> bytes:
        """What was kept for the end.

        Args:
            cost: to be written beside the usage; None where it is not known or not wanted.
            usage: whether a chunk that holds usage alone is for the caller.
            more: an event for a stream that has no such chunk.
        """
        ...


# `find` all over: CPython 3.11 tries `in` of bytes with a number first, which costs 0.5 µs.
_LONG = 64 * 1024  # bytes of an event that is not whole; longer ones are the decoder's to judge


@final
class StreamTap:
    """The tap of an event stream. Events that bring content pass; all others the provider's decoder sees too.

    It keeps what comes before the first content, so that the answer can still fail as a whole, and from the
    usage on, so that the cost can be written beside it.
    """

    def __init__(self, decoder: Machine[bytes, Any], wire: Wire, touch: Any) -> None:
        self._decoder = decoder
        self._wire = wire
        self._touch = touch
        self._sse = SSEDecoder()
        self._rest: bytes = b""  # an event that is not whole yet
        self._loose = False  # whether events end otherwise than by two line feeds
        self._like: Likeness | None = None  # what the events to come may look like
        self._begun = False
        self._content = False  # the decoder has heard some
        self._early: list[bytes] = []
        self._out: list[bytes] = []
        self._usage: bytes | None = None  # the event that the usage stands in
        self._kept: list[bytes] = []  # it, and what came after
        self._emit: Emit[Any] = _nowhere

    def feed(self, item: bytes, emit: Emit[Any], /) -> None:
        """Take a piece of the answer."""
        self._emit = emit
        whole: bytes
        if self._loose or item.find(b"\r") >= 0:
            self._loose = True
            self._read(self._rest + item)
            self._rest = b""
            return
        if self._rest:
            item = self._rest + item
        end = item.rfind(b"\n\n") + 2
        if end == 1:  # not one whole event
            self._rest = item
            self._loose = len(item) > _LONG
            return
        self._rest = item[end:]
        whole = item[:end] if self._rest else item
        at = 0
        while at < end:
            like = self._like
            plain = at if like is None or self._usage is not None else like.until(whole, at)
            if plain > at:
                if self._touch is not None:
                    self._touch()
                emit(whole[at:plain] if plain - at < end else whole)
                at = plain
            else:
                following = whole.find(b"\n\n", at) + 2
                self._read(whole[at:following])
                at = following

    def _read(self, data: bytes) -> None:
        """The slow way: event by event."""
        try:
            self._sse.feed(data, self._event)
        finally:
            self._pass_on()

    def flush(self, emit: Emit[Any], /) -> None:
        """There is no more of it.

        Raises:
            StreamInterruptedError: the answer's end has not come.
        """
        self._emit = emit
        if self._rest:
            with suppress(anyio.EndOfStream):
                self._read(self._rest)
        rest = self._sse.rest  # an end that lacks only its blank line
        if rest is not None and (rest == b"[DONE]" or _is_json(rest)):
            with suppress(anyio.EndOfStream):
                self._event(rest)
        self._pass_on()
        decoder, self._decoder = (
            self._decoder,
            _OVER,
        )  # it may know our `_hear`: a circle would outlive the answer
        try:
            decoder.flush(self._hear)
        finally:
            self._emit = _nowhere

    def over(self) -> None:
        """It broke off, or its caller left: as after its end."""
        self._decoder, self._emit = _OVER, _nowhere

    def last(self, cost: float | None, *, usage: bool, more: bytes = b"") -> bytes:
        """What was kept for the end."""
        kept = self._kept
        if self._usage is None:
            return b"".join((more, *kept))
        place = kept.index(self._usage)
        told = self._usage if cost is None else _with_cost(self._usage, cost)
        return b"".join((*kept[:place], told if usage else b"", *kept[place + 1 :]))

    def _event(self, data: bytes) -> None:
        wire = self._wire
        framed = self._frame(data)
        if self._begun and not wire.matters(data):
            if self._touch is not None:
                self._touch()
            (self._out if self._usage is None else self._kept).append(framed)
            self._like = likeness(framed, wire.fields)
            return
        try:
            self._decoder.feed(framed, self._hear)
        except anyio.EndOfStream:
            self._keep(data, framed)
            raise
        self._keep(data, framed)

    def _keep(self, data: bytes, framed: bytes) -> None:
        if self._usage is None and self._wire.holds_usage(data):
            self._usage = framed
        if self._usage is not None or data.startswith(b"[DONE]"):
            self._kept.append(framed)
        elif self._begun:
            self._out.append(framed)
        else:
            self._early.append(framed)
            if self._content:
                self._begun = True
                self._out, self._early = self._early, []

    def _frame(self, data: bytes) -> bytes:
        name = self._sse.event
        head = b"" if name == "message" else b"event: " + name.encode() + b"\n"
        if data.find(b"\n") >= 0:
            return head + b"".join(b"data: " + line + b"\n" for line in data.split(b"\n")) + b"\n"
        return head + b"data: " + data + b"\n\n"

    def _pass_on(self) -> None:
        if self._out:
            self._emit(b"".join(self._out))
            self._out.clear()

    def _hear(self, event: Any) -> None:
        kind: Any = event.__class__
        if kind in _KEPT:
            self._emit(event)
        elif kind is not Unknown:
            self._content = True


@final
class WholeTap:
    """The tap of an answer that is one JSON body."""

    def __init__(self, decoder: Machine[bytes, Any]) -> None:
        self._decoder = decoder
        self._parts: list[bytes] = []
        self._emit: Emit[Any] = _nowhere

    def feed(self, item: bytes, emit: Emit[Any], /) -> None:
        """Take a piece of the answer."""
        self._emit = emit
        self._parts.append(item)
        self._decoder.feed(item, self._hear)

    def flush(self, emit: Emit[Any], /) -> None:
        """It is whole, or the decoder says why not.

        Raises:
            AsyncCacheError: it is an error, or no answer.
        """
        self._emit = emit
        decoder, self._decoder = self._decoder, _OVER  # as above
        try:
            decoder.flush(self._hear)
        finally:
            self._emit = _nowhere

    def over(self) -> None:
        """As a stream's."""
        self._decoder, self._emit = _OVER, _nowhere

    def last(self, cost: float | None, *, usage: bool = True, more: bytes = b"") -> bytes:  # noqa: ARG002 - for streams
        """The body."""
        body = b"".join(self._parts)
        return body if cost is None else _with_cost(body, cost)

    def _hear(self, event: Any) -> None:
        if type(event) in _KEPT:
            self._emit(event)


def _with_cost(text: bytes, cost: float) -> bytes:
    """*text*, one JSON object perhaps behind ``data:``, with ``cost`` at the end of its ``usage``; nothing else changes."""
    start = text.find(b"{")
    usage = _usage_of(text[start:].rstrip())
    if usage is None or not usage.endswith(b"}") or usage.find(b'"cost"') >= 0:
        return text
    place = text.rfind(usage)
    inner = usage[:-1].rstrip()
    comma = b"" if inner.endswith(b"{") else b","
    return text[:place] + inner + comma + b'"cost":' + orjson.dumps(cost) + b"}" + text[place + len(usage) :]


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _nowhere(_event: Any) -> None:
    """Before the first piece, and after the last."""


@final
class _Over:
    """In the place of a decoder that has done its work."""

    def feed(self, item: bytes, emit: Emit[Any], /) -> None:
        """Nothing comes after the end."""

    def flush(self, emit: Emit[Any], /) -> None:
        """It was flushed."""


_OVER = _Over()
