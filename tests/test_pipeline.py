"""Whoever writes a stage wrongly is told which one, and how it is written."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from asynccache import CallNext, Client, Event, Pipeline, Request, Stream
from asynccache.events import TextDelta
from asynccache.testing import scripted

pytestmark = pytest.mark.anyio

REQUEST = Request(model="openai/x", messages=[{"role": "user", "content": "hi"}])


class Machine:
    def feed(self, item: Any, emit: Any) -> None:
        emit(item)

    def flush(self, emit: Any) -> None: ...


class Through:
    async def __call__(self, request: Request, call_next: CallNext, /) -> Stream[Event]:
        return await call_next(request)


async def forgets_to_return(request: Request, call_next: CallNext) -> Any:
    await call_next(request)


async def forgets_to_await(request: Request, call_next: CallNext) -> Any:
    return call_next(request)


async def yields(request: Request, call_next: CallNext) -> Any:
    async for event in await call_next(request):
        yield event


@pytest.mark.parametrize(
    ("stage", "gave"),
    [(forgets_to_return, "NoneType"), (forgets_to_await, "coroutine"), (yields, "async_generator")],
)
async def test_a_stage_without_a_stream(stage: Any, gave: str) -> None:
    """Its name, what it gave, and the line that it lacks; nothing is left that warns of other lines."""
    with pytest.raises(TypeError, match=rf"stage '{stage.__name__}' gave {gave}, .*`return await call_next"):
        await Pipeline([stage], scripted(TextDelta("a")))(REQUEST)
    gc.collect()


async def test_a_plain_function_may_hand_the_call_on() -> None:
    """What answers with an awaitable stream is a stage, `async` or not; so is an object that is called."""

    def hand_on(request: Request, call_next: CallNext) -> Any:
        return call_next(request)

    stream = await Pipeline([hand_on, Through()], scripted(TextDelta("a")))(REQUEST)
    assert [event async for event in stream] == [TextDelta("a")]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (Machine(), r"Machine is a machine and no stage; pipe it in one: .*\.pipe\(machine\)"),
        (Through, r"the stage Through is a class; give an instance of it, such as Through\(\)"),
        (None, r"None is no stage; a stage is an async function of \(request, call_next\)"),
    ],
)
def test_what_is_no_stage_is_refused_at_once(given: Any, told: str) -> None:
    """Where the client is made, and not by its first request."""
    with pytest.raises(TypeError, match=told):
        Client(stages=[given])
