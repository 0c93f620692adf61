"""The event-stream decoder, against AWS's own vectors, botocore, and every way of cutting bytes."""

from __future__ import annotations

import base64
import itertools
import json
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynccache.providers.bedrock.frames import (
    MAX_HEADERS,
    Frame,
    FrameCutError,
    FrameDecoder,
    FrameError,
    parse_headers,
)
from tests.bedrock.answers import pack, string_header
from tests.shared import SHARED, requires_shared

_CASES: list[dict[str, Any]] = (
    json.loads((SHARED / "recordings/_conformance/aws_eventstream/vectors.json").read_text())["cases"]
    if SHARED
    else []
)
_STREAMS: dict[str, bytes] = (
    {
        name: base64.b64decode(text)
        for name, text in json.loads((SHARED / "vectors/eventstream.json").read_text()).items()
        if name.endswith("_b64")
    }
    if SHARED
    else {}
)


def decode(*pieces: bytes, **options: Any) -> list[Frame]:
    """All frames of *pieces*, which must end at a frame's end."""
    frames: list[Frame] = []
    decoder = FrameDecoder(**options)
    for piece in pieces:
        decoder.feed(piece, frames.append)
    decoder.flush(frames.append)
    return frames


def raw_bytes(case: dict[str, Any]) -> bytes:
    """A vector's frame; the giant one is told in segments, of which the prelude is enough."""
    if "frame_base64" in case:
        return base64.b64decode(case["frame_base64"])
    kind, text = case["frame_segments"][0]
    assert kind == "bytes"
    return base64.b64decode(text)


@requires_shared
@pytest.mark.parametrize("case", [c for c in _CASES if c["kind"] == "positive"], ids=lambda c: c["name"])
def test_positive_vectors(case: dict[str, Any]) -> None:
    """Every good frame of botocore's and smithy's tests gives its headers and payload."""
    (frame,) = decode(raw_bytes(case))
    if "payload_base64" in case:
        assert frame.payload == base64.b64decode(case["payload_base64"])
    for name, want in case.get("headers", {}).items():
        value = base64.b64decode(want["bytes_base64"]) if isinstance(want, dict) else want
        assert frame.headers[name] == value
        assert type(frame.headers[name]) is type(value)


@requires_shared
@pytest.mark.parametrize("case", [c for c in _CASES if c["kind"] == "negative"], ids=lambda c: c["name"])
def test_negative_vectors(case: dict[str, Any]) -> None:
    """Every bad frame is refused, and the decoder trusts nothing after it."""
    decoder = FrameDecoder()
    frames: list[Frame] = []
    with pytest.raises(FrameError) as refused:
        decoder.feed(raw_bytes(case), frames.append)
    assert not isinstance(refused.value, FrameCutError)
    with pytest.raises(FrameError):
        decoder.feed(pack(b"", b"{}"), frames.append)
    assert frames == []


@requires_shared
@pytest.mark.parametrize("case", _CASES, ids=lambda c: f"{c['kind']}-{c['name']}")
def test_botocore_agrees(case: dict[str, Any]) -> None:
    """What botocore's own buffer makes of a vector is what ours makes of it."""
    eventstream = pytest.importorskip("botocore.eventstream")
    theirs = eventstream.EventStreamBuffer()
    theirs.add_data(raw_bytes(case))
    try:
        want = [(message.headers, message.payload) for message in theirs]
    except eventstream.ParserError:
        with pytest.raises(FrameError):
            decode(raw_bytes(case))
        return
    assert [(frame.headers, frame.payload) for frame in decode(raw_bytes(case))] == want


@requires_shared
@pytest.mark.parametrize("name", sorted(_STREAMS))
def test_whole_streams_cut_at_every_byte(name: str) -> None:
    """A recorded stream gives the same frames as botocore's, in one piece, cut in two anywhere, and byte by byte."""
    eventstream = pytest.importorskip("botocore.eventstream")
    raw = _STREAMS[name]
    theirs = eventstream.EventStreamBuffer()
    theirs.add_data(raw)
    want = [(message.headers, message.payload) for message in theirs]
    assert want
    for at in range(len(raw) + 1):
        assert [(f.headers, f.payload) for f in decode(raw[:at], raw[at:])] == want
    assert [(f.headers, f.payload) for f in decode(*(raw[i : i + 1] for i in range(len(raw))))] == want


