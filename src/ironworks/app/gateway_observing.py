"""What a gateway process tells of itself and keeps for tenants, composed: settings, trace policies, traces, health."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ironworks.app.settings import Settings
from ironworks.platform import secrets
from ironworks.products.tokenfactory import gateway, traces
from ironworks.shared.context import Actor
from ironworks.shared.db import Database


def observing_settings(settings: Settings) -> gateway.ObservingSettings:
    """Where counts, access log and spans go."""
    return gateway.ObservingSettings(
        counts=settings.run / "gateway",
        access_log=settings.access_log,
        otlp=settings.otlp_endpoint,
        otlp_headers=settings.otlp_headers,
        otlp_encoding=settings.otlp_encoding,
        sample=settings.otlp_sample,
    )


@dataclass(frozen=True, slots=True)
class TracePolicies:
    """`Source` of the policies by which texts are kept."""

    database: Database
    actor: Actor

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({traces.TRACE_POLICY.name})

    async def load(self) -> Sequence[traces.PolicyView]:
        async with self.database.transaction(self.actor) as ctx:
            return await traces.list_policies(ctx)


@dataclass(frozen=True, slots=True)
class Tracing:
    """`KeepTraces` into the database, sealed before it goes there."""

    database: Database
    keyring: secrets.Keyring
    actor: Actor

    async def __call__(self, captured: Sequence[traces.Captured]) -> None:
        async with self.database.transaction(self.actor) as ctx:
            await traces.save_traces(ctx, self.keyring, captured)


@dataclass(frozen=True, slots=True)
class Reporting:
    """`ReportHealth` to the control plane. `poke` wakes the workers of the queue."""

    database: Database
    actor: Actor
    poke: Callable[[], None] = lambda: None

    async def __call__(self, report: gateway.HealthReport) -> None:
        async with self.database.transaction(self.actor) as ctx:
            changed = await gateway.report_health(ctx, report)
        if changed:
            self.poke()
