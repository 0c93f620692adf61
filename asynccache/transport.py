"""Stage: sends one POST and answers with a stream of bytes; with `body`, all that knows aiohttp's client.

It owns the pool, the wait for an answer's head, and the mapping of foreign errors.
"""

from __future__ import annotations

import asyncio
import io
import os
import warnings
from typing import TYPE_CHECKING, Any, final

import aiohttp
import anyio
import yarl

from asynccache.body import INHERITED, Body
from asynccache.clocks import Watch, nearest_limit
from asynccache.errors import (
    APIConnectionError,
    APITimeoutError,
    AsyncCacheError,
    ConfigurationError,
    InvalidRequestError,
    InvalidResponseError,
    RedirectRefusedError,
    WrongEventLoopError,
)
from asynccache.logs import heed_environment, log_request, wants_requests
from asynccache.providers.registry import get
from asynccache.providers.statuses import find_request_id
from asynccache.secret import redact
from asynccache.sse import MAX_EVENT
from asynccache.stream import Head, Stream

if TYPE_CHECKING:
    from asynccache.providers.base import HttpCall, Provider
    from asynccache.request import Request

__all__ = ["MAX_BODY", "MAX_EVENT", "Transport"]

MAX_BODY = 64 * 1024 * 1024
"""The largest answer taken, in bytes after decompression."""
_ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate", "br", "zstd"})  # what aiohttp unpacks
_HEADERS = {"user-agent": "asynccache", "accept-encoding": "identity"}  # unless the caller has others
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
        if log_requests:
            heed_environment()
        self._max_connections = max_connections
        self._max_body = max_body
        self._max_event = max_event
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places: asyncio.Semaphore | None = None
        self._connecting = aiohttp.ClientTimeout(total=None)
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
        places = self._places
        assert places is not None  # noqa: S101 - made with the session
        if places.locked():
            await self._wait_for_place(places, request)
        else:
            await places.acquire()
        try:
            watch = Watch(request.timeout, request.deadline)
            response = await self._post(session, call, request.timeout.connect, watch, places)
            return await self._answer(Body(response, watch, places, self._max_body), provider, request, call)
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
        connector = session.connector
        session.detach()  # it would complain on the log
        close = getattr(connector, "_close", None)  # the public way is to be awaited
        if close is not None and loop.is_closed():
            close()
        elif close is not None:
            loop.call_soon_threadsafe(close)
        warnings.warn(
            "a Client was dropped without aclose(); use `async with`", ResourceWarning, stacklevel=2
        )

    def _leave_to_parent(self) -> bool:
        """In a forked child: let go of the parent's connections without touching them; whether it was one."""
        if self._pid == os.getpid():
            return False
        self._pid = os.getpid()
        INHERITED.append(self._session)
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
                headers=_HEADERS,
                max_line_size=_MAX_LINE,
                max_field_size=_MAX_LINE,
                read_bufsize=_READ_AHEAD,
            )
        if loop is not self._loop:
            msg = "this Client belongs to another event loop; make one Client per loop, or use acompletion()"
            raise WrongEventLoopError(msg)
        return self._session

    async def _wait_for_place(self, places: asyncio.Semaphore, request: Request) -> None:
        limit = nearest_limit("pool", request.timeout.connect, request.deadline)
        try:
            async with asyncio.timeout(limit.seconds):
                await places.acquire()
        except TimeoutError:
            raise limit.error(f"all {self._max_connections} connections are in use") from None

    def _connect_within(self, seconds: float | None) -> aiohttp.ClientTimeout:
        """The only clock of aiohttp's that runs, that of making a connection; the last one is kept."""
        if self._connecting.connect != seconds:
            self._connecting = aiohttp.ClientTimeout(total=None, connect=seconds, sock_connect=seconds)
        return self._connecting

    async def _post(
        self,
        session: aiohttp.ClientSession,
        call: HttpCall,
        connect: float | None,
        watch: Watch,
        places: asyncio.Semaphore,
    ) -> aiohttp.ClientResponse:
        """The answer's head. On every error the watch has ended and the place in the pool is free again."""
        try:
            with watch:
                return await session.post(
                    yarl.URL(call.url, encoded=True),
                    data=call.body if len(call.body) < _LARGE else io.BytesIO(call.body),
                    headers=call.headers,
                    allow_redirects=False,
                    timeout=self._connect_within(connect),
                )
        except aiohttp.ConnectionTimeoutError:
            error: Exception = APITimeoutError(
                f"no connection to {_host(call.url)} within {connect} s", phase="connect"
            )
        except TimeoutError:
            limit = watch.reached or nearest_limit("first_event", None, None)
            error = limit.error(f"{_host(call.url)} has not begun to answer")
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            error = exc
        except BaseException:
            watch.stop()
            places.release()
            raise
        watch.stop()
        places.release()
        # Raised out here, as some of aiohttp's errors hold the request's headers, and the key among them.
        try:
            if isinstance(error, AsyncCacheError):
                raise error
            raise _connection_error(error, call) from (
                None if isinstance(error, aiohttp.ClientResponseError) else error
            )
        finally:
            del error  # it knows this frame: a circle would outlive the call

    async def _answer(self, body: Body, provider: Provider, request: Request, call: HttpCall) -> Stream[Any]:
        try:
            headers = {name.lower(): value for name, value in body.response.headers.items()}
            status = body.response.status
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
            error = provider.error(status, headers, _hide(content, request, call))
            if status == 404 and error.code is None:  # a web server's word, not that of an API about a model
                error.message += f"; nothing is at {redact(call.url)}, is api_base right?"
                error.args = (error.message,)
            raise error
        except BaseException:
            body.close()
            raise


def _check_encoding(headers: dict[str, str]) -> None:
    """Refuse a body that nobody here unpacks."""
    told = headers.get("content-encoding")
    if told and (encoding := told.strip().lower()) not in _ENCODINGS:
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
