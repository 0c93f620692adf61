"""What streams and bodies of Bedrock come to when they are odd, broken or cut short."""

from __future__ import annotations

import base64
import json
from typing import Any

import orjson
import pytest

from asynccache.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    StreamInterruptedError,
)
from asynccache.events import ProviderBlocks, Unknown
from asynccache.providers.bedrock import provider
from tests.bedrock.answers import chunk, event, hear, pack, string_header
from tests.shared import SHARED, requires_shared

pytestmark = pytest.mark.anyio

CLAUDE = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
FRAMED = {"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "r-1"}
USAGE = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}

START = event("messageStart", {"role": "assistant", "p": "abcd"})
STOP = event("messageStop", {"stopReason": "end_turn"})
METADATA = event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}})


def delta(index: int, told: dict[str, Any]) -> bytes:
    """A `contentBlockDelta`."""
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": told, "p": "xyz"})


HELLO = (
    START
    + delta(0, {"text": "Hel"})
    + delta(0, {"text": "lo"})
    + event("contentBlockStop", {"contentBlockIndex": 0})
)


async def stream(
    body: bytes, model: str = CLAUDE, headers: dict[str, str] | None = None, size: int | None = None
) -> Any:
    """Hear *body* as a stream."""
    return await hear(model, body, stream=True, headers=FRAMED if headers is None else headers, size=size)


async def test_the_id_and_the_model_are_known() -> None:
    """Converse tells neither: the id is the request's, the model the one that was asked."""
    heard = await stream(HELLO + STOP + METADATA)
    assert heard.completion.id == "r-1"
    assert heard.completion.model == "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert heard.completion.choices[0].message.content == "Hello"


async def test_the_vector_stream() -> None:
    """Reasoning with its signature, text and a call, as AWS's own bytes have it; what is asked back is all there."""
    if SHARED is None:
        pytest.skip("no ../shared beside this checkout")
    told = json.loads((SHARED / "vectors/eventstream.json").read_text())
    heard = await stream(base64.b64decode(told["converse_stream_b64"]), size=5)
    assert heard.error is None
    message = heard.completion.choices[0].message
    assert message.thinking_blocks == [{"type": "thinking", "thinking": "Hm", "signature": "EqQBCg=="}]
    assert message.content == "Hi"
    assert [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls] == [
        ("tooluse_1", "get_weather", '{"city":"Paris"}')
    ]
    assert heard.completion.choices[0].finish_reason == "tool_calls"
    assert heard.usage.cache_read_input_tokens


@requires_shared
@pytest.mark.parametrize(
    ("key", "cls"), [("exc_throttling_b64", RateLimitError), ("exc_modelstream_b64", APIStatusError)]
)
async def test_the_vector_exceptions(key: str, cls: type[Exception]) -> None:
    """AWS's own exception frames are raised as what they are."""
    assert SHARED is not None
    told = json.loads((SHARED / "vectors/eventstream.json").read_text())
    heard = await stream(base64.b64decode(told[key]))
    assert isinstance(heard.error, cls)


async def test_metadata_is_waited_for() -> None:
    """The usage comes after `messageStop`: the stream is read on until it is there, and not beyond."""
    heard = await stream(HELLO + STOP + METADATA + b"\0garbage behind the end")
    assert heard.error is None
    assert heard.usage.total_tokens == 10


async def test_without_metadata_the_answer_is_whole_and_its_usage_is_not() -> None:
    """A stream that ends after `messageStop` is an answer; what it used is not known, and not zero."""
    heard = await stream(HELLO + STOP)
    assert heard.error is None
    assert heard.completion.choices[0].finish_reason == "stop"
    assert heard.usage.source == "partial"
    assert heard.usage.prompt_tokens is None


@pytest.mark.parametrize("kept", [0, 1, len(START), len(HELLO), len(HELLO) + 20, len(HELLO + STOP) - 1])
async def test_cut_streams_are_never_short_successes(kept: int) -> None:
    """Cut between frames or within one, before `messageStop`, a stream is interrupted; its text is kept."""
    heard = await stream((HELLO + STOP)[:kept])
    assert type(heard.error) is StreamInterruptedError
    if kept >= len(HELLO):
        assert heard.completion.choices[0].message.content == "Hello"


