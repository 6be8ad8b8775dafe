"""Logs and metrics: what every process says about itself, in shapes that machines read.

A log record is one JSON object on one line of standard error. Fields are given explicitly, never taken from ambient
state; whatever looks like a credential is masked on the way out, so that a careless field cannot leak one:

    log = telemetry.logger(__name__)
    log.info("replica started", request_id=ctx.request_id, port=7100)

Metrics follow Prometheus' conventions. A metric's label sets are bounded: past the limit new ones are counted under
`other`, so that no input from outside can grow a process without end.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

MASK = "***"
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds; from one round trip to the database up to a slow step."""

_SECRET_FIELD = re.compile(
    r"(^|[_.\-])(password|passwd|secret|token|authorization|credentials?|api_?key|private_?key|master_?key|set_cookie|cookie)$",
    re.IGNORECASE,
)
_SECRET_TEXT = (
    (re.compile(r"\b(iw[krips]_)[A-Za-z0-9_\-]+"), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/\-]{6,}=*"), r"\1 ***"),
    (re.compile(r"\beyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*"), MASK),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), r"\1:***@"),
    (
        re.compile(
            r"""(?i)((?:password|passwd|secret|token|api_?key|authorization)["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s"',;&})]+)"""
        ),
        r"\1***",
    ),
)
_SECRET_SIGNS = (
    *("iwk_", "iwr_", "iws_", "iwi_", "iwp_", "bearer", "basic", "eyj", "://"),
    *("passw", "secret", "token", "apikey", "api_key", "authorization"),
)
"""In lower case; a text that holds none of them matches none of the patterns, and most hold none."""
_MAX_TEXT = 8_192
_MAX_DEPTH = 6


def redact(value: Any, depth: int = 0) -> Any:
    """`value` as JSON-ready data with everything that looks like a credential replaced by `***`.

    Texts lose their middle past 8,192 characters, structures end at six levels.
    """
    if isinstance(value, str):
        return redact_text(value)
    if value is None or isinstance(value, int | float):
        return value
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {str(k): _redact_field(str(k), v, depth) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [redact(item, depth + 1) for item in value]
    return redact_text(str(value))


def _redact_field(name: str, value: Any, depth: int = 0) -> Any:
    if value is not None and not isinstance(value, bool) and _names_secret(name):
        return MASK
    return redact(value, depth + 1)


@lru_cache(maxsize=1024)
def _names_secret(field: str) -> bool:
    return _SECRET_FIELD.search(field) is not None


def redact_text(text: str) -> str:
    """`text` without keys, bearer tokens, JWTs, passwords in URLs and `password=…` pairs; the middle is cut if long."""
    if len(text) > _MAX_TEXT:
        text = f"{text[: _MAX_TEXT // 2]} … {text[-_MAX_TEXT // 2 :]}"
    folded = text.casefold()
    if any(sign in folded for sign in _SECRET_SIGNS):
        for pattern, replacement in _SECRET_TEXT:
            text = pattern.sub(replacement, text)
    return text


class Log:
    """A logger whose records carry fields; `bind` makes one that carries some always."""

    __slots__ = ("_fields", "_logger")

    def __init__(self, target: logging.Logger, fields: Mapping[str, Any] | None = None) -> None:
        self._logger = target
        self._fields = dict(fields or {})

    def bind(self, **fields: Any) -> Log:
        """The same logger, whose records also carry `fields`."""
        return Log(self._logger, {**self._fields, **fields})

    def debug(self, message: str, **fields: Any) -> None:
        self._emit(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        self._emit(logging.INFO, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self._emit(logging.WARNING, message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self._emit(logging.ERROR, message, fields)

    def exception(self, message: str, **fields: Any) -> None:
        """An error with the stack of the exception being handled."""
        self._emit(logging.ERROR, message, fields, error=sys.exc_info()[1])

    def _emit(self, level: int, message: str, fields: Mapping[str, Any], error: BaseException | None = None) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", message, extra={"fields": {**self._fields, **fields}}, exc_info=error)


def logger(name: str) -> Log:
    """The log of a module: `log = telemetry.logger(__name__)`."""
    return Log(logging.getLogger(name))


_as_json = json.JSONEncoder(ensure_ascii=False, default=str).encode
_STANDARD = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "fields", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, process, message, then the record's fields."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self.process,
            "message": redact_text(record.getMessage()),
        }
        for name, value in self._fields(record).items():
            line.setdefault(name, _redact_field(name, value))
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = type(record.exc_info[1]).__name__
            line["stack"] = redact_text(self.formatException(record.exc_info))
        return _as_json(line)

    @staticmethod
    def _fields(record: logging.LogRecord) -> dict[str, Any]:
        """Ours come as `fields`, other libraries' as attributes that a plain record lacks."""
        foreign = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        return {**foreign, **record.__dict__.get("fields", {})}


def configure(level: str = "INFO", process: str = "ironworks") -> None:
    """Send every logger of this process to standard error as JSON; call once, first thing.

    Args:
        level: a standard level name, any case.
        process: which part this is (`api`, `worker`, …), on every line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(max(root.level, logging.WARNING))


REGISTRY = CollectorRegistry()
"""The process's metrics. Not the library's default one, which other libraries write to."""
ProcessCollector(registry=REGISTRY)

M = TypeVar("M", Counter, Gauge, Histogram)


class Metric(Generic[M]):
    """A Prometheus metric with labels and a bound on how many label sets it keeps."""

    __slots__ = ("_limit", "_metric", "_names", "_seen")

    def __init__(self, metric: M, names: tuple[str, ...], limit: int) -> None:
        self._metric: M = metric
        self._names = names
        self._limit = limit
        self._seen: dict[tuple[str, ...], M] = {}

    def labels(self, *values: str) -> M:
        """The child with these label values, in the order the metric declared them.

        Once the metric holds its limit of label sets, a new one is counted under `other`. A metric without labels
        is its own child.
        """
        if not self._names:
            return self._metric
        child = self._seen.get(values)
        if child is None:
            if len(self._seen) >= self._limit:
                values = ("other",) * len(self._names)
            child = self._seen.setdefault(values, self._metric.labels(*values))
        return child


def counter(name: str, what: str, labels: Sequence[str] = (), limit: int = 1_000) -> Metric[Counter]:
    """A count that only grows; `name` starts with `ironworks_` and ends in `_total`."""
    return Metric(Counter(name, what, labels, registry=REGISTRY), tuple(labels), limit)


def gauge(name: str, what: str, labels: Sequence[str] = (), limit: int = 1_000) -> Metric[Gauge]:
    """A value that goes up and down."""
    return Metric(Gauge(name, what, labels, registry=REGISTRY), tuple(labels), limit)


def histogram(
    name: str,
    what: str,
    labels: Sequence[str] = (),
    buckets: Sequence[float] = LATENCY_BUCKETS,
    limit: int = 200,
) -> Metric[Histogram]:
    """A distribution; durations are in seconds and the name ends in `_seconds`."""
    return Metric(Histogram(name, what, labels, buckets=buckets, registry=REGISTRY), tuple(labels), limit)


def render() -> bytes:
    """All metrics in Prometheus' text format, for `/metrics`."""
    return generate_latest(REGISTRY)


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `render` returns."""
