"""Usage is never invented, never doubled, never lost once it came; each number has its source. Guarantees 1, 4, 5, 6."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import anyio
import pytest

from asynccache import AsyncCacheError, Client, Usage
from asynccache.errors import StreamInterruptedError

from .rig import BOTH, TEXT, WIRES, Rig

pytestmark = pytest.mark.anyio

# The counts of the prompt and of the completion, as each wire spells them.
COUNTS = {
    "openai": ("prompt_tokens", "completion_tokens"),
    "deepseek": ("prompt_tokens", "completion_tokens"),
    "anthropic": ("input_tokens", "output_tokens"),
    "invoke": ("input_tokens", "output_tokens"),
    "converse": ("inputTokens", "outputTokens"),
}
# Row 44: what is no count.
NO_COUNTS = {
    "negative": "-5",
    "fraction": "1.5",
    "string": '"12"',
    "huge": "1" + "0" * 30,
    "billions": "10000000000",
    "nan": "NaN",
    "infinity": "Infinity",
    "bool": "true",
    "list": "[1]",
    "object": '{"a":1}',
    "exponent": "1e30",
}


def counts(usage: Usage | None) -> tuple[int | None, int | None]:
    assert usage is not None
    return usage.prompt_tokens, usage.completion_tokens


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("raw", NO_COUNTS.values(), ids=NO_COUNTS)
async def test_what_is_no_count(rig: Rig, wire: str, stream: bool, raw: str) -> None:
    """Row 44: a count that is none is `invalid`, with no cost; the answer itself is taken."""
    for field in COUNTS[wire]:
        outcome = await rig.ask(wire, stream=stream, scenario={"usage_fields": {field: raw}})
        assert outcome.error is None, (field, outcome.error)
        assert outcome.text == TEXT
        assert [usage.source for usage in outcome.usages] == ["invalid"]
        assert counts(outcome.usage) == (None, None)
        assert outcome.usage is not None
        assert outcome.usage.cost is None
        assert outcome.usage.raw


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", BOTH)
async def test_keys_told_twice(rig: Rig, wire: str, stream: bool) -> None:
    """Row 45: of a key told twice the last counts."""
    field = COUNTS[wire][1]
    outcome = await rig.ask(wire, stream=stream, scenario={"usage_fields": {field: f'5,"{field}":7'}})
    assert outcome.usage is not None
    assert outcome.usage.completion_tokens == 7


@pytest.mark.parametrize("stream", BOTH)
async def test_more_cached_than_sent(rig: Rig, stream: bool) -> None:
    """Row 46: a prompt of which more was cached than sent is `invalid`, and never costs less than nothing."""
    odd = {"prompt_tokens_details.cached_tokens": "900000", "prompt_cache_hit_tokens": "900000"}
    for wire in ("openai", "deepseek"):
        outcome = await rig.ask(wire, stream=stream, scenario={"usage_fields": odd})
        assert outcome.usage is not None
        assert outcome.usage.source in {"invalid", "provider"}
        assert outcome.usage.cost is None or outcome.usage.cost >= 0
        if (
            outcome.usage.source == "provider"
        ):  # a total that adds up only that way says that the cache is apart
            assert outcome.usage.prompt_tokens_details.uncached_tokens is not None
            assert outcome.usage.prompt_tokens_details.uncached_tokens >= 0


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("where", ["every", "twice", "finish", "early"])
async def test_told_anywhere_and_often(rig: Rig, wire: str, where: str) -> None:
    """Rows 35 to 42: told early, late, twice or on every chunk, usage is counted once, and is the last told."""
    plain = await rig.ask(wire)
    outcome = await rig.ask(wire, scenario={"usage": where})
    assert outcome.error is None
    assert counts(outcome.usage) == counts(plain.usage)
    assert [usage.source for usage in outcome.usages] == ["provider"]
    assert [bool(chunk.usage) for chunk in outcome.chunks].count(True) == 1
    assert outcome.chunks[-1].choices == []


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", BOTH)
async def test_none_told(rig: Rig, wire: str, stream: bool) -> None:
    """Row 47: what was not told is not known: no count, no cost, no estimate, and still a row."""
    outcome = await rig.ask(wire, stream=stream, scenario={"usage": "none"})
    assert outcome.text == TEXT
    assert outcome.error is None
    assert len(outcome.usages) == 1
    assert outcome.usages[0].source in {"missing", "partial"}
    assert outcome.usages[0].completion_tokens is None
    assert outcome.usages[0].cost is None


@pytest.mark.parametrize("wire", ["anthropic", "invoke"])
async def test_told_at_the_start_only(rig: Rig, wire: str) -> None:
    """Row 40: the prompt's counts are exact, the completion's are not known."""
    plain = await rig.ask(wire)
    outcome = await rig.ask(wire, scenario={"usage": "start"})
    assert outcome.error is None
    assert outcome.usage is not None
    assert outcome.usage.source in {"partial", "provider"}
    assert outcome.usage.prompt_tokens == counts(plain.usage)[0]
    assert outcome.usage.completion_tokens in {None, counts(plain.usage)[1]}


async def all_read(rig: Rig, events: int, seen: list[Any]) -> None:
    """Wait until so many events went out, and nothing more of them has come to *seen* for a hundred naps."""
    naps, before = 0, -1
    while naps < 100 or rig.faults.log[-1].events_sent < events:
        naps, before = (naps + 1 if len(seen) == before else 0), len(seen)
        await asyncio.sleep(0.001)


# Guarantee 5: what may happen after usage came.
AFTER = {
    "reset": {"end": "rst"},
    "fin": {"end": "fin"},
    "missing end": {"end": "clean", "minus": 1},
    "short": {"end": "fin_in_chunk"},
    "stall": {"end": "stall", "minus": 0},
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER)
@pytest.mark.parametrize("pause", [0.0, 0.004])
async def test_usage_survives(rig: Rig, wire: str, after: dict[str, Any], pause: float) -> None:
    """Row 23: counts that came stand on the error, in the row and on the stream, also with a slow reader."""
    plain = await rig.ask(wire)
    assert plain.record is not None
    told = plain.record.events_sent - (0 if wire == "converse" else 1)
    fault = {**after, "cut_event": told - (0 if wire == "converse" else after.get("minus", 0) - 1)}
    fault.pop("minus", None)
    usages: list[Usage] = []
    asked = rig.arguments(wire, fault={**fault, "cut_event": max(told, 1)}, on_usage=usages.append)
    stream = await rig.client.acompletion(**asked, stream=True)
    error: AsyncCacheError | None = None
    seen: list[Any] = []
    with anyio.CancelScope() as scope:
        leaving = asyncio.ensure_future(all_read(rig, max(told, 1), seen))
        if after["end"] == "stall":
            leaving.add_done_callback(lambda _: scope.cancel())
        try:
            async for chunk in stream:
                seen.append(chunk)
                await asyncio.sleep(pause)
        except AsyncCacheError as exc:
            error = exc
    leaving.cancel()
    if wire == "converse":  # its usage is its last event: the answer is whole
        assert error is None
    assert scope.cancelled_caught == (after["end"] == "stall" and wire != "converse")
    assert len(usages) == 1
    # Anthropic's last count comes with message_delta, one event before the end.
    assert counts(usages[0]) == counts(plain.usage)
    assert stream.usage is not None
    assert counts(stream.usage) == counts(plain.usage)
    if error is not None:
        assert error.usage is usages[0]
    await stream.aclose()


@pytest.mark.parametrize("wire", WIRES)
async def test_usage_survives_leaving(rig: Rig, wire: str) -> None:
    """Guarantee 5: a reader who goes after the counts came has them in the row and on the stream."""
    plain = await rig.ask(wire)
    assert plain.record is not None
    usages: list[Usage] = []
    asked = rig.arguments(
        wire, fault={"cut_event": plain.record.events_sent - 1, "end": "stall"}, on_usage=usages.append
    )
    stream = await rig.client.acompletion(**asked, stream=True)
    seen: list[Any] = []
    with anyio.CancelScope() as scope:
        leaving = asyncio.ensure_future(all_read(rig, plain.record.events_sent - 1, seen))
        leaving.add_done_callback(lambda _: scope.cancel())
        async for chunk in stream:
            seen.append(chunk)  # noqa: PERF401 - another looks at it meanwhile
    leaving.cancel()
    await stream.aclose()
    assert len(usages) == 1
    if wire != "converse":  # there it is the last event, which has not come
        assert counts(usages[0]) == counts(plain.usage)
        assert usages[0].source in {"partial", "provider"}
    await rig.settled()


@pytest.mark.parametrize("wire", WIRES)
async def test_one_row_for_each_attempt(rig: Rig, wire: str) -> None:
    """Row 51: a call that is tried again tells one row an attempt, and its usage once."""
    usages: list[Usage] = []
    async with Client(max_retries=2) as client:
        asked = rig.arguments(wire, fault={"cut_event": 1, "end": "rst", "times": 2}, on_usage=usages.append)
        reply = await client.acompletion(**asked, stream=True)
        text = ""
        async for chunk in reply:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert text == TEXT
    assert len(usages) == len(rig.faults.log) == 3
    assert [usage.source for usage in usages[:2]] in (["missing"] * 2, ["partial"] * 2)
    assert usages[2].source == "provider"


@pytest.mark.parametrize("wire", WIRES)
async def test_streamed_costs_as_whole(rig: Rig, wire: str) -> None:
    """Guarantee 6: the same usage costs the same, streamed or not; it is an exact number above nothing."""
    fields = {COUNTS[wire][1]: "1234567"}
    streamed = await rig.ask(wire, scenario={"usage_fields": fields})
    whole = await rig.ask(wire, stream=False, scenario={"usage_fields": fields})
    assert streamed.usage is not None
    assert whole.completion is not None
    cost = whole.completion.cost.total
    assert type(cost) is Decimal
    assert cost > 0
    assert streamed.usage.cost_details is not None
    assert streamed.usage.cost_details.total == cost


async def test_rows_of_many_calls(rig: Rig) -> None:
    """Guarantee 1: of 400 calls with faults, resets and cancellations each tells exactly one row."""
    told: list[Usage] = []
    async with Client(max_retries=0, on_usage=told.append) as client:

        async def call(number: int) -> None:
            wire = list(WIRES)[number % len(WIRES)]
            fault: dict[str, Any] = {"delay_event": 0.001}
            if number % 10 == 0:
                fault |= {"cut_event": number % 7, "end": ("rst", "clean", "fin")[number % 3]}
            asked = rig.arguments(wire, fault=fault)
            with anyio.move_on_after(0.002 * (number % 9) if number % 10 == 5 else None):
                try:
                    async with await client.acompletion(**asked, stream=True) as stream:
                        async for _ in stream:
                            pass
                except StreamInterruptedError:
                    pass

        for batch in range(8):
            await asyncio.gather(*(call(batch * 50 + number) for number in range(50)))
        assert len(told) >= len(rig.faults.log)
        assert len(told) <= 400
        assert sum(usage.source == "provider" for usage in told) >= 320