@pytest.mark.parametrize(
    ("kind", "payload", "cls", "status"),
    [
        ("throttlingException", {"message": "slow"}, RateLimitError, 429),
        ("internalServerException", {"message": "oops"}, InternalServerError, 500),
        ("serviceUnavailableException", {"message": "busy"}, OverloadedError, 503),
        ("validationException", {"message": "bad"}, BadRequestError, 400),
        (
            "validationException",
            {"message": "Input is too long for requested model."},
            ContextWindowExceededError,
            400,
        ),
        ("modelTimeoutException", {"message": "late"}, InternalServerError, 408),
        ("modelStreamErrorException", {"message": "m", "originalStatusCode": 429}, RateLimitError, 429),
        ("modelStreamErrorException", {"originalMessage": "m"}, InternalServerError, 500),
        ("accessDeniedException", {"Message": "no"}, PermissionDeniedError, 403),
        ("somethingNewException", {}, InternalServerError, 500),
    ],
)
async def test_exceptions_in_streams(kind: str, payload: Any, cls: type[Exception], status: int) -> None:
    """An exception inside a stream is its own class, after the text before it, with the id of the request."""
    heard = await stream(HELLO + event(kind, payload, "exception"))
    assert type(heard.error) is cls
    assert heard.error.status_code == status
    assert heard.error.code == kind[0].upper() + kind[1:]
    assert heard.error.request_id == "r-1"
    assert heard.completion.choices[0].message.content == "Hello"


async def test_error_messages_in_streams() -> None:
    """A message of type `error` has its code and words in headers."""
    headers = string_header(":message-type", "error") + string_header(":error-code", "InternalFailure")
    heard = await stream(HELLO + pack(headers + string_header(":error-message", 'it "broke"'), b""))
    assert type(heard.error) is InternalServerError
    assert heard.error.code == "InternalFailure"
    assert 'it "broke"' in heard.error.message


async def test_usage_told_before_an_error_is_kept() -> None:
    """What was told of tokens before the stream failed is told on, as partial."""
    heard = await stream(HELLO + METADATA + event("throttlingException", {"message": "x"}, "exception"))
    assert type(heard.error) is RateLimitError
    assert heard.usage.source == "partial"
    assert heard.usage.prompt_tokens == 7


async def test_damage_ends_the_stream_where_it_is() -> None:
    """Behind a frame with a wrong checksum nothing is trusted, even if it is whole."""
    bad = bytearray(delta(0, {"text": "evil"}))
    bad[-8] ^= 1
    heard = await stream(HELLO + bytes(bad) + STOP + METADATA)
    assert type(heard.error) is InvalidResponseError
    assert "checksum" in str(heard.error)
    assert heard.completion.choices[0].message.content == "Hello"


async def test_a_length_of_two_gigabytes_is_refused_at_once() -> None:
    """A frame that claims two gigabytes is refused by its first twelve bytes; nothing is collected for it."""
    heard = await stream(b"\x80\x00\x00\x00\x00\x00\x00\x00" + bytes(100))
    assert type(heard.error) is InvalidResponseError


@pytest.mark.parametrize("kind", ["application/json", "application/vnd.amazon.eventstream", ""])
async def test_json_where_frames_were_expected(kind: str) -> None:
    """A gateway's JSON error with status 200 is raised with its own words, whatever it calls itself."""
    heard = await stream(
        b'{"message": "Too many requests from this gateway"}', headers={"content-type": kind}, size=3
    )
    assert isinstance(heard.error, APIStatusError)
    assert "Too many requests from this gateway" in str(heard.error)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html><h1>Sign in</h1></html>"),
        ("text/event-stream", b'data: {"error": "Sign in"}\n\n'),
        ("application/vnd.amazon.eventstream", b"<h1>Sign in</h1>"),
    ],
)
async def test_pages_and_other_streams(kind: str, body: bytes) -> None:
    """What is neither frames nor JSON is named, with its first words."""
    heard = await stream(body, headers={"content-type": kind})
    assert type(heard.error) is InvalidResponseError
    assert "Sign in" in str(heard.error)


