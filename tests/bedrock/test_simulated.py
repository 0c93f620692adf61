"""AWS as the simulator plays it: boto3's own client and ours talk to it, signatures, checkpoints, frames and all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import Any, TypeAlias

import anyio.to_thread
import orjson
import pytest

from asynccache.client import Client
from asynccache.errors import (
    AuthenticationError,
    BadRequestError,
    PermissionDeniedError,
    RateLimitError,
    StreamInterruptedError,
)
from asynccache.simulator import Simulator

pytestmark = pytest.mark.anyio

Boto: TypeAlias = Callable[..., Any]

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6"
LONG = "The quick brown fox jumps over the lazy dog. " * 300
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret-of-AKIDEXAMPLE"}
OURS = {**KEYS, "aws_region_name": "us-east-1", "max_retries": 0}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
MARKED = [
    {
        "role": "system",
        "content": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    },
    {"role": "user", "content": "hi"},
]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The simulator, running."""
    async with Simulator() as running:
        yield running


@pytest.fixture
async def boto(simulator: Simulator) -> AsyncIterator[Boto]:
    """Makes boto3's own clients, unchanged but for the address."""
    boto3 = pytest.importorskip("boto3")
    config = pytest.importorskip("botocore.config").Config(retries={"total_max_attempts": 1})
    made: list[Any] = []

    def make(**changes: str) -> Any:
        session = boto3.session.Session(**{**KEYS, "region_name": "us-east-1", **changes})
        made.append(session.client("bedrock-runtime", endpoint_url=simulator.bedrock_base, config=config))
        return made[-1]

    yield make
    for client in made:
        client.close()


async def in_thread(call: Any, **arguments: Any) -> Any:
    """boto3 blocks; the simulator runs in this loop."""
    return await anyio.to_thread.run_sync(lambda: call(**arguments))


CONVERSE = {
    "system": [{"text": LONG}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
    "messages": [{"role": "user", "content": [{"text": "hi"}]}],
}


@pytest.mark.parametrize("model", [MODEL, ARN, "us.amazon.nova-lite-v1:0"])
async def test_boto3_converses(simulator: Simulator, boto: Boto, model: str) -> None:
    """boto3's Converse is let in, answered, and told what the cache did."""
    told = (
        CONVERSE
        if "nova" not in model
        else {**CONVERSE, "system": [{"text": LONG}, {"cachePoint": {"type": "default"}}]}
    )
    client = boto()
    first = await in_thread(client.converse, modelId=model, **told)
    second = await in_thread(client.converse, modelId=model, **told)
    assert first["output"]["message"]["content"][0]["text"]
    assert first["usage"]["cacheWriteInputTokens"] > 1024
    assert second["usage"]["cacheReadInputTokens"] == first["usage"]["cacheWriteInputTokens"]
    usage = second["usage"]
    assert (
        usage["totalTokens"] == usage["inputTokens"] + usage["cacheReadInputTokens"] + usage["outputTokens"]
    )


async def test_boto3_streams(simulator: Simulator, boto: Boto) -> None:
    """boto3 reads our frames: its own parser checks every length and checksum."""

    def whole() -> tuple[str, dict[str, Any], str]:
        answer = boto().converse_stream(modelId=MODEL, **CONVERSE)
        text, usage, reason = "", {}, ""
        with closing(answer["stream"]) as stream:
            for told in stream:
                text += told.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
                usage = told.get("metadata", {}).get("usage", usage)
                reason = told.get("messageStop", {}).get("stopReason", reason)
        return text, usage, reason

    text, usage, reason = await anyio.to_thread.run_sync(whole)
    assert text
    assert reason == "end_turn"
    assert usage["cacheDetails"] == [{"ttl": "1h", "inputTokens": usage["cacheWriteInputTokens"]}]


async def test_boto3_invokes(simulator: Simulator, boto: Boto) -> None:
    """InvokeModel, whole and streamed, speaks Anthropic's body; the headers count too."""
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "hi"}],
    }

    def whole() -> tuple[dict[str, Any], dict[str, str]]:
        answer = boto().invoke_model(modelId=MODEL, body=orjson.dumps(body))
        with closing(answer["body"]) as told:
            return orjson.loads(told.read()), answer["ResponseMetadata"]["HTTPHeaders"]

    def streamed() -> list[dict[str, Any]]:
        answer = boto().invoke_model_with_response_stream(modelId=MODEL, body=orjson.dumps(body))
        with closing(answer["body"]) as stream:
            return [orjson.loads(told["chunk"]["bytes"]) for told in stream]

    message, headers = await anyio.to_thread.run_sync(whole)
    assert message["content"][0]["text"]
    assert headers["x-amzn-bedrock-input-token-count"] == str(message["usage"]["input_tokens"])
    events = await anyio.to_thread.run_sync(streamed)
    assert events[0]["type"] == "message_start"
    assert (
        events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"]
        == message["usage"]["output_tokens"]
    )


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "invalid"}, "UnrecognizedClientException"),
        ({"aws_session_token": "expired-1"}, "ExpiredTokenException"),
    ],
)
async def test_boto3_is_refused(simulator: Simulator, boto: Boto, changes: dict[str, str], kind: str) -> None:
    """A wrong signature, a key nobody knows and an expired token are answered with 403, each by its name."""
    errors = pytest.importorskip("botocore.exceptions")
    with pytest.raises(errors.ClientError) as refused:
        await in_thread(boto(**changes).converse, modelId=MODEL, **CONVERSE)
    assert refused.value.response["Error"]["Code"] == kind
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


