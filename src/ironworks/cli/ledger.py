"""The ledger: who owes whom, and every transfer."""

from __future__ import annotations

from itertools import islice
from typing import Any

import click

from ironworks.cli.money import data_option, scope_option
from ironworks.cli.output import at_second, decimal, show_data, show_table
from ironworks.cli.session import fails_clearly, open_client, own_scope
from ironworks.cli.usage import moment

purpose_option = click.option("--purpose", metavar="WORD", help="Only for this: receivable, due, credit, revenue, …")


@click.group()
def ledger() -> None:
    """Who owes whom, and every transfer behind it."""


@ledger.command()
@scope_option
@purpose_option
@data_option
@click.pass_context
@fails_clearly
def accounts(ctx: click.Context, scope: str | None, purpose: str | None, output: str) -> None:
    """List ledger accounts with their balances: debits less credits."""
    client = open_client(ctx)
    items = list(client.items(f"/api/v1/scopes/{own_scope(client, scope)}/ledger-accounts", purpose=purpose))
    if output != "table":
        show_data({"items": items}, output)
        return
    rows = [
        [i["scope"], i["purpose"], decimal(i["balance"]["amount"]), i["balance"]["currency"], i["id"]] for i in items
    ]
    show_table(["SCOPE", "PURPOSE", "BALANCE", "CURRENCY", "ID"], rows)


@ledger.command()
@scope_option
@click.option("--account", metavar="ID", help="Only to or from this ledger account (`ledger accounts` lists ids).")
@purpose_option
@click.option("--kind", metavar="WORD", help="Only of this kind: usage, invoice, payment, …")
@click.option("--since", "--from", "since", callback=moment, metavar="WHEN", help="Posted then or later.")
@click.option("--until", "--to", "until", callback=moment, metavar="WHEN", help="Posted before that.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@data_option
@click.pass_context
@fails_clearly
def transfers(
    ctx: click.Context,
    /,
    scope: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    output: str,
    **query: Any,
) -> None:
    """List transfers, newest first.

    `ironworks billing transfer ID` opens one into its requests.
    """
    client = open_client(ctx)
    path = f"/api/v1/scopes/{own_scope(client, scope)}/transfers"
    found = client.items(path, **query, **{"from": since, "to": until}, limit=min(limit, 500))
    items = list(islice(found, limit))
    if output != "table":
        show_data({"items": items}, output)
        return
    show_table(["POSTED", "KIND", "DEBIT", "CREDIT", "AMOUNT", "CURRENCY", "ID"], [_transfer(item) for item in items])


def _transfer(item: dict[str, Any]) -> list[str]:
    debit, credit = (f"{item[side]['purpose']} of {item[side]['scope']}" for side in ("debit", "credit"))
    moved = item["moved"]
    return [
        at_second(item["posted_at"]), item["kind"], debit, credit, decimal(moved["amount"]), moved["currency"],
        item["id"],
    ]  # fmt: skip


COMMANDS = (ledger,)
