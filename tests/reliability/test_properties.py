"""Any split of any answer is the same answer; any usage is a sound one. Guarantees 3, 4, 6, 7."""

from __future__ import annotations

import os
import random
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asynccache import completion_cost
from asynccache.sse import SSEDecoder
from asynccache.usage.fields import DIALECTS
from asynccache.usage.reading import merge_told, read_usage

from ..recordings.replay import recorded
from .transcripts import COUNTS, decoded, splits, transcripts

# `ASYNCCACHE_LONG=1 pytest tests/reliability/test_properties.py` is the long version.
LONG = bool(os.environ.get("ASYNCCACHE_LONG"))
EXAMPLES = 20_000 if LONG else 200
RECORDED = {
    "openai": "openai/chat", "deepseek": "deepseek/chat", "anthropic": "anthropic/messages",
    "converse": "bedrock/converse-stream", "invoke": "bedrock/invoke-stream",
}  # fmt: skip
RANDOM_SPLITS = 100_000 if LONG else 4_000

thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@thorough
@given(st.data())
def test_any_split_is_the_same_answer(data: st.DataObject) -> None:
    """Text, calls, reasons, usage and the way it ended do not depend on how the bytes came."""
    wire, events = data.draw(transcripts())
    blob = b"".join(events)
    pieces = data.draw(splits(blob))
    assert decoded(wire, pieces) == decoded(wire, [blob])


@thorough
@given(st.data())
def test_any_split_of_a_cut_answer(data: st.DataObject) -> None:
    """An answer that is cut ends the same way however it came, and never as a whole one before its last event."""
    wire, events = data.draw(transcripts())
    blob = b"".join(events)
    last = len(blob) - len(events[-1])
    if wire == "converse":  # its end is messageStop; usage comes after it
        last -= len(events[-2])
    if wire in {"openai", "deepseek"}:  # elsewhere than at OpenAI a finish reason ends an answer too
        at = next(number for number, event in enumerate(events) if b'"finish_reason": "stop"' in event)
        last = sum(map(len, events[:at]))
    cut = blob[: data.draw(st.integers(0, last))]
    pieces = data.draw(splits(cut))
    told, ended = decoded(wire, [cut] if cut else [])
    assert ended not in {"end", "flushed"}
    again, ended_again = decoded(wire, pieces if cut else [])
    assert again == told
    assert ended_again == ended


@thorough
@given(
    st.lists(
        st.sampled_from(
            [
                b"a",
                b"\n",
                b"\r",
                b"\r\n",
                b"data:",
                b"data: ",
                b"event: x",
                b":",
                b"id: 1",
                b"\xef\xbb\xbf",
                b"\xe2\x80\xa8",
                b"\0",
                b"retry: 5",
                b"\xff",
            ]
        ),
        max_size=40,
    ),
    st.data(),
)
def test_any_split_of_any_events(parts: list[bytes], data: st.DataObject) -> None:
    """Bytes that are hardly an event stream give the same events however they are cut."""
    blob = b"".join(parts)

    def read(pieces: list[bytes]) -> list[tuple[str, bytes]]:
        decoder, seen = SSEDecoder(), list[tuple[str, bytes]]()
        for piece in pieces:
            decoder.feed(piece, lambda event: seen.append((decoder.event, event)))
        return seen

    assert read(data.draw(splits(blob))) == read([blob]) == reference(blob)


def reference(blob: bytes) -> list[tuple[str, bytes]]:
    """The rules of server-sent events, read aloud."""
    text = blob.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    seen: list[tuple[str, bytes]] = []
    data: list[bytes] = []
    name = b""
    for line in text.split(b"\n")[:-1]:
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if not line:
            if data:
                seen.append((name.decode("utf-8", "replace") or "message", b"\n".join(data)))
            data, name = [], b""
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return seen


def test_random_splits_of_recordings(record_property: Any) -> None:
    """Recorded streams of every wire, cut at random places: not one differs."""
    chance = random.Random(4711)
    streams = [
        (wire, answer.body)
        for wire, folder in RECORDED.items()
        for answer in list(recorded(folder))[:: 1 if LONG else 4]
        if answer.stream and answer.status == 200 and len(answer.body) < 40_000
        if wire != "invoke" or "anthropic" in answer.model  # its decoder goes by the model
    ]
    if not streams:
        import pytest

        pytest.skip("no ../shared beside this checkout")
    wanted = {body: decoded(wire, [body]) for wire, body in streams}
    for number in range(RANDOM_SPLITS):
        wire, body = streams[number % len(streams)]
        cuts = sorted(
            {0, len(body), *(chance.randrange(len(body)) for _ in range(chance.choice((1, 3, 30))))}
        )
        pieces = [body[begin:end] for begin, end in pairwise(cuts)]
        assert decoded(wire, pieces) == wanted[body]
    record_property("splits", RANDOM_SPLITS)
    record_property("streams", len(streams))


