"""Invoices: what accounts are asked to pay, the documents, and what is behind each line."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TextIO

import click
import yaml

from ironworks.cli.closes import close, closes, show_invoices
from ironworks.cli.money import account_at, account_option, data_option, nano_of, scope_option
from ironworks.cli.output import at_second, decimal, show_data, show_table
from ironworks.cli.prices import Decimals
from ironworks.cli.session import fails_clearly, open_client, own_scope

SUMS: Final = {
    "rounding": "rounding",
    "tax": "taxes",
    "total": "total",
    "credit": "paid by prepaid credit",
    "noted": "credit notes",
    "paid": "paid",
    "due": "due",
}
"""An invoice's amounts below its lines, and what people call them."""
reason_option = click.option("--reason", required=True, help="Why; the audit trail and the invoice keep it.")


@click.group()
def invoices() -> None:
    """What accounts are asked to pay, and why.

    INVOICE is a number (ACME-000001) or an id.
    """


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
    items = list(client.items(f"/api/v1/scopes/{own_scope(client, scope)}/invoices", state=state))
    if output != "table":
        show_data({"items": items}, output)
        return
    show_invoices(items)


def _tell(invoice: dict[str, Any], output: str) -> None:
    """An invoice after a command changed it."""
    if output != "table":
        show_data(invoice, output)
        return
    show_invoices([invoice])


@invoices.command()
@click.argument("invoice")
@data_option
@click.pass_context
@fails_clearly
def show(ctx: click.Context, invoice: str, output: str) -> None:
    """Print an invoice with its lines, payments and credit notes."""
    client = open_client(ctx)
    detail = client.request("GET", f"/api/v1/invoices/{invoice}")
    lines = list(client.items(f"/api/v1/invoices/{invoice}/lines"))
    if output != "table":
        show_data({**detail, "lines": lines}, output)
        return
    about = detail["invoice"]
    due = f", due {at_second(about['due_at'])}" if about["due"]["nano"] else ""
    why = f" ({about['reason']})" if about["state"] in ("void", "uncollectible") else ""
    click.echo(f"{about['number'] or about['id']}  {about['account']}  {about['state']}{why}{due}")
    click.echo(f"{about['period_start']} to {about['period_end']}, that day not included (UTC)\n")
    show_table(["TENANT", "WHAT", "MODEL", "QUANTITY", "UNIT PRICE", "AMOUNT", "LINE"], map(_line, lines))
    click.echo()
    _show_sums(about, lines)
    _show_settled(detail)


