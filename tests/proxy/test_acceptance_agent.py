"""A coding agent's session through the proxy: what it sends, what it keeps in the cache, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import anthropic
import pytest

from asynccache.simulator import Simulator

from .serving import claude, serving

pytestmark = pytest.mark.anyio

MODELS = """
model_list:
- {model_name: anthropic, litellm_params: {model: simulator/anthropic/claude-sonnet-4-6}}
- {model_name: converse, litellm_params: {model: "simulator/bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0"}}
- {model_name: invoke, litellm_params: {model: "simulator/bedrock/invoke/us.anthropic.claude-sonnet-4-5-20250929-v1:0"}}
- {model_name: openai, litellm_params: {model: simulator/openai/gpt-5.4}}
- {model_name: breakpoints, litellm_params: {model: simulator/openai/gpt-6.2-sol}}
- {model_name: deepseek, litellm_params: {model: simulator/deepseek/deepseek-v4-flash}}
"""
MARK = {"type": "ephemeral"}
SYSTEM: Any = [
    {"type": "text", "text": "You are a coding agent, made for the terminal."},
    {"type": "text", "text": "Rules of the house. " * 400, "cache_control": MARK},
]
TOOLS: Any = [
    {
        "name": name,
        "description": f"{name} a file of the project. " * 20,
        "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
        **({"cache_control": MARK} if name == "Edit" else {}),
    }
    for name in ("Read", "Grep", "Edit")
]
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
# dollars a million of Claude Sonnet 4.5 and 4.6: input, written for five minutes, read, output
SONNET = (3.0, 3.75, 0.30, 15.0)


def marked(history: list[Any]) -> list[Any]:
    """The history with a mark on its last block, as agents move it along."""
    *before, last = history
    *blocks, end = last["content"]
    return [*before, {**last, "content": [*blocks, {**end, "cache_control": MARK}]}]


async def session(client: anthropic.AsyncAnthropic, model: str, turns: int = 20) -> list[Any]:
    """Turns of a tool's call and its result, by Claude Code's address and betas; the usage of each."""
    history: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "Read main.py, then fix it."}]}
    ]
    usages: list[Any] = []
    for turn in range(turns):
        asked: dict[str, Any] = {
            "model": model,
            "max_tokens": 400,
            "system": SYSTEM,
            "tools": TOOLS,
            "messages": marked(history),
            "metadata": {"user_id": "user_1_session_2"},
        }
        more: Any = {
            "extra_query": {"beta": "true"},
            "extra_headers": {"anthropic-beta": "claude-code-20250219"},
        }
        if turn % 5 == 0:
            counted = await client.messages.count_tokens(
                **{name: asked[name] for name in ("model", "system", "tools", "messages")}, **more
            )
            assert counted.input_tokens > 1000
        choice: Any = {"type": "tool", "name": "Read"} if turn % 2 == 0 else {"type": "auto"}
        async with client.messages.stream(**asked, tool_choice=choice, **more) as stream:
            deltas = [event async for event in stream if event.type == "message_delta"]
            said: Any = await stream.get_final_message()
        usages.append({**said.usage.to_dict(), "cost": getattr(deltas[-1].usage, "cost", None)})
        content = [block.to_dict() for block in said.content]
        history.append({"role": "assistant", "content": content})
        calls = [block for block in said.content if block.type == "tool_use"]
        results: list[Any] = [
            {
                "type": "tool_result",
                "tool_use_id": call.id,
                "content": [{"type": "text", "text": f"{turn}: def main(): ... " * 40}],
            }
            for call in calls
        ]
        history.append(
            {"role": "user", "content": results or [{"type": "text", "text": "Go on, Read more."}]}
        )
    return usages


def prompt_of(usage: Mapping[str, Any]) -> tuple[int, int]:
    """Prompt in all, and what was read of it."""
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    return usage["input_tokens"] + read + written, read


def money(usage: Mapping[str, Any], factor: float = 1.0) -> float:
    """What a Claude's usage costs by the price list."""
    plain, written, read, output = SONNET
    total: float = (
        usage["input_tokens"] * plain
        + (usage.get("cache_creation_input_tokens") or 0) * written
        + (usage.get("cache_read_input_tokens") or 0) * read
        + usage["output_tokens"] * output
    )
    return total / 1e6 * factor


