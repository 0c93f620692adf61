"""Every attempt is settled exactly once, whatever ends it."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import anyio
import pytest

from asynccache.errors import InternalServerError, InvalidRequestError, StreamInterruptedError
from asynccache.events import Finished, ReportedUsage, Started, TextDelta
from asynccache.pipeline import Pipeline
from asynccache.reply import Usage
from asynccache.request import Request
from asynccache.usage.normalizer import normalize_usage
from asynccache.usage.recorder import OnUsage, record_usage
from tests.usage.answers import Transport

pytestmark = pytest.mark.anyio

_FULL = ReportedUsage({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}, "openai")
_ANSWER = [Started(model="gpt-6-sol-1"), TextDelta("a"), TextDelta("b"), Finished("stop"), _FULL]


class Book:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.settled: list[tuple[str, Usage, str | None, BaseException | None]] = []

    def open(self, attempt_id: str, request: Request, /) -> None:
        self.opened.append(attempt_id)

    def settle(
        self, attempt_id: str, usage: Usage, model: str | None, error: BaseException | None, /
    ) -> None:
        self.settled.append((attempt_id, usage, model, error))

    def once(self) -> tuple[Usage, str | None, BaseException | None]:
        """What the only attempt was settled with."""
        ((attempt_id, *rest),) = self.settled
        assert self.opened == [attempt_id]
        return rest[0], rest[1], rest[2]


def _request(*recorders: Any, **more: Any) -> Request:
    return Request(
        model="openai/gpt-6-sol", messages=[], stream=True, recorders=recorders, call_id="call", **more
    )


def _pipeline(*answers: Any) -> Pipeline:
    return Pipeline([record_usage, normalize_usage], Transport(*answers))


async def test_a_whole_answer_is_settled_with_its_usage() -> None:
    """Success: the usage that the caller gets, the model that answered, no error."""
    book = Book()
    events = [event async for event in await _pipeline(_ANSWER)(_request(book, attempt=2))]
    usage, model, error = book.once()
    assert usage is events[-1]
    assert (usage.source, usage.total_tokens, model, error) == ("provider", 110, "gpt-6-sol-1", None)
    assert [name.rpartition("-")[0] for name in book.opened] == ["call-2"]


async def test_attempts_without_a_call_id_still_differ() -> None:
    """Two calls that nobody named are two rows."""
    book = Book()
    for _ in range(2):
        _ = [
            event
            async for event in await _pipeline(_ANSWER)(Request(model="m/m", messages=[], recorders=(book,)))
        ]
    assert len(set(book.opened)) == len(book.settled) == 2


async def test_a_refused_call_is_settled_as_missing() -> None:
    """An error before any stream: opened, settled with that error, usage missing."""
    book, refusal = Book(), InternalServerError("no")
    with pytest.raises(InternalServerError):
        await _pipeline(refusal)(_request(book))
    assert book.once() == (Usage(), None, refusal)
    assert refusal.usage is None


@pytest.mark.parametrize("told", [True, False])
async def test_a_broken_stream_gives_its_usage_to_error_and_recorder(told: bool) -> None:
    """Mid-stream error: what came is delivered, no usage event; the error carries what is known."""
    book, error = Book(), StreamInterruptedError("cut")
    stream = await _pipeline([TextDelta("a"), *([_FULL] if told else []), error])(_request(book))
    received = [await stream.receive()]
    with pytest.raises(StreamInterruptedError):
        received.append(await stream.receive())
    assert received == [TextDelta("a")]
    usage, _, settled = book.once()
    assert settled is error
    assert usage.source == ("partial" if told else "missing")
    assert error.usage is (usage if told else None)


async def test_a_foreign_error_is_settled_too() -> None:
    """A bug in someone's stage is no reason to lose the row."""
    book = Book()
    stream = await _pipeline([TextDelta("a"), ZeroDivisionError()])(_request(book))
    await stream.receive()
    with pytest.raises(ZeroDivisionError):
        await stream.receive()
    assert type(book.once()[2]) is ZeroDivisionError


async def test_an_answer_that_the_caller_lets_go_has_no_error() -> None:
    """aclose, twice: one settle, partial, no error, nothing left to receive."""
    book = Book()
    async with await _pipeline([_FULL, TextDelta("a"), TextDelta("b")])(_request(book)) as stream:
        await stream.receive()
    await stream.aclose()
    usage, _, error = book.once()
    assert (usage.source, usage.total_tokens, error) == ("partial", 110, None)
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()


