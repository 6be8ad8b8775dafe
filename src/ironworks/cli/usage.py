"""How much was used, what it cost and how well it went: usage."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from ironworks.cli.ingest import meters, send, set_aside
from ironworks.cli.money import data_option, scope_option
from ironworks.cli.output import at_second, show_data, show_table
from ironworks.cli.session import fails_clearly, open_client, own_scope
from ironworks.sdk import ApiError, Client

UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
BLOCKS: Final = "▁▂▃▄▅▆▇█"
BAR: Final = 16
"""Characters of the longest bar."""
GROUPS: Final = ("tenant", "key", "route", "model", "endpoint", "target", "hour", "day", "user")
TIMES: Final = ("minute", "hour", "day")
INPUT: Final = ("input_tokens", "cached_input_tokens", "input_audio_tokens")
OUTPUT: Final = ("output_tokens", "reasoning_tokens", "output_audio_tokens")


def moment(_: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A moment in ISO 8601 of itself, or of how long ago it was: `90m`, `24h`, `7d`, `2w`."""
    if value is None:
        return None
    if ago := re.fullmatch(r"(\d{1,5})([mhdw])", value):
        return (datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})).isoformat()
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no moment: say 7d, 24h or 2026-03-01T00:00:00Z", param=option) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


def grouping(_: click.Context, option: click.Parameter, value: str) -> str:
    """A word to group by."""
    if value not in GROUPS and not re.fullmatch(r"metadata:.{1,64}", value):
        raise click.BadParameter(f"{value!r} is none of {', '.join(GROUPS)} and metadata:NAME", param=option)
    return value


