"""What the wire formats document and no recording shows: answers written by hand, by what must come of them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from asynccache.errors import (
    APIStatusError,
    BadRequestError,
    ContextWindowExceededError,
    InternalServerError,
)
from asynccache.providers.statuses import error_from_body

from ..bedrock.answers import event
from .outcomes import Answer, outcome
from .rewriting import Event, compact, written

COUNTS = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def answered(wire: str, model: str, body: bytes, *, stream: bool, **headers: str) -> dict[str, Any]:
    """What *body* comes to as an answer of *model*."""
    kind = "text/event-stream" if stream and wire in {"chat", "messages"} else "application/json"
    if stream and wire in {"converse", "invoke"}:
        kind = "application/vnd.amazon.eventstream"
    told = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return outcome(Answer("by hand", wire, "", model, stream, told, body), body)


def chat(*chunks: dict[str, Any]) -> dict[str, Any]:
    """A chat stream whose chunks have these choices, or are these where they have choices of their own."""
    told = [chunk if {"choices", "usage"} & chunk.keys() else {"choices": [chunk]} for chunk in chunks]
    body = written([Event("", compact({"id": "c", "model": "gpt-4o", **chunk})) for chunk in told])
    return answered("chat", "openai/gpt-4o", body + b"data: [DONE]\n\n", stream=True)


def calling(*calls: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": {"tool_calls": list(calls)}, "finish_reason": finish}


def function(name: str | None, arguments: Any, **more: Any) -> dict[str, Any]:
    told = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"index": 0, "type": "function", "function": told, **more}


CALLS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str, Any]]]] = {
    "two names at one index, no ids": (
        [
            calling(function("a", '{"x":1}', id="")),
            calling(function("b", '{"y":2}', id=""), finish="tool_calls"),
        ],
        [("", "a", {"x": 1}), ("", "b", {"y": 2})],
    ),
    "one name twice at one index, whole calls": (
        [calling(function("a", '{"x":1}'), function("a", '{"y":2}'), finish="tool_calls")],
        [("", "a", {"x": 1}), ("", "a", {"y": 2})],
    ),
    "the name repeated with every piece": (
        [calling(function("a", "")), calling(function("a", "{}"), finish="tool_calls")],
        [("", "a", {})],
    ),
    "the name after the id": (
        [
            calling({"index": 0, "id": "i", "function": {"arguments": ""}}),
            calling(function("a", "{}"), finish="stop"),
        ],
        [("i", "a", {})],
    ),
    "an index that is no number": (
        [calling(function("a", "{}", id="i", index={"a": 1}), finish="tool_calls")],
        [("i", "a", {})],
    ),
    "null among the calls": (
        [calling(None, function("a", "{}", id="i"), finish="tool_calls")],  # type: ignore[arg-type]
        [("i", "a", {})],
    ),
}


@pytest.mark.parametrize(("chunks", "wanted"), CALLS.values(), ids=CALLS)
def test_fragments_of_calls(chunks: list[dict[str, Any]], wanted: list[tuple[str, str, Any]]) -> None:
    """Fragments are put together by what they tell, however little that is: ids, names, indexes."""
    (choice,) = chat(*chunks)["choices"]
    assert choice["calls"] == wanted


@pytest.mark.parametrize("empty", [[], "", {}], ids=["list", "string", "object"])
@pytest.mark.parametrize("field", ["tool_calls", "function_call"])
def test_empty_calls(field: str, empty: Any) -> None:
    """Something empty where calls belong is no call, whatever it is."""
    (choice,) = chat({"index": 0, "delta": {"content": "x", field: empty}, "finish_reason": "stop"})[
        "choices"
    ]
    assert (choice["text"], choice["calls"]) == ("x", [])


def test_an_empty_list_for_a_delta() -> None:
    """PHP writes an empty object as a list: it adds nothing."""
    told = chat(
        {"index": 0, "delta": []},
        {"index": 0, "delta": {"content": "x"}},
        {"index": 0, "delta": [], "finish_reason": "stop"},
    )
    assert told["choices"][0]["text"] == "x"
    assert told["choices"][0]["finish"] == ("stop", "stop")


@pytest.mark.parametrize("details", [None, {}, [], {"cached_tokens": None}, {"cached_tokens": 0.0}], ids=str)
def test_details_that_tell_nothing(details: Any) -> None:
    """Details of usage that are null, empty or zero are a prompt of which nothing was cached."""
    told = chat(
        {"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"},
        {
            "choices": [],
            "usage": {**COUNTS, "prompt_tokens_details": details, "completion_tokens_details": details},
        },
    )["usage"]
    assert (told["prompt_tokens"], told["completion_tokens"], told["source"]) == (10, 5, "provider")
    assert told["prompt_tokens_details"]["cached_tokens"] == 0


def test_counts_in_anthropic_s_words() -> None:
    """Gateways put Anthropic's counts into the chat format: they are counts."""
    told = chat(
        {"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"},
        {"choices": [], "usage": {"input_tokens": 10, "output_tokens": 5}},
    )["usage"]
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (10, 5, 15)


