"""`python -m ironworks.app COMMAND`: every program of ours begins here, with the settings read once."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import sys
import time
from collections.abc import Sequence

from ironworks.app.compiled import prefer_compiled
from ironworks.app.settings import Settings, SettingsProblem, load_settings, open_listener

SERVED = {
    "api": "serve the control API",
    "worker": "run everything that runs without a caller",
    "gateway": "serve the OpenAI-compatible gateway",
    "dev": "tools for those who work on the project",
}
"""Each is a module `ironworks.app.<name>` with `main(settings, arguments) -> int | None`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments, rest = _parser().parse_known_args(argv)
    try:
        settings = load_settings()
    except SettingsProblem as problem:
        return _fail(str(problem))
    if arguments.command in SERVED:
        if arguments.command == "gateway":
            prefer_compiled(settings.home)
        module = importlib.import_module(f"ironworks.app.{arguments.command}")
        return int(module.main(settings, rest) or 0)
    if rest:
        return _fail(f"{arguments.command} does not know {' '.join(rest)}")
    if arguments.command == "supervisor":
        return _supervise(settings)
    from ironworks.app import commands

    return commands.run_command(arguments, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ironworks.app", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in SERVED.items():
        commands.add_parser(name, help=purpose, add_help=False)
    commands.add_parser("supervisor", help="keep the parts of a local run alive")
    commands.add_parser("migrate", help="bring the database up to date")
    up = commands.add_parser("up", help="start everything in the background and run the main job")
    up.add_argument("--no-demo", action="store_true", help="only start the parts")
    down = commands.add_parser("down", help="stop everything")
    down.add_argument("--purge", action="store_true", help="and remove all state: data, keys, logs")
    status = commands.add_parser("status", help="show every part")
    status.add_argument("-o", "--output", choices=("table", "json"), default="table")
    commands.add_parser("compile", help="make native code of the gateway's hot modules, which it then uses")
    commands.add_parser("env", help="print export lines for a shell")
    return parser


def _supervise(settings: Settings) -> int:
    from ironworks.app.programs import supervisor_home
    from ironworks.app.supervisor import AlreadyRunning, run_supervisor

    logging.Formatter.converter = time.gmtime
    logging.basicConfig(level=logging.INFO, format="%(asctime)sZ %(levelname)s %(message)s")
    try:
        asyncio.run(run_supervisor(supervisor_home(settings), open_listener))
    except AlreadyRunning as problem:
        return _fail(str(problem))
    return 0


def _fail(problem: str) -> int:
    sys.stderr.write(f"ironworks: {problem}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
