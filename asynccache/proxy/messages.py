"""``POST /v1/messages`` and ``/v1/messages/count_tokens``: Anthropic's format in and out, whoever answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import orjson
from aiohttp import web

from asynccache.pricing.estimate import estimated_usage
from asynccache.providers.openai import OpenAIChat
from asynccache.proxy.chat import asked_model, is_streamed
from asynccache.proxy.fields import check_fields
from asynccache.proxy.messages_in import arguments_of
from asynccache.proxy.messages_out import MessageVoice, WholeMessageVoice
from asynccache.proxy.passing import messages_body, messages_headers, messages_pass, with_body
from asynccache.proxy.speaking import say
from asynccache.proxy.taps import MESSAGES, StreamTap, TapStage
from asynccache.proxy.telling import id_headers
from asynccache.proxy.voices import RawVoice

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
    """How many tokens a prompt has: told by Anthropic, estimated for all who cannot say."""
    fields = body.fields
    check_fields(fields)
    asked = asked_model(fields)
    group = call.served.router.find(asked)
    deployment = next((one for one in group if one.speaks_messages), None)
    if deployment is None:
        counted = estimated_usage(
            messages=arguments_of(fields, claude=False)["messages"],
            prompt=orjson.dumps(fields.get("tools") or "").decode(),
        )
        headers = {**id_headers(call.id), "x-asynccache-estimated": "true"}
        told = orjson.dumps({"input_tokens": counted.prompt_tokens})
        return web.Response(body=told, content_type="application/json", headers=headers)
    request = deployment.plain_request(
        asked,
        call.served.order(call.id, 0, deployment, call.outcome, call.served.deadline()),
        stream=False,
        params={},
    )
    template = await deployment.template(asked, stream=False)
    sent = with_body(
        template,
        messages_body(body, request.model_id, {}),
        headers=messages_headers(call.request.headers),
        path="/count_tokens",
    )
    answer = await _read(await deployment.ask_aside(sent, request))
    return web.Response(body=answer, content_type="application/json", headers=id_headers(call.id))


async def _read(stream: Stream[bytes]) -> bytes:
    parts: list[bytes] = []
    try:
        async with stream:
            while sum(map(len, parts)) < _TALKATIVE:
                parts.append(await stream.receive())
    except anyio.EndOfStream:
        pass
    return b"".join(parts)
