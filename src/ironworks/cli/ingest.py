"""Handing in usage that was measured elsewhere: `ironworks usage send FILE`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any, Final, TextIO

import click

from ironworks.cli.session import fails_clearly, open_client

BATCH: Final = 500
"""Events per request; the server takes a thousand."""


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@click.pass_context
@fails_clearly
def send(ctx: click.Context, file: TextIO) -> None:
    """Hand in usage that was measured elsewhere.

    FILE holds CloudEvents 1.0 of type ironworks.usage.v1, as a JSON array or one to a line; `-` is standard input. Each
    counts once by its source and id, so sending a file again is safe. Exit code 1 if any event did not count.
    """
    client = open_client(ctx)
    events = read_events(file)
    counts: Counter[str] = Counter()
    for start in range(0, len(events), BATCH):
        answer = client.request("POST", "/api/v1/usage", body={"events": events[start : start + BATCH]})
        for number, item in enumerate(answer["items"], start + 1):
            counts[item["outcome"]] += 1
            _tell(number, item)
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
        text = f"event {number} ({item['source']} {item['id']}): {item['outcome']}: "
        click.echo(f"{text}{problem['field']}: {problem['problem']}{remedy}", err=True)
