"""Help that a newcomer can read: every command and option says what it does, in a line that is not cut off."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from ironworks.cli.main import main

WIDTH = 60
"""Room for a command's one line in a terminal of 80 columns."""


def commands(group: click.Group, path: str = "ironworks") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


ALL = dict(commands(main))
OBVIOUS = {"output", "scope"}


@pytest.mark.parametrize("name", ALL)
def test_a_command_tells_what_it_does_in_one_line(name: str) -> None:
    line = ALL[name].get_short_help_str(limit=WIDTH + 10)
    assert line
    assert not line.endswith("...")


@pytest.mark.parametrize("name", ALL)
def test_every_option_is_explained(name: str) -> None:
    for option in ALL[name].params:
        if isinstance(option, click.Option) and option.name not in OBVIOUS:
            assert option.help or isinstance(option.type, click.Choice), f"{name} {option.opts[0]}"
