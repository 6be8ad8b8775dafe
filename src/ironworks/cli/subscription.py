"""Plans, and which one an account is on."""

from __future__ import annotations

import sys
from typing import Any, Final

import click
import yaml

from ironworks.cli.money import account_at, account_option, data_option
from ironworks.cli.output import at_second, decimal, show_data, show_table, text_of
from ironworks.cli.session import fails_clearly, open_client
from ironworks.sdk import Client

when_option = click.option(
    "--when",
    type=click.Choice(["now", "period_end"]),
    help="Default: a dearer plan now, any other at the period's end.",
)
LIMITS: Final = ("platforms", "tenants", "features")


def _place(client: Client, account: str | None) -> str:
    """The API's path of the account's subscription."""
    return f"/api/v1/scopes/{account_at(client, account)}/subscription"


def _cost(amount: dict[str, Any]) -> str:
    return f"{decimal(amount['amount'])} {amount['currency']}"


# --- plans -------------------------------------------------------------------------------------------------------


@click.group()
def plans() -> None:
    """What one can subscribe to."""


@plans.command("list")
@click.option("--every-version", is_flag=True, help="Also those that later ones took the place of.")
@data_option
@click.pass_context
@fails_clearly
def list_plans(ctx: click.Context, every_version: bool, output: str) -> None:
    """List plans: fee and limits; `plans show` tells what is included."""
    items = open_client(ctx).request("GET", "/api/v1/plans", query={"every_version": every_version})["items"]
    if output != "table":
        show_data({"items": items}, output)
        return
    rows = [
        [p["name"], str(p["version"]), _cost(p["base_fee"]), *(_limit(p, limit) for limit in LIMITS),
         str(p["trial_days"]), "withdrawn" if p["withdrawn"] else f"{len(p['included'])} meters"]
        for p in items
    ]  # fmt: skip
    show_table(["PLAN", "VERSION", "FEE", *(limit.upper() for limit in LIMITS), "TRIAL DAYS", "INCLUDED"], rows)


@plans.command("show")
@click.argument("name", metavar="PLAN")
@click.option("--currency", default="USD", show_default=True, help="Of the plan.")
@data_option
@click.pass_context
@fails_clearly
def show_plan(ctx: click.Context, name: str, currency: str, output: str) -> None:
    """Show a plan's latest version: limits, and what is included."""
    items = open_client(ctx).request("GET", "/api/v1/plans")["items"]
    found = next((p for p in items if (p["name"], p["base_fee"]["currency"]) == (name, currency)), None)
    if found is None:
        known = ", ".join(sorted({p["name"] for p in items}))
        raise click.UsageError(f"there is no plan {name!r} in {currency}; there are: {known}")
    if output != "table":
        show_data(found, output)
        return
    click.echo(f"{found['title']}, version {found['version']}: {_cost(found['base_fee'])} a month")
    click.echo(f"trial of {found['trial_days']} days" if found["trial_days"] else "no trial")
    click.echo(", ".join(f"{_limit(found, limit)} {limit}" for limit in LIMITS) + "\n")
    prices = {meter: f"{price} {found['base_fee']['currency']}" for meter, price in found["overage"].items()}
    rows = [[m, f"{q:,}", prices.get(m, "as in `ironworks prices list`")] for m, q in found["included"].items()]
    show_table(["METER", "INCLUDED", "EACH ONE BEYOND"], rows)


def _limit(plan: dict[str, Any], name: str) -> str:
    number = plan["limits"].get(name)
    return "unlimited" if number is None else str(number)


@plans.command()
@click.argument("file", type=click.File("r"))
@data_option
@click.pass_context
@fails_clearly
def create(ctx: click.Context, file: Any, output: str) -> None:
    """Add a version of a plan from a YAML or JSON file.

    FILE (`-`: standard input) holds name, title, base_fee, currency, limits, included, overage and trial_days. Who is
    on an older version stays on it. Only the operator may.
    """
    try:
        body = yaml.safe_load(file)
    except yaml.YAMLError as problem:
        raise click.UsageError(f"{file.name} is neither YAML nor JSON: {problem}") from None
    made = open_client(ctx).request("POST", "/api/v1/plans", body=body)
    if output != "table":
        show_data(made, output)
        return
    click.echo(f"plan {made['name']}, version {made['version']}: {_cost(made['base_fee'])} a month")


