"""A recorded answer in other bytes that say the same comes to the same: text, calls, finish reason, usage, cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from ..shared import requires_shared
from .outcomes import Answer, answers, outcome
from .rewriting import (
    SPELLINGS,
    Event,
    Frame,
    compact,
    events,
    framed,
    frames,
    respelled,
    respelled_payload,
    written,
)

pytestmark = requires_shared

Stream = Callable[[list[Event]], bytes]
_CACHE: dict[str, dict[str, Any]] = {}


def as_recorded(answer: Answer) -> dict[str, Any]:
    """What the answer comes to in the bytes that were recorded, worked out once."""
    if answer.id not in _CACHE:
        _CACHE[answer.id] = outcome(answer, answer.body)
    return _CACHE[answer.id]


def agree(answer: Answer, body: bytes) -> None:
    """*body* comes to what the recorded bytes come to, also in pieces where it is short."""
    assert outcome(answer, body) == as_recorded(answer), answer.id
    if len(body) < 3000:
        assert outcome(answer, body, step=5) == as_recorded(answer), answer.id


def commented(told: list[Event]) -> bytes:
    return b": hello\n\n" + b": keep-alive\n\n".join(written([event]) for event in told) + b": bye\n\n"


STREAMS: dict[str, Stream] = {
    "CR LF": lambda told: written(told, b"\r\n"),
    "CR": lambda told: written(told, b"\r"),
    "byte order mark": lambda told: b"\xef\xbb\xbf" + written(told),
    "comments": commented,
    "comments within events": lambda told: written(told).replace(b"data: ", b": ping\ndata: "),
    "no space after the colon": lambda told: written(told).replace(b"data: ", b"data:"),
    "many spaces after the colon": lambda told: written(told).replace(b"data: ", b"data:   "),
    "no names": lambda told: written([event._replace(name="") for event in told]),
    "unknown names": lambda told: written([event._replace(name="brand_new") for event in told]),
    "ids, retries, unknown fields": lambda told: b"".join(
        b"id: 7\nretry: 10\nfoo: bar\nfoo\n" + written([event]) for event in told
    ),
    "more blank lines": lambda told: b"\n\n" + written(told).replace(b"\n\n", b"\n\n\n\n"),
    "no blank line at the end": lambda told: written(told).rstrip(b"\n"),
    "half a blank line at the end": lambda told: written(told).rstrip(b"\n") + b"\n",
    "events without data": lambda told: b"data\n\ndata:\n\n" + written(told),
    "indented over lines that end in CR LF": lambda told: written(
        respelled(told, SPELLINGS["indented"]), b"\r\n"
    ),
}


@pytest.mark.parametrize("change", STREAMS.values(), ids=STREAMS)
def test_streams_written_in_other_ways(change: Stream) -> None:
    """Line ends, comments, names, ids, blank lines and cuts of an event stream change nothing."""
    seen = 0
    for answer in answers("sse"):
        agree(answer, change(events(answer.body)))
        seen += 1
    assert seen >= 120


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_json_written_in_other_ways(spell: Callable[[Any], bytes]) -> None:
    """Order of keys, escapes, white space, unknown fields, floats and left-out nulls change nothing, whatever the carrier."""
    for answer in answers("sse"):
        agree(answer, written(respelled(events(answer.body), spell)))
    for answer in answers("json"):
        agree(answer, spell(orjson.loads(answer.body)))
    for answer in answers("frames"):
        wrapped = answer.wire == "invoke"
        agree(
            answer,
            framed(
                [
                    frame._replace(payload=respelled_payload(frame.payload, spell, wrapped=wrapped))
                    for frame in frames(answer.body)
                ]
            ),
        )
    assert (len(answers("sse")), len(answers("json")), len(answers("frames"))) >= (120, 200, 20)


def test_whole_answers_behind_a_byte_order_mark_or_blank_lines() -> None:
    """What stands before and after one JSON body says nothing."""
    for answer in answers("json"):
        agree(answer, b"\xef\xbb\xbf" + answer.body)
        agree(answer, b"\n\n \r\n" + answer.body + b"\n\n")
    assert len(answers("json")) >= 200


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-ndjson", ""])
def test_streams_under_another_name(kind: str) -> None:
    """An event stream is read as one, whatever its content type says."""
    for answer in answers("sse")[::5]:
        agree(answer._replace(headers={"content-type": kind}), answer.body)
    assert len(answers("sse")) >= 120


ODD_HEADERS = b"".join(
    [
        b"\x01t\x00",
        b"\x01f\x01",
        b"\x01b\x02\x05",
        b"\x01s\x03\x00\x05",
        b"\x01i\x04" + bytes(4),
        b"\x01l\x05" + bytes(8),
        b"\x01B\x06\x00\x02ab",
        b"\x02ts\x08" + bytes(8),
        b"\x01u\x09" + bytes(16),
    ]
)
STRANGER = Frame([(":event-type", "brandNew"), (":message-type", "event")], b"")
FRAMES: dict[str, Callable[[list[Frame]], bytes]] = {
    "headers reversed": lambda told: framed([frame._replace(headers=frame.headers[::-1]) for frame in told]),
    "headers of every type": lambda told: framed(told, ODD_HEADERS),
    "no content type": lambda told: framed(
        [
            frame._replace(headers=[header for header in frame.headers if header[0] != ":content-type"])
            for frame in told
        ]
    ),
    "unknown events": lambda told: framed([each for frame in told for each in (STRANGER, frame)]),
}


@pytest.mark.parametrize("change", FRAMES.values(), ids=FRAMES)
def test_frames_written_in_other_ways(change: Callable[[list[Frame]], bytes]) -> None:
    """The order and number of a frame's headers, and frames of unknown kinds, change nothing."""
    for answer in answers("frames"):
        agree(answer, change(list(frames(answer.body))))
    assert len(answers("frames")) >= 20


