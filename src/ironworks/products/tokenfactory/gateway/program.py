"""The process: starts the parts, listens, and stops without losing a request or its bill."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import Coroutine, Sequence
from uuid import UUID

from ironworks.products.tokenfactory.budgets import Lender
from ironworks.products.tokenfactory.gateway.checks import Looks
from ironworks.products.tokenfactory.gateway.client import ClientConnection
from ironworks.products.tokenfactory.gateway.core import Core
from ironworks.products.tokenfactory.gateway.dialing import upstream_tls
from ironworks.products.tokenfactory.gateway.health import ReportHealth, report_end, report_forever
from ironworks.products.tokenfactory.gateway.limiting import CountHosts
from ironworks.products.tokenfactory.gateway.model import Charge, GatewaySettings
from ironworks.products.tokenfactory.gateway.sources import Sources
from ironworks.products.tokenfactory.gateway.tls import ServingCertificate
from ironworks.products.tokenfactory.gateway.waiting import Waker
from ironworks.products.tokenfactory.responses import KeepResponses
from ironworks.products.tokenfactory.traces import KeepTraces
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

TICK = 0.5
BACKLOG = 4096
SHIP_AT_STOP = 10.0


class Gateway:
    """One gateway process.

    Args:
        sources: where the snapshot comes from. charge: what closed requests are handed to. trace: what keeps the texts
            that tenants want kept; without it none are.
    """

    def __init__(
        self, settings: GatewaySettings, *, sources: Sources, charge: Charge, trace: KeepTraces | None = None
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._charge = charge
        self._trace = trace
        self._core: Core | None = None
        self._count_hosts: CountHosts | None = None
        self._waker: Waker | None = None
        self._keep: KeepResponses | None = None
        self._lender: Lender | None = None
        self._report: ReportHealth | None = None
        self._certificate: ServingCertificate | None = None
        self._begun = asyncio.Event()
        self._stopping = asyncio.Event()

    def notice(self, kind: str, uid: UUID | None = None) -> None:
        """The resource `uid` of `kind` changed (empty: anything may have): what depends on it is loaded at once."""
        if self._core is not None:
            self._core.notice(kind, uid)

    def lend_by(self, lender: Lender) -> None:
        """Call before `serve`: the ledger of leases, from which budgets are reserved; without it there are none."""
        self._lender = lender

    def hear_of_shortage(self) -> None:
        """Somebody waits for a budget's money, or some came free; call it in the event loop."""
        if self._core is not None:
            self._core.payments.wake()

    def wake_by(self, waker: Waker) -> None:
        """Call before `serve`: hold requests for endpoints that are scaled to zero and start those, not refuse them."""
        self._waker = waker

    def keep_responses(self, keep: KeepResponses) -> None:
        """Call before `serve`: keep answers that callers ask to store; without it, none are."""
        self._keep = keep

    def share_limits(self, count_hosts: CountHosts) -> None:
        """Call before `serve`: enforce a part of every limit, as other hosts do; without it, the whole of each."""
        self._count_hosts = count_hosts

    def count_mismatch(self) -> None:
        """A request was charged other than its caller was told."""
        if self._core is not None:
            self._core.metrics.count("ironworks_gateway_quote_mismatches")

    def report_health(self, report: ReportHealth) -> None:
        """Call before `serve`: tell `report` how the process is, and what was wrong."""
        self._report = report

    def heartbeat(self) -> None:
        """The change log was read up to its end and all of it noticed; call about every 300 ms."""
        if self._core is not None:
            self._core.mirror.heartbeat()

    def endpoints_in_use(self) -> set[UUID]:
        """The uids of all that are serving a request at this moment."""
        exchanges = self._core.exchanges if self._core is not None else ()
        return {exchange.pick.leg.target.uid for exchange in exchanges if exchange.pick is not None}

    def reopen(self) -> None:
        """Files were replaced: open the access log anew, serve the new certificate. A signal handler."""
        if self._core is not None:
            self._core.observers.reopen()
            if self._certificate is not None:
                self._certificate.look(self._core.now(), anyway=True)

    def stop(self) -> None:
        """Stop accepting, finish what is in flight, charge what is spooled; `serve` then returns. A signal handler."""
        self._stopping.set()

    async def wait_begun(self) -> None:
        """Until the first snapshot is here, or was waited for in vain, and callers are let in."""
        await self._begun.wait()

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Serve on listening `sockets`, which several processes may share, until `stop` or cancellation.

        Raises OSError when the spool cannot be made, and OSError or ValueError when the certificate cannot be used.
        """
        loop = asyncio.get_running_loop()
        tls = self._certificate = _certificate_of(self._settings)
        core = self._core = Core(
            loop, self._settings, self._sources, self._charge, self._trace, self._waker, self._lender, self._keep
        )
        tasks = [
            loop.create_task(work)
            for work in (
                core.mirror.run(),
                core.shipper.run(),
                core.shipper.recover_forever(),
                core.payments.run(),
                core.trace_feed.run(lambda: core.mirror.is_fed),
                core.observers.run(),
                Looks(core.balancer, core.settings, upstream_tls(), core.count_ejection).run(),
                _tick(core, tls),
            )
        ]
        if self._count_hosts is not None:
            tasks.append(loop.create_task(core.limiter.share(self._count_hosts)))
        if self._report is not None:
            tasks.append(loop.create_task(report_forever(core.health, self._report)))
        if tls is not None:
            core.health.checks.append(tls.check)
            core.metrics.gauges.append(tls.gauges)
        servers: list[asyncio.Server] = []
        try:
            await self._first_of(core.mirror.wait_loaded(), within=self._settings.first_load)
            self._begun.set()
            if self._settings.own_process:
                _suit_the_interpreter()
            servers += await self._listen(core, sockets, tls)
            await self._stopping.wait()
        finally:
            await self._end(core, servers, tasks)

    async def _listen(
        self, core: Core, sockets: Sequence[socket.socket], tls: ServingCertificate | None
    ) -> list[asyncio.Server]:
        context, limit = (tls.context, self._settings.head_timeout) if tls is not None else (None, None)
        return [
            await core.loop.create_server(
                lambda: ClientConnection(core), sock=sock, backlog=BACKLOG, ssl=context, ssl_handshake_timeout=limit
            )
            for sock in sockets
        ]

    async def _first_of(self, work: Coroutine[None, None, None], within: float) -> None:
        """Wait for `work`, for a stop, or for so many seconds."""
        waits = [asyncio.ensure_future(each) for each in (work, self._stopping.wait())]
        await asyncio.wait(waits, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()

    async def _end(self, core: Core, servers: list[asyncio.Server], tasks: list[asyncio.Task[None]]) -> None:
        core.draining = True
        for server in servers:
            server.close()
        for client in list(core.clients):
            client.close_if_idle()
        await _drain(core, self._settings.drain)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        core.waits.close()
        core.shelf.close()
        core.upstreams.close()
        if not await core.shipper.ship_all(SHIP_AT_STOP):
            log.warning("some usage is not charged yet; another gateway process will charge it")
        core.spool.release(keep=not await core.payments.close())
        core.limiter.close()
        if self._report is not None:
            await report_end(core.health, self._report)
        core.health.leave_host()
        await core.observers.close()


async def _drain(core: Core, limit: float) -> None:
    """Wait for requests in flight; cut off what is left after `limit` seconds, billed as far as it got."""
    until = core.now() + limit
    while (core.exchanges or core.clients) and core.now() < until:
        await asyncio.sleep(0.02)
        for client in list(core.clients):
            client.close_if_idle()
    for exchange in list(core.exchanges):
        exchange.on_client_lost()
    for client in list(core.clients):
        client.abort()
    await asyncio.sleep(0.1)  # the sync of the last closing records


def _suit_the_interpreter() -> None:
    """Nearly all that a request leaves behind is freed by its reference count: look for cycles seldom.

    What was loaded stays, so it is not looked at. The thread that syncs needs the interpreter for microseconds, and
    every caller waits for it: it is let in sooner than after the usual 5 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
    sys.setswitchinterval(0.0005)


def _certificate_of(settings: GatewaySettings) -> ServingCertificate | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return ServingCertificate(settings.tls_certificate, settings.tls_key)


async def _tick(core: Core, tls: ServingCertificate | None) -> None:
    while True:
        try:
            core.tick()
            if tls is not None:
                tls.look(core.now())
        except Exception:
            log.exception("a deadline could not be kept")
        await asyncio.sleep(TICK)
