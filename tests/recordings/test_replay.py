"""The whole client against recorded answers, over a socket: text, calls, usage and errors as they were."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from asynccache import AsyncCacheError, Client
from asynccache.errors import APIStatusError

from .replay import Recorded, Replayer, recorded
from .test_chat_format import calls_of

pytestmark = pytest.mark.anyio

MAIN = {"openai/chat": "openai", "deepseek/chat": "deepseek", "anthropic/messages": "anthropic"}


def arguments_of(answer: Recorded, provider: str, base: str) -> dict[str, Any]:
    return {
        "model": f"{provider}/{answer.model}",
        "messages": [{"role": "user", "content": "replayed"}],
        "stream": answer.stream,
        "api_key": "replayed-key",
        "api_base": base,
        "max_retries": 0,
    }


async def ask(client: Client, answer: Recorded, provider: str, base: str) -> Any:
    """The completion, and for a stream the number of chunks that hold usage and whether the last one does."""
    reply = await client.acompletion(**arguments_of(answer, provider, base))
    if not answer.stream:
        return reply, None
    chunks = [chunk async for chunk in reply]
    with_usage = [number for number, chunk in enumerate(chunks) if chunk.usage is not None]
    assert with_usage == [len(chunks) - 1], answer.id
    assert chunks[-1].choices == [], answer.id
    assert all(chunk.choices for chunk in chunks[:-1]), answer.id
    text = "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.index == 0
    )
    return reply.completion, text


def check_usage(answer: Recorded, usage: Any) -> None:
    wanted = answer.expected["usage"]
    if wanted is None or wanted.get("input_tokens_total") is None:
        return
    details = usage.prompt_tokens_details
    told = {
        "input_tokens_total": usage.prompt_tokens,
        "uncached_input_tokens": details.uncached_tokens,
        "cache_read_tokens": details.cached_tokens,
        "cache_write_tokens": details.cache_write_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    assert told == {name: wanted[name] for name in told}, answer.id
    if wanted.get("cache_write_1h_tokens"):
        assert usage.cache_creation.ephemeral_1h_input_tokens == wanted["cache_write_1h_tokens"], answer.id
    if wanted.get("reasoning_tokens"):
        assert usage.completion_tokens_details.reasoning_tokens == wanted["reasoning_tokens"], answer.id
    assert usage.source == "provider", answer.id
    assert usage.raw == answer.expected["raw_usage"] or answer.stream, answer.id


@pytest.mark.parametrize("cut", [None, 777, 7, 1])
async def test_answers(cut: int | None) -> None:
    """All 200 answers of the three main wires are those of their ground truth, cut as the socket may cut them."""
    seen = dict.fromkeys(MAIN, 0)
    client = Client()
    async with Replayer() as server, client:
        server.cut = cut
        for folder, provider in MAIN.items():
            for answer in recorded(folder):
                if answer.status != 200:
                    continue
                server.answer = answer
                completion, text = await ask(client, answer, provider, server.base)
                choice, expected = completion.choices[0], answer.expected
                assert (choice.message.content or "") == (expected["text"] or ""), answer.id
                assert text is None or text == (expected["text"] or ""), answer.id
                assert (choice.message.reasoning_content or "") == (expected.get("thinking") or ""), answer.id
                calls = [
                    {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
                    for call in choice.message.tool_calls or []
                ]
                assert calls_of(calls) == calls_of(expected["tool_calls"]), answer.id
                assert choice.native_finish_reason == expected["finish_reason"], answer.id
                check_usage(answer, completion.usage)
                json.loads(completion.to_json())
                seen[folder] += 1
    if not any(seen.values()):
        pytest.skip("no ../shared beside this checkout")
    assert seen == {"openai/chat": 53, "deepseek/chat": 59, "anthropic/messages": 136}


async def test_errors() -> None:
    """Every recorded refusal raises a typed error with its status, whichever way it was asked."""
    seen = 0
    async with Replayer() as server, Client() as client:
        for folder, provider in MAIN.items():
            for answer in recorded(folder):
                if answer.status == 200:
                    continue
                server.answer = answer
                for stream in (False, True):
                    asked = {**arguments_of(answer, provider, server.base), "stream": stream}
                    with pytest.raises(APIStatusError) as caught:
                        await client.acompletion(**asked)
                    error = caught.value
                    assert error.status_code == answer.status, answer.id
                    assert error.provider == provider
                    assert error.model == asked["model"]
                    assert "replayed-key" not in str(error)
                    seen += 1
    if not seen:
        pytest.skip("no ../shared beside this checkout")
    assert seen == 2 * 24


async def test_cut_streams_are_never_a_success() -> None:
    """A recorded stream that ends early anywhere raises, and tells what had been said; its usage is not invented."""
    seen = 0
    async with Client() as client, Replayer() as server:
        for folder, provider in MAIN.items():
            for answer in list(recorded(folder))[:400:9]:
                if answer.status != 200 or not answer.stream:
                    continue
                body = answer.body
                for end in (len(body) // 4, len(body) // 2, int(len(body) * 0.8)):
                    short = Recorded({**answer.case, "response_body": None, "response_body_base64": None}, {})
                    short.case["response_body"] = body[:end].decode("utf-8", "ignore")
                    server.answer = short
                    usages: list[Any] = []
                    with pytest.raises(AsyncCacheError) as caught:
                        stream = await client.acompletion(
                            **arguments_of(answer, provider, server.base), on_usage=usages.append
                        )
                        async for _ in stream:
                            pass
                    assert len(usages) == 1, answer.id
                    assert usages[0].source in {"partial", "missing"}, answer.id
                    assert caught.value.provider == provider
                    seen += 1
    await asyncio.sleep(0)
    if not seen:
        pytest.skip("no ../shared beside this checkout")
    assert seen > 20
