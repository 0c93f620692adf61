"""One place to ask: a provider, a model, how to reach it, and what is set for callers who do not say."""

from __future__ import annotations

import re
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any, final

import msgspec

from asynccache.aggregate import aggregate
from asynccache.arguments import build_request, full_model
from asynccache.cache_control import translate_cache_control
from asynccache.errors import AsyncCacheError
from asynccache.pipeline import Pipeline
from asynccache.providers.openai import OpenAIChat
from asynccache.providers.registry import get
from asynccache.proxy.activity import mark_content, mark_sent, observe
from asynccache.proxy.row_prices import RowPrices
from asynccache.proxy.tracing import traced
from asynccache.request import Access, Request, Timeout
from asynccache.retry import retry
from asynccache.secret import Secret
from asynccache.usage.normalizer import normalize_usage
from asynccache.usage.recorder import record_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.events import Event, Recorder
    from asynccache.pipeline import Stage
    from asynccache.providers.base import HttpCall, Provider
    from asynccache.proxy.settings import Config, Model
    from asynccache.stream import Stream
    from asynccache.transport import Transport
    from asynccache.usage.ledger import Ledger

__all__ = ["SIMULATED", "Deployment", "Order", "deployment"]

SIMULATED = "simulator/"
_PROBE = ({"role": "user", "content": "."},)


@final
class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to one attempt, whoever is asked."""

    call_id: str
    attempt: int
    deadline: float
    recorders: tuple[Recorder, ...]


@final
class Deployment:
    """A row of ``model_list`` at work. Holds what is known of its health; owns no connection.

    Attributes:
        group: the name that callers ask for.
        id: stable over restarts, without a secret in it.
        label: the id as the ledger and the metrics have it.
        in_flight: answers in progress.
        cool_until: when it may be asked first again, by ``time.monotonic()``.
    """

    def __init__(
        self,
        model: Model,
        target: str,
        access: Access,
        config: Config,
        transport: Transport,
        ledger: Ledger | None,
    ) -> None:
        self.group = model.name
        self.model = model
        self.target = target
        self.provider: Provider = get(target.partition("/")[0])
        self.access = access
        total = config.settings.request_seconds
        self._timeouts = {False: _waits(model.timeout, total), True: _waits(model.stream_timeout, total)}
        self.id, self.label = _names(model)
        self.in_flight = 0
        self.cool_until = 0.0
        self._transport = transport
        provider = self.provider
        self._official = type(provider) is OpenAIChat and provider.is_official(
            provider.base(Request(model=target, messages=(), access=access))
        )
        self.prices = RowPrices(target, model.prices, model.base_model)
        around: list[Stage] = [
            *traced(config.settings),
            retry,  # first of all that pipe: a machine that comes after it has to hear again what it has read ahead
            observe,
            record_usage,
            self.prices,
            normalize_usage,
        ]
        self._around = around if ledger is None else ledger.within(around)
        self._translated = Pipeline([*self._around, aggregate, translate_cache_control, mark_sent], transport)
        self._passed = Pipeline(self._around, self._pass)
        self._passing: dict[tuple[str | None, int], tuple[HttpCall, Stage]] = {}
        self._templates: dict[tuple[str, bool], HttpCall] = {}

    @property
    def official(self) -> bool:
        """Whether its address is the provider's own."""
        return self._official

    @property
    def speaks_messages(self) -> bool:
        """Whether its provider speaks Anthropic's Messages format over plain HTTP."""
        return self.provider.name == "anthropic"

    def model_for(self, asked: str) -> str:
        """``provider/model`` for a caller who asks for *asked*: a ``*`` takes over what the caller wrote for it."""
        if not self.target.endswith("*"):
            return self.target
        prefix = self.group[:-1] if self.group.endswith("*") else ""
        return self.target[:-1] + asked.removeprefix(prefix)

    def plain_request(self, asked: str, order: Order, *, stream: bool, params: Mapping[str, Any]) -> Request:
        """A request that says who is asked and how it is told, its body apart."""
        return Request(
            model=self.model_for(asked),
            messages=_PROBE,
            params=params,
            stream=stream,
            access=self.access,
            timeout=self._timeouts[stream],
            deadline=order.deadline,
            max_retries=0,
            attempt=order.attempt,
            recorders=order.recorders,
            call_id=order.call_id,
        )

    async def template(self, asked: str, *, stream: bool) -> HttpCall:
        """A call with this deployment's address, headers and key, whose body is to be replaced."""
        name = (self.model_for(asked), stream)
        found = self._templates.get(name)
        if found is None:
            request = Request(model=name[0], messages=_PROBE, stream=stream, access=self.access)
            call = await self.provider.authorize(self.provider.encode(request), request)
            headers = {
                header.lower(): value for header, value in {**call.headers, **self.model.headers}.items()
            }
            found = msgspec.structs.replace(call, headers=headers, body=b"")
            if len(self._templates) < 256:  # a wildcard has as many models as its callers think of
                self._templates[name] = found
        return found

    async def send(self, call: HttpCall, request: Request, tap: Stage) -> Stream[Any]:
        """Send *call* as it stands; *tap* sees the answer's bytes pass and tells what the stages must know."""
        attempt = (request.call_id, request.attempt)
        self._passing[attempt] = call, tap
        try:
            stream = await self._passed(request)
            mark_content(request)
            return stream
        finally:
            del self._passing[attempt]

    async def _pass(self, request: Request) -> Stream[Any]:
        """The end of the pipeline, made once, of the calls that `send` sends."""
        call, tap = self._passing[request.call_id, request.attempt]

        async def post(again: Request) -> Stream[Any]:
            return await self._transport.send(call, again, self.provider)

        return await tap(request, lambda again: mark_sent(again, post))

    async def ask_aside(self, call: HttpCall, request: Request) -> Stream[bytes]:
        """Send a call that uses nothing and costs nothing: no row is kept of it."""
        return await self._transport.send(call, request, self.provider)

    async def translate(
        self, asked: str, arguments: Mapping[str, Any], order: Order, *, stream: bool
    ) -> Stream[Event]:
        """Ask in the words of the library; the provider's own are found on the way."""
        model = self.model
        given = {**model.defaults, **arguments}
        given.setdefault("cache_control_injection_points", model.injection_points or None)
        messages: Any = given.pop("messages", None)
        request = build_request(
            self.model_for(asked),
            messages,
            stream=stream,
            timeout=self._timeouts[stream],
            max_retries=0,
            arguments={
                **given,
                "drop_params": model.drop_params or given.get("drop_params"),
                "keep_cache_control": model.keep_cache_control,
                "extra_headers": {**model.headers, **(given.get("extra_headers") or {})},
            },
        )
        request = msgspec.structs.replace(
            request,
            access=self.access,
            deadline=order.deadline,
            attempt=order.attempt,
            recorders=order.recorders,
            call_id=order.call_id,
        )
        answer = await self._translated(request)
        mark_content(request)
        return answer

    def note(self, error: AsyncCacheError, cooldown: float) -> None:
        """It failed: for a while it is asked last."""
        asked = min(error.retry_after or 0.0, 60.0)
        self.cool_until = time.monotonic() + max(cooldown, asked)


