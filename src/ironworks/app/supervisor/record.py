"""What the supervisor remembers on disk: its programs and the processes that run them, for its successor."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from ironworks.app.supervisor.process import Identity
from ironworks.shared.supervision import ProgramSpec, parse_spec, spec_document


@dataclass(frozen=True, slots=True)
class Entry:
    """One program, and its process if it had one. `descriptors` are the numbers of its inherited sockets in it."""

    spec: ProgramSpec
    process: Identity | None = None
    restarts: int = 0
    descriptors: Mapping[str, int] = field(default_factory=dict)


def load(path: Path) -> list[Entry]:
    """What the last supervisor wrote; nothing if it wrote nothing that can be read (a crash of the whole machine)."""
    try:
        stored = json.loads(path.read_text())
        return [_parse(each) for each in stored["programs"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError, ValidationError):
        return []


def _parse(stored: dict[str, object]) -> Entry:
    process = stored.get("process")
    return Entry(
        spec=parse_spec(stored["spec"]),
        process=Identity(*process) if isinstance(process, list) else None,
        restarts=int(str(stored.get("restarts", 0))),
        descriptors=dict(stored.get("descriptors") or {}),  # type: ignore[call-overload]
    )


def save(path: Path, entries: Iterable[Entry]) -> None:
    """Replace the file in one step; only we may read it (environments may hold secrets). Raises OSError."""
    document = {
        "programs": [
            {
                "spec": spec_document(entry.spec),
                "process": [entry.process.pid, entry.process.started] if entry.process else None,
                "restarts": entry.restarts,
                "descriptors": dict(entry.descriptors),
            }
            for entry in entries
        ]
    }
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(document, file)
    fresh.replace(path)
