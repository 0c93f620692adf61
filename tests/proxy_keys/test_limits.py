"""Limits: never more than allowed in any minute, and told when to come again."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynccache.proxy.limits import KeyLimits, RateRefusedError, Window
from asynccache.proxy.reserving import prompt_tokens, said_output
from asynccache.usage.ledger_keys import Rights
from tests.proxy.serving import ai, claude
from tests.proxy.upstream import Upstream
from tests.waiting import PATIENCE, until

from .guarded import HELLO, guarded, make_key

pytestmark = pytest.mark.anyio

STEPS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=40)


@given(STEPS, st.integers(1, 30))
def test_no_minute_holds_more_than_the_limit(steps: list[tuple[int, int]], limit: int) -> None:
    """Whatever is asked and when: in no 60 seconds more than the limit, and the wait that is told is exact."""
    window, now, passed = Window(limit), 1000, []
    for pause, amount in steps:
        now += pause
        wait = window.wait(amount, now)
        recent = sum(size for at, size in passed if at > now - 60)
        assert (wait == 0) == (recent + amount <= limit)
        if wait == 0:
            window.take(amount, now)
            passed.append((now, amount))
            continue
        assert (wait == math.inf) == (amount > limit)
        if math.isfinite(wait):
            assert 0 < wait <= 60
            assert sum(size for at, size in passed if at > now + wait - 60) + amount <= limit
            assert sum(size for at, size in passed if at >= now + wait - 60) + amount > limit
    assert window.left(now) == limit - sum(size for at, size in passed if at > now - 60)
    assert window.left(now + 60) == limit  # nothing is remembered for longer


def test_true_usage_takes_the_place_of_the_estimate() -> None:
    """A call that used less gives the rest back at once, one that used more takes it; a refused one counts for nothing."""
    now = [0.0]
    limits, rights = KeyLimits(lambda: now[0]), Rights(models=("m",), tpm=100, rpm=3)
    first = limits.enter(rights, 80)
    with pytest.raises(RateRefusedError) as told:
        limits.enter(rights, 30)
    assert told.value.retry_after == 60
    first.settle(10)
    first.settle(0)  # only the first time matters
    second = limits.enter(rights, 90)
    second.settle(0, counts=False)
    assert (limits.tokens.left(0), limits.requests.left(0), limits.in_flight) == (90, 2, 0)
    limits.enter(rights, 1).settle(150)
    now[0] = 59.9
    with pytest.raises(RateRefusedError):
        limits.enter(rights, 1)
    now[0] = 60.0
    limits.enter(rights, 100)


def test_what_never_fits_is_told_so() -> None:
    """A call larger than a minute's tokens is not told to come again."""
    with pytest.raises(RateRefusedError, match="more than a minute holds") as told:
        KeyLimits().enter(Rights(models=("m",), tpm=10), 11)
    assert told.value.retry_after is None
    assert "x-ratelimit-reset-tokens" not in told.value.headers


