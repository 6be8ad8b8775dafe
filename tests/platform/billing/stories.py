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
from uuid import UUID

import asyncpg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ironworks.platform import billing, invoices, ledger, metering, pricing, registry, subscriptions
from ironworks.platform.billing.controller import charge_waiting_usage
from ironworks.platform.invoices import closes, closing, service
from ironworks.platform.invoices.controller import ACTOR, open_due_closes
from ironworks.platform.invoices.declarations import DECLARATIONS as INVOICES
from ironworks.platform.ledger.controller import expire_credit, watch_credit
from ironworks.platform.metering.model import MAX_APART
from ironworks.platform.policy.declarations import DECLARATIONS as POLICY
from ironworks.platform.subscriptions.controller import end_unpaid_subscriptions, roll_subscriptions
from ironworks.platform.subscriptions.declarations import DECLARATIONS as SUBSCRIPTIONS
from ironworks.shared.context import Context
from ironworks.shared.errors import IronworksError
from tests.support.dying import live
from tests.support.invoicing import CENT, DOLLAR, close_all, everything, invoice_world
from tests.support.lower import LowerWorld
from tests.support.money import _DECLARED as MONEY
from tests.support.money import contents, usage
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

    def invoice(self, pick: int) -> UUID | None:
        found = self.run(self.world.query("select id from platform_invoices.invoice order by created_at, id"))
        return found[pick % len(found)]["id"] if found else None

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

    @rule()
    def charges_what_waited(self) -> None:
        self.run(self.schedules(charge_waiting_usage, charge_waiting_usage))

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

    @rule(account=accounts, plan=st.sampled_from(["starter", "growth"]), trial=st.booleans())
    def subscribes(self, account: str, plan: str, trial: bool) -> None:
        self.tell(lambda ctx: subscriptions.start_subscription(ctx, account, plan, trial=trial), as_operator=True)

    @rule(
        account=accounts,
        plan=st.sampled_from(["starter", "growth", "scale"]),
        when=st.sampled_from([None, *subscriptions.When]),
    )
    def changes_its_plan(self, account: str, plan: str, when: subscriptions.When | None) -> None:
        self.tell(lambda ctx: subscriptions.change_subscription(ctx, account, plan, when), as_operator=True)

    @rule(account=accounts, when=st.sampled_from(subscriptions.When))
    def cancels(self, account: str, when: subscriptions.When) -> None:
        self.tell(lambda ctx: subscriptions.cancel_subscription(ctx, account, when), as_operator=True)

    @rule(account=accounts)
    def resumes(self, account: str) -> None:
        self.tell(lambda ctx: subscriptions.resume_subscription(ctx, account), as_operator=True)

    @rule()
    def rolls(self) -> None:
        self.run(self.schedules(roll_subscriptions, end_unpaid_subscriptions))


class CreditRules(Story):
    """Prepaid credit, given, expired and watched; and snapshots, taken at any moment."""

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

    @rule()
    def credit_expires(self) -> None:
        self.run(self.schedules(expire_credit, watch_credit))

    @rule()
    def balances_are_kept(self) -> None:
        self.tell(ledger.take_snapshots)


class InvoiceRules(Story):
    """Closes and what becomes of invoices, by whoever has a say in it."""

    @rule()
    def closes(self) -> None:
        self.run(close_all(self.world))

    @rule()
    def closes_at_once(self) -> None:
        async def both() -> None:
            await asyncio.gather(close_all(self.world), close_all(self.world))

        self.run(both())

    @rule(statements=st.integers(1, 80))
    def closes_and_dies(self, statements: int) -> None:
        self.run(live(self.world, close_in_order, statements))

    @rule(account=accounts, days=st.integers(0, 12))
    def closes_by_hand(self, account: str, days: int) -> None:
        until = self.now.date() - timedelta(days=days)
        self.tell(lambda ctx: service.close_account(ctx, account, until))

    @rule(account=accounts, rates=st.lists(st.sampled_from(["0.19", "0.005", "0"]), max_size=2), review=st.booleans())
    def is_taxed(self, account: str, rates: list[str], review: bool) -> None:
        taxes = tuple(invoices.Tax(name=f"T{rate}", rate=Decimal(rate)) for rate in rates)
        details = invoices.BillingDetails(taxes=taxes, review=review)
        self.tell(lambda ctx: invoices.set_details(ctx, account, details))

    @rule(pick=picks)
    def finalizes(self, pick: int) -> None:
        if invoice := self.invoice(pick):
            self.tell(lambda ctx: invoices.finalize_invoice(ctx, invoice))

    @rule(pick=picks, nano=coins, whole=st.booleans(), name=st.integers(0, 9).map("p{}".format))
    def pays(self, pick: int, nano: int, whole: bool, name: str) -> None:
        invoice = self.invoice(pick)
        if invoice is None:
            return
        (row,) = self.run(self.world.query("select total_nano from platform_invoices.invoice where id = $1", invoice))
        amount = row["total_nano"] if whole else nano
        self.tell_once(("payment", name), lambda ctx: invoices.record_payment(ctx, invoice, amount, "bank", name))

    @rule(pick=picks, nano=coins, name=st.integers(0, 9).map("b{}".format))
    def refunds(self, pick: int, nano: int, name: str) -> None:
        if invoice := self.invoice(pick):
            self.tell_once(("refund", name), lambda ctx: invoices.record_refund(ctx, invoice, nano, "bank", name))

    @rule(pick=picks, nano=coins, refund=st.booleans(), name=st.integers(0, 3).map("n{}".format))
    def credits(self, pick: int, nano: int, refund: bool, name: str) -> None:
        invoice = self.invoice(pick)
        if invoice is None:
            return

        async def note(ctx: Context) -> None:
            await invoices.issue_credit_note(ctx, invoice, nano, "test", name, refund=refund)

        self.tell_once(("note", str(invoice), name), note)

    @rule(pick=picks)
    def voids(self, pick: int) -> None:
        if invoice := self.invoice(pick):
            self.tell_once(("void", str(invoice)), lambda ctx: invoices.void_invoice(ctx, invoice, "test"))

    @rule(pick=picks)
    def writes_off(self, pick: int) -> None:
        if invoice := self.invoice(pick):
            self.tell(lambda ctx: invoices.write_off(ctx, invoice, "test"))

    @rule()
    def everything_is_done_again(self) -> None:
        before = self.run(everything(self.world)), self.run(contents(self.world))
        for act in self.done.values():
            self.tell(act)
        self.run(self._charge_again())
        assert (self.run(everything(self.world)), self.run(contents(self.world))) == before

    async def _charge_again(self) -> None:
        async with self.world.system("gateway") as ctx:
            await billing.charge_usage(ctx, self.handed_in)


async def close_in_order(db: Any) -> None:
    """What the schedules do, one transaction after the other: a dead process has no other tasks that go on."""
    await open_due_closes(db)
    while True:
        async with db.transaction(ACTOR) as ctx:
            found = await closes.list_unfinished(ctx, (), 100)
        if not found:
            return
        async with db.transaction(ACTOR) as ctx:
            await closing.advance_closes(ctx, found)
