"""The server: takes requests, checks who asks, hands them on; begins, reloads and ends without losing any."""

from __future__ import annotations

import asyncio
import logging
import time
from os import urandom
from typing import TYPE_CHECKING, Any, Self, final
from urllib.parse import parse_qs

from aiohttp import web

from asynccache.errors import APIStatusError, AsyncCacheError
from asynccache.proxy.bodies import read_body
from asynccache.proxy.connections import Listener, TooLarge, TooSlow, read_bytes
from asynccache.proxy.failures import Failure, dialect_of, failure_of, forget_frames
from asynccache.proxy.gate import refusal_headers
from asynccache.proxy.looking import check_looker, holds_pass
from asynccache.proxy.routes import ROUTES, route_of
from asynccache.proxy.speaking import Call
from asynccache.proxy.telling import cost_headers, id_headers
from asynccache.proxy.tls import tls_context
from asynccache.proxy.tracing import below_caller
from asynccache.secret import redact

if TYPE_CHECKING:
    from types import TracebackType

    from asynccache.proxy.route import Route
    from asynccache.proxy.served import Served

__all__ = ["Server"]

_logger = logging.getLogger("asynccache.proxy")

_METHODS = frozenset(method for method, _ in ROUTES)
_PATHS = frozenset(path for _, path in ROUTES)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CODINGS = frozenset({"br", "deflate", "gzip", "identity", "zstd"})
"""What is unpacked where it can be; a body in any other coding would be taken for what it is not."""
_LAST_WORDS = 3.0  # seconds that answers have to settle once they are cut off


