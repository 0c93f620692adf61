"""Another attempt only where it may succeed, never sooner than asked, never after the first content."""

from __future__ import annotations

import math
import ssl
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynccache import errors as e
from asynccache.events import Finished, ReportedUsage, Started, TextDelta, Unknown
from asynccache.pipeline import Pipeline
from asynccache.request import Request
from asynccache.retry import Retry, is_worth_another, retry
from tests.usage.answers import Transport
from tests.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from asynccache.events import Event
    from asynccache.pipeline import CallNext
    from asynccache.stream import Emit, Stream

pytestmark = pytest.mark.anyio

_PROLOGUE = [Started(id="1"), Unknown("ping", {}), ReportedUsage({}, "openai")]
_ANSWER = [*_PROLOGUE, TextDelta("a"), Finished("stop")]
_QUICK = Retry(first_wait=0.0)


def _request(**more: Any) -> Request:
    return Request(model="openai/gpt-6-sol", messages=[], stream=True, **more)


def _status(status: int, cls: type[e.APIStatusError] = e.APIStatusError, **more: Any) -> e.APIStatusError:
    return cls(f"status {status}", status_code=status, **more)


def _failing(error: BaseException) -> list[Any]:
    return [*_PROLOGUE, error]


async def _events(stream: Stream[Event]) -> list[Event]:
    return [event async for event in stream]


def test_it_is_drawn_as_retry() -> None:
    """The picture of the pipeline names it."""
    assert "caller ──► retry ──► " in repr(Pipeline([retry], Transport()))
    assert repr(retry) == "retry"


async def test_an_answer_passes_whole_and_in_order() -> None:
    """What came before the first content is not lost, and one attempt is one attempt."""
    transport = Transport(list(_ANSWER))
    assert await _events(await _QUICK(_request(), transport)) == _ANSWER
    assert [request.attempt for request in transport.requests] == [0]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("within", [True, False], ids=["in the answer", "by the call"])
async def test_a_failure_before_the_first_content_is_tried_again(within: bool, stream: bool) -> None:
    """By status or inside the answer, streamed or not; the caller sees one answer, attempts are numbered."""
    error = _status(529, e.OverloadedError)
    first: Any = _failing(error) if within else error
    transport = Transport(first, list(_ANSWER))
    request = Request(model="openai/m", messages=[], stream=stream)
    assert await _events(await _QUICK(request, transport)) == _ANSWER
    assert [request.attempt for request in transport.requests] == [0, 1]
    assert all(source.closed for source in transport.sources[: 1 if within else 0])


async def test_attempts_are_counted_in_all() -> None:
    """1 + max_retries, then the last error comes out of the call itself."""
    failures = [_status(500, e.InternalServerError) for _ in range(5)]
    transport = Transport(*failures)
    with pytest.raises(e.InternalServerError) as caught:
        await _QUICK(_request(max_retries=2), transport)
    assert caught.value is failures[2]
    assert len(transport.requests) == 3
    transport = Transport(_failing(failures[0]))
    with pytest.raises(e.InternalServerError):
        await _QUICK(_request(max_retries=0), transport)
    assert len(transport.requests) == 1


async def test_attempts_made_by_a_stage_outside_are_counted_on() -> None:
    """A caller's stage that numbers its own attempts keeps every number unique."""
    transport = Transport(_status(500, e.InternalServerError), list(_ANSWER))
    await _events(await _QUICK(_request(attempt=3), transport))
    assert [request.attempt for request in transport.requests] == [3, 4]


@pytest.mark.parametrize("first", [TextDelta("a"), Finished("stop")])
async def test_nothing_is_repeated_after_the_first_content(first: Event) -> None:
    """A failure later is the caller's, after what came before it."""
    transport = Transport([Started(id="1"), first, e.StreamInterruptedError("cut")])
    stream = await _QUICK(_request(), transport)
    assert [await stream.receive(), await stream.receive()] == [Started(id="1"), first]
    with pytest.raises(e.StreamInterruptedError):
        await stream.receive()
    assert len(transport.requests) == 1


