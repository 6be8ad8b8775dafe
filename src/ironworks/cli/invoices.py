"""Invoices: what accounts are asked to pay, the documents, and what is behind each line."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from ironworks.cli.money import data_option, scope_option
from ironworks.cli.output import show_data, show_table, text_of
from ironworks.cli.session import fails_clearly, open_client, own_scope
from ironworks.sdk import Client

reason_option = click.option("--reason", required=True, help="Why; the audit trail and the invoice keep it.")


@click.group()
def invoices() -> None:
    """What accounts are asked to pay, and why.

    INVOICE is a number (ACME-000001) or an id.
    """


def _pages(client: Client, path: str, **query: Any) -> Iterator[dict[str, Any]]:
    """Every item of a list, page by page."""
    cursor = None
    while True:
        page = client.request("GET", path, query={**query, "cursor": cursor})
        yield from page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            return


@invoices.command("list")
@scope_option
@click.option(
    "--state",
    type=click.Choice(["draft", "finalized", "paid", "void", "uncollectible"]),
    help="Only those in this state.",
)
@data_option
@click.pass_context
@fails_clearly
def list_invoices(ctx: click.Context, scope: str | None, state: str | None, output: str) -> None:
    """List invoices, newest first ('-s -': everybody's)."""
    client = open_client(ctx)
    account = own_scope(client, scope)
    items = list(_pages(client, f"/api/v1/scopes/{account}/invoices", state=state))
    if output != "table":
        show_data({"items": items}, output)
        return
    show_table(["NUMBER", "ACCOUNT", "FROM", "TO", "STATE", "TOTAL", "DUE", "CURRENCY", "DUE AT"], map(_row, items))


def _row(invoice: dict[str, Any]) -> list[str]:
    total, due = invoice["total"], invoice["due"]
    return [
        invoice["number"] or invoice["id"], invoice["account"], invoice["period_start"], invoice["period_end"],
        invoice["state"], total["amount"], due["amount"], total["currency"], text_of(invoice["due_at"]),
    ]  # fmt: skip


@invoices.command()
@click.argument("invoice")
@data_option
@click.pass_context
@fails_clearly
def show(ctx: click.Context, invoice: str, output: str) -> None:
    """Print an invoice with its lines."""
    client = open_client(ctx)
    detail = client.request("GET", f"/api/v1/invoices/{invoice}")
    lines = list(_pages(client, f"/api/v1/invoices/{invoice}/lines"))
    if output != "table":
        show_data({**detail, "lines": lines}, output)
        return
    about = detail["invoice"]
    click.echo(f"{about['number'] or 'draft'}  {about['account']}  {about['state']}")
    click.echo(f"{about['period_start']} to {about['period_end']}, that day not included (UTC)")
    show_table(["TENANT", "WHAT", "MODEL", "QUANTITY", "UNIT PRICE", "AMOUNT", "LINE"], map(_line, lines))
    for label in ("rounding", "tax", "total", "credit", "noted", "paid", "due"):
        click.echo(f"{label:<9} {about[label]['amount']:>18} {about[label]['currency']}")


def _line(line: dict[str, Any]) -> list[str]:
    words = [line[name] or "" for name in ("scope", "description", "model", "quantity", "unit_price")]
    return [*words, line["amount"]["amount"], line["id"]]


@invoices.command()
@click.argument("line")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many.")
@data_option
@click.pass_context
@fails_clearly
def explain(ctx: click.Context, line: str, limit: int, output: str) -> None:
    """Open a line into the requests behind it.

    LINE is an id that `invoices show` prints; `ironworks billing explain` goes on from a request.
    """
    page = open_client(ctx).request("GET", f"/api/v1/invoice-lines/{line}", query={"limit": limit})
    if output != "table":
        show_data(page, output)
        return
    rows = [
        [item["request_id"], item["day"], str(item["quantity"]), item["amount"]["amount"], item["transfer_id"]]
        for item in page["items"]
    ]
    rows += [["-", "-", "-", page["line"]["amount"]["amount"], transfer] for transfer in page["transfers"]]
    show_table(["REQUEST", "DAY", "QUANTITY", "AMOUNT", "TRANSFER"], rows)


@invoices.command()
@click.argument("invoice")
@click.option("-f", "--format", "kind", type=click.Choice(["pdf", "html", "csv", "json"]), default="pdf",
              show_default=True, help="Which document.")  # fmt: skip
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="The file (default: by the number).")
@click.pass_context
@fails_clearly
def pdf(ctx: click.Context, invoice: str, kind: str, to: Path | None) -> None:
    """Save an invoice as a document: PDF, HTML, CSV or JSON."""
    content = open_client(ctx).download(f"/api/v1/invoices/{invoice}/document", query={"format": kind})
    file = to or Path(f"{invoice}.{kind}")
    file.write_bytes(content)
    click.echo(str(file))


