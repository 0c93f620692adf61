"""Parameters: OpenAI's in Anthropic's words, Anthropic's own as they are, all others refused or dropped."""

from __future__ import annotations

from typing import Any

import pytest

from asynccache.errors import InvalidRequestError, UnsupportedParamsError
from asynccache.providers.anthropic import provider
from asynccache.providers.anthropic.rules import facts_of

from .asking import TOOL, USER, ask, body_of, sent

OLD, NEW, ALWAYS = "anthropic/claude-sonnet-4-5", "anthropic/claude-opus-5", "anthropic/claude-opus-5-5"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")


def checked(*, model: str = OLD, drop: bool = False, **params: Any) -> dict[str, Any]:
    """The body, after the check that comes before every call."""
    return body_of(provider.check(ask(USER, model=model, drop_params=drop, **params)))


SCHEMA = {"type": "object", "properties": {"b": {}, "a": {}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 0}, {"max_tokens": 0}),
        ({"max_tokens": 5, "max_completion_tokens": 7}, {"max_tokens": 7}),
        ({"stop": "a"}, {"stop_sequences": ["a"]}),
        ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
        ({"stop_sequences": ["c"]}, {"stop_sequences": ["c"]}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"safety_identifier": "u"}, {"metadata": {"user_id": "u"}}),
        ({"user": "u", "metadata": {"user_id": "v"}}, {"metadata": {"user_id": "v"}}),
        ({"temperature": 0, "top_p": 0.5, "top_k": 4}, {"temperature": 0, "top_p": 0.5, "top_k": 4}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"stream_options": {"include_usage": True}}, {}),
        ({"n": 1, "logprobs": False, "frequency_penalty": 0.0, "presence_penalty": 0, "logit_bias": {}}, {}),
        ({"response_format": {"type": "text"}}, {}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}}},
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        ),
        (
            {"response_format": {"type": "json_schema", "schema": SCHEMA}, "output_config": {"effort": "low"}},
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"}},
        ),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        ({"diagnostics": {"previous_message_id": None}, "speed": "fast"}, {"diagnostics": {"previous_message_id": None}, "speed": "fast"}),
        ({"mcp_servers": [{}], "container": "c", "inference_geo": "us"}, {"mcp_servers": [{}], "container": "c", "inference_geo": "us"}),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, {}),  # without tools there is nothing to choose
    ],
)  # fmt: skip
def test_what_has_a_counterpart(params: dict[str, Any], fields: dict[str, Any]) -> None:
    """Each parameter becomes Anthropic's field, or none where it asks for nothing."""
    assert checked(**params) == {
        "model": "claude-sonnet-4-5", "max_tokens": 64_000, "messages": [USER], **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "effort", "fields"),
    [
        (OLD, "minimal", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (OLD, "high", {"thinking": {"type": "enabled", "budget_tokens": 16_384}}),
        (OLD, "none", {}),
        ("anthropic/claude-sonnet-4-6", "medium", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}),
        ("anthropic/claude-sonnet-4-6", "none", {}),
        (NEW, "minimal", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        (NEW, "none", {"thinking": {"type": "disabled"}}),
        ("anthropic/claude-sonnet-5-5", "none", {"thinking": {"type": "between_tools"}}),
        (ALWAYS, "xhigh", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}),
        ("anthropic/claude-of-tomorrow-9", "low", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    ],
)  # fmt: skip
def test_reasoning_effort(model: str, effort: str, fields: dict[str, Any]) -> None:
    """Effort where the model knows it, a number of tokens where it does not, and off as the model is turned off."""
    body = checked(model=model, reasoning_effort=effort)
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == fields


def test_what_the_caller_says_of_thinking_holds() -> None:
    """Anthropic's own parameters stand above what reasoning_effort comes to."""
    body = checked(
        model=NEW, reasoning_effort="low", thinking={"type": "disabled"}, output_config={"effort": "max"}
    )
    assert (body["thinking"], body["output_config"]) == ({"type": "disabled"}, {"effort": "max"})
    body = checked(reasoning_effort="low", thinking={"type": "enabled", "budget_tokens": 5000})
    assert body["thinking"]["budget_tokens"] == 5000


