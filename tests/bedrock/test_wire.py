"""What goes over the wire to Bedrock: the path that was signed, keys of every kind, nothing that holds the loop."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from blockbuster import blockbuster_ctx
from msgspec.structs import replace

from asynccache.client import Client, default_stages
from asynccache.errors import (
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    MissingCredentialsError,
)
from asynccache.events import Event
from asynccache.pipeline import CallNext
from asynccache.providers.bedrock.credentials import Keys
from asynccache.providers.bedrock.signing import Scope, own_signature
from asynccache.request import Request
from asynccache.secret import Secret
from asynccache.stream import Stream
from tests.bedrock.answers import chunk, event
from tests.bedrock.test_answers import CLAUDE_EVENTS
from tests.bedrock.test_credentials import aws_home, process_profile, secrets

__all__ = ["aws_home", "secrets"]

pytestmark = pytest.mark.anyio

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HI = [{"role": "user", "content": "hi"}]
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10},
}
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret/KEY+1"}


class Seen:
    """One request as it came in, to the byte."""

    def __init__(self, request: web.BaseRequest, body: bytes) -> None:
        self.path = request.raw_path
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.host = request.host
        self.body = body

    def is_signed_by(self, keys: Keys, region: str) -> bool:
        """Whether the signature is the one of exactly this request."""
        told = self.headers["authorization"]
        names = told.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        signed = {name: self.headers[name] for name in names}
        scope = Scope(region, "bedrock", self.headers["x-amz-date"])
        return own_signature(f"http://{self.host}{self.path}", signed, self.body, keys, scope) == told


class Aws:
    """A server that writes down what it is asked and answers as it is told."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.refusals: list[tuple[int, str, str, dict[str, str]]] = []
        self.base = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Refuse what is to be refused, else answer, streamed where that was asked."""
        self.seen.append(Seen(request, await request.read()))
        if self.refusals:
            status, kind, message, headers = self.refusals.pop(0)
            told = {"message": message}
            return web.json_response(told, status=status, headers={"x-amzn-ErrorType": kind, **headers})
        if request.raw_path.endswith("invoke-with-response-stream"):
            frames = b"".join(map(chunk, CLAUDE_EVENTS))
            return web.Response(body=frames, content_type="application/vnd.amazon.eventstream")
        if request.raw_path.endswith("stream"):
            frames = event("messageStart", {"role": "assistant"})
            frames += event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}})
            frames += event("messageStop", {"stopReason": "end_turn"}) + event(
                "metadata", {"usage": ANSWER["usage"]}
            )
            return web.Response(body=frames, content_type="application/vnd.amazon.eventstream")
        return web.json_response(ANSWER)


@pytest.fixture
async def aws() -> AsyncIterator[Aws]:
    """The server, on loopback."""
    aws = Aws()
    runner = web.ServerRunner(web.Server(aws.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    aws.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield aws
    await runner.cleanup()


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No keys and no regions of whoever runs the tests."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_BEARER_TOKEN_BEDROCK",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        f"converse/{MODEL}",
        "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3",
        "converse/weird model/ä:1~x",
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_path_that_is_signed_is_the_path_that_is_sent(aws: Aws, model: str, stream: bool) -> None:
    """Whatever the model's id, the server that works the signature out from the bytes it got finds it right."""
    async with Client() as client:
        arguments: dict[str, Any] = {**KEYS, "aws_region_name": "eu-west-1", "api_base": aws.base}
        if stream:
            async with await client.acompletion(f"bedrock/{model}", HI, stream=True, **arguments) as chunks:
                text = "".join(
                    [
                        chunk.choices[0].delta.content or ""
                        for chunk in [c async for c in chunks]
                        if chunk.choices
                    ]
                )
        else:
            text = (await client.acompletion(f"bedrock/{model}", HI, **arguments)).choices[
                0
            ].message.content or ""
    assert text == "Hi"
    (seen,) = aws.seen
    assert seen.is_signed_by(Keys(Secret("AKIDEXAMPLE"), Secret("secret/KEY+1")), "eu-west-1")
    assert seen.path.count("/") == 3
    assert "secret" not in str(seen.headers)


