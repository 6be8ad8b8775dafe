"""What was charged and why, and who did what: billing, audit."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from ironworks.cli.output import at_second, decimal, show_data, show_table
from ironworks.cli.session import fails_clearly, open_client, own_scope
from ironworks.sdk import Client

scope_option = click.option("-s", "--scope", metavar="PATH", help="That scope and all below it (default: your own).")
account_option = click.option(
    "-s", "--scope", "-a", "--account", "account", metavar="ACCOUNT", help="The account (default: your own)."
)
data_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True
)


def account_at(client: Client, account: str | None) -> str:
    """The account that was said, else the one in which the credential is at home."""
    return own_scope(client, account).partition(".")[0]


def day(_: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A day in UTC: `2026-03-15`, `today` or `tomorrow`."""
    today = datetime.now(UTC).date()
    if value in ("today", "tomorrow"):
        return str(today + timedelta(days=value == "tomorrow"))
    try:
        return value and str(date.fromisoformat(value))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no day: say 2026-03-15, today or tomorrow", param=option) from None


def nano_of(_: click.Context, argument: click.Parameter, value: str) -> int:
    """`49.00` in nano-units."""
    try:
        nano = Decimal(value).scaleb(9)
        if nano == nano.to_integral_value() and nano > 0:
            return int(nano)
    except (InvalidOperation, ValueError, OverflowError):
        pass
    raise click.BadParameter(f"{value!r} is no amount of money: write 49.00", param=argument)


@click.group()
def billing() -> None:
    """What was used, what it cost, and why."""


@billing.command()
@click.argument("request_id")
@data_option
@click.pass_context
@fails_clearly
def explain(ctx: click.Context, request_id: str, output: str) -> None:
    """Print the chain behind one request.

    From its usage event over the rated lines and the ledger transfers to the invoice. REQUEST_ID is the answer's
    x-request-id.
    """
    client = open_client(ctx)
    chain = client.request("GET", f"/api/v1/billing/requests/{request_id}")
    chain["invoice_lines"] = client.request("GET", f"/api/v1/billing/requests/{request_id}/invoice-lines")["items"]
    if output != "table":
        show_data(chain, output)
        return
    print_chain(chain)


def print_chain(chain: dict[str, Any]) -> None:
    """The chain as people read it, from the request down to the ledger."""
    event = chain["usage"]
    how = "counted by us" if event["counted"] else "reported by the engine"
    click.echo(f"request   {chain['request_id']}")
    at = at_second(event["occurred_at"])
    click.echo(f"usage     {at}  {event['scope']}  {event['model']}  {event['route']}  ({how})")
    for line in chain["lines"]:
        cost = f"{line['cost']['amount']} {line['cost']['currency']}"
        how = f"{line['quantity']:>8} {line['meter']} x {line['unit_price']}"
        click.echo(f"  line    {how} = {cost}  (price {line['price_id']})")
    for line in chain["unrated"]:
        click.echo(f"  waiting {line['quantity']:>8} {line['meter']}: {line['reason']}")
    for each in chain["transfers"]:
        _print_transfer(each)
    for on in chain.get("invoice_lines", []):
        line = on["line"]
        click.echo(f"invoice   {on['invoice_number'] or line['invoice_id']}  line {line['id']}  {on['meter']}")
    total = ", ".join(f"{m['amount']} {m['currency']}" for m in chain["total"]) or "nothing"
    click.echo(f"cost      {total}")


@billing.command()
@click.argument("transfer_id")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many lines.")
@data_option
@click.pass_context
@fails_clearly
def transfer(ctx: click.Context, transfer_id: str, limit: int, output: str) -> None:
    """Open a ledger transfer into the requests that it moved.

    TRANSFER_ID is what `billing explain` and `invoices explain` print.
    """
    page = open_client(ctx).request("GET", f"/api/v1/billing/transfers/{transfer_id}", query={"limit": limit})
    if output != "table":
        show_data(page, output)
        return
    _print_transfer(page["transfer"])
    rows = [
        [n["request_id"], n["meter"], str(n["quantity"]), n["unit_price"], n["cost"]["amount"]] for n in page["lines"]
    ]
    if rows:
        show_table(["REQUEST", "METER", "QUANTITY", "UNIT PRICE", "COST"], rows)
    if page["next_cursor"]:
        click.echo(f"the first {limit} of more: --limit shows up to 500, the API has pages", err=True)