async def test_a_whole_answer_to_a_stream_request_is_read_all_the_same() -> None:
    """A gateway that does not stream answers with one body; it says the same."""
    body = {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
        "stopReason": "end_turn",
        "usage": USAGE,
    }
    heard = await stream(orjson.dumps(body), headers={"content-type": "application/json"})
    assert heard.error is None
    assert heard.completion.choices[0].message.content == "Hi"
    assert heard.usage.total_tokens == 10


@pytest.mark.parametrize("body", [b"", b" \n"])
async def test_empty_bodies(body: bytes) -> None:
    """An empty answer is an interruption, streamed or not."""
    assert type((await stream(body)).error) is StreamInterruptedError
    assert type((await hear(CLAUDE, body, stream=False)).error) is StreamInterruptedError


async def test_half_a_body() -> None:
    """A body cut short is an interruption, one of another shape no answer."""
    assert type((await hear(CLAUDE, b'{"output": {"mess', stream=False)).error) is StreamInterruptedError
    assert type((await hear(CLAUDE, b'{"hello": 1}', stream=False)).error) is InvalidResponseError


async def test_a_call_without_arguments() -> None:
    """A call for which no input comes has the arguments {}."""
    tool = event(
        "contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}
    )
    stop = event("contentBlockStop", {"contentBlockIndex": 0})
    heard = await stream(START + tool + stop + event("messageStop", {"stopReason": "tool_use"}) + METADATA)
    assert heard.completion.choices[0].message.tool_calls[0].function.arguments == "{}"


async def test_what_openai_cannot_say_is_kept_whole() -> None:
    """Thinking between texts, and sources, come as whole blocks too, which can be sent back."""
    heard = await stream(
        START
        + delta(0, {"text": "a"})
        + delta(1, {"reasoningContent": {"text": "b"}})
        + delta(1, {"reasoningContent": {"signature": "s"}})
        + delta(2, {"reasoningContent": {"redactedContent": "QUE="}})
        + event("contentBlockStop", {"contentBlockIndex": 2})
        + delta(3, {"text": "c"})
        + delta(3, {"citation": {"title": "T"}})
        + STOP
        + METADATA
    )
    (blocks,) = [told.blocks for told in heard.events if type(told) is ProviderBlocks]
    assert blocks == [
        {"text": "a"},
        {"reasoningContent": {"reasoningText": {"text": "b", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "QUE="}},
        {"citationsContent": {"content": [{"text": "c"}], "citations": [{"title": "T"}]}},
    ]
    message = heard.completion.choices[0].message
    assert message.content == "ac"
    assert message.citations == [{"title": "T"}]
    assert {"type": "redacted_thinking", "data": "QUE="} in message.thinking_blocks


async def test_streamed_and_whole_say_the_same() -> None:
    """The same blocks in one body give the same completion as in a stream."""
    blocks = [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"text": "Hi"},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
    ]
    body = {
        "output": {"message": {"content": blocks}},
        "stopReason": "tool_use",
        "usage": USAGE,
        "serviceTier": {"type": "flex"},
    }
    whole = await hear(CLAUDE, orjson.dumps(body), stream=False, headers={"x-amzn-requestid": "r-1"})
    tool = event(
        "contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}
    )
    streamed = await stream(
        START
        + delta(0, {"reasoningContent": {"text": "hm"}})
        + delta(0, {"reasoningContent": {"signature": "s"}})
        + delta(1, {"text": "Hi"})
        + tool
        + delta(2, {"toolUse": {"input": '{"a":1}'}})
        + event("messageStop", {"stopReason": "tool_use"})
        + event("metadata", {"usage": USAGE, "serviceTier": {"type": "flex"}})
    )
    assert whole.completion.choices == streamed.completion.choices
    assert whole.usage.service_tier == streamed.usage.service_tier == "flex"
    assert not [told for told in streamed.events if type(told) is ProviderBlocks]


