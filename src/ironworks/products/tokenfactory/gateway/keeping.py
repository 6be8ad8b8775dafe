"""The last good snapshot on this host's disk, so that a gateway which starts while its database is away still serves.

One sealed file for all processes of the host, replaced whole: it holds what replicas and providers demand of us. A file
that does not open, or was written by another version, is left alone as if there were none.
"""

from __future__ import annotations

import asyncio
import os
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson
from pydantic import ConfigDict, TypeAdapter

from ironworks.shared import telemetry

log = telemetry.logger(__name__)

PURPOSE = "gateway.snapshot"
FORMAT = 1
LINES = 1_000
"""Rows in one line of the file: what is dumped or read before the event loop gets its turn."""
_AS_JSON = ConfigDict(
    ser_json_bytes="base64",
    val_json_bytes="base64",
    ser_json_inf_nan="constants",
    hide_input_in_errors=True,  # which are logged, and a row holds credentials
)


class Seal(Protocol):
    """Encryption under the process's master key; implemented by the keyring of `platform.secrets`."""

    def seal_file(self, purpose: str, data: bytes) -> bytes: ...

    def open_file(self, purpose: str, sealed: bytes) -> bytes:
        """Raises some Exception for what was not sealed for `purpose`, or was changed since."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was on disk: the parts' rows, and when they were last confirmed, in seconds since the epoch."""

    confirmed_at: float
    rows: Mapping[str, Sequence[Any]]


class Keeper:
    """Writes and reads the file."""

    def __init__(self, path: Path, seal: Seal, shapes: Mapping[str, type]) -> None:
        """`shapes`: the part's name → the type of its rows, which must be made of plain data."""
        self.path = path
        self._seal = seal
        self._shapes = {name: TypeAdapter[Any](list[row], config=_AS_JSON) for name, row in shapes.items()}  # type: ignore[valid-type]

    async def save(self, rows: Mapping[str, Sequence[Any]], confirmed_at: float) -> None:
        """Replace the file. Raises OSError, and pydantic's error for a row that is no plain data."""
        lines = [orjson.dumps({"format": FORMAT, "confirmed_at": confirmed_at, "parts": sorted(self._shapes)})]
        for name, shape in self._shapes.items():
            for start in range(0, len(rows[name]), LINES):
                piece = shape.dump_json(list(rows[name][start : start + LINES]), warnings="error")
                lines.append(orjson.dumps(name) + b" " + piece)
                await asyncio.sleep(0)
        await asyncio.to_thread(self._write, b"\n".join(lines))

    async def load(self) -> Kept | None:
        """The file's content; None where there is none that can be used, which is said in the log."""
        try:
            lines = (await asyncio.to_thread(self._read)).split(b"\n")
            head = orjson.loads(lines[0])
            if head["format"] != FORMAT or head["parts"] != sorted(self._shapes):
                raise ValueError("another version of this program wrote it")
            rows: dict[str, list[Any]] = {name: [] for name in self._shapes}
            for line in lines[1:]:
                name, _, piece = line.partition(b" ")
                part = orjson.loads(name)
                rows[part] += self._shapes[part].validate_json(piece)
                await asyncio.sleep(0)
        except FileNotFoundError:
            return None
        except Exception as problem:
            log.warning("the snapshot kept on disk cannot be used", path=str(self.path), problem=repr(problem))
            return None
        return Kept(float(head["confirmed_at"]), rows)

    def age(self) -> float:
        """Seconds since some process last wrote the file; infinite where there is none."""
        try:
            return max(0.0, time.time() - self.path.stat().st_mtime)
        except OSError:
            return float("inf")

    def _write(self, data: bytes) -> None:
        sealed = self._seal.seal_file(PURPOSE, zlib.compress(data, 1))
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(sealed)
                os.fsync(file.fileno())
            draft.replace(self.path)
        finally:
            draft.unlink(missing_ok=True)

    def _read(self) -> bytes:
        return zlib.decompress(self._seal.open_file(PURPOSE, self.path.read_bytes()))
