"""Text takes a shorter way through every decoder; what it gives is what the long way gives, whatever comes."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asynccache.errors import AsyncCacheError
from asynccache.providers import openai_decode
from asynccache.providers.anthropic.decode import MessagesDecoder
from asynccache.providers.bedrock.converse_answer import ConverseReader
from asynccache.providers.openai_decode import ChatDecoder

_TEXT = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}'
ANTHROPIC = [
    _TEXT,
    _TEXT,
    _TEXT.replace(b'"a"', b'" b\\n\\u00e9"   '),
    _TEXT.replace(b'"a"', b'""'),
    _TEXT.replace(b'"a"', b"null"),
    _TEXT.replace(b'"a"', b"5"),
    _TEXT.replace(b'"a"', b'"\xff"'),
    _TEXT.replace(b'"a"', b'"a","thinking":"b"'),
    _TEXT.replace(b'"a"', b'"a","partial_json":"b"'),
    _TEXT.replace(b'"a"', b'"a","signature":7'),
    _TEXT.replace(b'"a"', b'"a","new":[1]'),
    _TEXT.replace(b":0,", b":1,"),
    _TEXT.replace(b'"index":0,', b""),
    _TEXT.replace(b'"index":0,', b'"index":1,"index":0,'),
    _TEXT.replace(b'"index":0,', b'"index":null,'),
    _TEXT.replace(b'"index":0,', b'"index":0,"new":{},'),
    _TEXT.replace(b'"index":0,', b'"index":0,"message":7,'),
    _TEXT.replace(b'"text":"a"', b'"text":"b","text":"a"'),
    b'{"delta":{"text":"a","type":"text_delta"},"index":0,"type":"content_block_delta"}',
    b'{"delta":{"text":"a","type":"thinking_delta"},"index":0,"type":"content_block_delta"}',
    _TEXT.replace(b':0,"delta"', b':0,"error":null,"delta"'),
    _TEXT.replace(b':0,"delta"', b':0,"error":{"type":"overloaded_error"},"delta"'),
    _TEXT.replace(b':0,"delta"', b':0,"message":{"id":"m"},"delta"'),
    _TEXT[:-1],
    b" ",
    b"",
    b'{"type":"ping"}',
    b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
    b'{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"x"}}',
    b'{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}',
    b'{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}',
    b'{"type":"content_block_delta","index":1,"delta":{"type":"thinking_delta","thinking":"x"}}',
    b'{"type":"content_block_stop","index":0}',
    b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}',
    b'{"type":"message_stop"}',
]
_BEGUN = [
    b'{"type":"message_start","message":{"id":"m","model":"c","usage":{"input_tokens":1}}}',
    b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
]

_SAID = b'{"contentBlockIndex":0,"delta":{"text":"a"},"p":"abcd"}'
CONVERSE = [
    ("contentBlockDelta", _SAID),
    ("contentBlockDelta", _SAID),
    ("contentBlockDelta", _SAID.replace(b'"a"', b'""')),
    ("contentBlockDelta", _SAID.replace(b'"a"', b"5")),
    ("contentBlockDelta", _SAID.replace(b'"a"', b'"\xff"')),
    ("contentBlockDelta", _SAID.replace(b":0", b":1")),
    ("contentBlockDelta", _SAID.replace(b'"contentBlockIndex":0,', b"")),
    ("contentBlockDelta", _SAID.replace(b'"a"', b'"a","toolUse":{"input":"{}"}')),
    ("contentBlockDelta", _SAID.replace(b'"a"', b'"a","reasoningContent":5')),
    ("contentBlockDelta", _SAID.replace(b'"a"', b'"a","reasoningContent":null')),
    ("contentBlockDelta", _SAID.replace(b'"a"', b'"a","citation":{"title":"c"}')),
    ("contentBlockDelta", _SAID.replace(b'"a"', b'"a","new":[1]')),
    ("contentBlockDelta", _SAID.replace(b'"p":"abcd"', b'"new":{"delta":1}')),
    ("contentBlockDelta", b'{"delta":{"text":"a"},"contentBlockIndex":0}'),
    ("contentBlockDelta", b'{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}'),
    ("contentBlockDelta", b'{"contentBlockIndex":2,"delta":{"reasoningContent":{"text":"r"}}}'),
    ("contentBlockStart", b'{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}'),
    ("contentBlockStart", b'{"contentBlockIndex":0,"start":{"image":{}}}'),
    ("contentBlockStop", b'{"contentBlockIndex":0}'),
    ("new", _SAID),
    ("messageStop", b'{"stopReason":"end_turn"}'),
    ("metadata", b'{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}'),
]

_CHUNK = b'{"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":null}'
_PIECE = b'{"index":0,"function":{"arguments":"x"}}'
_CALLED = [
    _CHUNK.replace(b'"content":"a"', b'"tool_calls":[%b]' % calls)
    for calls in (
        b'{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}',
        b'{"index":1,"id":"u","type":"function","function":{"name":"g","arguments":"{"}}',
        b'{"index":0,"function":{"name":"h","arguments":"{}"}}',
        _PIECE,
        _PIECE,
        _PIECE.replace(b'"x"', b'""'),
        _PIECE.replace(b'"x"', b"null"),
        _PIECE.replace(b'"x"', b'{"a":1}'),
        _PIECE.replace(b'"x"', b'"x","name":""'),
        _PIECE.replace(b'"index":0', b'"index":1,"id":null,"type":"function"'),
        _PIECE.replace(b'"index":0,', b""),
        _PIECE.replace(b'"function":{"arguments":"x"}', b'"custom":{"input":"x"}'),
        _PIECE + b"," + _PIECE,
    )
]
OPENAI = [
    _CHUNK,
    _CHUNK,
    _CHUNK.replace(b'"a"', b'"a","role":"assistant","refusal":null,"reasoning_content":""'),
    _CHUNK.replace(b'"a"', b'"a","reasoning_content":"r"'),
    _CHUNK.replace(
        b'"a"', b'"a","tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{}"}}]'
    ),
    *_CALLED,
    *_CALLED,
    _CHUNK.replace(b'"a"', b'""'),
    _CHUNK.replace(b'"a"', b"null"),
    _CHUNK.replace(b'"a"', b'[{"type":"text","text":"p"}]'),
    _CHUNK.replace(b'"a"', b'"\xff"'),
    _CHUNK.replace(b":0,", b":1,"),
    _CHUNK.replace(b'"index":0,', b""),
    _CHUNK.replace(b"[{", b'[{"index":1,"delta":{"content":"b"}},{'),
    _CHUNK.replace(b'[{"index":0,"delta":{"content":"a"},"finish_reason":null}]', b"[]"),
    _CHUNK.replace(b'"finish_reason":null', b'"finish_reason":"stop"'),
    _CHUNK.replace(b'"finish_reason":null', b'"finish_reason":"","logprobs":{"content":[]}'),
    _CHUNK.replace(b'"usage":null', b'"usage":{"prompt_tokens":1}'),
    _CHUNK.replace(b'"usage":null', b'"error":{"message":"broken","code":500}'),
    _CHUNK[:-1],
    b"[DONE]",
]


def _outcome(feed: Any) -> tuple[list[Any], str | None]:
    """Every event, and how it ended."""
    events: list[Any] = []
    try:
        feed(events.append)
    except (AsyncCacheError, anyio.EndOfStream) as end:
        return events, f"{type(end).__name__}: {end}"
    return events, None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(ANTHROPIC), max_size=12))
def test_anthropic(events: list[bytes]) -> None:
    """Events in runs are read as one by one, which never takes the short way."""
    run = [*_BEGUN, *events]
    quick, slow = MessagesDecoder(), MessagesDecoder()

    def one_by_one(emit: Any) -> None:
        for data in run:
            if data.strip():
                slow.feed(data, emit)

    assert _outcome(lambda emit: quick.feed_run(run, emit)) == _outcome(one_by_one)
    assert (quick.progress, quick.done) == (slow.progress, slow.done)
    assert quick._log.provider_blocks() == slow._log.provider_blocks()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CONVERSE), st.integers(1, 3)), max_size=10))
def test_converse(runs: list[tuple[tuple[str, bytes], int]]) -> None:
    """Events in runs are read as one by one, which never takes the short way."""
    quick, slow = (
        ConverseReader(answer_id="i", model="m", dialect=lambda _: "bedrock-converse") for _ in "12"
    )

    def in_runs(emit: Any) -> None:
        for (name, payload), times in runs:
            if not quick.done:
                quick.events(name, [payload] * times, emit)

    def one_by_one(emit: Any) -> None:
        for (name, payload), times in runs:
            for _ in range(times):
                if not slow.done:
                    slow.event(name, payload, emit)

    assert _outcome(in_runs) == _outcome(one_by_one)
    assert (quick.took_progress(), quick.done) == (slow.took_progress(), slow.done)


@settings(max_examples=600, deadline=None)
@given(
    events=st.lists(st.one_of(st.sampled_from(OPENAI), st.sampled_from(_CALLED)), max_size=12),
    together=st.booleans(),
)
@example(events=[_CHUNK, b"[DONE]", _CHUNK], together=True)
@example(events=[_CALLED[0], b"[DONE]", _CALLED[3]], together=True)
def test_openai(events: list[bytes], together: bool) -> None:
    """Chunks are read as by a decoder whose short way is closed."""
    pieces = [b"data: %b\n\n" % event for event in events]
    if together:
        pieces = [b"".join(pieces)]

    def read(emit: Any) -> None:
        decoder = ChatDecoder(sse=True, dialect="openai", needs_done=False)
        for piece in pieces:
            decoder.feed(piece, emit)
        decoder.flush(emit)  # an answer begun and not finished is cut short

    def closed(_data: bytes) -> Any:
        raise ValueError

    quick = _outcome(read)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_decode, "decode_text", closed)
        patch.setattr(openai_decode, "decode_piece", closed)
        assert quick == _outcome(read)
