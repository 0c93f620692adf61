"""Anthropic's API as a provider: where it is asked, with which key and headers, and what its refusals are."""

from __future__ import annotations

import json

import pytest

from asynccache.errors import InvalidRequestError, MissingAPIKeyError, OverloadedError, RateLimitError
from asynccache.providers import get
from asynccache.providers.anthropic import provider
from asynccache.request import Access
from asynccache.secret import Secret
from asynccache.stream import Head

from .asking import USER, ask, body_of

VARIABLES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def access(key: str | None = None, base: str | None = None) -> Access:
    return Access(provider="anthropic", api_key=None if key is None else Secret(key), api_base=base)


def test_it_is_found_by_its_name() -> None:
    """The registry hands out this provider."""
    assert get("anthropic") is provider
    assert provider.name == "anthropic"


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (None, "https://api.anthropic.com/v1/messages"),
        ("http://h:1", "http://h:1/v1/messages"),
        ("http://h:1/", "http://h:1/v1/messages"),
        ("http://h:1/v1", "http://h:1/v1/messages"),
        ("http://h:1/v1/", "http://h:1/v1/messages"),
        ("https://h/anthropic", "https://h/anthropic/v1/messages"),
    ],
)
def test_the_address(base: str | None, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``/v1/messages`` is added to the base, and never a second ``/v1``; the environment's base counts too."""
    assert provider.encode(ask(USER, access=access(base=base))).url == url
    if base is not None:
        for name in VARIABLES[2:]:
            with monkeypatch.context() as patch:
                patch.setenv(name, base)
                assert provider.encode(ask(USER)).url == url


def test_the_headers() -> None:
    """The version that all take, unless another is asked for; beta features each once, wherever they are named."""
    headers = provider.encode(ask(USER, stream=True)).headers
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["accept"] == "text/event-stream"
    assert "anthropic-beta" not in headers
    request = ask(
        USER,
        extra_headers={"anthropic-version": "2026-10-21", "anthropic-beta": "a, b", "x-mine": "1"},
        betas=["b", "c"],
    )
    headers = provider.encode(request).headers
    assert (headers["anthropic-version"], headers["x-mine"], headers["anthropic-beta"]) == (
        "2026-10-21",
        "1",
        "b,c,a",
    )
    assert "betas" not in body_of(request)


def test_streaming_is_asked_in_the_body() -> None:
    """Only a stream says so."""
    assert body_of(ask(USER, stream=True))["stream"] is True
    assert "stream" not in body_of(ask(USER))


async def keys(request_access: Access | None) -> dict[str, str]:
    request = ask(USER, access=request_access)
    provider.check(request)
    call = provider.encode(request)
    authorized = await provider.authorize(call, request)
    assert authorized.body == call.body
    return {
        name: authorized.headers[name]
        for name in authorized.headers
        if name in {"x-api-key", "authorization"}
    }


@pytest.mark.anyio
async def test_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's key, else that of the environment, else its token, which goes as a bearer."""
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token")
    assert await keys(None) == {"authorization": "Bearer token"}
    assert await keys(access("mine")) == {"x-api-key": "mine"}
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of-env")
    assert await keys(None) == {"x-api-key": "of-env"}
    assert await keys(access("mine")) == {"x-api-key": "mine"}


@pytest.mark.anyio
async def test_a_missing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the variable; an empty key is allowed on this machine only."""
    with pytest.raises(MissingAPIKeyError, match="ANTHROPIC_API_KEY"):
        await keys(None)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    with pytest.raises(MissingAPIKeyError, match="ANTHROPIC_API_KEY"):
        await keys(None)
    for base in ("http://127.0.0.1:8080", "http://localhost:1/v1", "http://[::1]:2", "http://0.0.0.0:3"):
        assert await keys(access(base=base)) == {"x-api-key": ""}
    with pytest.raises(MissingAPIKeyError):
        await keys(access(base="http://example.com"))


def test_another_provider_s_key_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Access given for one provider is not this one's."""
    other = Access(provider="openai", api_key=Secret("sk"), api_base="http://127.0.0.1:1")
    with pytest.raises(MissingAPIKeyError):
        provider.check(ask(USER, access=other))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    assert provider.encode(ask(USER, access=other)).url.startswith("https://api.anthropic.com/")


def test_a_base_that_is_none() -> None:
    """It is refused by value."""
    with pytest.raises(InvalidRequestError, match="api_base='nonsense'"):
        provider.encode(ask(USER, access=access(base="nonsense")))


def test_a_value_that_json_cannot_say() -> None:
    """It is refused before anything is sent."""
    with pytest.raises(InvalidRequestError, match="JSON"):
        provider.encode(ask(USER, container=object()))


def test_refusals() -> None:
    """The status, the headers and the body make the error; a body that is no JSON is quoted, keys hidden."""
    body = json.dumps(
        {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
    ).encode()
    error = provider.error(429, {"retry-after": "3", "request-id": "req_1", "x-should-retry": "true"}, body)
    assert type(error) is RateLimitError
    assert (error.retry_after, error.request_id, error.code) == (3.0, "req_1", "rate_limit_error")
    assert error.should_retry is True
    overloaded = provider.error(529, {}, b"<html>busy sk-ant-api03-aaaaaaaaaaaa</html>")
    assert type(overloaded) is OverloadedError
    assert "busy" in overloaded.message
    assert "sk-ant" not in overloaded.message


def test_each_answer_has_its_own_decoder() -> None:
    """A provider holds no state."""
    request = ask(USER, stream=True)
    assert provider.decoder(request, Head()) is not provider.decoder(request, Head())