# OpenAI's chat format.

Chunks = list[dict[str, Any]]


def chunks_of(answer: Answer) -> Chunks:
    return [orjson.loads(event.data) for event in events(answer.body) if event.data != b"[DONE]"]


def stream_of(chunks: Chunks, done: bytes = b"data: [DONE]\n\n") -> bytes:
    return written([Event("", compact(chunk)) for chunk in chunks]) + done


def bare(chunk: dict[str, Any]) -> dict[str, Any]:
    """A chunk that adds nothing: as some servers send them, between and after others."""
    return {**chunk, "choices": [], "usage": None}


def told_usage(chunks: Chunks) -> Any:
    """The last usage; None where it stands at an unusual place."""
    unusual = any(chunk.get("x_groq") for chunk in chunks) or any(
        choice.get("usage") for chunk in chunks for choice in chunk.get("choices") or []
    )
    told = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    return told[-1] if told and not unusual else None


def zeros(usage: Any) -> Any:
    if isinstance(usage, dict):
        return {name: zeros(value) for name, value in usage.items()}
    return 0 if type(usage) is int else usage


def letter_by_letter(chunk: dict[str, Any]) -> Chunks:
    choices = chunk.get("choices") or []
    if len(choices) != 1 or choices[0].get("logprobs") or choices[0].get("finish_reason"):
        return [chunk]
    delta = choices[0].get("delta") or {}
    text = delta.get("content")
    if not isinstance(text, str):
        return [chunk]
    pieces = [
        {**bare(chunk), "choices": [{"index": choices[0]["index"], "delta": {"content": letter}}]}
        for letter in text
    ]
    rest = {**chunk, "choices": [{**choices[0], "delta": {**delta, "content": ""}}]}
    return [*pieces, rest]