def test_thinking_leaves_room_for_the_answer() -> None:
    """The tokens to think stay below max_tokens; where nothing is left, the message says so."""
    assert checked(reasoning_effort="high", max_tokens=4000)["thinking"]["budget_tokens"] == 2000
    assert checked(reasoning_effort="high", max_tokens=1025)["thinking"]["budget_tokens"] == 1024
    with pytest.raises(InvalidRequestError, match="max_tokens=1024 leaves no room"):
        checked(reasoning_effort="low", max_tokens=1024)


REFUSED: list[tuple[str, dict[str, Any]]] = [
    (OLD, {"seed": 1}),
    (OLD, {"n": 2}),
    (OLD, {"logprobs": True}),
    (OLD, {"top_logprobs": 3}),
    (OLD, {"frequency_penalty": 0.5}),
    (OLD, {"presence_penalty": 1}),
    (OLD, {"logit_bias": {"1": 2}}),
    (OLD, {"functions": []}),
    (OLD, {"system": "S"}),
    (OLD, {"response_format": {"type": "json_object"}}),
    (OLD, {"metadata": {"topic": "x"}}),
    (OLD, {"service_tier": "flex"}),
    (OLD, {"verbosity": "low"}),
    (OLD, {"never_heard_of": 1}),
    (NEW, {"temperature": 0}),
    (NEW, {"top_p": 0.9}),
    (NEW, {"top_k": 5}),
    (ALWAYS, {"reasoning_effort": "none"}),
    ("anthropic/claude-3-5-haiku-latest", {"reasoning_effort": "low"}),
]


@pytest.mark.parametrize(("model", "params"), REFUSED)
def test_what_anthropic_does_not_have(model: str, params: dict[str, Any]) -> None:
    """It is refused by name, provider and remedy; with drop_params it is left out."""
    (name,) = params
    with pytest.raises(
        UnsupportedParamsError, match=rf"anthropic cannot take {name}=.*drop_params=True"
    ) as caught:
        checked(model=model, **params)
    assert "\n" not in caught.value.message
    assert checked(model=model, drop=True, **params) == checked(model=model)


def test_dropping_keeps_the_rest() -> None:
    """Only what cannot be said is left out, and the caller's params are not changed."""
    request = ask(USER, drop_params=True, seed=1, temperature=0.5, n=1)
    after = provider.check(request)
    assert after.params == {"temperature": 0.5}
    assert request.params == {"seed": 1, "temperature": 0.5, "n": 1}


@pytest.mark.parametrize(
    "model", ["anthropic/claude-opus-4-7", "anthropic/claude-fable-5-1", "anthropic/claude-haiku-5-5"]
)
def test_sampling_at_its_default_is_no_matter(model: str) -> None:
    """Models without sampling take the default said aloud."""
    assert checked(model=model, temperature=1.0)["temperature"] == 1.0


@pytest.mark.parametrize(
    "params",
    [
        {"max_tokens": 2.5},
        {"max_tokens": -1},
        {"max_tokens": True},
        {"reasoning_effort": "enormous"},
        {"response_format": {"type": "json_schema"}},
        {"response_format": "json"},
        {"response_format": {"type": "grammar"}},
    ],
)
def test_values_without_a_meaning(params: dict[str, Any]) -> None:
    """They are refused in a line that names the value."""
    (name,) = params
    with pytest.raises(InvalidRequestError, match=name):
        checked(**params)