_values = st.one_of(
    st.booleans().map(lambda v: (bytes([0 if v else 1]), v)),
    st.integers(-(2**7), 2**7 - 1).map(lambda v: (b"\x02" + struct.pack(">b", v), v)),
    st.integers(-(2**15), 2**15 - 1).map(lambda v: (b"\x03" + struct.pack(">h", v), v)),
    st.integers(-(2**31), 2**31 - 1).map(lambda v: (b"\x04" + struct.pack(">i", v), v)),
    st.integers(-(2**63), 2**63 - 1).map(lambda v: (b"\x05" + struct.pack(">q", v), v)),
    st.binary(max_size=300).map(lambda v: (b"\x06" + struct.pack(">H", len(v)) + v, v)),
    st.text(max_size=100).map(lambda v: (b"\x07" + struct.pack(">H", len(v.encode())) + v.encode(), v)),
    st.integers(0, 2**62).map(lambda v: (b"\x08" + struct.pack(">q", v), v)),
    st.binary(min_size=16, max_size=16).map(lambda v: (b"\x09" + v, v)),
)
_frames = st.tuples(
    st.dictionaries(st.text(min_size=1, max_size=20), _values, max_size=6), st.binary(max_size=400)
)


@given(frames=st.lists(_frames, max_size=6), cuts=st.lists(st.integers(0, 5000), max_size=12))
@settings(max_examples=150, deadline=None)
def test_any_split_gives_the_same_frames(frames: list[Any], cuts: list[int]) -> None:
    """However the bytes arrive, and whichever of the ten types the headers have, the frames are the same."""
    raw = b"".join(
        pack(b"".join(bytes([len(n.encode())]) + n.encode() + v[0] for n, v in headers.items()), payload)
        for headers, payload in frames
    )
    places = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    pieces = [raw[a:b] for a, b in itertools.pairwise(places)]
    got = [(dict(frame.headers), frame.payload) for frame in decode(*pieces)]
    assert got == [
        ({name: value[1] for name, value in headers.items()}, payload) for headers, payload in frames
    ]


def _told(pieces: list[bytes]) -> tuple[list[Frame], str]:
    """The frames of *pieces*, and what is said of their end."""
    frames: list[Frame] = []
    decoder = FrameDecoder()
    try:
        for piece in pieces:
            decoder.feed(piece, frames.append)
        decoder.flush(frames.append)
    except FrameError as error:
        return frames, str(error)
    return frames, ""


@given(
    kinds=st.lists(st.tuples(st.sampled_from(["delta", "pause"]), st.integers(0, 3)), min_size=1, max_size=8),
    damaged=st.none() | st.tuples(st.integers(0, 7), st.integers(0, 10_000)),
    more=st.integers(-3, 3),
)
@settings(max_examples=300, deadline=None)
def test_a_frame_a_read_gives_what_single_bytes_give(
    kinds: list[tuple[str, int]], damaged: tuple[int, int] | None, more: int
) -> None:
    """Reads that are one frame like an earlier one take a shorter way: with any byte wrong, or cut, the same comes out."""
    pieces = [pack(string_header(":event-type", name), b"x" * length) for name, length in kinds]
    if damaged is not None:
        which, at = damaged[0] % len(pieces), damaged[1]
        piece = bytearray(pieces[which])
        piece[at % len(piece)] ^= 0x10
        pieces[which] = bytes(piece)
    last = pieces[-1] + b"\0" * max(more, 0)
    pieces[-1] = last[: len(last) + min(more, 0)]
    stream = b"".join(pieces)
    slowly = _told([stream[at : at + 1] for at in range(len(stream))])
    assert _told(pieces) == slowly
    assert _told([stream]) == slowly


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_header_bytes_never_crash(block: bytes) -> None:
    """Header bytes are read or refused with FrameError; no other exception comes out."""
    try:
        parse_headers(block)
    except FrameError:
        return


