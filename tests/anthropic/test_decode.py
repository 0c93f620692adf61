"""Decoding, rule by rule: order, ends, errors, odd JSON, and any split of the bytes."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynccache.aggregate import Aggregator
from asynccache.errors import (
    AsyncCacheError,
    BillingError,
    InternalServerError,
    InvalidResponseError,
    OverloadedError,
    RateLimitError,
    StreamInterruptedError,
)
from asynccache.events import (
    CitationDelta,
    Event,
    Finished,
    ProviderBlocks,
    ReasoningDelta,
    RedactedReasoning,
    ReportedUsage,
    SignatureDelta,
    Started,
    TextDelta,
    Unknown,
)
from asynccache.providers.anthropic.answer import AnswerDecoder
from asynccache.providers.anthropic.decode import MessagesDecoder
from asynccache.stream import Head

from .recorded import blocks_of, cut, decode, said

USAGE = {"input_tokens": 25, "output_tokens": 1}
START = {
    "type": "message_start",
    "message": {"id": "msg_1", "model": "claude-x", "content": [], "usage": USAGE},
}
STOP = {"type": "message_stop"}


def end(reason: str | None = "end_turn") -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 15}}


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(index: int, *pieces: str) -> list[dict[str, Any]]:
    return block(
        index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces)
    )


def sse(*events: dict[str, Any] | bytes) -> bytes:
    lines = []
    for event in events:
        data = event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode()
        name = b"" if isinstance(event, bytes) else b"event: " + str(event["type"]).encode() + b"\n"
        lines.append(name + b"data: " + data + b"\n\n")
    return b"".join(lines)


def run(*events: dict[str, Any] | bytes) -> list[Event]:
    return decode([sse(*events)])


def partly(*events: dict[str, Any] | bytes) -> tuple[list[Event], AsyncCacheError]:
    """What came before the error, and the error."""
    seen: list[Event] = []
    decoder = AnswerDecoder(Head(headers={"content-type": "text/event-stream"}), streamed=True)
    try:
        decoder.feed(sse(*events), seen.append)
        decoder.flush(seen.append)
    except AsyncCacheError as error:
        return seen, error
    raise AssertionError("no error was raised")


def plain(events: list[Event]) -> list[Any]:
    """Without the raw events, which differ in spelling only."""
    return [
        {name: getattr(e, name) for name in e.__struct_fields__ if name != "raw"} | {"": type(e)}
        for e in events
    ]


def test_a_stream_of_text() -> None:
    """Text, usage as often as told, and one end."""
    events = run(START, {"type": "ping"}, *text(0, "Hel", "", "lo"), end(), STOP)
    assert [type(event) for event in events] == [
        Started, ReportedUsage, TextDelta, TextDelta, ReportedUsage, Finished,
    ]  # fmt: skip
    assert events[-1].reason == "stop"  # type: ignore[union-attr]


def test_every_kind_of_piece() -> None:
    """Thinking keeps its place and signature, a call its id, name and exact text."""
    events = run(
        START,
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Hm"},
            {"type": "signature_delta", "signature": "c2ln"},
        ),
        *block(1, {"type": "redacted_thinking", "data": "ZGF0YQ=="}),
        *text(2, "Hi"),
        *block(
            3,
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"b": 1e5,'},
            {"type": "input_json_delta", "partial_json": ' "a":2.0}'},
        ),
        *block(4, {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}),
        end("tool_use"),
        STOP,
    )
    assert [(e.text, e.block) for e in events if type(e) is ReasoningDelta] == [("Hm", 0)]
    assert [(e.signature, e.block) for e in events if type(e) is SignatureDelta] == [("c2ln", 0)]
    assert [(e.data, e.block) for e in events if type(e) is RedactedReasoning] == [("ZGF0YQ==", 1)]
    assert said(events)["tool_calls"] == [
        {"id": "toolu_1", "name": "f", "arguments": '{"b": 1e5, "a":2.0}'},
        {"id": "toolu_2", "name": "g", "arguments": "{}"},
    ]
    assert blocks_of(events) is None
    assert events[-1].reason == "tool_calls"  # type: ignore[union-attr]


def test_a_call_that_stands_whole_in_its_first_event() -> None:
    """Some servers send no pieces: the arguments are those of the start, to the letter."""
    start = b'{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{"z": 1.0, "a":[ ]}}}'
    events = run(START, start, {"type": "content_block_stop", "index": 0}, end("tool_use"), STOP)
    assert said(events)["tool_calls"][0]["arguments"] == '{"z": 1.0, "a":[ ]}'


def test_calls_are_closed_by_the_end_too() -> None:
    """A call without its content_block_stop still has arguments when the answer ends."""
    start = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "tool_use", "id": "t", "name": "f"},
    }
    events = run(START, start, end("tool_use"), STOP)
    assert said(events)["tool_calls"] == [{"id": "t", "name": "f", "arguments": "{}"}]


def test_interleaved_blocks() -> None:
    """Blocks may grow in turn: their numbers tell their pieces apart."""
    a, b = text(0, "a", "c"), block(
        1, {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        {"type": "input_json_delta", "partial_json": "{"}, {"type": "input_json_delta", "partial_json": "}"},
    )  # fmt: skip
    mixed = [event for pair in zip(a, b, strict=True) for event in pair]
    got = said(run(START, *mixed, end("tool_use"), STOP))
    assert got["text"] == "ac"
    assert got["tool_calls"][0]["arguments"] == "{}"


SEARCH = [
    *text(0, "Let me look."),
    *block(
        1,
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"query": "x"}'},
    ),
    *block(2, {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"title": "t"}]}),
    *block(
        3,
        {"type": "text", "text": "", "citations": []},
        {"type": "citations_delta", "citation": {"url": "u"}},
        {"type": "text_delta", "text": "It is so."},
    ),
]
SEARCH_BLOCKS = [
    {"type": "text", "text": "Let me look."},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"title": "t"}]},
    {"type": "text", "text": "It is so.", "citations": [{"url": "u"}]},
]


def test_the_provider_s_own_tools() -> None:
    """They are no calls of the caller's: they come as blocks, whole and in order, before the end."""
    events = run(START, *SEARCH, end(), STOP)
    assert said(events)["tool_calls"] == []
    assert [e.citation for e in events if type(e) is CitationDelta] == [{"url": "u"}]
    assert blocks_of(events) == SEARCH_BLOCKS
    assert [type(event) for event in events[-2:]] == [ProviderBlocks, Finished]


