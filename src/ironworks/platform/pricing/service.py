"""Keeping the price book, and rating usage under it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from ironworks.platform import metering, policy, registry, tenancy
from ironworks.platform.pricing import periods, store
from ironworks.platform.pricing.events import CurrencySet, PriceCreated, TermsCreated
from ironworks.platform.pricing.model import (
    ANY_MODEL,
    CURRENCY,
    CURRENCY_CODE,
    FALLBACKS,
    MAX_UNIT_PRICE,
    AccountCurrency,
    BookCursor,
    CurrencyOfPlan,
    LineGroup,
    Price,
    PriceInUse,
    PriceKey,
    RatedLine,
    Rating,
    TransferOf,
    UnratedLine,
    chain_of,
    check_decimal,
    check_start,
)
from ironworks.platform.pricing.rating import Currencies, PriceBook, rate
from ironworks.platform.pricing.simulation import GroupBy, OtherBook, Simulation, compare, price_under
from ironworks.platform.pricing.terms import (
    PriceTerms,
    TermsVersion,
    check_terms,
    terms_to_json,
)
from ironworks.shared.context import Context
from ironworks.shared.declarations import METER
from ironworks.shared.errors import Forbidden, NotFound, invalid
from ironworks.shared.path import OPERATOR, level, show_path

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


async def list_prices(
    ctx: Context,
    at: datetime | None = None,
    scope: str | None = None,
    after: BookCursor | None = None,
    limit: int | None = None,
    meter: str | None = None,
) -> list[Price]:
    """Every price version that the caller may see, or only those in force at `at`, that hold at `scope` or are of
    `meter`; a page of them past `after`, by meter, model, currency, scope and time."""
    return await store.list_prices(ctx, at, None if scope is None else chain_of(scope), after, limit, meter)


async def create_price(ctx: Context, key: PriceKey, unit_price: Decimal, valid_from: datetime | None = None) -> Price:
    """Add a version to the book, from `valid_from` (default: now) on; it closes the version before.

    What is rated already keeps its version. Needs `price:create` at the operator's scope. Raises Forbidden, NotFound
    (the scope), UnknownEntry and DisabledEntry (the meter), Invalid (a price that is negative, too large or too fine)
    and PriceInUse (it would price a moment that has a price).
    """
    await _require_operator(ctx)
    await registry.require(ctx, METER, key.meter)
    check_decimal("unit_price", unit_price, MAX_UNIT_PRICE)
    if key.scope:
        await tenancy.require_scope(ctx, key.scope)
    return await _add(ctx, key, unit_price, valid_from)


async def withdraw_price(ctx: Context, key: PriceKey, valid_from: datetime | None = None) -> Price:
    """Let `key` have no price from `valid_from` (default: now) on: the next one in the order of `lookups` counts.

    What is rated already keeps its version, and no version is ever removed. Needs `price:create` at the operator's
    scope. Raises Forbidden, NotFound (it has no price) and PriceInUse (that is in the past).
    """
    await _require_operator(ctx)
    if not any(
        price.key == key for price in await store.list_prices_for(ctx, [key.meter], [key.currency], [key.scope])
    ):
        raise NotFound(f"{key.meter} has no price for {key.model} in {key.currency} at {show_path(key.scope)!r}")
    return await _add(ctx, key, Decimal(0), valid_from, withdrawn=True)


async def _require_operator(ctx: Context) -> None:
    if not await ctx.allows("price:create", OPERATOR):
        raise Forbidden("this needs the permission 'price:create' at '-': the price book is the operator's")


async def _add(
    ctx: Context, key: PriceKey, unit_price: Decimal, valid_from: datetime | None, *, withdrawn: bool = False
) -> Price:
    await store.lock_book(ctx)
    now = ctx.now()
    start = now if valid_from is None else valid_from
    meters = {key.meter, FALLBACKS.get(key.meter, key.meter)} | {p for p, w in FALLBACKS.items() if w == key.meter}
    check_start(await store.list_prices_for(ctx, meters, [key.currency], chain_of(key.scope)), key, start, now)
    price = await store.save_price(ctx, key, unit_price, start, withdrawn=withdrawn)
    if price is None:
        raise PriceInUse("a version of this price begins at that time already; choose another")
    await _tell(ctx, price)
    return price


async def _tell(ctx: Context, price: Price) -> None:
    meter, model, currency, scope = price.key
    event = PriceCreated(
        price_id=price.id,
        meter=meter,
        model=model,
        currency=currency,
        unit_price=format(price.unit_price, "f"),
        valid_from=price.valid_from,
        scope=scope,
        withdrawn=price.withdrawn,
    )
    await ctx.emit(event, scope)
    await ctx.audit("pricing.price.create", "price", str(price.id), scope, after=event.model_dump(mode="json"))


async def set_currency(
    ctx: Context, account: str, currency: str, valid_from: datetime | None = None
) -> AccountCurrency:
    """Rate what is used at and below `account` in `currency` from `valid_from` (default: now) on.

    Nothing is converted: what is rated keeps its currency, and what has no price in the new one waits for it. Needs
    `price:create` at the operator's scope. Raises Forbidden, NotFound (the account), Invalid (no account, no currency),
    PriceInUse (a moment in the past, or one at which a currency of the account begins already), and CurrencyOfPlan.
    """
    await _require_operator(ctx)
    if level(account) != 1:
        raise invalid("account", f"{show_path(account)!r} is no account", "name the account; all below it follow")
    if not CURRENCY_CODE.fullmatch(currency):
        raise invalid("currency", f"{currency[:20]!r} is no currency", "use its three capital letters: EUR")
    await tenancy.require_scope(ctx, account)
    await _require_no_plan(ctx, account, currency)
    now = ctx.now()
    new = AccountCurrency(account, currency, now if valid_from is None else valid_from)
    if new.valid_from < now or not await store.save_currency(ctx, new):
        raise PriceInUse("usage since then may be rated already; let the currency begin now or later")
    event = CurrencySet(account=account, currency=currency, valid_from=new.valid_from)
    await ctx.emit(event, account)
    await ctx.audit("pricing.currency.set", "account", account, account, after=event.model_dump(mode="json"))
    return new


async def _require_no_plan(ctx: Context, account: str, currency: str) -> None:
    """What a plan includes would be taken off nothing, and what is used cost from the first unit on."""
    await lock_currency(ctx, account)
    plan, present = await policy.find_plan(ctx, account), await find_currency(ctx, account)
    if plan is not None and currency != present:
        raise CurrencyOfPlan(
            f"account {account} is on plan {plan!r}, which is in {present}: end the subscription, set the currency when"
            f" it is over, then choose a plan in {currency} (`ironworks subscription cancel -s {account}`)",
            plan=plan,
            currency=present,
        )


async def lock_currency(ctx: Context, account: str) -> None:
    """One decision at a time that rests on an account's currency, until the transaction ends."""
    await store.lock_currency(ctx, account)


