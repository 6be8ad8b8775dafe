"""Who we are: login, logout, whoami, keys, and links for who forgot a password."""

from __future__ import annotations

import sys

import click

from ironworks.cli.keys import issue_secret
from ironworks.cli.output import show_data, show_table
from ironworks.cli.session import fails_clearly, find_kind, open_client, split_name
from ironworks.sdk import Client, load_profile, save_profile
from ironworks.sdk.config import Profile, forget_profile


@click.command()
@click.option("--email", prompt="E-mail", help="Your user's address.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_context
@fails_clearly
def login(ctx: click.Context, email: str, password_stdin: bool) -> None:
    """Log in with e-mail and password.

    The session is kept for later commands, until `ironworks logout`; IRONWORKS_TOKEN goes before it.
    """
    typed = sys.stdin.readline() if password_stdin else click.prompt("Password", hide_input=True)
    password = typed.rstrip("\n")
    url = (ctx.find_root().params.get("url") or load_profile().url).rstrip("/")
    with Client(Profile(url)) as client:
        tokens = client.request("POST", "/api/v1/auth:login", body={"email": email, "password": password})
    file = save_profile(Profile(url, tokens["access_token"], tokens["refresh_token"], stored=True))
    click.echo(f"logged in at {url}; the session is kept in {file}")


@click.command()
@click.pass_context
@fails_clearly
def logout(ctx: click.Context) -> None:
    """End the kept session, here and at the server."""
    profile = load_profile()
    if profile.stored and profile.refresh_token:
        with Client(profile) as client:
            client.request("POST", "/api/v1/auth:logout", body={"refresh_token": profile.refresh_token})
    click.echo("logged out" if forget_profile() else "there was no session")


@click.command()
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True)
@click.pass_context
@fails_clearly
def whoami(ctx: click.Context, output: str) -> None:
    """Show who you are, and what you may do where."""
    client = open_client(ctx)
    me = client.request("GET", "/api/v1/me")
    if output != "table":
        show_data(me, output)
        return
    click.echo(f"{me['kind']} {me['name']} at {client.profile.url}")
    rows = [[g["scope"], g.get("role") or "-", str(len(g.get("permissions", [])))] for g in me.get("grants", [])]
    if rows:
        show_table(["SCOPE", "ROLE", "PERMISSIONS"], rows)


@click.command("rotate-key")
@click.argument("name", metavar="SCOPE/NAME")
@click.option("-s", "--scope", metavar="PATH")
@click.option("--grace", type=int, default=0, show_default=True, help="Seconds for which the old secret still works.")
@click.pass_context
@fails_clearly
def rotate_key(ctx: click.Context, name: str, scope: str | None, grace: int) -> None:
    """Issue an API key's secret, or a new one.

    It is printed this once and kept nowhere: export OPENAI_API_KEY=$(ironworks rotate-key acme.shop.eu/app)
    """
    client = open_client(ctx)
    kind = find_kind(client, "api-keys")
    place, bare = split_name(name, scope)
    click.echo(issue_secret(client, kind, place, bare, grace))


@click.command("password-link")
@click.argument("email")
@click.pass_context
@fails_clearly
def password_link(ctx: click.Context, email: str) -> None:
    """Make a link by which a user sets a new password, to be handed to him. For operators.

    It works once, within a day, and ends all his sessions when it is used.
    """
    client = open_client(ctx)
    users = client.items("/api/v1/scopes/-/users")
    name = next((u["metadata"]["name"] for u in users if u["spec"]["email"].lower() == email.lower()), None)
    if name is None:
        raise click.UsageError(f"nobody here has the address {email}; see `ironworks get users -s -`")
    made = client.request("POST", f"/api/v1/users/{name}:make-password-link")
    click.echo(made["link"])


COMMANDS = (login, logout, whoami, rotate_key, password_link)
