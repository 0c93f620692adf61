"""The simulated providers as one HTTP server: every wire on one port, one cache and one clock behind them."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import orjson
from aiohttp import web
from anyio.from_thread import start_blocking_portal

from .addresses import Addresses
from .answer import compose
from .anthropic_wire import AnthropicWire
from .bedrock_door import install
from .bedrock_wire import BedrockWire
from .cache import PrefixCache
from .clock import VirtualClock
from .deepseek_wire import DeepSeekWire
from .door import check_model, decoded, logged_headers, owner, refusing_the_unreadable
from .log import Record
from .openai_wire import OpenAIWire
from .responses_wire import ResponsesWire
from .scenario import HEADER, NO_SCENARIO, Scenario, read_scenario
from .settings import SimulatorSettings
from .speaking import closed, speak
from .wire import Arrival, Refusal, Reply, Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from .answer import Answer
    from .wire import Asked

WIRES: tuple[Callable[[], Wire], ...] = (
    OpenAIWire,
    ResponsesWire,
    AnthropicWire,
    DeepSeekWire,
    BedrockWire,
)


class Simulator(Addresses):
    """Providers on loopback: `async with Simulator() as sim:` and ask `sim.openai_base`.

    Under a plain `with` it runs in a thread of its own, for synchronous code, which would keep its loop waiting.
    """

    def __init__(
        self, settings: SimulatorSettings | None = None, *, clock: VirtualClock | None = None
    ) -> None:
        self.settings: SimulatorSettings = settings or SimulatorSettings()
        self.clock: VirtualClock = clock or VirtualClock()
        self.log: list[Record] = []
        """The oracle's log, oldest first."""

        self.port: int = 0
        self._caches: dict[str, PrefixCache] = {}
        self._attempts: dict[str, int] = {}
        self._runner: web.AppRunner | None = None
        self._thread = ExitStack()

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        if not self.port:
            raise RuntimeError(
                "the simulator is not running: use `async with Simulator() as sim:` or `await start()`"
            )
        return f"http://127.0.0.1:{self.port}"

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> Self:
        """Listens on a port; 0 takes any that is free."""
        runner = web.AppRunner(
            self.app(), handler_cancellation=True, access_log=None, shutdown_timeout=0.1, handle_signals=False
        )
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        """Stops listening and closes every connection; twice is once."""
        runner, self._runner = self._runner, None
        self.port = 0
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        portal = self._thread.enter_context(start_blocking_portal(name="simulator"))
        self._thread.enter_context(portal.wrap_async_context_manager(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.close()

    def app(self) -> web.Application:
        """The server as an aiohttp application, to be mounted elsewhere."""
        app = web.Application(client_max_size=self.settings.max_body + 1)
        install(app)
        for make in WIRES:
            wire = make()
            for route in wire.routes:
                app.router.add_post(route, self._handler(wire, None))
            for (method, route), name in wire.side_routes.items():
                app.router.add_route(method, route, self._handler(wire, name))
        return app

    def _handler(
        self, wire: Wire, aside: str | None
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            record = self._record(wire, request)
            try:
                return await self._answer(wire, aside, request, record)
            except Refusal as refusal:
                return await self._refuse(wire, request, record, refusal)
            except asyncio.CancelledError:
                closed(record, "client" if self._runner is not None else "shutdown")
                raise
            except ConnectionResetError:  # between two words, before the handler was cancelled
                closed(record, "client" if self._runner is not None else "shutdown")
                return web.Response()  # to nobody: raised, it would be an error on the server's log

        return handle

    def _record(self, wire: Wire, request: web.Request) -> Record:
        record = Record(
            number=len(self.log) + 1,
            wire=wire.name,
            path=request.path,
            at=self.clock.now(),
            loop_time=asyncio.get_running_loop().time(),
            headers=logged_headers(request.headers),
        )
        self.log.append(record)
        return record

    async def _answer(
        self, wire: Wire, aside: str | None, request: web.Request, record: Record
    ) -> web.StreamResponse:
        body = await self._body(request, record)
        arrival = Arrival(
            number=record.number,
            path=request.path,
            headers=request.headers,
            owner=owner(request.headers),
            body=body,
        )
        scenario = self._scenario(request, record)
        check_model(str(body.get("model", "")))
        if aside is not None:
            with refusing_the_unreadable():
                told = orjson.dumps(wire.aside(aside, arrival))
            return await self._send(request, record, 200, told, wire)

        with refusing_the_unreadable():
            asked = wire.read(arrival)
            answer = self._composed(asked, scenario)
        cache = self._caches.setdefault(wire.name, PrefixCache())
        verdict = cache.ask(asked.prompt, asked.rule, record.at)
        record.verdict = verdict
        reply = Reply(
            number=record.number,
            created=int(record.at),
            body=body,
            asked=asked,
            answer=answer,
            verdict=verdict,
            scenario=scenario,
        )
        response = await self._said(wire, request, record, reply, began=lambda: cache.begin(verdict))
        if record.finished:
            cache.finish(asked.prompt, asked.rule, verdict, wire.output(reply))
        return response

    def _composed(self, asked: Asked, scenario: Scenario) -> Answer:
        settings = self.settings
        return compose(
            asked.question,
            text=settings.answer if scenario.answer is None else scenario.answer,
            words=settings.answer_tokens if scenario.answer_tokens is None else scenario.answer_tokens,
            thoughts=settings.thinking_tokens,
        )

    async def _said(
        self, wire: Wire, request: web.Request, record: Record, reply: Reply, *, began: Callable[[], None]
    ) -> web.StreamResponse:
        scenario = reply.scenario
        rate = scenario.rate or self.settings.rate
        pace = 1 / rate if rate else 0.0
        latency = self.settings.latency if scenario.latency is None else scenario.latency
        if latency:
            await asyncio.sleep(latency)
        if not reply.asked.stream:
            whole = wire.whole(reply)
            if pace:
                await asyncio.sleep(whole.tokens * pace)
            began()
            response = await self._send(request, record, 200, whole.data, wire)
            record.usage, record.finished = whole.usage, True
            return response

        record.status = 200
        stream = web.StreamResponse(
            headers={
                "content-type": wire.content_type,
                "cache-control": "no-cache",
                **wire.headers(record.number),
            }
        )
        await speak(
            request,
            stream,
            wire.events(reply),
            record,
            scenario=scenario,
            pace=pace,
            error=wire.refuse_in_stream(record.number),
            began=began,
        )
        return stream

    async def _body(self, request: web.Request, record: Record) -> dict[str, Any]:
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refusal(413, "Request exceeds the maximum size") from None
        record.body = raw
        if request.method == "GET":
            record.body = None
            return {}
        body = decoded(raw)
        record.body = body
        return body

    def _scenario(self, request: web.Request, record: Record) -> Scenario:
        header = request.headers.get(HEADER)
        if header is None:
            return NO_SCENARIO
        record.scenario = header
        try:
            scenario = read_scenario(header)
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        name = scenario.id or header
        attempt = self._attempts[name] = self._attempts.get(name, 0) + 1
        if scenario.status is not None and (scenario.times is None or attempt <= scenario.times):
            raise Refusal(
                scenario.status,
                f"The simulator was asked for this error (attempt {attempt}).",
                code=scenario.code,
                retry_after=scenario.retry_after,
            )
        return scenario

    async def _refuse(
        self, wire: Wire, request: web.Request, record: Record, refusal: Refusal
    ) -> web.StreamResponse:
        extra = {} if refusal.retry_after is None else {"retry-after": refusal.retry_after}
        body = wire.refuse(refusal, record.number)
        return await self._send(request, record, refusal.status, body, wire, extra=extra)

    async def _send(
        self,
        request: web.Request,
        record: Record,
        status: int,
        body: bytes,
        wire: Wire,
        *,
        extra: dict[str, str] | None = None,
    ) -> web.StreamResponse:
        record.status = status
        headers = {"content-type": "application/json", **wire.headers(record.number), **(extra or {})}
        response = web.Response(status=status, body=body, headers=headers)
        await response.prepare(request)
        await response.write_eof()
        record.bytes_sent, record.events_sent = len(body), 1
        closed(record, "server")
        return response