@click.group(invoke_without_command=True)
@scope_option
@click.option(
    "--by",
    callback=grouping,
    default="model",
    show_default=True,
    metavar="WHAT",
    help=f"{', '.join(GROUPS)} or metadata:NAME.",
)
@click.option(
    "--since",
    "--from",
    "since",
    callback=moment,
    default="30d",
    show_default=True,
    metavar="WHEN",
    help="From then on: 7d, 24h, or a moment in ISO 8601.",
)
@click.option("--until", "--to", "until", callback=moment, metavar="WHEN", help="Up to then (default: now).")
@click.option("--interval", type=click.Choice(TIMES), help="Also how each group went over time.")
@click.option("--sort", type=click.Choice(["requests", "tokens", "cost", "errors"]), default="requests",
              show_default=True, help="Largest first.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="So many groups at most.")
@click.option("--model", help="Only this model.")
@click.option("--route", help="Only what was called by this name.")
@click.option("--endpoint", metavar="PATH/NAME", help="Only what this endpoint served.")
@click.option("--key", metavar="UID", help="Only what this key called.")
@data_option
@click.pass_context
@fails_clearly
def usage(ctx: click.Context, /, scope: str | None, output: str, **query: Any) -> None:
    """Sum up what a scope and all below it used."""
    if ctx.invoked_subcommand:
        return
    client = open_client(ctx)
    place = own_scope(client, scope)
    answer = ask(client, place, query)
    if output != "table":
        show_data(answer, output)
        return
    names = key_names(client, place) if query["by"] == "key" else {}
    show_table(*usage_table(answer, names, bars=sys.stdout.isatty(), sort=query["sort"]))


@click.command()
@click.argument("name", metavar="METER")
@scope_option
@click.option("--by", default="", metavar="WORDS", help="tenant, model, route, endpoint, key, dimension:NAME.")
@click.option("--every", type=click.Choice(["hour", "day"]), default="day", show_default=True)
@click.option("--since", callback=moment, default="30d", show_default=True, metavar="WHEN", help="From then on.")
@click.option("--until", callback=moment, metavar="WHEN", help="Up to then (default: now).")
@data_option
@click.pass_context
@fails_clearly
def meter(ctx: click.Context, /, name: str, scope: str | None, output: str, **query: Any) -> None:
    """Show what a meter counted, by hour or day.

    METER is a registered usage unit, such as input_tokens; `events` counts the events themselves.
    """
    client = open_client(ctx)
    asked = {"from": query["since"], "to": query["until"], "every": query["every"], "group_by": query["by"]}
    path = f"/api/v1/scopes/{own_scope(client, scope)}/usage/meters/{name}"
    answer = client.request("GET", path, query={word: value for word, value in asked.items() if value})
    if output != "table":
        show_data(answer, output)
        return
    words = [word for word in query["by"].split(",") if word]
    rows = [
        [at_second(p["at"]), *(p["group"].get(word) or "-" for word in words), str(p["quantity"])]
        for p in answer["items"]
    ]
    show_table([query["every"].upper(), *(word.upper() for word in words), "QUANTITY"], rows)


def ask(client: Client, scope: str, query: dict[str, Any]) -> dict[str, Any]:
    """The server's answer to a question about a scope."""
    answer: dict[str, Any] = client.request("GET", f"/api/v1/scopes/{scope}/analytics", query=query)
    return answer


def key_names(client: Client, scope: str) -> dict[str, str]:
    """uid → `path/name` of keys, as far as the caller may see any."""
    try:
        items = client.request("GET", f"/api/v1/scopes/{scope}/api-keys", query={"limit": 500})["items"]
    except ApiError:
        return {}
    return {item["metadata"]["uid"]: f"{item['metadata']['scope']}/{item['metadata']['name']}" for item in items}


def usage_table(
    answer: dict[str, Any], names: dict[str, str], *, bars: bool, sort: str
) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: one per group, and all together; at the end how it went over time, or a bar."""
    items = [(names.get(item["group"], item["group"]) or "-", item) for item in answer["items"]]
    others = sorted({m for _, item in items for m in item["quantities"] if m not in (*INPUT, *OUTPUT)})
    heads = [answer["by"].upper(), "REQUESTS", "ERRORS", "INPUT", "OUTPUT", *(m.upper() for m in others)]
    heads += [f"COST {answer['currency']}", "P50", "P99", "TTFT P50", "TTFT P99"]
    rows = [[name, *_cells(item, others)] for name, item in items]
    if len(items) != 1:
        rows.append(["all", *_cells(answer["total"], others)])
    if answer["interval"]:
        at = sorted({point["at"] for _, item in items for point in item["series"]})
        drawn = [over_time(item, at) for _, item in items]
    elif bars:
        drawn = bars_of([_weight(item, sort) for _, item in items])
    else:
        return heads, rows
    heads.append(f"PER {answer['interval'].upper()}" if answer["interval"] else "")
    return heads, [[*row, drawn[n] if n < len(drawn) else ""] for n, row in enumerate(rows)]


def _cells(item: dict[str, Any], others: Sequence[str]) -> list[str]:
    used = item["quantities"]
    return [
        str(item["requests"]),
        errors(item),
        str(sum(used.get(m, 0) for m in INPUT)),
        str(sum(used.get(m, 0) for m in OUTPUT)),
        *(str(used.get(m, 0)) for m in others),
        money(item["cost"]),
        *durations(item),
    ]


def errors(item: dict[str, Any]) -> str:
    """Refusals and failures together; `-` where they are not known."""
    if item["client_errors"] is None:
        return "-"
    return str(item["client_errors"] + item["server_errors"])


def durations(item: dict[str, Any]) -> list[str]:
    """p50 and p99 of the whole answer and of its first token."""
    return [duration(item[name] and item[name][q]) for name in ("latency_ms", "first_token_ms") for q in ("p50", "p99")]


def duration(milliseconds: float | None) -> str:
    """`12ms`, `3.4s`, `2m05s`; `-` for none."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1000:
        return f"{milliseconds:.0f}ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f}s" if seconds < 60 else f"{seconds // 60:.0f}m{seconds % 60:02.0f}s"


def money(amount: str | None) -> str:
    """An exact decimal without zeros that say nothing; `-` where it may not be seen."""
    if amount is None:
        return "-"
    return amount.rstrip("0").rstrip(".") if "." in amount else amount


def sparkline(values: Sequence[float]) -> str:
    """One block per value, as high as it is of the largest."""
    top = max(values, default=0)
    return "".join(BLOCKS[round(value / top * (len(BLOCKS) - 1))] if value else " " for value in values)


def bars_of(values: Sequence[float]) -> list[str]:
    """A bar per value, as long as it is of the largest."""
    top = max(values, default=0)
    return ["█" * max(1, round(value / top * BAR)) if value else "" for value in values]


def over_time(item: dict[str, Any], moments: Sequence[str]) -> str:
    """A group's requests at each of these moments."""
    counts = {point["at"]: point["requests"] for point in item["series"]}
    return sparkline([counts.get(at, 0) for at in moments])


def _weight(item: dict[str, Any], sort: str) -> float:
    used = item["quantities"]
    return float(
        {
            "tokens": sum(used.get(m, 0) for m in (*INPUT, *OUTPUT)),
            "cost": item["cost_nano"] or 0,
            "errors": (item["client_errors"] or 0) + (item["server_errors"] or 0),
            "requests": item["requests"],
        }[sort]
    )


for command in (send, set_aside, meter, meters):
    usage.add_command(command)
COMMANDS = (usage,)
