"""`timeout` and `stream_timeout` as LiteLLM's files have them: how long a row is waited for, and who is asked then."""

from __future__ import annotations

import time
from typing import Any

import anthropic
import openai
import pytest

from asynccache.simulator import Simulator

from .serving import ai, claude, serving
from .test_passing import SSE
from .upstream import CHUNK, DONE, FINISH, FIRST, USAGE, WHOLE, upstream

pytestmark = pytest.mark.anyio

HELLO: Any = [{"role": "user", "content": "hi"}]
ONCE = "{max_retries: 0}"


@pytest.mark.parametrize(
    "where", ["row", "router_settings: {timeout: 0.3}", "litellm_settings: {request_timeout: 0.3}"]
)
async def test_a_whole_answer_has_its_time(where: str) -> None:
    """A provider that says nothing is given up after `timeout`, of the row or of all: both SDKs' own timeout error."""
    async with upstream() as up:
        up.answer(WHOLE)
        up.hang = 60
        text = up.config(more="    timeout: 0.3\n") if where == "row" else up.config() + where + "\n"
        async with serving(None, text, settings=ONCE) as proxy, ai(proxy) as client, claude(proxy) as other:
            began = time.monotonic()
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(model="m", messages=HELLO)
            with pytest.raises(anthropic.InternalServerError) as also:
                await other.messages.create(model="m", messages=HELLO, max_tokens=5)
            took = time.monotonic() - began
    assert (caught.value.status_code, also.value.status_code) == (504, 504)
    assert 0.6 <= took < 50  # of twice 60


async def test_a_stream_may_take_longer_than_its_timeout() -> None:
    """Time counts from event to event: a slow stream that goes on is no slow provider."""
    pieces = [FIRST, *(CHUNK % b"word " for _ in range(10)), FINISH, USAGE, DONE]
    async with upstream() as up:
        up.answer(*pieces, media=SSE)
        up.pause = 0.2
        async with (
            serving(None, up.config(more="    timeout: 2.0\n"), settings=ONCE) as proxy,
            ai(proxy) as client,
        ):
            began = time.monotonic()
            stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert text == "word " * 10
    assert time.monotonic() - began > 2.0


async def test_a_stream_that_stops_is_given_up() -> None:
    """No event for `stream_timeout`, which is for streams alone, ends in an error, never in a short success."""
    async with upstream() as up:
        up.answer(FIRST, CHUNK % b"half", media=SSE)
        up.stall = True
        text = up.config(more="    timeout: 60\n    stream_timeout: 0.3\n")
        async with serving(None, text, settings=ONCE) as proxy, ai(proxy) as client:
            began = time.monotonic()
            with pytest.raises(openai.APIError):
                async for _ in await client.chat.completions.create(model="m", messages=HELLO, stream=True):
                    pass
    assert time.monotonic() - began < 25  # of 30


@pytest.mark.parametrize("stream", [False, True])
async def test_another_one_is_asked_in_time(stream: bool, sim: Simulator) -> None:
    """A row that does not answer in its time is like one that fails: the fallback answers."""
    rows = """
model_list:
- model_name: slow
  litellm_params: {model: simulator/openai/gpt-4o, timeout: 0.3, extra_headers: {x-simulator: '{"latency":60}'}}
- {model_name: quick, litellm_params: {model: simulator/anthropic/claude-sonnet-4-6}}
litellm_settings: {fallbacks: [{slow: [quick]}], num_retries: 0}
"""
    async with serving(sim, rows) as proxy, ai(proxy) as client:
        began = time.monotonic()
        if stream:
            answer: Any = await client.chat.completions.create(model="slow", messages=HELLO, stream=True)
            models = {chunk.model async for chunk in answer}
        else:
            models = {(await client.chat.completions.create(model="slow", messages=HELLO)).model}
    assert models == {"claude-sonnet-4-6"}
    assert time.monotonic() - began < 50  # of 60
