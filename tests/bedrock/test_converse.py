"""Requests in OpenAI's terms become Converse's, and AWS's own model of the service agrees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asynccache.errors import InvalidRequestError, UnsupportedParamsError
from asynccache.providers.bedrock import provider
from asynccache.request import Mark, Request

CLAUDE = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "bedrock/converse/us.amazon.nova-pro-v1:0"
LLAMA = "bedrock/meta.llama3-1-70b-instruct-v1:0"
HI = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"b": 1, "a": 2.50}'}}
PIXEL = "iVBORw0KGgo="


def body(
    messages: Any = (HI,), *, model: str = CLAUDE, marks: tuple[Mark, ...] = (), **rest: Any
) -> dict[str, Any]:
    """The body sent, which botocore's own model of the service must take."""
    fields = {
        name: rest.pop(name) for name in ("tools", "stream", "drop_params", "extra_body") if name in rest
    }
    request = Request(model=model, messages=list(messages), params=rest, marks=marks, **fields)
    sent: dict[str, Any] = json.loads(provider.encode(provider.check(request)).body)
    validate(sent)
    return sent


def validate(sent: dict[str, Any]) -> None:
    """Let botocore judge the shape, where it is installed."""
    session = pytest.importorskip("botocore.session")
    validate_ = pytest.importorskip("botocore.validate")
    shape = session.get_session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape
    report = validate_.ParamValidator().validate({**sent, "modelId": "m"}, shape)
    assert not report.has_errors(), report.generate_report()


def test_the_plainest_request() -> None:
    """A question is one message, and nothing that was not asked for is sent."""
    assert body() == {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}


def test_system_messages_lead() -> None:
    """Leading system and developer messages are the system prompt."""
    sent = body(
        [
            {"role": "system", "content": "a"},
            {"role": "developer", "content": [{"type": "text", "text": "b"}]},
            HI,
        ]
    )
    assert sent["system"] == [{"text": "a"}, {"text": "b"}]


def test_tool_turns_are_grouped() -> None:
    """All results of a turn and what the user adds are one user message, results first, ids kept."""
    second = {**CALL, "id": "c2", "function": {"name": "f", "arguments": ""}}
    sent = body(
        [
            HI,
            {"role": "assistant", "content": "calling", "tool_calls": [CALL, second]},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {
                "role": "tool",
                "tool_call_id": "c2",
                "content": [{"type": "text", "text": "two"}],
                "is_error": True,
            },
            {"role": "user", "content": "go on"},
        ],
        tools=[TOOL],
    )
    assert sent["messages"][1]["content"] == [
        {"text": "calling"},
        {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"b": 1, "a": 2.5}}},
        {"toolUse": {"toolUseId": "c2", "name": "f", "input": {}}},
    ]
    assert sent["messages"][2] == {
        "role": "user",
        "content": [
            {"toolResult": {"toolUseId": "c1", "content": [{"text": "one"}]}},
            {"toolResult": {"toolUseId": "c2", "content": [{"text": "two"}], "status": "error"}},
            {"text": "go on"},
        ],
    }


def test_arguments_stay_byte_for_byte() -> None:
    """The model's own JSON goes back as it wrote it: a reordered key or number would cost the cached prefix."""
    request = Request(
        model=CLAUDE,
        messages=[HI, {"role": "assistant", "content": None, "tool_calls": [CALL]}],
        tools=[TOOL],
    )
    assert b'"input":{"b": 1, "a": 2.50}' in provider.encode(request).body


