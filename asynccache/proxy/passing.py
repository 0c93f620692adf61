"""Where caller and provider speak the same format, a request passes as it came: only its model is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from asynccache.providers.openai import OpenAIChat
from asynccache.proxy.bodies import spliced
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.providers.base import HttpCall
    from asynccache.proxy.bodies import Body
    from asynccache.proxy.deployment import Deployment
    from asynccache.request import Request

__all__ = ["chat_body", "chat_passes", "messages_body", "messages_headers", "messages_pass", "with_body"]

# What only the library's translation understands: marks, and what replies of other providers brought along.
_TRANSLATED = (
    b'"cache_control',
    b'"prompt_cache_breakpoint"',
    b'"enable_prompt_caching"',
    b'"input_schema"',
    b'"thinking_blocks"',
    b'"provider_blocks"',
    b'"citations"',
)
_CACHE_PARAMS = frozenset({"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"})
_FRAME = frozenset({"model", "messages", "tools", "stream"})
# Parameters that Anthropic's format spells as OpenAI's does: defaults that can be added to a body as it is.
_ALIKE = frozenset({"max_tokens", "service_tier", "temperature", "thinking", "top_k", "top_p"})


def chat_passes(deployment: Deployment, body: Body, request: Request) -> bool:
    """Whether the provider takes *body*, OpenAI's chat format, without a word of it being changed."""
    provider = deployment.provider
    if type(provider) is not OpenAIChat or deployment.model.defaults or deployment.model.injection_points:
        return False
    profile = provider.profile
    if body.says(*_TRANSLATED) and not deployment.model.keep_cache_control:
        return False
    if not profile.replays_reasoning and body.says(b'"reasoning_content"'):
        return False
    fields = body.fields
    if profile.params is not None and deployment.official:
        params = fields.keys() - _FRAME
        if not params <= profile.params:
            return False
    if not _CACHE_PARAMS.isdisjoint(fields):
        taken = provider.cache_rules(request).params
        if any(name in fields and name not in taken for name in _CACHE_PARAMS):
            return False
    if deployment.model.drop_params:
        request = msgspec.structs.replace(request, drop_params=True)
    return profile.adapt is None or not _adapts(profile.adapt, fields, request)


def _adapts(adapt: Any, fields: Mapping[str, Any], request: Request) -> bool:
    """Whether *adapt* would change the body: it replaces members and messages, and changes none in place."""
    messages = fields.get("messages")
    if not is_array(messages) or not all(is_object(message) for message in messages):
        return True
    probe = {**fields, "messages": list(messages)}
    adapt(probe, request)
    return (
        probe.keys() != fields.keys()
        or any(probe[name] is not fields[name] for name in fields if name != "messages")
        or any(one is not other for one, other in zip(probe["messages"], messages, strict=True))
    )


def chat_body(body: Body, model: str, *, stream: bool) -> bytes:
    """*body* for *model*; usage is asked for on every stream, whoever wants to see it."""
    changes = {"model": orjson.dumps(model)}
    if stream:
        options: Any = body.fields.get("stream_options")
        options = dict(options) if is_object(options) else {}
        if options.get("include_usage") is not True:
            changes["stream_options"] = orjson.dumps({**options, "include_usage": True})
    return spliced(body.raw, changes)


def messages_pass(deployment: Deployment, body: Body) -> bool:
    """Whether *body*, Anthropic's format, needs nothing but another model's name."""
    model = deployment.model
    if not deployment.speaks_messages or not model.defaults.keys() <= _ALIKE:
        return False
    return not model.injection_points or body.says(b'"cache_control"')


def messages_body(body: Body, model: str, defaults: Mapping[str, Any]) -> bytes:
    """*body* for *model*, with *defaults* for what it does not say."""
    missing = {name: orjson.dumps(value) for name, value in defaults.items() if name not in body.fields}
    return spliced(body.raw, {**missing, "model": orjson.dumps(model)})


def messages_headers(given: Mapping[str, str]) -> dict[str, str]:
    """The caller's headers that belong to Anthropic's format: its version and its features."""
    found: dict[str, str] = {}
    for name in ("anthropic-version", "anthropic-beta"):
        value = given.get(name)
        if value and len(value) <= 1024 and value.isascii() and value.isprintable():
            found[name] = value
    return found


def with_body(
    call: HttpCall, body: bytes, *, headers: Mapping[str, str] | None = None, path: str = ""
) -> HttpCall:
    """*call* with this body, and perhaps more headers and a longer path."""
    return msgspec.structs.replace(
        call, url=call.url + path, headers={**call.headers, **(headers or {})}, body=body
    )
