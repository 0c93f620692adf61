"""Bad input is refused before anything is sent, in one line that names the value and the remedy."""

from __future__ import annotations

import re
from typing import Any

import pytest

from asynccache.arguments import build_request, full_model
from asynccache.errors import (
    AsyncCacheError,
    InvalidRequestError,
    MissingAPIKeyError,
    UnknownProviderError,
    UnsupportedParamsError,
)
from asynccache.providers.registry import get, names
from asynccache.reply import Function, Message, ToolCall
from asynccache.request import Request, Timeout
from asynccache.secret import Secret

USER = [{"role": "user", "content": "hi"}]


def build(model: Any = "openai/gpt-4o", messages: Any = USER, **arguments: Any) -> Request:
    return build_request(
        model,
        messages,
        stream=False,
        timeout=Timeout(),
        max_retries=2,
        arguments={"api_key": "k", **arguments},
    )


@pytest.mark.parametrize(
    ("messages", "path"),
    [
        ("hello", "messages is a str"),
        ({}, "messages is a dict"),
        ([], "messages is empty"),
        (["hi"], r"messages\[0\] is a str"),
        ([{"content": "x"}], r"messages\[0\].role=None"),
        ([{"role": "robot", "content": "x"}], r"messages\[0\].role='robot'"),
        ([{"role": "user"}], r"messages\[0\].content is missing"),
        ([{"role": "user", "content": 5}], r"messages\[0\].content is a int"),
        ([*USER, {"role": "user", "content": ["x"]}], r"messages\[1\].content\[0\] is a str"),
        (
            [*USER, *USER, *USER, {"role": "user", "content": [{"text": "x"}]}],
            r"messages\[3\].content\[0\].type=None",
        ),
        ([{"role": "user", "content": [{"type": "text"}]}], r"messages\[0\].content\[0\].text=None"),
        ([{"role": "assistant", "tool_calls": {}}], r"messages\[0\].tool_calls is a dict"),
        ([{"role": "assistant", "tool_calls": [{"id": "x"}]}], r"messages\[0\].tool_calls\[0\].function"),
        (
            [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}],
            r"tool_calls\[0\].function.arguments is a dict",
        ),
        ([{"role": "tool", "content": "x"}], r"messages\[0\].tool_call_id=None"),
    ],
)
def test_messages(messages: Any, path: str) -> None:
    """A message of the wrong shape names its path."""
    with pytest.raises(InvalidRequestError, match=path) as caught:
        build(messages=messages)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"tools": {}}, "tools is a dict"),
        ({"tools": ["x"]}, r"tools\[0\] is a str"),
        ({"tools": [{"type": "function", "function": {}}]}, r"tools\[0\].function.name"),
        ({"timeout": -1}, "timeout=-1"),
        ({"timeout": "20"}, "timeout='20'"),
        ({"max_retries": -1}, "max_retries=-1"),
        ({"max_retries": True}, "max_retries=True"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"api_key": 5}, "api_key is a int"),
        ({"extra_body": []}, "extra_body"),
        ({"extra_headers": {"a": 1}}, "extra_headers"),
        ({"aws_region_name": 5}, "aws_region_name=5"),
        ({"timeout": Timeout(total=0)}, r"Timeout\(total=0\)"),
        ({"timeout": Timeout(idle="3")}, r"Timeout\(idle='3'\)"),  # type: ignore[arg-type]  # what is tested
        ({"timeout": Timeout(first_event=float("nan"))}, r"Timeout\(first_event=nan\)"),
        ({"stream_options": "x"}, "stream_options='x' is not a dict"),
        ({"response_format": Timeout}, "response_format=.* is not a dict"),
        (
            {"cache_control_injection_points": {"location": "message"}},
            "injection_points is a dict; it is a list",
        ),
        ({"stop": 5}, "stop=5"),
        ({"stop": ["a", None]}, "stop="),
        ({"request_timeout": 3}, "request_timeout= is LiteLLM's; here write timeout="),
        ({"mock_response": "hi", "drop_params": True}, r"asynccache\.testing has answers"),
    ],
)
def test_arguments(arguments: dict[str, Any], text: str) -> None:
    """So does every other argument."""
    with pytest.raises(InvalidRequestError, match=text):
        build(**arguments)


