"""Who is told of requests: metrics, access log, the exporter of spans, and the traces that a tenant switched on.

They are told after the answer went out, so that no caller waits for them, and what goes wrong in one of them is logged
and no more. A request that somebody looks at while it is under way has a `Watch`; most have none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ironworks.products.tokenfactory.gateway.access import AccessLog, entry_of, entry_of_refusal
from ironworks.products.tokenfactory.gateway.metrics import Metrics
from ironworks.products.tokenfactory.gateway.model import ObservingSettings, Refusal, Usage
from ironworks.products.tokenfactory.gateway.spans import Context, Spans
from ironworks.products.tokenfactory.traces import Captured, Captures, Capturing, KeepTraces
from ironworks.shared import telemetry

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.ending import Ending
    from ironworks.products.tokenfactory.gateway.heads import Request
    from ironworks.products.tokenfactory.gateway.snapshot import Snapshot
    from ironworks.products.tokenfactory.routing import Pick

log = telemetry.logger(__name__)

TIDY: Final = 10.0


class Watch:
    """What looks at one request while it is under way. `capture` keeps its texts, for a tenant who asked for that."""

    __slots__ = ("_spans", "capture", "context")

    def __init__(self, spans: Spans, context: Context | None, capture: Capturing | None) -> None:
        self._spans = spans
        self.context = context
        self.capture = capture

    def sending(self, pick: Pick) -> bytes:
        """The request goes to a model server now: further header lines for it."""
        return b"" if self.context is None else self._spans.send(self.context, pick)

    def shown(self, data: bytes) -> None:
        """The caller is sent `data`."""
        if self.capture is not None:
            self.capture.add(data)


class Observers:
    """All that a process tells of its requests.

    Args:
        keep: where captured traces go; None captures nothing.
    """

    def __init__(self, settings: ObservingSettings, metrics: Metrics, keep: KeepTraces | None) -> None:
        self.metrics = metrics
        self.access = AccessLog(settings.access_log)
        self.spans = Spans(settings)
        self.captures = Captures(keep)
        self._told = {"access_log": 0, "spans": 0, "traces": 0}

    def begin(self, exchange: Ending) -> Watch | None:
        """The watch of a request that was admitted, if somebody looks."""
        headers = exchange.request.headers
        context = self.spans.begin(headers) if self.spans.on or b"traceparent" in headers else None
        capture = None
        if self.captures.on:
            route, key = exchange.hold.route, exchange.hold.key
            capture = self.captures.begin(route.uid, key.scope, exchange.call.body)
        return Watch(self.spans, context, capture) if context is not None or capture is not None else None

    def finished(self, exchange: Ending, address: str, status: int, usage: Usage, refusal: Refusal | None) -> None:
        """An admitted request is over, its closing record is on disk, the caller has his answer."""
        try:
            self.metrics.finished(exchange, status, usage, refusal)
            if exchange.hold.route.cache is not None:
                self.metrics.count("ironworks_gateway_cache", "hit" if exchange.cached else "miss")
            if self.access.on:
                self.access.add(entry_of(exchange, address, status, usage, refusal, cached=exchange.cached))
            if exchange.watch is not None:
                self._finish_watch(exchange.watch, exchange, status, usage, refusal)
        except Exception:
            log.exception("an observer of requests failed", request_id=exchange.request.id)

    def _finish_watch(self, watch: Watch, exchange: Ending, status: int, usage: Usage, refusal: Refusal | None) -> None:
        if watch.context is not None:
            self.spans.finish(watch.context, exchange, status, usage, refusal)
        if watch.capture is not None:
            pick, key = exchange.pick, exchange.hold.key
            target = pick.leg.target if pick else None
            self.captures.finish(
                watch.capture,
                Captured(
                    request_id=exchange.request.id,
                    scope=key.scope,
                    key_uid=key.uid,
                    occurred_at=exchange.started_at,
                    operation=exchange.api.path,
                    model=exchange.call.model,
                    endpoint=f"{target.scope}/{target.name}" if target else "",
                    status=status,
                    input_tokens=usage.input_tokens,
                    output_tokens=usage.output_tokens,
                    content_type=exchange.call.content_type.decode("latin-1"),
                ),
            )

    def refused(
        self, request: Request, address: str, operation: str, now: float, refusal: Refusal, known: Snapshot | None
    ) -> None:
        """A request was not admitted. `now` is on the loop's clock; `known` tells whose key it is."""
        self.metrics.refused(operation, refusal.status, refusal.code)
        if self.access.on:
            key = known.keys.get(request.digest) if known is not None and request.digest is not None else None
            path = request.url.partition(b"?")[0].decode("latin-1")
            self.access.add(entry_of_refusal(request, address, path, now, key, refusal))

    async def run(self) -> None:
        """Export spans, store traces and take over dead processes' counts, for ever; cancel to stop."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.spans.run())
            tasks.create_task(self.captures.run())
            while True:
                self.metrics.tidy()
                await asyncio.sleep(TIDY)

    def tick(self) -> None:
        """Twice a second: let others see the counts, those of what was lost among them."""
        lost = {"access_log": self.access.lost, "spans": self.spans.lost, "traces": self.captures.lost}
        for what, count in lost.items():
            if count > self._told[what]:
                self.metrics.count("ironworks_gateway_dropped", what, by=count - self._told[what])
                self._told[what] = count
        self.metrics.publish()

    def reopen(self) -> None:
        """Open the access log's file anew."""
        self.access.reopen()

    async def close(self) -> None:
        """The last batches, as far as somebody takes them at once."""
        self.access.close()
        await self.spans.flush()
        await self.captures.flush()
        self.tick()
        self.metrics.close()