CHATS: dict[str, Callable[[Chunks], bytes]] = {
    "no [DONE]": lambda chunks: stream_of(chunks, b""),
    "[DONE] twice, in spaces": lambda chunks: stream_of(chunks, b"data:  [DONE] \n\ndata: [DONE]\n\n"),
    "text after [DONE]": lambda chunks: stream_of(
        chunks, b'data: [DONE]\n\ndata: {"choices":[{"index":0,"delta":{"content":"X"}}]}\n\n'
    ),
    "pings": lambda chunks: b'event: ping\ndata: {"type":"ping"}\n\n'.join(
        stream_of([chunk], b"") for chunk in chunks
    ),
    "empty objects and nulls": lambda chunks: b"data: {}\n\ndata: null\n\n".join(
        stream_of([chunk], b"") for chunk in chunks
    ),
    "chunks without choices": lambda chunks: stream_of(
        [each for chunk in chunks for each in (bare(chunk), chunk)]
    ),
    "PHP's and Lua's empty lists": lambda chunks: stream_of(
        [each for chunk in chunks for each in ({**bare(chunk), "choices": {}}, chunk)]
    ),
    "letter by letter": lambda chunks: stream_of(
        [each for chunk in chunks for each in letter_by_letter(chunk)]
    ),
    "created in fractions": lambda chunks: stream_of(
        [{**chunk, "created": 1.5e9 + 0.25} for chunk in chunks]
    ),
}
USAGES: dict[str, Callable[[Chunks, Any], Chunks]] = {
    "on every chunk": lambda chunks, told: [{**chunk, "usage": told} for chunk in chunks],
    "on a chunk of its own": lambda chunks, told: [
        *({**chunk, "usage": None} for chunk in chunks),
        {**bare(chunks[-1]), "usage": told},
    ],
    "on a chunk with null for choices": lambda chunks, told: [
        *({**chunk, "usage": None} for chunk in chunks),
        {**bare(chunks[-1]), "choices": None, "usage": told},
    ],
    "on a chunk with an empty delta": lambda chunks, told: [
        *({**chunk, "usage": None} for chunk in chunks),
        {**bare(chunks[-1]), "choices": [{"index": 0, "delta": {}, "finish_reason": None}], "usage": told},
    ],
    "alone": lambda chunks, told: [*({**chunk, "usage": None} for chunk in chunks), {"usage": told}],
    "twice": lambda chunks, told: [*chunks, {**bare(chunks[-1]), "usage": told}],
    "null after it": lambda chunks, told: [*({**chunk, "usage": told} for chunk in chunks), bare(chunks[-1])],
    "zeros before it": lambda chunks, told: [
        *({**chunk, "usage": zeros(told)} for chunk in chunks),
        {**bare(chunks[-1]), "usage": told},
    ],
    "within the choice": lambda chunks, told: [
        {
            **chunk,
            "usage": None,
            "choices": [{**choice, "usage": told} for choice in chunk.get("choices") or []],
        }
        for chunk in chunks
    ],
}


@pytest.mark.parametrize("change", CHATS.values(), ids=CHATS)
def test_chat_streams_of_other_servers(change: Callable[[Chunks], bytes]) -> None:
    """How a server ends its stream, pings, and cuts the text changes nothing."""
    for answer in answers("sse", "chat"):
        agree(answer, change(chunks_of(answer)))
    assert len(answers("sse", "chat")) >= 70


@pytest.mark.parametrize("place", USAGES.values(), ids=USAGES)
def test_usage_at_any_place(place: Callable[[Chunks, Any], Chunks]) -> None:
    """Usage counts once, wherever and however often a chat stream tells it."""
    seen = 0
    for answer in answers("sse", "chat"):
        chunks = chunks_of(answer)
        if (told := told_usage(chunks)) is not None:
            agree(answer, stream_of(place(chunks, told)))
            seen += 1
    assert seen >= 60


def test_answers_side_by_side() -> None:
    """Of two answers whose chunks alternate, or come in one chunk, each is what it is alone; usage stays one."""
    seen = 0
    for answer in answers("sse", "chat"):
        chunks, alone = chunks_of(answer), as_recorded(answer)
        if len(alone["choices"]) != 1:
            continue
        beside = [[{**choice, "index": 1} for choice in chunk.get("choices") or []] for chunk in chunks]
        turns = [
            each
            for chunk, second in zip(chunks, beside, strict=True)
            for each in ([{**chunk, "choices": second, "usage": None}] if second else []) + [chunk]
        ]
        together = [
            {**chunk, "choices": [*(chunk.get("choices") or []), *second]}
            for chunk, second in zip(chunks, beside, strict=True)
        ]
        for told in (turns, together):
            both = outcome(answer, stream_of(told))
            assert both == {**alone, "choices": alone["choices"] * 2}, answer.id
        seen += 1
    assert seen >= 70


# Anthropic's format.

_DELTA_FIELDS = ("text", "thinking", "partial_json", "signature", "stop_reason", "citation")
_BLOCK_FIELDS = ("text", "thinking", "signature", "data", "id", "name", "citations", "caller")
_EVENT_FIELDS = ("index", "delta", "content_block", "message", "usage", "error", "request_id")
_TEXT_OF = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
Told = list[dict[str, Any]]


def filled(holder: Any, names: tuple[str, ...]) -> Any:
    return {**dict.fromkeys(names), **holder} if isinstance(holder, dict) else holder


def with_nulls(event: dict[str, Any]) -> dict[str, Any]:
    full = {
        **event,
        "delta": filled(event.get("delta"), _DELTA_FIELDS),
        "content_block": filled(event.get("content_block"), _BLOCK_FIELDS),
    }
    return {**dict.fromkeys(_EVENT_FIELDS), **full}


def piece_by_piece(event: dict[str, Any]) -> Told:
    delta = event.get("delta") or {}
    field = _TEXT_OF.get(delta.get("type", ""))
    if field is None:
        return [event]
    return [{**event, "delta": {**delta, field: letter}} for letter in ["", *delta[field]]]