@thorough
@given(st.data())
def test_any_order_of_events_is_no_surprise(data: st.DataObject) -> None:
    """Row 34: events of an answer in any order, some missing, some twice: an answer or an error of ours, one usage at most."""
    wire, events = data.draw(transcripts())
    mixed = data.draw(st.lists(st.sampled_from(events), max_size=2 * len(events)))
    told, ended = decoded(wire, [b"".join(mixed)] if mixed else [])
    assert ended
    assert [name for name, _ in told].count("Usage") <= 1
    assert [name for name, _ in told].count("Finished") <= 1


_ANY = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**12), st.floats(), st.text(max_size=3), COUNTS, COUNTS, COUNTS,
    st.lists(COUNTS, max_size=2), st.dictionaries(st.text(max_size=3), COUNTS, max_size=2),
)  # fmt: skip


@st.composite
def usage_objects(draw: st.DrawFn) -> tuple[str, Any]:
    """A dialect, and a usage object that holds any of its fields with anything in them."""
    name = draw(st.sampled_from(sorted(DIALECTS)))
    row = DIALECTS[name]
    places = [
        *row.prompt,
        *row.prompt_also,
        *row.completion,
        *row.total,
        *row.read,
        *row.written,
        *row.reasoning,
    ]
    places += [
        place for _, many in (*row.lifetimes, *row.prompt_parts, *row.completion_parts) for place in many
    ]
    raw: dict[str, Any] = {}
    for steps in draw(st.lists(st.sampled_from(places), max_size=8)):
        here = raw
        for step in steps[:-1]:
            here = here.setdefault(step, {})
            if not isinstance(here, dict):
                break
        else:
            here[steps[-1]] = draw(st.one_of(COUNTS, _ANY))
    return name, draw(st.one_of(st.just(raw), st.just(raw), st.just(raw), _ANY))


@thorough
@given(usage_objects(), st.booleans())
def test_any_usage_is_a_sound_one(told: tuple[str, Any], known: bool) -> None:
    """Whatever a provider tells: counts add up or are not told, none is negative, and the cost is a cost."""
    dialect, raw = told
    usage = read_usage(raw, dialect, completion_known=known)
    details = usage.prompt_tokens_details
    assert usage.source in {"provider", "partial", "missing", "invalid"}
    counts = [usage.prompt_tokens, usage.completion_tokens, details.cached_tokens, details.cache_write_tokens]
    assert all(count is None or (type(count) is int and count >= 0) for count in counts)
    if usage.source in {"invalid", "missing"}:
        assert counts == [None] * 4
    if usage.source == "provider":
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens  # type: ignore[operator]
    if usage.prompt_tokens is not None:
        parts = (details.uncached_tokens, details.cached_tokens, details.cache_write_tokens)
        assert sum(part or 0 for part in parts) == usage.prompt_tokens
        lifetimes = usage.cache_creation
        assert (
            sum(getattr(lifetimes, name) or 0 for name in lifetimes.__struct_fields__)
            == details.cache_write_tokens
        )
    if usage.source == "provider":
        cost = completion_cost(
            completion_response={"model": "claude-sonnet-4-5", "usage": usage.to_dict()},
            model="anthropic/claude-sonnet-4-5",
        )
        assert 0 <= Decimal(str(cost)) < 10**6


_REPORTS = st.lists(
    st.dictionaries(st.sampled_from(["input_tokens", "output_tokens", "cache_read_input_tokens"]), st.one_of(st.none(), COUNTS)),
    min_size=1, max_size=5,
)  # fmt: skip


@thorough
@given(_REPORTS, st.data())
def test_reports_told_again(reports: list[dict[str, Any]], data: st.DataObject) -> None:
    """Reports that are repeated, or of which null is told, change nothing: the last number told holds."""
    merged: Any = None
    for report in reports:
        for _ in range(data.draw(st.integers(1, 3))):
            merged = merge_told(merged, report)
    wanted: dict[str, Any] = {}
    for report in reports:
        for name, count in report.items():
            if count is not None or name not in wanted:
                wanted[name] = count
    assert merged == wanted