@pytest.mark.parametrize(
    ("params", "choice"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"type": "tool", "name": "f"}),
        ({"tool_choice": {"type": "tool", "name": "f"}}, {"type": "tool", "name": "f"}),
        (
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": True}, None),
        ({}, None),
    ],
)
def test_the_choice_among_tools(params: dict[str, Any], choice: Any) -> None:
    """OpenAI's choice and its wish for one call at a time are one object of Anthropic's."""
    assert sent(USER, tools=[TOOL], **params).get("tool_choice") == choice


@pytest.mark.parametrize("choice", ["maybe", {"type": "allowed_tools"}, {"type": "function"}, 3])
def test_a_choice_that_is_none(choice: Any) -> None:
    """It is refused by value."""
    with pytest.raises(InvalidRequestError, match="tool_choice="):
        sent(USER, tools=[TOOL], tool_choice=choice)


@pytest.mark.parametrize(
    ("tool", "definition"),
    [
        (TOOL, {"name": "f", "description": "d", "input_schema": TOOL["function"]["parameters"]}),
        ({"type": "function", "function": {"name": "f"}}, {"name": "f", "input_schema": {"type": "object", "properties": {}}}),
        (
            {"type": "function", "function": {"name": "f", "parameters": {"required": []}, "strict": True}, "defer_loading": True},
            {
                "name": "f",
                "input_schema": {"type": "object", "properties": {}, "required": []},
                "strict": True,
                "defer_loading": True,
            },
        ),
        ({"type": "function", "function": {"name": "f", "strict": False, "parameters": SCHEMA}}, {"name": "f", "input_schema": SCHEMA}),
        ({"name": "g", "input_schema": {"type": "object"}, "x": 1}, {"name": "g", "input_schema": {"type": "object"}, "x": 1}),
        ({"type": "bash_20250124", "name": "bash"}, {"type": "bash_20250124", "name": "bash"}),
    ],
)  # fmt: skip
def test_tools(tool: dict[str, Any], definition: dict[str, Any]) -> None:
    """OpenAI's functions are said anew, schema and key order kept; Anthropic's own tools pass."""
    body = sent(USER, tools=[tool])
    assert body["tools"] == [definition]
    assert (
        list(body["tools"][0]["input_schema"]) == list(definition["input_schema"])
        if "input_schema" in definition
        else True
    )


def test_no_tools_are_not_sent() -> None:
    """An empty list says nothing."""
    assert "tools" not in sent(USER, tools=[])


def test_extra_body_comes_last() -> None:
    """It adds and replaces fields, whatever they are."""
    assert sent(USER, extra_body={"max_tokens": 3, "x": [1]}, max_tokens=9) | {"messages": 0} == {
        "model": "claude-sonnet-4-5", "max_tokens": 3, "messages": 0, "x": [1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "tokens", "mid_system"),
    [
        ("claude-3-haiku-20240307", 4096, False),
        ("claude-3-5-sonnet-20240620", 8192, False),
        ("claude-opus-4-20250514", 32_000, False),
        ("claude-opus-4-0", 32_000, False),
        ("claude-opus-4-1@20250805", 32_000, False),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 64_000, False),
        ("claude-opus-4-7", 64_000, False),
        ("anthropic.claude-opus-4-8", 64_000, True),
        ("claude-sonnet-5", 64_000, False),
        ("claude-sonnet-5-5", 64_000, True),
        ("claude-opus-5", 64_000, True),
        ("claude-fable-5-2", 64_000, True),
        ("claude-unheard-of", 64_000, False),
        ("some-other-model", 64_000, False),
    ],
)
def test_models_by_all_their_names(model: str, tokens: int, mid_system: bool) -> None:
    """Dates, regions and versions around a name are no matter; an unknown model is asked with care."""
    assert (facts_of(model).max_tokens, facts_of(model).mid_system) == (tokens, mid_system)
    rules = provider.cache_rules(ask(USER, model=f"anthropic/{model}"))
    assert (rules.style, rules.max_marks, rules.automatic) == ("blocks", 4, "native")
    assert (rules.mid_system, rules.strict_mid_system) == (mid_system, mid_system)
    assert rules.params == frozenset()
