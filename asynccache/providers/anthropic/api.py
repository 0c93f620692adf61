"""Anthropic's own API as a provider: addresses, keys, headers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, final

import msgspec

from asynccache.providers.access import caller_headers, find_base, find_key
from asynccache.providers.anthropic.answer import AnswerDecoder
from asynccache.providers.anthropic.encode import encode_body
from asynccache.providers.anthropic.params import betas, check_params
from asynccache.providers.anthropic.rules import rules_of
from asynccache.providers.base import CacheRules, HttpCall, json_body
from asynccache.providers.statuses import error_from_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.errors import APIStatusError
    from asynccache.events import Event
    from asynccache.request import Request
    from asynccache.stream import Head, Machine

__all__ = ["Anthropic"]

_BASE = "https://api.anthropic.com"
_BASE_VARIABLES = ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE")
_KEY, _TOKEN = "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"
# The version that every gateway and every model takes; facts/wire.md §1.1.
_VERSION = "2023-06-01"


@final
class Anthropic(msgspec.Struct, frozen=True):
    """Anthropic's Messages API, and every server that speaks it through ``api_base``."""

    name: str = "anthropic"

    def cache_rules(self, request: Request) -> CacheRules:
        """The rules of the model that *request* names."""
        return rules_of(request.model_id)

    def check(self, request: Request) -> Request:
        """*request* without the parameters that ``drop_params`` lets go.

        Raises:
            UnsupportedParamsError: a parameter that Anthropic does not have.
            MissingAPIKeyError: there is no key.
        """
        find_key(request, (_KEY, _TOKEN), _base(request))
        return check_params(request)

    def encode(self, request: Request) -> HttpCall:
        """*request* as a POST to ``/v1/messages``, without its key."""
        body = {"model": request.model_id, **encode_body(request)}
        if request.stream:
            body["stream"] = True
        body.update(request.extra_body)
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if request.stream else "application/json",
            "anthropic-version": _VERSION,
            **caller_headers(request),
        }
        if features := betas(request):
            headers["anthropic-beta"] = ",".join(features)
        return HttpCall(url=_base(request) + "/v1/messages", headers=headers, body=json_body(body))

    async def authorize(self, call: HttpCall, request: Request) -> HttpCall:
        """*call* with the key; a token of the environment goes as a bearer."""
        key = find_key(request, (_KEY, _TOKEN), call.url)
        if request.reach.api_key is None and _KEY not in os.environ:
            credential = {"authorization": f"Bearer {key.reveal()}"}
        else:
            credential = {"x-api-key": key.reveal()}
        headers = {**credential, **call.headers}  # the caller's own stands
        return HttpCall(url=call.url, headers=headers, body=call.body)

    def decoder(self, request: Request, head: Head) -> Machine[bytes, Event]:
        """A machine for a stream or a whole body, as it turns out."""
        return AnswerDecoder(head, streamed=request.stream)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that an answer with *status* stands for."""
        return error_from_body(status, headers, body)


def _base(request: Request) -> str:
    return find_base(request, _BASE_VARIABLES, _BASE).removesuffix("/v1")
