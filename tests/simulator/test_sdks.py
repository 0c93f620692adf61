"""The official SDKs, unchanged, talk to the simulator and notice nothing."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from asynccache.simulator import Simulator

from .prompts import EPHEMERAL, LONG, text

pytestmark = pytest.mark.anyio

WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city", "unit"],
    },
}
TOOL: Any = {"type": "function", "function": WEATHER}
TIME: Any = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
}
CLAUDE_TOOL: Any = {"name": "get_weather", "input_schema": WEATHER["parameters"]}


def ai(sim: Simulator, base: str | None = None, key: str = "sk-test") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=key, base_url=base or sim.openai_base, max_retries=0, timeout=120.0)


def claude(sim: Simulator, key: str = "sk-test", retries: int = 0) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        api_key=key, base_url=sim.anthropic_base, max_retries=retries, timeout=120.0
    )


async def test_openai_hits_on_the_second_call(sim: Simulator) -> None:
    """Two equal calls: the second reports cached tokens, both answer the same."""
    messages: Any = [{"role": "system", "content": LONG}, {"role": "user", "content": "hi"}]
    async with ai(sim) as client:
        first = await client.chat.completions.create(model="gpt-4o", messages=messages)
        second = await client.chat.completions.create(model="gpt-4o", messages=messages)
    assert first.usage
    assert first.usage.prompt_tokens_details
    assert second.usage
    assert second.usage.prompt_tokens_details
    assert first.usage.prompt_tokens_details.cached_tokens == 0
    assert second.usage.prompt_tokens_details.cached_tokens == second.usage.prompt_tokens // 128 * 128
    assert first.choices[0].message.content == second.choices[0].message.content
    assert first.choices[0].finish_reason == "stop"
    assert sim.log[1].usage == second.usage.model_dump(exclude_unset=True)


async def test_openai_stream_and_whole_agree(sim: Simulator) -> None:
    """The stream's deltas make the text of the whole answer; usage comes last, on a chunk without choices."""
    messages: Any = [{"role": "user", "content": "tell me"}]
    async with ai(sim) as client:
        whole = await client.chat.completions.create(model="gpt-5.6-sol", messages=messages)
        stream = await client.chat.completions.create(
            model="gpt-5.6-sol", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[0].choices[0].delta.role == "assistant"
    assert whole.usage
    assert whole.usage.completion_tokens_details
    assert whole.usage.completion_tokens_details.reasoning_tokens == sim.settings.thinking_tokens


async def test_openai_tells_writes_since_5_6(sim: Simulator) -> None:
    """cache_write_tokens is told by the models that charge for it, and only by them."""
    messages: Any = [{"role": "user", "content": LONG}]
    async with ai(sim) as client:
        new = await client.chat.completions.create(model="gpt-6.2-sol", messages=messages)
        old = await client.chat.completions.create(model="gpt-4.1", messages=messages)
    assert new.usage
    assert new.usage.prompt_tokens_details
    assert new.usage.prompt_tokens_details.cache_write_tokens
    assert old.usage
    assert old.usage.prompt_tokens_details
    assert old.usage.prompt_tokens_details.cache_write_tokens is None


async def test_openai_without_include_usage_says_none(sim: Simulator) -> None:
    """Usage is on the stream only where it was asked for."""
    async with ai(sim) as client:
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        assert [chunk async for chunk in stream if chunk.usage is not None or not chunk.choices] == []


async def test_openai_calls_tools(sim: Simulator) -> None:
    """A question that names a tool gets a call that fits its schema; parallel ones where several are asked for."""
    async with ai(sim) as client:
        one = await client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "What is the weather in Paris?"}],
            tools=[TOOL],
        )
        stream = await client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "Tell me both, weather and time, in parallel"}],
            tools=[TOOL, TIME],
            stream=True,
        )
        deltas = [chunk.choices[0] async for chunk in stream]
    [call] = one.choices[0].message.tool_calls or []
    assert one.choices[0].finish_reason == "tool_calls"
    assert call.type == "function"
    assert call.function.arguments == '{"city":"Paris","unit":"celsius"}'
    fragments = [part for choice in deltas for part in choice.delta.tool_calls or []]
    assert [part.function.name for part in fragments if part.id and part.function] == [
        "get_weather",
        "get_time",
    ]
    assert {part.index for part in fragments} == {0, 1}
    assert deltas[-1].finish_reason == "tool_calls"


async def test_a_tool_result_is_answered_in_words(sim: Simulator) -> None:
    """After the tool has spoken the model does."""
    async with ai(sim) as client:
        messages: Any = [{"role": "user", "content": "weather in Rome?"}]
        first = await client.chat.completions.create(model="gpt-4o", messages=messages, tools=[TOOL])
        said = first.choices[0].message
        [call] = said.tool_calls or []
        messages += [
            said.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ]
        second = await client.chat.completions.create(model="gpt-4o", messages=messages, tools=[TOOL])
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content


