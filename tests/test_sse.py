"""SSE decoding, against the conformance vectors and against itself under every split."""

from __future__ import annotations

import base64
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynccache.errors import ResponseTooLargeError
from asynccache.sse import SSEDecoder

from .shared import shared


def decode(pieces: list[bytes]) -> list[tuple[str, str, str]]:
    decoder = SSEDecoder()
    seen: list[tuple[str, str, str]] = []

    def emit(data: bytes) -> None:
        seen.append((decoder.event, data.decode("utf-8", "replace"), decoder.last_event_id))

    for piece in pieces:
        decoder.feed(piece, emit)
    decoder.flush(emit)
    return seen


def pieces_of(case: dict) -> list[bytes]:
    if "chunks_base64" in case:
        return [base64.b64decode(piece) for piece in case["chunks_base64"]]
    return [base64.b64decode(case["body_base64"])]


# The SDKs' own decoders hand out a named event without data; the standard says that there is none.
AGAINST_THE_STANDARD = {"event_missing_data", "multiple_events"}


@pytest.mark.parametrize("name", ["wpt_eventsource", "httpx_sse", "sdk_streaming", "eventsource_parser"])
@pytest.mark.parametrize("cut", [None, 1, 2, 3, 7])
def test_conformance(name: str, cut: int | None) -> None:
    """Every published case gives its events, as received and under every small cut."""
    cases = json.loads(shared("recordings", "_conformance", "sse", f"{name}.json").read_bytes())["cases"]
    assert cases
    for case in cases:
        wanted = [(e["event"], e["data"], e["last_event_id"]) for e in case["events"]]
        if case["name"] in AGAINST_THE_STANDARD:
            assert all(data == "" for _, data, _ in wanted)
            wanted = []
        pieces = pieces_of(case)
        if cut is not None:
            whole = b"".join(pieces)
            pieces = [whole[i : i + cut] for i in range(0, len(whole), cut)]
        assert decode(pieces) == wanted, case["name"]


def test_line_vectors() -> None:
    """Lines end at CR, LF and CRLF, wherever the reads are cut, and at no other character."""
    cases = json.loads(shared("recordings", "_conformance", "sse", "line_decoder.json").read_bytes())["cases"]
    assert len(cases) >= 8
    for case in cases:
        pieces, at_start, after_cr = [], True, False
        for chunk in case["chunks"]:
            piece = ""
            for char in chunk:
                if at_start and not (char == "\n" and after_cr):
                    piece += "data: "
                piece += char
                after_cr = char == "\r"
                at_start = char in "\r\n"
            pieces.append(piece.encode())
        pieces.append(b"\n" if at_start else b"\n\n")
        if after_cr:
            pieces.append(b"\n")
        assert [data for _, data, _ in decode(pieces)] == ["\n".join(case["lines"])], case["name"]


def test_retry_field() -> None:
    """The reconnection time is kept when it is a number, and ignored otherwise."""
    decoder = SSEDecoder()
    decoder.feed(b"retry: 250\nretry: x\nretry: 99999999999999999999\n\n", lambda _: None)
    assert decoder.retry == 250


STREAMS = st.lists(
    st.sampled_from(
        [b"data: a", b"data:b", b"data", b": c", b"event: e", b"id: 1", b"\n", b"\n\n", b"\r", b"\r\n", b"data: {}\n\n",
         b"event: m\ndata: x\n\n", b"\xef\xbb\xbf", "data: é…".encode(), b"x: y", b"id: \0", b"\xff"]
    ),
    max_size=30,
).map(b"".join)  # fmt: skip


@given(body=STREAMS, cuts=st.lists(st.integers(0, 200), max_size=12))
def test_any_split(body: bytes, cuts: list[int]) -> None:
    """Any split of any stream gives the events of a byte-by-byte reading."""
    edges = sorted({0, len(body), *(c for c in cuts if c < len(body))})
    split = [body[a:b] for a, b in pairwise(edges)]
    single = [body[i : i + 1] for i in range(len(body))]
    assert decode([body]) == decode(split) == decode(single)


def test_event_size_limit() -> None:
    """An event over the limit is refused whether it comes in one line, many lines or many reads."""
    for pieces in ([b"data: " + b"x" * 200], [b"data: x\n"] * 200, [b"x"] * 200):
        decoder = SSEDecoder(max_event=100)
        with pytest.raises(ResponseTooLargeError, match="100 bytes"):
            for piece in pieces:
                decoder.feed(piece, lambda _: None)


@pytest.mark.parametrize(
    "event", [b"data: %b", b"event: e\ndata: %b", b"data: 1\ndata: %b", b"event: %b\ndata: x", b": %b"]
)
@pytest.mark.parametrize("before", [b"", b"data: a\n\n", b"event: e\ndata: a\n\n" * 3])
def test_event_size_limit_is_one_for_any_split(event: bytes, before: bytes) -> None:
    """An event passes, or is refused, whether it comes whole, by single bytes or among others in one read."""

    def passes(pieces: list[bytes]) -> bool:
        decoder = SSEDecoder(max_event=100)
        try:
            for piece in pieces:
                decoder.feed(piece, lambda _: None)
        except ResponseTooLargeError:
            return False
        return True

    outcomes = set()
    for length in range(60, 110):
        whole = event % (b"x" * length) + b"\n\n"
        alone = passes([before, *(whole[at : at + 1] for at in range(len(whole)))])
        assert passes([before, whole]) == passes([before + whole + before]) == alone
        outcomes.add(alone)
    assert outcomes == {True, False}


def test_many_small_events_are_within_the_limit() -> None:
    """The limit is on one event, not on the stream."""
    decoder = SSEDecoder(max_event=100)
    seen: list[bytes] = []
    for _ in range(50):
        decoder.feed(b"data: 0123456789\n\n" * 20, seen.append)
    assert len(seen) == 1000
