"""The commands that a person runs on this machine: up, down, status, env, migrate, compile. Each returns a status."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from ironworks.app.compiling import compile_gateway
from ironworks.app.credentials import role_passwords
from ironworks.app.down import stop_everything
from ironworks.app.prerequisites import CannotRun
from ironworks.app.progress import standard
from ironworks.app.settings import Settings, SettingsProblem
from ironworks.app.status import environment_lines, read_status, status_document, status_table
from ironworks.app.up import start_everything
from ironworks.shared.errors import IronworksError
from ironworks.shared.migrations import MigrationError, migrate

_INTERRUPTED = 130


def run_command(arguments: argparse.Namespace, settings: Settings) -> int:
    """Run one; what a person can mend is told in one line on standard error, with status 1."""
    try:
        return asyncio.run(_COMMANDS[arguments.command](arguments, settings))
    except (CannotRun, SettingsProblem, MigrationError) as problem:
        sys.stderr.write(f"ironworks: {problem}\n")
    except IronworksError as problem:
        sys.stderr.write(f"ironworks: {problem.message}\n")
    except KeyboardInterrupt:
        sys.stderr.write(f"ironworks: interrupted; run {arguments.command} again to go on\n")
        return _INTERRUPTED
    except BrokenPipeError:
        return 1
    return 1


async def _up(arguments: argparse.Namespace, settings: Settings) -> int:
    await start_everything(settings, standard(), demo=not arguments.no_demo)
    return 0


async def _down(arguments: argparse.Namespace, settings: Settings) -> int:
    await stop_everything(settings, standard(), purge=arguments.purge)
    return 0


async def _status(arguments: argparse.Namespace, settings: Settings) -> int:
    """0 when everything is ready, 3 when something is not (as `systemctl status` has it)."""
    parts = await read_status(settings)
    if arguments.output == "json":
        lines = [json.dumps(status_document(settings, parts), indent=2)]
    else:
        lines = status_table(parts)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if all(part.state == "ready" for part in parts) else 3


async def _env(arguments: argparse.Namespace, settings: Settings) -> int:
    try:
        lines = environment_lines(settings)
    except FileNotFoundError as problem:
        raise CannotRun(f"there is no {problem.filename} yet: run ironworks up first") from problem
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


async def _migrate(arguments: argparse.Namespace, settings: Settings) -> int:
    try:
        passwords = role_passwords(settings) if settings.credentials.exists() else {}
        applied = await migrate(settings.admin_url(), passwords)
    except FileNotFoundError as problem:
        raise CannotRun("there is no database: set IRONWORKS_DATABASE_URL, or run ironworks up") from problem
    except OSError as problem:
        raise CannotRun(f"the database does not answer: {problem}") from problem
    sys.stdout.write("".join(f"{name}\n" for name in applied) or "up to date\n")
    return 0


async def _compile(arguments: argparse.Namespace, settings: Settings) -> int:
    await compile_gateway(settings.home, standard())
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace, Settings], Coroutine[Any, Any, int]]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "env": _env,
    "migrate": _migrate,
    "compile": _compile,
}
