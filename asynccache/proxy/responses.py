"""``POST /v1/responses``: passed to OpenAI as it came; what it used and cost is read on the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import anyio
import msgspec
import orjson

from asynccache.errors import InvalidResponseError, NotFoundError, StreamInterruptedError
from asynccache.events import ReportedUsage, Started, TextDelta
from asynccache.providers.statuses import error_from_body
from asynccache.proxy.bodies import spliced
from asynccache.proxy.chat import asked_model, is_streamed
from asynccache.proxy.fields import check_fields
from asynccache.proxy.passing import with_body
from asynccache.proxy.speaking import say
from asynccache.proxy.taps import RESPONSES, StreamTap, TapStage
from asynccache.proxy.voices import RawVoice
from asynccache.sse import SSEDecoder

if TYPE_CHECKING:
    from aiohttp import web

    from asynccache.events import Event
    from asynccache.proxy.bodies import Body
    from asynccache.proxy.deployment import Deployment
    from asynccache.proxy.speaking import Call
    from asynccache.request import Request
    from asynccache.stream import Emit, Head, Stream

__all__ = ["ResponsesDecoder", "responses"]

DIALECT = "openai-responses"
_CHAT, _RESPONSES = "/chat/completions", "/responses"


async def responses(call: Call, body: Body) -> web.StreamResponse:
    """Answer a request in the Responses format."""
    fields = body.fields
    check_fields(fields)
    asked, stream = asked_model(fields), is_streamed(fields)
    served = call.served
    if not any(map(_has_responses, served.router.find(asked))):
        msg = f"{asked[:200]!r} is no model of OpenAI's; only those have /v1/responses, ask /v1/chat/completions"
        raise NotFoundError(msg, status_code=404, code="unsupported_endpoint")
    deadline = served.deadline()
    stages: list[TapStage] = []

    async def attempt(deployment: Deployment, name: str, number: int) -> Stream[Any]:
        order = served.order(call.id, number, deployment, call.outcome, deadline)
        request = deployment.plain_request(name, order, stream=stream, params={})
        stages.append(TapStage(_decoder, RESPONSES))
        template = await deployment.template(name, stream=stream)
        template = msgspec.structs.replace(template, url=template.url.removesuffix(_CHAT) + _RESPONSES)
        sent = with_body(template, spliced(body.raw, {"model": orjson.dumps(request.model_id)}))
        return await deployment.send(sent, request, stages[-1])

    answering = await served.router.ask(asked, fields, attempt, deadline, can=_has_responses)
    tap = stages[-1].tap
    if tap is None:
        msg = "an answer without its tap"
        raise RuntimeError(msg)
    cost = served.settings.cost_in_bodies
    voice = RawVoice(tap, streamed=isinstance(tap, StreamTap), chunks=False, usage=True, cost=cost)
    return await say(call, answering, voice)


def _has_responses(deployment: Deployment) -> bool:
    return deployment.provider.name == "openai"


def _decoder(request: Request, head: Head) -> ResponsesDecoder:
    return ResponsesDecoder(sse=request.stream and not head.content_type.endswith("json"), touch=head.touch)


class _Response(msgspec.Struct):
    id: Any = None
    model: Any = None
    created_at: Any = None
    status: Any = None
    service_tier: Any = None
    usage: Any = None
    error: Any = None
    object: Any = None


class _Event(msgspec.Struct):
    type: str | None = None
    response: _Response | None = None
    error: Any = None


_event = msgspec.json.Decoder(_Event).decode
_response = msgspec.json.Decoder(_Response).decode
_ENDS = frozenset({"response.completed", "response.incomplete"})
_BEFORE = frozenset({"response.created", "response.in_progress", "response.queued"})


@final
class ResponsesDecoder:
    """A machine that hears of an answer what usage, cost and the end need; of what is said, only that it is."""

    def __init__(self, *, sse: bool, touch: Any = None) -> None:
        self._sse = SSEDecoder() if sse else None
        self._parts: list[bytes] = []
        self._touch = touch
        self._done = False
        self._emit: Emit[Event] | None = None

    def feed(self, chunk: bytes, emit: Emit[Event]) -> None:
        """Take any piece of the answer.

        Raises:
            anyio.EndOfStream: it is whole.
        """
        if self._sse is None:
            self._parts.append(chunk)
            return
        self._emit = emit
        self._sse.feed(chunk, self._take)
        if self._done:
            raise anyio.EndOfStream

    def flush(self, emit: Emit[Event]) -> None:
        """There is no more of it.

        Raises:
            StreamInterruptedError: its end has not come.
        """
        self._emit = emit
        if self._sse is not None:
            if not self._done:
                msg = "the stream ended before the answer did: response.completed is missing"
                raise StreamInterruptedError(msg)
            return
        body = b"".join(self._parts)
        if not body.strip():
            msg = "the answer was empty"
            raise StreamInterruptedError(msg)
        try:
            answer = _response(body)
        except msgspec.DecodeError as exc:
            msg = "the answer is no response of OpenAI's"
            raise InvalidResponseError(msg) from exc
        if answer.object != "response":
            raise error_from_body(500, {}, body)
        self._begin(answer)
        self._tell(answer)

    def _take(self, data: bytes) -> None:
        try:
            event = _event(data)
        except msgspec.DecodeError as exc:
            msg = "an event of the answer is not JSON"
            raise InvalidResponseError(msg) from exc
        kind, answer = event.type or "", event.response
        if kind in {"response.failed", "error"} or event.error is not None:
            if answer is not None:
                self._tell(answer)
            raise error_from_body(0, {}, orjson.dumps({"error": _error(event, data)}))
        if self._touch is not None:
            self._touch()
        if answer is not None and kind in _BEFORE:
            self._begin(answer)
        elif answer is not None and kind in _ENDS:
            self._tell(answer)
            self._done = True
        elif self._emit is not None:
            self._emit(TextDelta(""))  # something was said

    def _begin(self, answer: _Response) -> None:
        if self._emit is not None:
            created = answer.created_at
            self._emit(
                Started(
                    id=_text(answer.id) or "",
                    model=_text(answer.model) or "",
                    created=int(created) if isinstance(created, (int, float)) else 0,
                    service_tier=_text(answer.service_tier),
                )
            )

    def _tell(self, answer: _Response) -> None:
        if self._emit is None:
            return
        tier = _text(answer.service_tier)
        if tier is not None and tier != "auto":
            self._begin(answer)
        if answer.usage is not None:
            self._emit(ReportedUsage(answer.usage, DIALECT))


def _error(event: _Event, data: bytes) -> Any:
    if event.response is not None and event.response.error is not None:
        return event.response.error
    return event.error if event.error is not None else orjson.loads(data)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
