"""Requests to the servers that speak OpenAI's chat format, as they go out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asynccache.arguments import build_request
from asynccache.cache_control import apply_cache_rules
from asynccache.errors import UnsupportedParamsError
from asynccache.providers.registry import get
from asynccache.request import Timeout

USER = [{"role": "user", "content": "hi"}]


def body(model: str, messages: Any = USER, *, rules: bool = False, **arguments: Any) -> dict[str, Any]:
    """What goes to *model*, after all checks; with *rules*, after the stage that plans the cache marks too."""
    request = build_request(
        model,
        messages,
        stream=False,
        timeout=Timeout(),
        max_retries=0,
        arguments={"api_key": "k-12345678", **arguments},
    )
    provider = get(request.provider)
    if rules:
        request = apply_cache_rules(request, provider.cache_rules(request))
    sent: dict[str, Any] = json.loads(provider.encode(provider.check(request)).body)
    return sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("auto", "auto"),
        ("required", "required"),
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "allowed_tools", "tools": []}, {"type": "allowed_tools", "tools": []}),
    ],
)
@pytest.mark.parametrize("model", ["openai/gpt-4o", "deepseek/deepseek-chat"])
def test_choice_of_a_tool(model: str, given: Any, sent: Any) -> None:
    """As tools may be spelled in both ways, so may the choice among them."""
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    asked = body(model, tools=tools, tool_choice=given)
    assert asked["tools"] == [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    ]
    assert asked["tool_choice"] == sent


@pytest.mark.parametrize(
    ("control", "given", "sent"),
    [
        ({"type": "ephemeral"}, None, {"mode": "implicit"}),
        ({"type": "ephemeral", "ttl": "30m"}, None, {"mode": "implicit", "ttl": "30m"}),
        ({"type": "ephemeral"}, {"mode": "explicit"}, {"mode": "explicit"}),
    ],
)
def test_mark_for_the_whole_request(control: Any, given: Any, sent: Any) -> None:
    """From gpt-5.6 on it is OpenAI's implicit breakpoint, beside the others; before, nothing goes out."""
    told = [{"role": "system", "content": "S", "cache_control": {"type": "ephemeral"}}, *USER]
    arguments = {"cache_control": control, "prompt_cache_options": given}
    asked = body("openai/gpt-5.6", told, rules=True, **arguments)
    assert asked["prompt_cache_options"] == sent
    assert asked["messages"][0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert asked["messages"][1] == USER[0]
    assert "cache_control" not in json.dumps(asked)
    for model in ("openai/gpt-4o", "deepseek/deepseek-chat"):
        assert set(body(model, USER, rules=True, cache_control=control)) == {"model", "messages"}


def test_deepseek_has_no_developer() -> None:
    """DeepSeek refuses the role: such a message is a system message; no other message is copied."""
    told = [{"role": "developer", "content": "Be brief."}, *USER]
    assert body("deepseek/deepseek-chat", told)["messages"] == [
        {"role": "system", "content": "Be brief."},
        *USER,
    ]
    assert told[0]["role"] == "developer"
    assert body("openai/gpt-4o", told)["messages"] == told


@pytest.mark.parametrize("idle", [{"n": 1}, {"logit_bias": {}}, {"service_tier": "auto"}])
@pytest.mark.parametrize("model", ["deepseek/deepseek-chat", "anthropic/claude-sonnet-4-5"])
def test_parameters_that_ask_for_nothing(model: str, idle: dict[str, Any]) -> None:
    """A parameter that the provider does not have is no reason to refuse where it asks for nothing."""
    assert not set(idle) & set(body(model, **idle)) - {"service_tier"}


def test_parameters_that_ask_for_something() -> None:
    """What would be lost is named, and nothing else is."""
    with pytest.raises(UnsupportedParamsError, match="no parameter 'verbosity'; drop_params"):
        body("deepseek/deepseek-chat", n=1, verbosity="low")


@pytest.mark.parametrize(
    ("model", "effort", "hint"),
    [
        ("claude-opus-5-5", "none", "the least that the model does is 'low'"),
        ("claude-3-5-haiku-latest", "high", "the model does not reason"),
    ],
)
def test_refused_effort(model: str, effort: str, hint: str) -> None:
    """An effort that a Claude model does not have is refused with the right reason."""
    with pytest.raises(UnsupportedParamsError, match=hint):
        body(f"anthropic/{model}", reasoning_effort=effort)
