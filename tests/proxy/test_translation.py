"""Anthropic's format in and out of the library's own terms, word by word."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from asynccache.errors import InvalidRequestError
from asynccache.events import (
    Event,
    Finished,
    ProviderBlocks,
    ReasoningDelta,
    RedactedReasoning,
    RefusalDelta,
    SignatureDelta,
    Started,
    TextDelta,
    ToolCallFragment,
    Usage,
)
from asynccache.proxy.messages_in import arguments_of
from asynccache.proxy.messages_out import MessageVoice, WholeMessageVoice, message_usage
from asynccache.reply import PromptTokensDetails

MARK = {"type": "ephemeral", "ttl": "1h"}
PIXEL = base64.b64encode(b"pixel").decode()
HI: Any = [{"role": "user", "content": "hi"}]


def said(*messages: Any, **more: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = arguments_of({"messages": list(messages), **more}, claude=False)["messages"]
    return made


def test_system_and_marks() -> None:
    """System prompts come first; every mark stays on its part."""
    system = [{"type": "text", "text": "s", "cache_control": MARK}]
    question = {"type": "text", "text": "q", "cache_control": MARK}
    made = said({"role": "user", "content": [question]}, system=system)
    assert made == [{"role": "system", "content": system}, {"role": "user", "content": [question]}]
    assert said(*HI, system="s")[0] == {"role": "system", "content": "s"}
    assert said(*HI, system="") == HI


def test_pictures_and_documents() -> None:
    """Images become data URLs or addresses, documents files, plain text text; their marks stay."""
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    [message] = said(
        {
            "role": "user",
            "content": [
                {"type": "image", "source": source, "cache_control": MARK},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                {"type": "document", "source": {**source, "media_type": "application/pdf"}, "title": "t"},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
            ],
        }
    )
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}, "cache_control": MARK},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PIXEL}", "filename": "t"}},
        {"type": "text", "text": "plain"},
    ]


def test_calls_results_and_thoughts() -> None:
    """Results stand for themselves before the words beside them; thoughts go where they can be taken back."""
    made = said(
        *HI,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "signed", "signature": "s"},
                {"type": "thinking", "thinking": "plain", "signature": ""},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "now"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}, "cache_control": MARK},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "beside"},
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": "no",
                    "is_error": True,
                    "cache_control": MARK,
                },
                {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "yes"}]},
                {"type": "tool_result", "tool_use_id": "t3"},
            ],
        },
    )
    function = {"name": "f", "arguments": '{"a":1}'}
    assert made[1] == {
        "role": "assistant",
        "content": "now",
        "thinking_blocks": [
            {"type": "thinking", "thinking": "signed", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
        ],
        "reasoning_content": "plain",
        "tool_calls": [{"id": "t1", "type": "function", "function": function, "cache_control": MARK}],
    }
    assert made[2:] == [
        {"role": "tool", "tool_call_id": "t1", "content": "no", "is_error": True, "cache_control": MARK},
        {"role": "tool", "tool_call_id": "t2", "content": [{"type": "text", "text": "yes"}]},
        {"role": "tool", "tool_call_id": "t3", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "beside"}]},
    ]


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        ),
    ],
)
def test_tools_and_the_choice_among_them(given: Any, made: dict[str, Any]) -> None:
    """Tools become functions with their marks; providers' own tools stay as they are."""
    schema = {"type": "object"}
    tools = [
        {"name": "f", "description": "d", "input_schema": schema, "cache_control": MARK},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    found = arguments_of({"messages": HI, "tools": tools, "tool_choice": given}, claude=False)
    function = {"name": "f", "parameters": schema, "description": "d"}
    assert found["tools"] == [{"type": "function", "function": function, "cache_control": MARK}, tools[1]]
    assert {name: found[name] for name in made} == made


@pytest.mark.parametrize(("budget", "effort"), [(1024, "low"), (10_000, "medium"), (32_000, "high")])
def test_thinking_in_words(budget: int, effort: str) -> None:
    """A budget becomes an effort for those who are told in words, and stays a budget for a Claude."""
    fields = {
        "messages": HI,
        "thinking": {"type": "enabled", "budget_tokens": budget},
        "stop_sequences": ["x"],
    }
    assert arguments_of(fields, claude=False)["reasoning_effort"] == effort
    assert arguments_of(fields, claude=True)["thinking"] == fields["thinking"]
    assert arguments_of(fields, claude=True)["stop"] == ["x"]


def test_formats_and_users() -> None:
    """A schema for the answer and the user's id arrive under OpenAI's names."""
    schema = {"type": "object"}
    fields = {
        "messages": HI,
        "output_config": {"effort": "max", "format": {"type": "json_schema", "schema": schema}},
        "metadata": {"user_id": "u"},
    }
    found = arguments_of(fields, claude=False)
    assert found["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema},
    }
    assert (found["reasoning_effort"], found["user"]) == ("max", "u")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"messages": []},
        {"messages": ["hi"]},
        {"messages": [{"role": "robot", "content": "hi"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": ["hi"]}]},
        {"messages": HI, "tools": ["f"]},
    ],
)
def test_what_is_not_of_the_format(fields: Any) -> None:
    """It is refused before anything is sent."""
    with pytest.raises(InvalidRequestError):
        arguments_of(fields, claude=False)


EVENTS: list[Event] = [
    Started(id="c1", model="m"),
    ReasoningDelta("think", 0),
    SignatureDelta("sig", 0),
    RedactedReasoning("secret", 1),
    TextDelta("hel"),
    TextDelta("lo"),
    TextDelta("another answer", 1),
    ToolCallFragment(0, "t0", "f"),
    ToolCallFragment(0, arguments='{"a":'),
    ToolCallFragment(0, arguments="1}"),
    ToolCallFragment(1, "t1", "g", "{}"),
    Finished("tool_calls"),
    Usage(
        prompt_tokens=30,
        completion_tokens=5,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=20, cache_write_tokens=4, uncached_tokens=6),
        cache_read_input_tokens=20,
        cache_creation_input_tokens=4,
        cost=0.25,
        source="provider",
    ),
]
USED = {
    "input_tokens": 6,
    "output_tokens": 5,
    "cache_creation_input_tokens": 4,
    "cache_read_input_tokens": 20,
    "cost": 0.25,
}


