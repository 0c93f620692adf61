"""Whatever goes wrong below /v1/messages is told in Anthropic's words, also what nobody foresaw."""

from __future__ import annotations

import logging
from typing import Any

import aiohttp
import pytest

from .serving import KEY, claude, serving, url
from .upstream import WHOLE, upstream

pytestmark = pytest.mark.anyio

BODY = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
UNHEARD = {"content-encoding": "x-unheard-of"}
REFUSED: dict[str, tuple[str, str, bytes, dict[str, str], int]] = {
    "an unknown address": ("POST", "/v1/messages/batches", BODY, {}, 404),
    "another unknown address": ("GET", "/v1/messages/msg_1/more", b"", {}, 404),
    "another method": ("GET", "/v1/messages", b"", {}, 405),
    "another method for a count": ("DELETE", "/v1/messages/count_tokens", b"", {}, 405),
    "a body too large": ("POST", "/v1/messages", b" " * 20_000 + BODY, {}, 413),
    "an unknown coding": ("POST", "/v1/messages", BODY, UNHEARD, 415),
    "no JSON": ("POST", "/v1/messages", b"{", {}, 400),
    "a broken gzip": ("POST", "/v1/messages", BODY, {"content-encoding": "gzip"}, 400),
    "no such model": ("POST", "/v1/messages", BODY.replace(b'"m"', b'"x"'), {}, 404),
    "no key": ("POST", "/v1/messages", BODY, {"x-api-key": ""}, 401),
    "no key for a count": ("POST", "/v1/messages/count_tokens?beta=true", BODY, {"x-api-key": "no"}, 401),
}


def is_anthropics(said: Any) -> bool:
    return (
        said["type"] == "error"
        and set(said["error"]) == {"type", "message"}
        and all(said["error"].values())
        and bool(said["request_id"])
    )


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refusal_is_in_anthropics_words(name: str) -> None:
    """Every status that the proxy itself gives."""
    method, path, body, headers, status = REFUSED[name]
    async with upstream() as up:
        up.answer(WHOLE)
        async with (
            serving(None, up.config(), settings="{max_body_bytes: 10000}") as proxy,
            aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
            session.request(method, url(proxy, path), data=body or None, headers=headers) as answer,
        ):
            assert answer.status == status
            assert answer.content_type == "application/json"
            assert is_anthropics(await answer.json())


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions"])
async def test_a_mistake_of_our_own_is_told_in_the_callers_words(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A 500 that nobody foresaw has the dialect of its address, and an id that the log has too."""

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("asynccache.proxy.gate.Gate.enter", fail)
    caplog.set_level(logging.ERROR)
    async with (
        upstream() as up,
        serving(None, up.config()) as proxy,
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
        session.post(url(proxy, path), data=BODY) as answer,
    ):
        assert answer.status == 500
        said = await answer.json()
    if path.startswith("/v1/messages"):
        assert is_anthropics(said)
        assert said["error"]["type"] == "api_error"
        assert said["request_id"] == answer.headers["request-id"]
    else:
        assert said["error"]["type"] == "server_error"
    assert answer.headers["request-id"] in caplog.text


async def test_anthropics_own_client_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds the words where it looks for them."""
    import anthropic

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("asynccache.proxy.gate.Gate.enter", fail)
    async with upstream() as up, serving(None, up.config()) as proxy, claude(proxy) as client:
        with pytest.raises(anthropic.InternalServerError) as caught:
            await client.messages.create(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
            )
    body: Any = caught.value.body
    assert body["error"]["message"] == "the proxy failed"
    assert caught.value.request_id == body["request_id"]
