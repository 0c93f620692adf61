"""The SDKs' own helpers, each in front of every provider: parsed answers, raw and streamed responses, tools, limits."""

from __future__ import annotations

from typing import Any

import openai
import orjson
import pydantic
import pytest

from asynccache.proxy.server import Server
from asynccache.simulator import Simulator

from .serving import ai, claude, serving
from .test_passing import SSE, post
from .upstream import CHUNK, DONE, FINISH, FIRST, USAGE, upstream

pytestmark = pytest.mark.anyio

NAMES = ("gpt", "claude", "deepseek", "bedrock", "invoke")
HELLO: Any = [{"role": "user", "content": "Tell me about Paris."}]


class City(pydantic.BaseModel):
    """What is asked for."""

    name: str
    people: int


def tool(name: str, **properties: Any) -> Any:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "type": "function",
        "function": {"name": name, "description": name, "parameters": parameters, "strict": True},
    }


WEATHER, TIME = tool("get_weather", city={"type": "string"}), tool("get_time")


@pytest.mark.parametrize("name", NAMES)
async def test_parsed_answers(name: str, proxy: Server) -> None:
    """`parse` and `stream` with a model of pydantic's: the schema reaches whoever answers, and the object comes back."""
    async with ai(proxy) as client:
        whole = await client.chat.completions.parse(
            model=name, messages=HELLO, response_format=City, max_tokens=200
        )
        async with client.chat.completions.stream(
            model=name, messages=HELLO, response_format=City, max_tokens=200
        ) as stream:
            async for _ in stream:
                pass
            streamed = await stream.get_final_completion()
    assert isinstance(whole.choices[0].message.parsed, City)
    assert streamed.choices[0].message.parsed == whole.choices[0].message.parsed


@pytest.mark.parametrize("name", NAMES)
async def test_parallel_calls_and_empty_arguments(name: str, proxy: Server) -> None:
    """Two calls at once, one without arguments: in order, with ids of their own and JSON, whole and by the SDK's stream;
    both results, put back, are answered."""
    messages: Any = [{"role": "user", "content": "In parallel, both: the weather in Paris, and get_time"}]
    async with ai(proxy) as client:
        whole = await client.chat.completions.create(model=name, messages=messages, tools=[WEATHER, TIME])
        async with client.chat.completions.stream(
            model=name, messages=messages, tools=[WEATHER, TIME]
        ) as stream:
            async for _ in stream:
                pass
            streamed = await stream.get_final_completion()
        for message in (whole.choices[0].message, streamed.choices[0].message):
            calls: Any = message.tool_calls
            assert [call.function.name for call in calls] == ["get_weather", "get_time"]
            assert orjson.loads(calls[1].function.arguments) == {}
            assert len({call.id for call in calls}) == 2
        said: Any = whole.choices[0].message.model_dump(exclude_none=True)
        results: list[Any] = [
            {"role": "tool", "tool_call_id": call["id"], "content": "fine"} for call in said["tool_calls"]
        ]
        last = await client.chat.completions.create(
            model=name, messages=[*messages, said, *results], tools=[WEATHER, TIME]
        )
    assert last.choices[0].message.content


@pytest.mark.parametrize("name", NAMES)
async def test_raw_and_streamed_responses(name: str, proxy: Server) -> None:
    """`with_raw_response` and `with_streaming_response` of both SDKs: headers, lines and the parsed object."""
    async with ai(proxy) as client, claude(proxy) as other:
        async with client.chat.completions.with_streaming_response.create(
            model=name, messages=HELLO, max_tokens=20
        ) as answer:
            cost = float(answer.headers["x-litellm-response-cost"])
            parsed: Any = await answer.parse()
        assert parsed.usage.cost == pytest.approx(cost)
        async with client.chat.completions.with_streaming_response.create(
            model=name, messages=HELLO, max_tokens=20, stream=True
        ) as streamed:
            assert "x-litellm-response-cost" not in streamed.headers
            lines = [line async for line in streamed.iter_lines() if line]
        assert lines[-1] == "data: [DONE]"
        async with other.messages.with_streaming_response.create(
            model=name, messages=HELLO, max_tokens=20
        ) as message:
            assert float(message.headers["x-asynccache-response-cost"]) > 0
            assert (await message.parse()).stop_reason == "max_tokens"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stop", ["before", ["nowhere", "before"]])
