"""Messages in OpenAI's shape to Anthropic's: system, turns, content, calls and results."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest

from asynccache.aggregate import Aggregator
from asynccache.errors import InvalidRequestError
from asynccache.providers.anthropic import provider
from asynccache.request import Mark
from tests.shared import requires_shared

from .asking import TOOL, USER, ask, body_of, call, calls, result, sent
from .recorded import answers, decode, head_of
from .recorded import body_of as received

TEXT = {"type": "text", "text": "x"}


def test_one_system_text_is_a_string() -> None:
    """A single unmarked system text stays a plain string."""
    body = sent({"role": "system", "content": "SYS"}, USER)
    assert body["system"] == "SYS"
    assert body["messages"] == [USER]


def test_several_system_texts_are_blocks() -> None:
    """All leading system and developer messages are the system prompt, in order; empty ones are nothing."""
    body = sent(
        {"role": "system", "content": "A"},
        {"role": "developer", "content": [{"type": "text", "text": "B"}, {"type": "text", "text": ""}]},
        {"role": "system", "content": ""},
        USER,
    )
    assert body["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    assert "system" not in sent({"role": "system", "content": ""}, USER)


def test_a_later_system_message_stays_in_place() -> None:
    """Only the leading ones move; others keep their place and role."""
    body = sent({"role": "system", "content": "A"}, USER, {"role": "developer", "content": "B"})
    assert body["system"] == "A"
    assert body["messages"] == [USER, {"role": "system", "content": "B"}]


def test_system_is_text_alone() -> None:
    """An image in a system message is refused with its path."""
    image = {"type": "image_url", "image_url": {"url": "https://h/x.png"}}
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]\.content"):
        sent({"role": "system", "content": [image]}, USER)


def test_all_results_of_a_turn_stand_in_one_message() -> None:
    """Results first, then what the user says directly after, and whatever comes late still before it."""
    body = sent(
        USER,
        calls(call(call_id="c1"), call(call_id="c2"), call(call_id="c3")),
        result("1", "c1"),
        result("2", "c2"),
        {"role": "user", "content": "go"},
        result([{"type": "text", "text": "3"}], "c3"),
        {"role": "user", "content": [TEXT]},
        {"role": "assistant", "content": "done"},
        USER,
        USER,
    )
    assert [message["role"] for message in body["messages"]] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
        "user",
    ]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": "1"},
        {"type": "tool_result", "tool_use_id": "c2", "content": "2"},
        {"type": "tool_result", "tool_use_id": "c3", "content": [{"type": "text", "text": "3"}]},
        {"type": "text", "text": "go"},
        TEXT,
    ]


def test_results_of_two_turns_stay_apart() -> None:
    """Every turn has its own message of results."""
    body = sent(USER, calls(call()), result("1"), calls(call(call_id="c2")), result("2", "c2"))
    assert [message["role"] for message in body["messages"]] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]


def test_a_result_may_be_empty_or_an_error() -> None:
    """Nothing is said as nothing; an error is marked as one."""
    body = sent(USER, calls(call(), call(call_id="c2")), result(""), {**result("no", "c2"), "is_error": True})
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c1"},
        {"type": "tool_result", "tool_use_id": "c2", "content": "no", "is_error": True},
    ]


def test_ids_of_other_providers() -> None:
    """A call and its result keep one id, in letters that Anthropic takes."""
    body = sent(USER, calls(call(call_id="functions.f:0")), result("1", "functions.f:0"))
    assert body["messages"][1]["content"][0]["id"] == "functions_f_0"
    assert body["messages"][2]["content"][0]["tool_use_id"] == "functions_f_0"


@pytest.mark.parametrize(
    "arguments", ['{"b": 1.0, "a":[1e5 ,{}]}', '{"ä": "\\u00e4", "n": 12345678901234567890123}', " {} "]
)
def test_arguments_go_out_as_they_came(arguments: str) -> None:
    """Not one byte of a call's arguments is written anew."""
    request = ask(USER, calls(call(arguments=arguments)), result())
    assert b'"input":' + arguments.encode() + b"}" in provider.encode(request).body


@pytest.mark.parametrize("arguments", ["", "  ", None])
def test_no_arguments_are_an_empty_object(arguments: Any) -> None:
    """Anthropic wants an object, always."""
    body = sent(USER, calls(call(arguments=arguments)), result())
    assert body["messages"][1]["content"][0]["input"] == {}