async def list_currencies(ctx: Context, account: str | None = None) -> list[AccountCurrency]:
    """The currencies of `account`, or of every account that has one of its own, that the caller may see."""
    return await store.list_currencies(ctx, None if account is None else [account])


async def find_currency(ctx: Context, account: str, at: datetime | None = None) -> str:
    """In which currency `account`'s usage is rated at `at` (default: now)."""
    return (await find_currencies(ctx, {account: at or ctx.now()}))[account]


async def find_currencies(ctx: Context, moments: Mapping[str, datetime]) -> dict[str, str]:
    """Account → the currency in which its usage is rated at that moment."""
    currencies = Currencies(await store.list_currencies(ctx, moments))
    return {account: currencies.find(account, at) for account, at in moments.items()}


async def create_terms(
    ctx: Context, key: PriceKey, terms: PriceTerms, valid_from: date | None = None, *, withdrawn: bool = False
) -> TermsVersion:
    """Add a version of terms for the periods that begin on `valid_from` (default: today, in UTC) or later.

    It closes the version before; what is invoiced stays as it is. `withdrawn`: there are none from then on. Needs
    `price:create` at the operator's scope. Raises Forbidden, NotFound (the scope), UnknownEntry and DisabledEntry (the
    meter), Invalid and PriceInUse (a day in the past, or one on which a version begins already).
    """
    await _require_operator(ctx)
    await registry.require(ctx, METER, key.meter)
    check_terms(terms)
    if key.scope:
        await tenancy.require_scope(ctx, key.scope)
    today = ctx.now().astimezone(UTC).date()
    start = today if valid_from is None else valid_from
    if start < today:
        raise PriceInUse("periods that began since then may be closed; let the terms begin today or later")
    version = await periods.save_terms(ctx, key, terms, start, withdrawn=withdrawn)
    if version is None:
        raise PriceInUse(f"a version of these terms begins on {start} already; choose another day")
    await _tell_terms(ctx, version)
    return version


async def _tell_terms(ctx: Context, version: TermsVersion) -> None:
    meter, model, currency, scope = version.key
    event = TermsCreated(
        terms_id=version.id,
        meter=meter,
        model=model,
        currency=currency,
        scope=scope,
        terms=terms_to_json(version.terms),
        valid_from=version.valid_from,
        withdrawn=version.withdrawn,
    )
    await ctx.emit(event, scope)
    await ctx.audit("pricing.terms.create", "terms", str(version.id), scope, after=event.model_dump(mode="json"))


async def list_terms(
    ctx: Context,
    scope: str | None = None,
    after: BookCursor | None = None,
    limit: int | None = None,
    meter: str | None = None,
) -> list[TermsVersion]:
    """Every version of terms that the caller may see, or those that hold at `scope` or are of `meter`; a page of them
    past `after`, by meter, model, currency, scope and day."""
    return await periods.list_terms(ctx, None if scope is None else chain_of(scope), after, limit, meter)


