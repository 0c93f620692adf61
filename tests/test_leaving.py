"""A consumer may leave a stream anywhere: the provider hears of it at once, and the usage is told once."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from asynccache import Client, CompletionStream, ConfigurationError, Usage
from asynccache.simulator import Simulator
from asynccache.testing import simulator
from tests.waiting import soon, until

from .reliability.points import cancelled_at

pytestmark = pytest.mark.anyio

_CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MODELS = {
    "openai": "gpt-4o",
    "anthropic": "claude-sonnet-4-5",
    "deepseek": "deepseek-chat",
    "bedrock": _CLAUDE,
    "bedrock/invoke": _CLAUDE,
}
SEEN_WITHIN = 0.05  # seconds until the provider knows


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with simulator(answer_tokens=12, rate=4000) as sim:
        yield sim


class Left:
    """One call on its way, and what was told of it."""

    def __init__(self, sim: Simulator, provider: str) -> None:
        self.sim = sim
        self.provider = provider
        self.client = Client(max_retries=0)
        self.usages: list[Usage] = []
        self.before = len(sim.log)

    async def open(self, **scenario: Any) -> CompletionStream:
        return await self.client.acompletion(
            f"{self.provider}/{MODELS[self.provider]}",
            [{"role": "user", "content": "hello"}],
            stream=True,
            api_key="k",
            api_base=getattr(self.sim, f"{self.provider.partition('/')[0]}_base"),
            aws_region_name="us-east-1" if self.provider.startswith("bedrock") else None,
            extra_headers={"x-simulator": json.dumps(scenario)} if scenario else None,
            on_usage=self.usages.append,
        )

    async def check(self, *, whole: bool = False) -> None:
        """The provider saw the end in time, no connection is held, the usage was told once."""
        assert self.client.connections == (1 if whole else 0)
        records = self.sim.log[self.before :]
        await soon(lambda: all(record.closed_by for record in records), SEEN_WITHIN)
        for record in records:
            assert record.closed_by == ("server" if record.finished else "client")
        if records:
            assert len(self.usages) == 1
        assert len(self.usages) <= 1
        await self.client.aclose()


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize("chunks", [0, 1, 2, 5])
@pytest.mark.parametrize("way", ["async with", "aclose", "error", "break"])
async def test_leaving_after_some_chunks(sim: Simulator, provider: str, chunks: int, way: str) -> None:
    """Whatever way the consumer leaves by, the socket closes at once and usage is told once, as partial."""
    left = Left(sim, provider)
    stream = await left.open(stall_after_events=12)
    seen = 0
    if way == "break":
        with pytest.warns(ResourceWarning, match="dropped before its end"):
            async for _ in stream:
                seen += 1
                if seen > chunks:
                    break
            del stream
            gc.collect()
    elif way == "error":
        with pytest.raises(ZeroDivisionError):
            async with stream:
                async for _ in stream:
                    seen += 1
                    if seen > chunks:
                        raise ZeroDivisionError
    else:
        async with stream:
            async for _ in stream:
                seen += 1
                if seen > chunks:
                    break
            if way == "aclose":
                await stream.aclose()
                await stream.aclose()
    await left.check()
    assert left.usages[0].source in {"partial", "missing"}
    if provider in {"anthropic", "bedrock/invoke"}:
        assert left.usages[0].prompt_tokens is not None  # told at the start


@pytest.mark.parametrize("provider", MODELS)
async def test_stream_left_early_still_tells_what_it_knows(sim: Simulator, provider: str) -> None:
    """After an early end `usage` and `completion` hold what had come."""
    left = Left(sim, provider)
    async with await left.open(stall_after_events=12) as stream:
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
    with pytest.raises(ConfigurationError, match="closed before its end"):
        await anext(aiter(stream))
    assert stream.usage is left.usages[0]
    assert stream.completion.choices[0].message.content
    assert stream.cost.total is None
    assert stream.cost.reason
    await left.check()


async def whole_call(left: Left) -> None:
    async with await left.open() as stream:
        async for _ in stream:
            pass


@pytest.mark.parametrize("provider", MODELS)
async def test_cancellation_at_every_await(sim: Simulator, provider: str, record_property: Any) -> None:
    """Cancelled at its k-th suspension, for every k: the cancellation goes through and nothing is left behind."""
    step = 0
    while True:
        step += 1
        left = Left(sim, provider)
        reached, cancelled = await cancelled_at(lambda left=left: whole_call(left), step, "task")
        assert cancelled == reached
        if not reached:
            await left.check(whole=True)
            assert left.usages[0].source == "provider"
            break
        # A cancellation in the very last steps finds the answer whole and its connection given back.
        await left.check(whole=left.client.connections == 1 and left.usages[-1].source == "provider")
    assert step > 8
    record_property("points", step - 1)


@pytest.mark.parametrize("provider", MODELS)
async def test_cancel_scopes(sim: Simulator, provider: str) -> None:
    """A scope around the whole, and one around a single receive, both catch their own cancellation."""
    left = Left(sim, provider)
    with anyio.move_on_after(0.05) as scope:
        async with await left.open(stall_after_events=5) as stream:
            async for _ in stream:
                pass
    assert scope.cancelled_caught
    await left.check()

    left = Left(sim, provider)
    stream = await left.open(stall_after_events=5)
    with anyio.move_on_after(0.05) as scope:
        async for _ in stream:
            pass
    assert scope.cancelled_caught
    await left.check()


async def test_cancelled_task_group(sim: Simulator) -> None:
    """Ten streams in a task group that fails: all are closed, all are told once."""
    lefts = [Left(sim, "openai") for _ in range(10)]

    async def consume(left: Left) -> None:
        async with await left.open(stall_after_events=4) as stream:
            async for _ in stream:
                pass

    with pytest.raises(ExceptionGroup):
        async with anyio.create_task_group() as group:
            for left in lefts:
                group.start_soon(consume, left)
            await until(lambda: len(sim.log) == 10 and all(record.events_sent for record in sim.log))
            raise ZeroDivisionError
    await soon(lambda: all(record.closed_by for record in sim.log), SEEN_WITHIN)
    for left in lefts:
        assert left.client.connections == 0
        assert len(left.usages) == 1
        await left.client.aclose()
    assert [record.closed_by for record in sim.log] == ["client"] * 10
