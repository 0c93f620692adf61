"""The bytes of an answer over HTTP to events: a stream of events, or one JSON body, as it turns out."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, final

import anyio

from asynccache.errors import InvalidResponseError
from asynccache.providers.anthropic.decode import MessagesDecoder
from asynccache.providers.anthropic.wire import is_truncated
from asynccache.providers.mending import excerpt
from asynccache.sse import SSEDecoder, looks_like_events

if TYPE_CHECKING:
    from asynccache.events import Event
    from asynccache.stream import Emit, Head

__all__ = ["AnswerDecoder"]

_ENOUGH = 1024  # bytes of a foreign page, for the message of the error
_STREAM = "text/event-stream"


@final
class AnswerDecoder:
    """A machine from bytes to events.

    JSON by its content type is one body. All else is what its first byte says: gateways label JSON errors
    as event streams, and pages of a firewall as anything. Where neither says, *streamed* does.
    """

    def __init__(self, head: Head, *, streamed: bool) -> None:
        kind = head.content_type
        self._messages = MessagesDecoder()
        self._sse = SSEDecoder(head.max_event)
        self._touch = head.touch
        self._whole = kind.endswith("json") or not (streamed or kind == _STREAM)
        self._foreign = kind.endswith("html")
        self._parts: list[bytes] = []  # of a body, or of what came before it was known what comes
        self._known = False  # that it is a stream
        self._emit: Emit[Event] = _nowhere  # of this call: machines piped later change it

    def feed(self, chunk: bytes, emit: Emit[Event]) -> None:
        """Take any piece of the body.

        Raises:
            anyio.EndOfStream: the answer is whole.
        """
        if not self._known:
            self._parts.append(chunk)
            if self._whole or not self._is_stream():
                return
            chunk = b"".join(self._parts)
            self._parts.clear()
        self._emit = emit
        try:
            self._sse.feed_runs(chunk, self._run)
        finally:
            self._emit = _nowhere  # kept, it would tie machine and stream into a knot for the collector
        messages = self._messages
        if messages.progress:
            messages.progress = False
            if self._touch is not None:
                self._touch()

    def flush(self, emit: Emit[Event]) -> None:
        """The body is at its end.

        Raises:
            StreamInterruptedError: the answer is not.
            InvalidResponseError: it is no answer of Anthropic's.
        """
        messages = self._messages
        if messages.done:
            return
        if not self._known:
            body = b"".join(self._parts)
            if self._foreign:
                raise _foreign(body)
            if self._whole and not looks_like_events(body):
                messages.feed_answer(body, emit)
                return
            if self._whole and self._misnamed(body, emit):
                return
        rest = self._sse.rest
        if rest and self._known and not is_truncated(rest):
            self._emit = emit
            with suppress(anyio.EndOfStream):
                self._run([rest])  # an end that lacks only its blank line
            self._emit = _nowhere
        messages.flush(emit)

    def _misnamed(self, body: bytes, emit: Emit[Event]) -> bool:
        """A stream that is called something else; returns whether the answer is at its end."""
        self._whole = False
        self._parts.clear()
        with suppress(anyio.EndOfStream):
            self.feed(body, emit)
        return self._messages.done

    def _is_stream(self) -> bool:
        """Whether what came is the beginning of an event stream; else it is kept for `flush`."""
        opening = b"".join(self._parts)
        first = opening.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        if self._foreign or first == b"<":
            self._foreign = True
            if len(opening) >= _ENOUGH:
                raise _foreign(opening)
            return False
        if first in {b"{", b"["}:
            self._whole = True
            return False
        if not first or first == b"\xef":  # white space, or a piece of a byte order mark
            return False
        self._known = True
        return True

    def _run(self, run: list[bytes]) -> None:
        self._messages.feed_run(run, self._emit)


def _nowhere(_event: Event) -> None:
    """Where events go before the first piece of the body: none come then."""


def _foreign(body: bytes) -> InvalidResponseError:
    return InvalidResponseError(f"the answer is a web page, not Anthropic's: {excerpt(body)}")
