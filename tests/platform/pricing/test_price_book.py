"""The price book: versions that close each other, and rated lines that keep theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from itertools import product

import asyncpg
import pytest

from ironworks.platform import billing, pricing, registry
from ironworks.platform.pricing.model import PriceInUse
from ironworks.shared.context import Actor
from ironworks.shared.errors import Forbidden, Invalid
from tests.support.lower import LowerWorld
from tests.support.money import NOON, charge, check_books, money_world, usage
from tests.support.postgres import Role, TestDatabase

INPUT = pricing.PriceKey("input_tokens", "*", "USD")


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database) as world:
        world.clock = lambda: NOON
        yield world


@pytest.fixture
async def operator(world: LowerWorld) -> Actor:
    return await world.subject("operator", {"price:create": [""], "billing:read": [""]})


async def test_a_new_version_closes_the_one_before(world: LowerWorld, operator: Actor) -> None:
    async with world.acting(operator) as ctx:
        created = await pricing.create_price(ctx, INPUT, Decimal("0.0000002"))
    async with world.acting(operator) as ctx:
        first, second = [p for p in await pricing.list_prices(ctx) if p.key == INPUT]
        in_force = [p.id for p in await pricing.list_prices(ctx, NOON) if p.key == INPUT]
    assert (first.valid_to, second.valid_from, second.valid_to) == (NOON, NOON, None)
    assert in_force == [created.id]


async def test_what_is_rated_keeps_its_version(world: LowerWorld, operator: Actor) -> None:
    await charge(world, usage("before", occurred_at=NOON - timedelta(seconds=1)))
    async with world.acting(operator) as ctx:
        await pricing.create_price(ctx, INPUT, Decimal("0.5"))
    await charge(world, usage("late", occurred_at=NOON - timedelta(seconds=1)), usage("after"))
    prices = {}
    for request in ("before", "late", "after"):
        async with world.acting(operator) as ctx:
            lines = (await billing.explain_request(ctx, request)).lines
        prices[request] = next(line.unit_price for line in lines if line.meter == "input_tokens")
    assert prices == {"before": Decimal("0.0000001"), "late": Decimal("0.0000001"), "after": Decimal("0.5")}
    await check_books(world)


async def test_a_price_keeps_every_digit(world: LowerWorld, operator: Actor) -> None:
    exact = Decimal("0.123456789012345678")
    async with world.acting(operator) as ctx:
        await pricing.create_price(ctx, INPUT, exact)
    async with world.acting(operator) as ctx:
        assert exact in [p.unit_price for p in await pricing.list_prices(ctx)]


async def test_what_is_no_price_is_refused(world: LowerWorld, operator: Actor) -> None:
    for text in ("-0.1", "1000001", "NaN", "Infinity", "-Infinity", "0.0000000000000000001"):
        with pytest.raises(Invalid) as caught:
            async with world.acting(operator) as ctx:
                await pricing.create_price(ctx, INPUT, Decimal(text))
        assert [problem["field"] for problem in caught.value.details["fields"]] == ["unit_price"]


async def test_an_unknown_meter_has_no_price(world: LowerWorld, operator: Actor) -> None:
    with pytest.raises(registry.UnknownEntry):
        async with world.acting(operator) as ctx:
            await pricing.create_price(ctx, INPUT._replace(meter="bananas"), Decimal(1))


async def test_only_the_operators_people_add_prices(world: LowerWorld) -> None:
    tenant = await world.subject("tenant", {"price:create": ["acme"]})
    with pytest.raises(Forbidden):
        async with world.acting(tenant) as ctx:
            await pricing.create_price(ctx, INPUT, Decimal(0))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.acting(tenant) as ctx:
            await ctx.db.execute(
                "insert into platform_pricing.price (meter, model, currency, unit_price, valid_from, created_by)"
                " values ('input_tokens', '*', 'USD', 0, now(), 'me')"
            )
    async with world.acting(tenant) as ctx:
        assert len(await pricing.list_prices(ctx)) == len(pricing.DEFAULT_PRICES)


async def test_two_versions_at_once_do_not_price_one_moment_twice(world: LowerWorld, operator: Actor) -> None:
    async def create(price: int) -> bool:
        try:
            async with world.acting(operator) as ctx:
                await pricing.create_price(ctx, INPUT, Decimal(price), NOON + timedelta(days=1))
        except PriceInUse:
            return False
        return True

    assert sorted(await asyncio.gather(*map(create, range(4)))) == [False, False, False, True]


async def test_seeding_again_changes_nothing(world: LowerWorld, operator: Actor) -> None:
    async with world.acting(operator) as ctx:
        await pricing.create_price(ctx, INPUT, Decimal(1))
    before = await world.query("select * from platform_pricing.price order by id")
    async with world.system("worker") as ctx:
        await pricing.seed_default_prices(ctx)
    assert await world.query("select * from platform_pricing.price order by id") == before


async def test_an_upgrade_adds_prices_for_new_meters_alone(database: TestDatabase) -> None:
    """A meter that has any price is the operator's business."""
    async with money_world(database, prices=False) as world:
        own = await world.subject("operator", {"price:create": [""]})
        async with world.acting(own) as ctx:
            await pricing.create_price(ctx, INPUT._replace(meter="audio_seconds", model="whisper"), Decimal(1))
        for _ in range(2):
            async with world.system("worker") as ctx:
                await pricing.seed_default_prices(ctx)
        meters = [row["meter"] for row in await world.query("select meter from platform_pricing.price order by 1")]
        assert meters == sorted(pricing.DEFAULT_PRICES)


