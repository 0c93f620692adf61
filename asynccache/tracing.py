"""Stage: one OpenTelemetry span for every call, by the newest GenAI names; ended on every way out, without a prompt.

The names are those of open-telemetry/semantic-conventions-genai, which are written out here: the package of
constants still has them where they were before they moved. Needs ``asynccache[otel]``, which is
opentelemetry-api alone: without an SDK in the process no span records, and the stage does nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import urlsplit

import msgspec

from asynccache import __version__
from asynccache.errors import AsyncCacheError, ConfigurationError
from asynccache.events import (
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallFragment,
    Usage,
)
from asynccache.shapes import is_array
from asynccache.tracing_content import Said, asked_content

try:
    from opentelemetry import trace
    from opentelemetry.trace import SpanKind, Status, StatusCode
except ImportError as _missing:
    _needed = "traces need opentelemetry-api: pip install 'asynccache[otel]'"
    raise ConfigurationError(_needed) from _missing

if TYPE_CHECKING:
    from decimal import Decimal

    from opentelemetry.trace import Span, TracerProvider

    from asynccache.events import Event
    from asynccache.pipeline import CallNext
    from asynccache.request import Request
    from asynccache.stream import Emit, Stream

__all__ = ["Trace", "trace_calls"]

# Our providers' names where the convention has others.
_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
# Parameters that are told, and how; whatever else a request holds is not.
_PARAMS: Final[dict[str, tuple[str, tuple[type, ...]]]] = {
    "max_tokens": ("gen_ai.request.max_tokens", (int,)),
    "max_completion_tokens": ("gen_ai.request.max_tokens", (int,)),
    "temperature": ("gen_ai.request.temperature", (int, float)),
    "top_p": ("gen_ai.request.top_p", (int, float)),
    "top_k": ("gen_ai.request.top_k", (int, float)),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", (int, float)),
    "presence_penalty": ("gen_ai.request.presence_penalty", (int, float)),
    "seed": ("gen_ai.request.seed", (int,)),
}
_FACTS: Final[frozenset[type[Any]]] = frozenset({Started, Finished, Usage})
_CONTENT: Final[frozenset[type[Any]]] = frozenset({TextDelta, ReasoningDelta, RefusalDelta, ToolCallFragment})


@final
class Trace:
    """The stage; outermost, in front of `default_stages`, so that one span holds all attempts of a call.

    A span bears no prompt and no answer, and no words of an error's, for they may quote either.

    Args:
        tracer_provider: whose tracer makes the spans; the process's own when None.
        older_names: tell cache writes and the cost also by the names that Langfuse, Datadog and Sentry read:
            ``gen_ai.usage.cache_creation.input_tokens`` and ``gen_ai.usage.cost``.
        content: tell prompts, tool definitions and answers too, as JSON.
    """

    name = "trace_calls"

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        *,
        older_names: bool = False,
        content: bool = False,
    ) -> None:
        self._tracer = trace.get_tracer("asynccache", __version__, tracer_provider)
        self._older_names = older_names
        self._content = content

    async def __call__(self, request: Request, call_next: CallNext, /) -> Stream[Event]:
        """The answer, its span ended when it is over."""
        span = self._tracer.start_span(
            f"chat {request.model_id}", kind=SpanKind.CLIENT, attributes=_asked(request)
        )
        if not span.is_recording():
            with trace.use_span(span):
                return await call_next(request)
        if self._content:
            span.set_attributes(asked_content(request))
        call = _Call(span, older_names=self._older_names, said=Said() if self._content else None)
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                stream = await call_next(
                    msgspec.structs.replace(request, recorders=(*request.recorders, call))
                )
        except BaseException as error:
            call.end(error)
            raise
        if request.stream and stream.ready:  # the retry stage has waited for it
            call.has_begun()
        return stream.pipe(_Watch(call, first=request.stream and not stream.ready))

    def __repr__(self) -> str:
        return "trace_calls"


@final
class _Call:
    """One call's span; also a recorder, for what a broken answer used is told to recorders alone."""

    def __init__(self, span: Span, *, older_names: bool, said: Said | None) -> None:
        self.span = span
        self.said = said
        self.usage: Usage | None = None
        self._older_names = older_names
        self._began = time.perf_counter()
        self._attempts = 0
        self._pending = 0  # attempts that are not settled
        self._broken: tuple[BaseException | None] | None = None  # why, once the answer broke off
        self._reasons: dict[int, str] = {}
        self._ended = False

    def open(self, _attempt_id: str, _request: Request, /) -> None:
        """An attempt is about to be sent."""
        self._attempts += 1
        self._pending += 1

    def settle(
        self, _attempt_id: str, usage: Usage, _model: str | None, _error: BaseException | None, /
    ) -> None:
        """An attempt is over; after a break, that was all there is to know."""
        self._pending -= 1
        self.usage = usage
        if self._broken is not None and self._pending <= 0:
            self.end(self._broken[0], left=True)

    def has_begun(self) -> None:
        """The first of a stream is there."""
        waited = time.perf_counter() - self._began
        self.span.set_attribute("gen_ai.response.time_to_first_chunk", waited)

    def started(self, event: Started) -> None:
        """The provider says who answers."""
        told = {
            "gen_ai.response.id": event.id,
            "gen_ai.response.model": event.model,
            "openai.response.service_tier": event.service_tier,
            "openai.response.system_fingerprint": event.system_fingerprint,
        }
        self.span.set_attributes({name: value for name, value in told.items() if value})

    def finished(self, event: Finished) -> None:
        """One answer is complete."""
        self._reasons[event.index] = event.reason

    def broke(self, error: BaseException | None) -> None:
        """The answer broke off, or was let go; what is known of its usage comes with the settle."""
        self._broken = (error,)
        if self._pending <= 0:
            self.end(error, left=True)

    def end(self, error: BaseException | None, *, left: bool = False) -> None:
        """The call is over. Only the first word counts.

        Args:
            error: what ended it; None for a whole answer and one that the caller left.
            left: whether there would have been more.
        """
        if self._ended:
            return
        self._ended = True
        span = self.span
        usage = self.usage or (error.usage if isinstance(error, AsyncCacheError) else None)
        if usage is not None:
            span.set_attributes(_used(usage, older_names=self._older_names))
        if self._reasons:
            reasons = [self._reasons[index] for index in sorted(self._reasons)]
            span.set_attribute("gen_ai.response.finish_reasons", reasons)
        if self._attempts:
            span.set_attribute("asynccache.attempts", self._attempts)
        if self.said is not None:
            span.set_attributes(self.said.content(self._reasons))
        span.set_attribute("asynccache.outcome", _outcome(error, left=left))
        if error is not None and not isinstance(error, asyncio.CancelledError):
            self._fail(error)
        span.end()

    def _fail(self, error: BaseException) -> None:
        self.span.set_attribute("error.type", type(error).__name__)
        self.span.set_status(Status(StatusCode.ERROR))
        if isinstance(error, AsyncCacheError):
            told = {
                "http.response.status_code": error.status_code,
                "asynccache.request_id": error.request_id,
            }
            self.span.set_attributes({name: value for name, value in told.items() if value is not None})


