"""What a fault does to the text of an answer: its events found, dressed otherwise, and packed."""

from __future__ import annotations

import base64
import json
import random
import struct
import zlib
from typing import TYPE_CHECKING, Any, final

from .loose import obj

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .faults_knobs import Encoding, Fault

_PRELUDE = 12
_GZIP, _DEFLATE = 31, 15  # zlib's window bits
_NOISE = (
    b": keep-alive\n\n",
    b"id: 7\x00\nretry: 99999999999999999999\n\n",
    b"event: nothing\n\n",
    b"colour\n\n",
)


@final
class EventSplitter:
    """Cuts a body into its events: server-sent events, frames, or one that is the whole of it."""

    def __init__(self, content_type: str) -> None:
        self._kind = content_type.partition(";")[0].strip()
        self._buffer = b""

    @property
    def is_sse(self) -> bool:
        """Whether the events are lines of text."""
        return self._kind == "text/event-stream"

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are whole now."""
        self._buffer += data
        events: list[bytes] = []
        while (end := self._end()) > 0:
            events.append(self._buffer[:end])
            self._buffer = self._buffer[end:]
        return events

    def rest(self) -> list[bytes]:
        """What is left at the end of the body."""
        rest, self._buffer = self._buffer, b""
        return [rest] if rest else []

    def _end(self) -> int:
        if self.is_sse:
            return self._buffer.find(b"\n\n") + 2 if b"\n\n" in self._buffer else 0
        if self._kind == "application/vnd.amazon.eventstream" and len(self._buffer) >= _PRELUDE:
            total: int = struct.unpack_from(">I", self._buffer)[0]
            return total if len(self._buffer) >= total else 0
        return 0


def told_usage(event: bytes) -> dict[str, Any] | None:
    """The usage object that an event tells, whatever its wire."""
    begin = event.find(b"{")
    for _ in range(4):  # a brace among a frame's headers is not the beginning of its JSON
        if begin < 0:
            break
        try:
            body = obj(json.JSONDecoder().raw_decode(event[begin:].decode("utf-8", "replace"))[0])
        except (ValueError, RecursionError):
            begin = event.find(b"{", begin + 1)
            continue
        packed = body.get("bytes")
        if isinstance(packed, str):
            return told_usage(base64.b64decode(packed))
        usage = obj(body.get("usage")) or obj(obj(body.get("message")).get("usage"))
        return usage or None
    return None


def dressed(event: bytes, fault: Fault, number: int) -> bytes:
    """The same event in another of the spellings that the rules of server-sent events allow."""
    if fault.multiline:
        event = event.replace(b'","', b'",\ndata: "')
    if fault.tight:
        event = event.replace(b"data: ", b"data:").replace(b"event: ", b"event:")
    if fault.comments:
        event = _NOISE[number % len(_NOISE)] + event
    if fault.eol == "lf":
        return event
    if fault.eol == "mixed":
        ends = random.Random(number).choices((b"\n", b"\r\n", b"\r"), k=event.count(b"\n"))  # noqa: S311 - a seeded fault
        lines = event.split(b"\n")
        return b"".join(line + end for line, end in zip(lines, [*_unjoined(ends), b""], strict=True))
    return event.replace(b"\n", b"\r\n" if fault.eol == "crlf" else b"\r")


def _unjoined(ends: Sequence[bytes]) -> list[bytes]:
    """*ends* without a CR before an LF: the two would be one end."""
    return [
        b"\r\n" if end == b"\r" and later == b"\n" else end
        for end, later in zip(ends, [*ends[1:], b"\n"], strict=True)
    ]


def big_event(size: int, *, sse: bool) -> bytes:
    """An event of about *size* bytes."""
    return b'data: {"pad":"%b"}\n\n' % (b"x" * size) if sse else b"x" * size


@final
class Packer:
    """A body's encoding, flushed after every piece so that an event is not held back."""

    def __init__(self, encoding: Encoding) -> None:
        bits = {"gzip": (_GZIP,), "deflate": (_DEFLATE,), "double": (_GZIP, _GZIP)}.get(encoding, ())
        self._packers = [zlib.compressobj(9, zlib.DEFLATED, window) for window in bits]
        self.header = {"double": "gzip, gzip"}.get(encoding, encoding) if bits else None

    def pack(self, data: bytes) -> bytes:
        """*data* as it goes over the wire."""
        for packer in self._packers:
            data = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
        return data

    def end(self) -> bytes:
        """What ends the packed body."""
        data = b""
        for packer in self._packers:
            data = (packer.compress(data) if data else b"") + packer.flush()
        return data
