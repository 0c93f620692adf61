"""Sends an answer at the model's pace, with the faults that were asked for, and writes down what truly went out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiohttp import web

    from .log import ClosedBy, Record
    from .scenario import Scenario
    from .wire import Event

_BREATH = 16  # events between two looks at the loop, where nothing is waited for


async def speak(
    request: web.Request,
    response: web.StreamResponse,
    events: Iterator[Event],
    record: Record,
    *,
    scenario: Scenario,
    pace: float,
    error: bytes,
    began: Callable[[], None],
) -> None:
    """Sends the events one by one; returns when the stream ended, by itself or by a fault of the scenario."""
    await response.prepare(request)
    for number, event in enumerate(events):
        if number == scenario.cut_after_events:
            _cut(request, record)
            return
        if number == scenario.error_after_events:
            await response.write(error)
            record.bytes_sent += len(error)
            break
        if number == scenario.stall_after_events:
            await asyncio.Event().wait()
        if event.tokens and pace:
            await asyncio.sleep(event.tokens * pace)
        elif number % _BREATH == 0:
            await asyncio.sleep(0)

        await response.write(event.data)
        record.bytes_sent += len(event.data)
        record.events_sent += 1
        if event.usage is not None:
            record.usage = event.usage
        if number == 0:
            began()
    else:
        record.finished = True
    await response.write_eof()
    closed(record, "server")


def _cut(request: web.Request, record: Record) -> None:
    """Closes the socket in the middle of the chunked body."""
    closed(record, "scenario")
    if request.transport is not None:
        request.transport.close()


def closed(record: Record, by: ClosedBy) -> None:
    """Notes once who ended the exchange and when."""
    if record.closed_by is None:
        record.closed_by = by
        record.closed_at = asyncio.get_running_loop().time()
