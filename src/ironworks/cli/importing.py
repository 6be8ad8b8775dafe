"""Taking over what another gateway was told: `ironworks import litellm config.yaml`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
import yaml

from ironworks.cli.litellm import Config, Converted, Problem, convert, read_config
from ironworks.cli.litellm.lines import NotAConfig
from ironworks.cli.output import full_name, show_data
from ironworks.cli.session import fails_clearly, find_kind, open_client, own_scope
from ironworks.sdk import Client


@click.group("import")
def import_() -> None:
    """Take over the configuration of another gateway."""


@import_.command()
@click.argument("file", metavar="FILE")
@click.option("-s", "--scope", metavar="PATH", help="Where the resources belong (default: your own scope).")
@click.option("--apply", "apply_now", is_flag=True, help="Make them, with credentials from the environment.")
@click.option("--skip", is_flag=True, help="Leave out what cannot be taken over, instead of refusing all.")
@click.option("-q", "--quiet", is_flag=True, help="Tell only what cannot be taken over, not what differs.")
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@click.pass_context
@fails_clearly
def litellm(
    ctx: click.Context, file: str, scope: str | None, apply_now: bool, skip: bool, quiet: bool, output: str
) -> None:
    """Turn LiteLLM's config.yaml into resources.

    They are printed for `ironworks apply -f`, with *** where a credential belongs, or made with --apply, which takes
    credentials from the environment that the file names. Exit code 1 if anything cannot be taken over, unless --skip.
    """
    config = _read(file)
    client = open_client(ctx)
    made = convert(config, scope or own_scope(client, None))
    if apply_now:
        _find_credentials(config, made)
    _tell("warning" if skip else "error", config.problems)
    if not quiet:
        _tell("note", config.notes)
    if config.problems and not skip:
        click.echo(f"{len(config.problems)} settings cannot be taken over; --skip leaves them out", err=True)
        sys.exit(1)
    if apply_now:
        _apply(client, made, output)
    else:
        _print(made, output)


def _read(file: str) -> Config:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as problem:
        raise click.UsageError(f"{file}: {getattr(problem, 'strerror', None) or 'is not text'}") from None
    try:
        return read_config(text, os.environ)
    except NotAConfig as problem:
        raise click.UsageError(f"{file}: {problem}") from None


def _find_credentials(config: Config, made: Converted) -> None:
    """Put credentials in their places; a missing one is a problem, and with --skip its document is left out."""
    for secret in made.secrets:
        if not secret.fill(config):
            name = secret.document["metadata"]["name"]
            reason = f"set {secret.credential.variable} in the environment: it is the key of {name}"
            config.problems.append(Problem(1, "model_list", reason))
            made.leave_out(name)


def _tell(word: str, about: list[Problem]) -> None:
    for each in sorted(about, key=lambda problem: problem.line):
        click.echo(f"{word}: {each}", err=True)


def _print(made: Converted, output: str) -> None:
    if output == "json":
        show_data({"items": made.documents}, output)
        return
    variables = {id(secret.document): secret.credential.variable for secret in made.secrets}
    for document in made.documents:
        click.echo("---")
        if id(document) in variables:
            source = variables[id(document)] or "api_key in LiteLLM's file"
            click.echo(f"# Put the credential in place of ***: {source}")
        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip())


def _apply(client: Client, made: Converted, output: str) -> None:
    results: list[dict[str, Any]] = []
    for document in made.documents:
        answer = client.apply(document)
        results.append(answer)
        if output == "yaml":
            click.echo(f"{full_name(find_kind(client, document['kind']), answer['resource'])} {answer['action']}")
    if output == "json":
        show_data(results, output)


COMMANDS = (import_,)
