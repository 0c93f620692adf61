"""Stage: whatever the provider said about tokens, however often, becomes exactly one `Usage`, always, last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import msgspec

from asynccache.errors import ConfigurationError
from asynccache.events import ReportedUsage, Started
from asynccache.reply import Usage
from asynccache.shapes import is_object
from asynccache.usage.fields import DIALECTS
from asynccache.usage.reading import merge_told, read_usage

if TYPE_CHECKING:
    from asynccache.events import Event
    from asynccache.pipeline import CallNext
    from asynccache.request import Request
    from asynccache.stream import Emit, Stream

__all__ = ["UsageNormalizer", "normalize_usage"]


async def normalize_usage(request: Request, call_next: CallNext) -> Stream[Event]:
    """Let the answer end in one `Usage`, and in a partial one where it breaks off."""
    stream = await call_next(request)
    return stream.pipe(UsageNormalizer(streamed=request.stream, lifetime=_asked_lifetime(request)))


@final
class UsageNormalizer:
    """Takes every `ReportedUsage` out of the stream and speaks last.

    What was told later replaces what was told earlier, field by field; counts are cumulative and are
    never added up. A `Usage` that a stage within made is kept back, and is the last word where the
    provider itself told nothing.
    """

    takes = frozenset({ReportedUsage, Started, Usage})

    def __init__(self, *, streamed: bool, lifetime: str | None = None) -> None:
        self._streamed = streamed
        self._lifetime = lifetime
        self._told: Any = None
        self._dialect = ""
        self._reports = 0
        self._service_tier: str | None = None
        self._given: Usage | None = None
        self._spoken = False

    def feed(self, event: Event, emit: Emit[Event], /) -> None:
        """Remember what is said of tokens, pass on all else."""
        kind = type(event)
        if kind is ReportedUsage:
            self._hear(event)  # type: ignore[arg-type]  # the line above says what it is
        elif kind is Usage:
            self._given = event  # type: ignore[assignment]  # as above
        else:
            if kind is Started:
                self._service_tier = event.service_tier or self._service_tier  # type: ignore[union-attr]
            emit(event)

    def flush(self, emit: Emit[Event], /) -> None:
        """The answer is whole: its usage comes last."""
        if not self._spoken:
            self._spoken = True
            emit(self._usage())

    def interrupted(self, _error: BaseException | None, emit: Emit[Event]) -> None:
        """The answer broke off: tell what is known."""
        if self._spoken:
            return
        self._spoken = True
        try:
            usage = self._usage()
        except ConfigurationError:  # a dialect without a row; what broke the answer is the error to be seen
            usage = Usage(source="invalid", raw=self._told)
        emit(msgspec.structs.replace(usage, source="partial") if usage.source == "provider" else usage)

    def _hear(self, report: ReportedUsage) -> None:
        if report.raw is None:
            return
        self._reports += 1
        self._dialect = report.dialect
        self._told = merge_told(self._told, report.raw)

    def _usage(self) -> Usage:
        if self._reports == 0:
            return self._given or Usage()
        placeholder = self._streamed and self._reports == 1 and _starts_early(self._dialect)
        usage = read_usage(
            self._told, self._dialect, lifetime=self._lifetime, completion_known=not placeholder
        )
        if usage.service_tier is None and self._service_tier is not None:
            usage = msgspec.structs.replace(usage, service_tier=self._service_tier)
        return usage


def _starts_early(dialect: str) -> bool:
    spelling = DIALECTS.get(dialect)
    return spelling is not None and spelling.early_completion


def _asked_lifetime(request: Request) -> str | None:
    """The one lifetime that the request asked its cache writes to have; None if none or several."""
    asked = {mark.ttl for mark in request.marks if mark.ttl is not None} if request.marks else None
    if not asked:
        options: Any = request.params.get("prompt_cache_options")
        ttl = options.get("ttl") if options is not None and is_object(options) else None
        return ttl if isinstance(ttl, str) else None
    return asked.pop() if len(asked) == 1 else None
