"""Attempts are counted, pauses are those that were asked for, nothing is said twice. Guarantee 12."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from asynccache import Client, default_stages
from asynccache.errors import APIStatusError, RateLimitError, RedirectRefusedError, StreamInterruptedError
from asynccache.retry import Retry, retry
from asynccache.simulator import Simulator

from .measure import pauses
from .rig import BOTH, SOON, WIRES, Rig

pytestmark = pytest.mark.anyio

ERROR = '{"error":{"message":"slow down","type":"x","code":"rate_limit_exceeded"}}'


def refused(status: int, **headers: str) -> dict[str, Any]:
    return {"status": status, "body": ERROR, "headers": headers, "times": 1}


async def test_pauses_that_were_asked_for(rig: Rig) -> None:
    """Row 52: seconds, milliseconds and a date are waited for, never less; by the clock it is 5 % over at most."""

    async def wait(number: int, least: float, **headers: str) -> None:
        async with Client(max_retries=1) as client:
            begun = time.monotonic()
            reply = await client.acompletion(
                **rig.arguments("openai", fault=refused(429, **headers, x=str(number)))
            )
            took = time.monotonic() - begun
        assert reply.choices[0].message.content
        assert least <= took <= least + SOON, headers

    date = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)

    async def wait_until(date: datetime) -> None:
        await wait(3, 0, **{"retry-after": format_datetime(date, usegmt=True)})
        assert datetime.now(UTC) > date - timedelta(milliseconds=10)  # two clocks are never quite alike

    async with asyncio.TaskGroup() as group:
        group.create_task(wait(1, 1.0, **{"retry-after": "1"}))
        group.create_task(wait(2, 0.4, **{"retry-after-ms": "400"}))
        group.create_task(wait_until(date))
        group.create_task(wait(4, 1.5, **{"retry-after": "1.5"}))


async def test_an_hour_is_not_waited_for(rig: Rig) -> None:
    """Row 53: asked to wait an hour the call fails at once, and says how long was asked."""
    async with Client(max_retries=3) as client:
        outcome = await rig.ask("openai", client=client, fault=refused(429, **{"retry-after": "3600"}))
    assert isinstance(outcome.error, RateLimitError)
    assert outcome.error.retry_after == 3600
    assert outcome.took < SOON
    assert len(outcome.usages) == len(rig.faults.log) == 1


@pytest.mark.slow  # by the clock, to be run on a quiet machine: pytest -m slow tests/reliability/test_retries.py
async def test_an_hour_by_the_clock(rig: Rig) -> None:
    """Guarantee 12: the call fails in less than 50 ms, by the median of 41."""
    assert (await pauses(rig))["an hour, ms"]["median"] < 50


@pytest.mark.slow
async def test_pauses_by_the_clock(rig: Rig) -> None:
    """Guarantee 12: each form of Retry-After is waited for, 5 % over at most and never less."""
    waited = (await pauses(rig))["waited"]
    assert len(waited) == 4
    for form, (asked, took) in waited.items():
        assert asked <= took <= asked * 1.05, form


async def test_a_storm_is_damped(rig: Rig) -> None:
    """Row 62: with a share of a tenth 200 calls to a server that always fails are 230 attempts at most, not 600."""
    stages = [Retry(first_wait=0.001, share=0.1) if stage is retry else stage for stage in default_stages()]
    told: list[Any] = []
    async with Client(stages, max_retries=2, on_usage=told.append) as client:
        asked = rig.arguments("openai", scenario={"status": 503})
        failed = await asyncio.gather(
            *(client.acompletion(**asked, stream=True) for _ in range(200)), return_exceptions=True
        )
    assert all(isinstance(error, APIStatusError) for error in failed)
    assert 200 < len(rig.faults.log) == len(told) <= 230


@pytest.mark.parametrize(
    "told", ["-1", "0", "nan", "inf", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "1e400", ""]
)
async def test_pauses_that_make_no_sense(rig: Rig, told: str) -> None:
    """Row 54: a pause that is none leaves the choice to the client: one more attempt, soon."""
    async with Client(max_retries=1) as client:
        outcome = await rig.ask("openai", client=client, fault=refused(429, **{"retry-after": told}))
    assert outcome.error is None
    assert outcome.took < SOON
    assert len(outcome.usages) == 2


async def test_attempts_in_all(rig: Rig) -> None:
    """Rows 55, 56: 1 + max_retries attempts on what may pass, one on what will not; on every wire."""

    async def count(wire: str, status: int, stream: bool, wanted: int) -> None:
        async with Client(max_retries=2) as client:
            usages: list[Any] = []
            with pytest.raises(APIStatusError) as caught:
                asked = rig.arguments(wire, scenario={"status": status}, on_usage=usages.append)
                await client.acompletion(**asked, stream=stream)
        assert caught.value.status_code == status
        assert len(usages) == wanted, (wire, status)

    async with asyncio.TaskGroup() as group:
        for wire in WIRES:
            for status in (500, 503, 429):
                group.create_task(count(wire, status, status == 500, 3))
            for status in (400, 401, 403, 404, 413, 422):
                group.create_task(count(wire, status, status in {400, 404}, 1))
    assert len(rig.faults.log) == len(WIRES) * (3 * 3 + 6)


@pytest.mark.parametrize("wire", WIRES)
async def test_nothing_is_said_twice(rig: Rig, wire: str) -> None:
    """Row 61: after the first content a failure is a failure: one attempt, whatever `max_retries` says."""
    async with Client(max_retries=5) as client:
        outcome = await rig.ask(wire, client=client, fault={"cut_event": 6, "end": "rst", "times": 1})
    assert isinstance(outcome.error, StreamInterruptedError)
    assert len(rig.faults.log) == len(outcome.usages) == 1


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects(rig: Rig, wire: str, status: int) -> None:
    """Row 58: a redirect is refused, once; neither key nor prompt go to the second place."""
    async with Simulator() as other, Client(max_retries=3) as client:
        for stream in BOTH:
            fault = {"status": status, "body": "", "headers": {"location": other.openai_base}}
            outcome = await rig.ask(wire, client=client, stream=stream, fault=fault)
            assert isinstance(outcome.error, RedirectRefusedError)
            assert len(outcome.usages) == 1
        assert not other.log


async def test_early_refusal_of_a_large_upload(rig: Rig) -> None:
    """Row 59: 413 before the body was read is heard at once, and nothing hangs on the upload."""
    message = [{"role": "user", "content": "x" * 8_000_000}]
    for wire in WIRES:
        fault = {"status": 413, "body": ERROR, "refuse_early": True}
        outcome = await rig.ask(wire, fault=fault, messages=message)
        assert outcome.error is not None
        assert outcome.took < SOON
        assert len(outcome.usages) == 1


@pytest.mark.parametrize("wire", WIRES)
async def test_page_of_a_gateway(rig: Rig, wire: str) -> None:
    """Row 57: 502 with a page keeps its status and a short message; no tag of it is shown at length."""
    page = "<html><body>" + "<p>Bad gateway</p>" * 10_000
    outcome = await rig.ask(wire, fault={"status": 502, "body": page, "content_type": "text/html"})
    assert isinstance(outcome.error, APIStatusError)
    assert outcome.error.status_code == 502
    assert len(str(outcome.error)) < 1024
