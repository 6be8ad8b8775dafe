"""The chain from a request to the ledger, and a scope's balance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ironworks.platform import ledger, metering, pricing

UsageInput: TypeAlias = metering.UsageEvent
"""What whoever serves requests hands in: the usage event itself."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that one request cost, down to the ledger.

    `transfers` are those of its lines that the caller may see; `total_nano` is per currency.
    """

    usage: metering.RecordedUsage
    lines: Sequence[pricing.RatedLine]
    unrated: Sequence[pricing.UnratedLine]
    transfers: Sequence[ledger.Transfer]

    @property
    def total_nano(self) -> dict[str, int]:
        totals: dict[str, int] = defaultdict(int)
        for line in self.lines:
            totals[line.currency] += line.amount_nano
        return dict(totals)


@dataclass(frozen=True, slots=True)
class ScopeBalance:
    """What a scope and all below it owe, per currency, in nano-units; negative is credit.

    Args:
        unbilled_nano: used, and on no invoice yet. due_nano: on invoices that are not paid; accounts have it, and who
            sees one tenant alone does not see it.
    """

    scope: str
    unbilled_nano: dict[str, int]
    due_nano: dict[str, int]

    @property
    def owed_nano(self) -> dict[str, int]:
        """Both together."""
        currencies = {**self.unbilled_nano, **self.due_nano}
        return {each: self.unbilled_nano.get(each, 0) + self.due_nano.get(each, 0) for each in sorted(currencies)}


class Charged(NamedTuple):
    """What one usage event, recorded by this call, cost.

    Args:
        event: the very one that was handed in.
        cost_nano: in nano-units of `currency`, its account's; the sum of its rated lines.
        waiting: some quantity of it has no amount yet, and will be charged when it has a price.
    """

    event: UsageInput
    cost_nano: int
    currency: str = pricing.CURRENCY
    waiting: bool = False

    @property
    def event_id(self) -> str:
        return self.event.id


def charges_of(events: Sequence[UsageInput], rating: pricing.Rating) -> list[Charged]:
    """The cost of each event, in their order."""
    costs: dict[str, int] = {}
    currencies: dict[str, str] = {}
    for rated in rating.events:
        costs[rated.usage_event_id] = costs.get(rated.usage_event_id, 0) + sum(rated.amounts_nano)
        if rated.currency != pricing.CURRENCY:
            currencies[rated.usage_event_id] = rated.currency
    waiting = {line.measured.usage_event_id for line in rating.unrated}
    return [
        Charged(event, costs.get(event.id, 0), currencies.get(event.id, pricing.CURRENCY), event.id in waiting)
        for event in events
    ]


def transfers_for(rating: pricing.Rating, correlation: str) -> dict[pricing.TransferOf, ledger.NewTransfer]:
    """One transfer per scope, currency and day that owes something: from the tenant's receivable to the operator's
    revenue.
    """
    totals: dict[pricing.TransferOf, int] = defaultdict(int)
    for _, _, _, amounts, currency, scope, day, _ in rating.events:
        totals[scope, currency, day] += sum(amounts)
    return {
        (scope, currency, day): ledger.NewTransfer(
            debit=ledger.AccountName(scope, ledger.Purpose.RECEIVABLE, currency),
            credit=ledger.AccountName("", ledger.Purpose.REVENUE, currency),
            amount_nano=total,
            kind=ledger.TransferKind.USAGE,
            correlation=correlation,
            day=day,
        )
        for (scope, currency, day), total in totals.items()
        if total
    }