async def test_max_tokens_and_stop(sim: Simulator) -> None:
    """max_tokens cuts with finish `length`; a stop sequence ends before itself."""
    async with ai(sim) as client:
        short = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=5
        )
        stopped = await client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "hi"}],
            stop=["TWO"],
            extra_headers={"x-simulator": '{"answer":"one TWO three"}'},
        )
    assert short.choices[0].finish_reason == "length"
    assert short.usage
    assert short.usage.completion_tokens == 5
    assert stopped.choices[0].message.content == "one "


async def test_structured_answers_fit_their_schema(sim: Simulator) -> None:
    """response_format gets JSON of that schema, at both."""
    schema: Any = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    async with ai(sim) as client, claude(sim) as other:
        one = await client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "hi"}],
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        )
        two = await other.messages.create(
            model="claude-sonnet-4-6",
            max_tokens=50,
            messages=[{"role": "user", "content": "hi"}],
            output_config={"format": {"type": "json_schema", "schema": schema}},
        )
    assert one.choices[0].message.content == '{"n":1}'
    assert two.content[0].type == "text"
    assert two.content[0].text == '{"n":1}'


@pytest.mark.parametrize(
    ("key", "model", "more", "error"),
    [
        ("invalid-key", "gpt-4o", {}, openai.AuthenticationError),
        ("sk", "nonexistent-model", {}, openai.NotFoundError),
        ("sk", "gpt-5.6-sol", {"max_tokens": 5}, openai.BadRequestError),
        ("sk", "gpt-4o", {"extra_headers": {"x-simulator": '{"status":429}'}}, openai.RateLimitError),
        ("sk", "gpt-4o", {"extra_headers": {"x-simulator": '{"status":503}'}}, openai.InternalServerError),
    ],
)
async def test_openai_errors(
    sim: Simulator, key: str, model: str, more: Any, error: type[openai.APIStatusError]
) -> None:
    """The SDK raises the class that it raises for the real thing, with code and request id."""
    async with ai(sim, key=key) as client:
        with pytest.raises(error) as caught:
            await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "hi"}], **more
            )
    assert caught.value.request_id
    assert caught.value.type


async def test_openai_error_in_a_stream(sim: Simulator) -> None:
    """An error object in a stream that began well is an APIError."""
    async with ai(sim) as client:
        stream = await client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            extra_headers={"x-simulator": '{"error_after_events":3}'},
        )
        with pytest.raises(openai.APIError, match="had an error"):
            async for _ in stream:
                pass
    assert sim.log[-1].events_sent == 3


async def test_retries_reach_the_answer(sim: Simulator) -> None:
    """A scenario that fails the first attempt lets the SDK's own retry through."""
    async with claude(sim, retries=2) as client:
        message = await client.messages.create(
            model="claude-sonnet-4-6",
            max_tokens=20,
            messages=[{"role": "user", "content": "hi"}],
            extra_headers={"x-simulator": '{"id":"once","status":529,"times":1,"retry_after":"0.01"}'},
        )
    assert message.content
    assert [record.status for record in sim.log] == [529, 200]


async def test_models_are_listed(sim: Simulator) -> None:
    """GET /models answers at all three."""
    async with ai(sim) as one, ai(sim, sim.deepseek_base) as two, claude(sim) as three:
        assert [model.id async for model in one.models.list()]
        assert [model.id async for model in two.models.list()]
        assert [model.id async for model in three.models.list()]


async def test_anthropic_writes_then_reads(sim: Simulator) -> None:
    """Written by lifetime on the first call, read on the second, and count_tokens agrees with the sum."""
    request: Any = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 50,
        "system": [text(LONG, {"type": "ephemeral", "ttl": "1h"})],
        "messages": [{"role": "user", "content": [text("hi " * 50, EPHEMERAL)]}],
    }
    async with claude(sim) as client:
        first = (await client.messages.create(**request)).usage
        second = (await client.messages.create(**request)).usage
        del request["max_tokens"]
        counted = await client.messages.count_tokens(**request)
    assert first.cache_creation
    assert first.cache_creation.ephemeral_1h_input_tokens > first.cache_creation.ephemeral_5m_input_tokens > 0
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.cache_creation_input_tokens == 0
    assert counted.input_tokens == second.input_tokens + (second.cache_read_input_tokens or 0)


async def test_anthropic_thinks_and_signs(sim: Simulator) -> None:
    """Thinking streams with a signature that goes back unchanged; a changed one is refused."""
    async with claude(sim) as client:
        async with client.messages.stream(
            model="claude-sonnet-4-6",
            max_tokens=2000,
            thinking={"type": "enabled", "budget_tokens": 1024},
            messages=[{"role": "user", "content": "hi"}],
        ) as stream:
            kinds = [event.type async for event in stream]
            message = await stream.get_final_message()
        thought = message.content[0]
        assert thought.type == "thinking"
        assert thought.signature
        assert message.usage.output_tokens_details
        assert message.usage.output_tokens_details.thinking_tokens == sim.settings.thinking_tokens
        assert kinds[0] == "message_start"
        assert kinds[-1] == "message_stop"

        def again(content: Any) -> Any:
            turns: Any = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}]
            turns.append({"role": "user", "content": "more"})
            return client.messages.create(model="claude-sonnet-4-6", max_tokens=50, messages=turns)

        assert (await again(message.to_dict()["content"])).content
        forged = thought.model_copy(update={"thinking": "something else"})
        with pytest.raises(anthropic.BadRequestError, match="signature"):
            await again([forged.to_dict(), {"type": "text", "text": "x"}])