@pytest.mark.parametrize("arguments", ["{", "[1]", "1"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    """Broken arguments are refused here, by their path, not by Bedrock's riddle."""
    call = {**CALL, "function": {"name": "f", "arguments": arguments}}
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]\.tool_calls\[0\]\.function\.arguments"):
        body([{"role": "assistant", "tool_calls": [call]}])


def test_ids_of_other_providers_are_made_fit() -> None:
    """Ids too long or of other letters become ids that Bedrock takes: in call and result the same, and always."""
    foreign = "call:" + "x" * 80
    messages = [
        HI,
        {"role": "assistant", "tool_calls": [{**CALL, "id": foreign}]},
        {"role": "tool", "tool_call_id": foreign, "content": "r"},
    ]
    first, again = body(messages, tools=[TOOL]), body(messages, tools=[TOOL])
    assert first == again
    used = first["messages"][1]["content"][0]["toolUse"]["toolUseId"]
    assert used == first["messages"][2]["content"][0]["toolResult"]["toolUseId"]
    assert len(used) <= 64


def test_blank_text_is_left_out() -> None:
    """Bedrock refuses blank text: blank parts and assistant messages without a word are not sent."""
    parts = [{"type": "text", "text": " "}, {"type": "text", "text": "x"}]
    sent = body([{"role": "user", "content": parts}, {"role": "assistant", "content": ""}, HI])
    assert sent["messages"] == [{"role": "user", "content": [{"text": "x"}, {"text": "hi"}]}]
    with pytest.raises(InvalidRequestError, match=r"messages\[0\] holds no text"):
        body([{"role": "user", "content": "\n"}])


def test_thinking_goes_back_first_and_unchanged() -> None:
    """Signed and redacted thinking stands before text and calls; without a signature it is not sent."""
    thinking = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "AAAA"},
        {"type": "thinking", "thinking": "unsigned", "signature": ""},
    ]
    sent = body(
        [
            HI,
            {"role": "assistant", "content": "yo", "thinking_blocks": thinking, "reasoning_content": "hm"},
            HI,
        ]
    )
    assert sent["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"text": "yo"},
    ]


def test_an_answer_in_own_blocks_goes_back_as_it_came() -> None:
    """Blocks that OpenAI's shape cannot say are kept whole, marks after them."""
    blocks = [
        {"text": "a"},
        {"reasoningContent": {"reasoningText": {"text": "b", "signature": "s"}}},
        {"text": "c"},
    ]
    message = {"role": "assistant", "content": "ac", "provider_blocks": blocks}
    sent = body([HI, message, HI], marks=(Mark(("messages", 1)),))
    assert sent["messages"][1]["content"] == [*blocks, {"cachePoint": {"type": "default"}}]


def test_unsigned_reasoning_never_goes_back() -> None:
    """Reasoning that carries no signature is refused by Bedrock, in own blocks as anywhere."""
    blocks = [{"text": "a"}, {"reasoningContent": {"reasoningText": {"text": "b"}}}, {"text": "c"}]
    message = {"role": "assistant", "content": "ac", "provider_blocks": blocks}
    assert body([HI, message, HI])["messages"][1]["content"] == [{"text": "a"}, {"text": "c"}]


def test_foreign_blocks_are_not_mistaken_for_own_ones() -> None:
    """Blocks of Anthropic's own API are not sent to Converse: text and calls say the same."""
    message = {"role": "assistant", "content": "a", "provider_blocks": [{"type": "text", "text": "a"}]}
    assert body([HI, message, HI])["messages"][1]["content"] == [{"text": "a"}]