@plans.command("withdraw")
@click.argument("name", metavar="PLAN")
@click.option("--currency", default="USD", show_default=True, help="Of the plan.")
@data_option
@click.pass_context
@fails_clearly
def withdraw_plan(ctx: click.Context, name: str, currency: str, output: str) -> None:
    """Offer a plan no more, until `plans create` adds a version that does. Who is on it stays on it."""
    made = open_client(ctx).request("POST", f"/api/v1/plans/{name}:withdraw", body={"currency": currency})
    if output != "table":
        show_data(made, output)
        return
    click.echo(f"plan {made['name']} is offered no more (version {made['version']})")


# --- a subscription ----------------------------------------------------------------------------------------------


@click.group()
def subscription() -> None:
    """Which plan an account is on."""


@subscription.command()
@account_option
@data_option
@click.pass_context
@fails_clearly
def show(ctx: click.Context, account: str | None, output: str) -> None:
    """Show the plan, the period, and what is used of it."""
    client = open_client(ctx)
    found = client.request("GET", _place(client, account))
    if output != "table":
        show_data(found, output)
        return
    plan = found["plan"]
    click.echo(f"account   {found['account']}")
    click.echo(f"plan      {plan['title']}, {_cost(plan['base_fee'])} a month (version {plan['version']})")
    click.echo(f"status    {_status(found)}")
    click.echo(f"period    {found['period_start']} up to {found['period_end']}")
    if found["next_plan"] and not found["ends_on"]:
        click.echo(f"next      {found['next_plan']['title']}, {_cost(found['next_plan']['base_fee'])} a month")
    rows = [[u["meter"], f"{u['used']:,}", f"{u['included']:,}", f"{u['remaining']:,}"] for u in found["usage"]]
    if rows:
        click.echo()
        show_table(["METER", "USED", "INCLUDED", "REMAINING"], rows)


def _status(found: dict[str, Any]) -> str:
    words = [found["status"].replace("_", " ")]
    if found["status"] == "trialing":
        words.append(f"until {found['trial_end']}")
    if found["grace_until"]:
        words.append(f"ends after {found['grace_until']} unless it is paid")
    if found["ends_on"]:
        words.append(f"{'ended' if found['status'] == 'canceled' else 'ends'} on {found['ends_on']}")
    return ", ".join(words)


@subscription.command("list")
@click.option("--status", type=click.Choice(["trialing", "active", "past_due", "canceled"]), help="Only these.")
@data_option
@click.pass_context
@fails_clearly
def list_subscriptions(ctx: click.Context, status: str | None, output: str) -> None:
    """List the subscriptions that you may see."""
    items = list(open_client(ctx).items("/api/v1/subscriptions", status=status))
    if output != "table":
        show_data({"items": items}, output)
        return
    rows = [[s["account"], s["status"], s["period_start"], s["period_end"], text_of(s["ends_on"])] for s in items]
    show_table(["ACCOUNT", "STATUS", "PERIOD FROM", "UP TO", "ENDS"], rows)


@subscription.command()
@click.argument("plan")
@account_option
@click.option("--currency", default="USD", show_default=True, help="Of the plan.")
@click.option("--no-trial", is_flag=True, help="Begin with the first fee.")
@data_option
@click.pass_context
@fails_clearly
def start(ctx: click.Context, plan: str, account: str | None, currency: str, no_trial: bool, output: str) -> None:
    """Subscribe an account to PLAN."""
    client = open_client(ctx)
    body = {"plan": plan, "currency": currency, "trial": not no_trial}
    _tell(client.request("POST", _place(client, account), body=body), output)