async def test_unknown_events_and_fields_are_passed_over_but_not_lost() -> None:
    """What this version has no name for neither breaks the answer nor vanishes."""
    heard = await stream(
        START + event("somethingNew", {"a": 1}) + delta(0, {"text": "x", "new": 1}) + STOP
        + event("metadata", {"usage": USAGE, "trace": {"guardrail": {}}})
    )  # fmt: skip
    assert heard.error is None
    assert {told.name for told in heard.events if type(told) is Unknown} == {"somethingNew", "trace"}


async def test_invalid_text_does_not_end_an_answer() -> None:
    """Bytes that are no UTF-8 become U+FFFD; what is no JSON at all is refused."""
    headers = string_header(":event-type", "contentBlockDelta") + string_header(":message-type", "event")
    broken = pack(headers, b'{"contentBlockIndex":0,"delta":{"text":"a\xff"}}')
    assert (await stream(START + broken + STOP + METADATA)).completion.choices[0].message.content == "a\ufffd"
    assert type((await stream(START + pack(headers, b"{"))).error) is InvalidResponseError


async def test_whole_answers_in_blocks_that_openai_cannot_say() -> None:
    """Sources, redacted reasoning, other tools' results and new blocks of a whole answer are all kept."""
    blocks = [
        {"reasoningContent": {"redactedContent": "QUE="}},
        {"citationsContent": {"content": [{"text": "said"}], "citations": [{"title": "T"}]}},
        {"toolUse": {"toolUseId": "s", "name": "search", "input": {}, "type": "server_tool_use"}},
        {"somethingNew": {"a": 1}},
    ]
    body = {
        "output": {"message": {"content": [*blocks, "no block"]}},
        "stopReason": "brand_new",
        "additionalModelResponseFields": {"x": 1},
    }
    heard = await hear(CLAUDE, orjson.dumps(body), stream=False)
    assert heard.error is None
    (told,) = [told.blocks for told in heard.events if type(told) is ProviderBlocks]
    assert told == blocks
    message = heard.completion.choices[0].message
    assert (message.content, message.citations, message.tool_calls) == ("said", [{"title": "T"}], None)
    assert heard.completion.choices[0].finish_reason == "stop"
    assert heard.completion.choices[0].native_finish_reason == "brand_new"
    assert {told.name for told in heard.events if type(told) is Unknown} == {
        "block",
        "additionalModelResponseFields",
    }


async def test_server_tools_in_streams() -> None:
    """What Bedrock's own tools did is no call of the caller's; it is kept in whole blocks."""
    use = {"toolUse": {"toolUseId": "s", "name": "search", "type": "server_tool_use"}}
    heard = await stream(
        START
        + event("contentBlockStart", {"contentBlockIndex": 0, "start": use})
        + delta(0, {"toolUse": {"input": '{"q":'}})
        + delta(0, {"toolUse": {"input": ""}})
        + delta(0, {"toolUse": {"input": "1}"}})
        + event("contentBlockStop", {"contentBlockIndex": 0})
        + event("contentBlockStop", {"contentBlockIndex": 7})
        + delta(1, {"image": {"format": "png"}})
        + event("contentBlockDelta", {"contentBlockIndex": 1})
        + event("messageStop", {"stopReason": "end_turn"})
        + event("messageStop", {"stopReason": "end_turn"})
        + METADATA
    )
    assert heard.error is None
    assert heard.completion.choices[0].message.tool_calls is None
    (blocks,) = [told.blocks for told in heard.events if type(told) is ProviderBlocks]
    assert blocks == [
        {"toolUse": {"toolUseId": "s", "name": "search", "type": "server_tool_use", "input": {"q": 1}}}
    ]


