"""Budgets: short ways to what `apply` and `get` do with files, and the leases by which gateway processes hold money."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import click

from ironworks.cli.factory import list_kind, name_argument, set_one, show_one, written_option
from ironworks.cli.forecasts import plot_burn_down, say_forecast
from ironworks.cli.output import at_second, output_option, show_data, show_table
from ironworks.cli.resources import scope_option
from ironworks.cli.session import fails_clearly, open_client, split_name

MAX_PAGE: Final = 500


@click.group()
def budgets() -> None:
    """How much may be spent in a day, week, month or in all."""


@budgets.command("list")
@scope_option
@output_option
@click.pass_context
@fails_clearly
def list_budgets(ctx: click.Context, scope: str | None, output: str) -> None:
    """List budgets and what is spent of them."""
    list_kind(ctx, "budgets", scope, output)


@budgets.command("show")
@name_argument
@scope_option
@written_option
@click.pass_context
@fails_clearly
def show_budget(ctx: click.Context, name: str, scope: str | None, output: str) -> None:
    """Show one budget: what it says, what is spent and reserved."""
    show_one(ctx, "budgets", name, scope, output)


@budgets.command("set")
@name_argument
@scope_option
@click.option("--amount", required=True, metavar="DECIMAL", help="What may be spent in a period, for instance 250.")
@click.option("--period", type=click.Choice(["day", "week", "month", "total"]), default="month", show_default=True)
@click.option("--soft", is_flag=True, help="Only tell of thresholds; refuse nothing.")
@click.option("--fail-open", is_flag=True, help="Serve without promise while the database cannot be asked.")
@click.option("--threshold", "thresholds", multiple=True, type=int, help="A percent to be told of; repeat for more.")
@click.option("--key", metavar="NAME", help="Only what this key spends, by its name or path/name.")
@click.option("--route", metavar="NAME", help="Only calls of this Route, by its name or path/name.")
@click.option("--endpoint", metavar="NAME", help="Only calls of this endpoint by its own name.")
@written_option
@click.pass_context
@fails_clearly
def set_budget(
    ctx: click.Context, name: str, scope: str | None, amount: str, period: str, soft: bool, fail_open: bool,
    thresholds: tuple[int, ...], key: str | None, route: str | None, endpoint: str | None, output: str,
) -> None:  # fmt: skip
    """Make a budget, or change it to exactly this.

    For instance: ironworks budgets set acme.shop/eu --amount 250 --period month
    """
    spec = {
        "amount": amount, "period": period, "mode": "soft" if soft else "hard",
        "on_failure": "open" if fail_open else "closed", "thresholds": list(thresholds) or None,
        "key": key, "route": route, "endpoint": endpoint,
    }  # fmt: skip
    set_one(ctx, "budgets", name, scope, spec, output)


# --- how it goes ---------------------------------------------------------------------------------------------------


@budgets.command()
@name_argument
@scope_option
@click.option(
    "--at", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="A moment of an earlier period, UTC."
)
@written_option
@click.pass_context
@fails_clearly
def forecast(ctx: click.Context, name: str, scope: str | None, at: datetime | None, output: str) -> None:
    """Show how a budget's money goes in its period, and where that will end."""
    query = {} if at is None else {"at": at.replace(tzinfo=UTC).isoformat()}
    found = open_client(ctx).request("GET", f"{_path(name, scope)}/burn-down", query=query)
    if output != "table":
        show_data(found, output)
        return
    for line in (*say_forecast(found), "", *plot_burn_down(found)):
        click.echo(line)


# --- leases ----------------------------------------------------------------------------------------------------------


@budgets.command()
@name_argument
@scope_option
@click.option("--state", type=click.Choice(["open", "frozen", "closed", "declared_lost"]), help="Only these.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, newest first.")
@written_option
@click.pass_context
@fails_clearly
def leases(ctx: click.Context, name: str, scope: str | None, state: str | None, limit: int, output: str) -> None:
    """List which gateway processes hold, or held, how much of a budget.

    A frozen one is not heard of; its money is free once its spool is charged, or declared lost by `release-lost`.
    """
    query = {"limit": min(limit, MAX_PAGE)} | ({"state": state} if state else {})
    found = list(islice(open_client(ctx).items(f"{_path(name, scope)}/leases", **query), limit))
    if output != "table":
        show_data({"items": found}, output)
        return
    heads = ["HOLDER", "HOST", "STATE", "GRANTED", "USED", "PERIOD", "EXPIRES", "CLOSED"]
    show_table(heads, map(_row, found))


def _row(lease: dict[str, Any]) -> list[str]:
    times = [at_second(lease[field]) for field in ("period_start", "expires_at", "closed_at")]
    return [lease["holder"], lease["host"], lease["state"], lease["granted"], lease["used"], *times]


@budgets.command("release-lost")
@name_argument
@scope_option
@click.option("--host", help="Leases of this host.")
@click.option("--holder", help="Leases of this process, as `leases` names it.")
@click.option("--all", "every", is_flag=True, help="All that are frozen.")
@written_option
@click.pass_context
@fails_clearly
def release_lost(
    ctx: click.Context, name: str, scope: str | None, host: str | None, holder: str | None, every: bool, output: str
) -> None:
    """Declare hosts lost, and free what they hold of a budget.

    Only frozen leases are freed; `leases --state frozen` shows who holds what. What a lost host's spool held is never
    charged; if it turns up after all, it counts in full.
    """
    if every == bool(host or holder):
        raise click.UsageError("say which: --host, --holder or both, or --all")
    body = {"host": host, "holder": holder}
    answer = open_client(ctx).request("POST", f"{_path(name, scope)}:release-lost", body=body)
    if output != "table":
        show_data(answer, output)
        return
    show_table(["HOLDER", "HOST", "RELEASED"], [[r["holder"], r["host"], r["amount"]] for r in answer["released"]])


def _path(name: str, scope: str | None) -> str:
    place, bare = split_name(name, scope)
    return f"/api/v1/scopes/{place}/budgets/{bare}"


COMMANDS = (budgets,)
