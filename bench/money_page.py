"""The page of the money benchmark: ratios and goals first, then what they come from."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bench.__main__ import machine

if TYPE_CHECKING:
    from bench.money_charge import Charged, Load
    from bench.money_close import Closing

GOAL: Final = 30_000
"""Requests a second."""
CLOSE_GOAL: Final = 60 / 10_000
"""Seconds for the close of one subscription's period."""
DAILY: Final = 100_000_000
"""Requests a day that the page looks ahead to."""


@dataclass(frozen=True)
class Reading:
    """Milliseconds: a tenant's balance, an account's, that of all; adding up the operator's revenue instead.

    `accounts`: how many ledger accounts there are, those of the closed subscriptions among them.
    """

    tenant: float
    account: float
    everything: float
    summed: float
    accounts: int


@dataclass(frozen=True)
class Findings:
    """All that was measured.

    Args:
        floor: plain COPY over one connection. charged: each load.
        delays: seconds from events to their commit, at `pace` requests/s.
    """

    floor: Charged
    charged: list[tuple[Load, Charged]]
    delays: list[float]
    pace: int
    batch: int
    reading: Reading
    transfers: int
    closing: Closing


def page(found: Findings) -> str:
    """The whole of it."""
    best = max((each for _, each in found.charged), key=lambda each: each.rate)
    return TEMPLATE.format(
        when=datetime.now(UTC).date(),
        machine=machine(),
        goals="\n".join(_table(("measured", "result", "goal"), _goals(found))),
        loads="\n".join(
            _table(("charged", "a second", "of COPY", "CPU µs: writer", "its Postgres", "both"), _loads(found))
        ),
        batch=found.batch,
        times=best.cpu / found.floor.cpu,
        rate=DAILY / 86_400,
        share=DAILY / 86_400 / best.rate,
        reading=found.reading,
        closing=found.closing,
    )


def _table(header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _goals(found: Findings) -> Iterator[tuple[str, str, str]]:
    for load, each in found.charged:
        if load.judged:
            told = f"{each.rate:,.0f} requests/s, {each.rate / found.floor.rate:.2f} of COPY"
            yield f"charged: {load.name}", _judged(told, each.rate >= GOAL), f"at least {GOAL:,} requests/s"
    closing = found.closing
    allowed = closing.subscriptions * CLOSE_GOAL
    told = f"{closing.seconds:.1f} s, {closing.rate:,.0f} a second"
    what = f"periods of {closing.subscriptions:,} subscriptions closed, {closing.lines} lines each"
    yield what, _judged(told, closing.seconds < allowed), f"under {allowed:g} s"
    p99 = statistics.quantiles(found.delays, n=100)[98]
    fresh = f"from the event to the commit that charged it, at {found.pace:,} requests/s: p99"
    yield fresh, _judged(f"{p99 * 1000:,.0f} ms", p99 < 2), "under 2,000 ms"
    for whose, milliseconds in (
        ("a tenant", found.reading.tenant),
        ("an account with 20 tenants", found.reading.account),
    ):
        told = _judged(f"{milliseconds:.2f} ms", milliseconds < 1)
        yield f"the balance of {whose}, {found.transfers:,} transfers in the ledger", told, "under 1 ms"


def _judged(text: str, met: bool) -> str:
    return f"**{text}**" if met else f"**{text}** (missed)"


def _loads(found: Findings) -> Iterator[tuple[str, ...]]:
    for name, each in _bars(found):
        cpu = (f"{part:.1f}" for part in (each.writer, each.postgres, each.cpu))
        yield name, f"{each.rate:,.0f}", f"{each.rate / found.floor.rate:.2f}", *cpu


def _bars(found: Findings) -> list[tuple[str, Charged]]:
    return [*((load.name, each) for load, each in found.charged), ("plain COPY, one connection", found.floor)]


def chart(found: Findings) -> str:
    """Requests a second by load, as an SVG of bars with the goal and COPY beside them."""
    bars = _bars(found)
    scale = 360 / max(GOAL, *(each.rate for _, each in bars))
    rows = []
    for n, (name, each) in enumerate(bars):
        y, width = 24 + 26 * n, each.rate * scale
        rows.append(f'<text x="242" y="{y + 13}" text-anchor="end">{name}</text>')
        rows.append(
            f'<rect x="250" y="{y}" width="{width:.0f}" height="18" fill="{_FLOOR if each is found.floor else _OURS}"/>'
        )
        rows.append(f'<text x="{256 + width:.0f}" y="{y + 13}">{each.rate:,.0f}</text>')
    height, goal = 30 + 26 * len(bars), 250 + GOAL * scale
    rows.append(
        f'<line x1="{goal:.0f}" y1="18" x2="{goal:.0f}" y2="{height - 6}" stroke="#b3261e" stroke-dasharray="4 3"/>'
    )
    rows.append(f'<text x="{goal:.0f}" y="12" text-anchor="middle" fill="#b3261e">goal</text>')
    body = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 {height}" font-family="sans-serif" font-size="12">\n'
        f"<title>Requests a second, charged</title>\n{body}\n</svg>\n"
    )


