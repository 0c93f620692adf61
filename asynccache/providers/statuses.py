"""An HTTP status, a code and a message to the error that they stand for: one table for all providers."""

from __future__ import annotations

import math
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import orjson

from asynccache.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    BillingError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    RequestTooLargeError,
)
from asynccache.secret import redact
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["error_from_body", "retry_after", "status_error"]

_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: BillingError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: BadRequestError,
    408: InternalServerError,
    409: BadRequestError,
    413: RequestTooLargeError,
    422: BadRequestError,
    429: RateLimitError,
    503: OverloadedError,
    529: OverloadedError,
}

# Codes and types that say more than the status beside them; facts/wire.md §1.8, §2.6, §3.7, §4.4.
_BY_CODE: dict[str, type[APIStatusError]] = {
    "insufficient_quota": BillingError,
    "exceeded_current_quota_error": BillingError,
    "Arrearage": BillingError,
    "billing_error": BillingError,
    "billing_hard_limit_reached": BillingError,
    "enforced_spend_limit_reached": BillingError,
    "contract_spend_limit_reached": BillingError,
    "context_length_exceeded": ContextWindowExceededError,
    "content_policy_violation": ContentPolicyViolationError,
    "content_filter": ContentPolicyViolationError,
    "data_inspection_failed": ContentPolicyViolationError,
    "DataInspectionFailed": ContentPolicyViolationError,
    "server_is_overloaded": OverloadedError,
    "overloaded_error": OverloadedError,
    "slow_down": OverloadedError,
    "model_not_found": NotFoundError,
    "not_found_error": NotFoundError,
    "invalid_api_key": AuthenticationError,
    "authentication_error": AuthenticationError,
    "permission_error": PermissionDeniedError,
    "request_too_large": RequestTooLargeError,
    "rate_limit_error": RateLimitError,
    "rate_limit_exceeded": RateLimitError,
}

# The status that a code stands for where an error comes inside an answer of status 200.
_STATUS_OF_CODE: dict[str, int] = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_policy_violation": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "insufficient_quota": 429,
    "exceeded_current_quota_error": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "internal_server_error": 500,
    "timeout_error": 504,
    "server_is_overloaded": 503,
    "overloaded_error": 529,
}

# The same for words that servers spell each in their own way, by their letters alone: gRPC's (Google, Databricks),
# the names of OpenAI's exceptions (vLLM, SGLang), DashScope's.
_STATUS_OF_LETTERS: dict[str, int] = {
    "badrequest": 400,
    "badrequesterror": 400,
    "failedprecondition": 400,
    "invalidargument": 400,
    "invalidparameter": 400,
    "datainspectionfailed": 400,
    "authenticationerror": 401,
    "invalidapikey": 401,
    "notauthenticated": 401,
    "unauthenticated": 401,
    "unauthorized": 401,
    "arrearage": 402,
    "accessdenied": 403,
    "forbidden": 403,
    "permissiondenied": 403,
    "permissiondeniederror": 403,
    "modelnotfound": 404,
    "notfound": 404,
    "notfounderror": 404,
    "ratelimiterror": 429,
    "requestlimitexceeded": 429,
    "resourceexhausted": 429,
    "throttling": 429,
    "throttlingallocationquota": 429,
    "throttlingratequota": 429,
    "toomanyrequests": 429,
    "serviceunavailable": 503,
    "unavailable": 503,
    "deadlineexceeded": 504,
}
_NOT_LETTERS = re.compile("[^a-z]")

_TOO_LONG = (
    "prompt is too long",
    "input is too long",
    "maximum context length",
    "exceeds the context window",
    "context_length_exceeded",
    "context window",
)
_MAX_MESSAGE = 512


