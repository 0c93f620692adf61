"""Every address that is served, in one table; whatever is not in it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from asynccache.proxy.chat import chat_completions
from asynccache.proxy.looking import show_link, show_metrics, show_page
from asynccache.proxy.messages import count_tokens, messages
from asynccache.proxy.models import model_entry, model_infos, model_list
from asynccache.proxy.openapi import document
from asynccache.proxy.responses import responses
from asynccache.proxy.route import Route

if TYPE_CHECKING:
    from asynccache.proxy.speaking import Call

__all__ = ["ROUTES", "route_of"]


def _alive(_call: Call, _wanted: str | None) -> bytes:
    return b'"I\'m alive!"'


def _ready(_call: Call, _wanted: str | None) -> bytes:
    return b'{"status":"healthy"}'


def _ok(_call: Call, _wanted: str | None) -> bytes:
    return b"ok"


def _models(call: Call, _wanted: str | None) -> bytes:
    return model_list(call.served, call.key)


def _model(call: Call, wanted: str | None) -> bytes:
    return model_entry(call.served, wanted or "", call.key)


def _infos(call: Call, wanted: str | None) -> bytes:
    return model_infos(call.served, wanted, call.key)


def _document(_call: Call, _wanted: str | None) -> bytes:
    return document(ROUTES)


_CHAT = Route(summary="A chat completion, in OpenAI's format.", body=chat_completions)
_RESPONSES = Route(summary="A response, in OpenAI's format, of a model of OpenAI's.", body=responses)
_MODELS = Route(summary="The names that are served, and that the key may ask for.", answer=_models)
_MODEL = Route(summary="One of the names that are served.", answer=_model)
_INFO = Route(summary="Each deployment's prices and abilities, in LiteLLM's shape.", answer=_infos)
_ALIVE = Route(summary="Whether the process lives.", answer=_alive)

ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "/v1/chat/completions"): _CHAT,
    ("POST", "/chat/completions"): _CHAT,
    ("POST", "/v1/messages"): Route(summary="A message, in Anthropic's format.", body=messages),
    ("POST", "/v1/messages/count_tokens"): Route(
        summary="How many tokens a prompt has, in Anthropic's format.", body=count_tokens, spends=False
    ),
    ("POST", "/v1/responses"): _RESPONSES,
    ("POST", "/responses"): _RESPONSES,
    ("GET", "/v1/models"): _MODELS,
    ("GET", "/models"): _MODELS,
    ("GET", "/v1/models/{model}"): _MODEL,
    ("GET", "/models/{model}"): _MODEL,
    ("GET", "/v1/model/info"): _INFO,
    ("GET", "/model/info"): _INFO,
    ("GET", "/health/liveliness"): _ALIVE,
    ("GET", "/health/liveness"): _ALIVE,
    ("GET", "/health/readiness"): Route(summary="Whether calls are taken.", answer=_ready),
    ("GET", "/healthz"): Route(summary="Whether anybody is here.", answer=_ok, open=True, media="text/plain"),
    ("GET", "/metrics"): Route(
        summary="What goes on, for Prometheus.", look=show_metrics, media="text/plain"
    ),
    ("GET", "/ui"): Route(summary="What goes on, as a page.", look=show_page, passes=True, media="text/html"),
    ("GET", "/ui/link"): Route(
        summary="A link to the page that works once.", look=show_link, media="text/plain"
    ),
    ("GET", "/openapi.json"): Route(summary="This document.", answer=_document),
}


def route_of(method: str, path: str) -> tuple[Route | None, str | None]:
    """The route at an address, and the name that stands in the address where one does; a name may hold slashes.

    HEAD asks as GET does, but not for what a look changes: a link that works once.
    """
    if method == "HEAD":
        found, name = route_of("GET", path)
        return (found, name) if found is not None and found.look is None else (None, None)
    found = ROUTES.get((method, path))
    if found is not None:
        return found, None
    base, _, name = path.partition("/models/")
    if not name or base not in {"", "/v1"}:
        return None, None
    return ROUTES.get((method, f"{base}/models/{{model}}")), unquote(name)
