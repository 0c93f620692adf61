"""Of two reasons to stop the first holds, on every wire; a word said after it is not lost. Row 33."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from .transcripts import WIRES, decoded, frame, sse

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chat() -> list[bytes]:
    def chunk(delta: Any, finish: str | None = None, **more: Any) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return sse({"id": "c", "model": "m", "created": 1, "choices": choices, **more})

    return [
        chunk({"role": "assistant", "content": "before"}), chunk({}, "length"), chunk({"content": " after"}),
        chunk({}, "stop"), chunk({}, "stop", usage=USAGE), b"data: [DONE]\n\n",
    ]  # fmt: skip


def claude() -> list[tuple[str, Any]]:
    usage = {"input_tokens": 3, "output_tokens": 1}
    message = {"id": "m", "model": "m", "role": "assistant", "content": [], "usage": usage}
    events: list[tuple[str, Any]] = [("message_start", {"message": message})]
    for index, (text, reasons) in enumerate(
        (("before", ["max_tokens"]), (" after", ["end_turn", "end_turn"]))
    ):
        events += [
            ("content_block_start", {"index": index, "content_block": {"type": "text", "text": ""}}),
            ("content_block_delta", {"index": index, "delta": {"type": "text_delta", "text": text}}),
            ("content_block_stop", {"index": index}),
        ]
        for reason in reasons:
            events.append(
                ("message_delta", {"delta": {"stop_reason": reason}, "usage": {"output_tokens": 2}})
            )
    events.append(("message_stop", {}))
    return [(name, {"type": name, **body}) for name, body in events]


def converse() -> list[bytes]:
    usage = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
    return [
        frame("messageStart", {"role": "assistant"}),
        frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "before"}}),
        frame("contentBlockStop", {"contentBlockIndex": 0}),
        frame("messageStop", {"stopReason": "max_tokens"}),
        frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": " after"}}),
        frame("contentBlockStop", {"contentBlockIndex": 1}),
        frame("messageStop", {"stopReason": "end_turn"}),
        frame("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}),
    ]


def spoken(wire: str) -> list[bytes]:
    if wire in {"openai", "deepseek"}:
        return chat()
    if wire == "converse":
        return converse()
    if wire == "anthropic":
        return [sse(body, name) for name, body in claude()]
    packed = [base64.b64encode(json.dumps(body).encode()).decode() for _, body in claude()]
    return [frame("chunk", {"bytes": text}) for text in packed]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("together", [True, False])
def test_the_first_reason_holds(wire: str, together: bool) -> None:
    """One `Finished`, by the first reason; usage told after the second one counts; the answer is whole."""
    events = spoken(wire)
    told, ended = decoded(wire, [b"".join(events)] if together else events)
    finished = [fields for name, fields in told if name == "Finished"]
    assert len(finished) == 1
    assert "'length'" in finished[0]
    assert ended in {"end", "flushed"}
    assert [name for name, _ in told].count("Usage") == 1
    assert "'completion_tokens': 2" in told[-1][1]


@pytest.mark.parametrize("wire", WIRES)
def test_words_after_the_reason(wire: str) -> None:
    """What was said after it is handed on: it was generated, and is billed."""
    told, _ = decoded(wire, spoken(wire))
    said = [fields for name, fields in told if name == "TextDelta"]
    assert any("before" in text for text in said)
    assert any("after" in text for text in said)
