"""Who has access where, who was invited, and why somebody may do something."""

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


@click.group(invoke_without_command=True)
@scope_option
@click.option("--below", is_flag=True, help="Those with a role further down, instead of there or above.")
@data_option
@click.pass_context
@fails_clearly
def members(ctx: click.Context, scope: str | None, below: bool, output: str) -> None:
    """List who has a role in a scope, or invite people to one."""
    if ctx.invoked_subcommand is not None:
        return
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


@members.command()
@click.argument("email")
@click.argument("role")
@scope_option
@click.pass_context
@fails_clearly
def invite(ctx: click.Context, email: str, role: str, scope: str | None) -> None:
    """Mail somebody an invitation to a role.

    Done again, the same one is sent again. A role of your own is path/name. For instance:
    ironworks members invite ann@example.com developer -s acme.shop
    """
    client = open_client(ctx)
    body = {"email": email, "role": role if "/" in role else f"-/{role}"}
    made = client.request("POST", f"/api/v1/scopes/{own_scope(client, scope)}/invitations", body=body)
    click.echo(f"{made['email']} is invited to {made['scope']} as {made['role']}; see `ironworks members invitations`")


@members.command()
@scope_option
@data_option
@click.pass_context
@fails_clearly
def invitations(ctx: click.Context, scope: str | None, output: str) -> None:
    """List the invitations to a scope that nobody has accepted."""
    client = open_client(ctx)
    found = list(client.items(_invitations(own_scope(client, scope))))
    if output != "table":
        show_data({"items": found}, output)
        return
    rows = [
        [one["email"], one["role"], one["inviter"], one["state"], one["sent_at"] or "-", one["expires_at"] or "-"]
        for one in found
    ]
    show_table(["ADDRESS", "ROLE", "INVITED BY", "STATE", "SENT", "EXPIRES"], rows)


@members.command()
@click.argument("email")
@scope_option
@click.pass_context
@fails_clearly
def revoke(ctx: click.Context, email: str, scope: str | None) -> None:
    """Take back what an address was invited to in a scope."""
    client = open_client(ctx)
    path = _invitations(own_scope(client, scope))
    theirs = [one for one in client.items(path) if one["email"] == email.lower()]
    for one in theirs:
        client.request("DELETE", f"{path}/{one['uid']}")
        click.echo(f"{one['email']} is no longer invited to {one['scope']} as {one['role']}")
    if not theirs:
        click.echo(f"no invitation of {email} waits there", err=True)
        sys.exit(1)


def _invitations(scope: str) -> str:
    return f"/api/v1/scopes/{scope}/invitations"


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
