"""The process supervisor: keeps programs running, outlives whoever asked for them, and leaves none behind.

It knows nothing of Ironworks' parts. Programs are declared over its control socket (`shared.supervision`): Postgres,
API, worker and gateway by `app.up`, model replicas by the worker. They are children in sessions of their own that
write to their log files directly, so the supervisor can die: the next one adopts what still runs.

- `daemon`: the programs as a whole, the control socket, the supervisor's life
- `program`: the life of one program: start, health, restart with backoff, stop
- `process`: a running process: found again by pid and start time, watched, ended with all its descendants
- `health`, `listeners`, `logfile`, `record`: checks, sockets handed down, rotation, what is remembered on disk
"""

from ironworks.app.supervisor.daemon import (
    AlreadyRunning,
    Home,
    Supervisor,
    end_leftovers,
    is_running,
    left_running,
    run_supervisor,
)
from ironworks.app.supervisor.record import Entry

__all__ = [
    "AlreadyRunning",
    "Entry",
    "Home",
    "Supervisor",
    "end_leftovers",
    "is_running",
    "left_running",
    "run_supervisor",
]
