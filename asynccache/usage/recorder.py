"""Stage: every attempt is told to every recorder before a byte leaves and exactly once when it is over."""

from __future__ import annotations

import inspect
import logging
from os import urandom
from typing import TYPE_CHECKING, Any, final

from asynccache.errors import AsyncCacheError, ConfigurationError, InvalidRequestError
from asynccache.events import Started
from asynccache.reply import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynccache.events import Event
    from asynccache.pipeline import CallNext
    from asynccache.request import Request
    from asynccache.stream import Emit, Stream

__all__ = ["OnUsage", "record_usage"]

_logger = logging.getLogger("asynccache")


async def record_usage(request: Request, call_next: CallNext) -> Stream[Event]:
    """Open the attempt, and settle it once, however it ends; outside `annotate_cost`, within `retry`.

    A broken stream gets no usage event: its usage goes to the recorders, and onto the error.
    """
    attempt = _Attempt(request)
    try:
        stream = await call_next(request)
        return stream.pipe(_UsageRecorder(attempt))
    except BaseException as error:
        told = error.usage if isinstance(error, AsyncCacheError) else None
        attempt.settle(told or Usage(), None, error)
        raise


@final
class OnUsage:
    """A plain callable as a `Recorder`: called with the usage of every attempt, exactly once."""

    def __init__(self, callback: Callable[[Usage], object]) -> None:
        given: Any = callback
        if not callable(given) or inspect.iscoroutinefunction(given):
            msg = (
                f"on_usage={callback!r} must be a plain function, not a coroutine function or another object"
            )
            raise InvalidRequestError(msg)
        self._callback = callback

    def open(self, _attempt_id: str, _request: Request, /) -> None:
        """Nothing to be told yet."""

    def settle(
        self, _attempt_id: str, usage: Usage, _model: str | None, error: BaseException | None, /
    ) -> None:
        """The attempt is over; what was refused before anything was sent was none."""
        if not isinstance(error, ConfigurationError):
            self._callback(usage)


@final
class _Attempt:
    """One attempt: opened when it is made, settled at most once."""

    def __init__(self, request: Request) -> None:
        # Unique by itself: a fallback of the caller's may ask within one call twice for the same attempt.
        self._id = f"{request.call_id or urandom(16).hex()}-{request.attempt}-{urandom(4).hex()}"
        self._recorders = request.recorders
        self._settled = False
        for recorder in self._recorders:
            try:
                recorder.open(self._id, request)
            except Exception:
                _logger.exception("%r failed at the start of attempt %s", recorder, self._id)

    def settle(self, usage: Usage, model: str | None, error: BaseException | None) -> None:
        """Tell every recorder; only the first call counts."""
        if self._settled:
            return
        self._settled = True
        for recorder in self._recorders:
            try:
                recorder.settle(self._id, usage, model, error)
            except Exception:
                _logger.exception("%r lost the usage of attempt %s: %r", recorder, self._id, usage)


@final
class _UsageRecorder:
    """Sees the final, priced usage pass by, or keeps it from a stream that broke off."""

    takes = frozenset({Started, Usage})

    def __init__(self, attempt: _Attempt) -> None:
        self._attempt = attempt
        self._model: str | None = None
        self._broken = False
        self._error: BaseException | None = None

    def feed(self, event: Event, emit: Emit[Event], /) -> None:
        """Settle on the usage, pass on all else."""
        kind: type[Any] = type(event)
        if kind is Usage:
            self._hear(event, emit)  # type: ignore[arg-type]  # the line above says what it is
            return
        if kind is Started:
            self._model = event.model or self._model  # type: ignore[union-attr]  # as above
        emit(event)

    def flush(self, _emit: Emit[Event], /) -> None:
        """A whole answer whose pipeline has no usage stage is over as well."""
        self._attempt.settle(Usage(), self._model, None)

    def interrupted(self, error: BaseException | None, _emit: Emit[Event]) -> None:
        """The answer broke off: what the stages within know of its usage comes next."""
        self._broken = True
        self._error = error

    def _hear(self, usage: Usage, emit: Emit[Event]) -> None:
        self._attempt.settle(usage, self._model, self._error)
        if not self._broken:
            emit(usage)
        elif isinstance(self._error, AsyncCacheError) and usage.source != "missing":
            self._error.usage = usage

    def over(self) -> None:
        """Nothing more comes: no stage within spoke of usage, or one between kept it from here."""
        self._attempt.settle(Usage(), self._model, self._error)
        self._error = None  # it knows the frames that know the stream: a circle would outlive the answer