def deployment(
    model: Model,
    config: Config,
    transport: Transport,
    simulators: Mapping[str, str],
    ledger: Ledger | None = None,
) -> Deployment:
    """The deployment that a row of ``model_list`` asks for.

    Args:
        model: the row.
        config: the whole file.
        transport: who sends what it is asked.
        simulators: the simulated providers' addresses by provider; empty where none runs.
        ledger: where its attempts get their rows.

    Raises:
        ConfigError: its provider is not known, or its prices cannot be read.
    """
    name, base, key = model.model, model.api_base, model.api_key
    options = dict(model.options)
    if name.startswith(SIMULATED):
        name = name.removeprefix(SIMULATED)
        provider = name.partition("/")[0]
        if provider not in simulators:
            known = ", ".join(sorted(simulators)) or "none runs here"
            raise config.source.error(
                (*model.path, "litellm_params", "model"), f"no simulated provider {provider!r}; {known}"
            )
        base, key = simulators[provider], Secret("sk-simulated")
        options.setdefault("aws_region_name", "us-east-1")
    try:
        name = full_model(name)
        access = Access(provider=name.partition("/")[0], api_key=key, api_base=base, options=options)
        return Deployment(model, name, access, config, transport, ledger)
    except AsyncCacheError as exc:
        raise config.source.error((*model.path, "litellm_params", "model"), exc.message) from exc


def _waits(seconds: float | None, total: float) -> Timeout:
    """How long to wait for a row's answers; *total* holds for a call with all its attempts."""
    if seconds is None:
        return Timeout(total=total)
    return Timeout(total=total, first_event=seconds, idle=seconds)


def _names(model: Model) -> tuple[str, str]:
    """The id that the row gives itself, as LiteLLM has it, or one that its place and names make; and its label."""
    given = model.info.get("id")
    if isinstance(given, str) and _ID.fullmatch(given):
        return given, given
    told = "\n".join((model.name, model.model, model.api_base or "", *map(str, model.path)))
    made = sha256(told.encode()).hexdigest()
    return made, made[:16]


_ID = re.compile(r"[!-~]{1,64}")  # it goes into headers and labels
