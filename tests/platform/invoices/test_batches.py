"""Many closes in the same transactions: killed anywhere, with one that is broken, and by several workers at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ironworks.platform import invoices, ledger, pricing, registry, subscriptions
from ironworks.platform.invoices import closes, closing, service
from ironworks.platform.invoices.controller import open_due_closes
from ironworks.platform.policy.declarations import DECLARATIONS as POLICY
from ironworks.platform.subscriptions.declarations import DECLARATIONS as SUBSCRIPTIONS
from ironworks.shared.db import DatabaseUnavailable
from tests.support.dying import dying
from tests.support.invoicing import (
    APRIL,
    CENT,
    DOLLAR,
    INVOICES,
    LEDGER,
    check_invoices,
    close_all,
    everything,
    invoice_world,
    lines_of,
    list_all,
    only,
)
from tests.support.lower import LowerWorld
from tests.support.money import _DECLARED as MONEY
from tests.support.money import NOON, charge, check_books, usage
from tests.support.postgres import TestDatabase

MANY = [f"c{n}" for n in range(1, 13)]
VAT = invoices.BillingDetails(taxes=(invoices.Tax(name="VAT", rate=Decimal("0.19")),))


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with invoice_world(database) as world:
        declared = {
            **MONEY,
            "platform.ledger": LEDGER,
            "platform.invoices": INVOICES,
            "platform.policy": POLICY,
            "platform.subscriptions": SUBSCRIPTIONS,
        }
        async with world.system("worker") as ctx:
            await registry.sync_registry(ctx, declared.items())
            await subscriptions.seed_plans(ctx)
        yield world


async def subscribe(world: LowerWorld, account: str, plan: str = "starter", on: datetime = NOON) -> None:
    """Start a subscription on a day in the past, so that its periods are due."""
    rights: dict[str, list[str]] = {"subscription:read": [account], "subscription:update": [account]}
    payer = await world.subject(f"payer of {account}", rights)
    now, world.clock = world.clock, lambda: on
    async with world.acting(payer) as ctx:
        await subscriptions.start_subscription(ctx, account, plan, trial=False)
    world.clock = now


async def add_accounts(world: LowerWorld, names: Sequence[str]) -> None:
    await world.admin(
        "insert into platform_tenancy.node_path (path, uid, kind, external_id, phase)"
        f" select path::ltree, gen_random_uuid(), 'Account', null, 'active' from unnest(array{list(names)}) as path"
    )


async def set_terms(world: LowerWorld, terms: pricing.PriceTerms, scope: str = "", currency: str = "USD") -> None:
    """Terms of input tokens, from before anything was used."""
    operator = await world.subject("operator", {"price:create": [""]})
    now, world.clock = world.clock, lambda: NOON - timedelta(days=60)
    async with world.acting(operator) as ctx:
        await pricing.create_terms(ctx, pricing.PriceKey("input_tokens", "*", currency, scope), terms)
    world.clock = now


async def advance(world: LowerWorld, dies_after: int = 0) -> bool:
    """One step of all open closes together, on a connection that dies; whether it lived."""
    async with world.system("worker") as ctx:
        close_ids = await closes.list_unfinished(ctx, (), 10)
    try:
        async with world.system("worker") as ctx:
            await closing.advance_closes(dying(ctx, dies_after), close_ids)
    except DatabaseUnavailable:
        return False
    return True


async def test_a_crash_after_any_statement_of_any_step_leaves_nothing_half_done(world: LowerWorld) -> None:
    """Each step is killed after its first statement, then after its second, until it lives: for two accounts at once,
    one with a subscription and what its plan includes, the other with terms, taxes and credit."""
    await subscribe(world, "rival")
    world.clock = lambda: NOON + timedelta(days=1)
    await close_all(world)  # what was due on the first day
    await set_terms(world, pricing.PriceTerms(discount=Decimal(50)), "acme")
    async with world.system("worker") as ctx:
        await invoices.set_details(ctx, "acme", VAT)
        await ledger.grant_credit(ctx, "acme", "USD", 5 * CENT, ledger.CreditSource.PROMOTION, "welcome")
    await charge(
        world,
        usage("a", (6 * 10**6, 0, 0)),
        usage("b", (2 * 10**6, 0, 0), scope="acme.shop.us"),
        usage("c", scope="rival.app", quantities={"worker_invocations": 6_000_000}),
    )
    world.clock = lambda: APRIL
    deaths = 0
    await open_due_closes(await world.database("worker"))
    for _ in range(3):
        before = await everything(world)
        for statement in range(1, 80):
            if await advance(world, statement):
                break
            deaths += 1
            assert await everything(world) == before
    assert deaths > 40
    invoice = await only(world)
    assert (invoice.number, invoice.total_nano, invoice.credit_nano) == ("ACME-000001", 48 * CENT, 5 * CENT)
    first, second = await list_all(world, "rival")
    assert first.total_nano == 49 * DOLLAR
    kinds = sorted(line.kind for line in await lines_of(world, second.id))
    assert kinds == ["adjustment", "fee", "usage"]
    await check_invoices(world)
    await check_books(world)


@pytest.mark.parametrize("table", ["claim", "numbering"])
async def test_one_broken_account_holds_up_nobody_and_says_why(world: LowerWorld, table: str) -> None:
    await add_accounts(world, MANY)
    await charge(world, *(usage(f"r{name}", (10**6, 0, 0), scope=f"{name}.shop.eu") for name in MANY))
    await world.admin(
        f"""
        create function public.test_break() returns trigger language plpgsql as $$
        begin
          if new.scope <@ 'c5' then raise exception 'a disk is full'; end if;
          return new;
        end $$;
        create trigger test_break before insert on platform_invoices.{table}
          for each row execute function public.test_break();
        """
    )
    await close_all(world)
    await close_all(world)
    assert [name for name in MANY if [i.number for i in await list_all(world, name) if i.number] == []] == ["c5"]
    (broken,) = await world.query("select * from platform_invoices.close where state <> 'done'")
    assert (broken["path"], broken["attempts"]) == ("c5", 1)
    assert "a disk is full" in broken["problem"]
    await world.admin(f"drop trigger test_break on platform_invoices.{table}")
    world.clock = lambda: APRIL + timedelta(seconds=11)
    await close_all(world)
    assert (await only(world, "c5")).number == "C5-000001"
    (mended,) = await world.query("select attempts, problem from platform_invoices.close where path = 'c5'")
    assert tuple(mended) == (0, "")
    await check_invoices(world)


async def test_several_workers_share_many_closes(world: LowerWorld) -> None:
    await add_accounts(world, MANY)
    for name in MANY[:4]:
        await subscribe(world, name)
    await charge(world, *(usage(f"r{n}", (10**6, 0, 0), scope=f"{MANY[n % 12]}.shop.eu") for n in range(48)))
    await asyncio.gather(*(close_all(world) for _ in range(4)))
    await close_all(world)
    for name in MANY:
        *_, last = await list_all(world, name)
        assert last.total_nano == (49 * DOLLAR if name in MANY[:4] else 0) + 40 * CENT
    assert not await world.query("select from platform_invoices.close where state <> 'done'")
    await check_invoices(world)
    await check_books(world)


async def test_what_was_posted_behind_many_payments_is_found(world: LowerWorld, monkeypatch: Any) -> None:
    """What an account paid and was granted stands among its transfers, and is no part of a page of what it owes."""
    await charge(world, usage("a", (10**7, 0, 0)))
    async with world.system("worker") as ctx:
        for n in range(5):
            await ledger.grant_credit(ctx, "acme", "USD", CENT, ledger.CreditSource.PAID, f"early {n}")
        fee = invoices.NewCharge("acme", invoices.LineKind.FEE, "support", "Support", 7 * CENT, "USD")
        await invoices.charge(ctx, date(2026, 3, 31), [fee])
    await world.admin("set session_replication_role = replica; update platform_ledger.transfer set day = '2026-03-02'")
    monkeypatch.setattr(closing, "PAGE", 3)
    await close_all(world)
    assert {line.description for line in await lines_of(world, (await only(world)).id)} == {"input tokens", "Support"}


async def test_a_plan_that_changes_during_a_close_counts_from_the_next_one(world: LowerWorld) -> None:
    await subscribe(world, "acme", on=datetime(2026, 3, 1, 9, tzinfo=UTC))
    await charge(world, usage("a", quantities={"worker_invocations": 7_000_000}))
    await close_all(world)
    await open_due_closes(await world.database("worker"))
    await advance(world)
    payer = await world.subject("payer", {"subscription:read": ["acme"], "subscription:update": ["acme"]})
    async with world.acting(payer) as ctx:
        await subscriptions.change_subscription(ctx, "acme", "growth")
    await close_all(world)
    march = (await list_all(world))[-1]
    assert {line.description.partition(",")[0] for line in await lines_of(world, march.id)} == {
        "Starter",
        "worker invocations",
        "Included worker_invocations: 5",
    }
    world.clock = lambda: datetime(2026, 5, 2, tzinfo=UTC)
    await close_all(world)
    april = (await list_all(world))[-1]
    words = [line.description.partition(" on ")[0] for line in await lines_of(world, april.id)]
    assert sorted(words) == ["Growth, 2026-05-01 to 2026-05-31", "Remaining time", "Unused time"]
    await check_invoices(world)


async def test_days_are_those_of_utc_whatever_clocks_do(world: LowerWorld) -> None:
    """Berlin's clocks go forward on the 29th of March, and its April begins while it is March in UTC."""
    moments = {
        "before": datetime.fromisoformat("2026-03-29T01:59:59+01:00"),
        "after": datetime.fromisoformat("2026-03-29T03:00:00+02:00"),
        "april_in_berlin": datetime.fromisoformat("2026-04-01T01:59:59+02:00"),
        "april": datetime.fromisoformat("2026-04-01T02:00:00+02:00"),
        "march_in_new_york": datetime.fromisoformat("2026-03-31T20:00:00-04:00"),
    }
    await charge(world, *(usage(name, (10**6, 0, 0), occurred_at=at) for name, at in moments.items()))
    await close_all(world)
    async with world.system("worker") as ctx:
        (line,) = await lines_of(world, (await only(world)).id)
        _, behind = await service.open_line(ctx, line.id)
    assert {each.usage_event_id for each in behind} == {"before", "after", "april_in_berlin"}
    assert [str(each.day) for each in sorted(behind, key=lambda each: str(each.day))][-1] == "2026-03-31"


async def test_a_price_that_is_withdrawn_stays_on_what_it_rated(world: LowerWorld) -> None:
    operator = await world.subject("operator", {"price:create": [""]})
    await charge(world, usage("a", (10**6, 0, 0)))
    world.clock = lambda: NOON + timedelta(hours=1)
    async with world.acting(operator) as ctx:
        await pricing.withdraw_price(ctx, pricing.PriceKey("input_tokens", "*", "USD"))
    await charge(world, usage("b", (10**6, 0, 0), occurred_at=NOON + timedelta(hours=2)))
    world.clock = lambda: APRIL
    await close_all(world)
    (line,) = await lines_of(world, (await only(world)).id)
    assert (line.unit_price, line.quantity, line.amount_nano) == (Decimal("0.0000001"), 10**6, 10 * CENT)
    (waits,) = await world.query("select usage_event_id from platform_pricing.unrated_line")
    assert waits["usage_event_id"] == "b"
    await check_invoices(world)
