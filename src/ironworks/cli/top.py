"""What is being used right now: top."""

from __future__ import annotations

import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from ironworks.cli.money import scope_option
from ironworks.cli.output import show_data, show_table
from ironworks.cli.session import fails_clearly, open_client, own_scope
from ironworks.cli.usage import INPUT, OUTPUT, ask, duration, durations, errors, key_names, over_time


@click.command()
@scope_option
@click.option("--by", type=click.Choice(["model", "key", "tenant", "route", "endpoint"]), default="model",
              show_default=True, help="What to put in order.")  # fmt: skip
@click.option("--minutes", type=click.IntRange(1, 180), default=5, show_default=True, help="How far back to look.")
@click.option(
    "--every", type=click.FloatRange(0.5, 3600), default=2.0, show_default=True, help="Seconds between looks."
)
@click.option("--once", is_flag=True, help="Look once and end.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
@fails_clearly
def top(ctx: click.Context, scope: str | None, by: str, minutes: int, every: float, once: bool, output: str) -> None:
    """Watch the busiest models or keys of the last minutes.

    Ctrl-C ends it. Where nobody looks on (no terminal, or JSON) it looks once.
    """
    client = open_client(ctx)
    place = own_scope(client, scope)
    names = key_names(client, place) if by == "key" else {}
    live = not once and output == "table" and sys.stdout.isatty()
    while True:
        since = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
        answer = ask(client, place, {"by": by, "since": since, "interval": "minute", "limit": 100})
        if output == "json":
            show_data(answer, output)
            return
        if live:
            click.echo("\x1b[H\x1b[J", nl=False)
        show_top(answer, names, rows=shutil.get_terminal_size().lines - 4 if live else 100)
        if not live:
            return
        try:
            time.sleep(every)
        except KeyboardInterrupt:
            return


def show_top(answer: dict[str, Any], names: dict[str, str], rows: int) -> None:
    """A line for all, and the busiest groups at the rate of the period."""
    seconds = max(1.0, (_moment(answer["until"]) - _moment(answer["since"])).total_seconds())
    click.echo(headline(answer, seconds))
    items = answer["items"][:rows]
    if not items:
        click.echo("nothing was used")
        return
    minutes = _minutes(answer["since"], answer["until"])
    heads = [answer["by"].upper(), "REQ/S", "TOKENS/S", "ERRORS", f"{answer['currency']}/H"]
    heads += ["P50", "P99", "TTFT P50", "TTFT P99", "PER MINUTE"]
    table = [
        [names.get(item["group"], item["group"]) or "-", *_rates(item, seconds), *durations(item),
         over_time(item, minutes)]
        for item in items
    ]  # fmt: skip
    show_table(heads, table)


def headline(answer: dict[str, Any], seconds: float) -> str:
    """What all together do."""
    total = answer["total"]
    requests, tokens, errors, cost = _rates(total, seconds)
    until = _moment(answer["until"]).astimezone(UTC)
    median = duration(total["latency_ms"] and total["latency_ms"]["p50"])
    return (
        f"{answer['scope']}  {until:%H:%M:%S} UTC, last {seconds / 60:.0f} min: {requests} requests/s,"
        f" {tokens} tokens/s, errors {errors}, {cost} {answer['currency']}/h, p50 {median}"
    )


def _rates(item: dict[str, Any], seconds: float) -> list[str]:
    tokens = sum(item["quantities"].get(m, 0) for m in (*INPUT, *OUTPUT))
    cost = "-" if item["cost_nano"] is None else f"{item['cost_nano'] / 1e9 / seconds * 3600:.4f}"
    return [f"{item['requests'] / seconds:.2f}", f"{tokens / seconds:.1f}", errors(item), cost]


def _minutes(since: str, until: str) -> list[str]:
    """Each minute of a period, as the server writes it."""
    at, end, found = _moment(since).replace(second=0, microsecond=0), _moment(until), []
    while at < end:
        found.append(at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        at += timedelta(minutes=1)
    return found


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


COMMANDS = (top,)
