"""Bytes → AWS event-stream frames: every checksum verified, every length judged before it is believed.

A frame (`application/vnd.amazon.eventstream`, big-endian throughout):

    u32 total length | u32 headers length | u32 CRC-32 of those eight bytes
    headers: u8 name length, name, u8 type, value (repeated)
    payload
    u32 CRC-32 of everything before it

The bytes may be cut anywhere. A frame that is wrong ends the stream: what came before it is delivered,
nothing after it is trusted.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, TypeAlias, final
from zlib import crc32

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HeaderValue: TypeAlias = bool | int | bytes | str
# Of a frame whose prelude and headers are known: its length, theirs, what splits payload and checksum, the headers,
# the checksum so far.
_Lead: TypeAlias = "tuple[int, int, Callable[[bytes, int], tuple[Any, ...]], Mapping[str, HeaderValue], int]"
EmitRun: TypeAlias = "Callable[[Mapping[str, HeaderValue], list[bytes]], object]"

MAX_HEADERS = 128 * 1024
MAX_PAYLOAD = 16 * 1024 * 1024  # of one frame; botocore lets 24 MiB pass, no model sends a hundredth of it

_PRELUDE = 12
_AROUND = _PRELUDE + 4  # what a frame is besides its headers and its payload
_REMEMBERED = 256  # header blocks (a stream has about seven) and what leads payloads; a hostile stream may not fill our memory
_REMEMBERED_LEAD = 1024  # bytes
_SMALL = 1024  # bytes of a read that may be one frame

_prelude = Struct(">III").unpack_from
_u32 = Struct(">I").unpack_from
_u16 = Struct(">H").unpack_from
_NONE: Mapping[str, HeaderValue] = {}

# Header types by number; `bool` takes no bytes, the counted ones begin with a u16 length.
# Timestamps stay milliseconds since the epoch and UUIDs their 16 bytes: nobody here reads either.
_FIXED = {
    2: Struct(">b"),
    3: Struct(">h"),
    4: Struct(">i"),
    5: Struct(">q"),
    8: Struct(">q"),
    9: Struct("16s"),
}
_TRUE, _FALSE, _BYTES, _STRING = 0, 1, 6, 7


class FrameError(ValueError):
    """The bytes are not an event stream, or not one that can be trusted any further."""


class FrameTooLargeError(FrameError):
    """A frame is longer than is accepted; nothing was kept for it."""


class FrameCutError(FrameError):
    """The stream ended in the middle of a frame."""


@final
class Frame(msgspec.Struct, frozen=True, gc=False):
    """One message. Frames with the same header bytes share one `headers` mapping: read it, never write it."""

    headers: Mapping[str, HeaderValue]
    payload: bytes


@final
class FrameDecoder:
    """A machine from bytes to frames, for one stream.

    Args:
        max_payload: the longest payload accepted, in bytes; a longer one is refused by its prelude alone.
    """

    def __init__(self, *, max_payload: int = MAX_PAYLOAD) -> None:
        self._max_payload = max_payload
        self._pieces: list[bytes] = []  # of a frame that is not whole yet
        self._have = 0  # bytes in the pieces
        self._need = _PRELUDE  # bytes without which nothing more can be said
        self._lead = _PRELUDE  # how long prelude and headers were of late
        self._leads: dict[bytes, _Lead] = {}  # by prelude and headers: a long answer has some dozens of them
        self._judged: dict[bytes, tuple[int, int]] = {}  # by prelude, for frames that come in pieces
        self._parsed: dict[bytes, Mapping[str, HeaderValue]] = {}  # by header bytes
        self._broken: FrameError | None = None

    def feed(self, data: bytes, emit: Callable[[Frame], object], /) -> None:
        """Emit every frame that *data* completes.

        Raises:
            FrameError: at the first frame that is wrong, after those before it were emitted, and ever after.
        """

        def each(headers: Mapping[str, HeaderValue], payloads: list[bytes]) -> None:
            for payload in payloads:
                emit(Frame(headers, payload))

        self.feed_runs(data, each)

    def feed_runs(self, data: bytes, emit: EmitRun, /) -> None:
        """As `feed`, but of frames with the same headers that came together the payloads are emitted together.

        Raises:
            FrameError: as `feed`.
        """
        if self._broken is not None:
            raise self._broken
        if self._have:
            self._pieces.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            data = b"".join(self._pieces)
        elif type(data) is not bytes:
            data = bytes(data)
        elif len(data) < _SMALL and self._is_one(data, emit):
            return
        try:
            rest = self._frames(data, emit)
        except FrameError as error:
            self._broken = error
            self._pieces.clear()
            raise
        if rest < len(data):
            self._have = len(data) - rest
            self._pieces = [data[rest:]]
        elif self._have:
            self._have = 0
            self._pieces = []

    def flush(self, emit: object, /) -> None:  # noqa: ARG002  a machine's shape
        """Say that there are no more bytes.

        Raises:
            FrameCutError: some bytes of a frame are here, the rest of it is not.
        """
        if self._have and self._broken is None:
            raise FrameCutError(
                f"the event stream ended {self._have} bytes into a frame of {self._need} or more"
            )

    def _is_one(self, data: bytes, emit: EmitRun) -> bool:
        """Whether *data* is one sound frame like an earlier one, the usual read of a slow model; then it is emitted."""
        lead = self._leads.get(data[: self._lead])
        if lead is None or lead[0] != len(data):
            return False
        _, lead_end, split, headers, crc = lead
        payload, expected = split(data, lead_end)
        if crc32(payload, crc) != expected:
            return False
        emit(headers, [payload])
        return True

    def _frames(self, data: bytes, emit: EmitRun) -> int:
        """Emit the whole frames in *data*; answers where the one that is not whole begins."""
        start, end, find = 0, len(data), self._leads.get
        headers = _NONE
        payloads: list[bytes] = []
        try:
            while start < end:
                lead = find(data[start : start + self._lead]) or self._new_lead(data, start, end)
                if lead is None:
                    break
                total, lead_end, split, told, crc = lead
                stop = start + total
                if stop > end:
                    self._need = total
                    break

                payload, expected = split(data, start + lead_end)
                if crc32(payload, crc) != expected:
                    raise _damaged(data[start : stop - 4], expected)
                if told is not headers:
                    if payloads:
                        emit(headers, payloads)
                        payloads = []
                    headers = told
                payloads.append(payload)
                start = stop
            else:
                self._need = _PRELUDE
        except FrameError:
            if payloads:
                emit(headers, payloads)
            raise
        if payloads:
            emit(headers, payloads)
        return start

    def _new_lead(self, data: bytes, start: int, end: int) -> _Lead | None:
        """What leads a frame's payload, read for the first time; None while the frame is not whole."""
        self._need = _PRELUDE
        if end - start < _PRELUDE:
            return None
        prelude = data[start : start + _PRELUDE]
        total, lead_end = self._judged.get(prelude) or self._judge(prelude)
        if end - start < total:
            self._need = total
            return None
        stop = start + total - 4
        if crc32(data[start:stop]) != _u32(data, stop)[0]:
            raise _damaged(data[start:stop], _u32(data, stop)[0])
        lead = data[start : start + lead_end]
        split = Struct(f">{total - lead_end - 4}sI").unpack_from
        known = total, lead_end, split, self._parse(lead[_PRELUDE:]), crc32(lead)
        if len(self._leads) < _REMEMBERED and lead_end <= _REMEMBERED_LEAD:
            self._leads[lead] = known
            self._lead = lead_end
        return known

    def _judge(self, prelude: bytes) -> tuple[int, int]:
        """The frame's length, and where its headers end."""
        total, headers_length, expected = _prelude(prelude)
        crc = crc32(prelude[:8])
        if crc != expected:
            raise FrameError(f"prelude checksum is {expected:#010x}, its bytes give {crc:#010x}")
        if headers_length > MAX_HEADERS:
            raise FrameError(f"frame headers of {headers_length} bytes; at most {MAX_HEADERS} are accepted")
        payload_length = total - headers_length - _AROUND
        if payload_length < 0:
            raise FrameError(f"a frame of {total} bytes cannot hold {headers_length} bytes of headers")
        if payload_length > self._max_payload:
            raise FrameTooLargeError(
                f"frame payload of {payload_length} bytes; at most {self._max_payload} are accepted"
            )
        judged = total, _PRELUDE + headers_length
        if len(self._judged) < _REMEMBERED:
            self._judged[prelude] = judged
        return judged

    def _parse(self, block: bytes) -> Mapping[str, HeaderValue]:
        headers = self._parsed.get(block)
        if headers is None:
            headers = parse_headers(block)
            if len(self._parsed) < _REMEMBERED and len(block) <= _REMEMBERED_LEAD:
                self._parsed[block] = headers
        return headers