@pytest.mark.parametrize(
    ("blocks", "sayable"),
    [
        (["thinking", "text", "tool_use", "tool_use"], True),
        (["thinking", "redacted_thinking", "tool_use"], True),
        (["text", "text"], True),
        (["text", "thinking"], False),
        (["thinking", "tool_use", "thinking", "tool_use"], False),
        (["tool_use", "text"], False),
        (["text", "compaction"], False),
        (["fallback", "text"], False),
        (["called"], False),
    ],
)
def test_blocks_come_only_where_they_are_needed(blocks: list[str], sayable: bool) -> None:
    """Reasoning, text and calls in that order need no blocks; any other answer does."""
    contents: dict[str, dict[str, Any]] = {
        "thinking": {"type": "thinking", "thinking": "t", "signature": "s"},
        "redacted_thinking": {"type": "redacted_thinking", "data": "d"},
        "text": {"type": "text", "text": "x"},
        "tool_use": {"type": "tool_use", "id": "i", "name": "f", "input": {}, "caller": {"type": "direct"}},
        "called": {
            "type": "tool_use",
            "id": "i",
            "name": "f",
            "input": {},
            "caller": {"type": "code_execution"},
        },
        "compaction": {"type": "compaction", "content": "c"},
        "fallback": {"type": "fallback", "from": {}, "to": {}},
    }
    content = [contents[kind] for kind in blocks]
    body = json.dumps({"type": "message", "content": content, "stop_reason": "end_turn"}).encode()
    whole = blocks_of(decode([body], Head(headers={"content-type": "application/json"})))
    streamed = blocks_of(run(START, *(e for i, c in enumerate(content) for e in block(i, c)), end(), STOP))
    assert whole == streamed == (None if sayable else content)


