"""Payments: what came in for invoices, paying one now, recording what came in by itself, and giving back."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import click

from ironworks.cli.money import data_option
from ironworks.cli.output import show_data, show_table, text_of
from ironworks.cli.session import fails_clearly, open_client, own_scope

account_option = click.option("-a", "--account", help="The account (default: your own).")


@click.group()
def payments() -> None:
    """What came in for invoices, by card and by hand."""


@payments.command("list")
@click.option("-a", "--account", help="Only this account's.")
@click.option("--invoice", metavar="ID", help="Only of this invoice.")
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
    heads = ["BEGUN", "ACCOUNT", "AMOUNT", "CURRENCY", "STATE", "TRIES", "NEXT", "WHY NOT", "ID"]
    show_table(heads, [_row(item) for item in items])


@payments.command()
@click.argument("payment")
@data_option
@click.pass_context
@fails_clearly
def show(ctx: click.Context, payment: str, output: str) -> None:
    """Show a payment and what of it went back."""
    answer = open_client(ctx).request("GET", f"/api/v1/payments/{payment}")
    show_data(answer, "yaml" if output == "table" else output)


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
@click.argument("amount")
@click.option("--reference", required=True, help="The bank's, or a receipt's; the same one again records nothing more.")
@click.option("--method", default="bank_transfer", show_default=True, help="How it came in.")
@data_option
@click.pass_context
@fails_clearly
def record(ctx: click.Context, invoice: str, amount: str, reference: str, method: str, output: str) -> None:
    """Record money that came in without Stripe.

    INVOICE is its number or id, AMOUNT in its currency, for instance 49.00. What is too much becomes credit.
    """
    body = {"invoice": invoice, "amount_nano": _nano(amount), "method": method, "reference": reference}
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
@click.argument("amount")
@click.option("--reason", default="", help="Kept with the refund.")
@click.pass_context
@fails_clearly
def refund(ctx: click.Context, payment: str, amount: str, reason: str) -> None:
    """Give back a payment, or a part of it."""
    body = {"amount_nano": _nano(amount), "reason": reason}
    made = open_client(ctx).request("POST", f"/api/v1/payments/{payment}:refund", body=body)
    click.echo(f"refund {made['id']} of {amount} is {made['state']}")


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
    click.echo(f"compared: {answer['compared']} charges, {text_of(answer['compared_on'])}")
    rows = [
        [d["found_at"], d["kind"], d["ours"], d["theirs"], d["reference"], text_of(d["gone_at"])]
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
    path = f"/api/v1/scopes/{_account(client, account)}/payment-methods"
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
    path = f"/api/v1/scopes/{_account(client, account)}/payment-methods/{method}:default"
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
    client.request("DELETE", f"/api/v1/scopes/{_account(client, account)}/payment-methods/{method}")
    click.echo(f"{method} is gone")


@payments.command()
@account_option
@click.option("--success-url", required=True, help="Where Stripe sends the customer afterwards.")
@click.option("--cancel-url", help="Where it sends who gives up (default: the same).")
@click.option("--currency", default="USD", show_default=True, help="Which methods are offered depends on it.")
@click.pass_context
@fails_clearly
def checkout(ctx: click.Context, account: str | None, success_url: str, cancel_url: str | None, currency: str) -> None:
    """Print the address of a page on which a payment method is left."""
    client = open_client(ctx)
    body = {"success_url": success_url, "cancel_url": cancel_url or success_url, "currency": currency}
    path = f"/api/v1/scopes/{_account(client, account)}/payment-methods:checkout"
    click.echo(client.request("POST", path, body=body)["url"])


def _account(client: Any, account: str | None) -> str:
    return account or own_scope(client, None).split(".")[0]


def _nano(amount: str) -> int:
    """`49.00` in nano-units."""
    try:
        nano = Decimal(amount).scaleb(9)
        if nano == nano.to_integral_value() and nano > 0:
            return int(nano)
    except (InvalidOperation, ValueError):
        pass
    raise click.UsageError(f"{amount!r} is no amount of money: write 49.00")


def _row(item: dict[str, Any]) -> list[str]:
    return [
        item["created_at"], item["account"], f"{Decimal(item['amount_nano']).scaleb(-9):,.2f}", item["currency"],
        item["state"], str(item["attempt"]), text_of(item["next_attempt_at"]), text_of(item["failure_code"]),
        item["id"],
    ]  # fmt: skip


def _show_one(item: dict[str, Any], output: str) -> None:
    if output != "table":
        show_data(item, output)
        return
    show_table(["BEGUN", "ACCOUNT", "AMOUNT", "CURRENCY", "STATE", "TRIES", "NEXT", "WHY NOT", "ID"], [_row(item)])


COMMANDS = (payments,)
