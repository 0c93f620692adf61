"""Bytes to server-sent events, by the WHATWG rules; any split of the bytes gives the same events."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from asynccache.errors import ResponseTooLargeError

if TYPE_CHECKING:
    from asynccache.stream import Emit

__all__ = ["MAX_EVENT", "SSEDecoder"]

MAX_EVENT = 16 * 1024 * 1024
"""The largest event taken, in bytes."""

_BOM = b"\xef\xbb\xbf"


@final
class SSEDecoder:
    """A machine from bytes to the data of each event.

    While an event's data is emitted, ``event`` is its name (``"message"`` where it has none) and
    ``last_event_id`` the id that stands. Field names and values are bytes as received: invalid UTF-8 is
    the business of who reads them.

    The usual case, whole events of one ``data:`` line each (perhaps after an ``event:`` line) with LF line
    ends, is cut in bulk; all else goes line by line, with the same result.
    """

    __slots__ = (
        "_after_cr",
        "_between",
        "_buffer",
        "_data",
        "_head",
        "_max",
        "_name",
        "_size",
        "event",
        "last_event_id",
        "retry",
    )

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self.event = "message"
        self.last_event_id = ""
        self.retry: int | None = None
        self._max = max_event
        self._buffer = bytearray()  # the unfinished line
        self._data: list[bytes] = []
        self._size = 0  # of the event being read, in bytes
        self._name = b""
        self._head: bytes | None = b""  # the first three bytes, until it is known whether they are a BOM
        self._after_cr = False
        self._between = False  # nothing stands over from earlier pieces: the next byte begins an event

    def feed(self, chunk: bytes, emit: Emit[bytes]) -> None:
        """Take any piece of the stream, emit the data of every event that it completes.

        Raises:
            ResponseTooLargeError: an event is larger than the limit.
        """
        if self._between and b"\r" not in chunk:
            chunk = self._feed_whole_events(chunk, emit)
            if not chunk:
                return
            self._feed_lines(chunk, emit)
        else:
            self._feed_any(chunk, emit)
        self._between = not (self._within_event or self._after_cr or self._head is not None)

    def _feed_any(self, chunk: bytes, emit: Emit[bytes]) -> None:
        """Take a piece that begins anywhere: within an event, in the middle of a line end or of a BOM."""
        if self._head is not None:
            chunk = self._skip_bom(chunk)
        if not chunk:
            return
        if self._after_cr:
            self._after_cr = False
            if chunk[0] == 10:
                chunk = chunk[1:]
        if b"\r" not in chunk:
            if self._within_event:
                end = chunk.find(b"\n\n") + 2
                if end > 1:
                    self._feed_lines(chunk[:end], emit)
                    chunk = chunk[end:]
            if not self._within_event:
                chunk = self._feed_whole_events(chunk, emit)
        if chunk:
            self._feed_lines(chunk, emit)

    def flush(self, emit: Emit[bytes]) -> None:
        """The stream is at its end: an event without its blank line is dropped, as the rules have it."""

    @property
    def rest(self) -> bytes | None:
        """The data of an event that lacks only its blank line; None when there is no such event."""
        data = list(self._data)
        if self._buffer.startswith(b"data:"):
            value = bytes(self._buffer[5:])
            data.append(value[1:] if value.startswith(b" ") else value)
        return b"\n".join(data) if data else None

    @property
    def _within_event(self) -> bool:
        return bool(self._buffer or self._data or self._name)

    def _skip_bom(self, chunk: bytes) -> bytes:
        head = (self._head or b"") + chunk
        if len(head) < 3 and _BOM.startswith(head):
            self._head = head
            return b""
        self._head = None
        return head[3:] if head.startswith(_BOM) else head

    def _feed_whole_events(self, chunk: bytes, emit: Emit[bytes]) -> bytes:
        """Emit the events that are whole within *chunk*; returns what is left for the line parser."""
        end = chunk.rfind(b"\n\n")
        if end < 0 or end > self._max:  # what may hold an event that is too large is looked at line by line
            return chunk
        tail = chunk[end + 2 :]
        if chunk.startswith(b"event: "):
            self._feed_named_events(chunk[7:end], emit)
            return tail
        if chunk.startswith(b"data: "):
            datas = chunk[6:end].split(b"\n\ndata: ")
            if chunk.count(b"\n", 0, end) == 2 * len(datas) - 2:  # no other lines, as counting them proves
                for data in datas:
                    emit(data)
                return tail
        for block in chunk[:end].split(b"\n\n"):
            if block.startswith(b"data: ") and b"\n" not in block:
                emit(block[6:])
            elif block.startswith(b"event: "):
                self._feed_named_events(block[7:], emit)
            else:
                self._feed_lines(block + b"\n\n", emit)
        return tail

    def _feed_named_events(self, whole: bytes, emit: Emit[bytes]) -> None:
        """Take whole events that begin with their ``event:`` line, of which the first has been cut off."""
        last = None
        for block in whole.split(b"\n\nevent: "):
            name, found, data = block.partition(b"\ndata: ")
            if found and block.count(b"\n") == 1:
                if name != last:  # mostly it is the one before
                    last = name
                    self.event = name.decode("utf-8", "replace") or "message"
                emit(data)
            else:  # more lines, or other events between the named ones
                last = None
                self.event = "message"
                self._feed_lines(b"event: " + block + b"\n\n", emit)
        self.event = "message"

    def _feed_lines(self, chunk: bytes, emit: Emit[bytes]) -> None:
        self._buffer += chunk
        if b"\n" not in chunk and b"\r" not in chunk:
            self._check_size(len(self._buffer))
            return
        text = bytes(self._buffer)
        if b"\r" in chunk:
            self._after_cr = text.endswith(b"\r")  # an LF at the start of the next piece is of this line end
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            self._line(line, emit)
        self._check_size(len(rest))

    def _line(self, line: bytes, emit: Emit[bytes]) -> None:
        if not line:
            self._dispatch(emit)
            return
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            self._data.append(value)
            self._size += len(value) + 1  # the line end that joins it to the next
            self._check_size(0)
        elif field == b"event":
            self._name = value
        elif field == b"id":
            if b"\0" not in value:
                self.last_event_id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit() and len(value) < 16:
            self.retry = int(value)

    def _dispatch(self, emit: Emit[bytes]) -> None:
        data, name = self._data, self._name
        self._data, self._name, self._size = [], b"", 0
        if not data:
            return
        if name:
            self.event = name.decode("utf-8", "replace")
        emit(data[0] if len(data) == 1 else b"\n".join(data))
        self.event = "message"

    def _check_size(self, unfinished: int) -> None:
        if self._size + unfinished > self._max:
            msg = f"an event of the answer is larger than {self._max} bytes; Client(max_event_bytes=...) allows more"
            raise ResponseTooLargeError(msg)
