"""Stage: sends one POST and answers with a stream of bytes; the only file that knows aiohttp's client.

It owns the socket, the clocks that end every wait, and the mapping of foreign errors.
"""

from __future__ import annotations

import asyncio
import io
import os
import time
import warnings
from typing import TYPE_CHECKING, Any, final

import aiohttp
import anyio
import yarl
from aiohttp.http_exceptions import HttpProcessingError

from asynccache.clocks import Clock, Limit
from asynccache.errors import (
    APIConnectionError,
    APITimeoutError,
    AsyncCacheError,
    ConfigurationError,
    InvalidRequestError,
    InvalidResponseError,
    RedirectRefusedError,
    ResponseTooLargeError,
    StreamInterruptedError,
    WrongEventLoopError,
)
from asynccache.logs import log_request, wants_requests
from asynccache.providers.registry import get
from asynccache.providers.statuses import find_request_id
from asynccache.secret import redact
from asynccache.sse import MAX_EVENT
from asynccache.stream import Head, Stream

if TYPE_CHECKING:
    from asynccache.errors import TimeoutPhase
    from asynccache.providers.base import HttpCall, Provider
    from asynccache.request import Request

__all__ = ["MAX_BODY", "MAX_EVENT", "Transport"]

MAX_BODY = 64 * 1024 * 1024
"""The largest answer taken, in bytes after decompression."""
_MAX_ERROR_BODY = 64 * 1024
_DRAIN = 0.1  # seconds that a connection may take to end after the answer did
_ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate", "br", "zstd"})  # what aiohttp unpacks
_LARGE = 1024 * 1024  # bytes of a body that aiohttp wants to send piece by piece
_READ_AHEAD = 64 * 1024  # bytes; a reader who stalls costs a few times that, and then the server is held back
_MAX_LINE = 32 * 1024  # of an answer's header


