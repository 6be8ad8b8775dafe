"""What the gateway says about itself in Prometheus' terms, for all processes of this host at once.

The names are OpenTelemetry's for generative AI (semantic conventions 1.37, written as its Prometheus exporter writes
them: `gen_ai.server.request.duration` in seconds is `gen_ai_server_request_duration_seconds`) and, for what only a
gateway knows, `ironworks_gateway_…`. Model names are the tenants' own: the first hundred are told apart, what comes
after them is `other`. Counts lie in `cells.py`. What finished requests add is put there twice a second: so much, and no
usage, is lost of a process that is killed.
"""

from __future__ import annotations

import math
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ironworks.products.tokenfactory.gateway.cells import OTHER, Cells, How, Numbers
from ironworks.products.tokenfactory.gateway.model import Refusal, Usage
from ironworks.products.tokenfactory.routing import Leg, Target
from ironworks.shared import telemetry

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.ending import Ending

Gauges: TypeAlias = Callable[[], dict[str, tuple[str, float]]]
"""{metric name: (help, value now)}."""

NANO: Final = 10**9
MICRO: Final = 10**6
MOST_MODELS: Final = 100
MOST_LINES: Final = 4096
_MOST: Final = 2.0**62
_clock: Final = time.perf_counter
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_OWN: Final = "ironworks"
_SECONDS: Final = (*telemetry.LATENCY_BUCKETS, 120.0, 300.0)
_OVERHEAD: Final = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
_DURATION: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_PER_TOKEN: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS: Final = tuple(4.0**power for power in range(14))
_OPERATIONS: Final = {
    "/v1/chat/completions": "chat",
    "/v1/messages": "chat",
    "/v1/responses": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
}
"""Conventional names of what is done; what has none is called by its path."""
_GEN_AI: Final = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model")


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its numbers are kept as whole multiples of 1/`scale`; with `buckets` it is a histogram."""

    what: str
    labels: tuple[str, ...] = ()
    scale: int = 1
    buckets: tuple[float, ...] = ()
    kind: Literal["counter", "histogram"] = "counter"


def _histogram(what: str, labels: tuple[str, ...], buckets: tuple[float, ...], scale: int = NANO) -> Family:
    return Family(what, labels, scale, buckets, "histogram")


FAMILIES: Final[dict[str, Family]] = {
    "gen_ai_server_request_duration_seconds": _histogram("Length of requests", (*_GEN_AI, "error_type"), _DURATION),
    "gen_ai_server_time_to_first_token_seconds": _histogram(
        "From a stream's request to its first text", _GEN_AI, _FIRST
    ),
    "gen_ai_server_time_per_output_token_seconds": _histogram("Per token after a stream's first", _GEN_AI, _PER_TOKEN),
    "gen_ai_client_token_usage": _histogram("Tokens of requests", (*_GEN_AI, "gen_ai_token_type"), _TOKENS, 1),
    "ironworks_gateway_requests": Family("Requests answered, by status told", ("operation", "status")),
    "ironworks_gateway_tokens": Family("Tokens used; cached ones are among input", ("operation", "type")),
    "ironworks_gateway_request_duration_seconds": _histogram("Admission to terminator", ("operation",), _SECONDS),
    "ironworks_gateway_time_to_first_byte_seconds": _histogram("Admission to first event", ("operation",), _SECONDS),
    "ironworks_gateway_overhead_seconds": _histogram(
        "Of a request's time, what was ours and not the model server's", ("operation",), _OVERHEAD
    ),
    "ironworks_gateway_queue_wait_seconds": _histogram("Wait for a turn at a target that is full", (), _SECONDS),
    "ironworks_gateway_counted": Family("Requests billed by our own count of tokens"),
    "ironworks_gateway_retries": Family("Requests sent to another replica"),
    "ironworks_gateway_ejections": Family("Times a replica was set aside after failures"),
    "ironworks_gateway_refusals": Family("Requests refused before any model server was asked", ("code",)),
    "ironworks_gateway_cache": Family("Requests that a route's cache was asked for", ("result",)),
    "ironworks_gateway_dropped": Family("Records that were lost for want of room, and bill nothing", ("what",)),
    "ironworks_gateway_quote_mismatches": Family("Requests that were charged other than their caller was told"),
    "ironworks_gateway_cpu_seconds": Family("Processor time of the gateway's processes", (), NANO),
}
"""Everything that is counted, by its name without `_total`."""

_WORST_IS_MOST: Final = frozenset(
    {"charging_fails_seconds", "snapshot_age_seconds", "spool_lag_seconds", "draining", "health"}
)
_WORST_IS_LEAST: Final = frozenset(
    {"spool_healthy", "tls_certificate_expiry_seconds", "budget_lease_remaining_seconds"}
)
"""Of several processes the worst is told; of all other gauges the sum."""


class Tally:
    """What came to one histogram since it was last put down: `total` in the family's unit. Most values fall where the
    one before them did."""

    __slots__ = ("_at", "_buckets", "_counts", "_high", "_low", "_place", "_scale", "total")

    def __init__(self, place: int, buckets: tuple[float, ...], scale: int = NANO) -> None:
        self._place = place
        self._buckets = buckets
        self._scale = scale
        self._counts = [0] * (len(buckets) + 1)
        self.total = 0.0
        self._at = 0
        self._low = self._high = 0.0

    def add(self, value: float) -> None:
        """One more value, in the family's unit."""
        if not self._low < value <= self._high:
            self._find(value)
        self._counts[self._at] += 1
        self.total += value

    def _find(self, value: float) -> None:
        bounds = (-math.inf, *self._buckets, math.inf)
        self._at = at = bisect_left(self._buckets, value)
        self._low, self._high = bounds[at], bounds[at + 1]

    def put_down(self, values: memoryview[int]) -> None:
        """Add it to the numbers that everybody sees."""
        for at, count in enumerate(self._counts):
            if count:
                values[self._place + at] += count
                self._counts[at] = 0
        values[self._place + len(self._counts)] += round(self.total * self._scale)
        self.total = 0.0