@subscription.command()
@click.argument("plan")
@account_option
@when_option
@data_option
@click.pass_context
@fails_clearly
def preview(ctx: click.Context, plan: str, account: str | None, when: str | None, output: str) -> None:
    """Show what changing to PLAN would cost."""
    client = open_client(ctx)
    shown = client.request("POST", f"{_place(client, account)}:preview", body={"plan": plan, "when": when})
    if output != "table":
        show_data(shown, output)
        return
    _show_preview(shown)


def _show_preview(shown: dict[str, Any]) -> None:
    click.echo(f"{shown['plan']['title']} from {shown['effective']} on")
    for charge in shown["charges"]:
        click.echo(f"  {_cost(charge['cost']):>24}  {charge['description']}")
    click.echo(f"  {_cost(shown['due']):>24}  on the next invoice, besides what is used")
    click.echo(f"  {_cost(shown['next_fee']):>24}  a month from {shown['next_fee_on']} on")


@subscription.command()
@click.argument("plan")
@account_option
@when_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask; what it costs is shown all the same.")
@data_option
@click.pass_context
@fails_clearly
def change(ctx: click.Context, plan: str, account: str | None, when: str | None, yes: bool, output: str) -> None:
    """Put an account on PLAN, after a preview.

    A dearer plan counts at once, any other at the period's end. It is done for the price that was shown, or not.
    """
    client = open_client(ctx)
    place = _place(client, account)
    shown = client.request("POST", f"{place}:preview", body={"plan": plan, "when": when})
    if output == "table":
        _show_preview(shown)
    if not yes and not click.confirm("Change the plan?", err=True):
        sys.exit(1)
    body = {"plan": plan, "when": shown["when"], "expected_nano": shown["due"]["nano"]}
    _tell(client.request("POST", f"{place}:change", body=body), output)


@subscription.command()
@account_option
@click.option("--now", is_flag=True, help="With today; days that are paid and not used are taken off the last invoice.")
@click.option("--reason", default="", help="Kept in the audit trail.")
@data_option
@click.pass_context
@fails_clearly
def cancel(ctx: click.Context, account: str | None, now: bool, reason: str, output: str) -> None:
    """End a subscription with its period."""
    client = open_client(ctx)
    body = {"when": "now" if now else "period_end", "reason": reason}
    _tell(client.request("POST", f"{_place(client, account)}:cancel", body=body), output)


@subscription.command()
@account_option
@data_option
@click.pass_context
@fails_clearly
def resume(ctx: click.Context, account: str | None, output: str) -> None:
    """Take a cancellation back before it takes effect."""
    client = open_client(ctx)
    _tell(client.request("POST", f"{_place(client, account)}:resume", body={}), output)


def _tell(found: dict[str, Any], output: str) -> None:
    if output != "table":
        show_data(found, output)
        return
    click.echo(f"{found['account']}: {_status(found)}, period {found['period_start']} up to {found['period_end']}")


@subscription.command()
@account_option
@data_option
@click.pass_context
@fails_clearly
def charges(ctx: click.Context, account: str | None, output: str) -> None:
    """List fees, prorations and what was included."""
    client = open_client(ctx)
    items = list(client.items(f"{_place(client, account)}/charges"))
    if output != "table":
        show_data({"items": items}, output)
        return
    rows = [[c["due_on"], text_of(c["billed_on"]), c["kind"], _cost(c["cost"]), c["description"]] for c in items]
    show_table(["DUE", "BILLED", "KIND", "COST", "FOR"], rows)


@subscription.command()
@account_option
@data_option
@click.pass_context
@fails_clearly
def suggestions(ctx: click.Context, account: str | None, output: str) -> None:
    """List the larger plans that usage suggests."""
    client = open_client(ctx)
    items = list(client.items(f"{_place(client, account)}/suggestions"))
    if output != "table":
        show_data({"items": items}, output)
        return
    rows = [
        [at_second(s["suggested_at"]), s["meter"], f"{s['percent']} %", f"{s['used']:,}", f"{s['included']:,}",
         s["plan"]]
        for s in items
    ]  # fmt: skip
    show_table(["TIME", "METER", "PASSED", "USED", "INCLUDED", "PLAN"], rows)


COMMANDS = (plans, subscription)
