"""OpenAI's Responses: recorded answers pass byte for byte, and what they used is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest

from asynccache.proxy.server import Server
from asynccache.simulator import Simulator
from tests.shared import SHARED, requires_shared

from .serving import ai, serving
from .test_passing import SSE, post
from .upstream import upstream

pytestmark = pytest.mark.anyio

USAGE = {
    "input_tokens": 2000,
    "input_tokens_details": {"cached_tokens": 1024},
    "output_tokens": 10,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 2010,
}
ANSWER = {
    "id": "resp_1",
    "object": "response",
    "created_at": 7,
    "model": "gpt-4o",
    "status": "completed",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "hi", "annotations": []}],
        }
    ],
    "usage": USAGE,
}
COST = 976 * 2.5e-6 + 1024 * 1.25e-6 + 10 * 10e-6


def event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


BEGUN = {**ANSWER, "usage": None, "status": "in_progress", "output": []}
STREAM = [
    event("response.created", response=BEGUN),
    event("response.output_text.delta", delta="h", item_id="msg_1", output_index=0, content_index=0),
    event("response.output_text.delta", delta="i", item_id="msg_1", output_index=0, content_index=0),
    event("response.output_text.done", text="hi", item_id="msg_1", output_index=0, content_index=0),
    event("response.completed", response=ANSWER),
]


async def test_the_sdk_reads_a_whole_answer() -> None:
    """Usage with its cost, the same in the headers."""
    async with upstream() as up:
        up.answer(orjson.dumps(ANSWER))
        async with serving(None, up.config()) as proxy, ai(proxy) as client:
            raw = await client.responses.with_raw_response.create(model="m", input="hi", prompt_cache_key="k")
            answer: Any = raw.parse()
    assert answer.output_text == "hi"
    assert answer.usage.cost == pytest.approx(COST)
    assert float(raw.headers["x-asynccache-response-cost"]) == pytest.approx(COST)
    assert up.heads[0].startswith(b"POST /v1/responses ")
    assert orjson.loads(up.bodies[0]) == {"input": "hi", "model": "gpt-4o", "prompt_cache_key": "k"}


async def test_the_sdk_reads_a_stream() -> None:
    """Every event comes through; the last one carries the cost beside its usage."""
    async with upstream() as up:
        up.answer(*STREAM, media=SSE)
        async with serving(None, up.config()) as proxy, ai(proxy) as client:
            stream = await client.responses.create(model="m", input="hi", stream=True)
            events: list[Any] = [each async for each in stream]
    assert [each.type for each in events] == [
        orjson.loads(part.split(b"data: ")[1])["type"] for part in STREAM
    ]
    assert events[-1].response.usage.cost == pytest.approx(COST)


@pytest.mark.parametrize(
    "last",
    [
        event("response.failed", response={**BEGUN, "error": {"code": "server_error", "message": "no"}}),
        event("error", code="server_error", message="no"),
        b"",
    ],
)
async def test_a_stream_that_fails(last: bytes) -> None:
    """A failure after the first words, and a cut, are errors to the SDK."""
    async with upstream() as up:
        up.answer(*STREAM[:3], last or b": bye\n\n", media=SSE)
        async with serving(None, up.config()) as proxy, ai(proxy) as client:
            with pytest.raises(openai.APIError):
                async for _ in await client.responses.create(model="m", input="hi", stream=True):
                    pass


async def test_only_where_openai_answers(proxy: Server, sim: Simulator) -> None:
    """Other providers have no Responses: the error says what to ask instead."""
    async with ai(proxy) as client:
        with pytest.raises(openai.NotFoundError, match="/v1/chat/completions"):
            await client.responses.create(model="claude", input="hi")
    assert sim.log == []


def recorded() -> list[Path]:
    folder = None if SHARED is None else SHARED / "recordings" / "openai" / "responses"
    return (
        []
        if folder is None
        else [path for path in sorted(folder.glob("*.json")) if "expected" not in path.name]
    )


@requires_shared
async def test_recorded_answers_pass_unchanged() -> None:
    """Every recorded stream and body of a whole answer comes out as it went in, its usage read."""
    seen = 0
    quiet = "{cost_in_bodies: false, max_retries: 0}"
    async with upstream() as up, serving(None, up.config(), settings=quiet) as proxy:
        for path in recorded():
            told: Any = json.loads(path.read_text(encoding="utf-8"))
            body = told["response_body"]
            blob = body.encode() if isinstance(body, str) else orjson.dumps(body)
            stream = bool(told["stream"])
            ends = (b'"response.completed"', b'"response.incomplete"') if stream else (b'"completed"',)
            if told["status"] != 200 or not any(end in blob for end in ends):
                continue
            up.answers = [(200, SSE if stream else "application/json", [blob])]
            asked = orjson.dumps({"model": "m", "input": "hi", "stream": stream})
            status, out, headers = await post(proxy, "/v1/responses", asked)
            assert (path.name, status) == (path.name, 200)
            assert out.strip() == blob.strip().replace(b"\r\n", b"\n"), path.name
            assert stream or "x-asynccache-cache-read-tokens" in headers
            seen += 1
    assert seen > 40