def test_model_names() -> None:
    """A provider before the slash, or a bare name that the price book knows."""
    assert full_model("openai/anything at all") == "openai/anything at all"
    assert full_model("gpt-4o") == "openai/gpt-4o"
    assert full_model("claude-sonnet-4-5") == "anthropic/claude-sonnet-4-5"
    assert full_model("deepseek-chat") == "deepseek/deepseek-chat"
    assert full_model("m", "openai") == "openai/m"
    assert full_model(" gpt-4o\n") == "openai/gpt-4o"
    assert {"anthropic", "bedrock", "deepseek", "openai"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_every_provider_that_is_named_is_there(name: str) -> None:
    """What errors list as known can be asked: a part of a provider, in a file of its own, is none."""
    assert get(name).name == name


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("opnai/gpt-4o", "'opnai'.*did you mean 'openai/gpt-4o'"),
        ("nobody/x", "no provider named 'nobody'.*Known: .*anthropic"),
        ("gpt-40", "no known model is named 'gpt-40'.*'openai/gpt-4o'.*'openai/gpt-40'"),
        ("claude-sonet-4-5", "claude-sonnet-4-5.*send it all the same: 'anthropic/claude-sonet-4-5'"),
        ("OpenAI/gpt-4o", "did you mean 'openai/gpt-4o'"),
        (
            "gemini/gemini-2.5-pro",
            r"no provider named 'gemini' \(model='gemini/gemini-2.5-pro'\); .*as 'openai/gemini-2.5-pro' with api_base=",
        ),
        ("openai:gpt-4o", "'openai:gpt-4o'; write 'openai/gpt-4o'"),
        ("Hello!", r"named 'Hello!'\. Name the provider to send it all the same: 'openai/Hello!'"),
        ("claude-opus-x:y", "send it all the same: 'anthropic/claude-opus-x:y'"),
    ],
)
def test_unknown_names(model: str, text: str) -> None:
    """An unknown provider or bare name names the nearest known ones."""
    with pytest.raises(UnknownProviderError, match=text):
        full_model(model)


def test_the_nearest_names_can_be_asked() -> None:
    """What is proposed for an unknown bare name is a provider of ours, and not only of the price book's."""
    with pytest.raises(UnknownProviderError) as caught:
        full_model("gpt-5-turbo-sol-nano")
    proposed = re.findall(r"'([\w.-]+)/", str(caught.value))
    assert proposed
    assert set(proposed) <= set(names())


@pytest.mark.parametrize(
    ("messages", "arguments"),
    [
        ([{"role": "user", "content": [{"type": "text", "text": ["secret " * 1000]}]}], {}),
        ([{"role": "secret " * 1000, "content": "x"}], {}),
        (USER, {"stop": {"secret " * 1000: 1}}),
        (USER, {"metadata": "secret " * 1000}),
    ],
)
def test_a_long_value_is_told_by_its_beginning(messages: Any, arguments: dict[str, Any]) -> None:
    """A prompt in the wrong place does not fill the log."""
    with pytest.raises(InvalidRequestError, match="…") as caught:
        build(messages=messages, **arguments)
    assert len(str(caught.value)) < 250


def test_what_other_libraries_write() -> None:
    """A model class of pydantic's, and a cache point of Bedrock's, are told how they are written here."""

    class Weather:
        @classmethod
        def model_json_schema(cls) -> dict[str, Any]:
            return {}

    with pytest.raises(
        InvalidRequestError, match=r"'name': 'Weather', 'schema': Weather.model_json_schema\(\)"
    ):
        build(response_format=Weather)
    parts = [{"type": "text", "text": "x"}, {"cachePoint": {"type": "default"}}]
    with pytest.raises(InvalidRequestError, match=r"content\[1\].*cache_control=.* on the part before it"):
        build(messages=[{"role": "user", "content": parts}])


