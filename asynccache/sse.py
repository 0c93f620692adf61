"""Bytes to server-sent events, by the WHATWG rules; any split of the bytes gives the same events."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from asynccache.errors import ResponseTooLargeError

if TYPE_CHECKING:
    from asynccache.stream import Emit

__all__ = ["MAX_EVENT", "SSEDecoder", "looks_like_events"]

MAX_EVENT = 16 * 1024 * 1024
"""The largest event taken, in bytes."""

_BOM = b"\xef\xbb\xbf"
_DATA = b"data: "
_LF, _CR = 10, 13  # as numbers: Python finds a byte in bytes by its number ten times faster than as bytes


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
        "_apart",
        "_around",
        "_between",
        "_buffer",
        "_data",
        "_event",
        "_head",
        "_lead",
        "_lead_name",
        "_max",
        "_name",
        "_size",
        "last_event_id",
        "retry",
    )

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._event = b""  # the name of what is being emitted
        self.last_event_id = ""
        self.retry: int | None = None
        self._max = max_event
        self._buffer = bytearray()  # the unfinished line
        self._data: list[bytes] = []
        self._size = 0  # of the data lines of the event being read, in bytes
        self._name = b""
        self._lead = _DATA  # what stood before the data of the last event that was whole
        self._lead_name = b""  # the name in it
        self._around = len(_DATA) + 2  # bytes of an event besides its data, where all is as in the last one
        self._apart = b"\n\n" + _DATA  # what then stands between the data of two
        self._head: bytes | None = b""  # the first three bytes, until it is known whether they are a BOM
        self._after_cr = False
        self._between = False  # nothing stands over from earlier pieces: the next byte begins an event

    def feed(self, chunk: bytes, emit: Emit[bytes]) -> None:
        """Take any piece of the stream, emit the data of every event that it completes.

        Raises:
            ResponseTooLargeError: an event is larger than the limit.
        """

        def each(run: list[bytes]) -> None:
            for data in run:
                emit(data)

        self.feed_runs(chunk, each)

    def feed_runs(self, chunk: bytes, emit: Emit[list[bytes]]) -> None:
        """As `feed`, but events of one name that came together are emitted together.

        Raises:
            ResponseTooLargeError: an event is larger than the limit.
        """
        if self._between and _CR not in chunk:
            data = chunk.removeprefix(self._lead).removesuffix(b"\n\n")
            if len(chunk) - len(data) == self._around and len(chunk) < self._max:
                # The usual read: one event or many, each whole and like the one before, and no other lines.
                run = [data]
                if _LF not in data or _LF not in b"".join(run := data.split(self._apart)):
                    self._event = self._lead_name
                    emit(run)
                    self._event = b""
                    return
            chunk = self._feed_whole_events(chunk, emit)
            if not chunk:
                return
            self._feed_lines(chunk, emit)
        else:
            self._feed_any(chunk, emit)
        self._between = not (self._within_event or self._after_cr or self._head is not None)

    def _feed_any(self, chunk: bytes, emit: Emit[list[bytes]]) -> None:
        """Take a piece that begins anywhere: within an event, in the middle of a line end or of a BOM."""
        if self._head is not None:
            chunk = self._skip_bom(chunk)
        if not chunk:
            return
        if self._after_cr:
            self._after_cr = False
            if chunk[0] == 10:
                chunk = chunk[1:]
        if _CR not in chunk:
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
    def event(self) -> str:
        """The name of the event whose data is being emitted."""
        return self._event.decode("utf-8", "replace") or "message"

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

    def _feed_whole_events(self, chunk: bytes, emit: Emit[list[bytes]]) -> bytes:
        """Emit the events that are whole within *chunk*; returns what is left for the line parser."""
        end = chunk.rfind(b"\n\n")
        if end < 0 or end >= self._max:  # what may hold an event that is too large is looked at line by line
            return chunk
        lead = _lead_of(chunk)
        if lead:
            run = chunk[len(lead) : end].split(b"\n\n" + lead)
            if _LF not in b"".join(run):  # no other lines
                self._emit_run(lead, run, emit)
                return chunk[end + 2 :]
        self._feed_mixture(chunk[:end].split(b"\n\n"), emit)
        return chunk[end + 2 :]

    def _feed_mixture(self, blocks: list[bytes], emit: Emit[list[bytes]]) -> None:
        """Take whole events of any kind; those of one kind that follow each other are emitted together."""
        lead, lines = b"", 0
        run: list[bytes] = []
        for block in blocks:
            if run and block.startswith(lead) and block.count(b"\n") == lines:
                run.append(block[len(lead) :])
                continue
            if run:
                self._emit_run(lead, run, emit)
                run = []
            lead = _lead_of(block)
            lines = lead.count(b"\n")
            if lead and block.count(b"\n") == lines:
                run.append(block[len(lead) :])
            else:
                self._feed_lines(block + b"\n\n", emit)
        if run:
            self._emit_run(lead, run, emit)

    def _emit_run(self, lead: bytes, run: list[bytes], emit: Emit[list[bytes]]) -> None:
        if lead != self._lead:
            self._lead, self._lead_name = lead, lead[7:-7]
            self._around, self._apart = len(lead) + 2, b"\n\n" + lead
        self._event = self._lead_name
        emit(run)
        self._event = b""

    def _feed_lines(self, chunk: bytes, emit: Emit[list[bytes]]) -> None:
        self._buffer += chunk
        if _LF not in chunk and _CR not in chunk:
            self._check_size(len(self._buffer))
            return
        text = bytes(self._buffer)
        if _CR in chunk:
            self._after_cr = text.endswith(b"\r")  # an LF at the start of the next piece is of this line end
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            self._line(line, emit)
        self._check_size(len(rest))

    def _line(self, line: bytes, emit: Emit[list[bytes]]) -> None:
        if not line:
            self._dispatch(emit)
            return
        self._check_size(len(line) + 1)
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            self._data.append(value)
            self._size += len(line) + 1  # the line end that joins it to the next
        elif field == b"event":
            self._name = value
        elif field == b"id":
            if b"\0" not in value:
                self.last_event_id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit() and len(value) < 16:
            self.retry = int(value)

    def _dispatch(self, emit: Emit[list[bytes]]) -> None:
        data, name = self._data, self._name
        self._data, self._name, self._size = [], b"", 0
        if not data:
            return
        self._event = name
        emit(data if len(data) == 1 else [b"\n".join(data)])
        self._event = b""

    def _check_size(self, unfinished: int) -> None:
        if self._size + unfinished > self._max:
            msg = f"an event of the answer is larger than {self._max} bytes; Client(max_event_bytes=...) allows more"
            raise ResponseTooLargeError(msg)


def _lead_of(block: bytes) -> bytes:
    """What stands before the data of an event that is one line of data, perhaps after its name; else b""."""
    if block.startswith(_DATA):
        return _DATA
    if block.startswith(b"event: "):
        end = block.find(b"\n", 7)
        if block.startswith(b"\ndata: ", end):
            return block[: end + 7]
    return b""


_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")


def looks_like_events(body: bytes) -> bool:
    """Whether *body* begins as an event stream does, whatever it is called."""
    return body.removeprefix(_BOM).lstrip().startswith(_BEGINNINGS)