@pytest.mark.parametrize(
    ("part", "want"),
    [
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            {"image": {"format": "png", "source": {"bytes": PIXEL}}},
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PIXEL}},
            {"image": {"format": "jpeg", "source": {"bytes": PIXEL}}},
        ),
        (
            {"type": "image_url", "image_url": "s3://bucket/a.webp"},
            {"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://bucket/a.webp"}}}},
        ),
        (
            {
                "type": "file",
                "file": {"file_data": f"data:application/pdf;base64,{PIXEL}", "filename": "Q3: plan_v2.pdf"},
            },
            {"document": {"format": "pdf", "name": "Q3 plan v2", "source": {"bytes": PIXEL}}},
        ),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "x"},
                "title": "T",
            },
            {"document": {"format": "txt", "name": "T", "source": {"text": "x"}}},
        ),
        (
            {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{PIXEL}"}},
            {"video": {"format": "mp4", "source": {"bytes": PIXEL}}},
        ),
        ({"type": "guarded_text", "text": "x"}, {"guardContent": {"text": {"text": "x"}}}),
        ({"type": "refusal", "refusal": "no"}, {"text": "no"}),
        ("bare", {"text": "bare"}),
        (
            {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "mp3"}},
            {"audio": {"format": "mp3", "source": {"bytes": PIXEL}}},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": f"data:image/gif;base64,{PIXEL}"}},
            {"image": {"format": "gif", "source": {"bytes": PIXEL}}},
        ),
        ({"text": "native"}, {"text": "native"}),
    ],
)
def test_parts(part: Any, want: dict[str, Any]) -> None:
    """Images, documents and video become Converse's blocks; its own blocks pass."""
    assert (
        body([{"role": "user", "content": [part, {"type": "text", "text": "x"}]}])["messages"][0]["content"][
            0
        ]
        == want
    )


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}, "fetches no addresses"),
        ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}}, "image/tiff"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "no file ids"),
        ({"type": "hologram"}, "'hologram'"),
        ({"type": "file"}, "under 'file'"),
        ({"type": "input_audio"}, "data and format"),
        ({"type": "image"}, "has a source"),
        ({"type": "image_url", "image_url": {}}, "no data"),
        ({"type": "text", "text": 1}, "int, not a string"),
        (7, "int"),
    ],
)
def test_parts_that_cannot_be_said(part: Any, words: str) -> None:
    """What Converse cannot take is refused by its path, with what to do instead."""
    with pytest.raises(InvalidRequestError, match=rf"messages\[0\]\.content\[0\].*{words}"):
        body([{"role": "user", "content": [part]}])


def test_marks_stand_behind_what_they_mark() -> None:
    """A checkpoint is a block of its own: behind the part, the call, the whole result, the tool."""
    point = {"cachePoint": {"type": "default"}}
    hour = {"cachePoint": {"type": "default", "ttl": "1h"}}
    sent = body(
        [
            {"role": "system", "content": "SYS"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]},
        ],
        tools=[TOOL, {**TOOL, "function": {"name": "g"}}],
        marks=(
            Mark(("tools", 0), "1h"),
            Mark(("messages", 0), "1h"),
            Mark(("messages", 1, "content", 0)),
            Mark(("messages", 2, "tool_calls", 0)),
            Mark(("messages", 3)),
        ),
    )
    assert [next(iter(tool)) for tool in sent["toolConfig"]["tools"]] == [
        "toolSpec",
        "cachePoint",
        "toolSpec",
    ]
    assert sent["toolConfig"]["tools"][1] == hour
    assert sent["system"] == [{"text": "SYS"}, hour]
    assert sent["messages"][0]["content"] == [{"text": "a"}, point, {"text": "b"}]
    assert sent["messages"][1]["content"][1] == point
    assert sent["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "c1", "content": [{"text": "r"}]}},
        point,
    ]


DOCUMENT = {"type": "file", "file": {"file_data": f"data:text/csv;base64,{PIXEL}", "filename": "a.csv"}}


@pytest.mark.parametrize(
    ("parts", "mark", "want"),
    [
        (["x", DOCUMENT, DOCUMENT], 2, ["text", "cachePoint", "document", "document"]),
        (["x", DOCUMENT, "y"], 1, ["text", "cachePoint", "document", "text"]),
        (["x", DOCUMENT, "y"], 2, ["text", "document", "text", "cachePoint"]),
        ([DOCUMENT, "y"], 0, ["document", "text"]),
    ],
)
def test_checkpoints_never_follow_documents(parts: list[Any], mark: int, want: list[str]) -> None:
    """Bedrock refuses a checkpoint directly behind a document: it stands before it, where something is before it."""
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    sent = body([{"role": "user", "content": content}], marks=(Mark(("messages", 0, "content", mark)),))
    assert [next(iter(block)) for block in sent["messages"][0]["content"]] == want


def test_models_of_one_lifetime_are_told_none() -> None:
    """Nova knows no `ttl`: the field is not sent."""
    sent = body([HI], model=NOVA, marks=(Mark(("messages", 0), "5m"),))
    assert sent["messages"][0]["content"][1] == {"cachePoint": {"type": "default"}}