async def test_a_call_cut_by_the_limit_is_kept_as_text() -> None:
    """Arguments that `max_tokens` cut stay what came of them."""
    tool = {"toolUse": {"toolUseId": "t", "name": "f"}}
    heard = await stream(
        START
        + delta(0, {"text": "a"})
        + event("contentBlockStart", {"contentBlockIndex": 1, "start": tool})
        + delta(1, {"toolUse": {"input": '{"a": '}})
        + delta(2, {"text": "b"})
        + event("messageStop", {"stopReason": "max_tokens"})
        + METADATA
    )
    (blocks,) = [told.blocks for told in heard.events if type(told) is ProviderBlocks]
    assert blocks[1] == {"toolUse": {"toolUseId": "t", "name": "f", "input": '{"a": '}}
    assert heard.completion.choices[0].finish_reason == "length"


@pytest.mark.parametrize("payload", [b"[1]", b"\xff", b"nonsense"])
async def test_events_that_are_no_objects(payload: bytes) -> None:
    """An event that is no JSON object is no answer."""
    headers = string_header(":event-type", "messageStop") + string_header(":message-type", "event")
    assert type((await stream(START + pack(headers, payload))).error) is InvalidResponseError


async def test_messages_of_unknown_type_are_not_lost() -> None:
    """A message that is neither event, exception nor error is passed on by its name."""
    heard = await stream(START + pack(string_header(":message-type", "news"), b"{}") + STOP + METADATA)
    assert heard.error is None
    assert [told.name for told in heard.events if type(told) is Unknown] == [":message-type 'news'"]


async def test_exceptions_without_json() -> None:
    """An exception whose payload is no JSON still says what it holds."""
    headers = string_header(":exception-type", "throttlingException") + string_header(
        ":message-type", "exception"
    )
    heard = await stream(HELLO + pack(headers, b"plainly too much"))
    assert type(heard.error) is RateLimitError
    assert "plainly too much" in heard.error.message


async def test_errors_of_gateways_on_invoke() -> None:
    """A body of status 200 that is an error is raised, for every family."""
    for model in ("us.anthropic.claude-sonnet-4-6", "openai.gpt-oss-20b-1:0", "meta.llama3-8b-instruct-v1:0"):
        heard = await hear(f"bedrock/invoke/{model}", b'{"message": "gateway says no"}', stream=False)
        assert isinstance(heard.error, APIStatusError)
        assert "gateway says no" in str(heard.error)


@pytest.mark.parametrize("model", ["openai.gpt-oss-20b-1:0", "meta.llama3-8b-instruct-v1:0"])
async def test_bodies_of_another_family(model: str) -> None:
    """A body that is not of the model's family is no answer."""
    heard = await hear(f"bedrock/invoke/{model}", b'{"hello": {"a": 1}}', stream=False)
    assert type(heard.error) is InvalidResponseError


async def test_unknown_events_on_invoke() -> None:
    """Beside chunks, and within them, what has no name here is passed on or over."""
    body = event("news", {"a": 1}) + event("chunk", {}) + b"".join(map(chunk, CLAUDE_EVENTS))
    heard = await stream(body, model="bedrock/invoke/us.anthropic.claude-sonnet-4-6")
    assert heard.error is None
    assert "news" in {told.name for told in heard.events if type(told) is Unknown}


GPT = "bedrock/openai.gpt-5.6-sol"
COUNTED_IN = {"inputTokens": 4995, "cacheWriteInputTokens": 4993, "outputTokens": 19, "totalTokens": 10007}


async def test_a_stream_that_counts_the_cache_in() -> None:
    """The server's bug of counting the cache into the input is made good; LiteLLM bills it twice."""
    heard = await stream(HELLO + STOP + event("metadata", {"usage": COUNTED_IN}), model=GPT)
    assert (heard.usage.prompt_tokens, heard.usage.total_tokens) == (4995, 5014)
    assert heard.usage.prompt_tokens_details.uncached_tokens == 2


