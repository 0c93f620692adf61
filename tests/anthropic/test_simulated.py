"""Whole conversations with the simulated provider, over a real socket: it refuses what Anthropic refuses."""

from __future__ import annotations

from typing import Any

import aiohttp
import anyio
import pytest
from msgspec.structs import replace

from asynccache.aggregate import Aggregator
from asynccache.events import Finished
from asynccache.providers.anthropic import provider
from asynccache.reply import Completion
from asynccache.request import Access, Mark, Request
from asynccache.secret import Secret
from asynccache.simulator import Simulator
from asynccache.stream import Head

from .asking import TOOL, ask
from .recorded import usage_of

pytestmark = pytest.mark.anyio

SYSTEM = {"role": "system", "content": "You are thorough. " * 1500}


async def post(session: aiohttp.ClientSession, request: Request) -> tuple[Completion, dict[str, Any]]:
    """One call as the transport makes it: the answer, and what was told of tokens."""
    request = provider.check(request)
    call = await provider.authorize(provider.encode(request), request)
    async with session.post(call.url, data=call.body, headers=call.headers) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        if response.status != 200:
            raise provider.error(response.status, headers, await response.read())
        decoder = provider.decoder(request, Head(status=response.status, headers=headers))
        events: list[Any] = []
        try:
            async for piece in response.content.iter_any():
                decoder.feed(piece, events.append)
            decoder.flush(events.append)
        except anyio.EndOfStream:
            pass
    whole = Aggregator()
    for event in events:
        whole.add(event)
    assert type(events[-1]) is Finished
    return whole.completion(), usage_of(events)


@pytest.mark.parametrize("streams", [(True, True), (False, False), (True, False), (False, True)])
@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("anthropic/claude-sonnet-4-5", {"reasoning_effort": "low"}),
        ("anthropic/claude-opus-5", {"reasoning_effort": "high"}),
        ("anthropic/claude-haiku-4-5", {"tool_choice": "required", "temperature": 0.2}),
    ],
)
async def test_a_conversation_with_calls(
    model: str, params: dict[str, Any], streams: tuple[bool, bool]
) -> None:
    """Thinking and calls go back unchanged, results line up, and the second turn reads what the first one wrote."""
    async with Simulator() as simulator, aiohttp.ClientSession() as session:
        access = Access(provider="anthropic", api_key=Secret("k"), api_base=simulator.anthropic_base)
        tools = [TOOL, {**TOOL, "function": {**TOOL["function"], "name": "g"}}]
        messages: list[Any] = [SYSTEM, {"role": "user", "content": "Use the tools."}]
        first = ask(
            *messages, model=model, tools=tools, access=access, stream=streams[0],
            marks=(Mark(("messages", 0)), Mark(("messages", 1))), **params,
        )  # fmt: skip
        completion, usage = await post(session, first)
        assert usage["cache_creation_input_tokens"] > 0
        message = completion.choices[0].message
        if "reasoning_effort" in params:
            assert message.thinking_blocks
            assert message.thinking_blocks[0]["signature"]
        messages.append(message.to_dict())
        made = message.tool_calls or ()
        assert made or "tool_choice" not in params
        messages.extend({"role": "tool", "tool_call_id": one.id, "content": "42"} for one in made)
        messages.append({"role": "user", "content": "And now?"})
        second = replace(
            first,
            messages=messages,
            stream=streams[1],
            marks=(Mark(("messages", 0)), Mark(("messages", len(messages) - 1))),
        )
        completion, usage = await post(session, second)
        assert usage["cache_read_input_tokens"] > 0
        assert completion.choices[0].finish_reason in {"stop", "tool_calls"}
