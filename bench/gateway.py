"""Gateway benchmark: ours against Envoy as a bare proxy, LiteLLM's proxy and Portkey's gateway, one core each.

`python bench/gateway.py [--seconds 4] [--rounds 3] [--without litellm,portkey] [--requests 1000000] [--streams 5000]
[--revocations 100]` writes `docs/bench/gateway.md`; a number of 0 leaves that measurement out. Ours runs compiled
(decision 0018), which is done first where it has not been, and once more interpreted. The program under test has the
first core to itself, load and mock share the second. Every figure is the median of the rounds, and the programs take
turns within a round, so that a neighbour's load hits them all. CPU time per request is the figure that a busy machine
disturbs least; requests per second the one that a user would see on an idle one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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
from pathlib import Path
from typing import Any

import gateway_disk as disk
import gateway_memory as memory
import gateway_page as report
import gateway_rivals as rivals
from gateway_page import DIRECT, ENVOY, FLOOR, INTERPRETED, LITELLM, OURS, PORTKEY, UNSYNCED, Figures, Findings

HERE = Path(__file__).parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "bench" / "gateway.md"
TESTED_CORE, LOAD_CORE = 0, 1
CONNECTIONS = 64
KEY = "iwk_bench_7"
SCENARIOS: dict[str, dict[str, object]] = {
    "whole": {},
    "stream": {"stream": True},
    "late": {"seed": 20},
    "large": {"size": 100_000},
}
PARTS: dict[str, dict[str, Any]] = {
    "all of it, without sync": {"sync": False},
    "without the budget": {"sync": False, "parts": ["limits"]},
    "without limits and budget": {"sync": False, "parts": []},
}
"""Ours with less and less to do: what each part costs is the difference."""


@dataclass(frozen=True)
class Running:
    """A program under test; `lines` are header lines that it wants."""

    name: str
    port: int
    pid: int
    lines: tuple[str, ...] = ()


def request(what: dict[str, object], lines: tuple[str, ...] = ()) -> str:
    """The bytes of one chat completion; `size` is that of its prompt."""
    size = what.get("size", 0)
    asked = "Tell me a story. " * (int(size) // 17 if isinstance(size, int) else 0) or "Tell me a story"
    fields = {name: value for name, value in what.items() if name != "size"}
    body = {"model": "mock", **fields, "messages": [{"role": "user", "content": asked}]}
    text = json.dumps(body, separators=(",", ":"))
    head = ["POST /v1/chat/completions HTTP/1.1", "Host: gateway", f"Authorization: Bearer {KEY}", *lines]
    head += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    return "\r\n".join(head) + "\r\n\r\n" + text


def measure(program: Running, what: str, seconds: float, *, rate: float = 0.0) -> Figures:
    """One run of the load; `rate` paces it (requests/s), 0 lets every connection go as fast as it is answered."""
    seconds *= 3 if program.name in (LITELLM, PORTKEY) else 1
    config = {
        "port": program.port,
        "connections": CONNECTIONS if not rate else 8,
        "seconds": seconds,
        "rate": rate,
        "request": request(SCENARIOS[what], program.lines),
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
def started(
    name: str, command: list[str], port: int, core: int, within: float = 20.0, lines: tuple[str, ...] = (), **env: str
) -> Iterator[Running]:
    """Run `command` on `core` until the block ends; raises RuntimeError if it does not answer in time."""
    process = subprocess.Popen(
        pinned(core, command),
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(name, port, within, lines)
        yield Running(name, port, process.pid, lines)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(name: str, port: int, within: float, lines: tuple[str, ...]) -> None:
    """Until a whole request through `port` is answered with 200."""
    until = time.monotonic() + within
    head, _, body = request({}, lines).partition("\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    while time.monotonic() < until:
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"{name} did not answer within {within} s")


def compiled() -> Path:
    """The home below which the gateway's hot modules are compiled, as they are now."""
    home = rivals.cache()
    print("compiling ours, two minutes unless it is done already", flush=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "IRONWORKS_HOME": str(home)}
    subprocess.run([sys.executable, "-m", "ironworks.app", "compile"], env=environment, check=True, timeout=900)
    return home


@contextmanager
def ours(name: str, folder: Path, mock: int, home: Path | None, **config: object) -> Iterator[Running]:
    """Our gateway, with what `config` says; compiled below `home`, interpreted where that is None."""
    port = free_port()
    facts = {"port": port, "upstream": mock, "spool": str(folder / f"spool-{port}"), "sync": True, **config}
    program = ["gateway_ours.py"] if home is None else ["gateway_compiled.py", str(home)]
    command = [sys.executable, str(HERE / program[0]), *program[1:], json.dumps(facts)]
    with started(name, command, port, TESTED_CORE, PYTHONPATH=str(ROOT / "src")) as running:
        yield running