def _print_transfer(t: dict[str, Any]) -> None:
    moved, debit, credit = t["moved"], t["debit"], t["credit"]
    click.echo(
        f"transfer  {t['id']}  {moved['amount']} {moved['currency']}"
        f"  {debit['purpose']} of {debit['scope']} -> {credit['purpose']} of {credit['scope']}"
    )


@billing.command()
@scope_option
@data_option
@click.pass_context
@fails_clearly
def balance(ctx: click.Context, scope: str | None, output: str) -> None:
    """Show what a scope and all below it owe."""
    client = open_client(ctx)
    answer = client.request("GET", f"/api/v1/scopes/{own_scope(client, scope)}/balance")
    if output != "table":
        show_data(answer, output)
        return
    rows = [
        [answer["scope"], *(decimal(money["amount"]) for money in parts), parts[0]["currency"]]
        for parts in zip(answer["unbilled"], answer["due"], answer["owed"], strict=True)
    ]
    show_table(["SCOPE", "UNBILLED", "DUE", "OWES", "CURRENCY"], rows)


@click.group()
def audit() -> None:
    """Who did what, and whether the record of it is whole."""


@audit.command("list")
@scope_option
@click.option("--actor", help="Only what this subject did, by its name in the list.")
@click.option("--action", help="Only this action, for instance endpoint.create; endpoint.* for all of endpoints.")
@click.option("--kind", help="Only what was done to this kind, for instance Endpoint.")
@click.option("--result", type=click.Choice(["ok", "denied", "failed"]), help="Only what ended so.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many.")
@data_option
@click.pass_context
@fails_clearly
def list_records(
    ctx: click.Context, scope: str | None, actor: str | None, action: str | None, kind: str | None,
    result: str | None, limit: int, output: str,
) -> None:  # fmt: skip
    """List audit records of a scope and all below it, newest first."""
    query = {"actor": actor, "action": action, "target_type": kind, "result": result, "limit": limit}
    client = open_client(ctx)
    items = client.request("GET", f"/api/v1/scopes/{own_scope(client, scope)}/audit", query=query)["items"]
    if output != "table":
        show_data({"items": items}, output)
        return
    heads = ["TIME", "ACTOR", "ACTION", "TARGET", "RESULT", "REQUEST"]
    rows = [
        [at_second(r["occurred_at"]), r["actor"], r["action"], r["target_id"], r["result"], r["correlation_id"]]
        for r in items
    ]
    show_table(heads, rows)


@audit.command()
@click.option("--platform", help="Only this platform's chain ('-': all above platforms).")
@data_option
@click.pass_context
@fails_clearly
def verify(ctx: click.Context, platform: str | None, output: str) -> None:
    """Recompute the hash chains.

    Exit code 1 if a record was altered, removed or reordered; the first one is named.
    """
    report = open_client(ctx).request("POST", "/api/v1/audit:verify", body={"platform": platform} if platform else {})
    if output != "table":
        show_data(report, output)
    else:
        rows = [
            [c["platform"], "whole" if c["ok"] else "BROKEN", str(c["records"]), c["head"][:16],
             "-" if c["ok"] else f"record {c['first_bad']['chain_seq']}: {c['first_bad']['message']}"]
            for c in report["chains"]
        ]  # fmt: skip
        show_table(["CHAIN", "STATE", "RECORDS", "HEAD", "FIRST BAD"], rows)
    sys.exit(0 if report["ok"] else 1)


@click.command()
@click.option("--show", metavar="NUMBER", type=int, help="Print the whole of one.")
@data_option
@click.pass_context
@fails_clearly
def mails(ctx: click.Context, show: int | None, output: str) -> None:
    """List the mails that a local installation would have sent."""
    items = open_client(ctx).request("GET", "/api/v1/mails")["items"]
    if output != "table":
        show_data({"items": items}, output)
    elif show is not None:
        if not 0 < show <= len(items):
            raise click.UsageError(f"there are {len(items)} mails")
        click.echo(items[show - 1]["body"])
    else:
        rows = [[str(n), m["sent_at"] or "-", m["recipient"], m["subject"]] for n, m in enumerate(items, 1)]
        show_table(["#", "SENT", "TO", "SUBJECT"], rows)


COMMANDS = (billing, audit, mails)
