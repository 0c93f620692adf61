"""Generated answers of every wire, and ways to cut them: what hypothesis draws from."""

from __future__ import annotations

import base64
import json
import struct
from itertools import pairwise
from typing import Any
from zlib import crc32

import anyio
from hypothesis import strategies as st

from asynccache.errors import AsyncCacheError
from asynccache.events import Event
from asynccache.providers.registry import get
from asynccache.request import Access, Request
from asynccache.secret import Secret
from asynccache.stream import Head
from asynccache.usage.normalizer import UsageNormalizer

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
COUNTS = st.integers(0, 100_000)
WIRES = ("openai", "deepseek", "anthropic", "converse", "invoke")
_CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
_MODELS = {
    "openai": "openai/m", "deepseek": "deepseek/m", "anthropic": "anthropic/m",
    "converse": f"bedrock/converse/{_CLAUDE}", "invoke": f"bedrock/invoke/{_CLAUDE}",
}  # fmt: skip
_FRAMES = "application/vnd.amazon.eventstream"


def request(wire: str, *, stream: bool = True) -> Request:
    model = _MODELS[wire]
    access = Access(
        provider=model.partition("/")[0], api_key=Secret("k"), api_base="http://127.0.0.1:1",
        options={"aws_region_name": "us-east-1"},
    )  # fmt: skip
    return Request(model=model, messages=[], stream=stream, access=access)


def head(wire: str, *, stream: bool = True) -> Head:
    kind = (
        (_FRAMES if wire in {"converse", "invoke"} else "text/event-stream") if stream else "application/json"
    )
    return Head(headers={"content-type": kind})


def decoded(wire: str, pieces: list[bytes], *, stream: bool = True) -> tuple[list[Any], str]:
    """The events of an answer that comes in *pieces*, usage last, and how it ended."""
    decoder = get(request(wire).provider).decoder(request(wire, stream=stream), head(wire, stream=stream))
    normalizer = UsageNormalizer(streamed=stream)
    events: list[Event] = []

    def emit(event: Event) -> None:
        if type(event) in normalizer.takes:
            normalizer.feed(event, events.append)
        else:
            events.append(event)

    ended = "end"
    try:
        try:
            for piece in pieces:
                decoder.feed(piece, emit)
            ended = "flushed"
        except anyio.EndOfStream:
            pass
        decoder.flush(emit)
        normalizer.flush(events.append)
    except AsyncCacheError as error:
        normalizer.interrupted(error, events.append)
        ended = type(error).__name__
    return [shown(event) for event in events], ended


def shown(event: Event) -> Any:
    """An event without the bytes that it came in and without the time that stands in for a missing one."""
    fields = {
        name: getattr(event, name) for name in event.__struct_fields__ if name not in {"raw", "created"}
    }
    return type(event).__name__, repr(fields)


def sse(body: Any, name: str | None = None, eol: str = "\n") -> bytes:
    begin = "" if name is None else f"event: {name}{eol}"
    return f"{begin}data: {json.dumps(body, ensure_ascii=False)}{eol}{eol}".encode()


def frame(name: str, body: Any) -> bytes:
    headers = b""
    for key, value in ((":event-type", name), (":message-type", "event")):
        headers += bytes([len(key)]) + key.encode() + struct.pack(">BH", 7, len(value)) + value.encode()
    payload = json.dumps(body, ensure_ascii=False).encode()
    lengths = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    checked = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return checked + struct.pack(">I", crc32(checked))