def test_groq_says_why_it_broke_off() -> None:
    """An error in Groq's own corner of a chunk is an error."""
    with pytest.raises(InternalServerError, match="over capacity"):
        chat({"index": 0, "delta": {"content": "x"}}, {"choices": [], "x_groq": {"error": "over capacity"}})


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("refusal", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("MAX_TOKENS", "length"),
        ("tool_use", "tool_calls"),
        ("brand_new", "stop"),
    ],
)
def test_reasons_in_other_words(word: str, reason: str) -> None:
    """A gateway may tell the reason in its vendor's word: OpenAI's stands first, the vendor's beside it."""
    (choice,) = chat({"index": 0, "delta": {"content": "x"}, "finish_reason": word})["choices"]
    assert choice["finish"] == (reason, word)


# Anthropic.

START = {
    "type": "message_start",
    "message": {
        "id": "m",
        "model": "claude-opus-5",
        "content": [],
        "usage": {"input_tokens": 10, "output_tokens": 1},
    },
}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}
STOP = {"type": "message_stop"}


def messages(*told: dict[str, Any]) -> dict[str, Any]:
    """A stream of Anthropic's with these events between its first and its last."""
    body = written([Event(each["type"], compact(each)) for each in (START, *told, END, STOP)])
    return answered("messages", "anthropic/claude-opus-5", body, stream=True)


def block(index: int, **content: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": content}


def delta(index: int, **content: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": content}


def test_blocks_and_deltas_of_later_versions() -> None:
    """The fields of a block, a delta or an event of an unknown type may hold anything; the rest is read."""
    (choice,) = messages(
        block(0, type="brand_new", text={"a": 1}, id=5, name=[], citations={"enabled": True}, data={}),
        delta(0, type="brand_new_delta", text=[1], signature={}),
        {"type": "brand_new", "index": "x", "delta": [], "message": 3},
        block(1, type="text", text=""),
        delta(1, type="text_delta", text="x"),
    )["choices"]
    assert choice["text"] == "x"


def test_calls_that_stand_in_the_first_event() -> None:
    """An answer that goes on where code waits for a tool holds its calls, and its reason, in message_start already."""
    call = {
        "type": "tool_use",
        "id": "t",
        "name": "f",
        "input": {"a": 1},
        "caller": {"type": "code_execution_20250825"},
    }
    message = {**START["message"], "content": [call], "stop_reason": "tool_use"}
    whole = [{**START, "message": message}, {**END, "delta": {"stop_reason": None}}, STOP]
    body = written([Event(each["type"], compact(each)) for each in whole])
    told = answered("messages", "anthropic/claude-opus-5", body, stream=True)
    (choice,) = told["choices"]
    assert choice["calls"] == [("t", "f", {"a": 1})]
    assert choice["finish"] == ("tool_calls", "tool_use")
    assert told["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize(
    "tools",
    [
        {"web_search_requests": 1, "by_model": {"claude": 1}},
        {"web_search_requests": 1, "kinds": ["web"]},
        {"web_search_requests": 1, "mode": "deep"},
        {"web_search_requests": 1.0, "web_fetch_requests": None},
    ],
    ids=str,
)
def test_counts_of_server_tools_of_later_versions(tools: Any) -> None:
    """What is no count beside the calls of server tools does not spoil the usage."""
    usage = {**END, "usage": {"output_tokens": 5, "server_tool_use": tools}}
    told = messages(block(0, type="text", text="x"), usage)["usage"]
    assert told["source"] == "provider"
    assert told["server_tool_use"] == {"web_search_requests": 1}


# Bedrock.

METRICS = {
    "amazon-bedrock-invocationMetrics": {
        "inputTokenCount": 18,
        "outputTokenCount": 4,
        "cacheReadInputTokenCount": 20,
        "cacheWriteInputTokenCount": 15,
    }
}
HEADERS = {
    "x_amzn_bedrock_input_token_count": "18",
    "x_amzn_bedrock_output_token_count": "4",
    "x_amzn_bedrock_cache_read_input_token_count": "20",
    "x_amzn_bedrock_cache_write_input_token_count": "15",
}


def invoked(model: str, *told: dict[str, Any]) -> dict[str, Any]:
    """A stream of InvokeModel with these events of the model's own."""
    chunks = [event("chunk", {"bytes": base64.b64encode(compact(each)).decode()}) for each in told]
    return answered("invoke", f"bedrock/invoke/{model}", b"".join(chunks), stream=True)


def in_brief(told: dict[str, Any]) -> tuple[Any, ...]:
    (choice,) = told["choices"]
    return (
        choice["text"],
        choice["finish"][0],
        told["usage"]["prompt_tokens"],
        told["usage"]["completion_tokens"],
    )


WHOLE: dict[str, tuple[str, dict[str, Any], tuple[Any, ...]]] = {
    "Claude's completions": (
        "anthropic.claude-v2",
        {"type": "completion", "completion": " hi", "stop_reason": "max_tokens", "stop": None},
        (" hi", "length", 53, 4),
    ),
    "Jurassic": (
        "ai21.j2-mid-v1",
        {
            "id": 1,
            "prompt": {},
            "completions": [{"data": {"text": "hi"}, "finishReason": {"reason": "length"}}],
        },
        ("hi", "length", 53, 4),
    ),
    "the first Titan": (
        "amazon.titan-tg1-large",
        {
            "inputTextTokenCount": 8,
            "results": [{"tokenCount": 3, "outputText": "hi", "completionReason": "FINISH"}],
        },
        ("hi", "stop", 53, 4),
    ),
    "Mistral's chat": (
        "mistral.mistral-large-2407-v1:0",
        {
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "hi"}, "stop_reason": "length"}
            ]
        },
        ("hi", "length", 53, 4),
    ),
    "Claude without counts": (
        "anthropic.claude-3-haiku-20240307-v1:0",
        {"type": "message", "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"},
        ("hi", "stop", 53, 4),
    ),
}


