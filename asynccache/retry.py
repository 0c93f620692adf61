"""Stage: a call that failed before its first content is tried again, no sooner than the provider asks."""

from __future__ import annotations

import logging
import math
import random
import ssl
import time
from typing import TYPE_CHECKING, final

import anyio
import msgspec

from asynccache.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncCacheError,
    AuthenticationError,
    BillingError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RedirectRefusedError,
    RequestTooLargeError,
    ResponseTooLargeError,
)
from asynccache.events import ReportedUsage, Started, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynccache.events import Event
    from asynccache.pipeline import CallNext
    from asynccache.request import Request
    from asynccache.stream import Stream

__all__ = ["Retry", "is_worth_another", "retry"]

_logger = logging.getLogger("asynccache")

_PROLOGUE = frozenset({Started, ReportedUsage, Unknown})  # what may come before the model has said anything
_PASSING = frozenset({408, 409, 429})  # beside 5xx, as the SDKs of OpenAI and Anthropic have it
_FINAL = frozenset({400, 401, 402, 403, 404, 413, 422})  # whatever the provider says of trying again
_FINAL_ERRORS = (
    AuthenticationError,
    BillingError,  # a quota that is used up and a spend cap are answered with 429
    ContentPolicyViolationError,
    ContextWindowExceededError,
    NotFoundError,
    PermissionDeniedError,
    RequestTooLargeError,
)
_IN_HAND = 10.0  # retries that a `share` allows at once
_SAME_AGAIN = (InvalidResponseError, RedirectRefusedError, ResponseTooLargeError)


@final
class Retry:
    """Tries ``1 + request.max_retries`` times in all, then lets the last error out.

    It waits until the first content of an answer is there, and never repeats anything after that.

    Args:
        first_wait: seconds before the second attempt; each further wait is twice as long.
        longest_wait: seconds that a wait of our own never exceeds.
        longest_asked: seconds that a provider may ask for; more is given up at once.
        jitter: a number from 0 to 1 for each wait, which shortens it by up to one half.
        share: retries are at most this share of all calls through this object, and ten more: a provider in
            trouble is not asked three times as often. None: only `max_retries` limits them.
    """

    __name__ = "retry"

    def __init__(
        self,
        *,
        first_wait: float = 0.5,
        longest_wait: float = 8.0,
        longest_asked: float = 60.0,
        jitter: Callable[[], float] = random.random,
        share: float | None = None,
    ) -> None:
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._longest_asked = longest_asked
        self._jitter = jitter
        self._share = share
        self._left = _IN_HAND  # retries that the share still allows

    def __repr__(self) -> str:
        return "retry"

    async def __call__(self, request: Request, call_next: CallNext, /) -> Stream[Event]:
        """The answer of the first attempt that brings content."""
        failures = 0
        if self._share is not None:
            self._left = min(_IN_HAND, self._left + self._share)
        attempt = request
        while True:
            try:
                return await _begin(attempt, call_next)
            except AsyncCacheError as error:
                wait = self.wait_after(error, failures)
                if failures >= request.max_retries or wait is None or _is_too_late(request, wait):
                    raise
                if not self._may_retry():
                    raise
                failures += 1
                _logger.info(
                    "%s: %s (status %s); attempt %d of %d follows in %.2f s",
                    request.model,
                    type(error).__name__,
                    error.status_code,
                    failures + 1,
                    request.max_retries + 1,
                    wait,
                )
            await anyio.sleep(wait)
            attempt = msgspec.structs.replace(request, attempt=request.attempt + failures)

    def _may_retry(self) -> bool:
        if self._share is None:
            return True
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def wait_after(self, error: AsyncCacheError, failures: int) -> float | None:
        """Seconds to wait after *error*, when *failures* attempts failed before it; None to give up."""
        if not is_worth_another(error):
            return None
        asked = error.retry_after
        if asked is not None and math.isfinite(asked) and asked > 0:
            return asked if asked <= self._longest_asked else None
        wait: float = min(self._longest_wait, self._first_wait * 2.0**failures)
        return wait * (1.0 - 0.5 * self._jitter())


retry: Retry = Retry()
"""The retry stage with its usual waits."""


def is_worth_another(error: AsyncCacheError) -> bool:
    """Whether the same request may succeed where it met *error*."""
    if isinstance(error, APIStatusError):
        return _status_may_pass(error)
    if not isinstance(error, APIConnectionError) or isinstance(error, _SAME_AGAIN):
        return False
    if isinstance(error, APITimeoutError):
        return error.phase != "total"
    return not isinstance(error.__cause__, ssl.SSLError)  # a certificate stays as wrong as it is


def _status_may_pass(error: APIStatusError) -> bool:
    status = error.status_code or 0
    if isinstance(error, _FINAL_ERRORS):
        return False
    passing = isinstance(error, (RateLimitError, InternalServerError)) or status in _PASSING
    if status in _FINAL and not passing:
        return False
    if error.should_retry is not None:
        return error.should_retry
    return passing or status >= 500


async def _begin(request: Request, call_next: CallNext) -> Stream[Event]:
    """The answer with its first content ready to be received.

    Raises:
        AsyncCacheError: it failed before.
    """
    stream = await call_next(request)
    if not await stream.peek(_is_content) and stream.failed is not None:
        raise stream.failed
    return stream


def _is_content(event: Event) -> bool:
    return type(event) not in _PROLOGUE


def _is_too_late(request: Request, wait: float) -> bool:
    return request.deadline is not None and time.monotonic() + wait >= request.deadline
