"""An answer's bytes → events: event-stream frames or one JSON body, whichever they turn out to be.

What carries the answer is taken off here; what it says is read by a `Reader`, one for each wire format. The
content type is checked first, then the first byte: gateways answer a stream request with a JSON error often
enough, and call it an event stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, final

import anyio
import orjson

from asynccache.errors import (
    AsyncCacheError,
    InvalidResponseError,
    ResponseTooLargeError,
    StreamInterruptedError,
)
from asynccache.events import Unknown
from asynccache.providers.bedrock.failures import failure_of_type
from asynccache.providers.bedrock.frames import (
    FrameCutError,
    FrameDecoder,
    FrameError,
    FrameTooLargeError,
)
from asynccache.secret import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.events import Event
    from asynccache.providers.bedrock.frames import HeaderValue
    from asynccache.stream import Emit, Head

__all__ = ["AnswerDecoder", "Reader", "excerpt"]


_FRAMED = "application/vnd.amazon.eventstream"
_TEXT_BEGINS = frozenset({b"", b"{", b"[", b"<", b" ", b"\n", b"\r", b"\t"})


class Reader(Protocol):
    """What an answer says, in one wire format.

    A reader may also have ``events(name, payloads, emit)``, called instead of `event` with events of one name
    that came together; it stops where it is `done`.
    """

    @property
    def done(self) -> bool:
        """Whether nothing more will be said."""
        ...

    def took_progress(self) -> bool:
        """Whether something meaningful was said since the last time this was asked."""
        ...

    def event(self, name: str, payload: bytes, emit: Emit[Event], /) -> None:
        """Take one event of a stream."""

    def body(self, data: bytes, emit: Emit[Event], /) -> None:
        """Take a whole answer."""

    def finish(self, emit: Emit[Event], /) -> None:
        """The stream has ended.

        Raises:
            StreamInterruptedError: the answer has not.
        """


@final
class AnswerDecoder:
    """A machine from bytes to events."""

    def __init__(self, reader: Reader, head: Head) -> None:
        self._reader = reader
        self._events = getattr(reader, "events", None)
        self._head = head
        self._frames: FrameDecoder | None = None
        self._parts: list[bytes] = []  # of a body that is not frames
        self._headers: Mapping[str, HeaderValue] | None = None  # of the frames that came last
        self._name: str | None = None  # of the events that they are; None for what is none
        self._emit: Emit[Event] | None = None

    def feed(self, chunk: bytes, emit: Emit[Event]) -> None:
        """Take any piece of the body.

        Raises:
            anyio.EndOfStream: the answer is whole.
            APIStatusError: the stream says that something failed.
            InvalidResponseError: a frame is damaged; nothing after it is trusted.
        """
        frames = self._frames
        if frames is None:
            if self._parts or not self._is_framed(chunk[:1]):
                if chunk:
                    self._parts.append(chunk)
                return
            frames = self._frames = FrameDecoder(max_payload=self._head.max_event)
        self._emit = emit
        try:
            frames.feed_runs(chunk, self._run)
        except FrameTooLargeError as exc:
            msg = f"an event of the answer is too large; Client(max_event_bytes=...) allows more: {exc}"
            raise self._identified(ResponseTooLargeError(msg)) from exc
        except FrameError as exc:
            msg = f"the answer is a damaged event stream: {exc}"
            raise self._identified(InvalidResponseError(msg)) from exc
        except AsyncCacheError as error:
            self._identified(error)
            raise
        if self._reader.took_progress() and self._head.touch is not None:
            self._head.touch()

    def flush(self, emit: Emit[Event]) -> None:
        """The body is at its end.

        Raises:
            StreamInterruptedError: the answer is not.
            InvalidResponseError: it is no answer of Bedrock's.
        """
        try:
            self._flush(emit)
        except AsyncCacheError as error:
            self._identified(error)
            raise

    def _identified(self, error: AsyncCacheError) -> AsyncCacheError:
        error.request_id = error.request_id or self._head.request_id
        return error

    def _flush(self, emit: Emit[Event]) -> None:
        if self._reader.done:
            return
        if self._frames is None:
            self._whole(b"".join(self._parts), emit)
            return
        try:
            self._frames.flush(self._run)
        except FrameCutError as exc:
            msg = f"the stream ended before the answer did: {exc}"
            raise StreamInterruptedError(msg) from exc
        self._reader.finish(emit)

    def _is_framed(self, first: bytes) -> bool:
        """Whether a body that begins with *first* is to be read as frames."""
        if self._head.content_type in {"", _FRAMED}:
            return first not in _TEXT_BEGINS
        return first == b"\0"  # as every frame below 16 MiB begins

    def _run(self, headers: Mapping[str, HeaderValue], payloads: list[bytes]) -> None:
        emit = self._emit
        assert emit is not None  # noqa: S101 - feed sets it first
        if headers is not self._headers:
            self._headers = headers
            is_event = headers.get(":message-type") == "event"
            self._name = str(headers.get(":event-type")) if is_event else None
        name = self._name
        if name is None:
            self._not_an_event(headers, payloads, emit)
            return
        reader = self._reader
        if self._events is not None:
            self._events(name, payloads, emit)
        else:
            for payload in payloads:
                reader.event(name, payload, emit)
                if reader.done:
                    break
        if reader.done:
            raise anyio.EndOfStream

    def _not_an_event(
        self, headers: Mapping[str, HeaderValue], payloads: list[bytes], emit: Emit[Event]
    ) -> None:
        kind = headers.get(":message-type")
        if kind == "exception":
            raise failure_of_type(str(headers.get(":exception-type")), payloads[0], self._head.headers)
        if kind == "error":
            told = orjson.dumps({"message": str(headers.get(":error-message") or "")})
            raise failure_of_type(str(headers.get(":error-code")), told, self._head.headers)
        for payload in payloads:
            emit(Unknown(f":message-type {kind!r}", payload))

    def _whole(self, body: bytes, emit: Emit[Event]) -> None:
        body = body.removeprefix(b"\xef\xbb\xbf")
        if not body.strip():
            msg = "the answer was empty"
            raise StreamInterruptedError(msg)
        if body.lstrip()[:1] not in {b"{", b"["}:
            kind = self._head.content_type or "no content type"
            msg = f"the answer ({kind}) is neither an event stream nor JSON: {excerpt(body)}"
            raise InvalidResponseError(msg)
        if body.rstrip()[-1:] not in {b"}", b"]"}:
            msg = f"the answer is cut short after {len(body)} bytes"
            raise StreamInterruptedError(msg)
        self._reader.body(body, emit)


def excerpt(data: bytes) -> str:
    """The first words of an answer, for an error's message: one line, keys hidden."""
    return redact(" ".join(data[:800].decode("utf-8", "replace").split()))[:200]
