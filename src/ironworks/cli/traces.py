"""Traced requests, and how the gateway's processes are: traces, gateway."""

from __future__ import annotations

import json

import click

from ironworks.cli.money import data_option, scope_option
from ironworks.cli.output import show_data, show_table, text_of
from ironworks.cli.session import fails_clearly, open_client, own_scope


@click.group()
def traces() -> None:
    """Requests and answers that were kept, where a TracePolicy asks for it."""


@traces.command("list")
@scope_option
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many.")
@data_option
@click.pass_context
@fails_clearly
def list_traces(ctx: click.Context, scope: str | None, limit: int, output: str) -> None:
    """List traced requests of a scope and all below it, newest first."""
    client = open_client(ctx)
    query = {"limit": limit}
    items = client.request("GET", f"/api/v1/scopes/{own_scope(client, scope)}/traces", query=query)["items"]
    if output != "table":
        show_data({"items": items}, output)
        return
    heads = ["TIME", "SCOPE", "MODEL", "STATUS", "IN", "OUT", "BYTES", "REQUEST"]
    rows = [
        [i["occurred_at"], i["scope"], i["model"], str(i["status"]), str(i["input_tokens"]), str(i["output_tokens"]),
         f"{i['size']}{'+' if i['truncated'] else ''}", i["request_id"]]
        for i in items
    ]  # fmt: skip
    show_table(heads, rows)


@traces.command()
@click.argument("request_id")
@scope_option
@data_option
@click.pass_context
@fails_clearly
def show(ctx: click.Context, request_id: str, scope: str | None, output: str) -> None:
    """Print one traced request and its answer.

    The audit trail keeps who did. REQUEST_ID is the answer's x-request-id.
    """
    client = open_client(ctx)
    found = client.request("GET", f"/api/v1/scopes/{own_scope(client, scope)}/traces/{request_id}")
    if output != "table":
        show_data(found, output)
        return
    click.echo(f"request   {found['request_id']}  {found['occurred_at']}  {found['scope']}")
    click.echo(f"model     {found['model']}  by {found['endpoint'] or '-'}  status {found['status']}")
    click.echo(
        f"kept      {found['size']} bytes{', cut off' if found['truncated'] else ''}, until {found['expires_at']}"
    )
    for title in ("request", "answer"):
        click.echo(f"\n--- {title}")
        click.echo(_pretty(found[title]))


def _pretty(text: str) -> str:
    """JSON indented; anything else as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


@traces.command()
@click.argument("request_id")
@scope_option
@click.pass_context
@fails_clearly
def delete(ctx: click.Context, request_id: str, scope: str | None) -> None:
    """Delete one trace before its time."""
    client = open_client(ctx)
    client.request("DELETE", f"/api/v1/scopes/{own_scope(client, scope)}/traces/{request_id}")
    click.echo(f"{request_id} deleted")


@click.group()
def gateway() -> None:
    """How the gateway's processes are, on every host."""


@gateway.command()
@data_option
@click.pass_context
@fails_clearly
def processes(ctx: click.Context, output: str) -> None:
    """List the processes of the last day and what is wrong with them."""
    items = open_client(ctx).request("GET", "/api/v1/gateway/processes")["items"]
    if output != "table":
        show_data({"items": items}, output)
        return
    rows = [
        [i["host"], str(i["pid"]), i["status"], i["reported_at"], f"{i['lag_seconds']:.1f} s, {i['waiting_bytes']} B",
         "; ".join(f"{t['component']}: {t['message']}" for t in i["troubles"]) or "-"]
        for i in items
    ]  # fmt: skip
    show_table(["HOST", "PID", "STATUS", "REPORTED", "CHARGE BEHIND", "WHAT IS WRONG"], rows)


@gateway.command()
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many.")
@data_option
@click.pass_context
@fails_clearly
def incidents(ctx: click.Context, limit: int, output: str) -> None:
    """List what was wrong, newest first."""
    items = open_client(ctx).request("GET", "/api/v1/gateway/incidents", query={"limit": limit})["items"]
    if output != "table":
        show_data({"items": items}, output)
        return
    heads = ["SINCE", "UNTIL", "HOST", "PID", "COMPONENT", "REASON", "MESSAGE"]
    rows = [
        [i["since"], text_of(i["until"]), i["host"], str(i["pid"]), i["component"], i["reason"], i["message"]]
        for i in items
    ]
    show_table(heads, rows)


COMMANDS = (traces, gateway)