async def test_the_gateway_reads_the_whole_book_with_what_is_to_come(world: LowerWorld, operator: Actor) -> None:
    async with world.acting(operator) as ctx:
        later = await pricing.create_price(ctx, INPUT, Decimal(1), NOON + timedelta(days=9))
    async with world.system("gateway") as ctx:
        book = pricing.PriceBook(await pricing.list_prices(ctx))
    assert book.find("cached_input_tokens", "any", "USD", NOON) is not None
    assert book.find("input_audio_tokens", "any", "USD", NOON + timedelta(days=10)) == later


async def test_nobody_changes_a_price_or_a_rated_line(world: LowerWorld) -> None:
    await charge(world, usage())
    roles: tuple[Role, ...] = ("api", "worker", "gateway")
    verbs = ("delete from {}", "update {} set currency = 'EUR'", "truncate {} cascade")
    for table, verb in product(("price", "rated_event", "rated_alone"), verbs):
        statement = verb.format(f"platform_pricing.{table}")
        for role in roles:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with world.system(role) as ctx:
                    await ctx.db.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await world.admin(statement)


async def test_a_line_names_a_price_that_exists(world: LowerWorld) -> None:
    await charge(world, usage())
    alone = """
        insert into platform_pricing.rated_alone
          (usage_event_id, meter, quantity, price_id, amount_nano, currency, scope, transfer_id, day)
        select usage_event_id, meter || n, quantity, case n when 2 then gen_random_uuid() else price_id end,
               amount_nano, currency, scope, transfer_id, day
        from platform_pricing.rated_line, generate_series(1, {}) n
    """
    together = """
        insert into platform_pricing.rated_event
          (usage_event_id, meters, quantities, price_ids, amounts_nano, currency, scope, transfer_id, day)
        select usage_event_id || n, meters, quantities,
               case n when 2 then array_replace(price_ids, price_ids[3], gen_random_uuid()) else price_ids end,
               amounts_nano, currency, scope, transfer_id, day
        from platform_pricing.rated_event, generate_series(1, {}) n
    """
    for copy in (together, alone):
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="a price that does not exist"):
            await world.admin(copy.format(2))
        await world.admin(copy.format(1))


async def test_what_costs_nothing_stands_beside_what_costs_something_and_moves_nothing(world: LowerWorld) -> None:
    """The lines of an event share a row, but for those without a transfer; each is a line all the same."""
    operator = await world.subject("operator", {"price:create": [""]})
    async with world.acting(operator) as ctx:
        await pricing.create_price(ctx, pricing.PriceKey("output_tokens", "free", "USD"), Decimal(0))
    moment = NOON + timedelta(days=20)
    world.clock = lambda: moment
    await charge(world, usage("mixed", model="free", occurred_at=moment), usage("usual", occurred_at=moment))
    await charge(world, usage("nothing", (0, 0, 7), model="free", occurred_at=moment))
    rows = await world.query(
        "select usage_event_id, cardinality(meters) as n, transfer_id is null as free from platform_pricing.rated_event"
    )
    assert {tuple(row) for row in rows} == {("mixed", 2, False), ("usual", 3, False), ("nothing", 1, True)}
    async with world.system("worker") as ctx:
        lines = {name: await pricing.list_lines(ctx, name) for name in ("mixed", "usual", "nothing")}
    assert {name: [bool(line.transfer_id) for line in found] for name, found in lines.items()} == {
        "mixed": [True, True, False],
        "usual": [True, True, True],
        "nothing": [False],
    }
    await check_books(world)


async def test_the_lines_of_an_event_are_as_many_as_their_parts(world: LowerWorld) -> None:
    await charge(world, usage())
    for column, value in (
        ("quantities", "quantities[1:2]"), ("price_ids", "price_ids[1:2]"), ("amounts_nano", "amounts_nano[1:1]"),
        ("quantities", "array[0, 1, 1]"), ("amounts_nano", "array[0, 1, 1]"), ("amounts_nano", "array[-1, 1, 1]"),
        ("transfer_id", "null"), ("meters", "'{}'"),
    ):  # fmt: skip
        columns = {name: name for name in (
            "meters", "quantities", "price_ids", "amounts_nano", "currency", "scope", "transfer_id", "day"
        )} | {column: value}  # fmt: skip
        with pytest.raises(asyncpg.CheckViolationError):
            await world.admin(
                f"insert into platform_pricing.rated_event (usage_event_id, {', '.join(columns)})"
                f" select 'odd', {', '.join(columns.values())} from platform_pricing.rated_event"
            )