def test_a_mark_on_a_result_is_never_inside_it() -> None:
    """Wherever in a tool's message the mark was put, it stands behind the whole result."""
    messages = [
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]},
    ]
    sent = body(messages, tools=[TOOL], marks=(Mark(("messages", 1, "content", 0)),))
    assert [next(iter(block)) for block in sent["messages"][1]["content"]] == ["toolResult", "cachePoint"]


@pytest.mark.parametrize(
    ("model", "want"),
    [
        ("anthropic.claude-opus-4-8-v1:0", "system"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "user"),
        ("us.amazon.nova-pro-v1:0", "user"),
    ],
)
def test_system_messages_between_others(model: str, want: str) -> None:
    """In place as a system message where the model takes it, else as what the user says."""
    messages = [HI, {"role": "assistant", "content": "yo"}, HI, {"role": "system", "content": "S"}]
    sent = body(messages, model=f"bedrock/{model}")
    assert sent["messages"][-1]["role"] == want
    assert sent["messages"][-1]["content"][-1] == {"text": "S"}


@pytest.mark.parametrize(
    ("choice", "want"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "f"}}, {"tool": {"name": "f"}}),
        ({"type": "tool", "name": "f"}, {"tool": {"name": "f"}}),
    ],
)
def test_tool_choice(choice: Any, want: dict[str, Any]) -> None:
    """OpenAI's choices are Converse's."""
    assert body(tools=[TOOL], tool_choice=choice)["toolConfig"]["toolChoice"] == want


@pytest.mark.parametrize("choice", ["sometimes", 7, {"type": "function"}])
def test_choices_that_are_none(choice: Any) -> None:
    """A choice of no known form is refused with the forms that there are."""
    with pytest.raises(InvalidRequestError, match="tool_choice is"):
        body(tools=[TOOL], tool_choice=choice)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"any": {}}])
def test_choices_in_other_words(choice: Any) -> None:
    """Anthropic's and Converse's own words are understood."""
    assert body(tools=[TOOL], tool_choice=choice)["toolConfig"]["toolChoice"] == {"any": {}}


def test_own_tools_pass() -> None:
    """A tool in Converse's own words goes out as it is; what is no tool is refused by its path."""
    own = {"toolSpec": {"name": "n", "inputSchema": {"json": {}}}}
    assert body(tools=[own])["toolConfig"]["tools"] == [own]
    with pytest.raises(InvalidRequestError, match=r"tools\[0\] is str"):
        body(tools=["f"])


def test_roles_and_calls_that_are_none() -> None:
    """An unknown role, and a call of something else than a function, are refused by their paths."""
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]\.role is 'robot'"):
        body([{"role": "robot", "content": "x"}])
    with pytest.raises(InvalidRequestError, match=r"tool_calls\[0\].*functions only"):
        body([HI, {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}])


def test_schemas_that_are_none() -> None:
    """A response format without a schema is refused with its form; plain text asks for nothing."""
    with pytest.raises(InvalidRequestError, match="json_schema"):
        body(response_format={"type": "json_schema", "json_schema": {"name": "n"}})
    assert "outputConfig" not in body(response_format={"type": "text"})


def test_no_tool_is_to_be_called() -> None:
    """ "none" sends no tools; where the history has calls Bedrock wants them, so they are sent without a choice."""
    assert "toolConfig" not in body(tools=[TOOL], tool_choice="none")
    history = [
        HI,
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
    ]
    config = body(history, tools=[TOOL], tool_choice="none")["toolConfig"]
    assert "toolChoice" not in config
    assert len(config["tools"]) == 1


def test_tools() -> None:
    """Strictness goes along, a blank description does not, and Anthropic's spelling is understood."""
    named = {"type": "function", "function": {"name": "g", "description": "", "strict": True}}
    claude = {"name": "h", "input_schema": {"type": "object"}}
    assert body(tools=[named, claude])["toolConfig"]["tools"] == [
        {
            "toolSpec": {
                "name": "g",
                "inputSchema": {"json": {"type": "object", "properties": {}}},
                "strict": True,
            }
        },
        {"toolSpec": {"name": "h", "inputSchema": {"json": {"type": "object"}}}},
    ]
    with pytest.raises(InvalidRequestError, match=r"tools\[0\].*web_search"):
        body(tools=[{"type": "web_search_20250305", "name": "web_search"}])


