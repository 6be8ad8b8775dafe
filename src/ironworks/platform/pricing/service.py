"""Keeping the price book, and rating usage under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from ironworks.platform import metering, registry
from ironworks.platform.pricing import store
from ironworks.platform.pricing.events import PriceCreated
from ironworks.platform.pricing.model import (
    ANY_MODEL,
    CURRENCY,
    FALLBACKS,
    MAX_SCALE,
    MAX_UNIT_PRICE,
    Measured,
    Price,
    PriceInUse,
    PriceKey,
    RatedLine,
    Rating,
    TransferOf,
    UnratedLine,
    check_start,
    lookups,
    rivals,
)
from ironworks.platform.pricing.rating import PriceBook, rate
from ironworks.shared.context import Context
from ironworks.shared.declarations import METER
from ironworks.shared.errors import Forbidden, invalid
from ironworks.shared.path import OPERATOR

DEFAULT_PRICES: Final[Mapping[str, Decimal]] = {
    metering.INPUT_TOKENS: Decimal("0.0000001"),
    metering.CACHED_INPUT_TOKENS: Decimal("0.00000005"),
    metering.OUTPUT_TOKENS: Decimal("0.0000004"),
    metering.SPEECH_CHARACTERS: Decimal("0.000015"),
    metering.AUDIO_SECONDS: Decimal("0.0001"),
    metering.RERANK_DOCUMENTS: Decimal("0.00002"),
    metering.CACHED_RESPONSES: Decimal(0),
}
"""What an installation charges until its operator says otherwise, in USD for one unit, whatever the model.

Parts of tokens cost what the whole costs (`FALLBACKS`); an image has no price that fits every model and waits for one.
"""
_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)


async def list_prices(ctx: Context, at: datetime | None = None) -> list[Price]:
    """Every price version, or only those in force at `at`."""
    return await store.list_prices(ctx, at)


async def create_price(ctx: Context, key: PriceKey, unit_price: Decimal, valid_from: datetime | None = None) -> Price:
    """Add a version to the book, from `valid_from` (default: now) on; it closes the version before.

    What is rated already keeps its version. Needs `price:create` at the operator's scope. Raises Forbidden,
    UnknownEntry and DisabledEntry (the meter), Invalid (a price that is negative, too large or too fine) and PriceInUse
    (it would price a moment that has a price).
    """
    if not await ctx.allows("price:create", OPERATOR):
        raise Forbidden("this needs the permission 'price:create' at '-': the price book is the operator's")
    await registry.require(ctx, METER, key.meter)
    check_unit_price(unit_price)
    await store.lock_book(ctx)
    now = ctx.now()
    start = now if valid_from is None else valid_from
    check_start(await store.list_prices_for(ctx, {key, *rivals(key)}), key, start, now)
    price = await store.save_price(ctx, key, unit_price, start)
    if price is None:
        raise PriceInUse("a version of this price begins at that time already; choose another")
    await _tell(ctx, price)
    return price


def check_unit_price(unit_price: Decimal) -> None:
    """Raises Invalid unless `unit_price` is 0 to 1,000,000 with at most 18 decimal places."""
    exponent = unit_price.as_tuple().exponent
    if not isinstance(exponent, int) or not 0 <= unit_price <= MAX_UNIT_PRICE or exponent < -MAX_SCALE:
        raise invalid(
            "unit_price", "is no price", f"use a decimal from 0 to {MAX_UNIT_PRICE}, at most {MAX_SCALE} places"
        )


async def _tell(ctx: Context, price: Price) -> None:
    meter, model, currency = price.key
    event = PriceCreated(
        price_id=price.id,
        meter=meter,
        model=model,
        currency=currency,
        unit_price=format(price.unit_price, "f"),
        valid_from=price.valid_from,
    )
    await ctx.emit(event)
    await ctx.audit("pricing.price.create", "price", str(price.id), after=event.model_dump(mode="json"))


async def seed_default_prices(ctx: Context) -> None:
    """Give every meter that has no price at all its default; changes nothing where there is one."""
    await store.lock_book(ctx)
    priced = {price.key.meter for price in await store.list_prices(ctx)}
    for meter, unit_price in DEFAULT_PRICES.items():
        if meter not in priced:
            await store.save_price(ctx, PriceKey(meter, ANY_MODEL, CURRENCY), unit_price, _BEGINNING)


async def rate_usage(ctx: Context, events: Sequence[metering.UsageEvent]) -> Rating:
    """Rate every quantity of `events` that is not zero; saves nothing (see keep_rating)."""
    return await _rate(
        ctx,
        [
            Measured(event.id, meter, quantity, event.model, event.scope, event.occurred_at, event.priced_at)
            for event in events
            for meter, quantity in event.quantities.items()
            if quantity
        ],
    )


async def rate_waiting(ctx: Context, limit: int = 1000) -> Rating:
    """Take out up to `limit` lines that waited for a price and rate them; keep_rating must follow."""
    return await _rate(ctx, await store.take_ratable(ctx, CURRENCY, FALLBACKS, limit))


async def _rate(ctx: Context, measured: Sequence[Measured]) -> Rating:
    if not measured:
        return Rating((), ())
    kinds = {(m.meter, m.model) for m in measured}
    keys = {key for meter, model in kinds for key in lookups(meter, model, CURRENCY)}
    return rate(measured, PriceBook(await store.list_prices_for(ctx, keys)))


async def keep_rating(ctx: Context, rating: Rating, transfer_of: Mapping[TransferOf, UUID]) -> None:
    """Save the lines, each with the transfer that moved it."""
    if rating.lines:
        await store.save_lines(ctx, rating.lines, transfer_of)
    if rating.unrated:
        await store.save_unrated(ctx, rating.unrated)


async def list_lines(ctx: Context, usage_event_id: str) -> list[RatedLine]:
    """The rated lines of one usage event that the caller may see."""
    return await store.list_lines(ctx, usage_event_id)


async def sum_costs(ctx: Context, usage_event_ids: Sequence[str]) -> dict[str, int]:
    """What usage events cost in nano-units of CURRENCY, of those lines that the caller may see."""
    return await store.sum_costs(ctx, usage_event_ids, CURRENCY)


async def list_transfer_lines(
    ctx: Context, transfer_id: UUID, after: tuple[str, str] = ("", ""), limit: int = 100
) -> list[RatedLine]:
    """One page of the lines that a transfer moved; `after` is the last one's (usage event id, meter)."""
    return await store.list_transfer_lines(ctx, transfer_id, after, limit)


async def list_unrated(ctx: Context, usage_event_id: str) -> list[UnratedLine]:
    """The quantities of one usage event that wait for a price, or for a person."""
    return await store.list_unrated(ctx, usage_event_id)
