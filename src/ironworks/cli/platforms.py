"""A platform's life: suspend, resume, cancel."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from ironworks.cli.session import fails_clearly, find_kind, open_client, split_name

reason_option = click.option("--reason", default="", help="Shown in the platform's status and the audit trail.")


@click.command()
@click.argument("platform", metavar="ACCOUNT/NAME")
@reason_option
@click.pass_context
@fails_clearly
def suspend(ctx: click.Context, platform: str, reason: str) -> None:
    """Suspend a platform.

    Its keys stop within a second; nothing of it is lost. `ironworks resume` brings it back.
    """
    _step(ctx, platform, "suspend", {"reason": reason})


@click.command()
@click.argument("platform", metavar="ACCOUNT/NAME")
@click.pass_context
@fails_clearly
def resume(ctx: click.Context, platform: str) -> None:
    """Resume a suspended platform."""
    _step(ctx, platform, "resume", {})


@click.command()
@click.argument("platform", metavar="ACCOUNT/NAME")
@reason_option
@click.option("--now", is_flag=True, help="At once, instead of in 30 days.")
@click.pass_context
@fails_clearly
def cancel(ctx: click.Context, platform: str, reason: str, now: bool) -> None:
    """Cancel a platform, so that it can be deleted.

    It works for 30 more days, or ends at once with --now.
    """
    _step(ctx, platform, "cancel", {"reason": reason, **({"ends_at": datetime.now(UTC).isoformat()} if now else {})})


def _step(ctx: click.Context, platform: str, verb: str, body: dict[str, Any]) -> None:
    client = open_client(ctx)
    kind = find_kind(client, "platforms")
    scope, name = split_name(platform.removeprefix("platform/"), None)
    state = client.request("POST", f"/api/v1/scopes/{scope}/{kind.plural}/{name}:{verb}", body=body)
    until = f", works until {state['ends_at']}" if state["phase"] == "pending_cancellation" else ""
    click.echo(f"platform/{scope}/{name} {state['phase']}{until}")


COMMANDS = (suspend, resume, cancel)