async def test_content_and_failure_of_one_read_are_delivered_in_order() -> None:
    """A failure that is known at once does not take the content with it."""

    class Splits:
        def feed(self, item: Any, emit: Emit[Any], /) -> None:
            emit(TextDelta("a"))
            raise e.StreamInterruptedError("cut")

        def flush(self, emit: Emit[Any], /) -> None: ...

    transport = Transport([b"bytes"])

    async def call_next(request: Request) -> Stream[Event]:
        return (await transport(request)).pipe(Splits())

    stream = await _QUICK(_request(), call_next)
    assert await stream.receive() == TextDelta("a")
    with pytest.raises(e.StreamInterruptedError):
        await stream.receive()


async def test_stages_outside_can_still_pipe() -> None:
    """Though the first content is there already, a caller's machine sees every event."""

    class Shout:
        def feed(self, event: Event, emit: Emit[Event], /) -> None:
            emit(TextDelta(event.text.upper()) if type(event) is TextDelta else event)

        def flush(self, emit: Emit[Event], /) -> None:
            emit(TextDelta("!"))

    async def shout(request: Request, call_next: CallNext) -> Stream[Event]:
        return (await call_next(request)).pipe(Shout())

    events = await _events(await Pipeline([shout, _QUICK], Transport(list(_ANSWER)))(_request()))
    assert events == [*_PROLOGUE, TextDelta("A"), Finished("stop"), TextDelta("!")]


async def test_leaving_early_closes_the_source_at_once() -> None:
    """The stream handed on owns the connection."""
    transport = Transport([TextDelta("a"), TextDelta("b")])
    async with await _QUICK(_request(), transport) as stream:
        await stream.receive()
    assert transport.sources[0].closed


async def test_other_errors_pass_at_once() -> None:
    """A bug is not tried again."""
    for answer in (ZeroDivisionError(), _failing(ZeroDivisionError())):
        transport = Transport(answer)
        with pytest.raises(ZeroDivisionError):
            await _QUICK(_request(), transport)
        assert len(transport.requests) == 1


def _with_cause(cause: BaseException) -> e.APIConnectionError:
    error = e.APIConnectionError("no connection")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (_status(408, e.InternalServerError), True),
        (_status(409, e.BadRequestError), True),
        (_status(429, e.RateLimitError), True),
        (_status(500, e.InternalServerError), True),
        (_status(502), True),
        (_status(503, e.OverloadedError), True),
        (_status(529, e.OverloadedError), True),
        (e.OverloadedError("in the answer"), True),
        (_status(400, e.BadRequestError), False),
        (_status(400, e.ContextWindowExceededError), False),
        (_status(400, e.ContentPolicyViolationError), False),
        (_status(401, e.AuthenticationError), False),
        (_status(402, e.BillingError), False),
        (_status(429, e.BillingError, code="insufficient_quota"), False),
        (_status(403, e.PermissionDeniedError), False),
        (_status(404, e.NotFoundError), False),
        (_status(413, e.RequestTooLargeError), False),
        (_status(422, e.BadRequestError), False),
        (_status(418), False),
        (e.APIConnectionError("refused"), True),
        (e.StreamInterruptedError("cut"), True),
        (e.APITimeoutError("slow", phase="connect"), True),
        (e.APITimeoutError("slow", phase="pool"), True),
        (e.APITimeoutError("slow", phase="first_event"), True),
        (e.APITimeoutError("slow", phase="idle"), True),
        (e.APITimeoutError("slow", phase="total"), False),
        (e.InvalidResponseError("a page"), False),
        (e.ResponseTooLargeError("large"), False),
        (e.RedirectRefusedError("elsewhere"), False),
        (_with_cause(ConnectionResetError()), True),
        (_with_cause(ssl.SSLCertVerificationError()), False),
        (e.InvalidRequestError("you"), False),
        (e.MissingAPIKeyError("you"), False),
        (e.AsyncCacheError("?"), False),
    ],
    ids=lambda value: (
        f"{type(value).__name__}-{getattr(value, 'status_code', '')}" if value not in (True, False) else None
    ),
)
async def test_what_is_worth_another_attempt(error: e.AsyncCacheError, again: bool) -> None:
    """The table of errors: what may pass by itself, and what stays as it is."""
    assert is_worth_another(error) is again
    transport = Transport(error, list(_ANSWER))
    if again:
        await _events(await _QUICK(_request(), transport))
    else:
        with pytest.raises(type(error)):
            await _QUICK(_request(), transport)
    assert len(transport.requests) == 1 + again