async def test_session_tokens_are_signed(aws: Aws) -> None:
    """A session token goes along and is part of what is signed."""
    async with Client() as client:
        await client.acompletion(
            f"bedrock/{MODEL}", HI, **KEYS, aws_session_token="TOKEN", aws_region_name="r1", api_base=aws.base
        )
    assert aws.seen[0].headers["x-amz-security-token"] == "TOKEN"
    assert "x-amz-security-token" in aws.seen[0].headers["authorization"]
    assert aws.seen[0].is_signed_by(Keys(Secret("AKIDEXAMPLE"), Secret("secret/KEY+1")), "r1")


async def test_bearer_keys_go_as_they_are(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """`api_key=` and `AWS_BEARER_TOKEN_BEDROCK` are sent as bearers, unsigned; neither needs a region here."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "from-env")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", aws.base)
    async with Client() as client:
        await client.acompletion(f"bedrock/{MODEL}", HI)
        await client.acompletion(f"bedrock/{MODEL}", HI, api_key="from-call")
    assert [seen.headers["authorization"] for seen in aws.seen] == ["Bearer from-env", "Bearer from-call"]
    assert "x-amz-date" not in aws.seen[0].headers


async def test_the_profiles_keys_and_region(aws: Aws, aws_home: Path) -> None:
    """With a profile, keys and region are botocore's, and no call blocks the loop to get them."""
    process_profile(aws_home, seconds=0.05, lifetime=3600)
    async with Client() as client:
        await client.acompletion(
            f"bedrock/{MODEL}", HI, api_key="k", api_base=aws.base
        )  # what loads once is loaded
        aws.seen.clear()
        with blockbuster_ctx():
            for _ in range(2):
                await client.acompletion(f"bedrock/{MODEL}", HI, aws_profile_name="slow", api_base=aws.base)
    keys = Keys(Secret("AKID0"), Secret("secret"), Secret("token"))
    assert all(seen.is_signed_by(keys, "eu-north-1") for seen in aws.seen)
    assert len(aws.seen) == 2


async def test_keys_that_take_longer_than_the_call_may(aws: Aws, aws_home: Path) -> None:
    """The time for the whole call holds for finding keys too; nothing is sent."""
    process_profile(aws_home, seconds=20, lifetime=3600)
    async with Client() as client:
        before = time.perf_counter()
        with pytest.raises(APITimeoutError, match="credentials") as late:
            await client.acompletion(
                f"bedrock/{MODEL}", HI, aws_profile_name="slow", api_base=aws.base, timeout=0.3, max_retries=0
            )
    assert late.value.phase == "total"
    assert time.perf_counter() - before < 15  # of 20
    assert aws.seen == []


@pytest.mark.parametrize("model", ["bedrock/converse/", "bedrock/invoke/"])
async def test_a_route_without_a_model(aws: Aws, model: str) -> None:
    """A name that ends at the route is refused with an example."""
    async with Client() as client:
        with pytest.raises(InvalidRequestError, match="names no model"):
            await client.acompletion(model, HI, api_key="k", api_base=aws.base)


async def test_expired_keys_are_renewed_once(aws: Aws, aws_home: Path) -> None:
    """AWS's word that keys expired is a typed error, and the next call asks for new ones."""
    log = process_profile(aws_home, seconds=0, lifetime=3600)
    aws.refusals = [
        (403, "ExpiredTokenException", "The security token included in the request is expired", {})
    ]
    async with Client() as client:
        arguments = {"aws_profile_name": "slow", "api_base": aws.base}
        with pytest.raises(AuthenticationError, match="expired"):
            await client.acompletion(f"bedrock/{MODEL}", HI, **arguments)
        await client.acompletion(f"bedrock/{MODEL}", HI, **arguments)
    assert log.read_text() == "xx"
    assert len(aws.seen) == 2
    assert "AKID1" in aws.seen[1].headers["authorization"]


async def test_a_wrong_clock_is_named_and_made_good(aws: Aws) -> None:
    """A refusal for the time says so, and from then on requests are dated by AWS's clock."""
    there = datetime.now(UTC) + timedelta(hours=2)
    date = {"Date": format_datetime(there, usegmt=True)}
    aws.refusals = [
        (403, "InvalidSignatureException", "Signature expired: 1 is now earlier than 2 (3 - 5 min.)", date)
    ]
    async with Client() as client:
        arguments = {**KEYS, "aws_region_name": "us-east-1", "api_base": aws.base}
        with pytest.raises(AuthenticationError, match="clock of this machine"):
            await client.acompletion(f"bedrock/{MODEL}", HI, **arguments)
        await client.acompletion(f"bedrock/{MODEL}", HI, **arguments)
    first, second = (
        datetime.strptime(seen.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        for seen in aws.seen
    )
    assert abs((second - there).total_seconds()) < 30
    assert abs((first - there).total_seconds()) > 3600


async def test_nothing_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys and without the extra one line names both remedies, and nothing is sent."""
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    async with Client() as client:
        with pytest.raises(
            MissingCredentialsError, match=r"AWS_BEARER_TOKEN_BEDROCK.*asynccache\[bedrock\]"
        ) as missing:
            await client.acompletion(f"bedrock/{MODEL}", HI, aws_region_name="us-east-1")
    assert missing.value.provider == "bedrock"
    assert "\n" not in str(missing.value)


async def test_no_region(aws_home: Path) -> None:
    """Keys without a region are no address; the error says what to set."""
    async with Client() as client:
        with pytest.raises(ConfigurationError, match=r"aws_region_name= or set AWS_REGION"):
            await client.acompletion(f"bedrock/{MODEL}", HI, **KEYS)


async def test_caller_headers_are_signed(aws: Aws) -> None:
    """Headers of the caller's go along, under the signature; of authorization there is only ours."""
    async with Client() as client:
        await client.acompletion(
            f"bedrock/{MODEL}", HI, **KEYS, aws_region_name="r1", api_base=aws.base,
            extra_headers={"X-Amzn-Bedrock-Trace": "ENABLED", "Authorization": "mine"},
        )  # fmt: skip
    (seen,) = aws.seen
    assert "x-amzn-bedrock-trace" in seen.headers["authorization"]
    assert seen.is_signed_by(Keys(Secret("AKIDEXAMPLE"), Secret("secret/KEY+1")), "r1")


async def test_a_credential_given_for_another_provider_stays_behind(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a stage asks Bedrock instead, the caller's header with a key does not go along; other headers do."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret/KEY+1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", aws.base)

    async def elsewhere(request: Request, call_next: CallNext) -> Stream[Event]:
        return await call_next(replace(request, model=f"bedrock/{MODEL}"))

    async with Client(stages=[elsewhere, *default_stages()]) as client:
        await client.acompletion(
            "openai/gpt-4o", HI, api_key="sk-of-openai", extra_headers={"x-api-key": "theirs", "x-note": "n"}
        )
    (seen,) = aws.seen
    assert "x-api-key" not in seen.headers
    assert seen.headers["x-note"] == "n"


async def test_invoke_says_the_rest_in_headers(aws: Aws) -> None:
    """Guardrail, latency, tier and the inner type of a stream are headers; betas stand in the body."""
    async with (
        Client() as client,
        await client.acompletion(
            f"bedrock/invoke/{MODEL}", HI, stream=True, **KEYS, aws_region_name="r1", api_base=aws.base,
            guardrailConfig={"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"},
            performanceConfig={"latency": "optimized"}, service_tier="flex", extra_headers={"anthropic-beta": "b-1"},
        ) as chunks,
    ):  # fmt: skip
        assert [chunk async for chunk in chunks][-1].usage is not None
    (seen,) = aws.seen
    assert seen.headers["x-amzn-bedrock-guardrailidentifier"] == "g"
    assert seen.headers["x-amzn-bedrock-trace"] == "ENABLED"
    assert seen.headers["x-amzn-bedrock-performanceconfig-latency"] == "optimized"
    assert seen.headers["x-amzn-bedrock-service-tier"] == "flex"
    assert seen.headers["x-amzn-bedrock-accept"] == "application/json"
    assert "anthropic-beta" not in seen.headers
    body = orjson.loads(seen.body)
    assert body["anthropic_beta"] == ["b-1"]
    assert body["anthropic_version"] == "bedrock-2023-05-31"
    assert not {"model", "stream", "guardrailConfig", "service_tier"} & body.keys()
    assert seen.is_signed_by(Keys(Secret("AKIDEXAMPLE"), Secret("secret/KEY+1")), "r1")