async def test_anthropic_calls_tools(sim: Simulator) -> None:
    """Forced and asked-for tools: streamed input is the JSON of the whole."""
    async with claude(sim) as client:
        async with client.messages.stream(
            model="claude-sonnet-4-6",
            max_tokens=200,
            tools=[CLAUDE_TOOL],
            tool_choice={"type": "tool", "name": "get_weather"},
            messages=[{"role": "user", "content": "hello Berlin"}],
        ) as stream:
            message = await stream.get_final_message()
        assert message.stop_reason == "tool_use"
        assert message.content[-1].type == "tool_use"
        assert message.content[-1].input == {"city": "example", "unit": "celsius"}


async def test_anthropic_warms_with_no_answer(sim: Simulator) -> None:
    """max_tokens 0 fills the cache and says nothing."""
    async with claude(sim) as client:
        request: Any = {"model": "claude-sonnet-4-6", "system": [text(LONG, EPHEMERAL)]}
        turn: Any = [{"role": "user", "content": "hi"}]
        warm = await client.messages.create(max_tokens=0, messages=turn, **request)
        real = await client.messages.create(max_tokens=50, messages=turn, **request)
    assert warm.content == []
    assert warm.stop_reason == "max_tokens"
    assert real.usage.cache_read_input_tokens == warm.usage.cache_creation_input_tokens


@pytest.mark.parametrize(
    ("key", "model", "header", "error"),
    [
        ("bad", "claude-sonnet-4-6", "{}", anthropic.AuthenticationError),
        ("sk", "claude-not-found", "{}", anthropic.NotFoundError),
        ("sk", "claude-sonnet-4-6", '{"status":429,"retry_after":"7"}', anthropic.RateLimitError),
        ("sk", "claude-sonnet-4-6", '{"status":529}', anthropic.InternalServerError),
        ("sk", "claude-sonnet-4-6", '{"status":413}', anthropic.APIStatusError),
        ("sk", "claude-sonnet-4-6", '{"no_such_knob":1}', anthropic.BadRequestError),
    ],
)
async def test_anthropic_errors(
    sim: Simulator, key: str, model: str, header: str, error: type[anthropic.APIStatusError]
) -> None:
    """The SDK raises the class that it raises for the real thing, with its request id."""
    async with claude(sim, key=key) as client:
        with pytest.raises(error) as caught:
            await client.messages.create(
                model=model,
                max_tokens=5,
                messages=[{"role": "user", "content": "hi"}],
                extra_headers={"x-simulator": header},
            )
    assert caught.value.request_id
    if "retry_after" in header:
        assert caught.value.response.headers["retry-after"] == "7"


async def test_deepseek_reasons_in_the_open(sim: Simulator) -> None:
    """Reasoning, then text; usage on the finish chunk, hit + miss = prompt; blank lines before JSON disturb nobody."""
    messages: Any = [{"role": "system", "content": LONG}, {"role": "user", "content": "hi"}]
    async with ai(sim, sim.deepseek_base) as client:
        whole: Any = await client.chat.completions.create(model="deepseek-flash", messages=messages)
        stream = await client.chat.completions.create(model="deepseek-flash", messages=messages, stream=True)
        chunks: list[Any] = [chunk async for chunk in stream]
    assert whole.choices[0].message.reasoning_content
    thought = "".join(chunk.choices[0].delta.reasoning_content or "" for chunk in chunks)
    assert thought == whole.choices[0].message.reasoning_content
    usage = chunks[-1].usage
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert usage.prompt_cache_hit_tokens == usage.prompt_tokens_details.cached_tokens > 0
    assert usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens == usage.prompt_tokens


async def test_deepseek_wants_its_reasoning_back(sim: Simulator) -> None:
    """In thinking mode a replayed tool call without its reasoning is a 400."""
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages: Any = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]
    async with ai(sim, sim.deepseek_base) as client:
        with pytest.raises(openai.BadRequestError, match="reasoning_content"):
            await client.chat.completions.create(model="deepseek-v4-pro", messages=messages)
        messages[1]["reasoning_content"] = "I look."
        assert (await client.chat.completions.create(model="deepseek-v4-pro", messages=messages)).choices


async def test_the_clock_moves_real_requests(sim: Simulator) -> None:
    """Six minutes ahead, a 5m entry is gone; the same over HTTP as in the engine."""
    request: Any = {"model": "claude-sonnet-4-6", "max_tokens": 5, "system": [text(LONG, EPHEMERAL)]}
    turn: Any = [{"role": "user", "content": "hi"}]
    async with claude(sim) as client:
        await client.messages.create(messages=turn, **request)
        sim.clock.advance("4m")
        warm = await client.messages.create(messages=turn, **request)
        sim.clock.advance("6m")
        cold = await client.messages.create(messages=turn, **request)
    assert warm.usage.cache_read_input_tokens
    assert not cold.usage.cache_read_input_tokens
