"""Tool calls whose pieces come in turns reach Anthropic's own SDK as whole blocks, one open at a time."""

from __future__ import annotations

import json
from itertools import groupby
from random import Random
from typing import Any

import pytest

from asynccache.proxy.message_blocks import Blocks

from .serving import claude, serving
from .upstream import upstream

pytestmark = pytest.mark.anyio

CALLS: dict[str, dict[str, Any]] = {
    "look_up": {"words": ['a "quoted" one', "back\\slash", "} ] {"], "deep": {"er": [1, [2, {"x": "\\"}]]}},
    "count": {},
    "write": {"text": "line\nline \u00e9\U0001f388", "empty": "", "list": []},
}
TOOLS: Any = [{"name": name, "description": name, "input_schema": {"type": "object"}} for name in CALLS]


def _pieces(random: Random) -> list[list[dict[str, Any]]]:
    """Each call's fragments, as OpenAI's format has them: the first names it, the rest bring its arguments."""
    made: list[list[dict[str, Any]]] = []
    for index, (name, arguments) in enumerate(CALLS.items()):
        text = json.dumps(arguments)
        cuts = sorted(random.sample(range(len(text) + 1), min(len(text), 6)))
        parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        first: dict[str, Any] = {
            "index": index,
            "id": f"call_{index}",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        made.append([first, *({"index": index, "function": {"arguments": part}} for part in parts)])
    return made


def _shuffled(random: Random) -> list[dict[str, Any]]:
    """The fragments of all calls in turns, each call's own in their order."""
    left = _pieces(random)
    order = [index for index, parts in enumerate(left) for _ in parts]
    random.shuffle(order)
    return [left[index].pop(0) for index in order]


def _stream(deltas: list[dict[str, Any]]) -> bytes:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    rows: list[dict[str, Any]] = [{**head, "choices": [choice]} for choice in choices]
    rows.append(
        {**head, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}}
    )
    return b"".join(b"data: " + json.dumps(row).encode() + b"\n\n" for row in rows) + b"data: [DONE]\n\n"


async def _asked(deltas: list[dict[str, Any]]) -> tuple[Any, list[Any]]:
    """The message that the SDK made, and every event that it saw."""
    async with upstream() as up:
        up.answer(_stream(deltas), media="text/event-stream")
        async with serving(None, up.config()) as proxy, claude(proxy) as client:
            messages: Any = [{"role": "user", "content": "hi"}]
            async with client.messages.stream(
                model="m", max_tokens=99, messages=messages, tools=TOOLS
            ) as stream:
                events = [event async for event in stream]
                return await stream.get_final_message(), events


def _check_order(events: list[Any]) -> None:
    """Blocks are numbered as they come; each is opened once, and closed before the next."""
    open_block, count = None, 0
    for event in events:
        if event.type == "content_block_start":
            assert open_block is None
            assert event.index == count
            open_block, count = event.index, count + 1
        elif event.type == "content_block_delta":
            assert event.index == open_block
        elif event.type == "content_block_stop":
            assert event.index == open_block
            open_block = None
    assert open_block is None


@pytest.mark.parametrize("seed", range(12))
async def test_calls_in_turns(seed: int) -> None:
    """However the pieces are mixed, with text before, between and behind: every call once, its arguments whole."""
    random = Random(seed)
    deltas: list[dict[str, Any]] = [{"tool_calls": [piece]} for piece in _shuffled(random)]
    later, sooner = sorted(random.choices(range(len(deltas) + 1), k=2), reverse=True)
    deltas.insert(later, {"content": "text"})
    deltas.insert(sooner, {"content": "some "})
    message, events = await _asked([{"role": "assistant"}, *deltas])
    _check_order(events)
    calls = [block for block in message.content if block.type == "tool_use"]
    assert {call.name: call.input for call in calls} == CALLS
    assert sorted(call.id for call in calls) == ["call_0", "call_1", "call_2"]
    assert "".join(block.text for block in message.content if block.type == "text") == "some text"
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens == 9


async def test_calls_one_after_the_other_do_not_wait() -> None:
    """Where a call is whole before the next begins, every piece is passed on at once."""
    blocks = Blocks()
    said: list[tuple[int, str, bytes]] = []
    for index, call in enumerate(_pieces(Random(3))):
        for piece in call:
            text = piece["function"]["arguments"]
            delta = {"type": "input_json_delta", "partial_json": text} if text else None
            said.append((index, text, blocks.add(("call", index), {"type": "tool_use"}, delta)))
    assert all(made for _, text, made in said if text)
    assert [key for key, _ in groupby(index for index, _, made in said if made)] == [0, 1, 2]


async def test_a_call_that_is_cut_off_keeps_its_place() -> None:
    """Arguments that never end hold up the others until the message ends, and are passed on as they are."""
    blocks = Blocks()
    assert b"content_block_start" in blocks.add(("call", 0), {}, {"partial_json": '{"te'})
    assert blocks.add(("call", 1), {}, {"partial_json": "{}"}) == b""
    assert blocks.add(("text", 0), {}, {"text": "and"}) == b""
    end = blocks.close()
    assert [end.count(name) for name in (b"event: content_block_start", b"event: content_block_stop")] == [
        2,
        3,
    ]
    assert end.index(b"{}") < end.index(b'"and"')