def _show_sums(about: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    """From the sum of the lines to what is due; a draft has its sum alone."""
    exact = Decimal(sum(line["amount"]["nano"] for line in lines)).scaleb(-9)
    rows = [["sum of the lines", decimal(f"{exact:f}"), about["total"]["currency"]]]
    if about["number"]:
        rows += [[words, about[name]["amount"], about[name]["currency"]] for name, words in SUMS.items()]
    show_table(["", "AMOUNT", "CURRENCY"], rows)


def _line(line: dict[str, Any]) -> list[str]:
    words = [line[name] or "" for name in ("scope", "description", "model", "quantity", "unit_price")]
    return [*words, line["amount"]["amount"], line["id"]]


def _show_settled(detail: dict[str, Any]) -> None:
    """What came in, and what was taken back."""
    rows = [
        [at_second(p["recorded_at"]), "payment" if p["amount"]["nano"] > 0 else "refund", p["amount"]["amount"],
         f"{p['method']}: {p['reference']}"]
        for p in detail["payments"]
    ]  # fmt: skip
    rows += [
        [at_second(n["issued_at"]), "credit note", n["amount"]["amount"], f"{n['number']}: {n['reason']}"]
        for n in detail["credit_notes"]
    ]
    if rows:
        click.echo()
        show_table(["TIME", "WHAT", "AMOUNT", "REFERENCE"], sorted(rows))


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
    if page["next_cursor"]:
        click.echo(f"the first {limit} of more: --limit shows up to 500, the API has pages", err=True)


@invoices.command()
@click.argument("invoice")
@click.option("-f", "--format", "kind", type=click.Choice(["pdf", "html", "csv", "json"]), default="pdf",
              show_default=True, help="Which document.")  # fmt: skip
@click.option("--to", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
              help="The file; `-` is standard output (default: by the number).")  # fmt: skip
@click.option("--note", metavar="NUMBER", help="This credit note of it, as PDF or HTML.")
@click.pass_context
@fails_clearly
def pdf(ctx: click.Context, invoice: str, kind: str, to: Path | None, note: str | None) -> None:
    """Save an invoice as a document: PDF, HTML, CSV or JSON."""
    path = f"/api/v1/invoices/{invoice}" + (f"/credit-notes/{note}" if note else "")
    content = open_client(ctx).download(f"{path}/document", query={"format": kind})
    file = to or Path(f"{note or invoice}.{kind}")
    if str(file) == "-":
        sys.stdout.buffer.write(content)
        return
    file.write_bytes(content)
    click.echo(str(file))


# --- the operator's ----------------------------------------------------------------------------------------------


@invoices.command()
@click.argument("invoice")
@data_option
@click.pass_context
@fails_clearly
def finalize(ctx: click.Context, invoice: str, output: str) -> None:
    """Give a draft its number, for the operator."""
    _tell(open_client(ctx).request("POST", f"/api/v1/invoices/{invoice}:finalize"), output)


@invoices.command()
@click.argument("invoice")
@reason_option
@data_option
@click.pass_context
@fails_clearly
def void(ctx: click.Context, invoice: str, reason: str, output: str) -> None:
    """Take an invoice back; what it was for comes on the next one."""
    _tell(open_client(ctx).request("POST", f"/api/v1/invoices/{invoice}:void", body={"reason": reason}), output)


@invoices.command("write-off")
@click.argument("invoice")
@reason_option
@data_option
@click.pass_context
@fails_clearly
def write_off(ctx: click.Context, invoice: str, reason: str, output: str) -> None:
    """Give up on what is open of an invoice, for the operator."""
    _tell(open_client(ctx).request("POST", f"/api/v1/invoices/{invoice}:write-off", body={"reason": reason}), output)


@invoices.command()
@click.argument("invoice")
@click.argument("amount", callback=nano_of)
@reason_option
@click.option("--reference", required=True, help="The same one again issues nothing more.")
@click.option("--refund", is_flag=True, help="What was paid already goes back; else it becomes prepaid credit.")
@data_option
@click.pass_context
@fails_clearly
def credit(
    ctx: click.Context, invoice: str, amount: int, reason: str, reference: str, refund: bool, output: str
) -> None:
    """Issue a credit note over AMOUNT, such as 12.50, taxes included."""
    body = {"amount_nano": amount, "reason": reason, "reference": reference, "refund": refund}
    note = open_client(ctx).request("POST", f"/api/v1/invoices/{invoice}/credit-notes", body=body)
    if output != "table":
        show_data(note, output)
        return
    click.echo(f"{note['number']}  {note['amount']['amount']} {note['amount']['currency']}")


@invoices.command()
@account_option
@click.option("-f", "--file", "file", type=click.File(), help="Replace them by what it holds, in YAML or JSON.")
@data_option
@click.pass_context
@fails_clearly
def details(ctx: click.Context, account: str | None, file: TextIO | None, output: str) -> None:
    """Show, or replace, how an account is addressed and taxed.

    '-s -' is who issues. What it prints may be edited and handed back with -f; only the operator may.
    """
    client = open_client(ctx)
    path = f"/api/v1/scopes/{account_at(client, account)}/billing-details"
    found = client.request("GET", path) if file is None else client.request("PUT", path, body=_read(file))
    show_data(found, "yaml" if output == "table" else output)


def _read(file: TextIO) -> Any:
    try:
        return yaml.load(file, Decimals)  # noqa: S506 - a SafeLoader's child
    except yaml.YAMLError as problem:
        raise click.UsageError(f"{file.name} is neither YAML nor JSON: {problem}") from None


for command in (close, closes):
    invoices.add_command(command)
COMMANDS = (invoices,)
