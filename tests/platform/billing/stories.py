"""What can happen to money, as rules that hypothesis puts together in any order: a story of years in one database.

Each rule does what a person or a worker does, through the domains' own doors, and takes a refusal for an answer: what
must hold all the same is for the machine that mixes them to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import asyncpg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ironworks.platform import billing, ledger, metering, pricing, registry, subscriptions
from ironworks.platform.billing.controller import charge_waiting_usage
from ironworks.platform.invoices.declarations import DECLARATIONS as INVOICES
from ironworks.platform.ledger.controller import expire_credit, snapshot_balances, watch_credit
from ironworks.platform.metering.model import MAX_APART
from ironworks.platform.policy.declarations import DECLARATIONS as POLICY
from ironworks.platform.subscriptions.controller import end_unpaid_subscriptions, roll_subscriptions
from ironworks.platform.subscriptions.declarations import DECLARATIONS as SUBSCRIPTIONS
from ironworks.shared.context import Context
from ironworks.shared.errors import IronworksError
from tests.support.invoicing import CENT, DOLLAR, invoice_world
from tests.support.lower import LowerWorld
from tests.support.money import _DECLARED as MONEY
from tests.support.money import charge, contents, usage
from tests.support.postgres import Server

T = TypeVar("T")
DAWN = datetime(2023, 12, 30, 9, tzinfo=UTC)
DUSK = datetime(2025, 6, 1, tzinfo=UTC)
"""Stories end before our own clock, by which transfers are posted."""
ACCOUNTS = ("acme", "acme-eu", "rival")
SCOPES = ("acme", "acme.shop.eu", "acme.shop.us", "acme-eu.shop", "rival.app", "")
MODELS = ("small", "big")
METERS = (metering.INPUT_TOKENS, metering.CACHED_INPUT_TOKENS, metering.OUTPUT_TOKENS, metering.IMAGES)
_RIGHTS = ("price:create", "billing:read", "usage:read", "invoice:read", "subscription:read", "subscription:update")

quantities = st.one_of(
    st.integers(0, 5), st.integers(1, 90).map(lambda n: n * 10**6 + n), st.sampled_from([-1, 10**12, 10**12 + 1])
)
occurrences = st.builds(
    lambda n, amounts, scope, model, days: (
        f"r{n}", dict(zip((*METERS, "bananas"), amounts, strict=False)), scope, model, timedelta(days=days),
    ),
    st.integers(0, 40),
    st.tuples(*[quantities] * 3, st.sampled_from([0, 0, 1])) | st.tuples(*[quantities] * 5),
    st.sampled_from(SCOPES),
    st.sampled_from(MODELS),
    st.sampled_from([0, 0, 0, -1, -7, -33, -70, 1, 3]),
)  # fmt: skip
batches = st.lists(occurrences, min_size=1, max_size=8)
Batch = list[tuple[str, dict[str, int], str, str, timedelta]]
WORK = (
    charge_waiting_usage, roll_subscriptions, end_unpaid_subscriptions, expire_credit, watch_credit, snapshot_balances,
)  # fmt: skip
accounts = st.sampled_from(ACCOUNTS)
coins = st.one_of(st.integers(1, 99), st.integers(1, 10**5)).map(lambda n: n * CENT)
picks = st.integers(0, 10**6)


class Story(RuleBasedStateMachine):
    """One database, its clock, and what was done by a name that makes it happen once."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.database = self.server.create_database()
        self.now = DAWN
        self.handed_in: list[metering.UsageEvent] = []
        self.done: dict[tuple[str, ...], Callable[[Context], Awaitable[Any]]] = {}

    def run(self, action: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(action)

    @initialize()
    def open(self) -> None:
        self.run(self._open())

    async def _open(self) -> None:
        self.world: LowerWorld = await self.stack.enter_async_context(invoice_world(self.database))
        self.world.clock = lambda: self.now
        eye = await asyncpg.connect(self.database.admin)
        self.stack.push_async_callback(eye.close)
        self.world.query = eye.fetch  # type: ignore[method-assign,assignment]  # one connection: it looks after every step
        await self.world.admin(
            "insert into platform_tenancy.node_path (path, uid, kind, external_id, phase) values"
            " ('acme-eu', gen_random_uuid(), 'Account', null, 'active'),"
            " ('acme-eu.shop', gen_random_uuid(), 'Platform', 'acmeeushop', 'active')"
        )
        async with self.world.system("worker") as ctx:
            declared = {
                **MONEY,
                "platform.invoices": INVOICES,
                "platform.policy": POLICY,
                "platform.subscriptions": SUBSCRIPTIONS,
            }
            await registry.sync_registry(ctx, declared.items())
            await subscriptions.seed_plans(ctx)
        self.operator = await self.world.subject("operator", {right: [""] for right in _RIGHTS})
        async with self.world.acting(self.operator) as ctx:
            for meter in METERS[:3]:
                await pricing.create_price(ctx, pricing.PriceKey(meter, "*", "EUR"), Decimal("0.0000002"), DAWN)
            await pricing.set_currency(ctx, "rival", "EUR", DAWN)
        for n, scope in enumerate(SCOPES):  # so that every story has something to invoice
            await charge(self.world, usage(f"first{n}", (7 * 10**6 + n, 0, 3), scope=scope, occurred_at=DAWN))

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()
        self.server.drop_database(self.database)

    def tell(self, act: Callable[[Context], Awaitable[Any]], *, as_operator: bool = False) -> bool:
        """Do something in one transaction; whether it was not refused."""

        async def acting() -> None:
            whom = self.world.acting(self.operator) if as_operator else self.world.system("worker")
            async with whom as ctx:
                await act(ctx)

        try:
            self.run(acting())
        except IronworksError:
            return False
        return True

    def tell_once(self, name: tuple[str, ...], act: Callable[[Context], Awaitable[Any]]) -> None:
        """Do something that has a name of its own, and remember it if it was done, to do it again later."""
        if self.tell(act):
            self.done.setdefault(name, act)

    async def schedules(self, *every: Callable[[Any], Awaitable[None]]) -> None:
        worker = await self.world.database("worker")
        await asyncio.gather(*(one(worker) for one in every))

    @rule(hours=st.sampled_from([1, 23, 24, 24 * 6, 24 * 15, 24 * 28, 24 * 31, 24 * 45]))
    def time_passes(self, hours: int) -> None:
        if self.now < DUSK:
            self.now += timedelta(hours=hours)


class UsageRules(Story):
    """Usage: of every kind, twice, at once, given up half-way, without a price, and taken back."""

    def events(self, batch: Batch) -> list[metering.UsageEvent]:
        return [
            usage(name, scope=scope, model=model, quantities=amounts, occurred_at=self.now + apart)
            for name, amounts, scope, model, apart in batch
        ]

    async def charge(self, batch: list[metering.UsageEvent], *, commit: bool = True) -> None:
        async with self.world.system("gateway") as ctx:
            await billing.charge_usage(ctx, batch)
            if not commit:
                await ctx.db.execute("rollback; begin")

    @rule(batch=batches)
    def charges(self, batch: Batch) -> None:
        events = self.events(batch)
        self.run(self.charge(events))
        self.remember(events)

    def remember(self, events: list[metering.UsageEvent]) -> None:
        """To hand it in again; not what is too far ahead, which counts once its time has come."""
        self.handed_in += [event for event in events if event.occurred_at <= self.now + MAX_APART]

    @rule(batch=batches)
    def charges_and_dies(self, batch: Batch) -> None:
        before = self.run(contents(self.world))
        self.run(self.charge(self.events(batch), commit=False))
        assert self.run(contents(self.world)) == before

    @rule(batch=batches, others=batches)
    def charges_at_once(self, batch: Batch, others: Batch) -> None:
        one, two = self.events(batch), self.events(others)

        async def both() -> None:
            await asyncio.gather(self.charge(one + two), self.charge(two + one))

        self.run(both())
        self.remember(one + two)

    @rule(pick=picks)
    def takes_a_charge_back(self, pick: int) -> None:
        found = self.run(
            self.world.query("select id from platform_ledger.transfer where kind in ('usage', 'fee') order by id")
        )
        if found:
            self.tell(lambda ctx: ledger.reverse_transfer(ctx, found[pick % len(found)]["id"], "test"))


class PriceRules(Story):
    """The operator's book: prices, withdrawals, terms and currencies."""

    @rule(
        meter=st.sampled_from([*METERS, "bananas"]),
        model=st.sampled_from([*MODELS, "*"]),
        currency=st.sampled_from(["USD", "EUR"]),
        price=st.one_of(st.none(), st.decimals(0, Decimal("0.00001"), places=18)),
        scope=st.sampled_from(["", "acme", "acme.shop.eu"]),
        hours=st.sampled_from([-10_000, -24, 0, 24, 240]),
    )
    def prices(self, meter: str, model: str, currency: str, price: Decimal | None, scope: str, hours: int) -> None:
        rated = "select * from platform_pricing.rated_line order by usage_event_id, meter"
        before = self.run(self.world.query(rated))
        key, since = pricing.PriceKey(meter, model, currency, scope), self.now + timedelta(hours=hours)

        async def set_price(ctx: Context) -> None:
            await (pricing.withdraw_price(ctx, key, since) if price is None else create(ctx, price))

        async def create(ctx: Context, unit_price: Decimal) -> None:
            await pricing.create_price(ctx, key, unit_price, since)

        self.tell(set_price, as_operator=True)
        assert self.run(self.world.query(rated)) == before

    @rule(
        meter=st.sampled_from(METERS[:3]),
        model=st.sampled_from(["small", "*"]),
        currency=st.sampled_from(["USD", "USD", "EUR"]),
        scope=st.sampled_from(["", "acme", "acme.shop.eu"]),
        terms=st.builds(
            pricing.PriceTerms,
            included=st.sampled_from([0, 5, 10**7]),
            discount=st.sampled_from([Decimal(0), Decimal("12.5"), Decimal(100)]),
            minimum=st.sampled_from([Decimal(0), Decimal("0.333333333"), Decimal(20)]),
            tiers=st.sampled_from([(), (pricing.Tier(10**7, Decimal("0.0000003")), pricing.Tier(None, Decimal(0)))]),
        ),
        days=st.integers(0, 20),
    )
    def terms(
        self, meter: str, model: str, currency: str, scope: str, terms: pricing.PriceTerms, days: int
    ) -> None:  # fmt: skip
        key, since = pricing.PriceKey(meter, model, currency, scope), self.now.date() + timedelta(days=days)
        self.tell(lambda ctx: pricing.create_terms(ctx, key, terms, since), as_operator=True)

    @rule(account=accounts, currency=st.sampled_from(["USD", "EUR"]))
    def changes_its_currency(self, account: str, currency: str) -> None:
        self.tell(lambda ctx: pricing.set_currency(ctx, account, currency), as_operator=True)


class PlanRules(Story):
    """Subscriptions: begun, changed, ended, and brought to today by a worker."""

    @rule(
        what=st.sampled_from(["start", "start", "try", "change", "change", "cancel", "resume"]),
        account=accounts,
        plan=st.sampled_from(["starter", "growth", "scale"]),
        when=st.sampled_from([None, *subscriptions.When]),
    )
    def changes_its_plan(self, what: str, account: str, plan: str, when: subscriptions.When | None) -> None:
        async def change(ctx: Context) -> None:
            match what:
                case "start" | "try":
                    await subscriptions.start_subscription(ctx, account, plan, trial=what == "try")
                case "change":
                    await subscriptions.change_subscription(ctx, account, plan, when)
                case "cancel":
                    await subscriptions.cancel_subscription(ctx, account, when or subscriptions.When.NOW)
                case "resume":
                    await subscriptions.resume_subscription(ctx, account)

        self.tell(change, as_operator=True)


class CreditRules(Story):
    """Prepaid credit, and what workers do at any moment."""

    @rule(
        account=accounts,
        currency=st.sampled_from(["USD", "USD", "EUR"]),
        nano=st.one_of(coins, st.integers(1, 3 * DOLLAR)),
        source=st.sampled_from(ledger.CreditSource),
        name=st.integers(0, 9).map("g{}".format),
        days=st.one_of(st.none(), st.sampled_from([1, 20, 70])),
    )
    def grants(
        self, account: str, currency: str, nano: int, source: ledger.CreditSource, name: str, days: int | None
    ) -> None:
        expires = None if days is None else self.now + timedelta(days=days)

        async def give(ctx: Context) -> None:
            await ledger.grant_credit(ctx, account, currency, nano, source, name, expires_at=expires)

        self.tell_once(("grant", account, name), give)

    @rule(works=st.lists(st.sampled_from(WORK), min_size=1, max_size=3))
    def a_worker_is_awake(self, works: list[Callable[[Any], Awaitable[None]]]) -> None:
        """At once where it is the same twice."""
        self.run(self.schedules(*works))
