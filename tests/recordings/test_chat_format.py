"""Recorded answers in OpenAI's chat format decode to their ground truth, wherever the bytes are cut."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from asynccache.aggregate import Aggregator
from asynccache.errors import AsyncCacheError
from asynccache.providers.openai_decode import ChatDecoder
from asynccache.reply import Completion

from .replay import Recorded, recorded

MAIN = ["openai/chat", "deepseek/chat"]
RING = [
    "alibaba/chat", "avian/chat", "azure-ai/chat", "azure-openai/chat", "cerebras/chat", "databricks/chat",
    "bedrock-mantle/chat", "copilot/chat", "doubleword/chat", "gpustack/chat", "groq/chat", "huggingface/chat", "llamacpp/chat", "mistral/chat", "moonshot/chat", "ollama/chat",
    "minimax/chat", "openrouter/chat", "perplexity/chat", "snowflake/chat", "together/chat", "venice/chat", "vercel-gateway/chat", "xai/chat", "zai/chat",
]  # fmt: skip

# Two calls with ids of their own stand at index 0; the ground truth has their arguments in one: "{}{}".
WRONG_GROUND_TRUTH = {"cerebras__chat__cererebras-structured-output-tools-1-chunks__0__7e8ab1"}


def decode(answer: Recorded, cut: int | None) -> Completion:
    sse = "event-stream" in answer.content_type or (answer.stream and "json" not in answer.content_type)
    decoder = ChatDecoder(sse=sse, dialect="openai", needs_done=False)
    whole = Aggregator()
    body = answer.body
    step = cut or len(body) or 1
    try:
        for start in range(0, len(body), step):
            decoder.feed(body[start : start + step], whole.add)
        decoder.flush(whole.add)
    except anyio.EndOfStream:
        pass
    return whole.completion()


def calls_of(calls: list[dict[str, Any]]) -> list[tuple[str, str, Any]]:
    return [(call["id"], call["name"], parsed(call["arguments"])) for call in calls]


def parsed(arguments: Any) -> Any:
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except json.JSONDecodeError:
        return arguments


@pytest.mark.parametrize("cut", [None, 777, 7, 1])
@pytest.mark.parametrize("folders", [MAIN, RING], ids=["main", "ring"])
def test_answers(folders: list[str], cut: int | None) -> None:
    """Text, reasoning, tool calls and finish reason of every 200 answer are those of its ground truth."""
    checked = 0
    for answer in recorded(*folders):
        if answer.status != 200 or answer.id in WRONG_GROUND_TRUTH:
            continue
        if answer.expected.get("error"):
            with pytest.raises(AsyncCacheError):
                decode(answer, cut)
            continue
        completion = decode(answer, cut)
        choice = completion.choices[0]
        expected = answer.expected
        assert (choice.message.content or "") == (expected["text"] or ""), answer.id
        assert (choice.message.reasoning_content or "") == (expected.get("thinking") or ""), answer.id
        calls = [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in choice.message.tool_calls or []
        ]
        assert calls_of(calls) == calls_of(expected["tool_calls"]), answer.id
        assert choice.native_finish_reason == expected["finish_reason"], answer.id
        checked += 1
    if checked == 0:
        pytest.skip("no ../shared beside this checkout")
    assert checked >= (112 if folders is MAIN else 140)