@pytest.mark.parametrize(("model", "body", "wanted"), WHOLE.values(), ids=WHOLE)
def test_whole_answers_over_invoke(model: str, body: dict[str, Any], wanted: tuple[Any, ...]) -> None:
    """Every family's answer is read, and counted by Bedrock's headers where it tells no counts itself."""
    told = answered("invoke", f"bedrock/invoke/{model}", compact(body), stream=False, **HEADERS)
    assert in_brief(told) == wanted


STREAMED: dict[str, tuple[str, list[dict[str, Any]], tuple[Any, ...]]] = {
    "Claude's completions": (
        "anthropic.claude-v2:1",
        [
            {"type": "completion", "completion": " h", "stop_reason": None},
            {"type": "completion", "completion": "i", "stop_reason": "stop_sequence", **METRICS},
        ],
        (" hi", "stop", 53, 4),
    ),
    "Command, whole once more at the end": (
        "cohere.command-text-v14",
        [
            {"index": 0, "is_finished": False, "text": " h"},
            {"index": 0, "finish_reason": "MAX_TOKENS", "is_finished": True},
            {"generations": [{"text": " h"}], "is_finished": True, "prompt": "p", **METRICS},
        ],
        (" h", "length", 53, 4),
    ),
    "Command, in one piece": (
        "cohere.command-text-v14",
        [{"generations": [{"text": " h", "finish_reason": "COMPLETE"}], "prompt": "p", **METRICS}],
        (" h", "stop", 53, 4),
    ),
    "Llama without Bedrock's counts": (
        "meta.llama3-8b-instruct-v1:0",
        [
            {"generation": "h", "prompt_token_count": 3, "generation_token_count": 1, "stop_reason": None},
            {
                "generation": "i",
                "prompt_token_count": None,
                "generation_token_count": 2,
                "stop_reason": "stop",
            },
        ],
        ("hi", "stop", 3, 2),
    ),
    "Mistral's chat": (
        "mistral.mistral-large-2407-v1:0",
        [
            {"choices": [{"index": 0, "message": {"content": "h"}, "stop_reason": None}]},
            {"choices": [{"index": 0, "message": {"content": "i"}, "stop_reason": "stop"}], **METRICS},
        ],
        ("hi", "stop", 53, 4),
    ),
    "Claude, counts before the event": (
        "us.anthropic.claude-opus-4-6-v1",
        [
            START,
            block(0, type="text", text="x"),
            END,
            {**METRICS, "amazon-bedrock-trace": {}},
            {**METRICS, **STOP},
        ],
        ("x", "stop", 10, 5),
    ),
    "Claude, Bedrock's counts alone": (
        "us.anthropic.claude-opus-4-6-v1",
        [
            {**START, "message": {"id": "m", "content": []}},
            block(0, type="text", text="x"),
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, **METRICS},
            STOP,
        ],
        ("x", "stop", 53, 4),
    ),
}