@pytest.mark.parametrize("arguments", ["[1]", "null", '{"a": ', '{"a": 1} x', "{'a': 1}", '{"a": NaN}'])
def test_arguments_that_are_no_object(arguments: str) -> None:
    """They are refused with their path: what the provider would say of them names no message."""
    with pytest.raises(InvalidRequestError, match=r"messages\[1\]\.tool_calls\[0\]\.function\.arguments"):
        sent(USER, calls(call(arguments=arguments)), result())


def test_an_assistant_message_in_order() -> None:
    """Thinking first, as it came, then text, then calls."""
    thinking = [
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZA=="},
    ]
    message = {**calls(call(), content="Let me see"), "thinking_blocks": thinking, "reasoning_content": "Hm"}
    blocks = sent(USER, message, result())["messages"][1]["content"]
    assert blocks[:2] == thinking
    assert [block["type"] for block in blocks[2:]] == ["text", "tool_use"]


def test_reasoning_without_a_signature_is_not_sent() -> None:
    """Reasoning of another provider is no thinking of Anthropic's."""
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}
    assert sent(USER, message, USER)["messages"][1] == {"role": "assistant", "content": "Hi"}


def test_the_provider_s_own_blocks_come_first() -> None:
    """An answer that only blocks can say goes back as blocks, and as nothing else."""
    own = [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, TEXT]
    message = {**calls(call(), content="x"), "provider_blocks": own}
    assert sent(USER, message, USER)["messages"][1]["content"] == own


def test_blocks_of_another_provider_are_passed_over() -> None:
    """Bedrock's blocks have no type: the message is said anew from its fields."""
    message = {"role": "assistant", "content": "Hi", "provider_blocks": [{"text": "Hi"}, {"cachePoint": {}}]}
    assert sent(USER, message, USER)["messages"][1]["content"] == [{"type": "text", "text": "Hi"}]


def test_messages_that_say_nothing_are_left_out() -> None:
    """An empty answer in a history is no reason to refuse the next question; an empty question is."""
    assert sent(USER, {"role": "assistant", "content": ""}, USER)["messages"] == [USER, USER]
    assert sent(USER, {"role": "assistant", "content": None, "refusal": "No."}, USER)["messages"][1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "No."}],
    }
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]\.content is empty"):
        sent({"role": "user", "content": ""})
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]\.content is empty"):
        sent({"role": "user", "content": [{"type": "text", "text": ""}]})
    with pytest.raises(InvalidRequestError, match="nothing but system"):
        sent({"role": "system", "content": "SYS"})


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"role": "function", "name": "f", "content": "x"}, r"messages\[0\]\.role"),
        (
            {"role": "assistant", "content": None, "function_call": {"name": "f"}},
            r"messages\[0\]\.function_call",
        ),
        (
            calls({"id": "c", "type": "custom", "custom": {"name": "f", "input": ""}}),
            r"messages\[0\]\.tool_calls\[0\]\.type",
        ),
        (calls({"type": "function", "function": {"name": "f"}}), r"messages\[0\]\.tool_calls\[0\]\.id"),
        (
            {"role": "user", "content": [TEXT, {"type": "input_audio"}]},
            r"messages\[0\]\.content\[1\]\.type='input_audio'",
        ),
        (
            {"role": "user", "content": [{"type": "image_url"}]},
            r"messages\[0\]\.content\[0\]\.image_url has no 'url'",
        ),
        ({"role": "user", "content": [{"type": "file"}]}, r"messages\[0\]\.content\[0\]\.file is no object"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_data": "JVBE"}}]}, r"holds neither"),
    ],
)
def test_what_cannot_be_said_names_its_path(message: dict[str, Any], path: str) -> None:
    """A message that Anthropic's format cannot say is refused where it stands."""
    with pytest.raises(InvalidRequestError, match=path):
        sent(message)


PNG = "iVBORw0KGgo="
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        ),
        (
            {"type": "image_url", "image_url": f"data:image/jpg;charset=x;base64,{PNG}"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PNG}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://h/x.png"}},
            {"type": "image", "source": {"type": "url", "url": "https://h/x.png"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}},
            {"type": "document", "source": PDF, "title": "a.pdf"},
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:application/pdf;base64,JVBE"}},
            {"type": "document", "source": PDF},
        ),
        (
            {
                "type": "file",
                "file": {"file_data": "data:text/plain;base64," + base64.b64encode("ä".encode()).decode()},
            },
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "ä"}},
        ),
        (
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        ),
        (
            {"type": "file", "file": {"file_id": "https://h/a.pdf"}},
            {"type": "document", "source": {"type": "url", "url": "https://h/a.pdf"}},
        ),
        ({"type": "text", "text": "x", "name": "n"}, TEXT),
        ({"type": "refusal", "refusal": "No."}, {"type": "text", "text": "No."}),
    ],
)
def test_parts(part: dict[str, Any], block: dict[str, Any]) -> None:
    """OpenAI's parts become Anthropic's blocks."""
    assert sent({"role": "user", "content": [part]})["messages"][0]["content"] == [block]