async def test_stop_sequences(name: str, stop: Any, proxy: Server) -> None:
    """One or several, as text or list: the answer ends before the first that comes, in both formats."""
    async with ai(proxy) as client, claude(proxy) as other:
        chat = await client.chat.completions.create(model=name, messages=HELLO, stop=stop)
        message: Any = await other.messages.create(
            model=name,
            messages=HELLO,
            max_tokens=100,
            stop_sequences=stop if isinstance(stop, list) else [stop],
        )
    assert chat.choices[0].finish_reason == "stop"
    assert chat.choices[0].message.content == message.content[-1].text == "What was read "
    assert message.stop_reason in {"stop_sequence", "end_turn"}


async def test_several_answers_and_their_probabilities(proxy: Server, sim: Simulator) -> None:
    """`n` and `logprobs` pass where they are known, each answer with its index; elsewhere the error names them."""
    more: Any = {"n": 2, "logprobs": True, "top_logprobs": 1, "max_tokens": 5}
    async with ai(proxy) as client:
        whole = await client.chat.completions.create(model="gpt", messages=HELLO, **more)
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(
                model="gpt", messages=HELLO, stream=True, **more
            )
        ]
        asked = len(sim.log)
        for name in ("claude", "bedrock", "invoke"):
            with pytest.raises(openai.BadRequestError, match=r"n=2|'n'"):
                await client.chat.completions.create(model=name, messages=HELLO, n=2)
    assert len(sim.log) == asked
    assert [choice.index for choice in whole.choices] == [0, 1]
    assert all(choice.logprobs and choice.logprobs.content for choice in whole.choices)
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1}


async def test_without_a_limit_claude_gets_one(proxy: Server, sim: Simulator) -> None:
    """OpenAI's format needs no max_tokens and Anthropic's does: one is sent that lets the model speak."""
    async with ai(proxy) as client:
        for name in ("claude", "invoke"):
            answer = await client.chat.completions.create(model=name, messages=HELLO)
            assert answer.choices[0].finish_reason == "stop"
            assert sim.log[-1].body["max_tokens"] >= 4096


async def test_system_prompts_anywhere(proxy: Server, sim: Simulator) -> None:
    """System and developer messages, as text and as lists, first and in between, reach every provider."""
    messages: Any = [
        {"role": "system", "content": "first-word"},
        {"role": "developer", "content": [{"type": "text", "text": "second-word"}]},
        *HELLO,
        {"role": "assistant", "content": "Well."},
        {"role": "system", "content": "third-word"},
        *HELLO,
    ]
    async with ai(proxy) as client:
        for name in NAMES:
            await client.chat.completions.create(model=name, messages=messages, max_tokens=20)
            sent = orjson.dumps(sim.log[-1].body).decode()
            assert [sent.count(f"{word}-word") for word in ("first", "second", "third")] == [1, 1, 1], name


@pytest.mark.parametrize("usage", [False, True])
async def test_long_streams_of_any_script(usage: bool) -> None:
    """Ten thousand pieces of many scripts, cut in the middle of characters and events: every byte in its place."""
    words = [
        "naïve ",
        "日本語",
        "\\u00e9\\ud83d\\ude00",
        "🎈🏳️‍🌈",
        '\\n\\t\\"',
        "עברית ",
        "data: x\\n\\n",
        "\\u2028\u2028",
    ]
    pieces = [words[number % len(words)].encode() for number in range(10_000)]
    blob = FIRST + b"".join(CHUNK % piece for piece in pieces) + FINISH + USAGE + DONE
    async with upstream() as up:
        up.answer(*(blob[at : at + 997] for at in range(0, len(blob), 997)), media=SSE)
        async with serving(None, up.config(), settings="{cost_in_bodies: false}") as proxy:
            more = b',"stream_options":{"include_usage":true}' if usage else b""
            _, told, _ = await post(
                proxy, "/v1/chat/completions", b'{"model":"m","messages":[],"stream":true' + more + b"}"
            )
    assert told == (blob if usage else blob.replace(USAGE, b""))


@pytest.mark.parametrize("name", NAMES)
async def test_messages_stream_helper_builds_tool_input(name: str, proxy: Server) -> None:
    """Anthropic's `messages.stream` joins the pieces of a call's JSON, whoever answers."""
    tools: Any = [{"name": "get_weather", "input_schema": WEATHER["function"]["parameters"]}]
    asked: Any = {
        "model": name,
        "max_tokens": 300,
        "tools": tools,
        "tool_choice": {"type": "any"},
        "messages": HELLO,
    }
    async with claude(proxy) as client, client.messages.stream(**asked) as stream:
        snapshots = [event.snapshot async for event in stream if event.type == "input_json"]
        last: Any = await stream.get_final_message()
    assert last.stop_reason == "tool_use"
    assert last.content[-1].input == snapshots[-1] == {"city": "Paris"}
