"""The page of the console's benchmark: goals first, then what they come from."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from bench.__main__ import machine

SHELL_GOAL: Final = 200 * 1024
"""Bytes as they are sent, before any page and without fonts."""
PAINT_GOAL: Final = 1_000
"""Milliseconds to the first content."""
CALLS_GOAL: Final = 6
FRAME_GOAL: Final = 60
WORK_GOAL: Final = 12
"""Milliseconds of the main thread's processor time in a frame: of its 16.7, so that others may have some too."""
ANSWER_GOAL: Final = 100
"""Milliseconds within which an answer to a key feels immediate."""
HEAP_GOAL: Final = 2 * 1024 * 1024
"""Bytes that a hundred page changes may leave behind."""

Found = Mapping[str, Any]


def page(found: Found, sent: Mapping[str, int], rows: int) -> str:
    """The whole of it. `found` is what the browser measured, `sent` the files of a first visit with their bytes."""
    listed = found["list"]
    return TEMPLATE.format(
        when=datetime.now(UTC).date(),
        machine=machine(),
        rows=rows,
        goals="\n".join(_lines(found, sent, rows)),
        files=", ".join(f"{name.rpartition('.')[2]} {size / 1024:.0f} KB" for name, size in sent.items()),
        visit=found["shell"]["bytes"]["all"] / 1024,
        fonts=found["shell"]["bytes"]["fonts"] / 1024,
        repeat=len(found["shell"]["cold"]),
        paints="\n".join(_paints(found)),
        frames="\n".join(_frames(listed)),
        floor=listed["bare"]["cpu"] / listed["fling"]["cpu"],
        new=600 / listed["row"],
        elements=listed["elements"],
        palette="\n".join(_palette(found["palette"], listed["filter"])),
        calls=", ".join(f"{name} {count}" for name, count in sorted(found["calls"].items(), key=lambda one: -one[1])),
        heap=found["heap"],
        before=found["heap"]["before"]["bytes"] / 1024 / 1024,
        after=found["heap"]["after"]["bytes"] / 1024 / 1024,
    )


def _lines(found: Found, sent: Mapping[str, int], rows: int) -> Iterator[str]:
    size = sum(sent.values())
    yield _line("a first visit before any page, compressed, without fonts", f"{size / 1024:.0f} KB", size < SHELL_GOAL,
                f"under {SHELL_GOAL // 1024} KB")  # fmt: skip
    for what, visits in (("the sign-in", found["shell"]), ("the overview, signed in", found["page"])):
        first = statistics.median(visit["first"] for visit in visits["cold"])
        yield _line(f"first content of {what}, nothing in the cache", f"{first:,.0f} ms", first < PAINT_GOAL,
                    f"under {PAINT_GOAL:,} ms")  # fmt: skip
    calls = max(found["calls"].values())
    yield _line("calls to the API of a page, the most", str(calls), calls <= CALLS_GOAL, f"at most {CALLS_GOAL}")
    listed = found["list"]
    for what, name in (("a reader's pace", "walk"), ("a fling's", "fling")):
        rate = 1000 / listed[name]["p50"]
        yield _line(f"{rows:,} rows scrolled at {what}: frames a second, p50", f"{rate:.0f}", rate > FRAME_GOAL - 1,
                    str(FRAME_GOAL))  # fmt: skip
    work = listed["fling"]["cpu"]
    yield _line("processor time of the main thread in a frame of a fling", f"{work:.1f} ms", work < WORK_GOAL,
                f"under {WORK_GOAL} ms")  # fmt: skip
    slow = _p(found["palette"]["letters"], 95)
    yield _line(f"a letter in the palette, {rows:,} resources, until it is painted: p95", f"{slow:.0f} ms",
                slow < ANSWER_GOAL, f"under {ANSWER_GOAL} ms")  # fmt: skip
    kept = found["heap"]["after"]["bytes"] - found["heap"]["before"]["bytes"]
    yield _line("memory that 100 page changes leave behind", f"{max(0, kept) / 1024 / 1024:.1f} MiB", kept < HEAP_GOAL,
                f"under {HEAP_GOAL // 1024 // 1024} MiB")  # fmt: skip