class _Line:
    """What requests of one sort came to since it was last put down; `leg` is what served them, `count` how many."""

    __slots__ = ("_places", "count", "duration", "leg", "made", "overhead", "read", "server_duration")

    def __init__(
        self, leg: Leg | None, places: tuple[int, int, int], histograms: tuple[int, int, int, int, int]
    ) -> None:
        """Where in the numbers they are: requests, tokens read and made; the histograms in the attributes' order."""
        self.leg = leg
        self.count = 0
        self._places = places
        self.duration = Tally(histograms[0], _SECONDS)
        self.overhead = Tally(histograms[1], _OVERHEAD)
        self.server_duration = Tally(histograms[2], _DURATION)
        self.read = Tally(histograms[3], _TOKENS, 1)
        self.made = Tally(histograms[4], _TOKENS, 1)

    def put_down(self, values: memoryview[int]) -> None:
        """Add it to the numbers that everybody sees."""
        requests, read, made = self._places
        values[requests] += self.count
        self.count = 0
        values[read] += int(self.read.total)
        values[made] += int(self.made.total)
        for tally in (self.duration, self.overhead, self.server_duration, self.read, self.made):
            tally.put_down(values)


class Metrics(Collector):
    """One process's counts, and everybody's when it is asked.

    Args:
        gauges: asked at each `publish`; more may be added to `gauges` later.
        directory: where the processes of this host count; None for this process alone.
    """

    def __init__(self, gauges: Gauges, directory: Path | None = None) -> None:
        self.gauges: list[Gauges] = [gauges]
        self._cells = Cells(directory)
        self._values = self._cells.values
        self._places: dict[tuple[str, tuple[str, ...]], int] = {}
        self._lines: dict[tuple[str, int, str, str, int], _Line] = {}
        self._fresh: list[_Line] = []
        self._models: set[str] = set()
        self._helps: dict[str, str] = {}
        self._cpu = 0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count(self, family: str, *labels: str, by: int = 1) -> None:
        """Add `by` to a counter of FAMILIES."""
        self._values[self._place(family, labels)] += by

    def observe(self, family: str, value: float, *labels: str) -> None:
        """Add `value`, in the family's unit, to a histogram of FAMILIES."""
        known = FAMILIES[family]
        place = self._place(family, labels)
        self._values[place + bisect_left(known.buckets, value)] += 1
        self._values[place + len(known.buckets) + 1] += int(value * known.scale)

    def _place(self, family: str, labels: tuple[str, ...]) -> int:
        place = self._places.get((family, labels))
        if place is None:
            buckets = len(FAMILIES[family].buckets)
            place = self._cells.take(family, "count", labels, buckets + 2 if buckets else 1)
            self._places[family, labels] = place
            if len(self._places) > 8192:  # places of `other` under names that were not told apart
                self._places.clear()
        return place

    def refused(self, operation: str, status: int, code: str = "") -> None:
        """A request that reached no upstream."""
        self.count("ironworks_gateway_requests", operation, str(status))
        if code:
            self.count("ironworks_gateway_refusals", code)

    def finished(self, exchange: Ending, status: int, usage: Usage, refusal: Refusal | None) -> None:
        """A request that was admitted is over."""
        now = _clock()
        seconds = now - exchange.began
        error = "" if status == 200 else refusal.code if refusal else str(status)
        line = self._line_of(exchange, status, error)
        if not line.count:
            self._fresh.append(line)
        line.count += 1
        line.duration.add(seconds)
        line.overhead.add(exchange.overhead_until(now))
        line.server_duration.add(seconds)
        if usage.input_tokens:
            line.read.add(usage.input_tokens)
        if usage.output_tokens:
            line.made.add(usage.output_tokens)
        if usage.cached_tokens:
            self.count("ironworks_gateway_tokens", exchange.api.path, "cached", by=usage.cached_tokens)
        if usage.counted:
            self.count("ironworks_gateway_counted")
        if exchange.first_byte_at:
            self._stream_finished(exchange, seconds, usage)

    def _line_of(self, exchange: Ending, status: int, error: str) -> _Line:
        """Where requests like this one are counted: looked up at once, for every request adds to all of it."""
        pick = exchange.pick
        leg = None if pick is None else pick.leg
        facts = (exchange.api.path, status, error, exchange.call.model, id(leg))
        known = self._lines.get(facts)
        if known is None or known.leg is not leg:
            if len(self._lines) >= MOST_LINES:
                self._lines.clear()
            known = self._lines[facts] = self._new_line(exchange, status, error)
        return known

    def _new_line(self, exchange: Ending, status: int, error: str) -> _Line:
        operation, labels = exchange.api.path, self._gen_ai_labels(exchange)
        return _Line(
            None if exchange.pick is None else exchange.pick.leg,
            (
                self._place("ironworks_gateway_requests", (operation, str(status))),
                self._place("ironworks_gateway_tokens", (operation, "input")),
                self._place("ironworks_gateway_tokens", (operation, "output")),
            ),
            (
                self._place("ironworks_gateway_request_duration_seconds", (operation,)),
                self._place("ironworks_gateway_overhead_seconds", (operation,)),
                self._place("gen_ai_server_request_duration_seconds", (*labels, error)),
                self._place("gen_ai_client_token_usage", (*labels, "input")),
                self._place("gen_ai_client_token_usage", (*labels, "output")),
            ),
        )

    def _stream_finished(self, exchange: Ending, seconds: float, usage: Usage) -> None:
        labels, first = self._gen_ai_labels(exchange), exchange.first_byte_at - exchange.began
        self.observe("ironworks_gateway_time_to_first_byte_seconds", first, exchange.api.path)
        self.observe("gen_ai_server_time_to_first_token_seconds", first, *labels)
        if usage.output_tokens > 1:
            per_token = (seconds - first) / (usage.output_tokens - 1)
            self.observe("gen_ai_server_time_per_output_token_seconds", per_token, *labels)

    def _gen_ai_labels(self, exchange: Ending) -> tuple[str, ...]:
        """Operation, provider, model asked for, model that answered."""
        operation, pick = operation_name(exchange.api.path), exchange.pick
        asked = self._bounded(exchange.call.model)
        if pick is None:
            return operation, _OWN, asked, ""
        return operation, provider_of(pick.leg.target), asked, self._bounded(pick.leg.model)

    def _bounded(self, model: str) -> str:
        """`model`, or `other` once a hundred are told apart."""
        if model not in self._models:
            if len(self._models) >= MOST_MODELS:
                return OTHER
            self._models.add(model)
        return model

    def publish(self) -> None:
        """Let the other processes see how things stand here; twice a second is often enough."""
        fresh, self._fresh = self._fresh, []
        for line in fresh:
            line.put_down(self._values)
        for provide in self.gauges:
            for name, (what, value) in provide().items():
                self._helps[name] = what
                self._set(name, value)
        self._set("resident_memory_bytes", _resident())
        cpu = time.process_time_ns()
        self.count("ironworks_gateway_cpu_seconds", by=cpu - self._cpu)
        self._cpu = cpu

    def _set(self, name: str, value: float) -> None:
        how: How = "max" if name in _WORST_IS_MOST else "min" if name in _WORST_IS_LEAST else "sum"
        place = self._cells.take(name, how, ())
        scale = _scale(name)
        self._values[place] = int(min(max(value, -_MOST / scale), _MOST / scale) * scale)

    def tidy(self) -> None:
        """Take over what processes that are gone have counted; every few seconds."""
        self._cells.tidy()

    def close(self) -> None:
        """The process ends; its counts stay."""
        self.publish()
        self._cells.close()

    def render(self) -> bytes:
        """Prometheus' text format, for the whole host."""
        self.publish()
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What the library asks for."""
        numbers = self._cells.read_host()
        for name, family in FAMILIES.items():
            yield _counters(name, family, numbers) if family.kind == "counter" else _histograms(name, family, numbers)
        for (name, how, _), values in numbers.items():
            if how != "count":
                what = self._helps.get(name, "Memory that the gateway's processes have")
                yield GaugeMetricFamily(f"ironworks_gateway_{name}", what, value=values[0] / _scale(name))
        yield GaugeMetricFamily("ironworks_gateway_processes", "Processes on this host", value=self._cells.processes())


def _counters(name: str, family: Family, numbers: Numbers) -> Metric:
    made = CounterMetricFamily(name, family.what, labels=family.labels)
    for labels, values in _of(name, family, numbers):
        made.add_metric(labels, values[0] if family.scale == 1 else values[0] / family.scale)
    if not family.labels and not made.samples:
        made.add_metric((), 0)
    return made


def _histograms(name: str, family: Family, numbers: Numbers) -> Metric:
    made = HistogramMetricFamily(name, family.what, labels=family.labels)
    for labels, values in _of(name, family, numbers):
        so_far = 0
        buckets = []
        for bound, count in zip((*map(str, family.buckets), "+Inf"), values[:-1], strict=True):
            so_far += count
            buckets.append((bound, float(so_far)))
        made.add_metric(labels, buckets, sum_value=values[-1] / family.scale)
    return made


def _of(name: str, family: Family, numbers: Numbers) -> Iterator[tuple[tuple[str, ...], list[int]]]:
    """(labels, numbers) of one family. Another version of ours may have had other labels or buckets: not those."""
    size = len(family.buckets) + 2 if family.buckets else 1
    for (found, how, labels), values in numbers.items():
        if found == name and how == "count" and len(labels) == len(family.labels) and len(values) == size:
            yield labels, values


def _scale(name: str) -> int:
    """Gauges are kept in millionths, but for what is whole and may be large."""
    return 1 if name.endswith(("_nano", "_bytes")) else MICRO


def operation_name(path: str) -> str:
    """What an API path does, in the conventions' terms; the path itself where they have none."""
    return _OPERATIONS.get(path, path)


def provider_of(target: Target) -> str:
    """Who answers, in the conventions' terms: `ironworks`, or whose API an outside provider speaks."""
    outside = any(replica.tls or replica.guarded for replica in target.replicas)
    return target.dialect if outside else _OWN


def _resident() -> int:
    """Bytes of memory that this process has; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0
