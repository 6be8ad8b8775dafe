"""What was earned, used and is still owed, added up: report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import click

from ironworks.cli.money import data_option, day, scope_option
from ironworks.cli.output import decimal, show_data, show_table, text_of
from ironworks.cli.session import fails_clearly, open_client, own_scope
from ironworks.sdk import Client

REPORTS: Final = {
    "revenue": "day, month, account, platform, tenant, kind",
    "usage": "day, month, account, platform, tenant, meter, model",
    "margin": "day, month, account, platform, tenant, meter, model (for the operator)",
    "unbilled": "account, platform, tenant",
    "receivables": "account, invoice",
}
DATED: Final = ("revenue", "usage", "margin")


@click.group()
def report() -> None:
    """What was earned, used and is still owed."""


def _show(name: str) -> click.Command:
    """The command of one report."""

    @click.pass_context
    @fails_clearly
    def show(ctx: click.Context, /, scope: str | None, output: str, file: Path | None, **query: Any) -> None:
        client = open_client(ctx)
        path = f"/api/v1/scopes/{own_scope(client, scope)}/reports/{name}"
        wanted = {"from" if key == "since" else "to" if key == "until" else key: value for key, value in query.items()}
        if file is not None:
            _save(client, path, wanted, file)
            return
        answer = client.request("GET", path, query=wanted)
        if output != "table":
            show_data(answer, output)
            return
        columns = answer["columns"]
        heads = [_head(column["name"]) for column in columns]
        show_table(heads, [[_cell(column, row[column["name"]]) for column in columns] for row in answer["items"]])

    words = REPORTS[name]
    show = click.option("--by", metavar="WORDS", help=f"Group by some of: {words.partition(' (')[0]}.")(show)
    if name in DATED:
        show = click.option("--until", "--to", "until", callback=day, metavar="DAY", help="The day after the last.")(
            show
        )
        show = click.option("--since", "--from", "since", callback=day, metavar="DAY",
                            help="The first day, in UTC (default: this month's).")(show)  # fmt: skip
    file = click.Path(dir_okay=False, path_type=Path)
    show = click.option("--file", type=file, metavar="NAME", help="Write to NAME.csv or NAME.parquet instead.")(show)
    return click.command(name, help=f"{_ABOUT[name]}\n\nGroups by {words}.")(scope_option(data_option(show)))


def _head(name: str) -> str:
    """`days_1_30` → 1-30 DAYS."""
    words = name.upper().replace("_", " ")
    return re.sub(r"^DAYS (\d+) (\d+)$", r"\1-\2 DAYS", words)


def _cell(column: dict[str, str], value: Any) -> str:
    return decimal(value) if column["type"] == "money" and value is not None else text_of(value)


_ABOUT: Final = {
    "revenue": "Show what was earned, as the ledger says.",
    "usage": "Show what was used, at base price.",
    "margin": "Show what is earned over what usage costs.",
    "unbilled": "Show what is owed and on no invoice yet.",
    "receivables": "Show what open invoices leave to pay, by age.",
}


def _save(client: Client, path: str, query: dict[str, Any], file: Path) -> None:
    """Write a report to a file whose name says in which format."""
    form = file.suffix.removeprefix(".")
    if form not in ("csv", "parquet"):
        raise click.BadParameter(f"{file.name!r} ends with neither .csv nor .parquet", param_hint="--file")
    content = client.download(path, query={**query, "format": form})
    file.write_bytes(content)
    click.echo(f"{file}: {len(content)} bytes")


for _name in REPORTS:
    report.add_command(_show(_name))


@report.group()
def costs() -> None:
    """What usage costs the operator."""


@costs.command("list")
@data_option
@click.pass_context
@fails_clearly
def list_costs(ctx: click.Context, output: str) -> None:
    """List cost rates with their versions."""
    items = list(open_client(ctx).items("/api/v1/cost-rates"))
    if output != "table":
        show_data({"items": items}, output)
        return
    heads = ("meter", "model", "unit_cost", "currency", "valid_from")
    show_table([head.upper().replace("_", " ") for head in heads], [[rate[head] for head in heads] for rate in items])


@costs.command("set")
@click.argument("meter")
@click.argument("unit_cost")
@click.option("--model", default="*", show_default=True, help="Only for this model.")
@click.option("--currency", default="USD", show_default=True, help="Of the cost.")
@click.option(
    "--from", "valid_from", callback=day, metavar="DAY", help="The first day it counts for (default: today, UTC)."
)
@data_option
@click.pass_context
@fails_clearly
def set_cost(
    ctx: click.Context, meter: str, unit_cost: str, model: str, currency: str, valid_from: str | None, output: str
) -> None:
    """Say what one unit of a meter costs, from a day on."""
    body = {"meter": meter, "model": model, "currency": currency, "unit_cost": unit_cost, "valid_from": valid_from}
    rate = open_client(ctx).request("POST", "/api/v1/cost-rates", body=body)
    if output != "table":
        show_data(rate, output)
        return
    click.echo(f"{rate['meter']} {rate['model']}: {rate['unit_cost']} {rate['currency']} from {rate['valid_from']} on")


COMMANDS = (report,)
