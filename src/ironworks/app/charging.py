"""From the gateway's records to everything that charging one means, in one transaction, each request once.

Usage, rated lines, transfers, what budgets spent and what analytics counts are committed together or not at all; the
spool hands a batch in again until they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from ironworks.platform import billing, metering, pricing
from ironworks.products.tokenfactory import analytics, budgets, gateway
from ironworks.shared import telemetry
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database

log = telemetry.logger(__name__)

ACTOR: Final = system_actor("gateway")


NOBODY: Final = UUID(int=0)


@dataclass(slots=True)
class Charging:
    """`Charge` by billing: a batch is recorded, rated, posted and counted.

    `mismatched` is called for each request that was charged other than its caller was told.
    """

    database: Database
    mismatched: Callable[[], None] = lambda: None

    async def __call__(self, records: Sequence[gateway.UsageRecord]) -> None:
        events = [usage_event(record) for record in records]
        given = {id(event): record for event, record in zip(events, records, strict=True)}
        async with self.database.transaction(ACTOR) as ctx:
            new = [(given[id(one.event)], one) for one in await billing.charge_usage(ctx, events)]
            await budgets.settle_usage(ctx, [spent(*one) for one in new])
            await analytics.add_usage(ctx, [answered(*one) for one in new])
        for record, one in new:
            if record.cost_nano >= 0 and not one.waiting and record.cost_nano != one.cost_nano:
                self.mismatched()
                _tell_mismatch(record, one)


def _tell_mismatch(record: gateway.UsageRecord, one: billing.Charged) -> None:
    """It has been charged what the price book says."""
    log.error(
        "a request was charged other than its caller was told",
        request_id=record.request_id,
        told_nano=record.cost_nano,
        charged_nano=one.cost_nano,
        model=record.model,
        priced_at=record.priced_at,
    )


def usage_event(record: gateway.UsageRecord) -> metering.UsageEvent:
    """A finished request as metering takes it. Equal records give equal events, whichever release wrote them.

    Cached, audio and reasoning tokens are apart from the rest of the input and output that they are part of; what
    callers wrote is cut to what metering can keep, because an event that is set aside is not charged.
    """
    return metering.UsageEvent(
        id=record.request_id,
        occurred_at=_moment(record.finished_at),
        scope=record.key_scope,
        quantities=quantities(record),
        model=record.model,
        route=record.route,
        endpoint_uid=_uuid(record.endpoint_uid),
        endpoint_name=record.endpoint_name,
        endpoint_scope=record.endpoint_scope,
        key_uid=_uuid(record.key_uid),
        counted=record.counted,
        client_request_id=record.client_request_id,
        dimensions=dimensions(record),
        priced_at=_moment(record.priced_at) if record.priced_at > 0 else None,
        metadata={_storable(name): _storable(value) for name, value in record.metadata.items()},
        route_uid=_uuid(record.route_uid),
        user=_storable(record.user) if record.user else None,
        cached_answer=record.cached_answer,
        course=course(record),
    )


def dimensions(record: gateway.UsageRecord) -> Mapping[str, str]:
    """Words of ours to group by. `target` is there where the endpoint's name does not say it all."""
    told = {"operation": record.operation, "status": str(record.status)}
    return {**told, "target": _storable(record.which)} if record.which else told


def course(record: gateway.UsageRecord) -> metering.Course:
    """How a request went, for who looks at it; what there is nothing to say of is left out."""
    told: dict[str, Any] = {
        "duration_ms": max(0, round((record.finished_at - record.started_at) * 1000)),
        "tries": record.tries,
        "streamed": int(record.stream),
    }
    if record.first_byte_ms >= 0:
        told["first_byte_ms"] = record.first_byte_ms
    if record.asked_us >= 0:
        told |= {"asked_us": record.asked_us, "ended_us": record.ended_us}
    if record.sent_us >= 0:
        told["sent_us"] = record.sent_us
    if record.steps:
        told["steps"] = [list(step) for step in record.steps]
    if record.error:
        told["error"] = record.error
    return told


def quantities(record: gateway.UsageRecord) -> Mapping[str, int]:
    """Meter → quantity, no token under two meters. The three oldest meters always appear, others where not zero."""
    spoken = record.input_audio_tokens, record.output_audio_tokens
    parts = {
        metering.REASONING_TOKENS: record.reasoning_tokens,
        metering.INPUT_AUDIO_TOKENS: spoken[0],
        metering.OUTPUT_AUDIO_TOKENS: spoken[1],
        metering.CACHED_RESPONSES: int(record.cached_answer),
    }
    return {
        metering.INPUT_TOKENS: max(0, record.input_tokens - record.cached_tokens - spoken[0]),
        metering.CACHED_INPUT_TOKENS: record.cached_tokens,
        metering.OUTPUT_TOKENS: max(0, record.output_tokens - record.reasoning_tokens - spoken[1]),
        **{meter: quantity for meter, quantity in parts.items() if quantity},
        **{meter: quantity for meter, quantity in record.extra if quantity},
    }


def counted(charged: billing.Charged) -> int:
    """What budgets and analytics count of it in nano-units: nothing of another currency, for nothing is converted."""
    return charged.cost_nano if charged.currency == pricing.CURRENCY else 0


def spent(record: gateway.UsageRecord, charged: billing.Charged) -> budgets.Charge:
    """A charged request as budgets count it, against the leases that its money was held under."""
    event = charged.event
    return budgets.Charge(
        key_uid=event.key_uid or NOBODY,
        key_scope=record.key_scope,
        route_uid=event.route_uid or event.endpoint_uid or NOBODY,
        admitted_at=record.started_at,
        cost_nano=counted(charged),
        leases=tuple(lease for lease, _ in record.holds),
    )


def answered(record: gateway.UsageRecord, charged: billing.Charged) -> analytics.Answered:
    """A charged request as analytics counts it."""
    return analytics.answered_of(
        charged.event,
        counted(charged),
        latency_ms=max(0.0, record.finished_at - record.started_at) * 1000,
        first_token_ms=float(record.first_byte_ms) if record.stream and record.first_byte_ms >= 0 else None,
    )


@lru_cache(maxsize=65_536)
def _uuid(text: str) -> UUID | None:
    """The same few keys, routes and endpoints come in every batch."""
    return UUID(text) if text else None


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[: metering.MAX_TEXT]
