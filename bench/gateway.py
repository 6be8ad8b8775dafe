"""Gateway benchmark: ours against Envoy as a bare proxy and LiteLLM's proxy, one core each, before one mock.

`python bench/gateway.py [--seconds 4] [--rounds 3] [--without-litellm]` writes `docs/bench/gateway.md`. The program
under test has the first core to itself, load and mock share the second. Every figure is the median of the rounds, and
the programs take turns within a round, so that a neighbour's load hits them all. Requests per second of its own CPU
time is the figure that a busy machine disturbs least; requests per second of wall time the one that a user would see
on an idle one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import gateway_rivals as rivals

HERE = Path(__file__).parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "bench" / "gateway.md"
TESTED_CORE, LOAD_CORE = 0, 1
CONNECTIONS = 64
KEY = "iwk_bench_7"
OURS, UNSYNCED, ENVOY, LITELLM, DIRECT = "ironworks", "ironworks, no sync", "Envoy", "LiteLLM", "no proxy"


@dataclass(frozen=True)
class Running:
    """A program under test."""

    name: str
    port: int
    pid: int


@dataclass(frozen=True)
class Figures:
    """One measurement; latencies in milliseconds, `cpu` in microseconds of CPU time per request."""

    rate: float
    cpu: float
    p50: float
    p99: float
    errors: int


def request(stream: bool) -> str:
    """The bytes of one chat completion."""
    body = {
        "model": "mock",
        **({"stream": True} if stream else {}),
        "messages": [{"role": "user", "content": "Tell me a story"}],
    }
    text = json.dumps(body, separators=(",", ":"))
    head = ["POST /v1/chat/completions HTTP/1.1", "Host: gateway", f"Authorization: Bearer {KEY}"]
    head += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    return "\r\n".join(head) + "\r\n\r\n" + text


def measure(program: Running, stream: bool, seconds: float, *, rate: float = 0.0) -> Figures:
    """One run of the load; `rate` paces it (requests/s), 0 lets every connection go as fast as it is answered."""
    connections = CONNECTIONS if not rate else 8
    seconds *= 3 if program.name == LITELLM else 1
    config = {
        "port": program.port,
        "connections": connections,
        "seconds": seconds,
        "rate": rate,
        "request": request(stream),
    }
    before = cpu_seconds(program.pid)
    command = pinned(LOAD_CORE, [sys.executable, str(HERE / "gateway_load.py"), json.dumps(config)])
    out = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60).stdout)
    used = cpu_seconds(program.pid) - before
    done = max(out["requests"], 1)
    return Figures(out["requests"] / out["seconds"], used / done * 1e6, out["p50"], out["p99"], out["errors"])


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its descendants so far."""
    parents: defaultdict[int, list[int]] = defaultdict(list)
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, rest = path.read_text().split(" ", 1)
        except OSError:
            continue
        fields = rest.rpartition(")")[2].split()
        parents[int(fields[1])].append(int(number))
        ticks[int(number)] = int(fields[11]) + int(fields[12])
    total, queue = 0, [pid]
    while queue:
        current = queue.pop()
        total += ticks.get(current, 0)
        queue += parents[current]
    return total / os.sysconf("SC_CLK_TCK")


