"""`make bench`: every benchmark, one after the other, and the index of what they found.

Each writes its own page under `docs/bench/`; the index quotes every line of a page that has a goal, met or not.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs/bench"
BENCHMARKS = {
    "reconcile": ("how soon a change becomes true", ["-m", "bench.reconcile"]),
    "rows": ("what row-level security costs, in SQL and as whole HTTP requests", ["-m", "bench.rows"]),
    "money": ("how fast usage becomes transfers, and how soon; reading a balance", ["-m", "bench.money"]),
    "console": ("how fast the console comes, scrolls and answers, and what it keeps", ["-m", "bench.console"]),
    "gateway": ("requests and streams against Envoy, LiteLLM and Portkey, memory, revocation", ["bench/gateway.py"]),
}
"""Page → what it asks, and how Python runs it."""
PATIENCE = 3_600
"""Seconds after which a benchmark is given up."""


def main() -> int:
    """Run those that are named (all of them) and write the index; returns 1 if one failed."""
    failed = []
    for name in sys.argv[1:] or BENCHMARKS:
        began = time.monotonic()
        print(f"{name}: {BENCHMARKS[name][0]} …", flush=True)
        ran = subprocess.run(
            [sys.executable, *BENCHMARKS[name][1]], cwd=ROOT, timeout=PATIENCE, stdout=subprocess.DEVNULL
        )
        outcome = "failed" if ran.returncode else f"docs/bench/{name}.md"
        failed += [name] * bool(ran.returncode)
        print(f"{name}: {outcome} ({time.monotonic() - began:.0f} s)", flush=True)
    (PAGES / "README.md").write_text(index())
    print("docs/bench/README.md")
    return int(bool(failed))


def index() -> str:
    """The index of all pages there are."""
    pages = "\n".join(
        f"| [{name}]({name}.md) | {asks} | `python {' '.join(command)}` |"
        for name, (asks, command) in BENCHMARKS.items()
    )
    found = [
        f"| [{name}]({name}.md) | {' | '.join(line)} |"
        for name in BENCHMARKS
        if (PAGES / f"{name}.md").exists()
        for line in lines_with_goal((PAGES / f"{name}.md").read_text())
    ]
    return f"""# Benchmarks

What was measured, also where it falls short. `make bench` runs them all. Compare ratios within a page rather than
numbers between machines.

| page | asks | made by |
|---|---|---|
{pages}

| page | measured | result | goal |
|---|---|---|---|
{chr(10).join(found)}

Made {datetime.now(UTC).date()} on {machine()}. Each runs against parts of its own, on free
ports, and leaves nothing behind.
"""


def lines_with_goal(page: str) -> Iterator[tuple[str, str, str]]:
    """(what, result, goal) of every line of the page's tables that has a goal; a ratio to a rival has the goal 1×."""
    for header, rows in tables(page):
        for row in rows:
            if header[-1].startswith("goal") and row[-1]:
                result = next(cell for cell in row if cell.startswith("**"))
                limit = header[-1].partition(":")[2].strip()
                what = row[0] if header[0] == "measured" else f"{header[0]}: {row[0]}"
                yield what, result.replace("**", ""), f"{limit} {row[-1]}".strip()
            elif header[0].endswith("against"):
                for what, cell in zip(header[1:], row[1:], strict=True):
                    yield f"{header[0]} {row[0]}: {what}", cell, "at least 1×"


def tables(page: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """(header, rows) of each Markdown table."""
    for block in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
        header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
        yield header, rows


def machine() -> str:
    """What this ran on."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
        f" {platform.release()}, CPython {platform.python_version()} (load averages at the end {load})"
    )


if __name__ == "__main__":
    sys.exit(main())
