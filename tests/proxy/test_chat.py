"""OpenAI's own SDK, unchanged, in front of every simulated provider."""

from __future__ import annotations

from typing import Any

import aiohttp
import openai
import pytest

from asynccache.proxy.server import Server
from asynccache.simulator import Simulator

from .serving import KEY, ai, scenario, serving, url

pytestmark = pytest.mark.anyio

NAMES = ("gpt", "claude", "deepseek", "bedrock", "invoke")
LONG = "Every clause of a long contract, read and read again. " * 400
MESSAGES: Any = [
    {"role": "system", "content": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]},
    {"role": "user", "content": "Which clauses are new?"},
]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def cached(usage: Any) -> int:
    return usage.prompt_tokens_details.cached_tokens or 0


def truth(sim: Simulator) -> tuple[int, int, int]:
    """What the simulator says that its last answer used: prompt in all, read from the cache, output."""
    usage: dict[str, Any] = sim.log[-1].usage or {}
    if "inputTokens" in usage:
        read = usage.get("cacheReadInputTokens", 0)
        return (
            usage["inputTokens"] + read + usage.get("cacheWriteInputTokens", 0),
            read,
            usage["outputTokens"],
        )
    if "input_tokens" in usage:
        read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
        return usage["input_tokens"] + read + written, read, usage["output_tokens"]
    read = usage["prompt_tokens_details"]["cached_tokens"] if "prompt_tokens_details" in usage else 0
    return usage["prompt_tokens"], usage.get("prompt_cache_hit_tokens", read), usage["completion_tokens"]


@pytest.mark.parametrize("name", NAMES)
async def test_second_call_hits_and_costs_less(name: str, proxy: Server, sim: Simulator) -> None:
    """Usage is the provider's own, cost is known in body and headers, and the second call is served by the cache."""
    async with ai(proxy) as client:
        costs: list[float] = []
        for _ in range(2):
            raw = await client.chat.completions.with_raw_response.create(
                model=name, messages=MESSAGES, max_tokens=20
            )
            reply: Any = raw.parse()
            assert (
                reply.usage.prompt_tokens,
                cached(reply.usage),
                reply.usage.completion_tokens,
            ) == truth(sim)
            assert raw.headers["x-litellm-response-cost"] == raw.headers["x-asynccache-response-cost"]
            assert float(raw.headers["x-litellm-response-cost"]) == pytest.approx(reply.usage.cost)
            assert int(raw.headers["x-asynccache-cache-read-tokens"]) == cached(reply.usage)
            costs.append(reply.usage.cost)
    assert cached(reply.usage) > 1024
    assert 0 < costs[1] < costs[0]
    assert float(raw.headers["x-asynccache-response-cost-saved"]) > 0


