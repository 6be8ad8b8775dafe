"""The page of the money benchmark."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import dataclass
from typing import Final

DAILY: Final = 100_000_000
"""Requests a day that the page looks ahead to."""


@dataclass(frozen=True)
class Reading:
    """Milliseconds: a tenant's balance, an account's, that of all; adding up the operator's revenue instead."""

    tenant: float
    account: float
    everything: float
    summed: float


def page(
    floor: float, rates: dict[str, float], delays: list[float], reading: Reading, transfers: int, batch: int, pace: int
) -> str:
    """What was measured, as the page says it."""
    where = f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}"
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    rows = "\n".join(
        f"| charged: {name} | **{rate:,.0f} requests/s** ({rate / floor:.2f} of COPY) | at least 30,000 requests/s |"
        for name, rate in rates.items()
    )
    p99 = statistics.quantiles(delays, n=100)[98]
    fastest = max(rates.values())
    share = f"{DAILY / 86_400:,.0f} a second, {DAILY / 86_400 / fastest:.0%} of the fastest line above"
    fresh = f"from the event to the commit that charged it, at {pace:,} requests/s: p99"
    return f"""# Money: how fast usage becomes transfers

Made by `python -m bench.money` on {where} (load averages at the end
{load}), Postgres 18 with its defaults for durability. A request has three quantities; charged means: claimed, recorded,
rated, posted and committed, under the gateway's login role behind row-level security, in batches of {batch:,}. Writers,
Postgres and the installation's own worker share the cores. A deadlock, or any other error of a writer, fails the run.

| measured | result | goal |
|---|---|---|
{rows}
| plain COPY of the same rows (one event, three lines) by a superuser | {floor:,.0f} requests/s | |
| {fresh} | **{p99 * 1000:,.0f} ms** | under 2,000 ms |
| a tenant's balance, {transfers:,} transfers in the ledger | **{reading.tenant:.2f} ms** | under 1 ms |
| the balance of an account with 20 tenants | **{reading.account:.2f} ms** | under 1 ms |
| the balance of everything: 1,001 ledger accounts | {reading.everything:.1f} ms | |
| the operator's revenue, added up without a snapshot | {reading.summed:,.0f} ms | |

## How it grows

100 million requests a day are {share}, and
100 million events, 300 million rated lines and some million transfers to keep. Claims, events and lines are only ever
added at one end; what was invoiced is read for disputes alone. Rated lines by month, as events are, and months that are
over moved to files, are the next step, before a second database: one by account, since no transfer crosses two.
"""
