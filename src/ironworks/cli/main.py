"""The command's root: global options, exit codes, completion."""

from __future__ import annotations

import re
from typing import Any, Final

import click

from ironworks.cli import (
    access,
    budgets,
    credit,
    dev,
    factory,
    identity,
    importing,
    invoices,
    keys,
    ledger,
    local,
    models,
    money,
    payments,
    platforms,
    prices,
    quota,
    reports,
    resources,
    subscription,
    top,
    traces,
    usage,
)  # fmt: skip
from ironworks.cli.session import EXIT_CODES

_NEGATIVE: Final = re.compile(r"-[.\d]")


class Commands(click.Group):
    """Takes `-/name`, a name in the operator's scope, for a word and not for options, nor `-5` for an option."""

    def invoke(self, ctx: click.Context) -> Any:
        words = [*ctx._protected_args, *ctx.args]
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as unknown:
            if not _NEGATIVE.fullmatch(unknown.option_name):
                raise
            said = next((word for word in words if word.startswith(unknown.option_name)), unknown.option_name)
            raise click.UsageError(
                f"{said!r} is below zero: give an amount or a number from 0 on", unknown.ctx
            ) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, words = super().resolve_command(ctx, args)
        return name, command, _operators_last(words)


def _operators_last(words: list[str]) -> list[str]:
    names = [word for word in words if word.startswith("-/")]
    if not names or "--" in words:
        return words
    return [*(word for word in words if word not in names), "--", *names]


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, epilog=EXIT_CODES
)
@click.version_option(package_name="ironworks", prog_name="ironworks")
@click.option("--url", envvar="IRONWORKS_URL", metavar="URL", help="The API (IRONWORKS_URL).")
@click.option("--token", envvar="IRONWORKS_TOKEN", metavar="TOKEN", help="An API key or session (IRONWORKS_TOKEN).")
def main(url: str | None, token: str | None) -> None:
    """Ironworks: models, GPUs and apps for your customers, behind one metered gateway.

    Begin with `ironworks up`, then eval "$(ironworks env)".

    Resources are named by kind (singular, plural or short), scope and name: `ironworks get endpoints -s acme.shop.eu`,
    `ironworks describe endpoint/acme.shop.eu/chat`. The operator's scope is `-`. `ironworks kinds` lists the kinds.
    """


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a shell's completion script.

    Load it with: eval "$(ironworks completion bash)"
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(main, {}, "ironworks", "_IRONWORKS_COMPLETE").source())


for module in (
    local,
    identity,
    access,
    keys,
    resources,
    platforms,
    factory,
    budgets,
    models,
    usage,
    top,
    money,
    prices,
    credit,
    ledger,
    invoices,
    payments,
    quota,
    subscription,
    reports,
    traces,
    importing,
    dev,
):
    for command in module.COMMANDS:
        main.add_command(command)
main.add_command(completion)
