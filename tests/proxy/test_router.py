"""Several deployments of one name: the cache decides, then the load; failures go elsewhere before the first word."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
import pytest

from asynccache.proxy.sticky import Sticky, prefixes
from asynccache.simulator import Simulator

from .serving import scenario, serving
from .test_passing import SSE, post
from .upstream import STREAM, WHOLE, Upstream, upstream

pytestmark = pytest.mark.anyio

LONG = "Every clause of a long contract, read and read again. " * 200


def turns(conversation: str, count: int) -> list[dict[str, Any]]:
    """A conversation's messages up to its *count*-th turn; the last question is marked for caching."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": LONG + conversation}]
    for number in range(count):
        messages.append({"role": "user", "content": f"question {number}"})
        messages.append({"role": "assistant", "content": f"answer {number}"})
    mark = {"type": "ephemeral"}
    last = {"type": "text", "text": f"question {count}", "cache_control": mark}
    return [*messages, {"role": "user", "content": [last]}]


def body(messages: Any, **more: Any) -> bytes:
    return orjson.dumps({"model": "m", "messages": messages, **more})


def two(*models: str) -> str:
    rows = "".join(f"- model_name: m\n  litellm_params: {{model: {model}}}\n" for model in models)
    return f"model_list:\n{rows}"


async def test_a_conversation_stays_where_its_cache_is(sim: Simulator) -> None:
    """Ten interleaved conversations of six turns: each is answered by one deployment, and both have work."""
    config = two("simulator/anthropic/claude-sonnet-4-5", "simulator/anthropic/claude-sonnet-4-6")
    homes: dict[int, set[str]] = {}
    async with serving(sim, config) as proxy:
        for turn in range(6):
            for conversation in range(10):
                # Another answer in progress makes the first choice fall now on one, now on the other.
                proxy.served.deployments[conversation % 2].in_flight += 1
                status, answer, _ = await post(
                    proxy, "/v1/chat/completions", body(turns(f"c{conversation}", turn), max_tokens=5)
                )
                proxy.served.deployments[conversation % 2].in_flight -= 1
                assert status == 200
                homes.setdefault(conversation, set()).add(orjson.loads(answer)["model"])
    assert all(len(models) == 1 for models in homes.values())
    assert len(set.union(*homes.values())) == 2
    assert sum(record.verdict.read > 0 for record in sim.log if record.verdict) == 50


async def test_without_a_known_beginning_the_least_busy_is_asked(sim: Simulator) -> None:
    """Twenty different prompts at once are spread evenly."""
    config = two("simulator/openai/gpt-4o", "simulator/openai/gpt-4.1")
    async with serving(sim, config) as proxy:
        await asyncio.gather(
            *(
                post(proxy, "/v1/chat/completions", body([{"role": "user", "content": f"{number}"}]))
                for number in range(20)
            )
        )
    asked = [record.body["model"] for record in sim.log]
    assert asked.count("gpt-4o") == asked.count("gpt-4.1") == 10


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the router waits between two attempts, each time that it does."""
    seen: list[float] = []

    async def sleep(seconds: float) -> None:
        seen.append(seconds)
        await asyncio.sleep(seconds)

    monkeypatch.setattr("asynccache.proxy.router.anyio.sleep", sleep)
    return seen


def pair(first: Upstream, second: Upstream, more: str = "") -> str:
    rows = second.config().removeprefix("\nmodel_list:\n")
    return first.config() + rows + more


@pytest.mark.parametrize("status", [429, 500, 503, 401, 404])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_goes_to_the_other_one_at_once(status: int, stream: bool, waits: list[float]) -> None:
    """No waiting, no second failure: the next requests ask the one that failed last of all."""
    async with upstream() as bad, upstream() as good:
        bad.answer(b'{"error":{"message":"no"}}', status=status)
        good.answer(STREAM if stream else WHOLE, media=SSE if stream else "application/json")
        async with serving(None, pair(bad, good)) as proxy:
            for number in range(5):
                said, answer, headers = await post(
                    proxy,
                    "/v1/chat/completions",
                    body([{"role": "user", "content": LONG + str(number)}], stream=stream),
                )
                assert said == 200
                assert b"The first" in answer or b"hi " in answer
    assert waits == []
    assert len(good.bodies) == 5
    assert len(bad.bodies) == 1
    assert headers["x-litellm-attempted-retries"] == "0"


async def test_the_callers_own_mistake_is_not_tried_elsewhere() -> None:
    """A 400 is the same everywhere: one attempt, and nobody is asked last for it."""
    async with upstream() as one, upstream() as other:
        for up in (one, other):
            up.answer(b'{"error":{"message":"bad temperature"}}', status=400)
        async with serving(None, pair(one, other)) as proxy:
            status, _, _ = await post(proxy, "/v1/chat/completions", body([{"role": "user", "content": "x"}]))
            assert all(deployment.cool_until == 0 for deployment in proxy.served.deployments)
    assert status == 400
    assert len(one.bodies) + len(other.bodies) == 1


async def test_attempts_are_counted_in_all() -> None:
    """`num_retries: 3` is four attempts over both deployments, never three for each."""
    async with upstream() as one, upstream() as other:
        for up in (one, other):
            up.answer(b'{"error":{"message":"no"}}', status=503)
        config = pair(one, other, "litellm_settings: {num_retries: 3}\n")
        async with serving(None, config) as proxy:
            status, _, _ = await post(proxy, "/v1/chat/completions", body([{"role": "user", "content": "x"}]))
    assert status == 503
    assert len(one.bodies) == len(other.bodies) == 2


async def test_one_deployment_is_tried_again(sim: Simulator, waits: list[float]) -> None:
    """A failure that passes is waited out, by what the provider asks."""
    text = scenario('{"id":"once","status":429,"times":1,"retry_after":"0.2"}')
    async with serving(sim, text) as proxy:
        began = time.monotonic()
        status, _, headers = await post(
            proxy, "/v1/chat/completions", body([{"role": "user", "content": "x"}])
        )
    assert status == 200
    assert headers["x-litellm-attempted-retries"] == "1"
    assert time.monotonic() - began >= 0.2
    assert waits == [0.2]


FALLBACKS = """
- model_name: other
  litellm_params: {model: simulator/anthropic/claude-sonnet-4-5}