async def simulate_prices(
    ctx: Context, path: str, start: date, end: date, currency: str, book: OtherBook, group_by: GroupBy
) -> Simulation:
    """What the usage at and below `path` of the UTC days [start, end) would have cost under `book`; changes nothing.

    Terms are compared where `path` names an account or the operator's scope: they add up what whole accounts use.
    Raises Invalid (a price or terms that are none).
    """
    for unit_price in book.prices.values():
        check_decimal("prices", unit_price, MAX_UNIT_PRICE)
    for version in book.terms:
        check_terms(version.terms)
    rated = await periods.list_rated(ctx, path, start, end, currency)
    prices = [(each, price_id, price_under(book, each, currency)) for each, price_id in rated]
    rerated = await periods.rerate(ctx, path, start, end, currency, prices)
    present = await periods.list_terms_for(ctx, path, currency)
    return compare(rerated, present, book, start, currency, group_by, adjust=level(path) <= 1)


async def seed_default_prices(ctx: Context, prices: Mapping[str, Decimal] = DEFAULT_PRICES) -> None:
    """Give every meter of `prices` that has no price at all this one; changes nothing where there is one."""
    await store.lock_book(ctx)
    priced = {price.key.meter for price in await store.list_prices(ctx)}
    for meter, unit_price in prices.items():
        if meter not in priced:
            await store.save_price(ctx, PriceKey(meter, ANY_MODEL, CURRENCY), unit_price, _BEGINNING)


async def rate_usage(ctx: Context, events: Sequence[metering.UsageEvent]) -> Rating:
    """Rate every quantity of `events` that is not zero; saves nothing (see keep_rating)."""
    if not events:
        return Rating((), ())
    scopes = {event.scope for event in events}
    currencies = Currencies(await store.list_currencies(ctx, {scope.partition(".")[0] for scope in scopes}))
    meters = {meter for event in events for meter in event.quantities}
    meters |= {FALLBACKS[meter] for meter in meters if meter in FALLBACKS}
    chain = {above for scope in scopes for above in chain_of(scope)}
    models = {event.model for event in events} | {ANY_MODEL}
    prices = await store.list_prices_for(ctx, meters, currencies.known, chain, models)
    return rate(events, PriceBook(prices), currencies)


async def rate_waiting(ctx: Context, limit: int = 1000) -> Rating:
    """Take out up to `limit` lines that waited for a price and rate them; keep_rating must follow."""
    return await rate_usage(ctx, await store.take_ratable(ctx, CURRENCY, FALLBACKS, limit))


async def keep_rating(
    ctx: Context, rating: Rating, transfer_of: Mapping[TransferOf, UUID], *, waited: bool = False
) -> None:
    """Save the lines, each with the transfer that moved it; `waited`: they are what `rate_waiting` gave."""
    if rating.events:
        await (store.save_alone if waited else store.save_lines)(ctx, rating.events, transfer_of)
    if rating.unrated:
        await store.save_unrated(ctx, rating.unrated)


async def list_lines(ctx: Context, usage_event_id: str) -> list[RatedLine]:
    """The rated lines of one usage event that the caller may see."""
    return await store.list_lines(ctx, usage_event_id)


async def sum_costs(ctx: Context, usage_event_ids: Sequence[str]) -> dict[str, int]:
    """What usage events cost in nano-units of CURRENCY, of those lines that the caller may see."""
    costs = await store.list_costs(ctx, usage_event_ids)
    return {event_id: nano[CURRENCY] for event_id, nano in costs.items() if CURRENCY in nano}


async def list_costs(ctx: Context, usage_event_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """What each usage event cost, by currency in nano-units, of those lines that the caller may see."""
    return await store.list_costs(ctx, usage_event_ids)


async def list_transfer_lines(
    ctx: Context, transfer_id: UUID, after: tuple[str, str] = ("", ""), limit: int = 100
) -> list[RatedLine]:
    """One page of the lines that a transfer moved; `after` is the last one's (usage event id, meter)."""
    return await store.list_transfer_lines(ctx, transfer_id, after, limit)


async def group_transfer_lines(ctx: Context, transfer_ids: Collection[UUID]) -> list[LineGroup]:
    """The rated lines that these transfers moved, added up by tenant, meter, model and unit price."""
    return await store.group_transfer_lines(ctx, transfer_ids)


async def list_group_lines(
    ctx: Context, transfer_ids: Collection[UUID], group: LineGroup, after: tuple[UUID, str], limit: int = 100
) -> list[RatedLine]:
    """One page of the lines of `group` that these transfers moved, past `after`, the last one's (transfer, event)."""
    return await store.list_group_lines(ctx, transfer_ids, group.meter, group.model, group.unit_price, after, limit)


async def list_unrated(ctx: Context, usage_event_id: str) -> list[UnratedLine]:
    """The quantities of one usage event that wait for a price, or for a person."""
    return await store.list_unrated(ctx, usage_event_id)