@pytest.mark.parametrize("name", NAMES)
async def test_stream_says_the_same_as_the_whole(name: str, proxy: Server, sim: Simulator) -> None:
    """The pieces make the text of the whole answer; usage and cost stand on the last chunk, for it was asked."""
    async with ai(proxy) as client:
        whole = await client.chat.completions.create(model=name, messages=MESSAGES, max_tokens=20)
        stream = await client.chat.completions.create(
            model=name,
            messages=MESSAGES,
            max_tokens=20,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks: list[Any] = [chunk async for chunk in stream]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.choices[0].message.content
    last = chunks[-1]
    assert last.choices == []
    assert (last.usage.prompt_tokens, cached(last.usage), last.usage.completion_tokens) == truth(sim)
    assert last.usage.cost > 0
    assert sum(1 for chunk in chunks if chunk.usage is not None) == 1
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert len({chunk.id for chunk in chunks}) == 1


@pytest.mark.parametrize("name", NAMES)
async def test_usage_only_where_it_was_asked_for(name: str, proxy: Server, sim: Simulator) -> None:
    """Without include_usage no chunk holds usage and none is without choices, though it was asked for upstream."""
    async with ai(proxy) as client:
        stream = await client.chat.completions.create(model=name, messages=MESSAGES, stream=True)
        chunks = [chunk async for chunk in stream]
    assert [chunk for chunk in chunks if chunk.usage is not None or not chunk.choices] == []
    assert sim.log[-1].usage is not None


@pytest.mark.parametrize("name", NAMES)
async def test_usage_always_by_a_setting(name: str, sim: Simulator) -> None:
    """`stream_usage: always` ends every stream in usage."""
    async with serving(sim, settings="{stream_usage: always}") as proxy, ai(proxy) as client:
        stream = await client.chat.completions.create(model=name, messages=MESSAGES, stream=True)
        last: Any = [chunk async for chunk in stream][-1]
    assert last.choices == []
    assert last.usage.cost > 0


@pytest.mark.parametrize("name", NAMES)
async def test_no_cost_in_bodies_by_a_setting(name: str, sim: Simulator) -> None:
    """`cost_in_bodies: false` keeps the cost to the headers."""
    async with serving(sim, settings="{cost_in_bodies: false}") as proxy, ai(proxy) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model=name, messages=MESSAGES, max_tokens=9
        )
        stream: Any = await client.chat.completions.create(
            model=name, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        last = [chunk async for chunk in stream][-1]
    assert float(raw.headers["x-litellm-response-cost"]) > 0
    assert b'"cost"' not in raw.content
    assert "cost" not in last.usage.model_dump()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stream", [False, True])
async def test_tools_round_trip(name: str, stream: bool, proxy: Server) -> None:
    """A call comes with its id and arguments; its result, put back, is answered in words."""
    messages: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    async with ai(proxy) as client:
        if stream:
            chunks: Any = await client.chat.completions.create(
                model=name, messages=messages, tools=[TOOL], stream=True
            )
            said = await gathered(chunks)
        else:
            reply = await client.chat.completions.create(model=name, messages=messages, tools=[TOOL])
            said = reply.choices[0].message.model_dump(exclude_none=True)
        [call] = said["tool_calls"]
        assert call["function"]["name"] == "get_weather"
        assert "Paris" in call["function"]["arguments"]
        messages += [said, {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}]
        last = await client.chat.completions.create(model=name, messages=messages, tools=[TOOL])
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].message.content


async def gathered(stream: Any) -> dict[str, Any]:
    calls: dict[int, dict[str, Any]] = {}
    text, reasoning = "", ""
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
            for part in choice.delta.tool_calls or ():
                call = calls.setdefault(part.index, {"type": "function", "function": {"arguments": ""}})
                if part.id:
                    call["id"] = part.id
                    call["function"]["name"] = part.function.name
                call["function"]["arguments"] += part.function.arguments or ""
    more = {"reasoning_content": reasoning} if reasoning else {}
    return {"role": "assistant", "content": text or None, "tool_calls": list(calls.values()), **more}


@pytest.mark.parametrize("stream", [False, True])
async def test_thinking_round_trip(stream: bool, proxy: Server, sim: Simulator) -> None:
    """Claude's thinking with its signature comes as LiteLLM spells it, and goes back unchanged."""
    messages: Any = [{"role": "user", "content": "hi"}]
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    blocks: list[dict[str, Any]] = []
    async with ai(proxy) as client:
        if stream:
            chunks: Any = await client.chat.completions.create(
                model="claude", messages=messages, max_tokens=2000, stream=True, extra_body=thinking
            )
            deltas = [choice.delta.model_dump() async for chunk in chunks for choice in chunk.choices]
            parts = [part for delta in deltas for part in delta.get("thinking_blocks") or ()]
            thought = "".join(part["thinking"] for part in parts)
            signature = "".join(part.get("signature", "") for part in parts)
            blocks = [{"type": "thinking", "thinking": thought, "signature": signature}]
            said: Any = {
                "role": "assistant",
                "content": "".join(delta.get("content") or "" for delta in deltas),
                "thinking_blocks": blocks,
            }
        else:
            reply = await client.chat.completions.create(
                model="claude", messages=messages, max_tokens=2000, extra_body=thinking
            )
            said = reply.choices[0].message.model_dump(exclude_none=True)
            blocks = said["thinking_blocks"]
        assert blocks[0]["signature"]
        messages += [said, {"role": "user", "content": "more"}]
        again = await client.chat.completions.create(
            model="claude", messages=messages, max_tokens=2000, extra_body=thinking
        )
    assert again.choices[0].message.content
    assert sim.log[-1].body["messages"][1]["content"][0] == blocks[0]