async def test_boto3_mid_stream_exceptions(simulator: Simulator, boto: Boto) -> None:
    """An exception inside a stream is the one that boto3 knows."""
    errors = pytest.importorskip("botocore.exceptions")
    client = boto()

    def add(request: Any, **_: Any) -> None:
        request.headers["x-simulator"] = '{"error_after_events": 3}'

    client.meta.events.register("before-sign.bedrock-runtime.ConverseStream", add)

    def read() -> None:
        with closing(client.converse_stream(modelId=MODEL, **CONVERSE)["stream"]) as stream:
            for _ in stream:
                pass

    with pytest.raises(errors.EventStreamError, match="throttlingException"):
        await anyio.to_thread.run_sync(read)


@pytest.mark.parametrize("route", ["", "converse/", "invoke/"])
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("model", [MODEL, ARN])
async def test_our_client(simulator: Simulator, route: str, streamed: bool, model: str) -> None:
    """Our signature is accepted; what was written is read the next time; the cost is known and the saving is."""
    usages = []
    async with Client() as client:
        for _ in range(2):
            name = f"bedrock/{route}{model}"
            if streamed:
                answer: Any = await client.acompletion(
                    name, MARKED, stream=True, api_base=simulator.bedrock_base, **OURS
                )
                async with answer:
                    chunks = [chunk async for chunk in answer]
                assert chunks[-1].choices == []
                usages.append(chunks[-1].usage)
            else:
                answer = await client.acompletion(name, MARKED, api_base=simulator.bedrock_base, **OURS)
                usages.append(answer.usage)
    first, second = usages
    assert first.cache_creation.ephemeral_1h_input_tokens == first.cache_creation_input_tokens > 1024
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.prompt_tokens == first.prompt_tokens
    assert all(record.usage for record in simulator.log)
    assert second.source == "provider"


async def test_bearer_keys(simulator: Simulator) -> None:
    """A bearer key is let in; one that is invalid is refused as AWS does it."""
    async with Client() as client:
        arguments = {"api_base": simulator.bedrock_base, "max_retries": 0}
        assert (
            await client.acompletion(f"bedrock/{MODEL}", MARKED, api_key="ABSK-1", **arguments)
        ).usage.prompt_tokens
        with pytest.raises(PermissionDeniedError, match="API Key"):
            await client.acompletion(f"bedrock/{MODEL}", MARKED, api_key="invalid", **arguments)


async def test_a_wrong_secret(simulator: Simulator) -> None:
    """A signature that is wrong is an error of ours to authenticate, with AWS's words and without the secret."""
    async with Client() as client:
        with pytest.raises(AuthenticationError, match="does not match") as refused:
            await client.acompletion(
                f"bedrock/{MODEL}",
                MARKED,
                api_base=simulator.bedrock_base,
                **{**OURS, "aws_secret_access_key": "wr0ng!"},
            )
    assert refused.value.code == "InvalidSignatureException"
    assert "wr0ng!" not in str(refused.value)


@pytest.mark.parametrize("route", ["converse/", "invoke/"])
async def test_tools_and_thinking(simulator: Simulator, route: str) -> None:
    """A turn with thinking and calls goes there and back: what was signed is sent back as it was."""
    async with Client() as client:
        arguments = {
            "tools": [TOOL],
            "api_base": simulator.bedrock_base,
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "max_tokens": 2000,
            **OURS,
        }
        messages: list[Any] = [{"role": "user", "content": "call get_weather"}]
        first = await client.acompletion(f"bedrock/{route}{MODEL}", messages, **arguments)
        message = first.choices[0].message
        assert first.choices[0].finish_reason == "tool_calls"
        assert message.tool_calls[0].function.name == "get_weather"
        assert message.thinking_blocks[0]["signature"]
        answered = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}
        second = await client.acompletion(
            f"bedrock/{route}{MODEL}", [*messages, message, answered], **arguments
        )
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content