@final
class Transport:
    """Sends requests over one pool of connections, which belongs to the event loop that first uses it.

    Args:
        max_connections: how many answers may be in flight at once; further calls wait for their turn.
        max_body: the largest answer taken, in bytes after decompression.
        max_event: the largest single event of a stream taken, in bytes.
        log_requests: whether requests are shown on the log at DEBUG, keys hidden; a server that passes
            on other people's prompts says no.
    """

    name = "transport"

    def __init__(
        self,
        *,
        max_connections: int = 1000,
        max_body: int = MAX_BODY,
        max_event: int = MAX_EVENT,
        log_requests: bool = True,
    ) -> None:
        self._log_requests = log_requests
        self._max_connections = max_connections
        self._max_body = max_body
        self._max_event = max_event
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places: asyncio.Semaphore | None = None
        self._closed = False
        self._pid = os.getpid()

    async def __call__(self, request: Request) -> Stream[Any]:
        """Send *request*; the stream's items are the body's bytes, as they come.

        Raises:
            APIStatusError: the provider refused or failed.
            APIConnectionError: no answer came.
            ConfigurationError: the request cannot be sent as it is.
        """
        provider = get(request.provider)
        request = provider.check(request)
        return await self.send(await provider.authorize(provider.encode(request), request), request, provider)

    async def send(self, call: HttpCall, request: Request, provider: Provider) -> Stream[Any]:
        """Send *call* as it stands; *request* says how long and for whom, *provider* what an error means.

        Raises:
            APIStatusError: the provider refused or failed.
            APIConnectionError: no answer came.
        """
        if self._log_requests and wants_requests():
            log_request(call.url, call.headers, call.body, *_secrets(request, call))
        session = self._open_session()
        clock = Clock(request.timeout, request.deadline)
        places = await self._take_place(clock)
        try:
            response = await self._post(session, call, clock, places)
            return await self._answer(response, provider, request, call, clock, places)
        except AsyncCacheError as error:
            _complete(error, request)
            raise

    async def aclose(self) -> None:
        """Close every connection, for good. Idempotent."""
        self._closed = True
        self._leave_to_parent()
        session, self._session = self._session, None
        if session is not None:
            with anyio.CancelScope(shield=True):
                await session.close()

    @property
    def connections(self) -> int:
        """How many connections the pool holds, in use or waiting for use."""
        connector = None if self._session is None else self._session.connector
        if connector is None:
            return 0
        acquired: Any = getattr(connector, "_acquired", ())  # aiohttp has no public count
        idle: Any = getattr(connector, "_conns", {})
        return len(acquired) + sum(map(len, idle.values()))

    def __del__(self) -> None:
        """A client that nobody closed closes its connections when it goes, with a `ResourceWarning`."""
        if getattr(self, "_session", None) is None or self._leave_to_parent():
            return
        session: Any = self._session
        loop: Any = self._loop
        warnings.warn(
            "a Client was dropped without aclose(); use `async with`", ResourceWarning, stacklevel=2
        )
        connector = session.connector
        session.detach()  # it would complain on the log
        close = getattr(connector, "_close", None)  # the public way is to be awaited
        if close is None:
            return
        if loop.is_closed():
            close()
        else:
            loop.call_soon_threadsafe(close)

    def _leave_to_parent(self) -> bool:
        """In a forked child: let go of the parent's connections without touching them; whether it was one."""
        if self._pid == os.getpid():
            return False
        self._pid = os.getpid()
        _of_parents.append(self._session)
        self._session = None
        return True

    def _open_session(self) -> aiohttp.ClientSession:
        self._leave_to_parent()
        loop = asyncio.get_running_loop()
        if self._closed:
            msg = "this Client is closed; make another one"
            raise ConfigurationError(msg)
        if self._session is None or self._session.closed:
            self._loop = loop
            self._places = asyncio.Semaphore(self._max_connections)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept-Encoding"),
                max_line_size=_MAX_LINE,
                max_field_size=_MAX_LINE,
                read_bufsize=_READ_AHEAD,
            )
        if loop is not self._loop:
            msg = "this Client belongs to another event loop; make one Client per loop, or use acompletion()"
            raise WrongEventLoopError(msg)
        return self._session

    async def _take_place(self, clock: Clock) -> asyncio.Semaphore:
        assert self._places is not None  # noqa: S101 - made with the session
        places = self._places
        if places.locked():
            limit = clock.limit("pool", clock.timeout.connect)
            try:
                async with asyncio.timeout(limit.seconds):
                    await places.acquire()
            except TimeoutError:
                raise limit.error(f"all {self._max_connections} connections are in use") from None
        else:
            await places.acquire()
        return places

    async def _post(
        self, session: aiohttp.ClientSession, call: HttpCall, clock: Clock, places: asyncio.Semaphore
    ) -> aiohttp.ClientResponse:
        """The answer's head. On every error the place in the pool is free again."""
        limit = clock.limit("first_event", clock.timeout.first_event)
        clock.begun = time.monotonic()
        headers = {"user-agent": _USER_AGENT, "accept-encoding": "identity", **call.headers}
        connect = clock.timeout.connect
        try:
            async with asyncio.timeout(limit.seconds):
                return await session.post(
                    yarl.URL(call.url, encoded=True),
                    data=call.body if len(call.body) < _LARGE else io.BytesIO(call.body),
                    headers=headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect),
                )
        except aiohttp.ConnectionTimeoutError:
            places.release()
            msg = f"no connection to {_host(call.url)} within {connect} s"
            raise APITimeoutError(msg, phase="connect") from None
        except TimeoutError:
            places.release()
            raise limit.error(f"{_host(call.url)} has not begun to answer") from None
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            places.release()
            broken = exc
        except BaseException:
            places.release()
            raise
        # Raised out here, as some of aiohttp's errors hold the request's headers, and the key among them.
        raise _connection_error(broken, call) from (
            None if isinstance(broken, aiohttp.ClientResponseError) else broken
        )

    async def _answer(
        self,
        response: aiohttp.ClientResponse,
        provider: Provider,
        request: Request,
        call: HttpCall,
        clock: Clock,
        places: asyncio.Semaphore,
    ) -> Stream[Any]:
        body = _Body(response, clock, places, self._max_body)
        try:
            headers = {name.lower(): value for name, value in response.headers.items()}
            status = response.status
            if 200 <= status < 300:
                _check_encoding(headers)
                head = Head(
                    status=status,
                    headers=headers,
                    request_id=find_request_id(headers),
                    touch=body.touch,
                    max_event=self._max_event,
                )
                return Stream(body, head)
            if 300 <= status < 400:
                msg = f"{_host(call.url)} answered with a redirect (status {status}), which is never followed; set api_base"
                raise RedirectRefusedError(msg, status_code=status, request_id=find_request_id(headers))
            content = await body.read_error()
            raise provider.error(status, headers, _hide(content, request, call))
        except BaseException:
            body.close()
            raise