def test_parameters() -> None:
    """Every parameter that Converse can say stands in its field."""
    sent = body(
        model="bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0",
        max_tokens=5,
        temperature=0.2,
        top_p=0.9,
        stop="x",
        service_tier="priority",
        metadata={"team": "a"},
        user="u",
        top_k=3,
        thinking={"type": "enabled", "budget_tokens": 1024},
        guardrailConfig={"guardrailIdentifier": "abc", "guardrailVersion": "1"},
        performanceConfig={"latency": "optimized"},
        additionalModelResponseFieldPaths=["/x"],
        stream_options={"include_usage": True},
        n=1,
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        extra_body={"promptVariables": {"a": {"text": "b"}}},
    )
    assert sent["inferenceConfig"] == {
        "maxTokens": 5,
        "temperature": 0.2,
        "topP": 0.9,
        "stopSequences": ["x"],
    }
    assert sent["serviceTier"] == {"type": "priority"}
    assert sent["requestMetadata"] == {"team": "a", "user": "u"}
    assert sent["additionalModelRequestFields"] == {
        "top_k": 3,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    assert sent["guardrailConfig"] == {"guardrailIdentifier": "abc", "guardrailVersion": "1"}
    assert sent["performanceConfig"] == {"latency": "optimized"}
    assert sent["outputConfig"]["textFormat"]["structure"] == {
        "jsonSchema": {"schema": '{"type":"object"}', "name": "n"}
    }
    assert sent["promptVariables"] == {"a": {"text": "b"}}


@pytest.mark.parametrize(
    ("model", "params", "want"),
    [
        ("us.anthropic.claude-sonnet-4-6-v1", {"reasoning_effort": "high"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"reasoning_effort": "none"}, None),
        ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ("us.amazon.nova-2-lite-v1:0", {"reasoning_effort": "high"}, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
        ("us.amazon.nova-2-lite-v1:0", {"reasoning_effort": "none"}, {"reasoningConfig": {"type": "disabled"}}),
        ("us.amazon.nova-pro-v1:0", {"top_k": 5}, {"inferenceConfig": {"topK": 5}}),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"betas": ["x"]}, {"anthropic_beta": ["x"]}),
    ],
)  # fmt: skip
def test_fields_of_the_model(model: str, params: dict[str, Any], want: Any) -> None:
    """What is the model's own goes past Converse, in the model's words."""
    assert body(model=f"bedrock/{model}", **params).get("additionalModelRequestFields") == want


def test_calls_one_at_a_time() -> None:
    """`parallel_tool_calls=False` is said to Claude in its own words, the choice kept."""
    sent = body(tools=[TOOL], tool_choice="required", parallel_tool_calls=False)
    assert sent["additionalModelRequestFields"] == {
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True}
    }


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (CLAUDE, {"seed": 1}),
        (CLAUDE, {"n": 2}),
        (CLAUDE, {"logprobs": True}),
        (CLAUDE, {"response_format": {"type": "json_object"}}),
        (CLAUDE, {"service_tier": "scale"}),
        (LLAMA, {"reasoning_effort": "low"}),
        (LLAMA, {"tool_choice": "required", "tools": [TOOL]}),
        (LLAMA, {"parallel_tool_calls": False}),
        ("bedrock/anthropic.claude-opus-4-7-v1", {"temperature": 0.5}),
    ],
)
def test_parameters_that_cannot_be_said(model: str, params: dict[str, Any]) -> None:
    """A parameter without a counterpart is refused by name, and dropped only when that is asked for."""
    name = next(iter(params))
    with pytest.raises(UnsupportedParamsError, match=f"'{name}'.*drop_params=True"):
        body(model=model, **params)
    dropped = body(model=model, drop_params=True, **params)
    assert set(dropped) <= {"messages", "toolConfig"}


