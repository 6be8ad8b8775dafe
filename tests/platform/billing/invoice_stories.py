"""What can happen to invoices, as rules for hypothesis: closes in every manner, and what people do with the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from ironworks.platform import invoices
from ironworks.platform.billing.controller import charge_waiting_usage
from ironworks.platform.invoices import closes, closing, service
from ironworks.platform.invoices.controller import ACTOR, open_due_closes
from ironworks.shared.context import Context
from tests.platform.billing.stories import DUSK, Story, accounts, picks
from tests.support.dying import live
from tests.support.invoicing import CENT, close_all

STATES = {
    "finalizes": ["draft"],
    "pays": ["finalized", "uncollectible", "paid"],
    "refunds": ["paid", "finalized", "uncollectible"],
    "credits": ["finalized", "paid"],
    "gives_back": ["paid", "finalized"],
    "voids": ["draft", "finalized"],
    "writes_off": ["finalized"],
}
"""On which invoices people try what, where there are any."""
acts = st.lists(
    st.tuples(
        st.sampled_from(["finalizes", "pays", "pays", "refunds", "credits", "gives_back", "voids", "writes_off"]),
        picks,
        st.sampled_from(["all", "half", "a coin", "more"]),
        st.integers(0, 40).map("n{}".format),
    ),
    min_size=2,
    max_size=8,
)


class InvoiceRules(Story):
    """Closes and what becomes of invoices, by whoever has a say in it."""

    def invoice(self, pick: int, states: Sequence[str]) -> asyncpg.Record | None:
        """One of the invoices in these states, or of all where none is."""
        found = self.run(
            self.world.query(
                "select *, total_nano - credit_nano - paid_nano - noted_nano as open_nano"
                " from platform_invoices.invoice order by created_at, id"
            )
        )
        fits = [row for row in found if row["state"] in states] or found
        return fits[pick % len(fits)] if fits else None

    @precondition(lambda self: self.now < DUSK)
    @rule(days=st.integers(1, 12), acts=acts)
    def a_month_ends(self, days: int, acts: list[tuple[str, int, str, str]]) -> None:
        self.now = (self.now.replace(day=1) + timedelta(days=32)).replace(day=days)
        self.run(self.schedules(charge_waiting_usage))
        self.run(close_all(self.world))
        self.people_deal_with_invoices(acts)

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

    @rule(acts=acts)
    def invoices_are_dealt_with(self, acts: list[tuple[str, int, str, str]]) -> None:
        self.people_deal_with_invoices(acts)

    def people_deal_with_invoices(self, acts: list[tuple[str, int, str, str]]) -> None:
        for what, pick, part, name in acts:
            if row := self.invoice(pick, STATES[what]):
                getattr(self, what)(row, part, name)

    def finalizes(self, row: asyncpg.Record, part: str, name: str) -> None:
        self.tell(lambda ctx: invoices.finalize_invoice(ctx, row["id"]))

    def pays(self, row: asyncpg.Record, part: str, name: str) -> None:
        nano = part_of(row["open_nano"], part)
        self.tell_once(("payment", name), lambda ctx: invoices.record_payment(ctx, row["id"], nano, "bank", name))

    def refunds(self, row: asyncpg.Record, part: str, name: str) -> None:
        nano = part_of(row["paid_nano"], part)
        self.tell_once(("refund", name), lambda ctx: invoices.record_refund(ctx, row["id"], nano, "back", name))

    def credits(self, row: asyncpg.Record, part: str, name: str, *, refund: bool = False) -> None:
        nano = part_of(row["total_nano"], part)

        async def note(ctx: Context) -> None:
            await invoices.issue_credit_note(ctx, row["id"], nano, "test", name, refund=refund)

        self.tell_once(("note", str(row["id"]), name), note)

    def gives_back(self, row: asyncpg.Record, part: str, name: str) -> None:
        self.credits(row, part, name, refund=True)

    def voids(self, row: asyncpg.Record, part: str, name: str) -> None:
        self.tell_once(("void", str(row["id"])), lambda ctx: invoices.void_invoice(ctx, row["id"], "test"))

    def writes_off(self, row: asyncpg.Record, part: str, name: str) -> None:
        self.tell(lambda ctx: invoices.write_off(ctx, row["id"], "test"))


def part_of(nano: int, part: str) -> int:
    """So much of an amount, in whole cents and no less than one."""
    whole = {"all": nano, "half": nano // 2, "a coin": CENT, "more": nano + 250 * CENT}[part]
    return max(whole - whole % CENT, CENT)


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