def pinned(core: int, command: list[str]) -> list[str]:
    return ["taskset", "-c", str(core), *command]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def started(name: str, command: list[str], port: int, core: int, ready_within: float, **env: str) -> Iterator[Running]:
    """Run `command` on `core` until the block ends; raises RuntimeError if it does not answer in time."""
    process = subprocess.Popen(
        pinned(core, command),
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(name, port, ready_within)
        yield Running(name, port, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(name: str, port: int, within: float) -> None:
    """Until a whole request through `port` is answered with 200."""
    until = time.monotonic() + within
    head, _, body = request(stream=False).partition("\r\n\r\n")
    del head
    while time.monotonic() < until:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/chat/completions",
            data=body.encode(),
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"{name} did not answer within {within} s")


def start_all(stack: ExitStack, folder: Path, with_litellm: bool) -> list[Running]:
    """The mock and every program, ready."""
    python = [sys.executable]
    source = {"PYTHONPATH": str(ROOT / "src")}
    mock = free_port()
    upstream = [*python, str(HERE / "gateway_upstream.py"), str(mock)]
    programs = [stack.enter_context(started(DIRECT, upstream, mock, LOAD_CORE, 20))]
    for name, sync in ((OURS, True), (UNSYNCED, False)):
        port = free_port()
        config = {"port": port, "upstream": mock, "spool": str(folder / f"spool-{sync}"), "sync": sync}
        command = [*python, str(HERE / "gateway_ours.py"), json.dumps(config)]
        programs.append(stack.enter_context(started(name, command, port, TESTED_CORE, 20, **source)))
    for name, make in ((ENVOY, rivals.envoy), (LITELLM, rivals.litellm)):
        if name != LITELLM or with_litellm:
            port = free_port()
            rival = make(port, mock, folder)
            programs.append(
                stack.enter_context(
                    started(name, rival.command, port, TESTED_CORE, rival.ready_within, **rival.environment)
                )
            )
    return programs


def run(programs: list[Running], seconds: float, rounds: int) -> dict[str, dict[str, list[Figures]]]:
    """{measurement: {program: figures of each round}}."""
    results: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    proxies = [program for program in programs if program.name != DIRECT]
    for number in range(rounds):
        for program in programs:
            for what, stream in (("whole", False), ("stream", True)):
                figures = measure(program, stream, seconds)
                results[what][program.name].append(figures)
                print(f"round {number + 1}: {program.name}, {what}: {figures}", flush=True)
        for program in proxies:
            half = statistics.median(f.rate for f in results["whole"][program.name]) / 2
            direct = measure(programs[0], False, seconds, rate=half)
            figures = measure(program, False, seconds, rate=half)
            added = Figures(half, figures.cpu, figures.p50 - direct.p50, figures.p99 - direct.p99, figures.errors)
            results["half"][program.name].append(added)
            print(f"round {number + 1}: {program.name}, added at half load: {added}", flush=True)
    return results


def median(figures: list[Figures], field: str) -> float:
    return float(statistics.median(getattr(each, field) for each in figures))


def page(results: dict[str, dict[str, list[Figures]]], seconds: float, rounds: int) -> str:
    """The report, ratios first."""
    names = list(results["half"])
    ratios = [
        "| ours, sync on, against | requests per CPU second | requests/s | streams per CPU second | streams/s |",
        "|---|---|---|---|---|",
    ]
    for name in names:
        if name not in (OURS, UNSYNCED):
            cells = []
            for what in ("whole", "stream"):
                ours, theirs = results[what][OURS], results[what][name]
                cells.append(median(theirs, "cpu") / median(ours, "cpu"))
                cells.append(median(ours, "rate") / median(theirs, "rate"))
            ratios.append(f"| {name} | " + " | ".join(f"{cell:.2f}×" for cell in cells) + " |")
    table = [
        "| program | requests/s | CPU µs per request | streams/s | CPU µs per stream "
        "| added p50 / p99 at half load, ms | errors |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in [*names, DIRECT]:
        whole, stream, half = results["whole"][name], results["stream"][name], results["half"].get(name)
        added = (
            f"{median(half, 'p50'):.2f} / {median(half, 'p99'):.2f} at {median(half, 'rate'):.0f}/s" if half else "–"
        )
        errors = sum(each.errors for each in [*whole, *stream, *(half or [])])
        table.append(
            f"| {name} | {median(whole, 'rate'):,.0f} | {median(whole, 'cpu'):.1f} "
            f"| {median(stream, 'rate'):,.0f} | {median(stream, 'cpu'):.1f} | {added} | {errors} |"
        )
    return TEMPLATE.format(
        ratios="\n".join(ratios),
        table="\n".join(table),
        machine=machine(),
        seconds=seconds,
        rounds=rounds,
        connections=CONNECTIONS,
        when=datetime.now(UTC).date(),
        rivals=", ".join([rivals.ENVOY, *([rivals.LITELLM] if LITELLM in names else [])]),
    )


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

Written by `bench/gateway.py` on {when}; run it again rather than trust it for another machine.

{ratios}

More than 1× is in our favour. A program that needs more wall time than CPU time was waiting for its turn on a busy
machine; compare CPU then.

{table}

- Machine: {machine}.
- Each program is one process on one core; load and mock model server share another. {connections} kept connections,
  each with one request in flight, {seconds:g} s a run (LiteLLM three times that, or hardly an answer would fall into
  it), median of {rounds} rounds in which the programs take turns.
- A request is a short chat completion that the mock answers at once; a stream is 50 events, usage and `[DONE]`.
- Ours does its whole work: key check among 10,000 keys, 1,000 routes, JSON parsed and rewritten, usage read, opening
  and closing records in the spool, the closing one synced to disk before the answer ends ("no sync" leaves that out).
  Envoy forwards bytes. LiteLLM checks one key. Versions: {rivals}.
- "Added" is the latency at half of the program's own highest rate, less that of the mock alone at the same rate. The
  sync is part of ours: two syncs begin at least a millisecond apart, so up to one more is waited under load.
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--without-litellm", action="store_true")
    chosen = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ironworks-bench-")))
        programs = start_all(stack, folder, not chosen.without_litellm)
        results = run(programs, chosen.seconds, chosen.rounds)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(results, chosen.seconds, chosen.rounds))
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
