"""Traces of what the proxy asks: a span for every attempt, below the caller's own where one is told."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from asynccache.pipeline import Stage
    from asynccache.proxy.settings import Settings

__all__ = ["below_caller", "traced"]


def traced(settings: Settings) -> list[Stage]:
    """The stage that traces, where the configuration wants it.

    Raises:
        ConfigurationError: opentelemetry-api is not installed.
    """
    if not settings.traces:
        return []
    from asynccache.tracing import Trace

    return [Trace(older_names=settings.traces_older_names)]


@contextmanager
def below_caller(headers: Mapping[str, str], settings: Settings) -> Generator[None]:
    """Spans made within hang below the one that the caller's ``traceparent`` names."""
    if not settings.traces or "traceparent" not in headers:
        yield
        return
    from opentelemetry.context import attach, detach
    from opentelemetry.propagate import extract

    told = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
    token = attach(extract(told))
    try:
        yield
    finally:
        detach(token)
