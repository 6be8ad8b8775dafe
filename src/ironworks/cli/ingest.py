"""Usage that was measured elsewhere: what can be counted, handing it in, and what could not be counted."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any, Final, TextIO

import click

from ironworks.cli.money import data_option, scope_option
from ironworks.cli.output import at_second, show_data, show_table
from ironworks.cli.session import fails_clearly, open_client, own_scope

BATCH: Final = 500
"""Events per request; the server takes a thousand."""


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@data_option
@click.pass_context
@fails_clearly
def send(ctx: click.Context, file: TextIO, output: str) -> None:
    """Hand in usage that was measured elsewhere.

    FILE holds CloudEvents 1.0 of type ironworks.usage.v1, as a JSON array or one to a line; `-` is standard input. Each
    counts once by its source and id, so sending a file again is safe. Exit code 1 if any event did not count.
    """
    client = open_client(ctx)
    events = read_events(file)
    counts: Counter[str] = Counter()
    items: list[dict[str, Any]] = []
    for start in range(0, len(events), BATCH):
        answer = client.request("POST", "/api/v1/usage", body={"events": events[start : start + BATCH]})
        for number, item in enumerate(answer["items"], start + 1):
            counts[item["outcome"]] += 1
            _tell(number, item)
        items += answer["items"]
    if output != "table":
        show_data({"items": items}, output)
    else:
        click.echo(", ".join(f"{counts[name]} {name}" for name in ("accepted", "duplicate", "conflict", "refused")))
    if counts["conflict"] or counts["refused"]:
        sys.exit(1)


def read_events(file: TextIO) -> list[Any]:
    """The events of a file. Raises click's ClickException for what is neither an array nor lines of JSON."""
    text = file.read()
    try:
        if text.lstrip().startswith("["):
            events: list[Any] = json.loads(text)
        else:
            events = [json.loads(line) for line in text.splitlines() if line.strip()]
    except json.JSONDecodeError as problem:
        raise click.ClickException(f"{file.name} is neither a JSON array nor one event to a line: {problem}") from None
    return events


def _tell(number: int, item: dict[str, Any]) -> None:
    """What is wrong with an event that did not count."""
    for problem in item["problems"]:
        remedy = f"; {problem['remedy']}" if problem["remedy"] else ""
        name = f" ({item['source']} {item['id']})" if item["source"] or item["id"] else ""
        text = f"event {number}{name}: {item['outcome']}: "
        click.echo(f"{text}{problem['field']}: {problem['problem']}{remedy}", err=True)


@click.command("set-aside")
@scope_option
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many.")
@data_option
@click.pass_context
@fails_clearly
def set_aside(ctx: click.Context, scope: str | None, limit: int, output: str) -> None:
    """List usage that was handed in and could not be counted."""
    client = open_client(ctx)
    path = f"/api/v1/scopes/{own_scope(client, scope)}/usage/set-aside"
    items = client.request("GET", path, query={"limit": limit})["items"]
    if output != "table":
        show_data({"items": items}, output)
        return
    rows = [[at_second(i["recorded_at"]), i["event_id"], i["reason"], i["problem"]] for i in items]
    show_table(["TIME", "EVENT", "REASON", "PROBLEM"], rows)


@click.command()
@data_option
@click.pass_context
@fails_clearly
def meters(ctx: click.Context, output: str) -> None:
    """List the meters that usage can be counted by, for the operator."""
    items = list(open_client(ctx).items("/api/v1/registry", category="meter"))
    if output != "table":
        show_data({"items": items}, output)
        return
    rows = [
        [i["name"], i["body"]["unit"], i["body"]["aggregation"], "" if i["usable"] else "off", i["body"]["description"]]
        for i in items
    ]
    show_table(["METER", "UNIT", "AGGREGATION", "", "WHAT IT COUNTS"], rows)
