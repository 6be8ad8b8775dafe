"""API keys: make, list, rotate, disable. `rotate-key` is the older name of `keys rotate`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from ironworks.cli.output import full_name, output_option, show_data, show_resources
from ironworks.cli.resources import scope_option, seconds_of
from ironworks.cli.session import fails_clearly, find_kind, open_client, split_name
from ironworks.sdk import Client, KindInfo

data_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True
)


@click.group()
def keys() -> None:
    """API keys: make, list, rotate and disable them."""


@keys.command("list")
@scope_option
@output_option
@click.pass_context
@fails_clearly
def list_keys(ctx: click.Context, scope: str | None, output: str) -> None:
    """List keys, those of a scope and below or all."""
    client = open_client(ctx)
    kind = find_kind(client, "api-keys")
    show_resources(list(client.list(kind, scope)), kind, output)


@keys.command()
@click.argument("name", metavar="SCOPE/NAME")
@scope_option
@click.option("--owner", metavar="SUBJECT", help="Whose rights it borrows: service-account:path/name (default: you).")
@click.option("--permission", "permissions", multiple=True, help="All it may use of them; everything when left out.")
@click.option("--expires-in", metavar="TIME", help="From now on: 12h, 90d; it stays good when left out.")
@click.option("-o", "--output", type=click.Choice(["key", "json", "yaml"]), default="key", show_default=True)
@click.pass_context
@fails_clearly
def create(
    ctx: click.Context, name: str, scope: str | None, owner: str | None, permissions: tuple[str, ...],
    expires_in: str | None, output: str,
) -> None:  # fmt: skip
    """Make a key and issue its secret.

    The secret is printed this once and kept nowhere: export OPENAI_API_KEY=$(ironworks keys create acme.shop.eu/app)
    """
    client = open_client(ctx)
    kind = find_kind(client, "api-keys")
    place, bare = split_name(name, scope)
    spec = {
        "owner": owner,
        "permissions": list(permissions) or None,
        "expires_at": _moment_in(expires_in) if expires_in else None,
    }
    body = {"metadata": {"name": bare}, "spec": {k: v for k, v in spec.items() if v is not None}}
    made = client.request("POST", f"/api/v1/scopes/{place}/{kind.plural}", body=body)
    secret = issue_secret(client, kind, place, bare, 0)
    if output == "key":
        click.echo(secret)
    else:
        show_data({"resource": made, "key": secret}, output)


def _moment_in(text: str) -> str:
    days = text.removesuffix("d")
    seconds = float(days) * 86_400 if text.endswith("d") and days.isdigit() else seconds_of(text)
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def issue_secret(client: Client, kind: KindInfo, scope: str, name: str, grace: int) -> str:
    """A new secret for a key; the one before works for `grace` seconds more."""
    path = f"/api/v1/scopes/{scope}/{kind.plural}/{name}:rotate"
    return str(client.request("POST", path, body={"grace_seconds": grace})["key"])


@keys.command()
@click.argument("name", metavar="SCOPE/NAME")
@scope_option
@click.option("--grace", type=int, default=0, show_default=True, help="Seconds for which the old secret still works.")
@click.pass_context
@fails_clearly
def rotate(ctx: click.Context, name: str, scope: str | None, grace: int) -> None:
    """Replace a key's secret, and print the new one this once."""
    client = open_client(ctx)
    place, bare = split_name(name, scope)
    click.echo(issue_secret(client, find_kind(client, "api-keys"), place, bare, grace))


@keys.command()
@click.argument("name", metavar="SCOPE/NAME")
@scope_option
@data_option
@click.pass_context
@fails_clearly
def disable(ctx: click.Context, name: str, scope: str | None, output: str) -> None:
    """Stop a key, within a second; `enable` takes it back."""
    _switch(ctx, name, scope, output, disabled=True)


@keys.command()
@click.argument("name", metavar="SCOPE/NAME")
@scope_option
@data_option
@click.pass_context
@fails_clearly
def enable(ctx: click.Context, name: str, scope: str | None, output: str) -> None:
    """Let a disabled key work again."""
    _switch(ctx, name, scope, output, disabled=False)


def _switch(ctx: click.Context, name: str, scope: str | None, output: str, *, disabled: bool) -> None:
    client = open_client(ctx)
    kind = find_kind(client, "api-keys")
    place, bare = split_name(name, scope)
    body: dict[str, Any] = {"spec": {"disabled": disabled}}
    changed = client.request("PATCH", f"/api/v1/scopes/{place}/{kind.plural}/{bare}", body=body)
    if output != "table":
        show_data(changed, output)
    else:
        click.echo(f"{full_name(kind, changed)} {'disabled' if disabled else 'enabled'}")


COMMANDS = (keys,)
