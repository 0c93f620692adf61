"""``GET /metrics``: what goes on, in Prometheus' words; every label is bounded by the configuration."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asynccache.proxy.activity import Activity, Histogram, Series
    from asynccache.proxy.sums import Sums
    from asynccache.usage.ledger import Ledger

__all__ = ["metrics"]

_LABELS: Final = ("model", "provider", "deployment")
# Each counter by kind: a name of the public contract, so a row is added and none is renamed.
_BY_KIND: Final[tuple[tuple[str, str, str, dict[str, Callable[[Sums], Any]]], ...]] = (
    (
        "asynccache_input_tokens",
        "Prompt tokens, each in one bucket.",
        "kind",
        {
            "uncached": lambda sums: sums.uncached,
            "cache_read": lambda sums: sums.read,
            "cache_write_5m": lambda sums: sums.written_5m,
            "cache_write_30m": lambda sums: sums.written_30m,
            "cache_write_1h": lambda sums: sums.written_1h,
            "cache_write_12h": lambda sums: sums.written_12h,
            "cache_write": lambda sums: (
                sums.written - sums.written_5m - sums.written_30m - sums.written_1h - sums.written_12h
            ),
            "untold": lambda sums: sums.untold,
        },
    ),
    (
        "asynccache_cost_usd",
        "What was paid, in US dollars.",
        "kind",
        {
            "uncached": lambda sums: sums.cost_uncached,
            "cache_read": lambda sums: sums.cost_read,
            "cache_write": lambda sums: sums.cost_write,
            "output": lambda sums: sums.cost_output,
            "other": lambda sums: sums.cost_other,
        },
    ),
    (
        "asynccache_savings_usd",
        "What caching saved (plus) and where its writes cost more than reads gave back (minus), in US dollars.",
        "sign",
        {"plus": lambda sums: sums.gained, "minus": lambda sums: sums.lost},
    ),
)
_PLAIN: Final[tuple[tuple[str, str, Callable[[Sums], Any]], ...]] = (
    ("asynccache_output_tokens", "Output tokens, reasoning included.", lambda sums: sums.output),
    ("asynccache_reasoning_tokens", "Output tokens spent on reasoning.", lambda sums: sums.reasoning),
    ("asynccache_unpriced_requests", "Attempts whose cost is not known.", lambda sums: sums.unpriced),
)
_TIMES: Final[tuple[tuple[str, str, Callable[[Series], Histogram]], ...]] = (
    (
        "asynccache_time_to_first_token_seconds",
        "From sending a request to the first content of its stream.",
        lambda series: series.first_content,
    ),
    (
        "asynccache_request_duration_seconds",
        "From the opening of an attempt to its end.",
        lambda series: series.took,
    ),
)


def metrics(activity: Activity, ledger: Ledger | None) -> bytes:
    """All metrics as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(activity, ledger))
    return generate_latest(registry)


@final
class _Collector(Collector):
    """Reads what there is at the moment of the scrape; nothing is counted twice."""

    def __init__(self, activity: Activity, ledger: Ledger | None) -> None:
        self._activity = activity
        self._ledger = ledger

    def describe(self) -> list[Metric]:
        """Nothing in advance."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        series = self._by_deployment()
        for name, text, kind, columns in _BY_KIND:
            counter = CounterMetricFamily(name, text, labels=(*_LABELS, kind))
            for labels, rows in series.items():
                for value, read in columns.items():
                    counter.add_metric((*labels, value), float(sum(read(row.total) for row in rows)))
            yield counter
        for name, text, read in _PLAIN:
            counter = CounterMetricFamily(name, text, labels=_LABELS)
            for labels, rows in series.items():
                counter.add_metric(labels, float(sum(read(row.total) for row in rows)))
            yield counter
        yield _words(
            "asynccache_requests", "Attempts that are over.", "outcome", series, lambda row: row.outcomes
        )
        yield _words(
            "asynccache_cache_misses",
            "Prompts of which nothing was read from the cache, by what their counts tell of the reason.",
            "reason",
            series,
            lambda row: row.misses,
        )
        for name, text, times in _TIMES:
            histogram = HistogramMetricFamily(name, text, labels=_LABELS)
            for labels, rows in series.items():
                buckets, total = _buckets([times(row) for row in rows])
                histogram.add_metric(labels, buckets, total)
            yield histogram
        yield from self._own()

    def _by_deployment(self) -> dict[tuple[str, str, str], list[Series]]:
        """The series of each deployment: keys are no label, there may be many."""
        found: dict[tuple[str, str, str], list[Series]] = {}
        for label, series in self._activity.series.items():
            found.setdefault((label.model, label.provider, label.deployment), []).append(series)
        return found

    def _own(self) -> Iterator[Metric]:
        activity, ledger = self._activity, self._ledger
        buckets, total = _buckets([activity.overhead])
        overhead = HistogramMetricFamily(
            "asynccache_overhead_seconds", "From a call's last byte to its first byte sent on."
        )
        overhead.add_metric((), buckets, total)
        yield overhead
        refused = CounterMetricFamily(
            "asynccache_refused_requests", "Calls that no provider was asked for.", labels=("status",)
        )
        for status, count in activity.refused.items():
            refused.add_metric((str(status),), count)
        yield refused
        live = list(activity.live.values())
        yield GaugeMetricFamily("asynccache_open_requests", "Attempts in progress.", len(live))
        streams = sum(1 for attempt in live if attempt.streamed)
        yield GaugeMetricFamily("asynccache_open_streams", "Streams in progress.", streams)
        if ledger is not None:
            counters = ledger.counters
            yield GaugeMetricFamily(
                "asynccache_ledger_lag_seconds", "Since the ledger last had nothing waiting.", counters.lag
            )
            yield GaugeMetricFamily(
                "asynccache_ledger_waiting_rows", "Rows in memory, not durable yet.", counters.waiting
            )
            yield CounterMetricFamily(
                "asynccache_ledger_lost_rows", "Rows that will never be written.", counters.lost
            )


def _words(
    name: str,
    text: str,
    label: str,
    series: dict[tuple[str, str, str], list[Series]],
    read: Callable[[Series], dict[str, int]],
) -> CounterMetricFamily:
    counter = CounterMetricFamily(name, text, labels=(*_LABELS, label))
    for labels, rows in series.items():
        added: dict[str, int] = {}
        for row in rows:
            for word, count in read(row).items():
                added[word] = added.get(word, 0) + count
        for word, count in added.items():
            counter.add_metric((*labels, word), count)
    return counter


def _buckets(histograms: list[Histogram]) -> tuple[list[tuple[str, float]], float]:
    """Cumulative counts of all *histograms* together, and the sum of what they saw."""
    limits = [*map(str, histograms[0].limits), "+Inf"]
    counts = [sum(column) for column in zip(*(one.counts for one in histograms), strict=True)]
    return list(zip(limits, accumulate(counts), strict=True)), sum(one.total for one in histograms)
