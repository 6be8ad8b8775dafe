"""The page of the gateway benchmark: ratios and goals first, then what they come from."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import gateway_rivals as rivals
from gateway_memory import MIB, Held

OURS, UNSYNCED, ENVOY, LITELLM, PORTKEY = "ironworks", "ironworks, no sync", "Envoy", "LiteLLM", "Portkey"
INTERPRETED = "ironworks, interpreted"
DIRECT, FLOOR = "no proxy", "bytes passed on unread"
_TITLES = {
    "whole": "short requests, answered at once",
    "stream": "streams of 50 chunks",
    "late": "short requests, answered after 20 ms",
    "large": "prompts of 100 KB",
}
_VERSIONS = {ENVOY: rivals.ENVOY, LITELLM: rivals.LITELLM, PORTKEY: rivals.PORTKEY}


@dataclass(frozen=True)
class Figures:
    """One measurement; latencies in milliseconds, `cpu` in microseconds of CPU time per request."""

    rate: float
    cpu: float
    p50: float
    p99: float
    errors: int


@dataclass(frozen=True)
class Findings:
    """All that was measured.

    Args:
        results: {measurement: {program: figures of each round}}. parts: CPU microseconds by what is on.
        disk: p50 and p99 of its fdatasync alone, in milliseconds.
        held: with many streams open, None if left out. sizes: bytes before and while `requests` passed.
        revoked: seconds from each revocation until the key was refused.
    """

    results: dict[str, dict[str, list[Figures]]]
    parts: dict[str, float]
    disk: tuple[float, float]
    held: Held | None
    sizes: list[int]
    requests: int
    revoked: list[float]
    seconds: float
    rounds: int
    connections: int

    def median(self, what: str, program: str, field: str) -> float:
        """Over the rounds."""
        return float(statistics.median(getattr(each, field) for each in self.results[what][program]))


def page(found: Findings) -> str:
    """The whole of it."""
    names = list(found.results["half"])
    return TEMPLATE.format(
        when=datetime.now(UTC).date(),
        goals="\n".join(_table(("measured", "result", "goal"), _goals(found, names))),
        tables="\n\n".join(_scenario(found, what, names) for what in _TITLES),
        half="\n".join(_half(found, names)),
        parts="\n".join(_parts(found)),
        sync=found.disk[0],
        slow_sync=found.disk[1],
        machine=machine(),
        connections=found.connections,
        seconds=found.seconds,
        rounds=found.rounds,
        versions=", ".join(_VERSIONS[name] for name in names if name in _VERSIONS),
    )


def _table(header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _goals(found: Findings, names: list[str]) -> Iterator[tuple[str, str, str]]:
    for rival, what, least in (
        (ENVOY, "whole", 1.2),
        (ENVOY, "stream", 1.0),
        (PORTKEY, "whole", 30),
        (LITELLM, "whole", 250),
    ):
        if rival in names:
            ratio = found.median(what, OURS, "rate") / found.median(what, rival, "rate")
            unit = "streams/s" if what == "stream" else "requests/s"
            yield f"{unit}, against {rival}", _judged(f"{ratio:.2f}×", ratio >= least), f"at least {least:g}×"
    if ENVOY in names:
        mine, theirs = (found.median("half", name, "p99") for name in (OURS, ENVOY))
        told = _judged(f"{mine:.2f} ms, {mine / theirs:.1f} times Envoy's {theirs:.2f}", mine <= 1.5 * theirs)
        yield "p99 that is added at half load", told, "at most 1.5 times Envoy's"
    if found.held is not None:
        size = found.held.most / MIB
        yield f"memory with {found.held.done:,} streams open", _judged(f"{size:.0f} MiB", size < 400), "under 400 MiB"
    if found.sizes:
        yield _flatness(found)
    if found.revoked:
        cuts = statistics.quantiles(found.revoked, n=100)
        told = f"p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms of {len(found.revoked)}"
        yield "a revoked key still works for", _judged(told, cuts[98] < 1.0), "p99 under 1 s"


def _flatness(found: Findings) -> tuple[str, str, str]:
    """Growth after the first tenth, in which caches fill."""
    grown = (found.sizes[-1] - found.sizes[1]) / MIB
    told = f"{found.sizes[1] / MIB:.0f} MiB after a tenth, {found.sizes[-1] / MIB:.0f} MiB at the end"
    return f"memory over {found.requests:,} requests", _judged(told, grown < 5), "flat (within 5 MiB)"


def _judged(text: str, met: bool) -> str:
    return f"**{text}**" if met else f"**{text}** (missed)"


def _scenario(found: Findings, what: str, names: list[str]) -> str:
    def rows() -> Iterator[tuple[str, ...]]:
        mine = found.median(what, OURS, "rate")
        for name in [*names, DIRECT]:
            rate, cpu = found.median(what, name, "rate"), found.median(what, name, "cpu")
            ratio = "" if name in (OURS, DIRECT) or not rate else f"{mine / rate:.2f}×"
            p50, p99 = found.median(what, name, "p50"), found.median(what, name, "p99")
            errors = sum(each.errors for each in found.results[what][name])
            yield name, f"{rate:,.0f}", ratio, f"{cpu:.1f}", f"{p50:.2f} / {p99:.2f}", str(errors)

    header = (_TITLES[what], "a second", "ours to it", "CPU µs each", "p50 / p99, ms", "errors")
    return "\n".join(_table(header, rows()))


def _half(found: Findings, names: list[str]) -> Iterator[str]:
    def rows() -> Iterator[tuple[str, ...]]:
        for name in names:
            p50, p99, rate = (found.median("half", name, field) for field in ("p50", "p99", "rate"))
            yield name, f"{rate:,.0f}", f"{p50:.2f}", f"{p99:.2f}"

    return _table(("at half of its own highest rate", "requests/s", "added p50, ms", "added p99, ms"), rows())


def _parts(found: Findings) -> Iterator[str]:
    """Each part's cost is what the request costs with it, less what it costs without."""

    def rows() -> Iterator[tuple[str, ...]]:
        parts = found.parts
        whole, unsynced = found.median("whole", OURS, "cpu"), parts["all of it, without sync"]
        plain, floor = parts["without limits and budget"], parts[FLOOR]
        limited = parts["without the budget"]
        yield "sockets and loop: two reads, two writes, and waiting for them", f"{floor:.1f}"
        yield (
            "the gateway itself: heads, JSON, key, route, two records in the spool, usage, metrics",
            f"{plain - floor:.1f}",
        )
        yield (
            "limits: two with requests, tokens and concurrency each, and the headers that tell of them",
            f"{limited - plain:.1f}",
        )
        yield "a hard budget and prices: hold, settlement, cost", f"{unsynced - limited:.1f}"
        yield "forcing closing records to disk, shared by all that wait", f"{whole - unsynced:.1f}"
        yield "together", f"{whole:.1f}"
        yield "the same sources interpreted", f"{found.median('whole', INTERPRETED, 'cpu'):.1f}"

    return _table(("a short request", "CPU µs"), rows())


