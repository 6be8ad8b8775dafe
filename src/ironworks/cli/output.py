"""How resources and rows are shown: tables for people, JSON and YAML for machines, names for pipes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
import yaml

from ironworks.sdk import KindInfo

_NUMBER: Final = re.compile(r"-?[\d,]+(\.\d+)?( %| [A-Z]{3})?|-?")
FORMATS = ("table", "wide", "json", "yaml", "name")
output_option = click.option(
    "-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print."
)


def show_resources(items: Sequence[dict[str, Any]], kind: KindInfo, output: str, *, one: bool = False) -> None:
    """Print resources of one kind; `one`: a single resource rather than a list, for json and yaml."""
    if output in ("json", "yaml"):
        show_data(items[0] if one else {"items": list(items)}, output)
    elif output == "name":
        for item in items:
            click.echo(full_name(kind, item))
    elif items:
        show_table(*resource_table(items, kind, wide=output == "wide"))
    else:
        click.echo(f"no {kind.plural} here", err=True)


def full_name(kind: KindInfo, item: dict[str, Any]) -> str:
    """`endpoint/demo.app.dev/smollm2`: what every command takes back."""
    return f"{kind.name.lower()}/{item['metadata']['scope']}/{item['metadata']['name']}"


def resource_table(items: Iterable[dict[str, Any]], kind: KindInfo, *, wide: bool) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: SCOPE, NAME, the kind's columns, PHASE, AGE; `wide` adds labels and versions."""
    heads = ["SCOPE", "NAME", *map(_head, kind.columns), "PHASE", "AGE"]
    if wide:
        heads += ["LABELS", "GENERATION", "VERSION", "UID"]
    rows = []
    for item in items:
        meta = item["metadata"]
        phase = "Deleting" if meta.get("deletion_timestamp") else (item.get("status") or {}).get("phase", "")
        row = [meta["scope"], meta["name"], *(text_of(_at(item, c)) for c in kind.columns), phase]
        row.append(age(meta["creation_timestamp"]))
        if wide:
            labels = ",".join(f"{k}={v}" for k, v in sorted(meta["labels"].items())) or "-"
            row += [labels, str(meta["generation"]), str(meta["resource_version"]), meta["uid"]]
        rows.append(row)
    return heads, rows


def _head(column: str) -> str:
    """`spec.model.name` → MODEL: a second NAME would not say whose; `spec.scope` → OF: what it is about, where SCOPE is
    where it lives."""
    *above, last = column.split(".")
    if last == "scope":
        return "OF"
    return (above[-1] if last == "name" and len(above) > 1 else last).upper()


def show_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, two blanks apart, numbers to the right; plain text, so that it can be cut
    and grepped.
    """
    columns = [_aligned(column) for column in zip(heads, *rows, strict=True)]
    for line in zip(*columns, strict=True):
        click.echo("  ".join(line).rstrip())


def _aligned(column: Sequence[str]) -> list[str]:
    """A column's cells, its head first, in one width."""
    width = max(map(len, column))
    cells = column[1:]
    numbers = all(map(_NUMBER.fullmatch, cells)) and any(char.isdigit() for cell in cells for char in cell)
    return [cell.rjust(width) if numbers else cell.ljust(width) for cell in column]


def show_data(data: Any, output: str) -> None:
    """JSON or YAML."""
    if output == "yaml":
        click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip())
    else:
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def age(timestamp: str) -> str:
    """How long ago, in its largest unit: `42s`, `5m`, `3h`, `12d`."""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{max(0, seconds)}s"


def at_second(timestamp: str | None) -> str:
    """A moment without the part of a second that only machines read: `2026-03-01T12:00:00Z`."""
    return "-" if timestamp is None else re.sub(r"\.\d+", "", timestamp)


def decimal(amount: str) -> str:
    """An exact amount without zeros that say nothing, down to two places: `25.50`, `0.000012`."""
    whole, _, part = amount.partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"


def text_of(value: Any) -> str:
    """One cell."""
    if value is None or value == "":
        return "-"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value) or "-"
    if isinstance(value, list | dict):
        return json.dumps(value, separators=(",", ":")) if value else "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _at(item: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        item = item.get(part) if isinstance(item, dict) else None
    return item