def test_deltas_without_a_name_here() -> None:
    """A delta of a kind that came later is kept in its block and handed on as it is."""
    events = run(
        START,
        *block(
            0,
            {"type": "compaction", "content": None},
            {"type": "compaction_delta", "content": "Sum", "n": 1},
            {"type": "compaction_delta", "content": "mary", "n": 2},
        ),
        {"type": "later_event", "x": 1},
        end("compaction"),
        STOP,
    )
    assert blocks_of(events) == [{"type": "compaction", "content": "Summary", "n": 2}]
    assert [e.name for e in events if type(e) is Unknown] == [
        "compaction_delta",
        "compaction_delta",
        "later_event",
    ]
    assert events[-1].reason == "stop"  # type: ignore[union-attr]


def test_a_server_call_cut_short_keeps_its_text() -> None:
    """Half a JSON is never handed out as an object."""
    start = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    events = run(
        START, *block(0, start, {"type": "input_json_delta", "partial_json": '{"q": "a'}), end(), STOP
    )
    assert blocks_of(events) == [{**start, "input": '{"q": "a'}]


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("pause_turn", "stop"), ("compaction", "stop"),
        ("max_tokens", "length"), ("model_context_window_exceeded", "length"), ("tool_use", "tool_calls"),
        ("refusal", "content_filter"), ("something_new", "stop"),
    ],
)  # fmt: skip
def test_finish_reasons(native: str, reason: str) -> None:
    """Each reason to stop has OpenAI's word, and keeps its own."""
    finished = run(START, end(native), STOP)[-1]
    assert type(finished) is Finished
    assert (finished.reason, finished.native) == (reason, native)


def test_the_first_reason_holds() -> None:
    """Of several message_deltas all usage counts, and the first reason to stop."""
    events = run(START, end(None), end("max_tokens"), end("end_turn"), STOP)
    assert [e.native for e in events if type(e) is Finished] == ["max_tokens"]
    assert sum(type(e) is ReportedUsage for e in events) == 4


def test_an_end_without_a_reason() -> None:
    """A whole answer always finishes: with calls where there are some."""
    assert run(START, *text(0, "x"), STOP)[-1].reason == "stop"  # type: ignore[union-attr]
    call = block(0, {"type": "tool_use", "id": "t", "name": "f", "input": {}})
    finished = run(START, *call, STOP)[-1]
    assert type(finished) is Finished
    assert (finished.reason, finished.native) == ("tool_calls", None)


def test_nothing_is_read_after_the_end() -> None:
    """message_stop ends the answer at once, whatever the server sends then."""
    decoder = AnswerDecoder(Head(), streamed=True)
    with pytest.raises(anyio.EndOfStream):
        decoder.feed(sse(START, end(), STOP, b"[DONE]", b"rubbish"), lambda _: None)
    decoder.flush(lambda _: None)


@pytest.mark.parametrize("kept", range(6))
def test_a_stream_cut_clean_is_no_answer(kept: int) -> None:
    """Without message_stop there is no success, however much came; what came was handed out."""
    events, error = partly(*[START, *text(0, "Hi"), end()][:kept])
    assert type(error) is StreamInterruptedError
    assert ("empty" in error.message) == (kept == 0)
    assert len([e for e in events if type(e) is TextDelta]) == (kept > 2)


