"""What the fuzzer begins with: one small answer of each wire, whole and damaged."""

from __future__ import annotations

import base64
import json
from typing import Any

from ..reliability.transcripts import frame, sse

USAGE = {
    "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "input_tokens": 3, "output_tokens": 2,
    "prompt_tokens_details": {"cached_tokens": 5}, "inputTokens": 7, "outputTokens": 1, "totalTokens": 8,
}  # fmt: skip


def _claude() -> list[tuple[str, dict[str, Any]]]:
    message = {"id": "m", "model": "m", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}
    delta = {"type": "text_delta", "text": "hé"}
    return [
        ("message_start", {"type": "message_start", "message": message}),
        ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}),
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
        ("message_delta", {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        ("message_stop", {"type": "message_stop"}),
    ]  # fmt: skip


CHAT = {
    "model": "m", "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 9, "n": 2, "t": [1.5e3, -0.0],
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "h\u00e9", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": 'hi " \\'},
    ],
}  # fmt: skip
MESSAGES = {
    "model": "m", "max_tokens": 9007199254740992, "system": [{"type": "text", "text": "s"}], "metadata": {"user_id": "u"},
    "messages": [
        {"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aa"}},
            {"type": "document", "source": {"type": "text", "data": "d"}},
            {"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": [{"type": "text", "text": "x"}]},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "so", "signature": "s"}, {"type": "redacted_thinking", "data": "r"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        ]},
    ],
    "tools": [{"name": "f", "input_schema": {"type": "object"}, "description": "d", "strict": True}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}, "stop_sequences": ["x"],
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
}  # fmt: skip


def seeds(target: str) -> list[bytes]:
    """Inputs of a target; the first byte cuts the rest."""
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    deltas: list[dict[str, Any]] = [{"content": "hé"}, {"tool_calls": [call]}, {"reasoning_content": "so"}]
    chat = [sse({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    chat.append(
        sse(
            {
                "id": "c",
                "model": "m",
                "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                "usage": USAGE,
            }
        )
    )
    converse = [
        frame("messageStart", {"role": "assistant"}),
        frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "hi"}}),
        frame("messageStop", {"stopReason": "end_turn"}),
        frame("metadata", {"usage": USAGE}),
    ]
    packed = [base64.b64encode(json.dumps(body).encode()).decode() for _, body in _claude()]
    bodies = {
        "sse": [b"\xef\xbb\xbfdata: a\r\n\r\nevent: b\rdata\rdata:c\n\n:x\nid: 1\n\n", b"".join(chat)],
        "chat": [b"".join(chat) + b"data: [DONE]\n\n", b'{"choices":[{"message":{"content":"a"}}],"usage":null}'],
        "messages": [b"".join(sse(body, name) for name, body in _claude()), b'{"type":"error","error":{}}'],
        "converse": [b"".join(converse), b'{"output":{"message":{"content":[{"text":"a"}]}},"stopReason":"x"}'],
        "invoke": [b"".join(frame("chunk", {"bytes": text}) for text in packed)],
        "frames": [b"".join(converse)],
        "body": [json.dumps(CHAT).encode(), json.dumps(MESSAGES, ensure_ascii=False).encode(), b'{"a":{"b":1,"b":2}}'],
        "usage": [json.dumps(USAGE).encode(), b"[]", b'{"cacheDetails":[{"inputTokens":3,"ttl":"1h"}]}'],
    }  # fmt: skip
    return [bytes([step]) + body for body in bodies[target] for step in (0, 4, 15)]
