"""The access log: one JSON line for each request, admitted or refused; who, what, how it went, and how long it took.

Never a prompt, an answer or a credential. Lines are made and written by a thread, in batches; a disk that is slow or
full holds up no request: what does not fit the queue is dropped, counted, and told of in the next line that fits. The
file is opened anew when it was moved away, or on SIGHUP, so that whatever rotates logs may rotate it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from ironworks.products.tokenfactory.gateway.model import Refusal, Usage
from ironworks.products.tokenfactory.gateway.sources import KeyView
from ironworks.shared import telemetry

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.ending import Ending
    from ironworks.products.tokenfactory.gateway.heads import Request

log = telemetry.logger(__name__)

OFF: Final = "off"
STDOUT: Final = "-"
MOST_WAITING: Final = 20_000
EVERY: Final = 0.2
_LONGEST: Final = 512


class Entry(NamedTuple):
    """One request. Times are seconds; `-1` where there was none. Paths are of scopes, `url` is without its query."""

    at: float
    request_id: str
    client_request_id: str | None
    address: str
    method: str
    url: str
    status: int
    code: str
    key: str
    scope: str
    model: str
    route: str
    target: str
    stream: bool
    cached: bool
    tries: int
    input_tokens: int
    output_tokens: int
    counted: bool
    cost_nano: int
    total: float
    upstream: float
    overhead: float
    first_byte: float
    bytes_in: int
    bytes_out: int


def entry_of(
    exchange: Ending, address: str, status: int, usage: Usage, refusal: Refusal | None, *, cached: bool
) -> Entry:
    """A request that was admitted and is over."""
    request, pick, key, route = exchange.request, exchange.pick, exchange.hold.key, exchange.hold.route
    now = time.perf_counter()
    total, overhead = now - exchange.began, exchange.overhead_ms / 1000
    return Entry(
        at=time.time(),
        request_id=request.id,
        client_request_id=request.client_id,
        address=address,
        method=request.method.decode("latin-1"),
        url=exchange.api.path,
        status=status,
        code=refusal.code if refusal else "",
        key=str(key.uid),
        scope=key.scope,
        model=exchange.call.model,
        route=f"{route.scope}/{route.name}",
        target=f"{pick.leg.target.scope}/{pick.leg.target.name}" if pick else "",
        stream=exchange.call.stream,
        cached=cached,
        tries=exchange.tries,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        counted=usage.counted,
        cost_nano=exchange.cost_nano,
        total=total,
        upstream=total - overhead if exchange.sent_at else -1,
        overhead=overhead,
        first_byte=exchange.first_byte_at - exchange.began if exchange.first_byte_at else -1,
        bytes_in=len(exchange.call.body),
        bytes_out=exchange.bytes_out,
    )


def entry_of_refusal(
    request: Request, address: str, path: str, now: float, key: KeyView | None, refusal: Refusal
) -> Entry:
    """A request that was not admitted. `now` is on the loop's clock, as `request.began` is."""
    total = now - request.began
    return Entry(
        at=time.time(),
        request_id=request.id,
        client_request_id=request.client_id,
        address=address,
        method=request.method.decode("latin-1"),
        url=path[:_LONGEST],
        status=refusal.status,
        code=refusal.code,
        key=str(key.uid) if key else "",
        scope=key.scope if key else "",
        model=request.model,
        route="",
        target="",
        stream=False,
        cached=False,
        tries=0,
        input_tokens=0,
        output_tokens=0,
        counted=False,
        cost_nano=-1,
        total=total,
        upstream=-1,
        overhead=total,
        first_byte=-1,
        bytes_in=len(request.body) or int(request.headers.get(b"content-length", b"0")),
        bytes_out=0,
    )


def show_entry(entry: Entry) -> bytes:
    """The line, with what there is nothing to say of left out; cost in the currency, times in milliseconds."""
    shown: dict[str, Any] = {"time": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds")}
    for name, value in zip(entry._fields[1:19], entry[1:19], strict=True):
        if value or name in ("status", "input_tokens", "output_tokens"):
            shown[name] = value
    if entry.cost_nano >= 0:
        shown["cost"] = f"{entry.cost_nano // 10**9}.{entry.cost_nano % 10**9:09d}"
    for name in ("total", "upstream", "overhead", "first_byte"):
        seconds = getattr(entry, name)
        if seconds >= 0:
            shown[f"{name}_ms"] = round(seconds * 1000, 3)
    return orjson.dumps(shown | {"bytes_in": entry.bytes_in, "bytes_out": entry.bytes_out}) + b"\n"


class AccessLog:
    """Takes entries on the event loop, writes them on a thread of its own.

    Args:
        place: `off`, `-` for standard output, or a file's path.

    Attributes:
        on: whether there is one at all. failing: why the last lines could not be written; empty when they were.
    """

    def __init__(self, place: str) -> None:
        self.on = place != OFF
        self.failing = ""
        self._path = None if place in (OFF, STDOUT) else Path(place)
        self._waiting: deque[Entry] = deque()
        self._crowded_out = 0  # changed by the loop alone
        self._unwritten = 0  # by the thread alone, as is what it has told of
        self._told = 0
        self._fd = -1
        self._reopen = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True) if self.on else None
        if self._thread:
            self._thread.start()

    def add(self, entry: Entry) -> None:
        """Have `entry` written soon; it is lost where too many wait."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(entry)
        else:
            self._crowded_out += 1

    @property
    def lost(self) -> int:
        """How many entries were never written, since the start."""
        return self._crowded_out + self._unwritten

    def reopen(self) -> None:
        """Open the file anew before the next line."""
        self._reopen = True

    def close(self) -> None:
        """Write what waits, and end; waits two seconds for a disk that does not take it."""
        self._ended.set()
        if self._thread:
            self._thread.join(2.0)

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            self._flush()
        self._flush()
        if self._fd > 2:
            os.close(self._fd)

    def _flush(self) -> None:
        """Write all that waits. Lines that cannot be written are lost: the queue must not hold what happens next."""
        lost = self.lost - self._told
        entries = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not entries and not lost:
            return
        lines = b"".join(map(show_entry, entries))
        if lost:
            lines += orjson.dumps({"time": _now(), "dropped": lost}) + b"\n"
        try:
            self._write(lines)
        except OSError as problem:
            if not self.failing:
                log.warning("the access log cannot be written", problem=repr(problem))
            self.failing = problem.strerror or type(problem).__name__
            self._unwritten += len(entries)
        else:
            self.failing = ""
            self._told += lost

    def _write(self, lines: bytes) -> None:
        fd = self._file()
        while lines:
            lines = lines[os.write(fd, lines) :]

    def _file(self) -> int:
        """Standard output, or the file of that name as it is now."""
        if self._path is None:
            return 1
        if self._fd >= 0 and (self._reopen or not self._is_current(self._path)):
            os.close(self._fd)
            self._fd = -1
        if self._fd < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            self._reopen = False
        return self._fd

    def _is_current(self, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), path.stat())
        except FileNotFoundError:
            return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
