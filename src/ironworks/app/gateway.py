"""`python -m ironworks.app gateway`: one process of the data plane, fed by the change log."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import uvloop

from ironworks.app.gateway_routes import Routes
from ironworks.app.settings import Settings
from ironworks.app.wiring import Process, open_process, run_together
from ironworks.platform import billing, iam, metering, tenancy
from ironworks.products.inference import endpoints
from ironworks.products.tokenfactory import gateway, routing
from ironworks.shared import telemetry
from ironworks.shared.changelog import Lagged, Notice, Tail
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database

ACTOR = system_actor("gateway")
KEY_EVENTS = ("platform.iam.", "platform.tenancy.", "platform.registry.")
BEAT = 0.3
"""Seconds between two confirmations that what the gateway knows is what the log says."""
FRESH = 1.0
"""A tail that saw the log less than so many seconds ago confirms it."""


def main(settings: Settings, arguments: Sequence[str]) -> int | None:
    telemetry.configure(settings.log_level, "gateway")
    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    async with open_process(settings, "gateway", connections=4) as process:
        program = gateway.Gateway(
            gateway.GatewaySettings(spool=settings.spool),
            sources=gateway.Sources(Keys(process.database), _routes(process, settings)),
            charge=Charging(process.database),
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, program.stop)
        listener = settings.listener("gateway")
        await run_together(program.serve([listener]), _feed(process.tail, program), *process.background())


def _routes(process: Process, settings: Settings) -> Routes:
    return Routes(process.database, routing.AddressPolicy.parse(settings.private_upstreams), settings.gateways)


async def _feed(tail: Tail, program: gateway.Gateway) -> None:
    """Tell the gateway of every change, and that there was none."""
    with tail.subscribe(lambda notice: bool(_kind_of(notice))) as news:
        await tail.ready()
        program.notice("")
        while True:
            await news.wait(BEAT)
            try:
                for kind, uid in {(_kind_of(notice), notice.uid) for notice in news.take()[0]}:
                    program.notice(kind, uid)
            except Lagged:
                program.notice("")
            if tail.age() < FRESH:
                program.heartbeat()


def _kind_of(notice: Notice) -> str:
    """The kind that a notice concerns; some events change what keys are worth without a change of a resource.

    Of what controllers report only an endpoint's replicas matter here.
    """
    if notice.kind is not None:
        return notice.kind if notice.op != "status" or notice.kind == endpoints.ENDPOINT.name else ""
    return tenancy.PLATFORM.name if (notice.event_type or "").startswith(KEY_EVENTS) else ""


@dataclass(frozen=True, slots=True)
class Keys:
    """`KeySource` from identity management."""

    database: Database

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(iam.KEY_SOURCES)

    async def load_keys(self) -> Sequence[gateway.KeyView]:
        async with self.database.transaction(ACTOR) as ctx:
            found = await iam.list_gateway_keys(ctx)
        return [
            gateway.KeyView(
                uid=_plain(key.uid),
                digest=digest,
                scope=key.scope,
                owner=_plain(key.owner),
                invoke_scopes=key.paths,
                disabled=key.disabled,
                suspended=key.suspended,
                expires_at=until.timestamp() if until else None,
            )
            for key in found
            for digest, until in _secrets_of(key)
        ]


def _secrets_of(key: iam.GatewayKey) -> Iterator[tuple[bytes, datetime | None]]:
    """(SHA-256, until when it is good) of the key's secret, and of the one before while its grace lasts."""
    yield key.hash, key.expires_at
    if key.previous_hash is not None and key.previous_until is not None:
        yield key.previous_hash, min(key.previous_until, key.expires_at or key.previous_until)


def _plain(uid: UUID) -> UUID:
    """The standard library's UUID of the driver's, which the spool's JSON encoder does not know."""
    return UUID(int=uid.int)


@dataclass(frozen=True, slots=True)
class Charging:
    """`Charge` by billing: a batch is recorded, rated and posted in one transaction."""

    database: Database

    async def __call__(self, records: Sequence[gateway.UsageRecord]) -> None:
        events = [usage_event(record) for record in records]
        async with self.database.transaction(ACTOR) as ctx:
            await billing.charge_usage(ctx, events)


def usage_event(record: gateway.UsageRecord) -> metering.UsageEvent:
    """A finished request as metering takes it: cached tokens are priced apart from the rest of the input."""
    return metering.UsageEvent(
        id=record.request_id,
        occurred_at=datetime.fromtimestamp(record.finished_at, UTC),
        scope=record.key_scope,
        quantities={
            metering.INPUT_TOKENS: max(0, record.input_tokens - record.cached_tokens),
            metering.CACHED_INPUT_TOKENS: record.cached_tokens,
            metering.OUTPUT_TOKENS: record.output_tokens,
        },
        model=record.model,
        route=record.route,
        endpoint_uid=UUID(record.endpoint_uid),
        endpoint_name=record.endpoint_name,
        endpoint_scope=record.endpoint_scope,
        key_uid=UUID(record.key_uid),
        counted=record.counted,
        client_request_id=record.client_request_id,
        dimensions={"operation": record.operation, "status": str(record.status)},
    )
