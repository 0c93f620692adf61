"""``POST /v1/chat/completions``: OpenAI's format in and out, whoever answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynccache.errors import InvalidRequestError
from asynccache.proxy.fields import check_fields
from asynccache.proxy.passing import chat_body, chat_passes, with_body
from asynccache.proxy.speaking import say
from asynccache.proxy.taps import CHAT, StreamTap, TapStage
from asynccache.proxy.voices import ChatVoice, RawVoice, WholeChatVoice
from asynccache.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from asynccache.proxy.bodies import Body
    from asynccache.proxy.deployment import Deployment
    from asynccache.proxy.speaking import Call
    from asynccache.proxy.voices import Voice
    from asynccache.stream import Stream

__all__ = ["asked_model", "chat_completions", "is_streamed"]

_FRAME = frozenset({"model", "messages", "stream"})


async def chat_completions(call: Call, body: Body) -> web.StreamResponse:
    """Answer a chat request."""
    fields = body.fields
    check_fields(fields)
    asked, stream = asked_model(fields), is_streamed(fields)
    served = call.served
    deadline = served.deadline()
    passed: list[TapStage | None] = [None]

    async def attempt(deployment: Deployment, name: str, number: int) -> Stream[Any]:
        order = served.order(call.id, number, deployment, call.outcome, deadline)
        request = deployment.plain_request(name, order, stream=stream, params=fields)
        if not chat_passes(deployment, body, request):
            passed[0] = None
            arguments = {key: value for key, value in fields.items() if key not in _FRAME}
            arguments["messages"] = fields.get("messages")
            return await deployment.translate(name, arguments, order, stream=stream)
        stage = passed[0] = TapStage(deployment.provider.decoder, CHAT)
        template = await deployment.template(name, stream=stream)
        sent = with_body(template, chat_body(body, request.model_id, stream=stream))
        return await deployment.send(sent, request, stage)

    answering = await served.router.ask(asked, fields, attempt, deadline)
    return await say(call, answering, _voice(call, fields, passed[0], stream=stream))


def _voice(call: Call, fields: Mapping[str, Any], stage: TapStage | None, *, stream: bool) -> Voice:
    settings = call.served.settings
    options = fields.get("stream_options")
    asked = is_object(options) and options.get("include_usage") is True
    usage, cost = asked or settings.stream_usage == "always", settings.cost_in_bodies
    if stage is None or stage.tap is None:
        return ChatVoice(usage=usage, cost=cost) if stream else WholeChatVoice(cost=cost)
    streamed = isinstance(stage.tap, StreamTap)
    return RawVoice(stage.tap, streamed=streamed, chunks=streamed, usage=usage, cost=cost)


def asked_model(fields: Mapping[str, Any]) -> str:
    """The model that the caller names.

    Raises:
        InvalidRequestError: there is none.
    """
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        msg = "model is missing; it is one of those that GET /v1/models lists"
        raise InvalidRequestError(msg)
    return model


def is_streamed(fields: Mapping[str, Any]) -> bool:
    """Whether the caller wants the answer as it comes.

    Raises:
        InvalidRequestError: it says neither yes nor no.
    """
    stream = fields.get("stream")
    if stream is None or isinstance(stream, bool):
        return bool(stream)
    msg = "stream is neither true nor false"
    raise InvalidRequestError(msg)
