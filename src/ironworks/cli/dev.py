"""For those who work on Ironworks itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click


@click.group()
def dev() -> None:
    """Tools for developing Ironworks."""


@dev.command()
@click.argument("domain", metavar="DOMAIN")
@click.argument("name", metavar="KIND")
def kind(domain: str, name: str) -> None:
    """Write the migration of a declared kind.

    For instance: ironworks dev kind products.gpuaas.storage Bucket
    """
    sys.exit(_server_side("kind", domain, name))


@dev.command()
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if anything is out of date or was broken.")
@click.option("--publish", is_flag=True, help="At a release: promise from now on what the documents say.")
def contracts(check: bool, publish: bool) -> None:
    """Regenerate contracts/ from the code.

    OpenAPI, AsyncAPI, schema, authorization matrix, ownership.
    """
    flags = [flag for flag, wanted in (("--check", check), ("--publish", publish)) if wanted]
    sys.exit(_server_side("contracts", *flags))


def _server_side(*words: str) -> int:
    """The work needs the domains, which a client does not import."""
    if not Path("src/ironworks").is_dir():
        raise click.UsageError("run this in a checkout of the project")
    return subprocess.call([sys.executable, "-m", "ironworks.app", "dev", *words])  # noqa: S603


COMMANDS = (dev,)
