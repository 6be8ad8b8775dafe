"""The price book over HTTP: prices, terms, currencies, what terms make of a period, what another book would have."""

from __future__ import annotations

import json
from datetime import date, datetime

from ironworks.platform.pricing import closing, service
from ironworks.platform.pricing.model import BookCursor, PriceKey
from ironworks.platform.pricing.shapes import (
    AdjustmentList,
    AdjustmentView,
    BookQuery,
    CurrencyView,
    NewCurrency,
    NewPrice,
    NewTerms,
    PeriodQuery,
    PriceList,
    PricesQuery,
    PriceView,
    SimulationBody,
    SimulationView,
    TermsList,
    TermsView,
)
from ironworks.shared.context import Context, to_json
from ironworks.shared.errors import invalid
from ironworks.shared.http import AUTHENTICATED, Router
from ironworks.shared.listing import decode_cursor, encode_cursor
from ironworks.shared.path import level, show_path

router = Router("platform.pricing")


@router.get("/api/v1/prices", permission=AUTHENTICATED)
async def list_prices(ctx: Context, query: PricesQuery) -> PriceList:
    """List the price book: every version, or those in force at a moment or that count at a scope."""
    after = _read_cursor(query.cursor)
    found = await service.list_prices(ctx, query.at, query.path, after, query.limit + 1, query.meter)
    page = found[: query.limit]
    more = _cursor(page[-1].key, page[-1].valid_from) if len(found) > len(page) else None
    return PriceList(items=[PriceView.of(price) for price in page], next_cursor=more)


@router.post("/api/v1/prices", permission="price:create", status=201)
async def create_price(ctx: Context, body: NewPrice) -> PriceView:
    """Add a version to the price book; it closes the one before and never alters what is rated."""
    if body.unit_price is None:
        return PriceView.of(await service.withdraw_price(ctx, body.key(), body.valid_from))
    return PriceView.of(await service.create_price(ctx, body.key(), body.unit_price, body.valid_from))


@router.get("/api/v1/price-terms", permission=AUTHENTICATED)
async def list_terms(ctx: Context, query: BookQuery) -> TermsList:
    """List what periods' closes adjust: every version of terms, or those that count at a scope."""
    found = await service.list_terms(ctx, query.path, _read_cursor(query.cursor), query.limit + 1, query.meter)
    page = found[: query.limit]
    more = _cursor(page[-1].key, page[-1].valid_from) if len(found) > len(page) else None
    return TermsList(items=[TermsView.of(version) for version in page], next_cursor=more)


@router.post("/api/v1/price-terms", permission="price:create", status=201)
async def create_terms(ctx: Context, body: NewTerms) -> TermsView:
    """Add a version of terms for periods to come; what is invoiced stays as it is."""
    version = await service.create_terms(ctx, body.key(), body.terms.terms(), body.valid_from, withdrawn=body.withdrawn)
    return TermsView.of(version)


@router.get("/api/v1/scopes/{path}/currency", permission="billing:read")
async def get_currency(ctx: Context, path: str) -> CurrencyView:
    """Show in which currency an account's usage is rated: now, and since or from when which one."""
    versions = await service.list_currencies(ctx, path)
    return CurrencyView.of(await service.find_currency(ctx, path), versions)


@router.put("/api/v1/scopes/{path}/currency", permission="price:create")
async def set_currency(ctx: Context, path: str, body: NewCurrency) -> CurrencyView:
    """Rate an account's usage in another currency from now or a moment on; nothing is converted."""
    await service.set_currency(ctx, path, body.currency, body.valid_from)
    return await get_currency(ctx, path)


@router.get("/api/v1/scopes/{path}/adjustments", permission="billing:read", heavy=True)
async def list_adjustments(ctx: Context, path: str, query: PeriodQuery) -> AdjustmentList:
    """Show what terms make of an account's usage of a period, as far as it has come."""
    if level(path) != 1:
        raise invalid("path", f"{show_path(path)!r} is no account", "terms add up what a whole account uses")
    found = await closing.list_adjustments(ctx, path, *query.days(), query.currency)
    return AdjustmentList(currency=query.currency, items=[AdjustmentView.of(each) for each in found])


@router.post("/api/v1/scopes/{path}/prices:simulate", permission="billing:read", heavy=True)
async def simulate_prices(ctx: Context, path: str, body: SimulationBody) -> SimulationView:
    """Compare what a past period cost with what it would have cost under another book; changes nothing."""
    found = await service.simulate_prices(ctx, path, *body.days(), body.currency, body.book(), body.group_by)
    return SimulationView.of(body.currency, found, body.limit)


def _cursor(key: PriceKey, valid_from: date) -> str:
    return encode_cursor(to_json(key), valid_from.isoformat())


def _read_cursor(cursor: str | None) -> BookCursor | None:
    """Raises Invalid for anything that `_cursor` did not make."""
    if cursor is None:
        return None
    key, valid_from = decode_cursor(cursor)
    try:
        meter, model, currency, scope = (_word(each) for each in json.loads(key))
        return BookCursor(meter, model, currency, scope, datetime.fromisoformat(valid_from).isoformat())
    except (ValueError, TypeError):
        raise invalid(
            "cursor", "is not one of ours", "take next_cursor from the page before, or leave it out"
        ) from None


def _word(value: object) -> str:
    """Raises ValueError for what Postgres cannot be sent as text."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("no text")
    value.encode()  # JSON can spell half a character
    return value
