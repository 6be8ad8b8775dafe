"""Who has access where, and why somebody may do something."""

from __future__ import annotations

import sys
from typing import Any

import click

from ironworks.cli.output import show_data, show_table
from ironworks.cli.session import fails_clearly, open_client, own_scope

scope_option = click.option("-s", "--scope", metavar="PATH", help="The scope (default: your own).")
data_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True
)
_OBSTACLES = {
    "permission-unknown-or-disabled": "there is no such permission, or the operator has switched it off",
    "no-role": "no role that holds it is given there or above",
    "subject-disabled": "the subject is disabled",
    "owner-disabled": "the key's owner is disabled",
    "key-disabled": "the key is switched off",
    "key-expired": "the key has expired",
    "key-leaves-it-out": "the key was made for other permissions",
    "outside-of-the-key": "the key works at its own scope and below, and this is outside of it",
    "key-halted": "the key lies in a scope that is suspended, cancelled or not verified",
}


@click.command()
@scope_option
@click.option("--below", is_flag=True, help="Those with a role further down, instead of there or above.")
@data_option
@click.pass_context
@fails_clearly
def members(ctx: click.Context, scope: str | None, below: bool, output: str) -> None:
    """List who has a role in a scope, and where it was given."""
    client = open_client(ctx)
    path = f"/api/v1/scopes/{own_scope(client, scope)}/members"
    found = list(client.items(path, below="true") if below else client.items(path))
    if output != "table":
        show_data({"items": found}, output)
        return
    rows = [
        [_shown(member), each["role"], each["scope"], each["assignment"]]
        for member in found
        for each in member["assignments"]
    ]
    show_table(["SUBJECT", "ROLE", "GIVEN AT", "ASSIGNMENT"], rows)


def _shown(member: dict[str, Any]) -> str:
    return str(member["subject"]) + ("" if member["active"] else " (disabled)")


@click.command()
@click.argument("subject")
@click.argument("permission")
@scope_option
@data_option
@click.pass_context
@fails_clearly
def can(ctx: click.Context, subject: str, permission: str, scope: str | None, output: str) -> None:
    """Tell why a subject may do something, or why not.

    For instance: ironworks can ann@example.com endpoint:create -s acme.shop. Service accounts and keys are written as
    service-account:path/name and api-key:path/name. Exit code 1 where it may not.
    """
    client = open_client(ctx)
    whom = f"user:{subject}" if "@" in subject and ":" not in subject else subject
    place = own_scope(client, scope)
    found = client.request("GET", f"/api/v1/scopes/{place}/access", query={"subject": whom, "permission": permission})
    if output != "table":
        show_data(found, output)
    else:
        _tell(found, permission, place)
    if not found["allowed"]:
        sys.exit(1)


def _tell(found: dict[str, Any], permission: str, place: str) -> None:
    click.echo(f"{'yes' if found['allowed'] else 'no'}: {found['subject']}, {permission} at {place}")
    if found["owner"]:
        click.echo(f"  by its owner {found['owner']}")
    for obstacle in found["obstacles"]:
        click.echo(f"  {_OBSTACLES[obstacle]}")
    for each in found["assignments"]:
        known = each["assignment"] is not None
        given = f"{each['role']} by {each['assignment']}" if known else "an assignment above, not shown to you"
        click.echo(f"  {given}" + ("" if each["reaches"] else ", which is further down and does not reach"))


COMMANDS = (members, can)
