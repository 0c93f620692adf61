"""An error inside an answer of status 200 is found in whatever dialect it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynccache.providers.statuses import error_from_object, status_error
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.errors import APIStatusError

__all__ = ["find_error"]

# Fields that only an error has: Databricks, FastAPI's servers, GraphQL-like gateways, AWS Lambda.
_ONLY_ERRORS = ("error_code", "error_message", "error_msg", "detail", "errors", "errorMessage")
# What may stand beside the message of an error that has no code.
_BESIDE_MESSAGE = frozenset({"message", "msg", "request_id", "requestId", "status", "timestamp", "path"})
# MiniMax's status_code; platform.minimax.io, error codes.
_MINIMAX = {1002: 429, 1004: 401, 1008: 402, 1039: 429, 2013: 400, 2049: 401}
_UNPROCESSABLE = 422  # FastAPI tells one as a list of details


def find_error(value: Any, event: str = "") -> APIStatusError | None:
    """The error that *value*, an answer or an event of one without choices, stands for; None for anything else.

    Args:
        value: its JSON, parsed.
        event: the name of the event that it came in.
    """
    if is_array(value):  # Google puts its errors into a list
        value = value[0] if value else None
    if not is_object(value):
        return None
    request_id = value.get("request_id")
    request_id = request_id if isinstance(request_id, str) else None
    if value.get("error"):
        return error_from_object(None, value["error"], request_id=request_id)
    base = value.get("base_resp")
    if is_object(base) and base.get("status_code"):
        code = base["status_code"]
        status = _MINIMAX.get(code) if isinstance(code, int) else None
        return status_error(status, str(base.get("status_msg") or ""), code=str(code))
    if event != "error" and not _is_error(value):
        return None
    errors = value.get("errors")
    if is_array(errors) and errors:
        return error_from_object(None, errors[0], request_id=request_id)
    status = _UNPROCESSABLE if is_array(value.get("detail")) else None
    return error_from_object(status, value, request_id=request_id)


def _is_error(value: Mapping[str, Any]) -> bool:
    if value.get("object") == "error" or value.get("type") == "error":
        return True
    if value.get("status") == "error" or value.get("success") is False:
        return True
    if any(value.get(name) for name in _ONLY_ERRORS):
        return True
    message = value.get("message") or value.get("msg")
    return isinstance(message, str) and ("code" in value or value.keys() <= _BESIDE_MESSAGE)