def test_a_last_event_without_its_blank_line() -> None:
    """It counts when it is whole, and never when it is not."""
    body = sse(START, *text(0, "Hi"), end(), STOP)
    assert body.endswith(b"}\n\n")
    for missing in (1, 2):
        assert said(decode([body[:-missing]]))["finish_reason"] == ["end_turn"]
    for missing in range(3, 40):
        with pytest.raises(StreamInterruptedError):
            decode([body[:-missing]])


@pytest.mark.parametrize(
    ("kind", "status", "cls"),
    [
        ("overloaded_error", 529, OverloadedError),
        ("rate_limit_error", 429, RateLimitError),
        ("api_error", 500, InternalServerError),
        ("timeout_error", 504, InternalServerError),
        ("billing_error", 402, BillingError),
    ],
)
def test_an_error_within_a_stream(kind: str, status: int, cls: type[AsyncCacheError]) -> None:
    """It raises its own class with the status it stands for; what came before was handed out."""
    error = {"type": "error", "error": {"type": kind, "message": "no luck"}, "request_id": "req_1"}
    events, raised = partly(START, *text(0, "Hi"), error)
    assert type(raised) is cls
    assert (raised.status_code, raised.code, raised.request_id) == (status, kind, "req_1")
    assert "no luck" in raised.message
    assert any(type(e) is TextDelta for e in events)


@pytest.mark.parametrize(
    "error",
    [
        {"type": "error", "error": "text"},
        {"type": "error"},
        {"type": "x", "error": {"message": "m", "code": 500}},
        {"type": "content_block_delta", "index": 0, "delta": {}, "error": {"message": "m"}},
    ],
)
def test_errors_in_other_dialects(error: dict[str, Any]) -> None:
    """Gateways write errors as they like: an error member is an error before all else."""
    assert type(partly(START, *text(0, "Hi"), error)[1]) is InternalServerError


def test_a_spend_limit_is_not_a_rate_limit() -> None:
    """The finer code decides: retrying does not help here."""
    details = {"error_code": "enforced_spend_limit_reached"}
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": "m", "details": details}}
    assert type(partly(START, error)[1]) is BillingError


@pytest.mark.parametrize(
    "odd",
    [
        b'{"type": "content_block_delta", "ind',
        b"rubbish",
        b"[DONE]",
        b"[1]",
        b'{"type": 3}',
        b'{"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}}',
        b'{"type": "content_block_stop", "index": 7}',
        b'{"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}',
        b'{"type": "content_block_start", "index": 9}',
        b'{"type": "message_start"}',
        b'{"x":' * 3000,
    ],
)
def test_events_that_are_none(odd: bytes) -> None:
    """Broken JSON, wrong shapes and events out of order say so in a short message without keys."""
    events, error = partly(START, *text(0, "Hi"), odd)
    assert type(error) is InvalidResponseError
    assert len(error.message) < 450
    assert any(type(e) is TextDelta for e in events)


def test_pieces_that_say_nothing() -> None:
    """Empty pieces, deltas without a kind and facts without usage bring nothing of their own."""
    start = {"type": "message_start", "message": {"id": "m", "model": "x"}}
    thinking = block(
        0,
        {"type": "thinking", "thinking": ""},
        {"type": "thinking_delta", "thinking": ""},
        {"type": "signature_delta"},
    )
    ending = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    events = run(
        start, *thinking, text(1)[0], {"type": "content_block_delta", "index": 1, "delta": {}}, ending, STOP
    )
    assert [type(event) for event in events] == [Started, Unknown, Finished]
    whole = {"type": "message", "content": [], "stop_reason": None}
    bare = decode([json.dumps(whole).encode()], Head(headers={"content-type": "application/json"}))
    assert [type(event) for event in bare] == [Started, Finished]


def test_a_block_with_broken_letters_in_a_field_of_no_interest() -> None:
    """What is only kept, not read, is mended as well when it is handed out."""
    odd = b'{"type":"content_block_start","index":0,"content_block":{"type":"later_block","x":"a\xff"}}'
    assert blocks_of(run(START, odd, end(), STOP)) == [{"type": "later_block", "x": "a\ufffd"}]