def test_events_in_order() -> None:
    """Blocks open and close one after the other, each delta in the block it belongs to, the end last."""
    voice = MessageVoice("m", cost=True)
    out = b"".join(map(voice.write, EVENTS)) + voice.last()
    events = [orjson.loads(part.split(b"data: ")[1]) for part in out.split(b"\n\n") if part]
    assert [part.split(b"\n")[0].decode() for part in out.split(b"\n\n") if part] == [
        f"event: {event['type']}" for event in events
    ]
    assert events[0]["message"]["id"] == "msg_c1"
    starts = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    assert [block["type"] for block in starts] == [
        "thinking",
        "redacted_thinking",
        "text",
        "tool_use",
        "tool_use",
    ]
    deltas = [
        (event["index"], *event["delta"].values())
        for event in events
        if event["type"] == "content_block_delta"
    ]
    assert deltas == [
        (0, "thinking_delta", "think"),
        (0, "signature_delta", "sig"),
        (2, "text_delta", "hel"),
        (2, "text_delta", "lo"),
        (3, "input_json_delta", '{"a":'),
        (3, "input_json_delta", "1}"),
        (4, "input_json_delta", "{}"),
    ]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-2]["usage"] == USED
    assert events[-1] == {"type": "message_stop"}


def whole(*events: Event) -> dict[str, Any]:
    voice = WholeMessageVoice("m", cost=True)
    for event in events:
        assert voice.write(event) == b""
    found: dict[str, Any] = orjson.loads(voice.last())
    return found


def test_the_whole_message() -> None:
    """The same as one object."""
    message = whole(*EVENTS)
    assert message["content"] == [
        {"type": "thinking", "thinking": "think", "signature": "sig"},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "text", "text": "hello"},
        {"type": "tool_use", "id": "t0", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "t1", "name": "g", "input": {}},
    ]
    assert (message["stop_reason"], message["usage"]) == ("tool_use", USED)


def test_rarer_answers() -> None:
    """Refusals, reasoning without blocks, cut arguments, a provider's own blocks, an empty answer."""
    assert whole(RefusalDelta("no"), Finished("content_filter"))["stop_reason"] == "refusal"
    thought = whole(ReasoningDelta("r"), TextDelta("t"), Finished("stop"))["content"]
    assert thought[0] == {"type": "thinking", "thinking": "r", "signature": ""}
    cut = whole(ToolCallFragment(0, "t", "f", '{"a'), Finished("length"))
    assert cut["content"][0]["input"] == {"unfinished": '{"a'}
    own = [{"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}}]
    assert whole(ProviderBlocks(own), Finished("stop"))["content"] == own
    assert whole(Finished("stop", "pause_turn"))["stop_reason"] == "pause_turn"
    assert whole()["content"] == []
    voice = MessageVoice("m", cost=False)
    assert voice.last().count(b"event: ") == 3


def test_what_is_not_known_is_marked() -> None:
    """Anthropic's SDK wants numbers; where there are none, `source` says so and there is no cost."""
    assert message_usage(Usage(), cost=True) == {"input_tokens": 0, "output_tokens": 0, "source": "missing"}
