"""Commands that run something on this machine: they start the server's own program and add nothing to it."""

from __future__ import annotations

import os
import subprocess
import sys

import click

PROGRAM = [sys.executable, "-m", "ironworks.app"]


def _hand_over(*words: str) -> None:
    """Become the server program, so that its signals, output and exit code are ours."""
    try:
        from importlib.util import find_spec

        missing = find_spec("asyncpg") is None
    except ImportError:
        missing = True
    if missing:
        click.echo("error: the server is not installed here: pip install 'ironworks[local]'", err=True)
        sys.exit(1)
    command = [*PROGRAM, *words]
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(command[0], command)  # noqa: S606
    sys.exit(subprocess.call(command))  # noqa: S603


@click.command()
@click.option("--no-demo", is_flag=True, help="Start everything, and make no demo tenant.")
def up(no_demo: bool) -> None:
    """Start a local installation in the background.

    Then a demo tenant deploys a model and asks it something. What is done already is left as it is, so it may be run
    again at any time, also to bring an installation up to date.
    """
    _hand_over("up", *(["--no-demo"] if no_demo else []))


@click.command()
@click.option("--purge", is_flag=True, help="Also remove all state: database, models, credentials, logs.")
def down(purge: bool) -> None:
    """Stop the local installation; nothing of it keeps running."""
    _hand_over("down", *(["--purge"] if purge else []))


@click.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(output: str) -> None:
    """List the parts of the local installation.

    State, pid and address of each; exit code 0 when all are ready, 3 when not.
    """
    _hand_over("status", "-o", output)


@click.command()
def env() -> None:
    """Print `export` lines for the local installation.

    Use them with: eval "$(ironworks env)"
    """
    _hand_over("env")


@click.command()
def serve() -> None:
    """Run the API in the foreground."""
    _hand_over("api")


@click.command()
@click.option("--domains", help="Only these domains' controllers, consumers and schedules (comma-separated).")
def worker(domains: str | None) -> None:
    """Run a worker in the foreground."""
    _hand_over("worker", *(["--domains", domains] if domains else []))


COMMANDS = (up, down, status, env, serve, worker)