async def test_a_server_without_the_bug_is_not_corrected() -> None:
    """Once the input leaves the cache out again it is read as it is."""
    usage = {"inputTokens": 2, "cacheWriteInputTokens": 4993, "outputTokens": 19, "totalTokens": 5014}
    heard = await stream(HELLO + STOP + event("metadata", {"usage": usage}), model=GPT)
    assert (heard.usage.prompt_tokens, heard.usage.total_tokens) == (4995, 5014)


async def test_an_inclusive_input_seen_by_the_sum() -> None:
    """Where the total shows that the input holds the cache it is not added again, whatever the model."""
    usage = {"inputTokens": 2006, "cacheReadInputTokens": 1920, "outputTokens": 300, "totalTokens": 2306}
    heard = await stream(HELLO + STOP + event("metadata", {"usage": usage}))
    assert (heard.usage.prompt_tokens, heard.usage.total_tokens) == (2006, 2306)


def metrics(**counts: int) -> dict[str, Any]:
    """What Bedrock adds to the last event of a stream."""
    return {"amazon-bedrock-invocationMetrics": {"invocationLatency": 1, **counts}}


CLAUDE_EVENTS = [
    {
        "type": "message_start",
        "message": {"id": "m", "model": "claude", "usage": {"input_tokens": 1, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop", **metrics(inputTokenCount=1, outputTokenCount=5)},
]


@pytest.mark.parametrize("last", [5, 6])
async def test_claude_over_invoke_ends_with_message_stop(last: int) -> None:
    """Anthropic's last event ends the answer; without it the stream was cut."""
    body = b"".join(map(chunk, CLAUDE_EVENTS[:last]))
    heard = await stream(body, model="bedrock/invoke/us.anthropic.claude-sonnet-4-6")
    assert heard.completion.choices[0].message.content == "Hi"
    if last == 6:
        assert heard.error is None
        assert heard.usage.total_tokens == 6
    else:
        assert type(heard.error) is StreamInterruptedError


async def test_metrics_alone_are_no_event_of_claudes() -> None:
    """Bedrock sometimes sends its metrics as an object of their own: nothing of the answer."""
    body = b"".join(map(chunk, [*CLAUDE_EVENTS[:3], metrics(inputTokenCount=1), *CLAUDE_EVENTS[3:]]))
    heard = await stream(body, model="bedrock/invoke/us.anthropic.claude-sonnet-4-6")
    assert heard.error is None
    assert heard.completion.choices[0].message.content == "Hi"


@pytest.mark.parametrize(
    ("model", "events"),
    [
        ("meta.llama3-1-70b-instruct-v1:0", [{"generation": "Hi", "stop_reason": "stop"}]),
        ("amazon.titan-text-express-v1", [{"outputText": "Hi", "completionReason": "FINISH"}]),
        ("mistral.mistral-7b-instruct-v0:2", [{"outputs": [{"text": "Hi", "stop_reason": "stop"}]}]),
        ("deepseek.r1-v1:0", [{"choices": [{"text": "Hi", "stop_reason": "stop"}]}]),
        (
            "cohere.command-light-text-v14",
            [{"text": "Hi"}, {"is_finished": True, "finish_reason": "COMPLETE"}],
        ),
        (
            "cohere.command-r-v1:0",
            [
                {"event_type": "stream-start", "is_finished": False},
                {"event_type": "text-generation", "text": "H", "is_finished": False},
                {"event_type": "text-generation", "text": "i", "is_finished": False},
                {
                    "event_type": "stream-end",
                    "is_finished": True,
                    "finish_reason": "COMPLETE",
                    "response": {"text": "Hi", "chat_history": []},
                },
            ],
        ),
        (
            "openai.gpt-oss-20b-1:0",
            [
                {
                    "id": "i",
                    "model": "m",
                    "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}],
                }
            ],
        ),
    ],
)
async def test_other_families_count_by_bedrocks_metrics(model: str, events: list[dict[str, Any]]) -> None:
    """Where a model tells no usage Bedrock's own counts are used; without a reason to stop the stream was cut."""
    counted = {**events[-1], **metrics(inputTokenCount=4, outputTokenCount=2)}
    heard = await stream(b"".join(map(chunk, [*events[:-1], counted])), model=f"bedrock/invoke/{model}")
    assert heard.error is None
    assert heard.completion.choices[0].message.content == "Hi"
    assert heard.completion.choices[0].finish_reason == "stop"
    assert (heard.usage.prompt_tokens, heard.usage.completion_tokens) == (4, 2)

    unfinished = orjson.loads(
        orjson.dumps(events[-1])
        .replace(b'"stop"', b"null")
        .replace(b'"FINISH"', b"null")
        .replace(b'"COMPLETE"', b"null")
    )
    cut = await stream(chunk(unfinished), model=f"bedrock/invoke/{model}")
    assert type(cut.error) is StreamInterruptedError


async def test_headers_count_where_a_body_does_not() -> None:
    """The headers of a whole answer are its usage where the body has none."""
    body = orjson.dumps({"generation": "Hi", "stop_reason": "stop"})
    counts = {"x-amzn-bedrock-input-token-count": "4", "x-amzn-bedrock-output-token-count": "2"}
    heard = await hear("bedrock/invoke/meta.llama3-8b-instruct-v1:0", body, stream=False, headers=counts)
    assert (heard.usage.prompt_tokens, heard.usage.completion_tokens) == (4, 2)
    alone = await hear("bedrock/invoke/meta.llama3-8b-instruct-v1:0", body, stream=False)
    assert alone.usage.source == "missing"


@pytest.mark.parametrize("payload", [{"bytes": "%%%"}, {"bytes": base64.b64encode(b"{").decode()}])
async def test_chunks_that_are_none(payload: dict[str, str]) -> None:
    """What is no base64, or no JSON inside, is no answer."""
    for model in ("us.anthropic.claude-sonnet-4-6", "amazon.nova-micro-v1:0", "meta.llama3-8b-instruct-v1:0"):
        heard = await stream(event("chunk", payload), model=f"bedrock/invoke/{model}")
        assert type(heard.error) is InvalidResponseError


CACHING = "You invoked an unsupported model or your request did not allow prompt caching. See the documentation for more information."


@pytest.mark.parametrize(
    ("status", "kind", "message", "cls"),
    [
        (400, "ValidationException", "x", BadRequestError),
        (400, "ValidationException", "prompt is too long: 9 tokens", ContextWindowExceededError),
        (
            400,
            "ValidationException",
            "Output blocked by content filtering policy",
            ContentPolicyViolationError,
        ),
        (400, "ServiceQuotaExceededException", "x", BadRequestError),
        (403, "AccessDeniedException", "x", PermissionDeniedError),
        (403, "UnrecognizedClientException", "x", AuthenticationError),
        (403, "InvalidSignatureException", "x", AuthenticationError),
        (403, "AccessDeniedException", CACHING, BadRequestError),
        (404, "ResourceNotFoundException", "x", NotFoundError),
        (408, "ModelTimeoutException", "x", InternalServerError),
        (424, "ModelErrorException", "x", InternalServerError),
        (429, "ThrottlingException", "x", RateLimitError),
        (429, "ModelNotReadyException", "x", RateLimitError),
        (500, "InternalServerException", "x", InternalServerError),
        (503, "ServiceUnavailableException", "x", OverloadedError),
    ],
)
def test_errors_by_their_type(status: int, kind: str, message: str, cls: type[Exception]) -> None:
    """Every documented error is its class, whether the type is in the header or in the body."""
    told = {"message": message}
    in_header = provider.error(status, {"x-amzn-errortype": f"{kind}:http://internal"}, orjson.dumps(told))
    in_body = provider.error(status, {}, orjson.dumps({"__type": f"com.amazon#{kind}", **told}))
    assert type(in_header) is type(in_body) is cls
    assert message in in_header.message


def test_refused_caching_is_named_as_that() -> None:
    """A 403 for cache marks says so, and is no matter of credentials."""
    error = provider.error(
        403, {"x-amzn-errortype": "AccessDeniedException"}, orjson.dumps({"message": CACHING})
    )
    assert error.code == "prompt_caching_unsupported"
    assert "cache marks" in error.message


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[1]", b'"text"'])
def test_error_bodies_of_any_shape(body: bytes) -> None:
    """No body, however odd, breaks the mapping of errors."""
    assert provider.error(502, {}, body).status_code == 502


def _parity() -> list[dict[str, Any]]:
    if SHARED is None:
        return []
    rows = json.loads((SHARED / "facts/parity.json").read_text())
    return [row for row in rows if row["model"].startswith("bedrock/")]


# Where LiteLLM's own numbers are wrong: its total leaves the cache out when the server's does, and a split by
# lifetime that is not complete counts for nothing.
_LITELLM_TOTALS = {"converse_total_without_cache": 2306}
_LITELLM_COSTS = {"converse_partial_details": 0.014208}


def _answer_of(row: dict[str, Any], *, streamed: bool) -> bytes:
    usage = row["provider_usage"]["usage"]
    if row["model"].startswith("bedrock/invoke/"):
        if not streamed:
            return orjson.dumps(
                {
                    "id": "m",
                    "type": "message",
                    "content": [{"type": "text", "text": "Hi"}],
                    "stop_reason": "end_turn",
                    "usage": usage,
                }
            )
        first, *rest = CLAUDE_EVENTS
        begun = {**first, "message": {**first["message"], "usage": {**usage, "output_tokens": 1}}}
        ended = {**rest[-2], "usage": {"output_tokens": usage["output_tokens"]}}
        return b"".join(map(chunk, [begun, *rest[:-2], ended, rest[-1]]))
    if streamed:
        return HELLO + STOP + event("metadata", {"usage": usage})
    return orjson.dumps(
        {"output": {"message": {"content": [{"text": "Hi"}]}}, "stopReason": "end_turn", "usage": usage}
    )


@requires_shared
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("row", _parity(), ids=lambda row: row["case"])
async def test_parity(row: dict[str, Any], streamed: bool) -> None:
    """The usage is LiteLLM's, streamed or not, but for its bugs, which are named."""
    heard = await hear(row["model"], _answer_of(row, streamed=streamed), stream=streamed)
    want, usage = row["usage"], heard.usage
    assert heard.error is None
    assert usage.prompt_tokens == want["prompt_tokens"]
    assert usage.completion_tokens == want["completion_tokens"]
    assert usage.total_tokens == _LITELLM_TOTALS.get(row["case"], want["total_tokens"])
    assert usage.cache_read_input_tokens == want["cache_read_input_tokens"]
    assert usage.cache_creation_input_tokens == want["cache_creation_input_tokens"]
    details = want["prompt_tokens_details"].get("cache_creation_token_details")
    if row["case"] == "converse_partial_details":  # LiteLLM ignores a split that is not complete
        assert usage.cache_creation.ephemeral_1h_input_tokens == 1000
        assert usage.cache_creation.ephemeral_5m_input_tokens == 920
    elif details:
        assert usage.cache_creation.ephemeral_1h_input_tokens == details["ephemeral_1h_input_tokens"]
        assert usage.cache_creation.ephemeral_5m_input_tokens == details["ephemeral_5m_input_tokens"]

    assert usage.cost == pytest.approx(_LITELLM_COSTS.get(row["case"], row["cost"]), abs=1e-12)


def test_the_parity_rows_are_here() -> None:
    """All eleven of Bedrock's rows are read."""
    assert len(_parity()) in {0, 11}


@pytest.mark.parametrize(
    "sent", [b"", b"<html>no</html>", HELLO, HELLO + b"\xff" * 40, b'{"message":"no"}', b"\0\0"]
)
async def test_every_failure_names_its_request(sent: bytes) -> None:
    """AWS's support asks for the id: cut, damaged and foreign answers carry it, not refusals alone."""
    heard = await stream(sent)
    assert heard.error is not None
    assert heard.error.request_id == "r-1"