def status_error(
    status: int | None,
    message: str,
    *,
    code: str | None = None,
    error_type: str | None = None,
    headers: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> APIStatusError:
    """The error for a provider's refusal.

    Args:
        status: the HTTP status; None or 200 when the error stood inside an answer: then the words decide.
        message: the provider's own words; keys in them are hidden, and they are cut to 512 characters.
        code: the provider's code for it.
        error_type: the provider's wider class for it, asked after *code*.
        headers: the answer's, names in lower case.
        request_id: the provider's id of the request, where the body names it.
    """
    headers = headers or {}
    if status is None or status < 400:
        status = _status_of(code) or _status_of(error_type) or _status_of(message) or 500
    cls = _class_of(status, code, error_type, message)
    error = cls(
        redact(message.strip())[:_MAX_MESSAGE]
        or f"the provider answered with status {status} and no message",
        status_code=status,
        code=code or error_type,
        request_id=request_id or find_request_id(headers),
        retry_after=retry_after(headers),
    )
    should = headers.get("x-should-retry")
    error.should_retry = {"true": True, "false": False}.get(should) if should else None
    return error


def _status_of(word: str | None) -> int | None:
    """The status that a code or a type stands for; None where that is not known."""
    if not word:
        return None
    if word.isdecimal():
        return int(word) if 400 <= int(word[:4]) < 600 and len(word) == 3 else None
    return _STATUS_OF_CODE.get(word) or _STATUS_OF_LETTERS.get(_NOT_LETTERS.sub("", word.lower()))


def _class_of(status: int, code: str | None, error_type: str | None, message: str) -> type[APIStatusError]:
    for word in (code, error_type):
        if word and (cls := _BY_CODE.get(word)):
            return cls
    if status in {400, 413, 422} and any(phrase in message.lower() for phrase in _TOO_LONG):
        return ContextWindowExceededError
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return InternalServerError if status >= 500 else BadRequestError


def find_request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's id of a request, from the headers of its answer; names in lower case."""
    for name in ("x-request-id", "request-id", "x-amzn-requestid", "x-ds-trace-id"):
        if value := headers.get(name):
            return value
    return None


def error_from_body(status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    """The error of an answer in OpenAI's or a like dialect; HTML and plain text keep their first words."""
    try:
        parsed: Any = orjson.loads(body.removeprefix(b"\xef\xbb\xbf").strip() or b"null")
    except orjson.JSONDecodeError:
        text = " ".join(body[:2048].decode("utf-8", "replace").split())
        return status_error(status, f"status {status}: {text}" if text else "", headers=headers)
    if is_array(parsed) and parsed:
        parsed = parsed[0]
    if is_object(parsed):
        inner = parsed.get("error")
        holder = parsed if inner is None else inner
        if isinstance(inner, str) and "code" in parsed:  # xAI
            holder = {"message": inner, "code": parsed["code"]}
        return error_from_object(status, holder, headers, request_id=_text(parsed.get("request_id")))
    return status_error(status, "" if parsed is None else str(parsed), headers=headers)


def error_from_object(
    status: int | None, error: Any, headers: Mapping[str, str] | None = None, *, request_id: str | None = None
) -> APIStatusError:
    """The error that an ``error`` member stands for, whatever its dialect: an object, a text, a number."""
    if not is_object(error):
        return status_error(status, str(error), headers=headers, request_id=request_id)
    details = error.get("details")
    code = error.get("code") or error.get("error_code")
    if is_object(details) and details.get("error_code"):
        code = details["error_code"]
    if isinstance(code, int) and (status is None or status < 400):
        status = code if 400 <= code < 600 else status
    message = _first(error, _MESSAGES)
    metadata = error.get("metadata")
    cause = _text(metadata.get("raw")) if is_object(metadata) else None
    if message and cause and cause not in message:
        message = f"{message}: {cause}"  # OpenRouter: what the provider behind it said
    return status_error(
        status,
        message or (orjson.dumps(dict(error)).decode() if error else ""),
        code=None if code is None else str(code),
        error_type=_first(error, _TYPES),
        headers=headers,
        request_id=request_id,
    )


_MESSAGES = ("message", "Message", "detail", "msg", "errorMessage", "error_message", "error_msg")
_TYPES = ("type", "status")  # Google's "status" is a word


def _first(holder: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((text for name in names if (text := _text(holder.get(name)))), None)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return orjson.dumps(value).decode()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``retry-after-ms``, or ``retry-after`` in seconds or as a date; None if neither is one.

    Negative, not finite or unreadable values, and dates gone by, count as not said.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if not value:
            continue
        try:
            seconds = float(value) / unit
        except ValueError:
            seconds = _until(value)
        if math.isfinite(seconds) and seconds > 0:
            return seconds
    return None


def _until(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (TypeError, ValueError):
        return -1.0
