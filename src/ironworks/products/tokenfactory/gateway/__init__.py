"""Gateway: the program that users call all day. One key, one OpenAI-compatible address, every model of a tenant.

Owns: the HTTP of the data plane on both sides, the check of keys, the usage of every request from its first byte to
the batch that is charged, and the spool that keeps it through a crash.
Never: asks a database during a request, stores a prompt, lets a caller's header through to an upstream, or sends a
terminator (`[DONE]`, the last bytes of a body) before the request's true usage is on disk.
Invariants: each admitted request is opened in the spool once and closed once; each closed one is charged at least
once under an id that makes it count once; a request is sent to another replica only while nothing has come back.

Besides the usual files, from the socket inward:

- a caller: `client.py` the connection, `heads.py` heads read before, `tls.py` certificates, `wire.py` bytes of HTTP,
  `cors.py` pages that call from browsers;
- what is asked: `operations.py` what each path does, `dialects/` the APIs and the way of each to upstreams that speak
  the same or another, `stored.py` responses that are kept;
- whether: `admission.py` the one place where a request is let in and settled, `limiting.py` its limits, `paying.py` its
  budgets, `costs.py` what it costs;
- on its way: `exchange.py` one request, `receiving.py` its answer, `ending.py` its end, `waiting.py` those that wait
  for a turn or for an endpoint to wake, `cache.py` answers that are given again, `identifiers.py` request ids;
- an upstream: `upstream.py` connections, `dialing.py` how they are made, `checks.py` looks at those that are set aside,
  `stream.py` and `answers.py` what comes back, `counting.py` what nobody told;
- what is known: `sources.py`, `feeds.py`, `snapshot.py` keys, routes, limits, budgets and prices in memory,
  `keeping.py` on disk for the next start;
- what is owed: `segments.py`, `sync.py`, `spool.py`, `shipping.py` from a record to its charge;
- what is told: `observing.py` to whom, `metrics.py` over `cells.py`, `access.py`, `spans.py` and how they are written,
  `otlp.py`, `health.py`, `targets.py`; `summing.py` what the control plane makes of that;
  `names.py` what can be called at a scope;
- `core.py` what all connections share, `program.py` the process.

Composition, once per process under `uvloop.run`:

    gateway = Gateway(settings, sources=sources, charge=charge)
    loop.add_signal_handler(signal.SIGTERM, gateway.stop)
    await gateway.serve(sockets)

with `gateway.notice(kind, uid)` for each change in the log and `gateway.heartbeat()` while it is being followed.
"""

from ironworks.products.tokenfactory.gateway.declarations import READ
from ironworks.products.tokenfactory.gateway.health import HealthReport, ReportHealth
from ironworks.products.tokenfactory.gateway.model import (
    Charge,
    GatewaySettings,
    ObservingSettings,
    UsageRecord,
)
from ironworks.products.tokenfactory.gateway.program import Gateway
from ironworks.products.tokenfactory.gateway.routes import GatewayProcess, IncidentView
from ironworks.products.tokenfactory.gateway.service import (
    list_incidents,
    list_processes,
    list_set_aside,
    report_health,
)
from ironworks.products.tokenfactory.gateway.sources import KeySource, KeyView, Source, Sources, read_rows
from ironworks.products.tokenfactory.gateway.waiting import Waker

__all__ = [
    "READ",
    "Charge",
    "Gateway",
    "GatewayProcess",
    "GatewaySettings",
    "HealthReport",
    "IncidentView",
    "KeySource",
    "KeyView",
    "ObservingSettings",
    "ReportHealth",
    "Source",
    "Sources",
    "UsageRecord",
    "Waker",
    "list_incidents",
    "list_processes",
    "list_set_aside",
    "read_rows",
    "report_health",
]
