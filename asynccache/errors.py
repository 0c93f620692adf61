"""Every error a caller may catch, drawn as a tree; the first split is whose fault it was.

::

    AsyncCacheError
    ├─ ConfigurationError              you: nothing was sent
    │  ├─ InvalidRequestError
    │  ├─ MissingAPIKeyError
    │  ├─ MissingCredentialsError
    │  ├─ UnknownProviderError
    │  ├─ UnsupportedParamsError
    │  └─ WrongEventLoopError
    ├─ APIConnectionError              the wire: no complete answer came
    │  ├─ APITimeoutError              .phase: connect | pool | first_event | idle | total
    │  ├─ StreamInterruptedError       .completion: what had been said
    │  ├─ InvalidResponseError
    │  ├─ ResponseTooLargeError
    │  └─ RedirectRefusedError
    └─ APIStatusError                  they: the provider refused or failed
       ├─ BadRequestError              400, 409, 422
       │  ├─ ContextWindowExceededError
       │  └─ ContentPolicyViolationError
       ├─ AuthenticationError          401
       ├─ BillingError                 402, exhausted quota, spend caps
       ├─ PermissionDeniedError        403
       ├─ NotFoundError                404
       ├─ RequestTooLargeError         413
       ├─ RateLimitError               429
       ├─ InternalServerError          500 and other 5xx
       └─ OverloadedError              503, 529
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from asynccache.reply import Completion, Usage

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncCacheError",
    "AuthenticationError",
    "BadRequestError",
    "BillingError",
    "ConfigurationError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "InternalServerError",
    "InvalidRequestError",
    "InvalidResponseError",
    "MissingAPIKeyError",
    "MissingCredentialsError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "RateLimitError",
    "RedirectRefusedError",
    "RequestTooLargeError",
    "ResponseTooLargeError",
    "StreamInterruptedError",
    "TimeoutPhase",
    "UnknownProviderError",
    "UnsupportedParamsError",
    "WrongEventLoopError",
]

TimeoutPhase = Literal["connect", "pool", "first_event", "idle", "total"]


class AsyncCacheError(Exception):
    """The root of all errors of this library; never holds a key.

    Attributes:
        message: one line that names the value and the remedy.
        provider: the provider asked, such as ``"anthropic"``; None before one was chosen.
        model: the model asked, as the caller wrote it.
        status_code: the HTTP status, or the one an in-band error stands for; None if there was none.
        code: the provider's own code or type for the error.
        request_id: the provider's id of the request, for its support.
        retry_after: seconds the provider asked to wait.
        usage: what the provider had told about tokens before the error, if anything.
    """

    provider: str | None
    model: str | None

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.status_code = status_code
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.usage = usage

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle and copy need: without the constructor, whose arguments may go by name alone."""
        return _revived, (type(self), self.args), self.__dict__


def _revived(cls: type[AsyncCacheError], args: tuple[Any, ...]) -> AsyncCacheError:
    return cls.__new__(cls, *args)


class ConfigurationError(AsyncCacheError):
    """The call cannot be made as written; nothing was sent."""


class InvalidRequestError(ConfigurationError):
    """A value of the request has the wrong shape; the message names its path."""


class MissingAPIKeyError(ConfigurationError):
    """No key was given and the environment has none; the message names the variable."""


class MissingCredentialsError(ConfigurationError):
    """No AWS credentials were found; the message names the remedies."""


class UnknownProviderError(ConfigurationError):
    """No provider has that name, or no known model has that bare name."""


class UnsupportedParamsError(ConfigurationError):
    """The provider has no such parameter; ``drop_params=True`` leaves it out."""


class WrongEventLoopError(ConfigurationError):
    """A client was used from an event loop other than the one that it belongs to."""


class APIConnectionError(AsyncCacheError):
    """No complete answer came over the wire."""


class APITimeoutError(APIConnectionError):
    """A wait reached its limit; ``phase`` says which."""

    def __init__(self, message: str, *, phase: TimeoutPhase, provider: str | None = None) -> None:
        super().__init__(message, provider=provider)
        self.phase: TimeoutPhase = phase


class StreamInterruptedError(APIConnectionError):
    """The answer ended before its end.

    Attributes:
        completion: what had been said until then; None when nothing had.
    """

    completion: Completion | None = None

    @property
    def partial_text(self) -> str:
        """The text received before the cut, "" if none."""
        if self.completion is None or not self.completion.choices:
            return ""
        return self.completion.choices[0].message.content or ""


class InvalidResponseError(APIConnectionError):
    """The answer is not of the provider's wire format."""


class ResponseTooLargeError(APIConnectionError):
    """The answer, or one event of it, is over the size limit."""


class RedirectRefusedError(APIConnectionError):
    """The server answered with a redirect; keys and prompts are never sent to a second place."""


class APIStatusError(AsyncCacheError):
    """The provider answered with an error, by status or within the answer.

    Attributes:
        should_retry: what the provider says of trying again (``x-should-retry``); None if it does not say.
    """

    should_retry: bool | None = None


class BadRequestError(APIStatusError):
    """The provider says that the request is wrong (400, 409, 422)."""


class ContextWindowExceededError(BadRequestError):
    """The prompt is longer than the model's context window."""


class ContentPolicyViolationError(BadRequestError):
    """The provider's content policy refuses the request."""


class AuthenticationError(APIStatusError):
    """The key is wrong, expired or missing (401)."""


class BillingError(APIStatusError):
    """The account cannot pay: no balance, quota exhausted, spend cap reached. Retrying does not help."""


class PermissionDeniedError(APIStatusError):
    """The key is valid but may not do this (403)."""


class NotFoundError(APIStatusError):
    """The provider knows no such model or address (404)."""


class RequestTooLargeError(APIStatusError):
    """The request body is over the provider's limit (413)."""


class RateLimitError(APIStatusError):
    """Too many requests or tokens (429)."""


class InternalServerError(APIStatusError):
    """The provider failed (5xx)."""


class OverloadedError(InternalServerError):
    """The provider has no capacity now (503, 529)."""
