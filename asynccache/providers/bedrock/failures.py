"""What Bedrock's error types stand for, over HTTP and inside a stream: a table, and the messages that say more.

Facts: https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html and the `exceptions` of the
runtime's model (botocore, bedrock-runtime/2023-09-30).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from asynccache.errors import APIStatusError, BadRequestError
from asynccache.providers.statuses import status_error
from asynccache.secret import redact
from asynccache.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CACHING_REFUSED", "failure_of_answer", "failure_of_type", "is_expired", "skew_told"]

CACHING_REFUSED = "prompt_caching_unsupported"
"""The code of the error for cache marks on a model that takes none."""

# The HTTP status of each type; those inside a stream have no status of their own.
_STATUSES = {
    "ValidationException": 400,
    "ServiceQuotaExceededException": 400,
    "ConflictException": 409,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "InternalServerException": 500,
    "InternalFailure": 500,
    "ServiceUnavailableException": 503,
    "ServiceUnavailable": 503,
}
# Types that say that the keys are wrong; they come with status 403.
_BAD_KEYS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})

# Kinds of error that only the message tells, by the code that `statuses.py` knows them by.
_PHRASES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"input tokens exceeded|too many input tokens|number of input tokens exceeds", re.IGNORECASE
        ),
        "context_length_exceeded",
    ),
    (re.compile(r"blocked by content filtering policy", re.IGNORECASE), "content_policy_violation"),
)
_NO_CACHING = re.compile(r"did not allow prompt caching", re.IGNORECASE)
_SKEW = re.compile(r"signature (?:expired|not yet current)", re.IGNORECASE)


def failure_of_answer(status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    """The error that an HTTP answer stands for; its type is in a header, or in the body."""
    try:
        told = orjson.loads(body.strip() or b"null")
    except orjson.JSONDecodeError:
        text = " ".join(body[:2048].decode("utf-8", "replace").split())
        return status_error(status, f"status {status}: {text}" if text else "", headers=headers)
    told = told if is_object(told) else {"message": told}
    name = headers.get("x-amzn-errortype") or told.get("__type") or told.get("code") or ""
    kind = str(name).partition(":")[0].rpartition("#")[2]
    return _failure(kind, status, told, headers)


def failure_of_type(kind: str, payload: bytes, headers: Mapping[str, str] | None = None) -> APIStatusError:
    """The error that an exception inside a stream stands for; *kind* is its `:exception-type`."""
    try:
        told = orjson.loads(payload.strip() or b"{}")
    except orjson.JSONDecodeError:
        told = {"message": payload[:2048].decode("utf-8", "replace")}
    return _failure(kind, None, told if is_object(told) else {"message": told}, headers)


def skew_told(error: APIStatusError) -> bool:
    """Whether AWS says that our clock is wrong."""
    return bool(_SKEW.search(error.message))


def is_expired(error: APIStatusError) -> bool:
    """Whether AWS says that the keys have expired."""
    return error.code in _EXPIRED


def _failure(
    kind: str, status: int | None, told: Mapping[str, Any], headers: Mapping[str, str] | None
) -> APIStatusError:
    kind = kind[:1].upper() + kind[1:]  # a stream writes throttlingException
    message = str(told.get("message") or told.get("Message") or told.get("originalMessage") or "")
    message = message or (f"{kind} without a message" if kind else "")
    original = told.get("originalStatusCode")
    if status is None:
        status = _STATUSES.get(kind, 403 if kind in _BAD_KEYS else 500)
    if status == 424:  # the model's own failure, told by the model's own status
        status = original if isinstance(original, int) and original >= 400 else 500
    if status == 403 and _NO_CACHING.search(message):
        return _caching_refused(message, headers)
    if _SKEW.search(message):
        message = f"the clock of this machine is off by more than AWS allows (five minutes), the next request makes good for it: {message}"
    if kind in _EXPIRED:
        message = f"these AWS keys have expired; those of a profile are renewed for the next request, others are yours to renew: {message}"
    error = status_error(status, message, code=_class_code(kind, message), headers=headers)
    error.code = kind or error.code
    return error


def _class_code(kind: str, message: str) -> str | None:
    if kind in _BAD_KEYS:
        return "authentication_error"
    return next((code for pattern, code in _PHRASES if pattern.search(message)), None)


def _caching_refused(message: str, headers: Mapping[str, str] | None) -> APIStatusError:
    """A 403 that says nothing of the keys: the model takes no cache marks."""
    plain = status_error(403, message, headers=headers)
    return BadRequestError(
        f"this model takes no cache marks (prompt caching); send the request without them: {redact(message)[:300]}",
        status_code=403,
        code=CACHING_REFUSED,
        request_id=plain.request_id,
    )