_OURS, _FLOOR = "#3b6ea5", "#9aa5b1"

TEMPLATE: Final = """# Money: how fast usage becomes transfers

Made {when} by `python -m bench.money` on {machine},
Postgres 18 with its defaults for durability. A request has three quantities; charged means: claimed, recorded, rated,
posted and committed, under the gateway's login role behind row-level security, in batches of {batch:,}, which is what a
gateway ships at most at once. Writers, Postgres and the installation's own processes share the cores. A deadlock, or
any other error of a writer, fails the run.

{goals}

![Requests a second by load, beside the goal and plain COPY](money.svg)

{loads}

COPY writes the same rows (a claim, an event, a row of three lines, with their indexes) in the same batches over one
connection: no policy is asked, no id looked up, nothing rated, nothing posted. The fastest line takes {times:.1f} times
its processor time. The CPU columns say what one request costs and hold better than the rates on a machine that is busy
besides; two cores cannot charge more than 2,000,000 / both.

Once a minute the worker adds up by hour and day what was charged: about 8 µs a request more, measured apart on a busy
machine. The CPU columns do not have it; the rates do, of the load that it falls into.

A balance is a kept snapshot and what was posted since: that of all {reading.accounts:,} ledger accounts takes
{reading.everything:.1f} ms; adding up the operator's revenue without a snapshot takes {reading.summed:,.0f} ms.

Closing took {closing.worker_cpu:.1f} s of the worker's processor time and {closing.postgres_cpu:.1f} s of Postgres's.

## How it grows

100 million requests a day are {rate:,.0f} a second, {share:.0%} of the fastest line above, and 100 million claims,
events and rows of rated lines and some million transfers to keep. What the design has for that:

- **Events** lie in a partition a month; a month past retention is dropped as a whole, and what the sums by hour and
  day say outlives it. **Claims** are forgotten after 40 days. Rows are only ever added at one end: ids and transfers
  sort by time, so what is written to is in memory, however much there is.
- **Transfers** grow with tenants × batches, not with requests, and a balance reads a snapshot and the newest rows, so
  neither depends on how many requests there were.
- **Rated lines** are what grows without bound, for an invoice opens into them. They come next: partitions by month, as
  events have, and months whose invoices are settled moved to files (Parquet in the object store) that `explain` reads.
- **Charging itself** keeps three rows for a request: its claim, its event, and its lines in one. A claim for a batch
  instead of one for each request would be the next thing, for gateways ship whole batches; then the event's JSON, of
  which the digest, the columns and the rollups each make their own.
- After that, a second database **by account**: no transfer, claim or line spans two accounts but for the operator's
  revenue, which is a sum of sums. Gateways then ship to the database of the account; everything else stays as it is.
"""
