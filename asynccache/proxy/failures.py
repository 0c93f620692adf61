"""An error in the caller's own dialect: its status and code, no key, no address of the provider's."""

from __future__ import annotations

import math
import re
from typing import Any, Literal, TypeAlias, final

import msgspec
import orjson

from asynccache.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncCacheError,
    ConfigurationError,
    InvalidRequestError,
    MissingAPIKeyError,
    MissingCredentialsError,
    ResponseTooLargeError,
    StreamInterruptedError,
    UnknownProviderError,
    UnsupportedParamsError,
)
from asynccache.secret import redact

__all__ = ["Dialect", "Failure", "dialect_of", "failure_of", "forget_frames"]

Dialect: TypeAlias = Literal["openai", "anthropic"]

_ADDRESS = re.compile(
    r"(?:https?://[^\s'\"<>)]+|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b|\b(?:[a-z0-9-]+\.)+(?:com|net|org|io|ai|dev|cloud|local|internal|aws)(?::\d+)?(?:/\S*)?)",
    re.IGNORECASE,
)

# The kinds of both dialects by status; openai-python and anthropic-python raise by the status alone.
_OPENAI = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@final
class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One refusal, before it has a dialect."""

    status: int
    message: str
    code: str | None = None
    retry_after: float | None = None

    @property
    def headers(self) -> dict[str, str]:
        """When to come again, where that is known."""
        if self.retry_after is None or not math.isfinite(self.retry_after):
            return {}
        return {"retry-after": str(math.ceil(self.retry_after))}

    def body(self, dialect: Dialect, call_id: str) -> bytes:
        """The JSON that goes out."""
        return orjson.dumps(self.value(dialect, call_id))

    def value(self, dialect: Dialect, call_id: str) -> dict[str, Any]:
        """The same as an object."""
        if dialect == "anthropic":
            kind = _ANTHROPIC.get(self.status, "invalid_request_error" if self.status < 500 else "api_error")
            return {"type": "error", "error": {"type": kind, "message": self.message}, "request_id": call_id}
        kind = _OPENAI.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}

    def event(self, dialect: Dialect, call_id: str) -> bytes:
        """The last event of a stream that failed."""
        head = b"event: error\n" if dialect == "anthropic" else b""
        return head + b"data: " + self.body(dialect, call_id) + b"\n\n"


def dialect_of(path: str) -> Dialect:
    """The words that who asks at *path* understands, also where nothing is served there."""
    return "anthropic" if path.startswith("/v1/messages") else "openai"


def forget_frames(error: BaseException) -> None:
    """Of an error that is dealt with, keep what it says, not where it came through.

    The stream that broke keeps its error, whose frames keep the stream: circles of megabytes under load,
    which only the rarest of collections found.
    """
    seen: list[BaseException] = []
    ahead: list[BaseException | None] = [error]
    while ahead:
        found = ahead.pop()
        if found is not None and found not in seen:
            seen.append(found)
            found.__traceback__ = None
            ahead += (found.__cause__, found.__context__)


def failure_of(error: AsyncCacheError) -> Failure:
    """What a caller is told of *error*."""
    if isinstance(error, APIStatusError):
        status = error.status_code or 500
        return Failure(
            status=status if 400 <= status < 600 else 502,
            message=_told(error.message),
            code=error.code,
            retry_after=error.retry_after,
        )
    if isinstance(error, APITimeoutError):
        return Failure(
            status=504, message=f"the model's provider took too long ({error.phase})", code="timeout"
        )
    if isinstance(error, StreamInterruptedError):
        return Failure(status=502, message="the answer broke off before its end", code="stream_interrupted")
    if isinstance(error, ResponseTooLargeError):
        return Failure(status=502, message="the answer is too large", code="response_too_large")
    if isinstance(error, APIConnectionError):
        return Failure(
            status=502, message="no answer of the model's provider could be read", code="bad_gateway"
        )
    if isinstance(error, (MissingAPIKeyError, MissingCredentialsError, UnknownProviderError)):
        return Failure(
            status=500,
            message="this model is not set up rightly; ask who runs the proxy",
            code="not_configured",
        )
    if isinstance(error, (InvalidRequestError, UnsupportedParamsError)):
        return Failure(status=400, message=_told(error.message), code=error.code or "invalid_request")
    if isinstance(error, ConfigurationError):
        return Failure(status=500, message="the proxy cannot make this call", code="internal_error")
    return Failure(status=500, message="the proxy failed", code="internal_error")


def _told(message: str) -> str:
    return _ADDRESS.sub("(address)", redact(message))
