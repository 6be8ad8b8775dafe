"""`ironworks status` and `ironworks env`: what runs, and how to reach it."""

from __future__ import annotations

import shlex
import time
from dataclasses import asdict, dataclass

from ironworks.app import programs
from ironworks.app.settings import Settings
from ironworks.shared.supervision import ProgramStatus, SupervisorClient, SupervisorUnavailable, describe


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part: `state` is a word of the supervisor's, `since` Unix time, `address` a URL or host:port."""

    name: str
    state: str
    address: str
    pid: int | None
    since: float | None
    restarts: int
    log: str
    message: str


async def read_status(settings: Settings) -> list[PartStatus]:
    """The supervisor, every part of a local run, and whatever else the supervisor runs; `stopped` where it does not."""
    client = SupervisorClient(settings.control_socket, timeout=10)
    try:
        pid: int | None = await client.pid()
        running = {each.name: each for each in await client.list()}
    except SupervisorUnavailable:
        pid, running = None, {}
    log = str(programs.supervisor_home(settings).log)
    control = f"unix:{settings.control_socket}"
    parts = [PartStatus("supervisor", "ready" if pid else "stopped", control, pid, None, 0, log, "")]
    expected = [name for name in programs.PARTS if name != "postgres" or settings.embedded]
    for name in [*expected, *sorted(set(running) - set(expected))]:
        parts.append(_part(settings, name, running.get(name)))
    return parts


def _part(settings: Settings, name: str, status: ProgramStatus | None) -> PartStatus:
    if status is None:
        return PartStatus(name, "stopped", "", None, None, 0, str(settings.logs / f"{name}.log"), "")
    why = "" if status.up else describe(status).removeprefix(f"{status.state}, ").removeprefix(status.state)
    return PartStatus(name, status.state, status.address, status.pid, status.since, status.restarts, status.log, why)


def status_document(settings: Settings, parts: list[PartStatus]) -> dict[str, object]:
    """For programs: the same facts as JSON."""
    return {
        "home": str(settings.home),
        "ready": all(part.state == "ready" for part in parts),
        "api_url": settings.api_url,
        "gateway_url": settings.gateway_url,
        "parts": [asdict(part) for part in parts],
    }


def status_table(parts: list[PartStatus]) -> list[str]:
    """For people: one line per part."""
    rows = [("PART", "STATE", "PID", "FOR", "ADDRESS", "")]
    rows += [
        (part.name, part.state, str(part.pid or "-"), _age(part.since), part.address or "-", part.message)
        for part in parts
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _age(since: float | None) -> str:
    if since is None:
        return "-"
    seconds = max(0, int(time.time() - since))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def environment_lines(settings: Settings) -> list[str]:
    """`export` lines for a shell, for our own command line and for any OpenAI client. Raises FileNotFoundError."""
    values = {
        "IRONWORKS_URL": settings.api_url,
        "IRONWORKS_TOKEN": settings.secret("operator-token"),
        "OPENAI_BASE_URL": f"{settings.gateway_url}/v1",
        "OPENAI_API_KEY": settings.secret("demo-key"),
    }
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