@st.composite
def chat(draw: st.DrawFn) -> list[bytes]:
    """A stream in OpenAI's format."""
    eol = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    prompt, cached, completion = draw(COUNTS), draw(COUNTS), draw(COUNTS)
    usage = {
        "prompt_tokens": prompt + cached, "completion_tokens": completion,
        "total_tokens": prompt + cached + completion, "prompt_tokens_details": {"cached_tokens": cached},
    }  # fmt: skip
    often = draw(st.sampled_from(["end", "every", "finish", "none"]))

    def chunk(delta: Any, finish: str | None = None, *, told: bool = False) -> bytes:
        body: dict[str, Any] = {"id": "c", "model": "m", "created": 1}
        body["choices"] = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        if told or often == "every":
            body["usage"] = usage
        return sse(body, eol=eol)

    events = [chunk({"role": "assistant", "content": ""})]
    for text in draw(st.lists(TEXTS, max_size=6)):
        events += [chunk({draw(st.sampled_from(["content", "reasoning_content"])): text})]
    for number in range(draw(st.integers(0, 2))):
        call = {"index": number, "id": f"call_{number}", "function": {"name": "f", "arguments": ""}}
        events.append(chunk({"tool_calls": [call]}))
        for text in draw(st.lists(TEXTS, max_size=3)):
            events += [chunk({"tool_calls": [{"index": number, "function": {"arguments": text}}]})]
    events.append(chunk({}, "stop", told=often == "finish"))
    if often == "end":
        events.append(chunk(None, told=True))
    return [*events, f"data: [DONE]{eol}{eol}".encode()]


@st.composite
def claude(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """A stream in Anthropic's events."""
    usage = {
        name: draw(COUNTS)
        for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    }
    message = {
        "id": "m",
        "model": "m",
        "role": "assistant",
        "content": [],
        "usage": {**usage, "output_tokens": 1},
    }
    events: list[tuple[str, Any]] = [("message_start", {"message": message})]
    for index in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["text", "thinking", "tool_use"]))
        start: dict[str, Any] = {"type": kind}
        start |= {"id": "t", "name": "f", "input": {}} if kind == "tool_use" else {kind: ""}
        events.append(("content_block_start", {"index": index, "content_block": start}))
        delta, field = {
            "text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking"),
            "tool_use": ("input_json_delta", "partial_json"),
        }[kind]  # fmt: skip
        for text in draw(st.lists(TEXTS, max_size=4)):
            events += [("content_block_delta", {"index": index, "delta": {"type": delta, field: text}})]
        events.append(("content_block_stop", {"index": index}))
    final = {**(usage if draw(st.booleans()) else {}), "output_tokens": draw(COUNTS)}
    events.append(("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": final}))
    events.append(("message_stop", {}))
    return [(name, {"type": name, **body}) for name, body in events]


@st.composite
def converse(draw: st.DrawFn) -> list[bytes]:
    """A stream of Converse's frames."""
    events = [frame("messageStart", {"role": "assistant"})]
    for text in draw(st.lists(TEXTS, max_size=5)):
        events += [frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}})]
    events.append(frame("contentBlockStop", {"contentBlockIndex": 0}))
    events.append(frame("messageStop", {"stopReason": "end_turn"}))
    counts = {name: draw(COUNTS) for name in ("inputTokens", "outputTokens", "cacheReadInputTokens")}
    usage = {**counts, "cacheWriteInputTokens": 0, "totalTokens": sum(counts.values())}
    return [*events, frame("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})]


@st.composite
def transcripts(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """A wire, and a whole answer in its events."""
    wire = draw(st.sampled_from(WIRES))
    if wire in {"openai", "deepseek"}:
        return wire, draw(chat())
    if wire == "converse":
        return wire, draw(converse())
    if wire == "anthropic":
        eol = draw(st.sampled_from(["\n", "\r\n"]))
        return wire, [sse(body, name, eol) for name, body in draw(claude())]
    packed = [base64.b64encode(json.dumps(body).encode()).decode() for _, body in draw(claude())]
    return wire, [frame("chunk", {"bytes": text}) for text in packed]


@st.composite
def splits(draw: st.DrawFn, blob: bytes) -> list[bytes]:
    """*blob* in pieces, cut at random and beside what is delicate: line ends, marks, braces, long characters."""
    delicate = [at for at, byte in enumerate(blob) if byte in b"\r\n{}" or byte >= 0x80][:2000]
    places = st.integers(0, len(blob))
    if delicate:
        near = st.builds(
            lambda at, by: min(max(at + by, 0), len(blob)), st.sampled_from(delicate), st.integers(-2, 2)
        )
        places = st.one_of(places, near)
    cuts = sorted({0, len(blob), *draw(st.lists(places, max_size=64))})
    return [blob[begin:end] for begin, end in pairwise(cuts)] or [b""]