@pytest.mark.parametrize("model", [None, "", "  ", 5, b"gpt-4o", "openai/", "anthropic/ "])
def test_no_name(model: Any) -> None:
    """What is no name at all says how one looks."""
    with pytest.raises(InvalidRequestError, match=r"write '\w+/model'"):
        full_model(model)


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai/x", "OPENAI_API_KEY"),
        ("anthropic/x", "ANTHROPIC_API_KEY"),
        ("deepseek/x", "DEEPSEEK_API_KEY"),
        ("groq/x", "GROQ_API_KEY"),
    ],
)
def test_missing_key(model: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key is one line that names the variable; an empty one is allowed on loopback only."""
    for name in (
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "DEEPSEEK_API_KEY",
        "GROQ_API_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
    provider = get(model.partition("/")[0])
    with pytest.raises(MissingAPIKeyError, match=f"{variable} or pass api_key="):
        provider.check(build(model, api_key=None))
    monkeypatch.setenv(variable, "")
    with pytest.raises(MissingAPIKeyError, match="is empty"):
        provider.check(build(model, api_key=None))
    provider.check(build(model, api_key=None, api_base="http://127.0.0.1:1/v1"))
    with pytest.raises(MissingAPIKeyError, match="is missing"):
        monkeypatch.delenv(variable)
        provider.check(build(model, api_key=None, api_base="http://127.0.0.1:1/v1"))


@pytest.mark.parametrize("base", ["localhost:8000", "ftp://x/", "https://", "https://user:secret@host/v1"])
def test_bad_address(base: str) -> None:
    """An address that is none is refused, and a password in it is not repeated."""
    with pytest.raises(InvalidRequestError, match="api_base") as caught:
        get("openai").check(build(api_base=base))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "param"),
    [
        ("openai/gpt-4o", {"top_k": 5}),
        ("anthropic/claude-sonnet-4-5", {"logprobs": True}),
        ("anthropic/claude-sonnet-4-5", {"n": 2}),
        ("deepseek/deepseek-chat", {"n": 2}),
    ],
)
def test_unsupported_params(model: str, param: dict[str, Any]) -> None:
    """A parameter that the provider does not have names it, the provider and `drop_params`, which drops it."""
    provider = get(model.partition("/")[0])
    name = next(iter(param))
    with pytest.raises(UnsupportedParamsError, match="drop_params=True") as caught:
        provider.check(build(model, **param))
    assert name in str(caught.value)
    assert provider.name in str(caught.value).lower()
    assert name not in provider.check(build(model, **param, drop_params=True, temperature=1)).params


def test_a_key_that_no_header_can_carry() -> None:
    """A key copied with a line break is named as that, and not shown."""
    with pytest.raises(MissingAPIKeyError, match="copy it again") as caught:
        get("openai").check(build(api_key="sk-first\nsk-second"))
    assert "sk-" not in str(caught.value)


def test_none_is_not_given() -> None:
    """Arguments that are None are left out, as OpenAI's SDK has it."""
    request = build(temperature=None, max_tokens=5, tools=None, stop=None)
    assert dict(request.params) == {"max_tokens": 5}
    assert request.tools is None


def test_own_messages_go_back_in() -> None:
    """A reply's message, and objects of the SDKs, become plain dicts; plain messages stay the caller's own."""
    call = ToolCall(id="c1", function=Function(name="f", arguments="{}"))
    message = Message(content=None, tool_calls=[call], reasoning_content="hm")
    plain = {"role": "user", "content": "hi"}
    request = build(messages=[plain, message, {"role": "tool", "tool_call_id": "c1", "content": "r"}])
    assert request.messages[0] is plain
    assert request.messages[1]["tool_calls"][0] == {
        "id": "c1", "function": {"name": "f", "arguments": "{}"}, "type": "function"
    }  # fmt: skip
    untouched = [plain]
    assert build(messages=untouched).messages is untouched


def test_objects_in_plain_messages() -> None:
    """The calls of a reply, ours or the openai SDK's, may stand in a message that the caller writes."""
    from openai.types.chat.chat_completion_message_tool_call import ChatCompletionMessageToolCall
    from openai.types.chat.chat_completion_message_tool_call import Function as SDKFunction

    function = {"name": "f", "arguments": "{}"}
    for call in (
        ToolCall(id="c1", function=Function(name="f", arguments="{}")),
        ChatCompletionMessageToolCall(id="c1", type="function", function=SDKFunction(**function)),
    ):
        given = {"role": "assistant", "content": None, "tool_calls": [call]}
        request = build(messages=[*USER, given])
        assert request.messages[1]["tool_calls"] == [{"id": "c1", "type": "function", "function": function}]
        assert given["tool_calls"] == [call]
        assert request.messages[0] is USER[0]


def test_keys_are_secrets() -> None:
    """No key stands readable in a request."""
    request = build(api_key="sk-live-canary", aws_secret_access_key="aws-canary", aws_region_name="eu-west-1")
    assert request.access is not None
    assert request.access.api_key == Secret("sk-live-canary")
    assert request.access.options["aws_region_name"] == "eu-west-1"
    assert "canary" not in repr(request)


def test_access_is_for_one_provider() -> None:
    """A stage that asks another provider does not bring the first one's key and address there."""
    import msgspec

    request = build("openai/gpt-4o", api_key="sk-openai", api_base="http://127.0.0.1:1/v1")
    other = msgspec.structs.replace(request, model="anthropic/claude-sonnet-4-5")
    assert request.reach.api_key == Secret("sk-openai")
    assert other.reach.api_key is None
    assert other.reach.api_base is None


def test_one_root() -> None:
    """All of these are errors of one tree."""
    for wrong in ("opnai/x", ""):
        with pytest.raises(AsyncCacheError):
            full_model(wrong)