@final
class _Body:
    """The body of one answer: a source of bytes that no silence, drip or flood can hold up.

    Time counts while this side waits for the server and nothing meaningful comes; a slow reader on this
    side does not use it up. One timer per answer, armed again only when it goes off.
    """

    __slots__ = (
        "_clock", "_closed", "_content", "_limit", "_loop", "_lost", "_max", "_pid", "_places",
        "_received", "_response", "_since", "_timer", "_waited",
    )  # fmt: skip

    def __init__(
        self, response: aiohttp.ClientResponse, clock: Clock, places: asyncio.Semaphore, max_body: int
    ) -> None:
        self._response = response
        self._content = response.content
        self._clock = clock
        self._places = places
        self._max = max_body
        self._received = 0
        self._closed = False
        self._pid = os.getpid()
        self._loop = asyncio.get_running_loop()
        self._waited = time.monotonic() - clock.begun  # seconds waited since the last meaningful event
        self._since: float | None = None  # when the read in progress began
        self._limit: tuple[TimeoutPhase, float | None] = ("first_event", clock.timeout.first_event)
        self._timer: asyncio.TimerHandle | None = None
        self._arm()
        protocol: Any = None if response.connection is None else response.connection.protocol
        self._lost: asyncio.Future[None] | None = getattr(protocol, "closed", None)
        if self._lost is not None:
            self._lost.add_done_callback(self._give_up)

    async def receive(self) -> bytes:
        """The next piece of the body."""
        self._since = self._loop.time()
        try:
            data = await self._content.readany()
        except AsyncCacheError:
            if not (data := _unread(self._content)):
                raise
        except _BROKEN as exc:
            if not (data := _unread(self._content)):
                msg = f"the connection broke before the answer ended ({type(exc).__name__})"
                raise StreamInterruptedError(msg) from exc
        finally:
            self._waited += self._loop.time() - self._since
            self._since = None
        if not data:
            raise anyio.EndOfStream
        self._received += len(data)
        if self._received > self._max:
            msg = f"the answer is larger than {self._max} bytes; Client(max_body_bytes=...) allows more"
            raise ResponseTooLargeError(msg)
        return data

    def touch(self) -> None:
        """A meaningful event came: the idle clock starts anew."""
        self._waited = 0.0
        self._limit = ("idle", self._clock.timeout.idle)
        if self._since is not None:
            self._since = self._loop.time()

    async def finish(self) -> None:
        """The answer is whole: let the connection end it too, so that it can be used again."""
        if self._content.at_eof():  # nearly always: the end of the body came with the end of the answer
            return
        try:
            async with asyncio.timeout(_DRAIN):
                while await self._content.readany():
                    pass
        except (TimeoutError, AsyncCacheError, *_BROKEN):
            self.close()

    async def read_error(self) -> bytes:
        """The first 64 KiB of an error's body, as much of it as comes."""
        content = b""
        try:
            while len(content) < _MAX_ERROR_BODY:
                content += await self.receive()
        except (anyio.EndOfStream, StreamInterruptedError, APITimeoutError):
            pass  # the status says enough; the body only explains it
        return content[:_MAX_ERROR_BODY]

    def close(self) -> None:
        """Free the socket at once: it goes back to the pool only if the body was read to its end."""
        if self._closed:
            return
        self._closed = True
        if self._pid != os.getpid():
            _of_parents.append(self._response)
            return
        if self._loop.is_closed():
            self._response.close()
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lost is not None:
            self._lost.remove_done_callback(self._give_up)
            self._lost.remove_done_callback(_hear)
            self._lost.add_done_callback(_hear)  # the pool keeps it: an end without a listener is logged
        self._response.close()
        self._places.release()

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

    def _give_up(self, lost: asyncio.Future[None]) -> None:
        """The connection is gone: wake a reader whom nobody else will.

        aiohttp's parser in C closes the connection at a chunk header that is no number, and leaves it at that
        (seen in 3.14.5).
        """
        _hear(lost)
        if not self._content.is_eof() and self._content.exception() is None:
            msg = "the connection was given up before the answer ended: what came is not HTTP"
            self._content.set_exception(StreamInterruptedError(msg))

    def _arm(self) -> None:
        """Set the timer to when the first limit could be reached; `touch` does not set it anew."""
        now = self._loop.time()
        waiting = 0.0 if self._since is None else now - self._since
        delays: list[float] = []
        if self._limit[1] is not None:
            delays.append(self._limit[1] - self._waited - waiting)
        if self._limit[0] != "idle" and self._clock.timeout.idle is not None:
            delays.append(self._clock.timeout.idle)
        if self._clock.deadline is not None:
            delays.append(self._clock.deadline - time.monotonic())
        if delays:
            self._timer = self._loop.call_later(max(min(delays), 0.001), self._ring)

    def _ring(self) -> None:
        if self._closed:
            return
        phase, seconds = self._limit
        waiting = 0.0 if self._since is None else self._loop.time() - self._since
        deadline = self._clock.deadline
        if deadline is not None and time.monotonic() >= deadline:
            self._expire("total", self._clock.timeout.total, "the answer was not complete")
        elif self._since is not None and seconds is not None and self._waited + waiting >= seconds:
            what = "no meaningful event came" if phase == "idle" else "the answer had not begun"
            self._expire(phase, seconds, what)
        elif self._since is None and seconds is not None and self._waited >= seconds:
            self._timer = self._loop.call_later(0.05, self._ring)  # used up, but nobody waits: look again
        else:
            self._arm()

    def _expire(self, phase: TimeoutPhase, seconds: float | None, what: str) -> None:
        self._content.set_exception(Limit(phase, seconds).error(what))
        self._response.close()


