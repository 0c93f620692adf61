"""Nothing that a caller asks for is dropped in silence: it goes out in the provider's words, or is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asynccache.errors import InvalidRequestError
from asynccache.providers.registry import get
from asynccache.request import Request

OPENAI, DEEPSEEK, ANTHROPIC = "openai/gpt-5.6-sol", "deepseek/deepseek-flash", "anthropic/claude-opus-5"
CONVERSE = "bedrock/converse/us.anthropic.claude-opus-4-6-v1"
INVOKE = "bedrock/invoke/us.anthropic.claude-opus-4-6-v1"
GPT_OSS = "bedrock/invoke/openai.gpt-oss-20b-1:0"
USER = {"role": "user", "content": "hi"}
TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True}


def sent(model: str, *messages: dict[str, Any], tools: Any = None, **params: Any) -> dict[str, Any]:
    """The body that goes out."""
    request = Request(model=model, messages=messages, tools=tools, params=params)
    body: dict[str, Any] = json.loads(get(request.provider).encode(request).body)
    return body


@pytest.mark.parametrize("model", [ANTHROPIC, CONVERSE, INVOKE])
@pytest.mark.parametrize(
    "turn",
    [{"content": None, "refusal": "No."}, {"content": [{"type": "refusal", "refusal": "No."}]}],
    ids=str,
)
def test_a_refusal_stays_a_turn(model: str, turn: dict[str, Any]) -> None:
    """What the model refused earlier goes back as its text: without it two questions would stand in a row."""
    messages = sent(model, USER, {"role": "assistant", **turn}, USER)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"][0]["text"] == "No."


@pytest.mark.parametrize("model", [ANTHROPIC, CONVERSE, INVOKE])
@pytest.mark.parametrize(
    ("turn", "told"),
    [
        ({"role": "assistant", "audio": {"id": "a"}}, "transcript"),
        (
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            "tool_calls",
        ),
        ({"role": "function", "name": "f", "content": "r"}, "tool_call_id"),
    ],
    ids=["spoken", "function_call", "function"],
)
def test_turns_that_have_no_place(model: str, turn: dict[str, Any], told: str) -> None:
    """A turn that the format cannot say is refused by its path, with what to write instead."""
    with pytest.raises(InvalidRequestError, match=r"messages\[1\]") as caught:
        sent(model, USER, turn, USER)
    assert told in caught.value.message


@pytest.mark.parametrize("model", [ANTHROPIC, CONVERSE, INVOKE])
def test_nothing_but_a_system_prompt(model: str) -> None:
    """A request without a question is refused before it is sent."""
    with pytest.raises(InvalidRequestError, match="user message"):
        sent(model, {"role": "system", "content": "S"})


@pytest.mark.parametrize("model", [ANTHROPIC, CONVERSE, INVOKE])
def test_custom_tools_are_openai_s(model: str) -> None:
    """A tool that takes free text is refused where there are functions only."""
    with pytest.raises(InvalidRequestError, match="custom"):
        sent(model, USER, tools=[{"type": "custom", "custom": {"name": "sql"}}])


@pytest.mark.parametrize("model", [OPENAI, DEEPSEEK, GPT_OSS])
def test_tools_in_anthropic_s_spelling(model: str) -> None:
    """The whole definition becomes a function, ``strict`` with it."""
    (tool,) = sent(model, USER, tools=[TOOL])["tools"]
    wanted = {"name": "f", "parameters": {"type": "object"}, "description": "d", "strict": True}
    assert tool == {"type": "function", "function": wanted}


@pytest.mark.parametrize("model", [OPENAI, DEEPSEEK, GPT_OSS])
@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({"type": "any"}, "required"),
        ({"type": "auto"}, "auto"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
    ids=["any", "auto", "tool"],
)
@pytest.mark.parametrize("single", [False, True])
def test_choices_in_anthropic_s_spelling(
    model: str, choice: dict[str, Any], wanted: Any, single: bool
) -> None:
    """A choice of a tool becomes OpenAI's, and one call at a time a parameter of its own."""
    asked = {**choice, "disable_parallel_tool_use": True} if single else choice
    body = sent(model, USER, tools=[TOOL], tool_choice=asked)
    assert body["tool_choice"] == wanted
    assert body.get("parallel_tool_calls") is (False if single else None)


def test_single_calls_over_converse() -> None:
    """One call at a time reaches Claude past Converse, which has no word for it."""
    asked = {"type": "any", "disable_parallel_tool_use": True}
    fields = sent(CONVERSE, USER, tools=[TOOL], tool_choice=asked)["additionalModelRequestFields"]
    assert fields["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


@pytest.mark.parametrize("most", [0, -1, 10.0, "10", True], ids=repr)
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_lengths_that_are_none(name: str, most: Any) -> None:
    """A length that Bedrock cannot take is refused with its value."""
    with pytest.raises(InvalidRequestError, match=f"={most!r} is not a whole number"):
        sent(CONVERSE, USER, **{name: most})
