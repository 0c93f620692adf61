"""An OpenAPI document of what is served, drawn from the table of routes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.proxy.route import Route

__all__ = ["document"]

_JSON = "application/json"
_REFUSED = {"content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}


def document(routes: Mapping[tuple[str, str], Route]) -> bytes:
    """The document of *routes*, by method and path; it names no address and no version of any software."""
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), route in routes.items():
        described: dict[str, Any] = {
            "summary": route.summary,
            "operationId": re.sub(r"\W+", "_", method.lower() + path).rstrip("_"),
            "responses": {
                **_responses(route.media, streams=route.body is not None, keyed=not route.open),
                **_named(path),
            },
        }
        if route.open:
            described["security"] = []
        if route.body is not None:
            schema = {"$ref": f"#/components/schemas/{_schema_of(path)}"}
            described["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
        elif path.endswith("{model}"):
            described["parameters"] = [
                {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
            ]
        elif path.endswith("model/info"):
            described["parameters"] = [
                {"name": "litellm_model_id", "in": "query", "required": False, "schema": {"type": "string"}}
            ]
        paths.setdefault(path, {})[method.lower()] = described
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "asynccache proxy", "version": "1"},
            "security": [{"bearer": []}, {"apiKey": []}],
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                },
                "schemas": _SCHEMAS,
            },
        }
    )


def _responses(media: str, *, streams: bool, keyed: bool) -> dict[str, Any]:
    content: dict[str, Any] = {media: {"schema": {"type": "string"} if media == "text/plain" else {}}}
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    found: dict[str, Any] = {"200": {"description": "The answer.", "content": content}}
    statuses = {"400": "The request is wrong."} if streams else {}
    if keyed:
        statuses |= {
            "401": "The key is missing or wrong.",
            "403": "Web pages may not ask, or not this key for this model.",
        }
    if streams:
        statuses |= {
            "402": "The budget of the key has not so much left.",
            "404": "The model is not served.",
            "408": "The body came too slowly.",
            "413": "The body is too large.",
            "429": "The provider asks to wait, or a limit of the key is reached.",
            "default": "The provider's error, in the caller's dialect.",
        }
    found.update({status: {"description": what, **_REFUSED} for status, what in statuses.items()})
    return found


def _named(path: str) -> dict[str, Any]:
    """What answers a name that is not served, at the addresses that take one without a body."""
    if path.endswith("{model}"):
        return {"404": {"description": "The model is not served.", **_REFUSED}}
    if path.endswith("model/info"):
        return {"400": {"description": "No deployment has this id.", **_REFUSED}}
    return {}


def _schema_of(path: str) -> str:
    if path.endswith("/count_tokens"):
        return "CountTokens"
    return {"messages": "Messages", "responses": "Responses"}.get(path.rpartition("/")[2], "ChatCompletions")


_MODEL = {"type": "string", "minLength": 1}
_LIST = {"type": "array", "minItems": 1, "items": {"type": "object"}}
_STREAM = {"type": ["boolean", "null"]}
_SCHEMAS: dict[str, Any] = {
    "ChatCompletions": {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {"model": _MODEL, "messages": _LIST, "stream": _STREAM},
    },
    "Messages": {
        "type": "object",
        "required": ["model", "messages", "max_tokens"],
        "properties": {
            "model": _MODEL,
            "messages": _LIST,
            "stream": _STREAM,
            "max_tokens": {"type": "integer", "minimum": 0},
        },
    },
    "CountTokens": {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {"model": _MODEL, "messages": _LIST},
    },
    "Responses": {
        "type": "object",
        "required": ["model"],
        "properties": {"model": _MODEL, "input": {}, "stream": _STREAM},
    },
    "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "object"}}},
}
