"""Addresses are fetched only where the caller allows it, within limits, and sent as data."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from asynccache import Client, InlineURLs, InvalidRequestError, default_stages
from asynccache.request import Request

from .scripted import scripted

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n picture"


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: image/png\r\ncontent-length: %d\r\n\r\n%b" % (
        status.encode(),
        len(body),
        body,
    )


def asking(url: str) -> list[dict[str, Any]]:
    parts = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": parts}]


async def sent(url: str, model: str = "bedrock/us.amazon.nova-pro-v1:0", **limits: Any) -> Request:
    """The request as it reaches the stages within."""
    seen: list[Request] = []

    async def stop(request: Request, call_next: Any) -> Any:
        seen.append(request)
        raise ZeroDivisionError

    async with Client(stages=[InlineURLs(**limits), stop, *default_stages()]) as client:
        with pytest.raises(ZeroDivisionError):
            await client.acompletion(model, asking(url))
    return seen[0]


async def test_image_is_fetched() -> None:
    """An image's address becomes its data, and the caller's messages stay as they are."""
    async with scripted([answer(PNG)]) as server:
        request = await sent(server.base)
    url = request.messages[0]["content"][1]["image_url"]["url"]
    assert url == "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert asking("x") == asking("x")


async def test_others_fetch_for_themselves() -> None:
    """Providers that take addresses get them."""
    request = await sent("http://127.0.0.1:9/x", model="anthropic/claude-sonnet-4-5")
    assert request.messages[0]["content"][1]["image_url"]["url"] == "http://127.0.0.1:9/x"


@pytest.mark.parametrize(
    ("script", "limits", "reason"),
    [
        ([answer(PNG, "404 Not Found")], {}, "status 404"),
        ([answer(PNG, "302 Found")], {}, "status 302"),
        ([answer(b"x" * 2000)], {"max_bytes": 1000}, "larger than 1000"),
        ([-1.0], {"timeout": 0.1}, "longer than 0.1"),
        ([], {}, "did not answer"),
    ],
)
async def test_refused(script: Any, limits: dict[str, Any], reason: str) -> None:
    """What cannot be fetched names its path and the reason; redirects are not followed."""
    async with scripted(script) as server, Client(stages=[InlineURLs(**limits), *default_stages()]) as client:
        with pytest.raises(InvalidRequestError, match=rf"messages\[0\].content\[1\].*{reason}"):
            await client.acompletion("bedrock/us.amazon.nova-pro-v1:0", asking(server.base))


async def test_not_without_permission() -> None:
    """Without the stage nothing is fetched, and the error names it."""
    async with scripted([answer(PNG)]) as server, Client(max_retries=0) as client:
        with pytest.raises(InvalidRequestError, match="InlineURLs"):
            await client.acompletion(
                "bedrock/us.amazon.nova-pro-v1:0",
                asking(server.base),
                api_key="k",
                aws_region_name="us-east-1",
            )
        assert not server.heads


async def test_every_place_of_an_address() -> None:
    """Bare addresses, videos, files and Anthropic's sources are fetched; a part that is text alone stays."""
    data = base64.b64encode(PNG).decode()
    url = f"data:image/png;base64,{data}"

    def parts(address: str, source: dict[str, str]) -> list[Any]:
        return [
            {"type": "image_url", "image_url": address},
            {"type": "video_url", "video_url": {"url": address}},
            {"type": "file", "file": {"filename": "f", "file_data": address}},
            {"type": "document", "source": source},
            {"type": "image", "source": source},
        ]

    seen: list[Request] = []

    async def stop(request: Request, call_next: Any) -> Any:
        seen.append(request)
        raise ZeroDivisionError

    async with scripted([answer(PNG)] * 5) as server:
        asked = parts(server.base, {"type": "url", "url": server.base})
        request = Request(
            model="bedrock/us.amazon.nova-pro-v1:0", messages=[{"role": "user", "content": ["a", *asked]}]
        )
        with pytest.raises(ZeroDivisionError):
            await InlineURLs()(request, lambda inner: stop(inner, None))
    inlined = parts(url, {"type": "base64", "media_type": "image/png", "data": data})
    assert seen[0].messages[0]["content"] == ["a", *inlined]


async def test_a_store_that_knows_no_types() -> None:
    """Where the type is any, the file's name tells."""
    typeless = answer(PNG).replace(b"image/png", b"binary/octet-stream")
    async with scripted([typeless]) as server:
        request = await sent(f"{server.base}/pictures/cat.jpeg?v=1")
    assert request.messages[0]["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
