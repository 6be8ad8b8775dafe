"""Credit: what an account has left, what it was given, and giving more."""

from __future__ import annotations

from typing import Any

import click

from ironworks.cli.money import account_at, account_option, data_option, scope_option
from ironworks.cli.output import at_second, decimal, show_data, show_table
from ironworks.cli.quota import until
from ironworks.cli.session import fails_clearly, open_client, own_scope

currency_option = click.option("--currency", default="USD", show_default=True, help="Its three letters.")


@click.group()
def credit() -> None:
    """What accounts paid, or were given, beforehand."""


@credit.command()
@account_option
@data_option
@click.pass_context
@fails_clearly
def show(ctx: click.Context, account: str | None, output: str) -> None:
    """Show what an account may still use."""
    client = open_client(ctx)
    answer = client.request("GET", f"/api/v1/scopes/{account_at(client, account)}/credit")
    if output != "table":
        show_data(answer, output)
        return
    show_table(
        ["AVAILABLE", "CREDIT", "UNBILLED", "DUE", "CURRENCY", "STATE", "RELEASE AT"],
        [_balance(b) for b in answer["balances"]],
    )


def _balance(balance: dict[str, Any]) -> list[str]:
    amounts = [decimal(balance[name]["amount"]) for name in ("available", "credit", "unbilled", "due")]
    prepaid = balance["prepaid"] or {"state": "pays afterwards", "release_at": None}
    return [*amounts, balance["credit"]["currency"], prepaid["state"], at_second(prepaid["release_at"])]


@credit.command("list")
@scope_option
@data_option
@click.pass_context
@fails_clearly
def list_credits(ctx: click.Context, scope: str | None, output: str) -> None:
    """List the credit that an account was given ('-': every account)."""
    client = open_client(ctx)
    items = list(client.items(f"/api/v1/scopes/{own_scope(client, scope)}/credits"))
    if output != "table":
        show_data({"items": items}, output)
        return
    heads = ["ACCOUNT", "GRANTED", "REMAINING", "CURRENCY", "SOURCE", "PRIORITY", "EXPIRES", "REFERENCE"]
    show_table(heads, [_grant(item) for item in items])


def _grant(grant: dict[str, Any]) -> list[str]:
    granted, remaining = grant["granted"], grant["remaining"]
    expires = at_second(grant["expires_at"]) + (" (held)" if grant["held"] else "")
    return [
        grant["account"], decimal(granted["amount"]), decimal(remaining["amount"]), granted["currency"],
        grant["source"], str(grant["priority"]), expires, grant["reference"],
    ]  # fmt: skip


@credit.command()
@click.argument("account")
@click.argument("amount")
@click.option("--reference", required=True, help="What it is given for; the same one again gives nothing more.")
@click.option("--gift", is_flag=True, help="A promotion; otherwise it was paid for.")
@click.option("--expires", callback=until, metavar="WHEN", help="12h, 30d, 2w, or in ISO 8601 (default: never).")
@click.option("--priority", type=click.IntRange(0, 100), default=50, show_default=True, help="Lower is used first.")
@click.option("--note", default="", help="Shown with the grant.")
@currency_option
@data_option
@click.pass_context
@fails_clearly
def grant(
    ctx: click.Context,
    account: str,
    amount: str,
    reference: str,
    gift: bool,
    expires: str | None,
    priority: int,
    note: str,
    currency: str,
    output: str,
) -> None:
    """Give an account credit. The operator's; AMOUNT is a decimal, for instance 25.00."""
    body = {
        "amount": amount,
        "currency": currency,
        "source": "promotion" if gift else "paid",
        "reference": reference,
        "expires_at": expires,
        "priority": priority,
        "note": note,
    }
    made = open_client(ctx).request("POST", f"/api/v1/scopes/{account}/credits", body=body)
    if output != "table":
        show_data(made, output)
        return
    left = decimal(made["remaining"]["amount"])
    click.echo(f"{account} was given {decimal(made['granted']['amount'])} {currency}, of which {left} is left")


@credit.command()
@click.argument("account")
@click.option("--low", default="0", show_default=True, help="With this much left, or less, the balance is low.")
@click.option("--grace-hours", type=click.IntRange(0, 744), default=24, show_default=True,
              help="From nothing left to the release of what runs.")  # fmt: skip
@click.option("--off", is_flag=True, help="Let the account pay afterwards.")
@currency_option
@click.pass_context
@fails_clearly
def prepaid(ctx: click.Context, account: str, low: str, grace_hours: int, off: bool, currency: str) -> None:
    """Have an account pay beforehand. The operator's."""
    path = f"/api/v1/scopes/{account}/prepaid/{currency}"
    if off:
        open_client(ctx).request("DELETE", path)
        click.echo(f"account/{account} pays afterwards")
        return
    kept = open_client(ctx).request("PUT", path, body={"low": low, "grace_hours": grace_hours})
    click.echo(f"account/{account} pays beforehand: {kept['state']}")


COMMANDS = (credit,)
