"""Closing periods, and the invoices that come of it, as rows."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from ironworks.cli.money import data_option, day, scope_option
from ironworks.cli.output import at_second, show_data, show_table
from ironworks.cli.resources import seconds_of
from ironworks.cli.session import TIMED_OUT, fails_clearly, open_client, own_scope
from ironworks.sdk import Client


def show_invoices(items: list[dict[str, Any]]) -> None:
    """Invoices as rows."""
    heads = ["INVOICE", "ACCOUNT", "FROM", "TO", "STATE", "TOTAL", "DUE", "CURRENCY", "DUE AT"]
    show_table(heads, map(_row, items))


def _row(invoice: dict[str, Any]) -> list[str]:
    name, total, due = invoice["number"], invoice["total"], invoice["due"]
    amounts = [total["amount"], due["amount"]] if name else ["-", "-"]  # a draft has none before it is finalized
    return [
        name or invoice["id"], invoice["account"], invoice["period_start"], invoice["period_end"], invoice["state"],
        *amounts, total["currency"], at_second(invoice["due_at"]),
    ]  # fmt: skip


@click.command()
@click.argument("account")
@click.option("--until", callback=day, metavar="DAY",
              help="The first day that is left out, in UTC (default: the month's beginning).")  # fmt: skip
@click.option("--wait/--no-wait", "wait_done", default=True, show_default=True, help="Until it is done.")
@click.option("--timeout", metavar="TIME", default="5m", show_default=True, help="30s, 5m or 1h.")
@data_option
@click.pass_context
@fails_clearly
def close(
    ctx: click.Context, account: str, until: str | None, wait_done: bool, timeout: str, output: str
) -> None:  # fmt: skip
    """Close an account's period now; a worker runs it.

    Only the operator may. --until tomorrow takes what today has had so far; the rest of it comes on the next invoice.
    """
    client, seconds = open_client(ctx), seconds_of(timeout)
    opened = client.request("POST", f"/api/v1/scopes/{account}/closes", body={"until": until} if until else {})
    if not wait_done:
        click.echo(f"close {opened['close_id']} is open; `ironworks invoices closes -s {account}` tells how far it is")
        return
    done = _follow(client, account, opened["close_id"], time.monotonic() + seconds)
    made = [
        invoice
        for invoice in client.items(f"/api/v1/scopes/{account}/invoices")
        if (invoice["period_start"], invoice["period_end"]) == (done["period_start"], done["period_end"])
    ]
    if output != "table":
        show_data({"close": done, "items": made}, output)
    elif made:
        show_invoices(made)
    else:
        click.echo(f"nothing was to be invoiced before {done['period_end']}", err=True)


def _follow(client: Client, account: str, close_id: str, deadline: float) -> dict[str, Any]:
    """The close once it is done; each step that it comes to is told on standard error."""
    told = ""
    while True:
        found = next(each for each in client.items(f"/api/v1/scopes/{account}/closes") if each["id"] == close_id)
        if found["state"] == "done":
            return found
        if found["state"] != told:
            told = found["state"]
            click.echo(f"{told} …", err=True)
        if time.monotonic() > deadline:
            click.echo(f"error: timed out: close {close_id} is {told}; is a worker running?", err=True)
            sys.exit(TIMED_OUT)
        time.sleep(0.2)


@click.command()
@scope_option
@data_option
@click.pass_context
@fails_clearly
def closes(ctx: click.Context, scope: str | None, output: str) -> None:
    """List closes, newest first."""
    client = open_client(ctx)
    items = list(client.items(f"/api/v1/scopes/{own_scope(client, scope)}/closes"))
    if output != "table":
        show_data({"items": items}, output)
        return
    rows = [[c["account"], c["period_start"], c["period_end"], c["state"], c["id"]] for c in items]
    show_table(["ACCOUNT", "FROM", "TO", "STATE", "CLOSE"], rows)
