"""`python -m ironworks.app gateway`: one process of the data plane, fed by the change log."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Sequence
from datetime import timedelta

import uvloop

from ironworks.app.charging import Charging
from ironworks.app.compiled import is_compiled
from ironworks.app.gateway_budgets import PRICES, Budgets, Lending, PriceBook, hear_of_shortage
from ironworks.app.gateway_keys import Keys
from ironworks.app.gateway_limits import Limits
from ironworks.app.gateway_observing import Reporting, TracePolicies, Tracing, observing_settings
from ironworks.app.gateway_responses import Responses
from ironworks.app.gateway_routes import Routes
from ironworks.app.gateway_waking import Uses, Waking
from ironworks.app.settings import Settings
from ironworks.app.wiring import Process, open_process, run_together
from ironworks.platform import tenancy
from ironworks.products.inference import endpoints
from ironworks.products.tokenfactory import gateway, routing, traces
from ironworks.shared import telemetry
from ironworks.shared.changelog import Lagged, Notice, Tail
from ironworks.shared.context import system_actor

log = telemetry.logger(__name__)

ACTOR = system_actor("gateway")
KEY_EVENTS = ("platform.iam.", "platform.tenancy.", "platform.registry.")
PRICE_EVENTS = "platform.pricing."
REPORTED = (endpoints.ENDPOINT.name, traces.TRACE_POLICY.name)
BEAT = 0.3
"""Seconds between two confirmations that what the gateway knows is what the log says."""
FRESH = 1.0
"""A tail that saw the log less than so many seconds ago confirms it."""


def main(settings: Settings, arguments: Sequence[str]) -> int | None:
    telemetry.configure(settings.log_level, "gateway")
    log.info("the gateway starts", modules="compiled" if is_compiled() else "interpreted")
    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    async with open_process(settings, "gateway", connections=6) as process:
        limits = Limits(process.database)
        routes = _routes(process, settings)
        policies = TracePolicies(process.database, ACTOR)
        charging = Charging(process.database)
        uses = Uses(process.database, charging)
        program = gateway.Gateway(
            gateway.GatewaySettings(
                spool=settings.spool,
                run=settings.run,
                observing=observing_settings(settings),
                own_process=True,
                upstream_addresses=routes.policy,
                origins=settings.gateway_origins,
                tls_certificate=settings.gateway_tls[0] if settings.gateway_tls else None,
                tls_key=settings.gateway_tls[1] if settings.gateway_tls else None,
            ),
            sources=gateway.Sources(
                Keys(process.database),
                routes,
                limits=limits,
                budgets=Budgets(process.database),
                prices=PriceBook(process.database),
                traces=policies,
                seal=process.keyring,
            ),
            charge=uses,
            trace=Tracing(process.database, process.keyring, ACTOR),
        )
        program.lend_by(Lending(process.database, process.notifier.poke))
        program.share_limits(limits.count_hosts)
        program.keep_responses(Responses(process.database, process.keyring, timedelta(days=settings.response_days)))
        program.wake_by(Waking(process.database, process.changed))
        charging.mismatched = program.count_mismatch
        program.report_health(Reporting(process.database, ACTOR, process.changed))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, program.stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, program.reopen)
        listener = settings.listener("gateway")
        beside = (
            hear_of_shortage(process.url, program.hear_of_shortage),
            _feed(process.tail, program),
            _freeze(program),
            uses.tell_forever(program.endpoints_in_use),
        )
        await run_together(program.serve([listener]), *beside, *process.background())


def _routes(process: Process, settings: Settings) -> Routes:
    return Routes(process.database, routing.AddressPolicy.parse(settings.private_upstreams), settings.gateways)


async def _freeze(program: gateway.Gateway) -> None:
    """Spare the collector what lives as long as the process: looking through it all takes tens of milliseconds."""
    await program.wait_begun()
    gc.collect()
    gc.freeze()
    await asyncio.Event().wait()


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

    Of what controllers report only an endpoint's replicas matter here, and that a trace policy has its key.
    """
    if notice.kind is not None:
        return notice.kind if notice.op != "status" or notice.kind in REPORTED else ""
    event = notice.event_type or ""
    if event.startswith(PRICE_EVENTS):
        return PRICES
    return tenancy.PLATFORM.name if event.startswith(KEY_EVENTS) else ""
