"""Whatever is charged, priced, closed, paid, repeated, interrupted or taken back in any order, the books stay true."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from tests.platform.billing.invoice_stories import InvoiceRules
from tests.platform.billing.stories import DUSK, CreditRules, PlanRules, PriceRules, UsageRules
from tests.support.books import check_all_money
from tests.support.invoicing import close_all, everything
from tests.support.money import charge, contents
from tests.support.postgres import Server

_QUIET = timedelta(days=70)
"""After it every period is over in which anything was used so far."""


class Books(UsageRules, PriceRules, PlanRules, CreditRules, InvoiceRules):
    """Everything at once."""

    @rule()
    def everything_is_done_again(self) -> None:
        before = self.run(everything(self.world)), self.run(contents(self.world))
        for act in self.done.values():
            self.tell(act)
        self.run(charge(self.world, *self.handed_in))
        assert (self.run(everything(self.world)), self.run(contents(self.world))) == before

    @precondition(lambda self: self.now < DUSK)
    @rule()
    def all_is_closed(self) -> None:
        """Nothing that was used is forgotten: when every close is through, an invoice has it or will have it."""
        self.now += _QUIET
        before, after = None, self.run(everything(self.world))
        for _ in range(60):
            self.run(close_all(self.world))
            before, after = after, self.run(everything(self.world))
            if before == after:
                break
        assert before == after
        assert not self.run(
            self.world.query(
                """
                select t.path, t.day, t.kind, t.amount_nano from platform_ledger.transfer t
                join platform_ledger.ledger_account d on d.id = t.debit_account
                join platform_ledger.ledger_account c on c.id = t.credit_account
                where (d.purpose, c.purpose) in (('receivable', 'revenue'), ('revenue', 'receivable'))
                  and t.path <> '' and t.day < date_trunc('month', $1::timestamptz at time zone 'utc')::date - 31
                  and not exists (select from platform_invoices.claim k where k.transfer_id = t.id)
                """,
                self.now,
            )
        )

    @invariant()
    def the_books_are_true(self) -> None:
        if hasattr(self, "operator"):
            self.run(check_all_money(self.world, self.operator))


def keep_books(server: Server, examples: int, steps: int, *, derandomize: bool = False) -> None:
    """Let hypothesis try `examples` stories of at most so many steps, each on a database of its own."""
    machine = type("BooksHere", (Books,), {"server": server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=derandomize,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_books_are_true_after_anything(postgres: Server) -> None:
    keep_books(postgres, 3, 20, derandomize=True)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_books_are_true_after_many_stories(postgres: Server) -> None:
    keep_books(postgres, 300, 50)
