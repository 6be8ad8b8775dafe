"""`ironworks status` and `ironworks env`: what runs, and how to reach it."""

from __future__ import annotations

import contextlib
import json
import shlex
import time
from dataclasses import asdict, dataclass, replace

from ironworks.app import programs
from ironworks.app.settings import Settings
from ironworks.app.supervisor import Entry, left_running
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
    client, home = SupervisorClient(settings.control_socket, timeout=10), programs.supervisor_home(settings)
    try:
        pid: int | None = await client.pid()
        found = {each.name: _part(each) for each in await client.list()}
    except SupervisorUnavailable:
        pid, found = None, {entry.spec.name: _left_behind(entry) for entry in left_running(home)}
    control = f"unix:{settings.control_socket}"
    supervisor = PartStatus("supervisor", "ready" if pid else "stopped", control, pid, None, 0, str(home.log), "")
    expected = [name for name in programs.PARTS if name != "postgres" or settings.embedded]
    stopped = {name: _stopped(settings, name) for name in expected if name not in found}
    others = sorted(set(found) - set(expected))
    found = {name: _with_health(settings, part) for name, part in found.items()}
    return [supervisor, *(found.get(name) or stopped[name] for name in expected), *(found[name] for name in others)]


def _stopped(settings: Settings, name: str) -> PartStatus:
    return PartStatus(name, "stopped", "", None, None, 0, str(settings.logs / f"{name}.log"), "")


def _with_health(settings: Settings, part: PartStatus) -> PartStatus:
    """A gateway process that runs says itself what is wrong; others have no such file."""
    try:
        health = json.loads((settings.run / "gateway" / f"{part.pid}.health").read_bytes())
        wrong = "; ".join(f"{check['component']}: {check['message']}" for check in health["checks"])
    except (OSError, ValueError, KeyError, TypeError):
        return part
    return replace(part, message=part.message or f"{health['status']}: {wrong}") if wrong else part


def _left_behind(entry: Entry) -> PartStatus:
    spec, pid = entry.spec, entry.process.pid if entry.process else None
    message = "nobody minds it: ironworks up takes it over"
    return PartStatus(spec.name, "running", spec.address, pid, None, entry.restarts, spec.log, message)


def _part(status: ProgramStatus) -> PartStatus:
    name = status.name
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
    """`export` lines for a shell, for our own command line and for any OpenAI client. Raises FileNotFoundError.

    The tenant's key is left out where the demo was: `up --no-demo` makes none.
    """
    values = {
        "IRONWORKS_URL": settings.api_url,
        "IRONWORKS_TOKEN": settings.secret("operator-token"),
        "OPENAI_BASE_URL": f"{settings.gateway_url}/v1",
    }
    with contextlib.suppress(FileNotFoundError):
        values["OPENAI_API_KEY"] = settings.secret("demo-key")
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
