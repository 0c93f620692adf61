"""Anthropic's own SDK, unchanged, in front of every simulated provider."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from asynccache.client import Client
from asynccache.proxy.server import Server
from asynccache.simulator import Simulator

from .serving import claude, scenario, serving
from .test_chat import LONG, truth

pytestmark = pytest.mark.anyio

NAMES = ("claude", "gpt", "deepseek", "bedrock", "invoke")
MARK = {"type": "ephemeral"}
SYSTEM: Any = [{"type": "text", "text": LONG, "cache_control": MARK}]
HELLO: Any = [{"role": "user", "content": "Which clauses are new?"}]
TOOL: Any = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def used(usage: Any) -> tuple[int, int, int]:
    """Prompt in all, read, output; from Anthropic's disjoint counts."""
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return usage.input_tokens + read + written, read, usage.output_tokens


@pytest.mark.parametrize("name", NAMES)
async def test_second_call_hits_and_costs_less(name: str, proxy: Server, sim: Simulator) -> None:
    """Usage is the provider's own in Anthropic's words, and its cost stands in body and headers."""
    costs: list[float] = []
    async with claude(proxy) as client:
        for _ in range(2):
            raw = await client.messages.with_raw_response.create(
                model=name, max_tokens=20, system=SYSTEM, messages=HELLO
            )
            message: Any = await raw.parse()
            assert used(message.usage) == truth(sim)
            costs.append(float(raw.headers["x-asynccache-response-cost"]))
            assert message.usage.cost == pytest.approx(costs[-1])
    assert message.type == "message"
    assert message.stop_reason == "max_tokens"
    assert message.usage.cache_read_input_tokens > 1024
    assert 0 < costs[1] < costs[0]


@pytest.mark.parametrize("name", NAMES)
async def test_stream_says_the_same_as_the_whole(name: str, proxy: Server, sim: Simulator) -> None:
    """The events are Anthropic's, in its order, and add up to the whole message."""
    async with claude(proxy) as client:
        whole = await client.messages.create(model=name, max_tokens=40, system=SYSTEM, messages=HELLO)
        async with client.messages.stream(model=name, max_tokens=40, system=SYSTEM, messages=HELLO) as stream:
            events: list[Any] = [event async for event in stream]
            last: Any = await stream.get_final_message()
    kinds = [event.type for event in events]
    [delta] = [event for event in events if event.type == "message_delta"]
    assert last.content[-1].text == whole.content[-1].text  # type: ignore[union-attr]  # a text block
    assert used(last.usage) == truth(sim)
    assert delta.usage.cost > 0
    assert last.stop_reason == "max_tokens"
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == len(last.content)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stream", [False, True])
async def test_tools_round_trip(name: str, stream: bool, proxy: Server) -> None:
    """A call comes with its input; its result, put back, is answered in words."""
    messages: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    async with claude(proxy) as client:
        if stream:
            async with client.messages.stream(
                model=name, max_tokens=200, tools=[TOOL], messages=messages
            ) as events:
                said: Any = await events.get_final_message()
        else:
            said = await client.messages.create(model=name, max_tokens=200, tools=[TOOL], messages=messages)
        call = said.content[-1]
        assert said.stop_reason == call.type == "tool_use"
        assert call.name == "get_weather"
        assert call.input == {"city": "Paris"}
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        messages += [
            {"role": "assistant", "content": said.to_dict()["content"]},
            {"role": "user", "content": [result, {"type": "text", "text": "And now?"}]},
        ]
        last = await client.messages.create(model=name, max_tokens=200, tools=[TOOL], messages=messages)
    assert last.stop_reason == "end_turn"
    assert last.content


@pytest.mark.parametrize("name", ["claude", "bedrock", "invoke"])
@pytest.mark.parametrize("stream", [False, True])
async def test_thinking_round_trip(name: str, stream: bool, proxy: Server) -> None:
    """Thinking goes back with its signature; a changed thought is refused by who signed it."""
    more: Any = {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}, "model": name}
    async with claude(proxy) as client:
        if stream:
            async with client.messages.stream(messages=HELLO, **more) as events:
                said: Any = await events.get_final_message()
        else:
            said = await client.messages.create(messages=HELLO, **more)
        thought = said.content[0]
        assert thought.type == "thinking"
        assert thought.signature
        content = said.to_dict()["content"]
        turns: Any = [*HELLO, {"role": "assistant", "content": content}, {"role": "user", "content": "more"}]
        assert (await client.messages.create(messages=turns, **more)).content
        if name == "bedrock":  # the simulated Converse signs thoughts and does not look at signatures
            return
        forged = [{**content[0], "thinking": "something else"}, *content[1:]]
        turns[1] = {"role": "assistant", "content": forged}
        with pytest.raises(anthropic.BadRequestError):
            await client.messages.create(messages=turns, **more)


