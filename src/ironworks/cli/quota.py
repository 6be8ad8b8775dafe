"""How many of each kind there may be, and how many there are."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from ironworks.cli.money import data_option, scope_option
from ironworks.cli.output import at_second, show_data, show_table, text_of
from ironworks.cli.session import fails_clearly, open_client, own_scope

HOURS: Final = {"h": 1, "d": 24, "w": 168}


def until(_: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A moment to come in ISO 8601 of itself, or of how far off it is: `12h`, `30d`, `2w`."""
    if value is None:
        return None
    if ahead := re.fullmatch(r"(\d{1,5})([hdw])", value):
        return (datetime.now(UTC) + timedelta(hours=int(ahead[1]) * HOURS[ahead[2]])).isoformat()
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no moment: say 30d or 2027-01-01T00:00:00Z", param=option) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


def allowed(_: click.Context, argument: click.Parameter, value: str) -> int | None:
    """A limit: a whole number, or `none` for no limit."""
    if value == "none":
        return None
    if not re.fullmatch(r"\d{1,13}", value):
        raise click.BadParameter(f"{value!r} is neither a whole number nor 'none'", param=argument)
    return int(value)


@click.group()
def quota() -> None:
    """How many of each kind there may be."""


@quota.command("list")
@scope_option
@data_option
@click.pass_context
@fails_clearly
def list_quotas(ctx: click.Context, scope: str | None, output: str) -> None:
    """List the limits that count in a scope, and what is used of them.

    What is not listed has no limit.
    """
    client = open_client(ctx)
    items = list(client.items(f"/api/v1/scopes/{own_scope(client, scope)}/quotas"))
    if output != "table":
        show_data({"items": items}, output)
        return
    if not items:
        click.echo("nothing is limited here", err=True)
        return
    show_table(["QUOTA", "USED", "LIMIT", "OF", "BY", "UNTIL", "REASON"], [_row(item) for item in items])


def _row(item: dict[str, Any]) -> list[str]:
    limit = "none" if item["limit"] is None else str(item["limit"])
    by = "operator" if item["overridden"] else f"plan {item['plan']}" if item["plan"] else "operator, for all"
    used, reason = text_of(item["used"]), text_of(item["reason"])
    return [item["quota"], used, limit, item["scope"], by, at_second(item["expires_at"]), reason]


@quota.command("set")
@click.argument("scope")
@click.argument("name")
@click.argument("limit", callback=allowed)
@click.option("--until", callback=until, metavar="WHEN", help="Only until then: 12h, 30d, 2w, or in ISO 8601.")
@click.option("--reason", default="", help="Shown with the quota and in the audit trail.")
@data_option
@click.pass_context
@fails_clearly
def set_quota(
    ctx: click.Context, scope: str, name: str, limit: int | None, until: str | None, reason: str, output: str
) -> None:
    """Let another limit count in an account or platform.

    SCOPE is its path, or `-` for every account where neither its plan nor such a limit says anything; NAME as `quota
    list` shows it (platforms, tenants, api_keys, …), LIMIT a number or `none`. Only the operator may.
    """
    body = {"limit": limit, "expires_at": until, "reason": reason}
    item = open_client(ctx).request("PUT", f"/api/v1/scopes/{scope}/quotas/{name}", body=body)
    if output != "table":
        show_data(item, output)
        return
    word = "no limit" if item["limit"] is None else f"a limit of {item['limit']}"
    used = "where nothing else is said" if item["used"] is None else f"{item['used']} used"
    click.echo(f"{item['quota']} of {item['scope']}: {word}, {used}")


@quota.command()
@click.argument("scope")
@click.argument("name")
@click.pass_context
@fails_clearly
def unset(ctx: click.Context, scope: str, name: str) -> None:
    """Let the plan's limit count again."""
    open_client(ctx).request("DELETE", f"/api/v1/scopes/{scope}/quotas/{name}")
    click.echo(f"{name} of {scope}: as the plan says")


COMMANDS = (quota,)