async def test_refusals_of_models_without_a_cache(simulator: Simulator, boto: Boto) -> None:
    """Llama answers checkpoints with a 403 that is no matter of keys; our own requests never hold any."""
    errors = pytest.importorskip("botocore.exceptions")
    with pytest.raises(errors.ClientError, match="prompt caching"):
        await in_thread(boto().converse, modelId="meta.llama3-1-70b-instruct-v1:0", **CONVERSE)
    async with Client() as client:
        reply = await client.acompletion(
            "bedrock/meta.llama3-1-70b-instruct-v1:0", MARKED, api_base=simulator.bedrock_base, **OURS
        )
        assert [note.action for note in reply.cache_report.notes] == ["dropped"]
        sent = {"role": "user", "content": [{"text": "x"}, {"cachePoint": {"type": "default"}}]}
        with pytest.raises(BadRequestError, match="takes no cache marks") as refused:
            await client.acompletion(
                "bedrock/meta.llama3-1-70b-instruct-v1:0", MARKED, api_base=simulator.bedrock_base,
                extra_body={"messages": [sent]}, **OURS,
            )  # fmt: skip
    assert refused.value.status_code == 403


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "blank"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}] * 2}, "alternate"),
        (
            {"messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": []}}]}]},
            "toolConfig",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"text": "a"}, *[{"cachePoint": {"type": "default"}}] * 5]}
                ]
            },
            "maximum of 4",
        ),
        (
            {
                "system": [{"text": "a"}, {"cachePoint": {"type": "default"}}],
                "messages": [
                    {
                        "role": "user",
                        "content": [{"text": "a"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
                    }
                ],
            },
            "must not come after",
        ),
    ],
)
async def test_what_converse_refuses(
    simulator: Simulator, boto: Boto, body: dict[str, Any], words: str
) -> None:
    """What AWS answers with 400 is answered with 400 here."""
    errors = pytest.importorskip("botocore.exceptions")
    with pytest.raises(errors.ClientError, match=words) as refused:
        await in_thread(boto().converse, modelId=MODEL, **body)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


async def test_novas_traps(simulator: Simulator, boto: Boto) -> None:
    """Nova takes checkpoints behind text only: boto3's are refused elsewhere, ours are never there."""
    errors = pytest.importorskip("botocore.exceptions")
    tool = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}
    config = {"tools": [tool, {"cachePoint": {"type": "default"}}]}
    nova = "us.amazon.nova-pro-v1:0"
    with pytest.raises(errors.ClientError, match="extraneous key"):
        await in_thread(boto().converse, modelId=nova, messages=CONVERSE["messages"], toolConfig=config)
    marked = {**TOOL, "cache_control": {"type": "ephemeral"}}
    async with Client() as client:
        reply = await client.acompletion(
            f"bedrock/{nova}", MARKED, tools=[marked], api_base=simulator.bedrock_base, **OURS
        )
    assert {note.action for note in reply.cache_report.notes} == {"dropped", "changed"}


@pytest.mark.parametrize(
    ("scenario", "cls"),
    [
        ('{"error_after_events": 4}', RateLimitError),
        ('{"cut_after_events": 4}', StreamInterruptedError),
        ('{"status": 429}', RateLimitError),
    ],
)
async def test_faults(simulator: Simulator, scenario: str, cls: type[Exception]) -> None:
    """An exception in a stream, a cut and a refusal each are what they are, and text that came is kept."""
    async with Client() as client:

        async def read() -> None:
            stream = await client.acompletion(
                f"bedrock/{MODEL}", MARKED, stream=True, api_base=simulator.bedrock_base,
                extra_headers={"x-simulator": scenario}, **OURS,
            )  # fmt: skip
            async with stream:
                async for _ in stream:
                    pass

        with pytest.raises(cls):
            await read()


async def test_caches_are_parted_by_account(simulator: Simulator) -> None:
    """Another access key reads nothing of what this one wrote, though each request's signature differs."""
    async with Client() as client:
        for _ in range(2):
            mine = await client.acompletion(
                f"bedrock/{MODEL}", MARKED, api_base=simulator.bedrock_base, **OURS
            )
        other = {**OURS, "aws_access_key_id": "AKIDOTHER", "aws_secret_access_key": "secret-of-AKIDOTHER"}
        theirs = await client.acompletion(
            f"bedrock/{MODEL}", MARKED, api_base=simulator.bedrock_base, **other
        )
    assert mine.usage.cache_read_input_tokens
    assert not theirs.usage.cache_read_input_tokens


async def test_a_thought_of_claudes_does_not_follow_to_another_model(simulator: Simulator) -> None:
    """The conversation goes on with Nova after a Claude that thought and called; AWS would refuse the signature."""
    asked = {"role": "user", "content": "call get_weather for Rome"}
    async with Client() as client:
        reach = {**OURS, "api_base": simulator.bedrock_base, "tools": [TOOL]}
        thinking = {"type": "enabled", "budget_tokens": 1024}
        reply = await client.acompletion(
            f"bedrock/{MODEL}", [asked], thinking=thinking, max_tokens=5000, **reach
        )
        said = reply.choices[0].message
        assert said.thinking_blocks
        assert said.tool_calls
        result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "sunny"}
        for model in (MODEL, "us.amazon.nova-pro-v1:0"):
            await client.acompletion(f"bedrock/{model}", [asked, said, result], max_tokens=50, **reach)
    on_claude, on_nova = (record.body["messages"][1]["content"] for record in list(simulator.log)[1:])
    assert ["reasoningContent" in block for block in on_claude] == [True, False]
    assert [list(block) for block in on_nova] == [["toolUse"]]
