"""The simulated door of AWS lets in who signs rightly, and names what is wrong with all others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from asynccache.providers.bedrock.credentials import Keys
from asynccache.providers.bedrock.signing import sign
from asynccache.secret import Secret
from asynccache.simulator.bedrock_check import check_converse, check_model_id
from asynccache.simulator.bedrock_door import NotLetInError, account, check
from asynccache.simulator.wire import Refusal

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEYS = Keys(Secret("AKID"), Secret("secret-of-AKID"))
URL = "http://127.0.0.1:1/bedrock/model/a%3A0/converse?x=1"


def signed(at: datetime = NOW, service: str = "bedrock") -> dict[str, str]:
    """Headers as they arrive."""
    headers = sign(
        URL, {"content-type": "application/json"}, b"{}", keys=KEYS, region="r", at=at, service=service
    )
    return {"host": "127.0.0.1:1", **{name.lower(): value for name, value in headers.items()}}


def knock(
    headers: dict[str, str], body: bytes = b"{}", path: str = "/bedrock/model/a%3A0/converse?x=1"
) -> None:
    """Ask to be let in."""
    check(headers, path, body, NOW)


def test_the_right_signature() -> None:
    """A request signed as it was sent is let in, and so is a bearer."""
    knock(signed())
    knock({"authorization": "Bearer key"})


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({}, "MissingAuthenticationTokenException"),
        ({"authorization": "Bearer bad-key"}, "AccessDeniedException"),
        ({"authorization": "Basic x"}, "IncompleteSignatureException"),
        ({**signed(), "x-amz-date": "yesterday"}, "IncompleteSignatureException"),
        (signed(NOW - timedelta(minutes=6)), "InvalidSignatureException"),
        (signed(NOW + timedelta(minutes=6)), "InvalidSignatureException"),
        (signed(service="s3"), "InvalidSignatureException"),
        ({name: value for name, value in signed().items() if name != "host"}, "InvalidSignatureException"),
        ({**signed(), "content-type": "text/plain"}, "InvalidSignatureException"),
    ],
)
def test_the_wrong_ones(headers: dict[str, str], kind: str) -> None:
    """Each way of not proving who one is has AWS's name."""
    with pytest.raises(NotLetInError) as refused:
        knock(headers)
    assert refused.value.args[0] == kind


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"{} ", "/bedrock/model/a%3A0/converse?x=1"),
        (b"{}", "/bedrock/model/a:0/converse?x=1"),
        (b"{}", "/bedrock/x"),
    ],
)
def test_another_body_or_path(body: bytes, path: str) -> None:
    """The signature holds for one body and one path, percent signs and all."""
    with pytest.raises(NotLetInError, match="does not match"):
        knock(signed(), body, path)


def test_the_account_is_the_keys() -> None:
    """Two requests of one key are of one account, however different their signatures."""
    assert account(signed()) == account(signed(NOW + timedelta(seconds=9)))
    assert account({"authorization": "Bearer a"}) != account({"authorization": "Bearer b"})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "start with a user"),
        ({"messages": [{"role": "robot", "content": [{"text": "x"}]}]}, "robot"),
        ({"messages": [{"role": "user", "content": []}]}, "is empty"),
        ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "start with a user"),
        (
            {
                "toolConfig": {"tools": []} | {"x": 1},
                "messages": [
                    {
                        "role": "user",
                        "content": [{"toolResult": {"content": [{"cachePoint": {"type": "default"}}]}}],
                    }
                ],
            },
            "cachePoint",
        ),
        (
            {"messages": [{"role": "user", "content": [{"cachePoint": {"type": "default"}}, {"text": "x"}]}]},
            "nothing",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"text": "x"}, {"cachePoint": {"type": "default", "ttl": "2h"}}],
                    }
                ]
            },
            "2h",
        ),
    ],
)
def test_what_converse_refuses(body: dict[str, object], words: str) -> None:
    """Bodies that AWS answers with 400 are refused with words of its own."""
    with pytest.raises(Refusal, match=words):
        check_converse(body, "us.anthropic.claude-sonnet-4-6")


def test_models_that_nobody_has() -> None:
    """A model id of nobody's is refused as invalid."""
    with pytest.raises(Refusal, match="identifier is invalid"):
        check_model_id("does-not-exist")