def joined(told: Told) -> Told:
    made: Told = []
    for event in told:
        last, delta = made[-1] if made else {}, event.get("delta") or {}
        before, field = last.get("delta") or {}, _TEXT_OF.get(delta.get("type", ""))
        alike = before.get("type") == delta.get("type") and last.get("index") == event.get("index")
        if field is not None and alike:
            made[-1] = {**event, "delta": {**delta, field: before[field] + delta[field]}}
        else:
            made.append(event)
    return made


def without_usage_at_the_start(told: Told) -> Told:
    """All counts in the last event, as gateways tell them that count when the answer is over."""
    counts: dict[str, Any] = {}
    for event in told:
        usage = (event.get("message") or {}).get("usage") or event.get("usage") or {}
        counts |= {name: value for name, value in usage.items() if value is not None}
    return [
        {**event, "message": {**event["message"], "usage": None}}
        if event["type"] == "message_start"
        else {**event, "usage": counts}
        if event["type"] == "message_delta"
        else event
        for event in told
    ]


def stops_last(told: Told) -> Told:
    stops = [event for event in told if event["type"] == "content_block_stop"]
    rest = [event for event in told if event["type"] != "content_block_stop"]
    end = next(place for place, event in enumerate(rest) if event["type"] == "message_delta")
    return [*rest[:end], *stops, *rest[end:]]


NEW = {"type": "brand_new", "index": None, "delta": {"type": "x", "text": 5}, "usage": {"input_tokens": None}}
MESSAGES: dict[str, Callable[[Told], Told]] = {
    "nulls where nothing is": lambda told: [with_nulls(event) for event in told],
    "pings": lambda told: [each for event in told for each in ({"type": "ping"}, event)],
    "events of a new type": lambda told: [each for event in told for each in (NEW, event)],
    "piece by piece": lambda told: [each for event in told for each in piece_by_piece(event)],
    "deltas joined": joined,
    "blocks that end last": stops_last,
    "blocks that do not end": lambda told: [event for event in told if event["type"] != "content_block_stop"],
    "the last counts twice": lambda told: [
        each for event in told for each in ([event] * (2 if event["type"] == "message_delta" else 1))
    ],
    "no counts at the start": without_usage_at_the_start,
}


@pytest.mark.parametrize("change", MESSAGES.values(), ids=MESSAGES)
def test_message_streams_of_other_servers(change: Callable[[Told], Told]) -> None:
    """Nulls, pings, unknown events, and how an answer is cut into deltas change nothing."""
    for answer in answers("sse", "messages"):
        told = [orjson.loads(event.data) for event in events(answer.body)]
        agree(answer, written([Event(event["type"], compact(event)) for event in change(told)]))
    assert len(answers("sse", "messages")) >= 50


# Converse.

_UNION = ("text", "image", "toolUse", "toolResult", "reasoningContent", "citationsContent", "cachePoint")
_BESIDE = ("trace", "performanceConfig", "serviceTier", "additionalModelResponseFields")


def test_converse_with_nulls() -> None:
    """A null says nothing: where a block could be of another kind, and beside the answer."""
    for answer in answers("json", "converse"):
        told = orjson.loads(answer.body)
        message = told["output"]["message"]
        blocks = [filled(block, _UNION) for block in message["content"]]
        whole = filled({**told, "output": {"message": {**message, "content": blocks}}}, _BESIDE)
        agree(answer, compact(whole))
    assert len(answers("json", "converse")) >= 20


def delta_nulls(frame: Frame) -> Frame:
    told = orjson.loads(frame.payload)
    return frame._replace(payload=compact({**told, "delta": filled(told.get("delta"), _UNION)}))


CONVERSE: dict[str, Callable[[list[Frame]], list[Frame]]] = {
    "counts before the stop": lambda told: sorted(told, key=lambda frame: frame.name == "messageStop"),
    "blocks that do not end": lambda told: [frame for frame in told if frame.name != "contentBlockStop"],
    "nulls in the deltas": lambda told: [
        delta_nulls(frame) if frame.name == "contentBlockDelta" else frame for frame in told
    ],
}


@pytest.mark.parametrize("change", CONVERSE.values(), ids=CONVERSE)
def test_converse_streams_in_another_order(change: Callable[[list[Frame]], list[Frame]]) -> None:
    """Where counts and ends of blocks stand changes nothing."""
    for answer in answers("frames", "converse"):
        agree(answer, framed(change(list(frames(answer.body)))))
    assert len(answers("frames", "converse")) >= 10
