"""A world whose account has an invoice to pay and a customer at Stripe's stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ironworks.app.domains import collect
from ironworks.platform import invoices, payments, registry
from ironworks.platform.payments import collecting, reconciling, service, store
from ironworks.platform.payments.declarations import DECLARATIONS
from ironworks.shared.changelog import LOG_COLUMNS, LoggedEvent, logged
from ironworks.shared.context import Actor
from ironworks.shared.http import Call
from tests.platform.payments.stripe_server import FakeStripe
from tests.support.invoicing import close_all, invoice_world, only
from tests.support.lower import LowerWorld
from tests.support.money import charge, usage
from tests.support.postgres import TestDatabase

ACCOUNT = "acme"
DOLLARS_5 = 5 * 10**9
"""What the invoice comes to."""
PAYS = ("payment:read", "payment:create", "payment-method:read", "payment-method:create", "payment-method:delete")
OPERATES = ("receipt:create", "refund:create", "reconciliation:read", "invoice:read", "billing:read")


class PayingWorld:
    """`world` and the parts of payments, driven by hand: nothing happens unless a test says so."""

    def __init__(self, world: LowerWorld, stripe: FakeStripe, provider: payments.PaymentProvider) -> None:
        self.world = world
        self.stripe = stripe
        self.provider = provider
        self.consumers = collect(("platform.payments",)).consumers
        self._position = 0
        self.operator = self.customer = Actor(None, "anonymous", "nobody")

    async def begin(self) -> None:
        async with self.world.system("worker") as ctx:
            await registry.sync_registry(ctx, [("platform.payments", DECLARATIONS)])
        self.operator = await self.world.subject("operator", {p: [""] for p in (*PAYS, *OPERATES)})
        self.customer = await self.world.subject("customer", {p: [ACCOUNT] for p in (*PAYS, "invoice:read")})
        self.move_to(datetime.now(UTC))
        await self.consume()

    def move_to(self, moment: datetime) -> None:
        self.world.clock = lambda: moment

    def wait(self, **time: float) -> None:
        self.move_to(self.world.clock() + timedelta(**time))

    async def call(self, actor: Actor | None = None) -> Call:
        actor = actor or self.customer
        return Call(await self.world.database("api"), actor, f"req_{self.world.clock():%H%M%S%f}")

    async def invoice(self) -> invoices.Invoice:
        return await only(self.world)

    async def card(self, outcome: str = "succeeds") -> str:
        """The customer leaves a card by Checkout, and we hear of it."""
        page = await service.open_checkout(
            await self.call(), self.provider, ACCOUNT, "USD", "https://iron.example/ok", "https://iron.example/no"
        )
        card = self.stripe.complete_checkout(page.url.rpartition("/")[2], outcome)
        await self.deliver()
        return card

    async def forget_customer(self) -> None:
        """Somebody deletes the customer, if there is one, in Stripe's dashboard, and we hear of it."""
        for known in await self.world.query("select reference from platform_payments.customer"):
            self.stripe.delete_customer(known["reference"])
        await self.deliver()
        self.wait(minutes=1)

    async def deliver(self, *events: dict[str, Any]) -> None:
        """Stripe tells: everything that it has not told yet, or these events."""
        for event in events or self.stripe.events:
            body, signature = self.stripe.signed(event)
            await service.receive_notice(await self.call(), self.provider, body, signature)
        if not events:
            self.stripe.events = []
        while await reconciling.take_notices(await self.world.database("worker"), self.provider):
            pass

    async def pay(self) -> payments.Payment:
        """The customer asks for the invoice to be charged."""
        async with self.world.acting(self.customer) as ctx:
            return await service.pay_invoice(ctx, (await self.invoice()).id)

    async def work(self) -> None:
        """What the worker does: money that is due moves, and invoices hear of it."""
        db = await self.world.database("worker")
        await collecting.pay_due(db, self.provider)
        await collecting.refund_due(db, self.provider)
        await self.consume()

    async def consume(self) -> list[str]:
        """Hand each logged event to its consumers, each once; returns the types."""
        await self.world.admin("select shared.sequence_changes(10000)")
        rows = await self.world.query(
            f"select {LOG_COLUMNS} from shared.change_log where position > $1 order by position", self._position
        )
        entries = [entry for entry in map(logged, rows) if isinstance(entry, LoggedEvent)]
        for entry in entries:
            self._position = entry.position
            for consumer in self.consumers:
                if entry.event_type in consumer.patterns:
                    async with self.world.system("worker") as ctx:
                        await consumer.handler(ctx, entry)
        return [entry.event_type for entry in entries]

    async def get(self, payment_id: UUID) -> payments.Payment:
        async with self.world.system("worker") as ctx:
            return await service.get_payment(ctx, payment_id)

    async def only_payment(self) -> payments.Payment:
        (found,) = await self.all_payments()
        return found

    async def all_payments(self) -> list[payments.Payment]:
        async with self.world.system("worker") as ctx:
            return await store.list_payments(ctx, None, None, None, 100)

    async def balance(self, purpose: str) -> int:
        """Debits minus credits of all ledger accounts of a purpose."""
        (row,) = await self.world.query(
            """
            with side as (
              select debit_account as account, amount_nano as nano from platform_ledger.transfer
              union all select credit_account, -amount_nano from platform_ledger.transfer)
            select coalesce(sum(nano), 0)::bigint as nano
            from side join platform_ledger.ledger_account a on a.id = side.account where a.purpose = $1
            """,
            purpose,
        )
        return int(row["nano"])


@asynccontextmanager
async def paying_world(
    place: TestDatabase, stripe: FakeStripe, provider: payments.PaymentProvider
) -> AsyncIterator[PayingWorld]:
    """One finalized invoice of 5.00 USD."""
    async with invoice_world(place) as world:
        await charge(world, usage("req_1", (50 * 10**6, 0, 0)))
        await close_all(world)
        made = PayingWorld(world, stripe, provider)
        await made.begin()
        assert (await made.invoice()).open_nano == DOLLARS_5
        yield made
