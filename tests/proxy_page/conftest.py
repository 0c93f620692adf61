from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.proxy.conftest import proxy, sim

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

__all__ = ["proxy", "sim"]


@pytest.fixture(scope="session")
def exporting() -> InMemorySpanExporter:
    """What the process's own provider exports; a process has one for all its life."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider, made = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(made))
    trace.set_tracer_provider(provider)
    return made


@pytest.fixture
def exporter(exporting: InMemorySpanExporter) -> InMemorySpanExporter:
    exporting.clear()
    return exporting