def test_equal_requests_are_equal_bytes() -> None:
    """Key order never changes from call to call; the caller's objects are not touched."""
    message = {
        "role": "user",
        "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}],
    }
    before = json.dumps(message)
    request = Request(
        model=CLAUDE, messages=[message], tools=[TOOL], params={"temperature": 0, "tool_choice": "auto"},
        marks=(Mark(("messages", 0, "content", 0)),),
    )  # fmt: skip
    assert provider.encode(request).body == provider.encode(request).body
    assert json.dumps(message) == before
    assert b"cache_control" not in provider.encode(request).body


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("us.anthropic.claude-v1:0", False, "us.anthropic.claude-v1%3A0/converse"),
        ("converse/us.anthropic.claude-v1:0", True, "us.anthropic.claude-v1%3A0/converse-stream"),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-6",
            False,
            "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.anthropic.claude-sonnet-4-6/converse",
        ),
        (
            "invoke/anthropic.claude-sonnet-4-6",
            True,
            "anthropic.claude-sonnet-4-6/invoke-with-response-stream",
        ),
    ],
)
def test_addresses(model: str, stream: bool, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's id, ARN or not, is one segment of the path, encoded once."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    call = provider.encode(Request(model=f"bedrock/{model}", messages=[HI], stream=stream))
    assert call.url == f"https://bedrock-runtime.eu-west-1.amazonaws.com/model/{path}"


def test_a_history_of_calls_has_their_tools() -> None:
    """Bedrock refuses tool calls without tools: those that were called are told by name, and only they."""
    history = [
        HI,
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
    ]
    spec = {"name": "f", "inputSchema": {"json": {"type": "object"}}}
    assert body(history)["toolConfig"] == {"tools": [{"toolSpec": spec}]}
    assert body(history, tools=[TOOL])["toolConfig"]["tools"][0]["toolSpec"]["description"] == "d"
    assert "toolConfig" not in body([HI])


@pytest.mark.parametrize("name", ["anthropic-beta", "Anthropic-Beta"])
@pytest.mark.parametrize("route", ["converse", "invoke"])
def test_betas_of_a_header_stand_in_the_body(name: str, route: str) -> None:
    """Bedrock reads no such header: on both routes the features go where it looks, however the header is spelled."""
    model = f"bedrock/{route}/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    request = Request(model=model, messages=[HI], extra_headers={name: "a, b"})
    call = provider.encode(provider.check(request))
    sent = json.loads(call.body)
    fields = sent if route == "invoke" else sent["additionalModelRequestFields"]
    assert fields["anthropic_beta"] == ["a", "b"]
    assert "anthropic-beta" not in {header.lower() for header in call.headers}


@pytest.mark.parametrize("shape", ["thinking_blocks", "provider_blocks", "content"])
@pytest.mark.parametrize(
    ("model", "kept"), [(CLAUDE, True), (NOVA, False), ("bedrock/openai.gpt-oss-120b-1:0", False)]
)
def test_signed_thoughts_return_to_claude_alone(shape: str, model: str, kept: bool) -> None:
    """A model that is not Claude refuses a signature, so the thought stays behind, in whichever shape it is held."""
    thought = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    block = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}}
    held: dict[str, dict[str, Any]] = {
        "thinking_blocks": {"content": "yo", "thinking_blocks": [thought]},
        "provider_blocks": {"content": "yo", "provider_blocks": [block, {"text": "yo"}]},
        "content": {"content": [thought, {"type": "text", "text": "yo"}]},
    }
    sent = body([HI, {"role": "assistant", **held[shape]}, HI], model=model)
    assert sent["messages"][1]["content"] == [*([block] if kept else []), {"text": "yo"}]


@pytest.mark.parametrize("told", [{"params": {"betas": ["a"]}}, {"extra_headers": {"anthropic-beta": "a"}}])
def test_betas_reach_a_claude_behind_a_profile(told: Any) -> None:
    """An application profile does not say its model; the features that are asked for are sent all the same."""
    model = "bedrock/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    request = Request(model=model, messages=[HI], **told)
    sent = json.loads(provider.encode(provider.check(request)).body)
    assert sent["additionalModelRequestFields"] == {"anthropic_beta": ["a"]}
