"""Keys stand in no log line and in no error, in whatever spelling they come back."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest

from asynccache import APIStatusError, AsyncCacheError, Client
from asynccache.providers.registry import get
from asynccache.request import Access, Request
from asynccache.secret import Secret, redact

from .scripted import scripted

pytestmark = pytest.mark.anyio

SHAPELESS = "tenant/abc+é,def"[:11] + "987654"  # no provider's shape, with a slash
GOOGLE = "AIza" + "SyD-1234567890_abcdefghijk"
MESSAGES = [{"role": "user", "content": "hi"}]


def answer(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    "text",
    [
        GOOGLE,
        "ABSK" + "QmVkcm9ja0FQSUtleS1hYmNk",
        "sk-ant-api03-abcdefgh",
        "bearer abcdefghijkl",
        SHAPELESS,
        SHAPELESS.replace("/", "\\/"),
    ],
)
def test_shapes(text: str) -> None:
    """What looks like a key, and the caller's own in the spellings that JSON allows, is hidden."""
    assert redact(f"<{text}>", Secret(SHAPELESS)) == "<***>"


@pytest.mark.parametrize("status", [200, 400, 502])
@pytest.mark.parametrize("by", ["api_key", "header", "variable"])
async def test_echoed_keys(status: int, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that echoes the key, within an answer or beside a status, brings it into no error."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    given: dict[str, Any] = {"api_key": "another-key-1"}
    if by == "api_key":
        given = {"api_key": SHAPELESS}
    elif by == "header":
        given["extra_headers"] = {"Ocp-Apim-Subscription-Key": SHAPELESS}
    else:
        monkeypatch.setenv("OPENAI_API_KEY", SHAPELESS)
        given = {}
    said = {"error": {"message": f"{SHAPELESS} is wrong", "code": SHAPELESS}, "request_id": SHAPELESS}
    for body in (json.dumps(said), json.dumps(said).replace("/", "\\/")):
        async with scripted([answer(status, body.encode())]) as server, Client(max_retries=0) as client:
            with pytest.raises(APIStatusError) as caught:
                await client.acompletion("openai/m", MESSAGES, api_base=server.base, **given)
        error = caught.value
        assert str(error) == "*** is wrong"
        assert SHAPELESS not in repr(vars(error)) + repr(error)


async def test_logged_requests(caplog: pytest.LogCaptureFixture) -> None:
    """The raw request on the log hides every header that carries a credential, and its value in the body."""
    caplog.set_level(logging.DEBUG, "asynccache")
    headers = {"X-Goog-Api-Key": GOOGLE, "Helicone-Auth": f"Bearer {SHAPELESS}", "X-Tenant": "visible"}
    async with scripted([answer(400, b"{}")]) as server, Client(max_retries=0) as client:
        with pytest.raises(AsyncCacheError):
            await client.acompletion(
                "openai/m",
                [{"role": "user", "content": f"is {SHAPELESS} mine?"}],
                api_base=server.base,
                api_key="k-12345678",
                extra_headers=headers,
            )
    assert "visible" in caplog.text
    assert "is *** mine?" in caplog.text
    assert not any(key in caplog.text for key in (GOOGLE, SHAPELESS, "k-12345678"))


@pytest.mark.parametrize(
    ("provider", "header"),
    [("openai", "authorization"), ("anthropic", "x-api-key"), ("deepseek", "authorization")],
)
async def test_own_credentials(provider: str, header: str) -> None:
    """A credential among the caller's own headers stands, and goes to no other provider."""
    request = Request(
        model=f"{provider}/m",
        messages=MESSAGES,
        access=Access(provider=provider, api_key=Secret("k-12345678")),
        extra_headers={header: "mine", "x-tenant": "t"},
    )
    asked = get(provider)
    call = await asked.authorize(asked.encode(request), request)
    assert call.headers[header] == "mine"
    elsewhere = msgspec.structs.replace(request, access=Access(provider="another"))
    headers = asked.encode(elsewhere).headers
    assert header not in headers
    assert headers["x-tenant"] == "t"


@pytest.mark.parametrize("model", ["openai/m", "anthropic/m"])
async def test_unreadable_answers(model: str) -> None:
    """An answer that is no JSON is quoted without keys, and no error behind the error holds it whole."""
    body = f'{{"{GOOGLE}": {SHAPELESS}'.encode()
    async with scripted([answer(200, body)]) as server, Client(max_retries=0) as client:
        with pytest.raises(AsyncCacheError) as caught:
            await client.acompletion(model, MESSAGES, api_base=server.base, api_key=SHAPELESS)
    behind: BaseException | None = caught.value
    while behind is not None:
        assert not any(key in f"{behind!r} {vars(behind)}" for key in (GOOGLE, SHAPELESS))
        behind = behind.__cause__ or behind.__context__