@pytest.mark.parametrize(("model", "told", "wanted"), STREAMED.values(), ids=STREAMED)
def test_streams_over_invoke(model: str, told: list[dict[str, Any]], wanted: tuple[Any, ...]) -> None:
    """Every family's stream is read; counts are the model's own, else Bedrock's."""
    assert in_brief(invoked(model, *told)) == wanted


USAGE = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}


def conversed(*told: bytes, stop: str = "tool_use") -> dict[str, Any]:
    """A stream of Converse with these events between its first and its last."""
    whole = [
        event("messageStart", {"role": "assistant"}),
        *told,
        event("messageStop", {"stopReason": stop}),
        event("metadata", {"usage": USAGE, "metrics": {}}),
    ]
    return answered("converse", "bedrock/us.amazon.nova-pro-v1:0", b"".join(whole), stream=True)


def test_what_converse_leaves_open_is_closed() -> None:
    """A call without arguments, and reasoning that only the provider can read, are whole without an end of their own."""
    call = {"start": {"toolUse": {"toolUseId": "t", "name": "f"}}, "contentBlockIndex": 1}
    hidden = {"delta": {"reasoningContent": {"redactedContent": "QUE="}}, "contentBlockIndex": 0}
    (choice,) = conversed(event("contentBlockDelta", hidden), event("contentBlockStart", call))["choices"]
    assert choice["calls"] == [("t", "f", {})]
    assert choice["thinking"] == [{"type": "redacted_thinking", "data": "QUE="}]


def test_a_whole_call_without_input() -> None:
    """Null for a call's input is no arguments."""
    content = [{"text": None, "toolUse": {"toolUseId": "t", "name": "f", "input": None}}]
    body = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use",
        "usage": USAGE,
    }
    (choice,) = answered("converse", "bedrock/us.amazon.nova-pro-v1:0", compact(body), stream=False)[
        "choices"
    ]
    assert (choice["text"], choice["calls"]) == (None, [("t", "f", {})])


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("internalServerException", 500),
        ("validationException", 400),
        ("throttlingException", 429),
        ("serviceUnavailableException", 503),
        ("modelTimeoutException", 408),
        ("brandNewException", 500),
    ],
)
def test_exceptions_within_a_stream(kind: str, status: int) -> None:
    """An exception among the frames is the error of its type, with its status."""
    with pytest.raises(APIStatusError, match="so it is") as caught:
        conversed(event(kind, {"message": "so it is"}, "exception"))
    assert caught.value.status_code == status


ERRORS: dict[str, tuple[bytes, type[APIStatusError], str | None, str]] = {
    "xAI's, the words beside the code": (
        b'{"code":"invalid-argument","error":"Incorrect API key"}',
        BadRequestError,
        "invalid-argument",
        "Incorrect API key",
    ),
    "OpenRouter's, what the provider behind it said": (
        compact(
            {
                "error": {
                    "code": 400,
                    "message": "Provider returned error",
                    "metadata": {"raw": "prompt is too long"},
                }
            }
        ),
        ContextWindowExceededError,
        "400",
        "prompt is too long",
    ),
    "behind a byte order mark": (
        b'\xef\xbb\xbf{"error":{"message":"no","code":"context_length_exceeded"}}',
        ContextWindowExceededError,
        "context_length_exceeded",
        "no",
    ),
}


@pytest.mark.parametrize(("body", "kind", "code", "words"), ERRORS.values(), ids=ERRORS)
def test_errors_of_other_servers(
    body: bytes, kind: type[APIStatusError], code: str | None, words: str
) -> None:
    """A refusal's class, code and words are found where each server puts them."""
    error = error_from_body(400, {}, body)
    assert (type(error), error.code) == (kind, code)
    assert words in error.message