def start_all(stack: ExitStack, folder: Path, mock: int, home: Path, without: set[str]) -> list[Running]:
    """Every program, ready."""
    programs = [
        stack.enter_context(ours(name, folder, mock, where, sync=sync))
        for name, where, sync in ((OURS, home, True), (UNSYNCED, home, False), (INTERPRETED, None, True))
    ]
    for name, make in ((ENVOY, rivals.envoy), (LITELLM, rivals.litellm), (PORTKEY, rivals.portkey)):
        if name.lower() not in without:
            port = free_port()
            rival = make(port, mock, folder)
            running = started(
                name, rival.command, port, TESTED_CORE, rival.ready_within, rival.lines, **rival.environment
            )
            programs.append(stack.enter_context(running))
    return programs


def run(direct: Running, programs: list[Running], seconds: float, rounds: int) -> dict[str, dict[str, list[Figures]]]:
    """{measurement: {program: figures of each round}}."""
    results: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for what in SCENARIOS:
            for program in [*programs, direct]:
                results[what][program.name].append(measure(program, what, seconds))
                print(f"round {number + 1}: {program.name}, {what}: {results[what][program.name][-1]}", flush=True)
        for program in programs:
            half = statistics.median(f.rate for f in results["whole"][program.name]) / 2
            alone = measure(direct, "whole", seconds, rate=half)
            figures = measure(program, "whole", seconds, rate=half)
            added = Figures(half, figures.cpu, figures.p50 - alone.p50, figures.p99 - alone.p99, figures.errors)
            results["half"][program.name].append(added)
            print(f"round {number + 1}: {program.name}, added at half load: {added}", flush=True)
    return results


def take_apart(folder: Path, mock: int, home: Path, seconds: float, rounds: int) -> dict[str, float]:
    """CPU microseconds of a short request with less and less to do, down to bytes that are passed on unread."""
    found: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        programs = [stack.enter_context(ours(name, folder, mock, home, **config)) for name, config in PARTS.items()]
        port = free_port()
        command = [sys.executable, str(HERE / "gateway_floor.py"), json.dumps({"port": port, "upstream": mock})]
        programs.append(stack.enter_context(started(FLOOR, command, port, TESTED_CORE)))
        for number in range(rounds):
            for program in programs:
                found[program.name].append(measure(program, "whole", seconds).cpu)
                print(f"round {number + 1}: {program.name}: {found[program.name][-1]:.1f} µs a request", flush=True)
    return {name: statistics.median(values) for name, values in found.items()}


def measure_memory(program: Running, streams: int, requests: int) -> tuple[memory.Held | None, list[int]]:
    """What ours holds with `streams` open, and before and while `requests` pass."""
    config: dict[str, object] = {"port": program.port, "connections": streams, "rate": 0, "seconds": 120}
    body = {**config, "count": streams, "request": request({"stream": True, "seed": 1})}
    print(f"memory: {streams:,} streams at once, then {requests:,} requests", flush=True)
    held = memory.under_load(program.pid, body, LOAD_CORE, 200) if streams else None
    plain = {**config, "connections": CONNECTIONS, "request": request({})}
    return held, memory.many_requests(program.pid, plain, LOAD_CORE, requests) if requests else []


def revocations(count: int) -> list[float]:
    """Seconds from each revocation to the first refusal; in a process of its own, as it starts an installation."""
    print(f"revoking {count} keys of an installation of its own", flush=True)
    command = [sys.executable, str(HERE / "gateway_revoke.py"), str(count)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    out = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=900).stdout
    return list(json.loads(out.splitlines()[-1]))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--without", default="", help="of envoy, litellm, portkey; with commas")
    options.add_argument("--requests", type=int, default=1_000_000)
    options.add_argument("--streams", type=int, default=5_000)
    options.add_argument("--revocations", type=int, default=100)
    options.add_argument("--page", type=Path, default=PAGE)
    chosen = options.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    home = compiled()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ironworks-bench-", dir="/var/tmp")))
        mock = free_port()
        upstream = [sys.executable, str(HERE / "gateway_upstream.py"), str(mock)]
        direct = stack.enter_context(started(DIRECT, upstream, mock, LOAD_CORE))
        programs = start_all(stack, folder, mock, home, set(chosen.without.lower().split(",")))
        forced = disk.syncs(folder)
        results = run(direct, programs, chosen.seconds, chosen.rounds)
        parts = take_apart(folder, mock, home, chosen.seconds, chosen.rounds)
        held, sizes = measure_memory(programs[0], chosen.streams, chosen.requests)
    revoked = revocations(chosen.revocations) if chosen.revocations else []
    chosen.page.parent.mkdir(parents=True, exist_ok=True)
    found = Findings(
        results, parts, forced, held, sizes, chosen.requests, revoked, chosen.seconds, chosen.rounds, CONNECTIONS
    )
    chosen.page.write_text(report.page(found))
    print(f"written: {chosen.page}")


if __name__ == "__main__":
    main()
