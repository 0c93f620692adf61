"""OpenAI's Responses, simulated: its own SDK, unchanged, reads every shape of answer, and the cache is that of chat."""

from __future__ import annotations

from typing import Any

import openai
import pydantic
import pytest

from asynccache.simulator import Simulator

from .prompts import LONG
from .test_sdks import WEATHER, ai

pytestmark = pytest.mark.anyio

TOOL: Any = {"type": "function", "strict": True, **WEATHER}
EXPLICIT = {"mode": "explicit"}


class City(pydantic.BaseModel):
    """What is asked for."""

    name: str
    people: int


async def test_the_second_call_hits(sim: Simulator) -> None:
    """The prefix rules are those of chat, under Responses' names; usage adds up and is the log's."""
    async with ai(sim) as client:
        first, second = [
            await client.responses.create(model="gpt-4o", instructions=LONG, input="hi") for _ in range(2)
        ]
        chat = await client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "developer", "content": LONG}, {"role": "user", "content": "hi"}],
        )
    assert first.usage
    assert second.usage
    assert chat.usage
    assert first.usage.input_tokens == chat.usage.prompt_tokens
    assert first.usage.input_tokens_details.cached_tokens == 0
    assert second.usage.input_tokens_details.cached_tokens == (second.usage.input_tokens - 1) // 128 * 128
    assert second.usage.total_tokens == second.usage.input_tokens + second.usage.output_tokens
    assert first.output_text == second.output_text == chat.choices[0].message.content
    assert sim.log[1].usage == second.usage.model_dump(exclude_unset=True)


async def test_writes_are_told_by_lifetime(sim: Simulator) -> None:
    """Since GPT-5.6 writes are told, each under its lifetime; a mark on a part may ask for twelve hours."""
    part = {"type": "input_text", "text": LONG, "prompt_cache_breakpoint": {**EXPLICIT, "ttl": "12h"}}
    given: Any = [{"role": "user", "content": [part]}]
    async with ai(sim) as client:
        made: list[Any] = [
            await client.responses.create(
                model="gpt-6.2-sol", input=given, prompt_cache_options={"mode": "explicit", "ttl": ttl}
            )
            for ttl in ("30m", "12h")
        ]
    told = [each.usage.input_tokens_details for each in made]
    assert told[0].cache_write_tokens == told[0].cache_write_tokens_details.ttl_12h_tokens > 1024
    assert told[0].cache_write_tokens_details.ttl_30m_tokens == 0
    assert told[1].cached_tokens == told[0].cache_write_tokens
    assert told[1].cache_write_tokens == 0


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5.6-sol"])
async def test_stream_and_whole_agree(model: str, sim: Simulator) -> None:
    """Numbered events from created to completed; their pieces, the last event and the whole answer say the same."""
    async with ai(sim) as client:
        whole = await client.responses.create(model=model, input="tell me")
        events: list[Any] = [
            event async for event in await client.responses.create(model=model, input="tell me", stream=True)
        ]
    kinds = [event.type for event in events]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.output_item.added") == kinds.count("response.output_item.done")
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1].response
    assert said == whole.output_text == last.output_text
    assert last.usage.model_dump() == whole.usage.model_dump() if whole.usage else False
    assert [item.type for item in last.output] == [item.type for item in whole.output]
    assert all(event.response.usage is None for event in events[:2])
    assert last.usage.output_tokens_details.reasoning_tokens == (24 if model != "gpt-4o" else 0)


async def test_the_sdks_own_stream(sim: Simulator) -> None:
    """`responses.stream` accumulates text and ends in a whole response."""
    async with ai(sim) as client, client.responses.stream(model="gpt-5.4", input="tell me") as stream:
        snapshots = [event.snapshot async for event in stream if event.type == "response.output_text.delta"]
        last = await stream.get_final_response()
    assert snapshots[-1] == last.output_text
    assert last.usage
    assert last.usage.model_dump(exclude_unset=True) == sim.log[-1].usage


