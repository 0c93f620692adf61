"""What an answer has used is told wherever the answer can be met, also where it broke off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asynccache import Client, OverloadedError, RateLimitError, StreamInterruptedError

from .scripted import SSE, chunked, scripted

pytestmark = pytest.mark.anyio

USAGE = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}
ASKED = [{"role": "user", "content": "hi"}]


def chunk(**choice: Any) -> dict[str, Any]:
    told = {"index": 0, "delta": {"content": "a"}, **choice}
    return {"id": "c", "created": 1, "model": "deepseek-chat", "choices": [told]}


def events(*told: dict[str, Any]) -> bytes:
    return chunked(b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in told))


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        ({"finish_reason": "insufficient_system_resource"}, OverloadedError),
        ({"error": {"code": 429, "message": "m"}}, RateLimitError),
    ],
)
async def test_on_the_chunk_that_breaks_off(ending: dict[str, Any], kind: type[Exception]) -> None:
    """Usage that stands beside the reason why an answer broke off is on the error and goes to on_usage."""
    said = events(chunk(), {**chunk(**ending), "usage": USAGE})
    told: list[Any] = []
    async with scripted([SSE, said, chunked(b"")]) as server, Client(max_retries=0) as client:
        stream = await client.acompletion(
            "deepseek/deepseek-chat",
            ASKED,
            stream=True,
            api_base=server.base,
            api_key="k",
            on_usage=told.append,
        )
        with pytest.raises(kind) as caught:
            async for _ in stream:
                pass
    assert caught.value.usage.prompt_tokens == 30  # type: ignore[attr-defined]  # an AsyncCacheError
    assert [usage.prompt_tokens for usage in told] == [30]


async def test_on_what_had_been_said() -> None:
    """The answer as it stood when it broke off holds the usage so far, on the error and on the stream."""
    said = events({**chunk(), "usage": USAGE})
    async with scripted([SSE, said, chunked(b"")]) as server, Client(max_retries=0) as client:
        stream = await client.acompletion(
            "deepseek/deepseek-chat", ASKED, stream=True, api_base=server.base, api_key="k"
        )
        with pytest.raises(StreamInterruptedError) as caught:
            async for _ in stream:
                pass
    assert caught.value.completion is not None
    for usage in (caught.value.usage, caught.value.completion.usage, stream.usage, stream.completion.usage):
        assert usage is not None
        assert (usage.prompt_tokens, usage.source) == (30, "partial")
