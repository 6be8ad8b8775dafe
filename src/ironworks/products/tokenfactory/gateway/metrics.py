"""What the gateway says about itself in Prometheus' terms.

Counts are plain numbers in dictionaries, turned into metrics when somebody asks: adding one costs a tenth of what the
library's own counters cost, and every request adds several.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ironworks.products.tokenfactory.gateway.model import Usage
from ironworks.shared import telemetry

Gauges: TypeAlias = Callable[[], dict[str, tuple[str, float]]]
"""{metric name: (help, value now)}."""

_BUCKETS = (*telemetry.LATENCY_BUCKETS, 120.0, 300.0)


class Distribution:
    """Counts per bucket of seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(_BUCKETS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many up to it), as Prometheus counts."""
        sum_so_far = 0
        out = []
        for bound, count in zip((*map(str, _BUCKETS), "+Inf"), self.counts, strict=True):
            sum_so_far += count
            out.append((bound, float(sum_so_far)))
        return out


class Metrics(Collector):
    """One process's counts. Operations and statuses come from fixed sets, so nothing outside can make them grow."""

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges
        self._requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._durations: defaultdict[str, Distribution] = defaultdict(Distribution)
        self._first_bytes: defaultdict[str, Distribution] = defaultdict(Distribution)
        self.counted = 0
        self.retries = 0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def refused(self, operation: str, status: int) -> None:
        """A request that reached no upstream."""
        self._requests[operation, status] += 1

    def answered(self, operation: str, status: int, seconds: float, usage: Usage) -> None:
        """A request that was admitted is over."""
        self._requests[operation, status] += 1
        self._durations[operation].add(seconds)
        if usage.input_tokens:
            self._tokens[operation, "input"] += usage.input_tokens
        if usage.cached_tokens:
            self._tokens[operation, "cached"] += usage.cached_tokens
        if usage.output_tokens:
            self._tokens[operation, "output"] += usage.output_tokens
        self.counted += usage.counted

    def first_byte(self, operation: str, seconds: float) -> None:
        """A stream's first text went out."""
        self._first_bytes[operation].add(seconds)

    def render(self) -> bytes:
        """Prometheus' text format, the process's own metrics included."""
        return generate_latest(self._registry) + telemetry.render()

    def collect(self) -> Iterator[Metric]:
        """What the library asks for."""
        requests = CounterMetricFamily(
            "ironworks_gateway_requests", "Requests answered, by status told", labels=("operation", "status")
        )
        for (operation, status), count in self._requests.items():
            requests.add_metric((operation, str(status)), count)
        yield requests
        tokens = CounterMetricFamily(
            "ironworks_gateway_tokens", "Tokens used; cached ones are among input", labels=("operation", "type")
        )
        for (operation, kind), count in self._tokens.items():
            tokens.add_metric((operation, kind), count)
        yield tokens
        yield _family("ironworks_gateway_request_duration_seconds", "Admission to terminator", self._durations)
        yield _family("ironworks_gateway_time_to_first_byte_seconds", "Admission to first event", self._first_bytes)
        yield _count("ironworks_gateway_counted", "Requests billed by our own count of tokens", self.counted)
        yield _count("ironworks_gateway_retries", "Requests sent to another replica", self.retries)
        for name, (what, value) in self._gauges().items():
            yield GaugeMetricFamily(f"ironworks_gateway_{name}", what, value=value)


def _count(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(name, what, value=value)


def _family(name: str, what: str, distributions: dict[str, Distribution]) -> Metric:
    family = HistogramMetricFamily(name, what, labels=("operation",))
    for operation, distribution in distributions.items():
        family.add_metric((operation,), distribution.buckets(), sum_value=distribution.total)
    return family