def test_a_whole_answer_too_deep_to_read() -> None:
    """Nesting without end is refused, not followed."""
    body = b'{"content": ' + b"[" * 100_000
    with pytest.raises(InvalidResponseError):
        decode([body], Head(headers={"content-type": "application/json"}))


@pytest.mark.parametrize("first", [text(0, "Hi")[0], STOP])
def test_an_answer_begins_with_its_start(first: dict[str, Any]) -> None:
    """A block or an end before message_start is out of order."""
    assert type(partly(first)[1]) is InvalidResponseError


def test_keys_in_a_broken_answer_are_hidden() -> None:
    """An excerpt of a foreign answer never shows a key."""
    assert "sk-ant" not in partly(START, b"bad sk-ant-api03-abcdefghijklmnop")[1].message


@pytest.mark.parametrize(
    ("wire", "shown"),
    [(b"a\xffb", "a\ufffdb"), (b"a\\ud83db", "a\ufffdb"), (b"\xf0\x9f\x98\x80", "\U0001f600")],
)
def test_text_that_is_no_unicode(wire: bytes, shown: str) -> None:
    """Invalid UTF-8 and lone surrogates become U+FFFD, and the stream goes on."""
    delta = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"' + wire + b'"}}'
    start = (
        b'{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"'
        + wire
        + b'","name":"f","input":{}}}'
    )
    end_of_call = {"type": "content_block_stop", "index": 1}
    got = said(run(START, text(0)[0], delta, text(0)[-1], start, end_of_call, end("tool_use"), STOP))
    assert got["text"] == got["tool_calls"][0]["id"] == shown


@pytest.mark.parametrize("count", [b"NaN", b"1" + b"0" * 30, b"-5", b"1.5", b'"7"', b"true", b"Infinity"])
def test_absurd_counts_do_not_end_the_stream(count: bytes) -> None:
    """What a provider says of tokens is handed on as it is; to judge it is another's business."""
    delta = (
        b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":'
        + count
        + b"}}"
    )
    events = run(START, *text(0, "Hi"), delta, STOP)
    usage = [e.raw for e in events if type(e) is ReportedUsage][-1]
    assert usage["output_tokens"] != 15
    assert said(events)["text"] == "Hi"


def test_blank_data_is_a_keep_alive() -> None:
    """Events without content are passed over."""
    assert said(run(START, b"", b" ", *text(0, "Hi"), end(), STOP))["text"] == "Hi"


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "text/event-stream", "", "application/json"])
@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>Sign in</html>", b"\n <html>Sign in" + b"x" * 4000])
def test_a_page_instead_of_an_answer(page: bytes, kind: str, size: int | None) -> None:
    """A firewall's page is no answer, whatever it calls itself; its first words are in the message."""
    with pytest.raises(InvalidResponseError, match="Sign in") as caught:
        decode(cut(page, size), Head(headers={"content-type": kind}))
    assert len(caught.value.message) < 400


ANSWER: dict[str, Any] = {
    "id": "msg_2",
    "type": "message",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Hi", "citations": [{"url": "u"}]}],
    "stop_reason": "end_turn",
    "usage": USAGE,
}


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("kind", ["application/json", "", "text/event-stream"])
def test_a_whole_answer_where_a_stream_was_asked(kind: str, streamed: bool) -> None:
    """One JSON body is decoded as such, whatever was asked."""
    events = decode([json.dumps(ANSWER).encode()], Head(headers={"content-type": kind}), streamed=streamed)
    assert said(events)["text"] == "Hi"
    assert said(events)["finish_reason"] == ["end_turn"]
    assert type(events[0]) is Started
    assert json.loads(events[0].raw) == ANSWER


def test_a_stream_where_a_whole_answer_was_asked() -> None:
    """The content type decides."""
    body = sse(START, *text(0, "Hi"), end(), STOP)
    events = decode(
        [body], Head(headers={"content-type": "text/event-stream; charset=utf-8"}), streamed=False
    )
    assert said(events)["text"] == "Hi"