def _line(what: str, told: str, met: bool, goal: str) -> str:
    return f"| {what} | **{told}**{'' if met else ' (missed)'} | {goal} |"


def _paints(found: Found) -> Iterator[str]:
    for what, visits in (("sign-in", found["shell"]), ("overview", found["page"])):
        for cache in ("cold", "warm"):
            first, largest = ([visit[paint] for visit in visits[cache]] for paint in ("first", "largest"))
            yield (f"| {what}, {cache} cache | {statistics.median(first):,.0f} ms | {max(first):,.0f} ms"
                   f" | {statistics.median(largest):,.0f} ms | {max(largest):,.0f} ms |")  # fmt: skip


def _frames(listed: Found) -> Iterator[str]:
    for what, name in (
        ("120 px a frame, while it loads", "loading"),
        ("120 px a frame, all loaded", "walk"),
        ("600 px a frame, all loaded", "fling"),
        ("600 px a frame, empty boxes in place of rows", "bare"),
    ):
        one = listed[name]
        yield (f"| {what} | {1000 / one['p50']:.0f} | {one['cpu']:.1f} ms | {one['p99']:.1f} ms | {one['worst']:.0f} ms"
               f" | {one['dropped']:,} of {one['count'] + one['dropped']:,} |")  # fmt: skip
    opened = listed["opened"]
    middle = statistics.median(opened)
    yield f"| opened, from the click to its first rows: median, worst | | | {middle:.0f} ms | {max(opened):.0f} ms | |"


def _palette(palette: Found, filtered: list[float]) -> Iterator[str]:
    for what, times in (
        ("the palette opens", palette["opened"]),
        ("a letter in the palette is painted", palette["letters"]),
        ("resources that the API finds are shown, from the last letter", palette["found"]),
        ("a letter in the list's filter is painted", filtered),
    ):
        yield f"| {what} | {statistics.median(times):.0f} ms | {_p(times, 95):.0f} ms | {max(times):.0f} ms |"


def _p(times: list[float], share: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[share - 1]


TEMPLATE: Final = """# The console: how it feels

Made {when} by `make bench-console` on {machine}:
the built console, served by an installation of its own, in headless Chromium without a GPU. Browser, API, database and
the measuring script share the cores; nothing is slowed down and nothing is mocked. The list and the palette have
{rows:,} API keys before them.

| measured | result | goal |
|---|---|---|
{goals}

A first visit takes {visit:.0f} KB over the wire with headers and answers, {fonts:.0f} KB of it fonts, which come after
the first paint. Before any page: {files}. Medians and worst of {repeat} visits, each cold one with an
empty cache:

| paint | first, median | worst | largest, median | worst |
|---|---|---|---|---|
{paints}

## The list

{rows:,} rows in pages of 500, all of them scrolled through by a script that moves the list in each frame. The worst 1 %
is the 99th percentile of the time between frames; a dropped frame is one that the screen would have shown twice. The
processor time is the main thread's: what a frame costs however busy the machine is besides. The empty boxes are what
this browser can do at best: as many as the list draws rows, as high, moved by ten lines of script; their fling takes
{floor:.0%} of the processor time of the list's, the rest are {new:.0f} new rows a frame with what is in them. With all
rows loaded the document holds {elements:,} elements.

| {rows:,} rows | frames a second, p50 | processor a frame | worst 1 % | worst | dropped |
|---|---|---|---|---|---|
{frames}

| until it is on the screen | median | p95 | worst |
|---|---|---|---|
{palette}

## Calls and memory

Calls of each page, without those that the shell makes once: {calls}.

After garbage is collected: {before:.1f} MiB once every page was seen, {after:.1f} MiB after 100 page changes more;
{heap[before][nodes]:,.0f} and {heap[after][nodes]:,.0f} nodes, {heap[before][listeners]:,.0f} and
{heap[after][listeners]:,.0f} listeners.
"""