@invoices.command()
@click.argument("account")
@click.option("--until", metavar="DAY", help="The first day that is left out (default: the month's beginning).")
@click.pass_context
@fails_clearly
def close(ctx: click.Context, account: str, until: str | None) -> None:
    """Close an account's period now, for the operator; a worker runs it."""
    body = {"until": until} if until else {}
    opened = open_client(ctx).request("POST", f"/api/v1/scopes/{account}/closes", body=body)
    click.echo(f"close {opened['close_id']} is open; `ironworks invoices closes -s {account}` tells how far it is")


@invoices.command()
@scope_option
@data_option
@click.pass_context
@fails_clearly
def closes(ctx: click.Context, scope: str | None, output: str) -> None:
    """List closes, newest first."""
    client = open_client(ctx)
    items = list(_pages(client, f"/api/v1/scopes/{own_scope(client, scope)}/closes"))
    if output != "table":
        show_data({"items": items}, output)
        return
    rows = [[c["account"], c["period_start"], c["period_end"], c["state"], c["id"]] for c in items]
    show_table(["ACCOUNT", "FROM", "TO", "STATE", "CLOSE"], rows)


@invoices.command()
@click.argument("invoice")
@click.pass_context
@fails_clearly
def finalize(ctx: click.Context, invoice: str) -> None:
    """Give a draft its number, for the operator."""
    made = open_client(ctx).request("POST", f"/api/v1/invoices/{invoice}:finalize")
    click.echo(f"{made['number']}  {made['total']['amount']} {made['total']['currency']}  {made['state']}")


@invoices.command()
@click.argument("invoice")
@reason_option
@click.pass_context
@fails_clearly
def void(ctx: click.Context, invoice: str, reason: str) -> None:
    """Take an invoice back; what it was for comes on the next one."""
    made = open_client(ctx).request("POST", f"/api/v1/invoices/{invoice}:void", body={"reason": reason})
    click.echo(f"{made['number'] or made['id']}  {made['state']}")


@invoices.command("write-off")
@click.argument("invoice")
@reason_option
@click.pass_context
@fails_clearly
def write_off(ctx: click.Context, invoice: str, reason: str) -> None:
    """Give up on what is open of an invoice, for the operator."""
    made = open_client(ctx).request("POST", f"/api/v1/invoices/{invoice}:write-off", body={"reason": reason})
    click.echo(f"{made['number']}  {made['state']}")


@invoices.command()
@click.argument("invoice")
@click.argument("amount")
@reason_option
@click.option("--reference", required=True, help="The same one again issues nothing more.")
@click.option("--refund", is_flag=True, help="What was paid already goes back; else it becomes prepaid credit.")
@click.pass_context
@fails_clearly
def credit(ctx: click.Context, invoice: str, amount: str, reason: str, reference: str, refund: bool) -> None:
    """Issue a credit note over AMOUNT, for instance 12.50 with its taxes."""
    try:
        amount_nano = int(Decimal(amount).scaleb(9))
    except (InvalidOperation, ValueError, OverflowError):
        raise click.UsageError(f"{amount!r} is no amount") from None
    body = {"amount_nano": amount_nano, "reason": reason, "reference": reference, "refund": refund}
    note = open_client(ctx).request("POST", f"/api/v1/invoices/{invoice}/credit-notes", body=body)
    click.echo(f"{note['number']}  {note['amount']['amount']} {note['amount']['currency']}")


COMMANDS = (invoices,)
