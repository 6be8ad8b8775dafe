"""Payments: what came in for invoices, paying one now, recording what came in by itself, and giving back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import click

from ironworks.cli.money import account_at, account_option, data_option, nano_of
from ironworks.cli.output import at_second, decimal, show_data, show_table, text_of
from ironworks.cli.session import fails_clearly, open_client

HEADS: Final = ["BEGUN", "ACCOUNT", "INVOICE", "AMOUNT", "CURRENCY", "STATE", "TRIES", "NEXT", "WHY NOT", "PAYMENT"]


@click.group()
def payments() -> None:
    """What came in for invoices, by card and by hand."""


@payments.command("list")
@click.option("-s", "--scope", "-a", "--account", "account", metavar="ACCOUNT", help="Only this account's.")
@click.option("--invoice", help="Only of this invoice: its number or id.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many.")
@data_option
@click.pass_context
@fails_clearly
def list_payments(ctx: click.Context, account: str | None, invoice: str | None, limit: int, output: str) -> None:
    """List payments, newest first."""
    query = {"account": account, "invoice": invoice, "limit": limit}
    items = open_client(ctx).request("GET", "/api/v1/payments", query=query)["items"]
    if output != "table":
        show_data({"items": items}, output)
        return
    show_table(HEADS, map(_row, items))


@payments.command()
@click.argument("payment")
@data_option
@click.pass_context
@fails_clearly
def show(ctx: click.Context, payment: str, output: str) -> None:
    """Show a payment and what of it went back."""
    answer = open_client(ctx).request("GET", f"/api/v1/payments/{payment}")
    if output != "table":
        show_data(answer, output)
        return
    found = answer["payment"]
    show_table(HEADS, [_row(found)])
    click.echo(f"\nby {found['provider']}, {found['method']}: {text_of(found['reference'])}")
    if found["failure_message"]:
        click.echo(f"refused: {found['failure_message']}")
    if answer["refunds"]:
        click.echo()
        show_table(["GIVEN BACK", "AMOUNT", "STATE", "REASON", "WHY NOT", "REFUND"], map(_refund, answer["refunds"]))


def _refund(refund: dict[str, Any]) -> list[str]:
    words = [text_of(refund[name]) for name in ("state", "reason", "failure_message", "id")]
    return [at_second(refund["created_at"]), _amount(refund), *words]


@payments.command()
@click.argument("invoice")
@data_option
@click.pass_context
@fails_clearly
def pay(ctx: click.Context, invoice: str, output: str) -> None:
    """Have an invoice charged to its account's payment method now.

    INVOICE is its number or id. A payment that failed is tried again.
    """
    _show_one(open_client(ctx).request("POST", "/api/v1/payments", body={"invoice": invoice}), output)


@payments.command()
@click.argument("invoice")
@click.argument("amount", callback=nano_of)
@click.option("--reference", required=True, help="The bank's, or a receipt's; the same one again records nothing more.")
@click.option("--method", default="bank_transfer", show_default=True, help="How it came in.")
@data_option
@click.pass_context
@fails_clearly
def record(ctx: click.Context, invoice: str, amount: int, reference: str, method: str, output: str) -> None:
    """Record money that came in without Stripe.

    INVOICE is its number or id, AMOUNT in its currency, for instance 49.00. What is too much becomes credit.
    """
    body = {"invoice": invoice, "amount_nano": amount, "method": method, "reference": reference}
    _show_one(open_client(ctx).request("POST", "/api/v1/payments:record", body=body), output)


@payments.command()
@click.argument("payment")
@data_option
@click.pass_context
@fails_clearly
def retry(ctx: click.Context, payment: str, output: str) -> None:
    """Try a failed payment again now."""
    _show_one(open_client(ctx).request("POST", f"/api/v1/payments/{payment}:retry", body={}), output)


@payments.command()
@click.argument("payment")
@click.argument("amount", callback=nano_of)
@click.option("--reason", default="", help="Kept with the refund.")
@data_option
@click.pass_context
@fails_clearly
def refund(ctx: click.Context, payment: str, amount: int, reason: str, output: str) -> None:
    """Give back a payment, or a part of it."""
    body = {"amount_nano": amount, "reason": reason}
    made = open_client(ctx).request("POST", f"/api/v1/payments/{payment}:refund", body=body)
    if output != "table":
        show_data(made, output)
        return
    click.echo(f"refund {made['id']} of {_amount(made)} is {made['state']}; see `ironworks payments show {payment}`")


@payments.command()
@click.option("--gone", is_flag=True, help="Also those that are no more.")
@data_option
@click.pass_context
@fails_clearly
def differences(ctx: click.Context, gone: bool, output: str) -> None:
    """List where our books and Stripe's differ."""
    answer = open_client(ctx).request("GET", "/api/v1/payment-differences", query={"gone": str(gone).lower()})
    if output != "table":
        show_data(answer, output)
        return
    day = answer["compared_on"]
    click.echo(f"compared on {day}: {answer['compared']} charges" if day else "the books were not compared yet")
    rows = [
        [at_second(d["found_at"]), d["kind"], d["ours"], d["theirs"], d["reference"], at_second(d["gone_at"])]
        for d in answer["items"]
    ]
    show_table(["FOUND", "KIND", "OURS", "THEIRS", "REFERENCE", "GONE"], rows)


