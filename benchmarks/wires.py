"""The bytes of the answers that every client reads: three wire formats, one text, one usage."""

from __future__ import annotations

import json
import struct
import zlib
from functools import lru_cache

WORDS = [
    "the",
    "model",
    "starts",
    "where",
    "the",
    "prompt",
    "is",
    "new",
    "and",
    "says",
    "what",
    "it",
    "has",
    "to",
    "say",
]
PROMPT, CACHED = 2006, 1920
"""Tokens of the prompt, those read from the cache included."""
WHOLE_TEXT = "the model says what it has to say"
WHOLE_TOKENS = 300


def text_of(chunks: int) -> str:
    """What a stream of *chunks* pieces says."""
    return "".join(f" {WORDS[number % len(WORDS)]}" for number in range(chunks))


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def openai(chunks: int) -> list[bytes]:
    """OpenAI's chat.completion.chunk events, one ``data:`` line each."""

    def event(choices: list[object], usage: object = None) -> bytes:
        head = {
            "id": "chatcmpl-bench",
            "object": "chat.completion.chunk",
            "created": 1764075745,
            "model": "gpt-4o",
        }
        more = {"service_tier": "default", "system_fingerprint": "fp_24710c7f06"}
        return f"data: {_json({**head, **more, 'choices': choices, 'usage': usage})}\n\n".encode()

    def choice(delta: object, finish: str | None = None) -> dict[str, object]:
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}

    events = [event([choice({"role": "assistant", "content": "", "refusal": None})])]
    events += [event([choice({"content": f" {WORDS[number % len(WORDS)]}"})]) for number in range(chunks)]
    events.append(event([choice({}, "stop")]))
    events.append(event([], _openai_usage(chunks)))
    events.append(b"data: [DONE]\n\n")
    return events


def openai_tools(chunks: int) -> list[bytes]:
    """One tool call whose arguments come in *chunks* pieces."""
    head = (
        '{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1764075745,"model":"gpt-4o",'
        '"choices":[{"index":0,"delta":%s,"finish_reason":%s}]}'
    )
    call = '{"tool_calls":[{"index":0,%s"function":{%s"arguments":%s}}]}'
    events = [
        head % (call % ('"id":"call_1","type":"function",', '"name":"write",', '"{\\"text\\":\\""'), "null")
    ]
    events += [head % (call % ("", "", '" word"'), "null")] * chunks
    events += [head % (call % ("", "", '"\\"}"'), "null"), head % ("{}", '"tool_calls"')]
    usage = _json({"id": "chatcmpl-bench", "model": "gpt-4o", "choices": [], "usage": _openai_usage(chunks)})
    return [f"data: {event}\n\n".encode() for event in (*events, usage, "[DONE]")]


def _openai_usage(tokens: int) -> dict[str, object]:
    return {
        "prompt_tokens": PROMPT,
        "completion_tokens": tokens,
        "total_tokens": PROMPT + tokens,
        "prompt_tokens_details": {"cached_tokens": CACHED},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def anthropic(chunks: int) -> list[bytes]:
    """Anthropic's events, an ``event:`` and a ``data:`` line each."""

    def event(name: str, **rest: object) -> bytes:
        return f"event: {name}\ndata: {_json({'type': name, **rest})}\n\n".encode()

    message = {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "claude-sonnet-4-5",
    }
    stopped = {"stop_reason": None, "stop_sequence": None}
    events = [
        event(
            "message_start",
            message={**message, **stopped, "usage": {**_anthropic_usage(), "output_tokens": 1}},
        ),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
    ]
    for number in range(chunks):
        delta = {"type": "text_delta", "text": f" {WORDS[number % len(WORDS)]}"}
        events.append(event("content_block_delta", index=0, delta=delta))
    events.append(event("content_block_stop", index=0))
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    events.append(event("message_delta", delta=stop, usage={"output_tokens": chunks}))
    events.append(event("message_stop"))
    return events


def _anthropic_usage() -> dict[str, object]:
    return {
        "input_tokens": PROMPT - CACHED,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": CACHED,
    }


def converse(chunks: int) -> list[bytes]:
    """Bedrock's ConverseStream frames, with the padding that Bedrock adds."""
    pads = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    events = [frame("messageStart", {"role": "assistant", "p": pads[:9]})]
    for number in range(chunks):
        delta = {"text": f" {WORDS[number % len(WORDS)]}"}
        events.append(
            frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta, "p": pads[: number * 7 % 60]})
        )
    events.append(frame("contentBlockStop", {"contentBlockIndex": 0, "p": pads[:4]}))
    events.append(frame("messageStop", {"stopReason": "end_turn", "p": pads[:12]}))
    events.append(
        frame("metadata", {"usage": _converse_usage(chunks), "metrics": {"latencyMs": 1}, "p": "ab"})
    )
    return events


def frame(event: str, payload: dict[str, object]) -> bytes:
    """One frame of AWS's event stream: three string headers and JSON."""
    names = {":event-type": event, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(value)) + value.encode()
        for name, value in names.items()
    )
    body = _json(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return head + struct.pack(">I", zlib.crc32(head))


def _converse_usage(tokens: int) -> dict[str, object]:
    return {
        "inputTokens": PROMPT - CACHED,
        "outputTokens": tokens,
        "totalTokens": PROMPT + tokens,
        "cacheReadInputTokens": CACHED,
        "cacheWriteInputTokens": 0,
    }


STREAMS = {"openai": openai, "openai-tools": openai_tools, "anthropic": anthropic, "converse": converse}
STREAM_TYPE = {"converse": b"application/vnd.amazon.eventstream"}


@lru_cache(maxsize=64)
def writes(wire: str, chunks: int, per_write: int | str) -> list[bytes]:
    """A stream as what is to be written at once: *per_write* events in one HTTP chunk, each in its own for ``16x1``."""
    size, apart, _ = str(per_write).partition("x")
    events = STREAMS[wire](chunks)
    if apart:
        events = [_http_chunk(event) for event in events]
    joined = [b"".join(events[start : start + int(size)]) for start in range(0, len(events), int(size))]
    return joined if apart else [_http_chunk(part) for part in joined]


def _http_chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


def _whole_openai() -> object:
    message = {"role": "assistant", "content": WHOLE_TEXT}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    head = {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1764075745, "model": "gpt-4o"}
    return {**head, "choices": choices, "usage": _openai_usage(WHOLE_TOKENS)}


def _whole_anthropic() -> object:
    head = {"id": "msg_bench", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
    content = [{"type": "text", "text": WHOLE_TEXT}]
    usage = {**_anthropic_usage(), "output_tokens": WHOLE_TOKENS}
    return {**head, "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def _whole_converse() -> object:
    message = {"role": "assistant", "content": [{"text": WHOLE_TEXT}]}
    usage = _converse_usage(WHOLE_TOKENS)
    return {
        "output": {"message": message},
        "stopReason": "end_turn",
        "usage": usage,
        "metrics": {"latencyMs": 1},
    }


WHOLE = {
    "openai": _json(_whole_openai()).encode(),
    "anthropic": _json(_whole_anthropic()).encode(),
    "converse": _json(_whole_converse()).encode(),
}
"""The one JSON body of an answer that is not streamed."""