@pytest.mark.parametrize(
    ("error", "said", "again"),
    [
        (_status(500, e.InternalServerError), False, False),
        (_status(429, e.RateLimitError), False, False),
        (_status(418), True, True),
        (_status(424, e.BadRequestError), True, True),
        (_status(400, e.BadRequestError), True, False),
        (_status(401, e.AuthenticationError), True, False),
        (_status(429, e.BillingError), True, False),
    ],
)
def test_the_provider_says_whether_to_try_again(error: e.APIStatusError, said: bool, again: bool) -> None:
    """x-should-retry decides, except where trying again cannot help."""
    error.should_retry = said
    assert is_worth_another(error) is again


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        (0.4, 0.4),
        (1.0, 1.0),
        (2.5, 2.5),
        (60.0, 60.0),
        (60.1, None),
        (3600.0, None),
        (0.0, 0.25),
        (-5.0, 0.25),
        (math.nan, 0.25),
        (math.inf, 0.25),
        (None, 0.25),
    ],
)
def test_what_the_provider_asks_is_waited(asked: float | None, wait: float | None) -> None:
    """Exactly as long as asked, up to a minute; what is no wait at all means a wait of our own."""
    shortest = Retry(jitter=lambda: 1.0)
    assert shortest.wait_after(_status(429, e.RateLimitError, retry_after=asked), 0) == wait


@in_virtual_time
async def test_the_wait_really_passes() -> None:
    """0.2 seconds asked are 0.2 seconds waited."""
    transport = Transport(_status(429, e.RateLimitError, retry_after=0.2), list(_ANSWER))
    started = anyio.current_time()
    stream = await retry(_request(), transport)
    assert anyio.current_time() - started == pytest.approx(0.2)
    await stream.aclose()


@in_virtual_time
async def test_an_hour_asked_is_given_up_at_once() -> None:
    """Over the cap: the error, with what was asked, and nothing is waited for."""
    transport = Transport(_status(429, e.RateLimitError, retry_after=3600.0))
    started = anyio.current_time()
    with pytest.raises(e.RateLimitError) as caught:
        await retry(_request(), transport)
    assert anyio.current_time() == started
    assert caught.value.retry_after == 3600.0


@in_virtual_time
async def test_no_wait_beyond_the_deadline() -> None:
    """A wait that ends after the deadline is not begun."""
    transport = Transport(_status(429, e.RateLimitError, retry_after=40.0))
    started = anyio.current_time()
    with pytest.raises(e.RateLimitError):
        await retry(_request(deadline=time.monotonic() + 20), transport)
    assert anyio.current_time() == started
    transport = Transport(_status(429, e.RateLimitError, retry_after=0.01), list(_ANSWER))
    await _events(await retry(_request(deadline=time.monotonic() + 50), transport))
    assert len(transport.requests) == 2


@given(st.integers(0, 2000), st.floats(0.0, 1.0, exclude_max=True))
def test_own_waits_double_up_to_eight_seconds(failures: int, luck: float) -> None:
    """Half a second, doubled each time, shortened by up to one half, never over eight."""
    wait = Retry(jitter=lambda: luck).wait_after(e.APIConnectionError("refused"), min(failures, 1000))
    full = min(8.0, 0.5 * 2 ** min(failures, 10))
    assert wait is not None
    assert full / 2 <= wait <= full


@in_virtual_time
async def test_a_cancellation_during_the_wait_passes_at_once() -> None:
    """Nothing is sent after it."""
    transport = Transport(_status(429, e.RateLimitError, retry_after=30.0), list(_ANSWER))
    started = anyio.current_time()
    with anyio.move_on_after(20.0) as scope:
        await retry(_request(), transport)
    assert anyio.current_time() - started == pytest.approx(20.0)
    assert scope.cancelled_caught
    assert len(transport.requests) == 1