@payments.command()
@account_option
@click.option("--refresh", is_flag=True, help="Have Stripe asked again.")
@data_option
@click.pass_context
@fails_clearly
def methods(ctx: click.Context, account: str | None, refresh: bool, output: str) -> None:
    """List what an account can be charged by."""
    client = open_client(ctx)
    path = f"/api/v1/scopes/{account_at(client, account)}/payment-methods"
    answer = client.request("POST", f"{path}:refresh", body={}) if refresh else client.request("GET", path)
    if output != "table":
        show_data(answer, output)
        return
    rows = [
        [m["label"], m["kind"], text_of(m["expires_on"]), "yes" if m["default"] else "", m["reference"]]
        for m in answer["items"]
    ]
    show_table(["METHOD", "KIND", "EXPIRES", "CHARGED", "REFERENCE"], rows)


@payments.command()
@click.argument("method")
@account_option
@click.pass_context
@fails_clearly
def use(ctx: click.Context, method: str, account: str | None) -> None:
    """Charge by this payment method from now on."""
    client = open_client(ctx)
    path = f"/api/v1/scopes/{account_at(client, account)}/payment-methods/{method}:default"
    client.request("POST", path, body={})
    click.echo(f"{method} is charged from now on")


@payments.command()
@click.argument("method")
@account_option
@click.pass_context
@fails_clearly
def forget(ctx: click.Context, method: str, account: str | None) -> None:
    """Remove a payment method."""
    client = open_client(ctx)
    client.request("DELETE", f"/api/v1/scopes/{account_at(client, account)}/payment-methods/{method}")
    click.echo(f"{method} is gone")


@payments.command()
@account_option
@click.option("--success-url", required=True, help="Where Stripe sends the customer afterwards.")
@click.option("--cancel-url", help="Where it sends who gives up (default: the same).")
@click.option("--currency", default="USD", show_default=True, help="Which methods are offered depends on it.")
@data_option
@click.pass_context
@fails_clearly
def checkout(
    ctx: click.Context, account: str | None, success_url: str, cancel_url: str | None, currency: str, output: str
) -> None:
    """Print the address of a page on which a payment method is left."""
    client = open_client(ctx)
    body = {"success_url": success_url, "cancel_url": cancel_url or success_url, "currency": currency}
    path = f"/api/v1/scopes/{account_at(client, account)}/payment-methods:checkout"
    page = client.request("POST", path, body=body)
    if output != "table":
        show_data(page, output)
        return
    click.echo(page["url"])


def _amount(item: dict[str, Any]) -> str:
    """Of a payment or refund, as a decimal."""
    return decimal(f"{Decimal(item['amount_nano']).scaleb(-9):f}")


def _row(item: dict[str, Any]) -> list[str]:
    return [
        at_second(item["created_at"]), item["account"], text_of(item["invoice_number"]), _amount(item),
        item["currency"], item["state"], str(item["attempt"]), at_second(item["next_attempt_at"]),
        text_of(item["failure_code"]), item["id"],
    ]  # fmt: skip


def _show_one(item: dict[str, Any], output: str) -> None:
    if output != "table":
        show_data(item, output)
        return
    show_table(HEADS, [_row(item)])


COMMANDS = (payments,)
