"""Invoices: what accounts are asked to pay, the documents, and what is behind each line."""

from __future__ import annotations

import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TextIO

import click
import yaml

from ironworks.cli.money import account_at, account_option, data_option, nano_of, scope_option
from ironworks.cli.output import at_second, show_data, show_table
from ironworks.cli.prices import Decimals
from ironworks.cli.resources import seconds_of
from ironworks.cli.session import TIMED_OUT, fails_clearly, open_client, own_scope
from ironworks.sdk import Client

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
    _show_invoices(items)


def _show_invoices(items: list[dict[str, Any]]) -> None:
    heads = ["INVOICE", "ACCOUNT", "FROM", "TO", "STATE", "TOTAL", "DUE", "CURRENCY", "DUE AT"]
    show_table(heads, map(_row, items))


def _row(invoice: dict[str, Any]) -> list[str]:
    total, due = invoice["total"], invoice["due"]
    return [
        invoice["number"] or invoice["id"], invoice["account"], invoice["period_start"], invoice["period_end"],
        invoice["state"], total["amount"], due["amount"], total["currency"], at_second(invoice["due_at"]),
    ]  # fmt: skip


def _tell(invoice: dict[str, Any], output: str) -> None:
    """An invoice after a command changed it."""
    if output != "table":
        show_data(invoice, output)
        return
    _show_invoices([invoice])


@invoices.command()
@click.argument("invoice")
@data_option
@click.pass_context
@fails_clearly
def show(ctx: click.Context, invoice: str, output: str) -> None:
    """Print an invoice with its lines, and what was paid and credited."""
    client = open_client(ctx)
    detail = client.request("GET", f"/api/v1/invoices/{invoice}")
    lines = list(client.items(f"/api/v1/invoices/{invoice}/lines"))
    if output != "table":
        show_data({**detail, "lines": lines}, output)
        return
    about = detail["invoice"]
    due = f", due {at_second(about['due_at'])}" if about["due"]["nano"] else ""
    why = f" ({about['reason']})" if about["reason"] else ""
    click.echo(f"{about['number'] or about['id']}  {about['account']}  {about['state']}{why}{due}")
    click.echo(f"{about['period_start']} to {about['period_end']}, that day not included (UTC)\n")
    show_table(["TENANT", "WHAT", "MODEL", "QUANTITY", "UNIT PRICE", "AMOUNT", "LINE"], map(_line, lines))
    click.echo()
    rows = [[words, about[name]["amount"], about[name]["currency"]] for name, words in SUMS.items()]
    show_table(["", "AMOUNT", "CURRENCY"], rows)
    _show_settled(detail)


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
@click.pass_context
@fails_clearly
def pdf(ctx: click.Context, invoice: str, kind: str, to: Path | None) -> None:
    """Save an invoice as a document: PDF, HTML, CSV or JSON."""
    content = open_client(ctx).download(f"/api/v1/invoices/{invoice}/document", query={"format": kind})
    file = to or Path(f"{invoice}.{kind}")
    if str(file) == "-":
        sys.stdout.buffer.write(content)
        return
    file.write_bytes(content)
    click.echo(str(file))


# --- the operator's ----------------------------------------------------------------------------------------------


def day(_: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A day in UTC: `2026-03-15`, `today` or `tomorrow`."""
    today = datetime.now(UTC).date()
    if value in ("today", "tomorrow"):
        return str(today + timedelta(days=value == "tomorrow"))
    try:
        return value and str(date.fromisoformat(value))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no day: say 2026-03-15, today or tomorrow", param=option) from None


@invoices.command()
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
    """Close an account's period now, for the operator; a worker runs it.

    --until tomorrow takes what today has had so far; the rest of today comes on the next invoice.
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
        _show_invoices(made)
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


@invoices.command()
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
    """Issue a credit note over AMOUNT, for instance 12.50 with its taxes."""
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


COMMANDS = (invoices,)