litellm_settings:
  num_retries: 0
  fallbacks: [{m: [other]}]
"""


@pytest.mark.parametrize("stream", [False, True])
async def test_fallbacks_as_litellm_writes_them(stream: bool, sim: Simulator) -> None:
    """When a model fails the next one answers, its cache marks written anew in its own words."""
    async with serving(sim, scenario('{"status":500}') + FALLBACKS) as proxy:
        status, answer, headers = await post(
            proxy, "/v1/chat/completions", body(turns("f", 1), max_tokens=5, stream=stream)
        )
    assert status == 200
    assert b"claude-sonnet-4-5" in answer
    failed, answered = sim.log
    assert "cache_control" not in str(failed.body)
    assert answered.body["messages"][-1]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert headers["x-litellm-model-group"] == "other"


async def test_nothing_is_repeated_after_the_first_word(sim: Simulator) -> None:
    """An answer that has begun is not begun again elsewhere."""
    async with serving(sim, scenario('{"error_after_events":6}') + FALLBACKS) as proxy:
        _, answer, _ = await post(
            proxy, "/v1/chat/completions", body([{"role": "user", "content": "x"}], stream=True)
        )
    assert len(sim.log) == 1
    assert b'"error"' in answer


async def test_aliases_and_wildcards(sim: Simulator) -> None:
    """A name may stand for another one, and a `*` for whatever the caller writes."""
    config = (
        'model_list:\n- model_name: "simulated/*"\n  litellm_params: {model: "simulator/openai/*"}\n'
        "- model_name: plain\n  litellm_params: {model: simulator/openai/gpt-4.1}\n"
        "router_settings: {model_group_alias: {other: plain}}\n"
    )
    async with serving(sim, config) as proxy:
        for name in ("simulated/gpt-4o", "other"):
            data = orjson.dumps({"model": name, "messages": [{"role": "user", "content": "x"}]})
            status, _, _ = await post(proxy, "/v1/chat/completions", data)
            assert status == 200
    assert [record.body["model"] for record in sim.log] == ["gpt-4o", "gpt-4.1"]


def test_marks_do_not_change_a_beginning() -> None:
    """Agents move their marks from turn to turn; what they mark stays the same prompt."""
    key = b"k" * 32
    first = prefixes({"messages": turns("a", 2)}, key)
    second = prefixes({"messages": turns("a", 3)}, key)
    assert first[-1] in second
    assert first[0] == prefixes({"messages": turns("a", 0)}, key)[0]
    assert not set(first[1:]) & set(prefixes({"messages": turns("b", 3)}, key))
    assert not set(first) & set(prefixes({"messages": turns("a", 2)}, b"o" * 32))
    assert prefixes({"messages": [{"role": "user", "content": "short"}]}, key) == ()


def test_beginnings_are_forgotten() -> None:
    """After their time, and when there are too many."""
    sticky = Sticky(0.0)
    sticky.remember((b"a",), "one")
    assert sticky.find((b"a",)) is None
    sticky = Sticky(60.0)
    sticky.remember((b"a", b"b", b"c"), "one")
    sticky.remember((b"a", b"b", b"c", b"d"), "two")
    assert sticky.find((b"a", b"x")) == "two"
    assert sticky.find((b"y", b"x")) is None