_USER_AGENT = "asynccache"

# Exception to "no module-level state": what a forked child inherited. To close it there, or to let it be collected,
# would take the parent's own sockets out of the epoll that both share.
_of_parents: list[Any] = []


# What reading a body may raise; the parser's own errors are no ClientError.
_BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError, EOFError, ValueError)


def _unread(content: aiohttp.StreamReader) -> bytes:
    """What had come before the body broke: an exception makes aiohttp's reader forget it."""
    buffer: Any = getattr(content, "_buffer", None)  # there is no public way to it
    if not buffer:
        return b""
    data = b"".join(buffer)
    buffer.clear()
    return data


def _hear(lost: asyncio.Future[None]) -> None:
    if not lost.cancelled():
        lost.exception()


def _check_encoding(headers: dict[str, str]) -> None:
    """Refuse a body that nobody here unpacks."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in _ENCODINGS:
        msg = (
            f"the answer is packed as {encoding[:80]!r}, which was not asked for; take the proxy between away"
        )
        raise InvalidResponseError(msg)


def _host(url: str) -> str:
    host = yarl.URL(url, encoded=True).host
    return host or "the server"


def _secrets(request: Request, call: HttpCall) -> tuple[Any, ...]:
    reach = request.reach
    token = call.headers.get("authorization", "").removeprefix("Bearer ")
    return (reach.api_key, *reach.options.values(), token, call.headers.get("x-api-key"))


def _hide(content: bytes, request: Request, call: HttpCall) -> bytes:
    """An error's body without the key, should the provider echo it."""
    return redact(content.decode("utf-8", "replace"), *_secrets(request, call)).encode()


def _connection_error(exc: Exception, call: HttpCall) -> AsyncCacheError:
    host = _host(call.url)
    if isinstance(exc, (aiohttp.InvalidURL, ValueError)) and not isinstance(
        exc, aiohttp.ClientConnectionError
    ):
        return InvalidRequestError(
            f"{call.url!r} cannot be asked, or a header cannot be sent: {redact(str(exc))}"
        )
    if isinstance(exc, aiohttp.ClientSSLError):
        return APIConnectionError(f"no secure connection to {host}: {redact(str(exc))}", code="tls")
    if isinstance(exc, aiohttp.ClientResponseError):
        return InvalidResponseError(f"{host} did not answer in HTTP: {redact(exc.message)[:200]}")
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return APIConnectionError(f"{host} closed the connection without an answer")
    return APIConnectionError(f"no connection to {host}: {redact(str(exc))[:300]}")


def _complete(error: AsyncCacheError, request: Request) -> None:
    """Name whom the request was for, where the error does not."""
    error.provider = error.provider or request.provider
    error.model = error.model or request.model