def _damaged(frame: bytes, told: int) -> FrameError:
    return FrameError(f"frame checksum is {told:#010x}, its bytes give {crc32(frame):#010x}")


def parse_headers(block: bytes) -> dict[str, HeaderValue]:
    """Read a frame's header bytes, all ten types of value.

    Raises:
        FrameError: a name twice, a type that does not exist, text that is not UTF-8, or an end too soon.
    """
    headers: dict[str, HeaderValue] = {}
    at, end = 0, len(block)
    while at < end:
        name_end = at + 1 + block[at]
        if name_end >= end:
            raise FrameError(f"frame header name runs past the headers' {end} bytes")
        name = _text(block[at + 1 : name_end])
        if name in headers:
            raise FrameError(f"frame header {name!r} stands there twice")
        headers[name], at = _value(block, name_end + 1, block[name_end], name)
    return headers


def _value(block: bytes, at: int, kind: int, name: str) -> tuple[HeaderValue, int]:
    """The value that begins at *at*, and where it ends."""
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    fixed = _FIXED.get(kind)
    if fixed is not None:
        stop = at + fixed.size
        if stop > len(block):
            raise FrameError(f"frame header {name!r} is cut off")
        value: int | bytes = fixed.unpack_from(block, at)[0]
        return value, stop
    if kind not in (_BYTES, _STRING):
        raise FrameError(f"frame header {name!r} is of type {kind}; types 0 to 9 exist")
    begin = at + 2
    stop = begin + _u16(block, at)[0] if begin <= len(block) else begin
    if stop > len(block) or begin > len(block):
        raise FrameError(f"frame header {name!r} is cut off")
    raw = block[begin:stop]
    return (_text(raw) if kind == _STRING else raw), stop


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise FrameError(f"frame header text {raw[:40]!r} is not UTF-8") from None