async def test_reasoning_of_another_provider_round_trips(proxy: Server, sim: Simulator) -> None:
    """DeepSeek's reasoning comes as thinking without a signature, and goes back as its own reasoning."""
    more: Any = {
        "max_tokens": 2000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "model": "deepseek",
    }
    async with claude(proxy) as client:
        said = await client.messages.create(
            messages=[{"role": "user", "content": "What is the weather in Paris?"}], tools=[TOOL], **more
        )
        content: Any = said.to_dict()["content"]
        if content[0]["type"] != "thinking":
            pytest.skip("the simulated model did not think")
        result = {"type": "tool_result", "tool_use_id": content[-1]["id"], "content": "sunny"}
        turns: Any = [
            {"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "content": content},
            {"role": "user", "content": [result]},
        ]
        await client.messages.create(messages=turns, tools=[TOOL], **more)
    assert sim.log[-1].body["messages"][1]["reasoning_content"] == content[0]["thinking"]


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (413, anthropic.APIStatusError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_are_of_the_right_class(
    provider: str, status: int, error: type[anthropic.APIStatusError], stream: bool, sim: Simulator
) -> None:
    """The SDK raises what it raises for the real thing, whoever failed."""
    model = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}[provider]
    text = scenario(f'{{"status":{status},"retry_after":"7"}}', provider, model)
    async with serving(sim, text, settings="{max_retries: 0}") as proxy, claude(proxy) as client:
        with pytest.raises(error) as caught:
            await client.messages.create(model="m", max_tokens=5, messages=HELLO, stream=stream)
    assert caught.value.status_code == status
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["message"]
    assert body["request_id"] == caught.value.request_id
    assert caught.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
@pytest.mark.parametrize("knob", ["error_after_events", "cut_after_events"])
async def test_errors_within_a_stream(provider: str, knob: str, sim: Simulator) -> None:
    """An answer that fails after its first content ends in Anthropic's error event."""
    model = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}[provider]
    async with serving(sim, scenario(f'{{"{knob}":8}}', provider, model)) as proxy, claude(proxy) as client:
        with pytest.raises(anthropic.APIStatusError):
            async with client.messages.stream(model="m", max_tokens=50, messages=HELLO) as stream:
                async for _ in stream:
                    pass


async def test_wrong_key(proxy: Server, sim: Simulator) -> None:
    """A wrong key is an error in Anthropic's dialect."""
    async with claude(proxy, key="sk-wrong") as client:
        with pytest.raises(anthropic.AuthenticationError) as caught:
            await client.messages.create(model="claude", max_tokens=5, messages=HELLO)
    body: Any = caught.value.body
    assert body["error"]["type"] == "authentication_error"
    assert sim.log == []


async def test_count_tokens(proxy: Server) -> None:
    """Counts are Anthropic's own where it answers, and marked as estimated elsewhere."""
    async with claude(proxy) as client:
        counted = await client.messages.count_tokens(model="claude", system=SYSTEM, messages=HELLO)
        reply = await client.messages.create(model="claude", max_tokens=5, system=SYSTEM, messages=HELLO)
        raw = await client.messages.with_raw_response.count_tokens(model="gpt", system=SYSTEM, messages=HELLO)
    assert counted.input_tokens == used(reply.usage)[0]
    assert raw.headers["x-asynccache-estimated"] == "true"
    estimated: Any = await raw.parse()
    assert estimated.input_tokens == pytest.approx(counted.input_tokens, rel=0.3)


async def agent_loop(ask: Any, turns: int) -> list[Any]:
    """A coding agent's loop: the last message is marked on every turn, the marks of earlier ones are gone."""
    history: list[Any] = []
    usages: list[Any] = []
    for turn in range(turns):
        content = [{"type": "text", "text": f"Step {turn}: " + "look at the next file. " * 60}]
        history.append({"role": "user", "content": content})
        marked = [*history[:-1], {"role": "user", "content": [{**content[0], "cache_control": MARK}]}]
        text, usage = await ask(marked)
        usages.append(usage)
        history.append({"role": "assistant", "content": text})
    return usages


async def test_agent_loop_keeps_its_cache(sim: Simulator) -> None:
    """Twenty turns: by the last one nine tenths of the prompt are read, for the price of going direct."""
    async with serving(sim) as proxy, claude(proxy) as client:

        async def through(messages: Any) -> tuple[str, Any]:
            reply: Any = await client.messages.create(
                model="claude", max_tokens=60, system=SYSTEM, messages=messages
            )
            return reply.content[0].text, reply.usage

        usages = await agent_loop(through, 20)
    prompt, read, _ = used(usages[-1])
    assert read / prompt >= 0.9
    async with Simulator() as fresh, Client() as direct:

        async def directly(messages: Any) -> tuple[str, Any]:
            reply = await direct.acompletion(
                "anthropic/claude-sonnet-4-5",
                [{"role": "system", "content": SYSTEM}, *messages],
                max_tokens=60,
                api_base=fresh.anthropic_base,
                api_key="sk-simulated",
            )
            return reply.choices[0].message.content or "", reply.usage

        wanted = await agent_loop(directly, 20)
    assert sum(usage.cost for usage in usages) == pytest.approx(sum(usage.cost for usage in wanted), abs=1e-9)


async def test_beta_headers_reach_anthropic(proxy: Server, sim: Simulator) -> None:
    """The features that a caller asks for by header are asked for upstream; nothing else of its headers is."""
    async with claude(proxy) as client:
        await client.messages.create(
            model="claude",
            max_tokens=5,
            messages=HELLO,
            extra_headers={"anthropic-beta": "context-1m-2025-08-07", "x-secret": "canary", "cookie": "a=b"},
        )
    headers = sim.log[-1].headers
    assert headers["anthropic-beta"] == "context-1m-2025-08-07"
    assert not {"x-secret", "cookie"} & headers.keys()