def test_a_whole_answer_cut_short() -> None:
    """A body that ends before its end is an interruption, at every byte; rubbish is not an answer."""
    body = json.dumps(ANSWER).encode()
    head = Head(headers={"content-type": "application/json"})
    for length in range(len(body)):
        with pytest.raises(StreamInterruptedError):
            decode([body[:length]], head)
    for rubbish in (b"{}", b"[]", b"null", b"what", b'{"type":"message"}', b'{"content": 3}'):
        with pytest.raises(InvalidResponseError):
            decode([rubbish], head)


def test_streamed_and_whole_say_the_same() -> None:
    """The same answer, streamed or not, aggregates to the same message."""
    content: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ]
    body = json.dumps({**ANSWER, "content": content, "stop_reason": "tool_use"}).encode()
    messages = []
    for events in (
        decode([body], Head(headers={"content-type": "application/json"})),
        run(START, *(e for i, c in enumerate(content) for e in block(i, c)), end("tool_use"), STOP),
    ):
        whole = Aggregator()
        for event in events:
            whole.add(event)
        messages.append(whole.completion().choices[0])
    assert messages[0] == messages[1]
    assert messages[0].message.thinking_blocks == content[:2]


def test_progress_is_told_for_content_only() -> None:
    """The idle clock is touched by what brings the answer forward: not by pings, comments or unknown events."""
    touched: list[int] = []
    decoder = AnswerDecoder(Head(touch=lambda: touched.append(1)), streamed=True)
    for piece, times in [
        (b": comment\n\n", 0),
        (sse(START), 0),
        (sse({"type": "ping"}, {"type": "later_event"}), 0),
        (sse(text(0)[0]), 1),
        (sse(*text(0, "a", "b")[1:3]), 2),
        (sse({"type": "ping"}), 2),
        (sse(end()), 3),
    ]:
        decoder.feed(piece, lambda _: None)
        assert len(touched) == times


def test_events_without_their_wrapping() -> None:
    """The decoder of single events works by itself, for wires that wrap them otherwise."""
    decoder = MessagesDecoder()
    events: list[Event] = []
    for event in (START, *text(0, "Hi"), end()):
        decoder.feed(json.dumps(event).encode(), events.append)
    with pytest.raises(anyio.EndOfStream):
        decoder.feed(json.dumps(STOP).encode(), events.append)
    decoder.flush(events.append)
    assert decoder.done
    assert said(events)["text"] == "Hi"


def test_arguments_after_the_end_of_a_call() -> None:
    """A call that was handed out whole is never added to."""
    call = block(0, {"type": "tool_use", "id": "t", "name": "f", "input": {}})
    late = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": "{}"},
    }
    assert type(partly(START, *call, late)[1]) is InvalidResponseError


WHOLE = sse(
    START, *SEARCH, *block(4, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": "ä"}}), end(), STOP
)


@given(
    st.lists(st.integers(1, len(WHOLE) - 1), max_size=12, unique=True).map(sorted),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_any_split_gives_the_same_events(places: list[int], line_end: bytes) -> None:
    """Reads may end anywhere, also within a character or a line end."""
    body = WHOLE.replace(b"\n", line_end)
    ends = [*places, len(body)]
    pieces = [body[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    assert plain(decode(pieces)) == plain(decode([WHOLE]))


@given(st.permutations([START, *text(0, "a", "b"), *text(1, "c"), end(), STOP]))
def test_no_order_of_events_is_a_surprise(events: list[dict[str, Any]]) -> None:
    """In any order there is an answer with one end, or one of this library's errors."""
    try:
        got = run(*events)
    except (InvalidResponseError, StreamInterruptedError):
        return
    assert [type(event) for event in got].count(Finished) == 1
    assert events.index(START) < events.index(STOP)