@pytest.mark.parametrize("provider", ["openai", "anthropic", "deepseek"])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_are_of_the_right_class(
    provider: str, status: int, error: type[openai.APIStatusError], stream: bool, sim: Simulator
) -> None:
    """The SDK raises what it raises for the real thing, with code and the time to wait."""
    model = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "deepseek": "deepseek-v4-flash"}[provider]
    text = scenario(f'{{"status":{status},"retry_after":"7"}}', provider, model)
    async with serving(sim, text, settings="{max_retries: 0}") as proxy, ai(proxy) as client:
        with pytest.raises(error) as caught:
            await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hi"}], stream=stream
            )
    assert caught.value.status_code == status
    assert caught.value.request_id
    body: Any = caught.value.body
    assert body["message"]
    assert "127.0.0.1" not in body["message"]
    assert caught.value.response.headers["retry-after"] == "7"
    assert "x-litellm-response-cost" not in caught.value.response.headers


async def test_error_within_a_stream(sim: Simulator) -> None:
    """An error after the first content is an error of the stream, not a short success."""
    for provider, model in (("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5")):
        text = scenario('{"error_after_events":6}', provider, model)
        async with serving(sim, text) as proxy, ai(proxy) as client:
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hi"}], stream=True
            )
            with pytest.raises(openai.APIError):
                async for _ in stream:
                    pass


async def test_cut_stream_is_no_success(sim: Simulator) -> None:
    """An answer whose connection broke ends in an error event and without [DONE]."""
    for provider, model in (("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5")):
        text = scenario('{"cut_after_events":6}', provider, model)
        async with serving(sim, text) as proxy, ai(proxy) as client:
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hi"}], stream=True
            )
            with pytest.raises(openai.APIError, match="broke off"):
                async for _ in stream:
                    pass


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
@pytest.mark.parametrize("key", ["", "sk-wrong", KEY[:-1], KEY + "x", "\u043a\u043b\u044e\u0447", "x" * 7000])
async def test_wrong_keys(key: str, header: str, proxy: Server, sim: Simulator) -> None:
    """Every wrong key gets the same words, in either header, and nothing is asked upstream."""
    value = f"Bearer {key}" if header == "authorization" else key
    async with aiohttp.ClientSession() as session:
        answer = await session.post(
            url(proxy, "/v1/chat/completions"), headers={header: value}, json={"model": "gpt", "messages": []}
        )
        body = await answer.json()
    assert answer.status == 401
    assert body == {
        "error": {
            "message": "the key is missing or wrong: send `Authorization: Bearer KEY` or `x-api-key: KEY`",
            "type": "authentication_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }
    assert sim.log == []


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_right_key_in_either_header(header: str, proxy: Server) -> None:
    """Both ways to send a key are taken."""
    value = f"bearer {KEY}" if header == "authorization" else KEY
    async with aiohttp.ClientSession() as session:
        answer = await session.get(url(proxy, "/v1/models"), headers={header: value})
    assert answer.status == 200


async def test_wrong_key_is_the_sdks_authentication_error(proxy: Server) -> None:
    """OpenAI's client raises its own class for it."""
    async with ai(proxy, key="sk-wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()


async def test_without_v1(proxy: Server) -> None:
    """A base address without /v1 works too."""
    async with ai(proxy, base="") as client:
        assert (
            await client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "hi"}])
        ).choices


async def test_models_are_listed(proxy: Server) -> None:
    """OpenAI's client lists what is served."""
    async with ai(proxy) as client:
        assert [model.id async for model in client.models.list()] == list(NAMES)
