"""Master keys printed by a command: a vault's client, a cloud's key service, a hardware token's tool."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass

from ironworks.platform.secrets.model import BadMasterKey

_MAX_OUTPUT = 65_536


@dataclass(frozen=True, slots=True)
class CommandMasterKeys:
    """A MasterKeySource. Runs `argv` without a shell; its output is never logged, nor what it says in failing.

    Args:
        timeout: seconds until the command is ended.
    """

    argv: tuple[str, ...]
    timeout: float = 30.0

    async def read(self) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *self.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as problem:
            raise BadMasterKey(f"cannot run the master key command {self.argv[0]!r}: {problem.strerror}") from None
        try:
            output = await asyncio.wait_for(_output(process), self.timeout)
        except TimeoutError:
            raise BadMasterKey(f"the master key command {self.argv[0]!r} took over {self.timeout:g} s") from None
        finally:
            await _end(process)
        if output is None:
            raise BadMasterKey(f"the master key command {self.argv[0]!r} printed over {_MAX_OUTPUT} bytes")
        if process.returncode != 0:
            raise BadMasterKey(f"the master key command {self.argv[0]!r} ended with status {process.returncode}")
        return output.decode("ascii", "replace")


async def _output(process: asyncio.subprocess.Process) -> bytes | None:
    """What it prints until it ends; None when that is too much."""
    assert process.stdout is not None
    try:
        await process.stdout.readexactly(_MAX_OUTPUT + 1)
    except asyncio.IncompleteReadError as whole:
        await process.wait()
        return whole.partial
    return None


async def _end(process: asyncio.subprocess.Process) -> None:
    """End what is left of the command, children included, and close its pipe."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()