@final
class Server:
    """Listens on one address.

    Args:
        served: what is served until `replace`.
    """

    def __init__(self, served: Served) -> None:
        self.served = served
        self.port = 0
        self.scheme = "http"
        """How it is spoken to: https where the configuration names a certificate."""
        self._former: list[Served] = []
        self._stopping = False
        self.active: dict[asyncio.Task[Any], Call] = {}
        """The calls in progress."""
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._listener: Listener | None = None
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 4000) -> Self:
        """Listen; a port of 0 takes any that is free.

        Raises:
            ConfigError: its certificate cannot be used.
            OSError: the address is not to be had.
        """
        loop = asyncio.get_running_loop()
        settings = self.served.settings
        tls = tls_context(settings)
        patience = None if tls is None else settings.header_seconds  # for a handshake, as for a head
        self._listener = Listener(self._handle, settings)
        self._server = await loop.create_server(
            self._listener, host, port, backlog=1024, ssl=tls, ssl_handshake_timeout=patience
        )
        self.scheme = "http" if tls is None else "https"
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def replace(self, served: Served) -> None:
        """Serve *served* from now on; answers in progress end as they began."""
        if served.transport is not self.served.transport:
            self._former.append(self.served)
        if served.config.master_key != self.served.config.master_key:
            served.activity.passes.clear()
        self.served = served

    async def stop(self) -> None:
        """Take no more requests, let answers finish up to the limit, cut off the rest. Idempotent."""
        self._stopping = True
        server, self._server = self._server, None
        if server is None or self._listener is None:
            return
        server.close()
        self._listener.pre_shutdown()
        try:
            async with asyncio.timeout(self.served.settings.shutdown_seconds):
                await self._quiet.wait()
        except TimeoutError:
            _logger.warning("%d answers are cut off by the shutdown", len(self.active))
        await self._cut_off()
        await self._listener.shutdown(0.5)
        for served in (self.served, *self._former):
            await served.aclose()

    async def _cut_off(self) -> None:
        tasks = list(self.active)
        for task, call in self.active.items():
            call.stopping = True
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST_WORDS)

    async def __aenter__(self) -> Self:
        return self if self._server is not None else await self.start(port=0)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        call = Call(request, self.served, urandom(16).hex(), dialect_of(path))
        try:
            settings = call.served.settings
            if settings.traces:
                with below_caller(request.headers, settings):
                    response = await self._routed(call, request.method, path, query)
            else:
                response = await self._routed(call, request.method, path, query)
        except AsyncCacheError as error:
            if not call.outcome.attempt_ids:
                call.served.activity.refuse(failure_of(error).status)
            more = {**cost_headers(error.usage), **refusal_headers(error), **_allowed(error, path)}
            response = _refusal(call, failure_of(error), more)
            forget_frames(error)
        except TooLarge as error:
            message = f"the body is larger than {error} bytes"
            response = _refusal(call, Failure(status=413, message=message, code="request_too_large"))
            response.force_close()
        except TooSlow:
            response = _refusal(call, Failure(status=408, message="the body came too slowly", code="timeout"))
            response.force_close()
        except web.RequestPayloadError:
            response = _refusal(call, Failure(status=400, message="the body is not what its headers say"))
            response.force_close()
        if self._stopping:
            response.force_close()
        return response

    async def _routed(self, call: Call, method: str, path: str, query: str) -> web.StreamResponse:
        route, named = route_of(method, path)
        if route is None or not (route.open or (route.passes and holds_pass(call, query))):
            call.key = call.served.gate.admit(call.request.headers)
        if route is None:
            raise _no_route(method, path)
        if route.look is not None:
            check_looker(call)
            return route.look(call, query)
        if route.body is None:
            wanted = named or (parse_qs(query).get("litellm_model_id", [None])[0] if query else None)
            return _whole(call, route.answer(call, wanted), route.media)
        if call.request.headers.get("expect", "").lower() == "100-continue":
            writer: Any = call.request.writer
            await writer.write(_CONTINUE)
            writer.output_size = 0
        coding = call.request.headers.get("content-encoding")
        if coding is not None and coding.lower() not in _CODINGS:
            msg = (
                f"the body's content-encoding {coding[:40]!r} is not known here; send it as gzip, or as it is"
            )
            raise APIStatusError(msg, status_code=415, code="unsupported_content_encoding")
        raw = await read_bytes(call.request, call.served.settings.max_body_bytes)
        call.outcome.began = time.perf_counter()
        return await self._called(call, route, raw)

    async def _called(self, call: Call, route: Route, raw: bytes) -> web.StreamResponse:
        """Run a call, so that the shutdown knows of it; where answers are drained, it outlives its caller."""
        if not call.drains:
            return await self._watched(call, route, raw)
        task = asyncio.ensure_future(self._watched(call, route, raw))
        return await asyncio.shield(task)

    async def _watched(self, call: Call, route: Route, raw: bytes) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None and route.body is not None  # noqa: S101, PT018 - within a task, of a route with a body
        self.active[task] = call
        self._quiet.clear()
        lease = None
        try:
            body = read_body(raw)
            lease = await call.served.gate.enter(call, body, call.key, spends=route.spends)
            return await route.body(call, body)
        except asyncio.CancelledError:
            if call.stopping and not call.said:
                failure = Failure(status=503, message="the proxy is shutting down; ask again")
                return _refusal(call, failure)
            raise
        finally:
            if lease is not None:
                lease.release()
                call.outcome.also = ()  # it knows the call: a circle would outlive it
            del self.active[task]
            if not self.active:
                self._quiet.set()


def _no_route(method: str, path: str) -> APIStatusError:
    if path in _PATHS or method not in _METHODS or any(route_of(other, path)[0] for other in _METHODS):
        return APIStatusError(f"{method[:16]} is not taken here", status_code=405, code="method_not_allowed")
    twice = path.startswith("/v1/v1/")
    hint = "this client adds /v1 by itself, its base address ends before it" if twice else "see /openapi.json"
    return APIStatusError(
        f"nothing is served at {redact(path[:80])!r}; {hint}", status_code=404, code="not_found"
    )


def _allowed(error: AsyncCacheError, path: str) -> dict[str, str]:
    """The methods that are taken, where another one was asked for."""
    if error.code != "method_not_allowed":
        return {}
    return {"allow": ", ".join(method for method in ("GET", "HEAD", "POST") if route_of(method, path)[0])}


def _whole(call: Call, body: bytes, media: str) -> web.Response:
    return web.Response(body=body, content_type=media, headers=id_headers(call.id))


def _refusal(call: Call, failure: Failure, more: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=failure.status,
        body=failure.body(call.dialect, call.id),
        content_type="application/json",
        headers={**id_headers(call.id), **failure.headers, **(more or {})},
    )