@pytest.mark.parametrize(
    ("prelude", "words"),
    [
        ((2**31, 100), "payload of 2147483532 bytes"),
        ((16 + 16 * 1024 * 1024 + 1, 0), "payload of 16777217 bytes"),
        ((2**31, MAX_HEADERS + 1), "headers of 131073 bytes"),
        ((15, 0), "cannot hold"),
        ((100, 90), "cannot hold"),
    ],
)
def test_lengths_are_refused_by_the_prelude_alone(prelude: tuple[int, int], words: str) -> None:
    """A frame that says it is 2 GB is refused after twelve bytes, before anything is kept for it."""
    head = struct.pack(">II", *prelude)
    decoder = FrameDecoder()
    with pytest.raises(FrameError, match=words):
        decoder.feed(head + struct.pack(">I", zlib.crc32(head)), [].append)


def test_payload_limit_is_a_parameter() -> None:
    """botocore's 24 MiB, or any other limit, can be asked for; the limit itself still passes."""
    assert len(decode(pack(b"", b"x" * 50), max_payload=50)[0].payload) == 50
    with pytest.raises(FrameError, match="at most 49"):
        decode(pack(b"", b"x" * 50), max_payload=49)


def test_frames_before_a_bad_one_are_delivered() -> None:
    """A wrong checksum ends the stream at that frame: the ones before it were emitted, those behind it are not."""
    good = pack(b"", b"good")
    bad = bytearray(pack(b"", b"bad!"))
    bad[-6] ^= 1
    frames: list[Frame] = []
    decoder = FrameDecoder()
    with pytest.raises(FrameError, match="frame checksum"):
        decoder.feed(good + bytes(bad) + good, frames.append)
    with pytest.raises(FrameError, match="frame checksum"):
        decoder.feed(good, frames.append)
    assert [frame.payload for frame in frames] == [b"good"]


def test_json_where_frames_were_expected_is_refused() -> None:
    """A JSON body is not taken for frames."""
    with pytest.raises(FrameError, match="prelude checksum"):
        decode(b'{"message":"The security token included in the request is invalid."}')


@pytest.mark.parametrize("kept", [1, 11, 12, 19])
def test_a_cut_inside_a_frame_is_an_error(kept: int) -> None:
    """The end of the bytes in the middle of a frame is never a clean end."""
    decoder = FrameDecoder()
    frames: list[Frame] = []
    decoder.feed(pack(b"", b"whole") + pack(b"", b"half")[:kept], frames.append)
    with pytest.raises(FrameCutError, match=f"{kept} bytes into a frame"):
        decoder.flush(frames.append)
    assert len(frames) == 1


def test_the_same_header_bytes_are_parsed_once() -> None:
    """Frames of one kind share one mapping; a hostile variety of headers is read but not hoarded."""
    header = string_header(":event-type", "contentBlockDelta")
    first, second = decode(pack(header, b"1"), pack(header, b"2"))
    assert first.headers is second.headers

    decoder = FrameDecoder()
    frames: list[Frame] = []
    for number in range(2000):
        decoder.feed(pack(string_header("n", str(number)), b"x" * number), frames.append)
    assert [frame.headers["n"] for frame in frames] == [str(number) for number in range(2000)]
    assert len(decoder._parsed) <= 256
    assert len(decoder._leads) <= 256


def test_a_large_frame_in_small_pieces_costs_linear_time() -> None:
    """Pieces are joined once, when the frame is whole: not again for each of them."""
    raw = pack(b"", bytes(4_000_000))
    frames: list[Frame] = []
    decoder = FrameDecoder()
    for at in range(0, len(raw), 100):
        decoder.feed(raw[at : at + 100], frames.append)
        assert len(decoder._pieces[0] if decoder._pieces else b"") <= 200 or at == 0
    assert len(frames[0].payload) == 4_000_000


def test_other_buffers_than_bytes_are_taken() -> None:
    """A bytearray or a memoryview from a transport decodes as bytes do."""
    raw = pack(string_header("a", "b"), b"payload")
    for kind in (bytearray, memoryview):
        assert decode(kind(raw)) == decode(raw)
