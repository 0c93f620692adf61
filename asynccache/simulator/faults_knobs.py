"""What one request asks the relay to do to its answer: the `fault` object within the `x-simulator` header."""

from __future__ import annotations

from typing import Literal, final

import msgspec
import orjson

from .loose import obj
from .scenario import HEADER

Framing = Literal["chunked", "length", "close", "short_length", "long_length"]
Eol = Literal["lf", "crlf", "cr", "mixed"]
Encoding = Literal["identity", "gzip", "deflate", "double"]
End = Literal[
    "clean",  # the framing says that the body is whole
    "fin",  # the connection closes inside the body
    "fin_in_chunk",  # …inside a chunk that promised more
    "rst",  # the connection is reset
    "half_close",  # no more bytes, but the socket still reads
    "bad_chunk",  # a chunk header that is no number, and then nothing
    "stall",  # silence
    "drip",  # one byte every `every` seconds, for ever
    "pings",  # one comment every `every` seconds, for ever
    "flood",  # one line without an end, as fast as it is taken
    "bomb",  # the same, packed: 1 MiB of it in a kilobyte (with an encoding)
]


@final
class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Independent knobs; what is not given leaves the answer as it is."""

    times: int | None = None
    """Only the first n requests with the same header text; None = all."""

    # what is said
    status: int | None = None
    content_type: str | None = None
    body: str | None = None
    """Instead of the provider's body; the provider is not asked."""
    headers: dict[str, str] = {}
    header_flood: int = 0
    """So many more headers of 4 KB each."""
    early_hints: bool = False
    """A 100 and a 103 before the answer."""

    # how it is framed
    framing: Framing = "chunked"
    encoding: Encoding = "identity"
    eol: Eol = "lf"
    bom: bool = False
    comments: bool = False
    """A comment, an event without data and an unknown field around every event."""
    tight: bool = False
    """`data:` without the blank after it."""
    multiline: bool = False
    """The JSON of an event over several `data:` lines."""
    split: int | None = None
    """Bytes to a write."""
    split_seed: int | None = None
    """Writes of 1 to 64 bytes, drawn with this seed."""
    event_size: int = 0
    """One more event of so many bytes, before all others."""

    # when and how it ends
    cut_event: int | None = None
    """The `end` comes after so many events…"""
    cut_byte: int | None = None
    """…or after so many bytes; with neither, after the whole answer."""
    end: End = "clean"
    every: float = 0.02
    flip: int | None = None
    """The byte at this place is wrong; negative counts from the end of the first event."""

    # how long it takes
    delay_accept: float = 0.0
    """Before the request is read."""
    delay_head: float = 0.0
    delay_event: float = 0.0
    jitter_seed: int | None = None
    """The pause before an event is drawn from 0 to twice `delay_event`."""
    hold: float = 0.0
    """The connection is held so long after the last byte, before the body ends."""

    # the connection
    hang_up: bool = False
    """Closes after the answer without having said so: what the pool keeps is stale."""
    no_answer: bool = False
    """Closes instead of answering."""
    refuse_early: bool = False
    """Answers before the request's body was read, which it then never reads."""


NO_FAULT = Fault()
_decode = msgspec.json.Decoder(Fault).decode


def split_header(header: str | None) -> tuple[Fault, str | None]:
    """The fault in an `x-simulator` header, and the header without it, for the simulator behind.

    Raises:
        ValueError: it is not JSON, or has a knob that does not exist.
    """
    if not header:
        return NO_FAULT, None
    try:
        told = obj(orjson.loads(header))
        if "fault" not in told:
            return NO_FAULT, header
        fault = _decode(orjson.dumps(told.pop("fault")))
    except (orjson.JSONDecodeError, msgspec.DecodeError) as error:
        known = ", ".join(Fault.__struct_fields__)
        raise ValueError(f"{HEADER}: {error}; knobs of fault: {known}") from error
    return fault, orjson.dumps(told).decode() if told else None