@final
class _Watch:
    """Sees a call's facts pass by, and its end, whichever it is."""

    def __init__(self, call: _Call, *, first: bool) -> None:
        self._call = call
        self._first = first
        self.takes = _FACTS | _CONTENT if first or call.said is not None else _FACTS

    def feed(self, event: Event, emit: Emit[Event], /) -> None:
        """Look, and pass on."""
        call = self._call
        if type(event) is Started:
            call.started(event)
        elif type(event) is Finished:
            call.finished(event)
        elif type(event) is Usage:
            call.usage = event
        else:
            if self._first:
                self._first = False
                call.has_begun()
            if call.said is not None:
                call.said.hear(event)
        emit(event)

    def flush(self, _emit: Emit[Event], /) -> None:
        """The answer is whole."""
        self._call.end(None)

    def interrupted(self, error: BaseException | None, _emit: Emit[Event]) -> None:
        """It broke off, or was let go."""
        self._call.broke(error)

    def __del__(self) -> None:
        self._call.end(None, left=True)  # where a machine within ended the answer on its own


def _asked(request: Request) -> dict[str, Any]:
    provider = request.provider
    asked: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
        "gen_ai.request.model": request.model_id,
        "gen_ai.request.stream": request.stream,
    }
    for name, (attribute, kinds) in _PARAMS.items():
        value = request.params.get(name)
        if type(value) in kinds:
            asked[attribute] = value
    stop = request.params.get("stop")
    if isinstance(stop, str):
        asked["gen_ai.request.stop_sequences"] = [stop]
    elif is_array(stop):
        asked["gen_ai.request.stop_sequences"] = [str(one) for one in stop]
    return asked | _server(request.reach.api_base)


def _server(base: str | None) -> dict[str, Any]:
    """Where the caller sends it, if not to the provider's own address."""
    try:
        parts = urlsplit(base or "")
        host, port = parts.hostname, parts.port
    except ValueError:
        return {}
    if not host:
        return {}
    return {"server.address": host, "server.port": port or (443 if parts.scheme == "https" else 80)}


def _used(usage: Usage, *, older_names: bool) -> dict[str, Any]:
    prompt, cost = usage.prompt_tokens_details, usage.cost_details
    told: dict[str, Any] = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,  # with what was read and written, as the convention has it
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": prompt.cached_tokens,
        "gen_ai.usage.cache_write.input_tokens": prompt.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.completion_tokens_details.reasoning_tokens,
        "asynccache.usage.source": usage.source,
    }
    if cost is not None:
        told["asynccache.cost.usd"] = _float(cost.total)
        told["asynccache.savings.usd"] = _float(cost.saved)
    if older_names:
        told["gen_ai.usage.cache_creation.input_tokens"] = prompt.cache_write_tokens
        told["gen_ai.usage.cost"] = told.get("asynccache.cost.usd")
    return {name: value for name, value in told.items() if value is not None}


def _float(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def _outcome(error: BaseException | None, *, left: bool) -> str:
    if error is None:
        return "let_go" if left else "ok"
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "error"


trace_calls: Trace = Trace()
"""The stage with the process's tracer provider, the newest names, and no content."""
