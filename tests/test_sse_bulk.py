"""Cutting events in bulk gives what reading line by line gives, names included, for any mixture and any split."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from asynccache.sse import SSEDecoder

PIECES = [
    b"data: a\n\n",
    b"data: b\n\n",
    b"data:c\n\n",
    b"data: \n\n",
    b"data: 1\ndata: 2\n\n",
    b"event: x\ndata: d\n\n",
    b"event: y\ndata: e\n\n",
    b"event: \ndata: f\n\n",
    b"event: z\n\n",
    b"event: a\nevent: b\ndata: g\n\n",
    b"event: q\nid: 4\ndata: h\n\n",
    b"event: k\ndata: i\nid: 5\n\n",
    b"data: j\nevent: p\n\n",
    b"event: \n\nevent: w\ndata: k\n\n",
    b"data: l\r\n\r\n",
    b": comment\n\n",
    b"\n",
    b"event: cut",
]


def _events(pieces: list[bytes]) -> list[tuple[str, str, bytes]]:
    decoder = SSEDecoder()
    seen: list[tuple[str, str, bytes]] = []
    for piece in pieces:
        decoder.feed(piece, lambda data: seen.append((decoder.event, decoder.last_event_id, data)))
    return seen


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8), st.lists(st.integers(0, 120), max_size=4))
def test_any_split_gives_the_same_events_as_single_bytes(events: list[bytes], cuts: list[int]) -> None:
    """Single bytes never take the bulk way; whole pieces and other splits do."""
    stream = b"".join(events)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    split = [stream[start:end] for start, end in pairwise(edges)]
    slowly = _events([stream[at : at + 1] for at in range(len(stream))])
    assert _events(split) == slowly
    assert _events(events) == slowly
    assert (
        _events([b"data: first\n\n", *split])[1:]
        == _events([b"data: first\n\n", *(stream[at : at + 1] for at in range(len(stream)))])[1:]
    )


NAMED = [
    b"event: x\ndata: d\n\n",
    b"event: x\ndata: \n\n",
    b"event: x\ndata: e\ndata: f\n\n",
    b"event: x\ndata: event: x\n\n",
    b"event: x\n\n",
    b"event: xy\ndata: d\n\n",
    b"event: x\ndata:d\n\n",
    b"event: x\ndata: d\r\n\n",
    b"data: g\n\n",
    b"\n",
]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(NAMED), st.integers(1, 4)), max_size=6),
    st.lists(st.integers(0, 200), max_size=4),
)
def test_runs_of_one_name_are_cut_as_single_bytes_are(runs: list[tuple[bytes, int]], cuts: list[int]) -> None:
    """After an event of a name, reads that hold one or many like it take the shortest way, and lose nothing."""
    first = b"event: x\ndata: first\n\n"
    stream = b"".join(event * times for event, times in runs)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    split = [stream[start:end] for start, end in pairwise(edges)]
    slowly = _events([first, *(stream[at : at + 1] for at in range(len(stream)))])
    assert _events([first, *split]) == slowly
    assert _events([first, *(event * times for event, times in runs)]) == slowly