@pytest.mark.parametrize(
    "kind", ["image", "document", "search_result", "tool_result", "container_upload", "web_fetch_tool_result"]
)
def test_blocks_of_anthropic_s_own(kind: str) -> None:
    """They pass as they are."""
    block = {"type": kind, "anything": {"b": 1, "a": 2}}
    assert sent({"role": "user", "content": [block]})["messages"][0]["content"] == [block]


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png,raw",
        "data:image/bmp;base64,Qk0=",
        "data:text/plain;base64,//8=",
        "file:///x.png",
        "gs://b/x.png",
    ],
)
def test_sources_that_anthropic_cannot_read(url: str) -> None:
    """They are refused with the path of their address."""
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]\.content\[0\]\.image_url\.url"):
        sent({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})


LONG: list[Any] = [
    {"role": "system", "content": [{"type": "text", "text": "SYS"}]},
    {
        "role": "user",
        "content": [TEXT, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
    },
    {
        **calls(call(arguments='{"b": 1, "a": 2}')),
        "thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": "s"}],
    },
    result([TEXT]),
    {"role": "assistant", "content": "yo"},
    {"role": "user", "content": "more"},
    {"role": "assistant", "content": [TEXT], "provider_blocks": [{"type": "fallback"}, TEXT]},
    {"role": "user", "content": "last"},
]
ALL_MARKED = (
    Mark(("messages", 0, "content", 0), "1h"),
    Mark(("messages", 2, "tool_calls", 0), "1h"),
    Mark(("messages", 3)),
    Mark(("messages", 6)),
    Mark(("tools", 0), "1h"),
)


def test_the_caller_s_objects_are_never_changed() -> None:
    """Marks or not, what the caller handed in is what it was."""
    messages, tools = copy.deepcopy(LONG), [copy.deepcopy(TOOL)]
    for marks in ((), ALL_MARKED):
        body_of(
            ask(
                *messages,
                marks=marks,
                tools=tools,
                stop=["a"],
                response_format=None,
                metadata={"user_id": "u"},
            )
        )
        assert messages == LONG
        assert tools == [TOOL]


def test_the_same_request_has_the_same_bytes() -> None:
    """Equal requests are equal on the wire, and the beginning of a conversation stays what it was."""
    once, again = (
        provider.encode(ask(*copy.deepcopy(LONG), marks=ALL_MARKED, tools=[TOOL])).body for _ in range(2)
    )
    assert once == again
    shorter = provider.encode(ask(*LONG[:-1], tools=[TOOL])).body
    longer = provider.encode(ask(*LONG, tools=[TOOL])).body
    assert longer.startswith(shorter.removesuffix(b"]}"))


@requires_shared
def test_an_answer_goes_back_as_it_came() -> None:
    """Every recorded answer, put back into messages: thinking, signatures, calls and server blocks to the byte."""
    thinking = call_count = own = 0
    for case, _ in answers():
        whole = Aggregator()
        for event in decode([received(case)], head_of(case), streamed=case["stream"]):
            whole.add(event)
        message = whole.completion().choices[0].message
        if not (message.content or message.tool_calls or message.provider_blocks):
            continue
        raw = provider.encode(ask(USER, message.to_dict(), USER)).body
        content = json.loads(raw)["messages"][1]["content"]
        if message.provider_blocks:
            assert content == message.provider_blocks
            own += 1
            continue
        blocks = [] if isinstance(content, str) else content
        assert [b for b in blocks if "thinking" in b["type"]] == (message.thinking_blocks or [])
        thinking += len(message.thinking_blocks or ())
        for made in message.tool_calls or ():
            assert (
                f'"id":"{made.id}","name":"{made.function.name}","input":{made.function.arguments}'.encode()
                in raw
            )
            call_count += 1
        if not case["stream"]:
            mine = [
                {k: v for k, v in b.items() if k not in {"caller", "citations"}}
                for b in json.loads(received(case))["content"]
            ]
            if [b["type"] for b in mine].count("text") < 2 and blocks:
                assert blocks == [b for b in mine if b != {"type": "text", "text": ""}]
    assert thinking >= 30
    assert call_count >= 30
    assert own >= 10
