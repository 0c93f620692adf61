"""``POST /v1/messages`` and ``/v1/messages/count_tokens``: Anthropic's format in and out, whoever answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import orjson
from aiohttp import web

from asynccache.errors import AsyncCacheError
from asynccache.pricing.estimate import estimated_usage
from asynccache.providers.openai import OpenAIChat
from asynccache.proxy.chat import asked_model, is_streamed
from asynccache.proxy.failures import forget_frames
from asynccache.proxy.fields import check_fields
from asynccache.proxy.messages_in import arguments_of
from asynccache.proxy.messages_out import MessageVoice, WholeMessageVoice
from asynccache.proxy.passing import messages_body, messages_headers, messages_pass, with_body
from asynccache.proxy.speaking import say
from asynccache.proxy.taps import MESSAGES, StreamTap, TapStage
from asynccache.proxy.telling import id_headers
from asynccache.proxy.voices import RawVoice
from asynccache.retry import is_worth_another

if TYPE_CHECKING:
    from asynccache.proxy.bodies import Body
    from asynccache.proxy.deployment import Deployment
    from asynccache.proxy.speaking import Call
    from asynccache.proxy.voices import Voice
    from asynccache.stream import Stream

__all__ = ["count_tokens", "messages"]

_TALKATIVE = 1024 * 1024  # bytes of a count


async def messages(call: Call, body: Body) -> web.StreamResponse:
    """Answer a request in Anthropic's format."""
    fields = body.fields
    check_fields(fields)
    asked, stream = asked_model(fields), is_streamed(fields)
    served = call.served
    deadline = served.deadline()
    passed: list[TapStage | None] = [None]

    async def attempt(deployment: Deployment, name: str, number: int) -> Stream[Any]:
        order = served.order(call.id, number, deployment, call.outcome, deadline)
        if not messages_pass(deployment, body):
            passed[0] = None
            plain = isinstance(deployment.provider, OpenAIChat)
            arguments = arguments_of(
                fields, claude="claude" in deployment.model_for(name), plain_results=plain
            )
            return await deployment.translate(name, arguments, order, stream=stream)
        request = deployment.plain_request(name, order, stream=stream, params={})
        stage = passed[0] = TapStage(deployment.provider.decoder, MESSAGES)
        template = await deployment.template(name, stream=stream)
        whole = messages_body(body, request.model_id, deployment.model.defaults)
        return await deployment.send(
            with_body(template, whole, headers=messages_headers(call.request.headers)), request, stage
        )

    answering = await served.router.ask(asked, fields, attempt, deadline)
    return await say(call, answering, _voice(call, asked, passed[0], stream=stream))


def _voice(call: Call, asked: str, stage: TapStage | None, *, stream: bool) -> Voice:
    cost = call.served.settings.cost_in_bodies
    if stage is None or stage.tap is None:
        return MessageVoice(asked, cost=cost) if stream else WholeMessageVoice(asked, cost=cost)
    streamed = isinstance(stage.tap, StreamTap)
    return RawVoice(stage.tap, streamed=streamed, chunks=False, usage=True, cost=cost)


async def count_tokens(call: Call, body: Body) -> web.StreamResponse:
    """How many tokens a prompt has: told by Anthropic, estimated where nobody is there to say."""
    fields = body.fields
    check_fields(fields)
    asked = asked_model(fields)
    able = [one for one in call.served.router.find(asked) if one.speaks_messages]
    for deployment in sorted(able, key=lambda one: one.cool_until):
        try:
            answer = await _counted(call, body, deployment, asked)
        except AsyncCacheError as error:
            if not is_worth_another(error):
                raise
            forget_frames(error)
        else:
            return web.Response(body=answer, content_type="application/json", headers=id_headers(call.id))
    counted = estimated_usage(
        messages=arguments_of(fields, claude=False)["messages"],
        prompt=orjson.dumps(fields.get("tools") or "").decode(),
    )
    headers = {**id_headers(call.id), "x-asynccache-estimated": "true"}
    told = orjson.dumps({"input_tokens": counted.prompt_tokens})
    return web.Response(body=told, content_type="application/json", headers=headers)


async def _counted(call: Call, body: Body, deployment: Deployment, asked: str) -> bytes:
    """What *deployment* counts."""
    order = call.served.order(call.id, 0, deployment, call.outcome, call.served.deadline())
    request = deployment.plain_request(asked, order, stream=False, params={})
    sent = with_body(
        await deployment.template(asked, stream=False),
        messages_body(body, request.model_id, {}),
        headers=messages_headers(call.request.headers),
        path="/count_tokens",
    )
    return await _read(await deployment.ask_aside(sent, request))


async def _read(stream: Stream[bytes]) -> bytes:
    parts: list[bytes] = []
    try:
        async with stream:
            while sum(map(len, parts)) < _TALKATIVE:
                parts.append(await stream.receive())
    except anyio.EndOfStream:
        pass
    return b"".join(parts)
