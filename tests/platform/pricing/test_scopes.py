"""Prices and terms of one scope, prices that are withdrawn while in use, and a period under another book."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.platform import billing, metering, pricing
from ironworks.platform.pricing.simulation import Rated, price_under
from ironworks.shared.context import Actor
from ironworks.shared.errors import Forbidden, Invalid, NotFound
from tests.support.lower import LowerWorld
from tests.support.money import NOON, TENANT, charge, check_books, money_world, usage
from tests.support.postgres import Role, TestDatabase

INPUT = pricing.PriceKey("input_tokens", "*", "USD")
OWN = INPUT._replace(scope="acme.shop")
MARCH = (date(2026, 3, 1), date(2026, 4, 1))
MICRO = 1000


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database) as world:
        world.clock = lambda: NOON
        yield world


@pytest.fixture
async def operator(world: LowerWorld) -> Actor:
    return await world.subject("operator", {"price:create": [""], "billing:read": [""]})


async def set_price(world: LowerWorld, operator: Actor, key: pricing.PriceKey, price: str, **when: float) -> None:
    async with world.acting(operator) as ctx:
        await pricing.create_price(ctx, key, Decimal(price), NOON + timedelta(**when) if when else None)


async def paid(world: LowerWorld, operator: Actor, request: str) -> int:
    async with world.acting(operator) as ctx:
        return sum((await billing.explain_request(ctx, request)).total_nano.values())


def tokens(request: str, number: int = 1000, scope: str = TENANT, **changes: object) -> metering.UsageEvent:
    return usage(request, (number, 0, 0), scope=scope, **changes)


async def test_the_nearest_scopes_price_counts(world: LowerWorld, operator: Actor) -> None:
    await set_price(world, operator, OWN, "0.0000002")
    await set_price(world, operator, INPUT._replace(scope="acme.shop.us"), "0.0000003")
    await set_price(world, operator, INPUT._replace(model="smollm2"), "0.0000009")
    scopes = ("acme.shop.eu", "acme.shop.us", "rival.app", "acme")
    await charge(world, *(tokens(f"r{number}", scope=scope) for number, scope in enumerate(scopes)))
    assert [await paid(world, operator, f"r{n}") for n in range(4)] == [200 * MICRO, 300 * MICRO, 900 * MICRO, 900_000]
    await check_books(world)


async def test_a_withdrawn_price_leaves_the_one_above_and_what_is_rated(world: LowerWorld, operator: Actor) -> None:
    await set_price(world, operator, OWN, "0.0000002")
    await charge(world, tokens("before"))
    async with world.acting(operator) as ctx:
        end = await pricing.withdraw_price(ctx, OWN, NOON + timedelta(hours=1))
    later = NOON + timedelta(hours=2)
    await charge(world, tokens("late"), tokens("after", occurred_at=later))
    assert [await paid(world, operator, r) for r in ("before", "late", "after")] == [200_000, 200_000, 100_000]
    async with world.acting(operator) as ctx:
        assert end.id in {price.id for price in await pricing.list_prices(ctx)}
        assert OWN not in {price.key for price in await pricing.list_prices(ctx, later)}
    world.clock = lambda: later
    await set_price(world, operator, OWN, "0.0000004")
    await charge(world, tokens("again", occurred_at=later))
    assert await paid(world, operator, "again") == 400_000
    await check_books(world)


async def test_what_lost_its_only_price_waits_and_gets_one_for_that_time(world: LowerWorld, operator: Actor) -> None:
    """A gap that a withdrawal left may be closed later; a moment that had a price may not get another."""
    images = INPUT._replace(meter="images", scope="acme")
    await set_price(world, operator, images, "1")
    async with world.acting(operator) as ctx:
        await pricing.withdraw_price(ctx, images, NOON + timedelta(hours=1))
    at = NOON + timedelta(hours=2)
    await charge(world, usage("gap", quantities={"images": 2}, occurred_at=at))
    async with world.system("worker") as ctx:
        assert await billing.charge_waiting(ctx) == 0
    world.clock = lambda: NOON + timedelta(hours=3)
    with pytest.raises(pricing.PriceInUse):
        await set_price(world, operator, images, "3", minutes=30)
    await set_price(world, operator, images, "3", minutes=90)
    async with world.system("worker") as ctx:
        assert await billing.charge_waiting(ctx) == 1
    assert await paid(world, operator, "gap") == 6 * 10**9
    await check_books(world)


async def test_a_scopes_price_may_not_begin_where_another_priced(world: LowerWorld, operator: Actor) -> None:
    with pytest.raises(pricing.PriceInUse):
        await set_price(world, operator, OWN, "1", hours=-1)
    with pytest.raises(pricing.PriceInUse):
        await set_price(world, operator, OWN._replace(model="big", meter="cached_input_tokens"), "1", hours=-1)
    await set_price(world, operator, OWN._replace(meter="images"), "1", hours=-1)
    await set_price(world, operator, INPUT._replace(meter="images"), "2", hours=-1)


async def test_a_price_needs_a_scope_that_is_and_a_withdrawal_a_price(world: LowerWorld, operator: Actor) -> None:
    with pytest.raises(NotFound):
        await set_price(world, operator, INPUT._replace(scope="no.where"), "1")
    with pytest.raises(NotFound):
        async with world.acting(operator) as ctx:
            await pricing.withdraw_price(ctx, OWN)
    tenant = await world.subject("tenant", {"price:create": ["acme"], "billing:read": ["acme"]})
    with pytest.raises(Forbidden):
        async with world.acting(tenant) as ctx:
            await pricing.withdraw_price(ctx, INPUT)
    with pytest.raises(Forbidden):
        async with world.acting(tenant) as ctx:
            await pricing.create_terms(ctx, OWN, pricing.PriceTerms())


async def test_what_was_agreed_with_one_customer_is_not_shown_to_another(world: LowerWorld, operator: Actor) -> None:
    await set_price(world, operator, OWN, "0.0000002")
    async with world.acting(operator) as ctx:
        await pricing.create_terms(ctx, OWN, pricing.PriceTerms(discount=Decimal(5)))
    for name, scopes, seen in (("own", ["acme.shop.eu"], 1), ("above", ["acme"], 1), ("rival", ["rival"], 0)):
        reader = await world.subject(name, {"billing:read": scopes})
        async with world.acting(reader) as ctx:
            assert [p.key for p in await pricing.list_prices(ctx, scope="acme.shop.eu") if p.key.scope] == [OWN] * seen
            assert [v.key for v in await pricing.list_terms(ctx)] == [OWN] * seen


async def test_a_close_adjusts_what_the_period_used(world: LowerWorld, operator: Actor) -> None:
    terms = pricing.PriceTerms(included=2000, tiers=(pricing.Tier(None, Decimal("0.00000005")),))
    world.clock = lambda: NOON - timedelta(days=1)
    async with world.acting(operator) as ctx:
        version = await pricing.create_terms(ctx, INPUT, terms, MARCH[0])
    world.clock = lambda: NOON + timedelta(days=31)
    batch = [tokens(f"r{n}", occurred_at=NOON + timedelta(days=n)) for n in range(4)]
    await charge(world, *batch, tokens("april", occurred_at=NOON + timedelta(days=31)), tokens("other", scope="rival"))
    async with world.system("worker") as ctx:
        (line,) = await pricing.list_adjustments(ctx, "acme", *MARCH, "USD")
        assert await pricing.list_adjustments(ctx, "acme", *MARCH, "EUR") == []
        assert await pricing.list_adjustments(ctx, "acme", date(2026, 2, 1), MARCH[0], "USD") == []
    assert line == pricing.Adjustment(
        "acme", "input_tokens", "*", "graduated tiers, 2000 included", 4000, 100 * MICRO - 400 * MICRO, version.id
    )


async def test_terms_look_forward(world: LowerWorld, operator: Actor) -> None:
    with pytest.raises(pricing.PriceInUse):
        async with world.acting(operator) as ctx:
            await pricing.create_terms(ctx, INPUT, pricing.PriceTerms(), NOON.date() - timedelta(days=1))
    async with world.acting(operator) as ctx:
        await pricing.create_terms(ctx, INPUT, pricing.PriceTerms())
    with pytest.raises(pricing.PriceInUse):
        async with world.acting(operator) as ctx:
            await pricing.create_terms(ctx, INPUT, pricing.PriceTerms(), NOON.date())


async def test_nobody_changes_terms(world: LowerWorld, operator: Actor) -> None:
    async with world.acting(operator) as ctx:
        await pricing.create_terms(ctx, INPUT, pricing.PriceTerms())
    roles: tuple[Role, ...] = ("api", "worker", "gateway")
    for verb in ("delete from {}", "update {} set currency = 'EUR'", "truncate {}"):
        statement = verb.format("platform_pricing.price_terms")
        for role in roles:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with world.system(role) as ctx:
                    await ctx.db.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await world.admin(statement)


async def test_a_past_period_under_another_book(world: LowerWorld, operator: Actor) -> None:
    await set_price(world, operator, OWN, "0.0000002")
    waits = usage("waits", quantities={"images": 3}, scope="rival")
    await charge(world, tokens("a"), tokens("b", 3), tokens("c", scope="rival"), waits)
    before = await world.query("select * from platform_pricing.rated_line order by 1, 2")
    dearer = pricing.OtherBook(
        {INPUT: Decimal("0.0000005"), INPUT._replace(meter="images"): Decimal(1)},
        [pricing.TermsVersion(uuid4(), INPUT, pricing.PriceTerms(discount=Decimal(50)), MARCH[0])],
    )
    async with world.acting(operator) as ctx:
        found = await pricing.simulate_prices(ctx, "", *MARCH, "USD", dearer, pricing.GroupBy.ACCOUNT)
        same = await pricing.simulate_prices(ctx, "", *MARCH, "USD", pricing.OtherBook(), pricing.GroupBy.TENANT)
        own = await pricing.simulate_prices(ctx, "acme", *MARCH, "USD", dearer, pricing.GroupBy.METER)
    rival, acme = found.groups
    assert rival == ("rival", 1003, 100 * MICRO, 500 * MICRO + 3 * 10**9, 0, -250 * MICRO)
    assert acme == ("acme", 1003, 200_600, 200_600, 0, -100_300)  # its own price goes before the one that was changed
    assert (found.waiting, found.would_wait) == (3, 0)
    assert found.total.difference_nano == rival.difference_nano + acme.difference_nano
    assert (same.total.difference_nano, same.waiting, same.would_wait) == (0, 3, 3)
    assert [(group.name, group.would_nano) for group in own.groups] == [("input_tokens smollm2", 200_600)]
    assert await world.query("select * from platform_pricing.rated_line order by 1, 2") == before


async def test_the_database_multiplies_as_we_do(world: LowerWorld) -> None:
    cases = [(q, Decimal(p)) for q in (1, 3, 5, 7, 999, 10**12) for p in ("0.0000000005", "0.0000000015", "0", "0.1")]
    cases += [(n, Decimal("0.000000000123456789")) for n in range(1, 200)] + [(10**12, Decimal("1000000"))]
    found = await world.query(
        "select platform_pricing.nano_amount(q, p) as nano from unnest($1::bigint[], $2::numeric[])"
        " with ordinality as c (q, p, n) order by n",
        [quantity for quantity, _ in cases],
        [price for _, price in cases],
    )
    assert [int(row["nano"]) for row in found] == [round(Fraction(p) * q * 10**9) for q, p in cases]


SCOPES = ("", "acme", "acme.shop", "acme.shop.eu")
keys = st.builds(
    pricing.PriceKey,
    st.sampled_from(["input_tokens", "cached_input_tokens"]),
    st.sampled_from(["*", "m"]),
    st.just("USD"),
    st.sampled_from(SCOPES),
)


@given(st.sets(keys, min_size=1), st.sets(keys), st.sampled_from(["input_tokens", "cached_input_tokens"]))
def test_another_book_prices_what_rating_would_find_in_both_laid_over(
    present: set[pricing.PriceKey], changed: set[pricing.PriceKey], meter: str
) -> None:
    order = pricing.lookups(meter, "m", "USD", "acme.shop.eu")
    found = next((key for key in order if key in present), None)
    expected = next((key for key in order if key in present | changed), None)
    book = pricing.OtherBook({key: Decimal(order.index(key)) for key in changed if key in order})
    price = price_under(book, Rated("acme.shop.eu", meter, "m", found), "USD")
    assert price == (order.index(expected) if expected in changed else None)


async def test_an_accounts_currency_rates_its_usage_and_converts_nothing(world: LowerWorld, operator: Actor) -> None:
    await set_price(world, operator, INPUT._replace(currency="EUR"), "0.0000003")
    await charge(world, tokens("dollars"))
    async with world.acting(operator) as ctx:
        await pricing.set_currency(ctx, "acme", "EUR")
        assert await pricing.find_currency(ctx, "acme") == "EUR"
        assert await pricing.find_currency(ctx, "acme", NOON - timedelta(seconds=1)) == "USD"
    await charge(
        world,
        tokens("late", occurred_at=NOON - timedelta(seconds=1)),
        tokens("euros"),
        tokens("rival", scope="rival"),
        usage("unpriced", (0, 0, 5)),
    )
    totals = {}
    for request in ("dollars", "late", "euros", "rival", "unpriced"):
        async with world.acting(operator) as ctx:
            totals[request] = (await billing.explain_request(ctx, request)).total_nano
    assert totals == {
        "dollars": {"USD": 100_000},
        "late": {"USD": 100_000},
        "euros": {"EUR": 300_000},
        "rival": {"USD": 100_000},
        "unpriced": {},
    }
    async with world.system("worker") as ctx:
        assert await billing.charge_waiting(ctx) == 0
    await set_price(world, operator, INPUT._replace(currency="EUR", meter="output_tokens"), "1", hours=-1)
    async with world.system("worker") as ctx:
        assert await billing.charge_waiting(ctx) == 1
    async with world.system("worker") as ctx:
        found = await pricing.simulate_prices(ctx, "acme", *MARCH, "EUR", pricing.OtherBook(), pricing.GroupBy.METER)
    assert found.total.was_nano == 300_000 + 5 * 10**9
    await check_books(world)


async def test_a_currency_is_an_accounts_and_begins_now_or_later(world: LowerWorld, operator: Actor) -> None:
    for account, currency, error in (("acme.shop", "EUR", Invalid), ("acme", "euro", Invalid), ("no", "EUR", NotFound)):
        with pytest.raises(error):
            async with world.acting(operator) as ctx:
                await pricing.set_currency(ctx, account, currency)
    with pytest.raises(pricing.PriceInUse):
        async with world.acting(operator) as ctx:
            await pricing.set_currency(ctx, "acme", "EUR", NOON - timedelta(seconds=1))
    async with world.acting(operator) as ctx:
        await pricing.set_currency(ctx, "acme", "EUR")
    with pytest.raises(pricing.PriceInUse):
        async with world.acting(operator) as ctx:
            await pricing.set_currency(ctx, "acme", "CHF")
    for name, seen in (("acme", 1), ("rival", 0)):
        reader = await world.subject(name, {"billing:read": [name]})
        async with world.acting(reader) as ctx:
            assert len(await pricing.list_currencies(ctx)) == seen
        with pytest.raises(Forbidden):
            async with world.acting(reader) as ctx:
                await pricing.set_currency(ctx, name, "CHF")
