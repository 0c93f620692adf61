"""The Responses API without a key: OpenAI's own SDK, the proxy, the simulator; three counts of the same money."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from asynccache.proxy.server import Server
from asynccache.simulator import Simulator
from asynccache.usage.ledger import open_ledger
from asynccache.usage.ledger_report import read_rows

from .serving import ai, serving

pytestmark = pytest.mark.anyio

LONG = "The clause about clauses. " * 400
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
MODELS = """
model_list:
- {model_name: old, litellm_params: {model: simulator/openai/gpt-4o}}
- {model_name: new, litellm_params: {model: simulator/openai/gpt-6.2-sol}}
- {model_name: claude, litellm_params: {model: simulator/anthropic/claude-sonnet-4-5}}
- {model_name: mixed, litellm_params: {model: simulator/deepseek/deepseek-v4-flash}}
- {model_name: mixed, litellm_params: {model: simulator/openai/gpt-4o}}
litellm_settings: {fallbacks: [{claude: [old]}, {broken: [claude, old]}]}
"""
BROKEN = """
- model_name: dead
  litellm_params: {model: simulator/openai/gpt-4o, extra_headers: {x-simulator: '{"status":503}'}}
- model_name: broken
  litellm_params: {model: simulator/openai/gpt-4o, extra_headers: {x-simulator: '{"status":500}'}}
litellm_settings"""
# dollars a million: input, read, written for 30 minutes, for 12 hours, output (OpenAI's price list)
PRICES = {"gpt-4o": (2.5, 1.25, 0, 0, 10), "gpt-6.2-sol": (2, 0.1, 2.5, 5, 10)}


@pytest.fixture
async def served(sim: Simulator, tmp_path: Path) -> AsyncIterator[Server]:
    """A proxy that keeps a ledger."""
    text = MODELS.replace("litellm_settings", BROKEN.lstrip(), 1)
    async with (
        open_ledger(tmp_path / "ledger.db") as ledger,
        serving(sim, text, ledger=ledger, settings="{max_retries: 0}") as proxy,
    ):
        yield proxy


def money(model: str, usage: dict[str, Any]) -> float:
    """What a response costs by the price list."""
    plain, read, half, twelve, out = PRICES[model]
    told = usage["input_tokens_details"]
    split = told.get("cache_write_tokens_details") or {}
    short, long = split.get("ttl_30m_tokens", 0), split.get("ttl_12h_tokens", 0)
    rest = usage["input_tokens"] - told["cached_tokens"] - short - long
    dear = rest * plain + told["cached_tokens"] * read + short * half + long * twelve
    total: float = (dear + usage["output_tokens"] * out) / 1e6
    return total


@pytest.mark.parametrize(("name", "model"), [("old", "gpt-4o"), ("new", "gpt-6.2-sol")])
@pytest.mark.parametrize("ttl", ["30m", "12h"])
async def test_usage_cost_and_ledger_agree(
    name: str, model: str, ttl: str, served: Server, sim: Simulator, tmp_path: Path
) -> None:
    """Whole, as a stream, by the SDK's own stream: each call's usage is the simulator's, its cost the price list's."""
    more: Any = {"prompt_cache_options": {"ttl": ttl}} if name == "new" else {}
    heard: list[Any] = []
    async with ai(served) as client:
        raw = await client.responses.with_raw_response.create(
            model=name, instructions=LONG, input="one", **more
        )
        whole: Any = raw.parse()
        heard.append(whole.usage)
        stream = await client.responses.create(
            model=name, instructions=LONG, input="one", stream=True, **more
        )
        events: list[Any] = [event async for event in stream]
        heard.append(events[-1].response.usage)
        async with client.responses.stream(
            model=name, instructions=LONG, input="two", extra_body=more
        ) as helper:
            last: Any = await helper.get_final_response()
        heard.append(last.usage)
    assert whole.output_text == events[-1].response.output_text
    assert float(raw.headers["x-asynccache-response-cost"]) == pytest.approx(heard[0].cost)
    assert int(raw.headers["x-asynccache-cache-read-tokens"]) == 0
    assert heard[1].input_tokens_details.cached_tokens > 1024
    assert [record.path for record in sim.log] == ["/openai/v1/responses"] * 3
    rows = sorted(read_rows(str(tmp_path / "ledger.db")), key=lambda row: row.opened_at)
    for usage, record, row in zip(heard, sim.log, rows, strict=True):
        told = usage.to_dict()
        cost = told.pop("cost")
        assert told == record.usage
        assert cost == pytest.approx(money(model, told))
        assert float(row.cost or 0) == pytest.approx(cost)
        assert row.prompt_tokens == told["input_tokens"]
        assert row.read_tokens == told["input_tokens_details"]["cached_tokens"]
        assert row.output_tokens == told["output_tokens"]
        assert (row.model, row.source, row.state) == (f"openai/{model}", "provider", "settled")


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_and_stored_turns(stream: bool, served: Server) -> None:
    """Calls come through with their ids; a later response that names the first one knows of them."""
    async with ai(served) as client:
        asked: Any = {"model": "old", "tools": [TOOL]}
        if stream:
            async with client.responses.stream(input="The weather in Paris?", **asked) as events:
                first: Any = await events.get_final_response()
        else:
            first = await client.responses.create(input="The weather in Paris?", **asked)
        [call] = [item for item in first.output if item.type == "function_call"]
        assert (call.name, call.arguments) == ("get_weather", '{"city":"Paris"}')
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        last = await client.responses.create(input=[result], previous_response_id=first.id, **asked)
    assert last.output_text


async def test_errors_are_of_the_right_class(served: Server, sim: Simulator) -> None:
    """The provider's refusal comes as the SDK's own class, with the parameter's name in its words."""
    async with ai(served) as client:
        with pytest.raises(openai.BadRequestError, match="max_output_tokens"):
            await client.responses.create(model="old", input="hi", max_output_tokens=3)
        with pytest.raises(openai.InternalServerError):
            await client.responses.create(model="dead", input="hi")
    assert {record.status for record in sim.log} == {400, 503}


@pytest.mark.parametrize("stream", [False, True])
async def test_another_provider_is_never_replaced_in_silence(
    stream: bool, served: Server, sim: Simulator
) -> None:
    """A model that has no Responses is refused with the remedy, though a fallback would have them; nobody is asked,
    and the model is as healthy as before."""
    async with ai(served) as client:
        with pytest.raises(openai.NotFoundError, match="/v1/chat/completions") as caught:
            await client.responses.create(model="claude", input="hi", stream=stream)
        assert sim.log == []
        assert caught.value.code == "unsupported_endpoint"
        [deployment] = served.served.router.find("claude")
        assert deployment.cool_until == 0.0


async def test_only_those_who_can_are_asked(served: Server, sim: Simulator) -> None:
    """Of several deployments those of OpenAI answer, every time; and of several fallbacks likewise."""
    async with ai(served) as client:
        for number in range(4):
            assert (await client.responses.create(model="mixed", input=f"{number}")).output_text
        assert (await client.responses.create(model="broken", input="hi")).model == "gpt-4o"
    assert {record.wire for record in sim.log} == {"openai-responses"}