async def test_an_answer_never_read_is_settled() -> None:
    """Closed before the first event."""
    book = Book()
    await (await _pipeline(_ANSWER)(_request(book))).aclose()
    assert book.once()[0].source == "missing"


async def test_an_answer_dropped_by_a_break_is_settled() -> None:
    """A plain break: settled when the stream is let go."""
    book = Book()
    stream = await _pipeline([_FULL, TextDelta("a"), TextDelta("b")])(_request(book))
    async for _ in stream:
        break
    with pytest.warns(ResourceWarning, match="dropped before its end"):
        del stream
    usage, _, error = book.once()
    assert (usage.source, error) == ("partial", None)


async def test_a_cancelled_receive_is_settled_with_the_cancellation() -> None:
    """The cancellation goes on, and is what the recorder hears."""
    book = Book()
    stream = await _pipeline([TextDelta("a"), TextDelta("b")])(_request(book))
    await stream.receive()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await stream.receive()
    assert scope.cancelled_caught
    assert isinstance(book.once()[2], asyncio.CancelledError)


async def test_cancellation_at_every_await_point_is_settled_once() -> None:
    """A task cancelled at its k-th step, for every k, leaves one row and one closed source."""

    async def call(book: Book, transport: Transport) -> None:
        stream = await Pipeline([record_usage, normalize_usage], transport)(_request(book))
        async with stream:
            async for _ in stream:
                pass

    cancelled = 0
    for k in range(1, 60):
        book, transport = Book(), Transport(list(_ANSWER))
        task = asyncio.ensure_future(call(book, transport))
        for _ in range(k):
            await asyncio.sleep(0)
            if task.done():
                break
        done = task.done()
        task.cancel()
        await asyncio.wait([task])
        cancelled += task.cancelled()
        assert len(book.settled) == len(book.opened) == (1 if book.opened else 0)
        assert all(source.closed or done for source in transport.sources)
        if done:
            break
    assert done
    assert cancelled >= 6


async def test_a_pipeline_without_a_usage_stage_is_settled() -> None:
    """Custom stages: missing at the end of a whole answer, and when a broken stream is let go."""
    book = Book()
    pipeline = Pipeline(
        [record_usage], Transport([TextDelta("a")], [TextDelta("a"), StreamInterruptedError("cut")])
    )
    assert [event async for event in await pipeline(_request(book))] == [TextDelta("a")]
    assert book.once()[0] == Usage()

    book = Book()
    stream = await pipeline(_request(book))
    await stream.receive()
    with pytest.raises(StreamInterruptedError):
        await stream.receive()
    del stream
    gc.collect()
    assert type(book.once()[2]) is StreamInterruptedError


async def test_a_recorder_that_fails_is_heard_of_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Its exceptions are logged with the usage; the call and the other recorders go on."""

    class Fails:
        def open(self, attempt_id: str, request: Request, /) -> None:
            raise OSError("disk full")

        def settle(self, *_: Any) -> None:
            raise OSError("disk still full")

    book = Book()
    with caplog.at_level(logging.ERROR, "asynccache"):
        events = [event async for event in await _pipeline(_ANSWER)(_request(Fails(), book))]
    assert type(events[-1]) is Usage
    assert book.once()[0].total_tokens == 110
    assert [record.exc_info is not None for record in caplog.records] == [True, True]
    assert "prompt_tokens=100" in caplog.records[1].getMessage()


async def test_on_usage_is_called_once_with_the_usage() -> None:
    """A plain callable is a recorder."""
    heard: list[Usage] = []
    _ = [event async for event in await _pipeline(_ANSWER)(_request(OnUsage(heard.append)))]
    assert [usage.total_tokens for usage in heard] == [110]


def test_on_usage_must_be_callable_at_once() -> None:
    """A coroutine function would never run: refused by name."""

    async def later(_: Usage) -> None: ...

    for wrong in (later, 3):
        with pytest.raises(InvalidRequestError, match=r"on_usage=.*plain function"):
            OnUsage(wrong)  # type: ignore[arg-type]