@pytest.mark.parametrize("model", ["anthropic", "converse", "invoke", "openai", "breakpoints", "deepseek"])
async def test_twenty_turns_keep_their_cache(model: str) -> None:
    """By the twentieth turn nine tenths of the prompt are read, whoever answers, and every turn reads more."""
    async with Simulator() as sim, serving(sim, MODELS) as proxy, claude(proxy) as client:
        usages = await session(client, model)
        asked = [record for record in sim.log if record.status == 200 and record.usage]
    prompts = [prompt_of(usage) for usage in usages]
    assert len(asked) == len(usages) == 20
    assert prompts[-1][1] / prompts[-1][0] >= 0.9, prompts[-1]
    assert all(later[1] >= earlier[1] for earlier, later in pairwise(prompts)), prompts
    assert all(usage["cost"] > 0 for usage in usages)


async def test_it_costs_what_it_costs_going_direct() -> None:
    """The same session, straight to the provider: the same tokens in every bucket on every turn, the same money."""
    async with Simulator() as sim, serving(sim, MODELS) as proxy, claude(proxy) as client:
        through = await session(client, "anthropic")
    async with (
        Simulator() as sim,
        anthropic.AsyncAnthropic(
            api_key="k", base_url=sim.anthropic_base, max_retries=0, timeout=120.0
        ) as client,
    ):
        direct = await session(client, "claude-sonnet-4-6")
    costs = [usage.pop("cost") for usage in through]
    assert [usage.pop("cost") for usage in direct] == [None] * 20
    assert through == direct
    assert costs == pytest.approx([money(usage) for usage in direct])


@pytest.mark.parametrize("model", ["converse", "invoke"])
async def test_bedrock_costs_what_anthropic_does_and_a_tenth(model: str) -> None:
    """The regional profile's surcharge is all that differs from Anthropic's price for the tokens that were told."""
    async with Simulator() as sim, serving(sim, MODELS) as proxy, claude(proxy) as client:
        usages = await session(client, model, turns=6)
    for usage in usages:
        assert usage["cost"] == pytest.approx(money(usage, 1.1))


async def test_the_bytes_of_a_session_reach_anthropic(sim: Simulator) -> None:
    """Marks, server tools, pictures, documents, thoughts and fields of tomorrow: Anthropic gets what was sent."""
    body: Any = {
        "max_tokens": 2048,
        "system": SYSTEM,
        "tools": [
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
            *TOOLS,
        ],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "a_field_of_tomorrow": {"b": [1.50, None]},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
                    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
                     "citations": {"enabled": True}, "title": "t"},
                    {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
                    {"type": "text", "text": "Look.", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
                ],
            }
        ],
    }  # fmt: skip
    async with serving(sim, MODELS) as proxy, claude(proxy) as client:
        reply: Any = await client.post(
            "/v1/messages?beta=true", body={"model": "anthropic", **body}, cast_to=anthropic.types.Message
        )
    assert sim.log[-1].body == {"model": "claude-sonnet-4-6", **body}
    assert reply.content[0].type == "thinking"


@pytest.mark.parametrize("model", ["openai", "deepseek"])
async def test_pictures_and_errors_of_tools_elsewhere(model: str, sim: Simulator) -> None:
    """OpenAI's format takes text alone from tools: a picture follows in the user's message, whose result it is stands
    beside it, and no word of Anthropic's is left in the messages."""
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}
    calls = [{"type": "tool_use", "id": f"t{number}", "name": "Read", "input": {}} for number in (1, 2, 3)]
    messages: Any = [
        {"role": "user", "content": "Look at both."},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, *calls]},
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "one"}, picture],
                },
                {"type": "tool_result", "tool_use_id": "t2", "content": [picture], "cache_control": MARK},
                {"type": "tool_result", "tool_use_id": "t3", "content": "no such file", "is_error": True},
                {"type": "text", "text": "Well?"},
            ],
        },
    ]
    async with serving(sim, MODELS) as proxy, claude(proxy) as client:
        await client.messages.create(model=model, max_tokens=50, tools=TOOLS, messages=messages)
    sent = sim.log[-1].body["messages"]
    *_, one, two, three, last = sent
    assert [each["role"] for each in sent] == ["user", "assistant", "tool", "tool", "tool", "user"]
    assert one["content"] == [{"type": "text", "text": "one"}]
    assert isinstance(two["content"], str)
    assert three == {"role": "tool", "tool_call_id": "t3", "content": "no such file"}
    kinds = [part["type"] for part in last["content"]]
    assert kinds == ["text", "image_url", "text", "image_url", "text"]
    assert ["t1" in last["content"][0]["text"], "t2" in last["content"][2]["text"]] == [True, True]
    assert not {"is_error", "cache_control", "thinking_blocks"} & {key for each in sent for key in each}