async def test_a_parsed_answer(sim: Simulator) -> None:
    """A format is kept, whole and streamed."""
    async with ai(sim) as client:
        whole = await client.responses.parse(model="gpt-4o", input="Which city?", text_format=City)
        async with client.responses.stream(model="gpt-4o", input="Which city?", text_format=City) as stream:
            streamed = await stream.get_final_response()
    assert isinstance(whole.output_parsed, City)
    assert streamed.output_parsed == whole.output_parsed


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5.6-sol"])
async def test_calls_and_their_results(model: str, stream: bool, sim: Simulator) -> None:
    """Parallel calls come with ids and arguments; put back with their results they are answered, read from the cache."""
    given: Any = [{"role": "user", "content": LONG + "Both: the weather in Paris and in Rome, in parallel?"}]
    async with ai(sim) as client:
        if stream:
            async with client.responses.stream(model=model, input=given, tools=[TOOL]) as events:
                first: Any = await events.get_final_response()
        else:
            first = await client.responses.create(model=model, input=given, tools=[TOOL])
        calls = [item for item in first.output if item.type == "function_call"]
        assert [call.name for call in calls] == ["get_weather"] * 2
        assert calls[0].call_id != calls[1].call_id
        assert calls[0].arguments.startswith('{"city":')
        given += [item.to_dict() for item in first.output]
        given += [
            {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls
        ]
        last = await client.responses.create(model=model, input=given, tools=[TOOL])
    assert last.output_text
    assert last.usage
    assert last.usage.input_tokens_details.cached_tokens > first.usage.input_tokens * 0.9


async def test_a_response_continues_an_earlier_one(sim: Simulator) -> None:
    """`previous_response_id` stands for its whole conversation; not for another key, and not where it was not stored."""
    async with ai(sim) as client, ai(sim, key="sk-other") as stranger:
        first = await client.responses.create(model="gpt-4o", input=LONG)
        second = await client.responses.create(
            model="gpt-4o", input="go on", previous_response_id=first.id, store=False
        )
        assert first.usage
        assert second.usage
        assert second.usage.input_tokens > first.usage.input_tokens
        assert second.usage.input_tokens_details.cached_tokens >= first.usage.input_tokens // 128 * 128
        for who, name in ((client, second.id), (stranger, first.id)):
            with pytest.raises(openai.BadRequestError) as caught:
                await who.responses.create(model="gpt-4o", input="hi", previous_response_id=name)
            assert caught.value.code == "previous_response_not_found"


async def test_a_limit_makes_it_incomplete(sim: Simulator) -> None:
    """Too few tokens: status and reason say so, whole and streamed."""
    async with ai(sim) as client:
        whole = await client.responses.create(model="gpt-4o", input="hi", max_output_tokens=16)
        stream: Any = await client.responses.create(
            model="gpt-4o", input="hi", max_output_tokens=16, stream=True
        )
        events = [event async for event in stream]
    assert whole.status == "incomplete"
    assert whole.incomplete_details
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert whole.usage
    assert whole.usage.output_tokens == 16
    assert events[-1].type == "response.incomplete"


async def test_encrypted_reasoning(sim: Simulator) -> None:
    """It is in the item that is done where it was asked for, not in the one that begins."""
    async with ai(sim) as client:
        stream: Any = await client.responses.create(
            model="gpt-5.4", input="hi", stream=True, store=False, include=["reasoning.encrypted_content"]
        )
        items = [event.item async for event in stream if event.type.startswith("response.output_item.")]
    assert items[0].type == items[1].type == "reasoning"
    assert items[0].encrypted_content is None
    assert items[1].encrypted_content


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing to answer": ({}, "input"),
    "a number": ({"input": 5}, "input"),
    "an unknown item": ({"input": [{"type": "hologram"}]}, "input[0]"),
    "an unknown role": ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
    "a result without its call": (
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        "input",
    ),
    "too few tokens": ({"input": "hi", "max_output_tokens": 15}, "max_output_tokens"),
    "a lifetime of its own": (
        {"model": "gpt-6.2-sol", "input": "hi", "prompt_cache_options": {"ttl": "5m"}},
        "prompt_cache_options.ttl",
    ),
    "no effort": (
        {"model": "gpt-6.2-sol", "input": "hi", "reasoning": {"effort": "none"}},
        "reasoning.effort",
    ),
    "a limit in words": ({"input": "hi", "max_output_tokens": "20"}, "max_output_tokens"),
    "in the background": ({"input": "hi", "background": True}, "background"),
    "prewarmed": ({"input": "hi", "prompt_cache_options": {"prewarm": True}}, "prompt_cache_options.prewarm"),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_tokens", "5"), ("n", True), ("temperature", "hot"), ("stream", 1), ("tools", "x"), ("stop", 5)],
)
async def test_chat_parameters_have_their_kinds(name: str, value: Any, sim: Simulator) -> None:
    """A parameter of another kind is a 400 that names it, never a fault of the simulator's."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], name: value}
    async with ai(sim) as client, ai(sim, sim.deepseek_base) as other:
        for each in (client, other):
            with pytest.raises(openai.BadRequestError, match=name):
                await each.post(
                    "/chat/completions",
                    body={**body, "model": "deepseek-v4-flash" if each is other else "gpt-4o"},
                    cast_to=object,
                )


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_refused(name: str, sim: Simulator) -> None:
    """A mistake is a 400 that names the parameter."""
    body, param = WRONG[name]
    async with ai(sim) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.post("/responses", body={"model": "gpt-4o", **body}, cast_to=object)
    assert caught.value.param == param


async def test_faults_of_a_stream(sim: Simulator) -> None:
    """A cut breaks the stream; an error is the event that OpenAI says it by, and the last."""
    knobs = ('{"cut_after_events": 5}', '{"error_after_events": 5}')
    async with ai(sim) as client:
        cut, wrong = [
            await client.responses.create(
                model="gpt-4o", input="hi", stream=True, extra_headers={"x-simulator": knob}
            )
            for knob in knobs
        ]
        with pytest.raises(openai.APIConnectionError):
            async for _ in cut:
                pass
        events = [event async for event in wrong]
    assert (events[-1].type, len(events)) == ("error", 6)