async def test_requests_a_minute_in_both_dialects(provider: Upstream, tmp_path: Path) -> None:
    """The third call of two is a 429 with limit, rest and reset as each SDK's users know them; nothing is sent."""
    where = str(tmp_path / "ledger.db")
    key = make_key(where, rpm=2)
    messages: Any = HELLO["messages"]
    async with guarded(provider, where) as proxy:
        statuses = [(await proxy.post(key))[0] for _ in range(2)]
        async with ai(proxy.server, key) as client:
            with pytest.raises(openai.RateLimitError) as told:
                await client.chat.completions.create(model="m", messages=messages)
        async with claude(proxy.server, key) as other:
            with pytest.raises(anthropic.RateLimitError) as also:
                await other.messages.create(model="m", messages=messages, max_tokens=5)
    assert statuses == [200, 200]
    assert len(provider.bodies) == 2
    headers = told.value.response.headers
    assert 0 < int(headers["retry-after"]) <= 60
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("2", "0")
    assert 0 < float(headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60
    assert also.value.body["error"]["type"] == "rate_limit_error"  # type: ignore[index]
    headers = also.value.response.headers
    reset = datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"])
    assert 0 < (reset - datetime.now(UTC)).total_seconds() <= 60
    assert headers["anthropic-ratelimit-requests-limit"] == "2"


async def test_calls_at_the_same_time(provider: Upstream, tmp_path: Path) -> None:
    """Of twenty at once three pass, and as soon as one is over, the next may come."""
    where = str(tmp_path / "ledger.db")
    key = make_key(where, concurrency=3)
    async with guarded(provider, where) as proxy:
        provider.hang = asyncio.Event()
        tasks = [asyncio.ensure_future(proxy.post(key)) for _ in range(20)]
        await until(lambda: sum(task.done() for task in tasks) == 17)
        provider.hang.set()
        answers = await asyncio.gather(*tasks)
        assert sorted(status for status, _, _ in answers) == [200] * 3 + [429] * 17
        assert {answer["error"]["code"] for status, answer, _ in answers if status == 429} == {
            "too_many_calls"
        }
        assert (await proxy.post(key))[0] == 200
        provider.hang = asyncio.Event()
        tasks = [asyncio.ensure_future(proxy.post(key)) for _ in range(3)]
        await until(lambda: len(provider.bodies) == 7)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        provider.hang = None
        async with asyncio.timeout(PATIENCE):  # callers who left have left their places
            while (await proxy.post(key))[0] != 200:
                await asyncio.sleep(0.01)
    assert len(provider.bodies) == 8


async def test_tokens_a_minute_settle_by_the_true_usage(provider: Upstream, tmp_path: Path) -> None:
    """Each call reserves about 20 tokens and takes 2010: the second one passes, the third has nothing left."""
    where = str(tmp_path / "ledger.db")
    key = make_key(where, tpm=4000)
    async with guarded(provider, where) as proxy:
        found = [await proxy.post(key) for _ in range(3)]
        assert [status for status, _, _ in found] == [200, 200, 429]
        assert found[2][1]["error"]["code"] == "tokens_per_minute"
        assert found[2][2]["x-ratelimit-remaining-tokens"] == "0"
        counted = await proxy.post(key, "/v1/messages/count_tokens")  # uses none
        assert counted[0] == 200
    assert len(provider.bodies) == 2


def test_estimates() -> None:
    """Rather too many tokens than too few; pictures are not counted by their bytes."""
    text = "The quick brown fox jumps over the lazy dog. " * 100
    told = prompt_tokens({"model": "m", "messages": [{"role": "user", "content": text}]})
    assert 1000 < told < 2000  # about 1000 by OpenAI's tokenizer
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    assert 2000 <= prompt_tokens({"messages": [{"role": "user", "content": [picture]}]}) < 20_000
    for wrapped in ("A" * 1_000_000, ("A" * 76 + "\n") * 13_000):
        document = {"type": "document", "source": {"type": "base64", "data": wrapped}}
        assert 2000 <= prompt_tokens({"messages": [{"role": "user", "content": [document]}]}) < 20_000
    for text, least in (("汉" * 100, 100), ("汉" * 10_000, 10_000), ("x" * 90_000, 30_000)):
        assert prompt_tokens({"messages": [{"content": text}]}) >= least
        assert prompt_tokens({"input": [text], "tools": [{"text": text}]}) >= 2 * least
    plain = {"type": "document", "source": {"type": "text", "data": "汉" * 10_000}}
    assert prompt_tokens({"messages": [{"content": [plain]}]}) >= 10_000
    assert said_output({"max_tokens": 5, "max_completion_tokens": 9, "n": 3}) == 27
    assert said_output({"max_output_tokens": 4}) == 4
    assert said_output({"max_tokens": -5}) == 0
    assert said_output({"n": 3}) is None