def machine() -> str:
    """What this ran on, in a line."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, CPython {platform.python_version()}; "
        f"load averages at the end {load}"
    )


TEMPLATE = """# Gateway: speed

Written by `make bench-gateway` on {when}; run it again rather than trust it for another machine.

{goals}

More than 1× is in our favour. Ours does its whole work: key check among 10,000 keys, 1,000 routes, two limits with
requests, tokens and concurrency each, a hard budget with prices, JSON read, usage read, opening and closing records in
the spool, the closing one synced to disk before the answer ends ("no sync" leaves that out), metrics, cost and limits
told in headers. Its hot modules are compiled by `python -m ironworks.app compile`, but in the row that says
"interpreted" ([decision 0018](../../decisions/0018-compiled-gateway.md)). Envoy forwards bytes. LiteLLM checks one key,
Portkey none.

## Side by side

{tables}

A program that needs more wall time than CPU time was waiting for its turn, or for the load, which has one core for
itself and the mock: compare CPU then.

{half}

"Added" is the latency less that of the mock alone at the same rate. The sync is part of ours: a request waits for the
one that begins after its record was written, and so for the one before it too. They begin up to 2 ms apart where the
process uses nearly all of its processor. The disk is waited for by the kernel's workers (`gateway/forcing.py`): what
they take of the processor is not in our CPU time, but on the same core it is in the rate and in the latency. Just
before, the disk alone took {sync:.2f} ms (p50) and {slow_sync:.2f} ms (p99) to force 2 KB (`bench/gateway_disk.py`).

## Where each microsecond goes

{parts}

What keeps it down, so that nobody takes it out unawares:

- A head that comes again byte for byte on a connection, but for the digits of its length, is not parsed again
  (`gateway/heads.py`); so with upstreams' answers. What differs goes to llhttp, which is strict.
- An answer is one write. A stream's head goes with its first events, and the events that came with its end go with
  that: they wait for the sync of the closing record, as a whole answer does. Request heads and what all calls of a key,
  model and target have in common in records and headers are put together once and kept (`Core.named`).
- A request's first fields are turned into JSON once for both its records. What is charged soon is not read back: the
  fields lie in memory beside the file for as long as two segments are filled, and only what waits longer is read from
  there (`Segment.kept`); either way a few at a time, so that no request waits for a batch.
- Limits: a request looks at each count once and changes it once. One word of the table says whether any cell was moved;
  the lock is kept for a turn of the loop while no other process is there (`limits/desk.py`).
- Events of a stream that differ in their text alone are told by cutting the texts out, putting all together again, and
  one look at the texts (`stream.py`). A byte is sought as a number: `b"x" in data` makes an error and drops it first.
- Counts are plain numbers, shown to other processes twice a second.
- Syncs are shared: the more requests a second, the fewer each of them costs (`gateway/sync.py`). The kernel is asked
  for them without a thread (aio): one would have to be given the interpreter twice for each.
- A spool's file that is used again keeps its name, and its first record tells its number: nothing of it that is to be
  forced is the file system's own, so no sync waits for a commit of its journal (`gateway/segments.py`).
- The modules that a request passes through are classes with slots and plain functions, typed throughout: mypyc makes
  attribute lookups loads from memory of them, and calls plain calls; gcc is told that nobody else calls. A constant
  that is not `Final`, a function of a module (`time.perf_counter`), a NamedTuple or a dataclass of another module is
  looked up by name even so, and a product of which one side is 2**31 or more is worked out as a long number.

## How it was measured

- Machine: {machine}.
- Each program is one process on one core; load and mock model server share another. {connections} kept connections,
  each with one request in flight, {seconds:g} s a run (LiteLLM three times that, or hardly an answer would fall into
  it; Portkey too), median of {rounds} rounds in which the programs take turns.
- The parts are found by leaving more and more out; the last line of that is a proxy that passes bytes on unread in the
  same loop (`bench/gateway_floor.py`).
- A key is revoked by deleting it through the real API of an installation of its own, one after the other; the time
  runs from the API's answer to the first 401.
- Versions: {versions}.
"""
