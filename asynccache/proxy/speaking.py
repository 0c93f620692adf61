"""One answer from its first item to its end, whatever ends it: said, settled, its socket closed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, final

import anyio
from aiohttp import web

from asynccache.errors import AsyncCacheError
from asynccache.proxy.failures import Failure, failure_of, forget_frames
from asynccache.proxy.telling import Outcome, cost_headers, head_headers, id_headers
from asynccache.proxy.writing import EventStream

if TYPE_CHECKING:
    from asynccache.proxy.failures import Dialect
    from asynccache.proxy.router import Answering
    from asynccache.proxy.served import Served
    from asynccache.proxy.voices import Voice
    from asynccache.usage.ledger_keys import Key

__all__ = ["Call", "say"]

_logger = logging.getLogger("asynccache.proxy")

_FAREWELL = 1.0  # seconds for the last words of an answer that the shutdown cuts off


@final
class Call:
    """One request of a caller's, and what is to be known of it until its end."""

    __slots__ = (
        "dialect",
        "drains",
        "id",
        "key",
        "outcome",
        "passed",
        "request",
        "said",
        "served",
        "stopping",
    )

    def __init__(self, request: web.BaseRequest, served: Served, call_id: str, dialect: Dialect) -> None:
        self.request = request
        self.served = served
        self.id = call_id
        self.dialect: Dialect = dialect
        self.outcome = Outcome()
        self.key: Key | None = None
        """Whose call it is; None where no key is asked for."""
        self.passed: str | None = None
        """The pass that a link was exchanged for."""
        self.drains = served.settings.on_disconnect == "drain"
        self.said = False
        """Whether the answer's head is out."""
        self.stopping = False
        """Whether the server, not the caller, is about to end it."""

    def headers(self, answering: Answering) -> dict[str, str]:
        """What the answer's head tells."""
        head = answering.stream.head.headers
        return {**id_headers(self.id), **head_headers(answering.deployment, answering.attempts, head)}


async def say(call: Call, answering: Answering, voice: Voice) -> web.StreamResponse:
    """Say an answer that has begun.

    Raises:
        AsyncCacheError: it failed, and nothing was said of it yet.
    """
    try:
        async with answering.stream:
            if voice.streamed:
                return await _say_events(call, answering, voice)
            return await _say_whole(call, answering, voice)
    finally:
        answering.release()


async def _say_whole(call: Call, answering: Answering, voice: Voice) -> web.StreamResponse:
    stream = answering.stream
    try:
        while True:
            voice.write(await stream.receive())
    except anyio.EndOfStream:
        pass
    await call.served.durable(call.outcome)
    headers = {**call.headers(answering), **cost_headers(voice.usage)}
    return web.Response(body=voice.last(), content_type="application/json", headers=headers)


async def _say_events(call: Call, answering: Answering, voice: Voice) -> web.StreamResponse:
    out = EventStream(call.request, call.headers(answering), call.served.watch)
    try:
        call.said = True
        await out.begin()
        await _pump(call, answering, voice, out)
        await call.served.durable(call.outcome)
        await out.end(voice.last())
    except AsyncCacheError as error:
        await call.served.durable(call.outcome)
        await out.end(failure_of(error).event(call.dialect, call.id))
        forget_frames(error)
    except ConnectionError as error:
        forget_frames(error)
        _logger.debug("call %s: the caller left", call.id)
    except asyncio.CancelledError:
        if call.stopping and not out.gone:
            await _say_farewell(call, out)
        raise
    finally:
        out.close()
    return out.response


async def _pump(call: Call, answering: Answering, voice: Voice, out: EventStream) -> None:
    stream = answering.stream
    ready = stream.ready
    say_item = voice.write
    try:
        while True:
            data = say_item(await stream.receive())
            if ready:
                parts = [data]
                while ready:
                    parts.append(say_item(ready.popleft()))
                data = b"".join(parts)
            if data:
                await _write(call, out, data)
    except anyio.EndOfStream:
        return


async def _write(call: Call, out: EventStream, data: bytes) -> None:
    """Send *data*; where answers are drained, a caller who has left is no reason to stop reading."""
    if out.gone or not data:
        return
    try:
        await out.write(data)
    except ConnectionError:
        if not call.drains:
            raise


async def _say_farewell(call: Call, out: EventStream) -> None:
    failure = Failure(status=503, message="the proxy is shutting down; ask again", code="shutting_down")
    try:
        async with asyncio.timeout(_FAREWELL):
            await out.end(failure.event(call.dialect, call.id))
    except (TimeoutError, ConnectionError):
        _logger.debug("call %s: its caller did not hear of the shutdown", call.id)
