"""An answer that was recorded whole, told as a stream, comes to the same: text, calls, finish reason, usage, cost."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson

from ..bedrock.answers import event
from ..shared import requires_shared
from .outcomes import Answer, answers, outcome
from .rewriting import Event, compact, written

pytestmark = requires_shared


def streamed(answer: Answer, kind: str) -> Answer:
    """*answer* as it would be asked for in a stream of type *kind*."""
    return answer._replace(stream=True, headers={**answer.headers, "content-type": kind})


def agree(answer: Answer, body: bytes, kind: str = "text/event-stream") -> None:
    whole = outcome(answer, answer.body)
    told = outcome(streamed(answer, kind), body)
    assert told == whole, answer.id


def pieces(text: str) -> list[str]:
    return [text[at : at + 7] for at in range(0, len(text), 7)]


def chunks_of(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A whole chat completion as chunks: role, text and calls in pieces, the reason, the usage."""
    head = {name: value for name, value in told.items() if name not in {"choices", "usage"}}
    for choice in told["choices"]:
        message, index = choice["message"], choice["index"]

        def chunk(index: int = index, reason: Any = None, **delta: Any) -> dict[str, Any]:
            return {
                **head,
                "choices": [{"index": index, "delta": delta, "finish_reason": reason}],
                "usage": None,
            }

        yield chunk(role="assistant", content="")
        content = message.get("content")
        for field in ("reasoning_content", "reasoning"):
            for piece in pieces(message.get(field) or ""):
                yield chunk(**{field: piece})
            if message.get(field):
                break
        for piece in pieces(content) if isinstance(content, str) else [content] if content else []:
            yield chunk(content=piece)
        if message.get("refusal"):
            yield chunk(refusal=message["refusal"])
        for number, call in enumerate(message.get("tool_calls") or []):
            function = call["function"]
            yield chunk(tool_calls=[{**call, "index": number, "function": {**function, "arguments": ""}}])
            arguments = function["arguments"]
            for piece in pieces(arguments) if isinstance(arguments, str) else [arguments]:
                yield chunk(tool_calls=[{"index": number, "function": {"arguments": piece}}])
        yield chunk(reason=choice["finish_reason"])
    yield {**head, "choices": [], "usage": told["usage"]}


def test_chat() -> None:
    """Chat completions and their chunks come to the same."""
    seen = 0
    for answer in answers("json", "chat"):
        told = orjson.loads(answer.body)
        if not all(choice.get("finish_reason") for choice in told["choices"]) or not told.get("usage"):
            continue  # in a stream an empty reason is said all along
        body = written([Event("", compact(chunk)) for chunk in chunks_of(told)]) + b"data: [DONE]\n\n"
        agree(answer, body)
        seen += 1
    assert seen >= 110


_DELTAS = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}


def events_of(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A whole message of Anthropic's as events: blocks in pieces, counts first as they were when it began."""
    counts = told["usage"]
    message = {**told, "content": [], "stop_reason": None, "usage": {**counts, "output_tokens": 1}}
    yield {"type": "message_start", "message": message}
    for index, block in enumerate(told["content"]):
        deltas: list[dict[str, Any]] = []
        begun = dict(block)
        if kind := _DELTAS.get(block["type"]):
            name, field = kind
            deltas += [{"type": name, field: piece} for piece in pieces(begun[field])]
            begun[field] = ""
        for citation in begun.pop("citations", None) or []:
            deltas.append({"type": "citations_delta", "citation": citation})
        if block["type"] == "thinking":
            deltas.append({"type": "signature_delta", "signature": begun["signature"]})
            begun["signature"] = ""
        if block["type"] == "tool_use":
            text = compact(begun["input"]).decode()
            deltas += [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(text)]]
            begun["input"] = {}
        yield {"type": "content_block_start", "index": index, "content_block": begun}
        yield from ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        yield {"type": "content_block_stop", "index": index}
    names = ("output_tokens", "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    last = {name: counts[name] for name in names if counts.get(name) is not None}
    reason = {"stop_reason": told["stop_reason"], "stop_sequence": told.get("stop_sequence")}
    yield {"type": "message_delta", "delta": reason, "usage": last}
    yield {"type": "message_stop"}


def test_messages() -> None:
    """Anthropic's messages and their events come to the same, over HTTP and over InvokeModel."""
    for answer in answers("json", "messages"):
        told = list(events_of(orjson.loads(answer.body)))
        agree(answer, written([Event(each["type"], compact(each)) for each in told]))
        chunks = [event("chunk", {"bytes": base64.b64encode(compact(each)).decode()}) for each in told]
        invoked = answer._replace(
            wire="invoke", model="bedrock/invoke/anthropic.claude-3-haiku-20240307-v1:0"
        )
        agree(invoked, b"".join(chunks), "application/vnd.amazon.eventstream")
    assert len(answers("json", "messages")) >= 60


def frames_of(told: dict[str, Any]) -> Iterator[bytes]:
    """A whole answer of Converse's as frames."""
    yield event("messageStart", {"role": "assistant"})
    for index, block in enumerate(told["output"]["message"]["content"]):
        at = {"contentBlockIndex": index}
        reasoning = block.get("reasoningContent") or {}
        spoken = reasoning.get("reasoningText") or {}
        deltas: list[dict[str, Any]] = [{"text": piece} for piece in pieces(block.get("text") or "")]
        deltas += [{"reasoningContent": {"text": piece}} for piece in pieces(spoken.get("text") or "")]
        if spoken.get("signature"):
            deltas.append({"reasoningContent": {"signature": spoken["signature"]}})
        if reasoning.get("redactedContent"):
            deltas.append({"reasoningContent": {"redactedContent": reasoning["redactedContent"]}})
        if use := block.get("toolUse"):
            start = {name: value for name, value in use.items() if name != "input"}
            yield event("contentBlockStart", {**at, "start": {"toolUse": start}})
            deltas += [{"toolUse": {"input": piece}} for piece in pieces(compact(use["input"]).decode())]
        for delta in deltas:
            yield event("contentBlockDelta", {**at, "delta": delta, "p": "abc"})
        yield event("contentBlockStop", at)
    yield event("messageStop", {"stopReason": told["stopReason"]})
    yield event(
        "metadata", {name: value for name, value in told.items() if name not in {"output", "stopReason"}}
    )


def test_converse() -> None:
    """Converse's answers and their frames come to the same."""
    seen = 0
    for answer in answers("json", "converse"):
        told = orjson.loads(answer.body)
        blocks = told["output"]["message"]["content"]
        if all({"text", "reasoningContent", "toolUse"} & block.keys() for block in blocks):
            agree(answer, b"".join(frames_of(told)), "application/vnd.amazon.eventstream")
            seen += 1
    assert seen >= 20
