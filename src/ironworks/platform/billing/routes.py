"""Balances, and the chain behind every amount, in both directions."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform import ledger, metering, pricing
from ironworks.platform.billing import service
from ironworks.platform.billing.model import Explanation
from ironworks.shared.context import Context
from ironworks.shared.errors import invalid
from ironworks.shared.http import Router
from ironworks.shared.listing import MAX_PAGE, PageQuery, decode_cursor, encode_cursor
from ironworks.shared.path import show_path
from ironworks.shared.shapes import Shape

router = Router("platform.billing")


class Money(pricing.ExactAmount):
    """An exact amount, twice: whole nano-units for programs, a decimal for people."""


class ExplainedUsage(Shape):
    occurred_at: datetime
    recorded_at: datetime
    scope: str
    model: str
    route: str
    endpoint: str | None
    key_uid: UUID | None
    quantities: dict[str, int]
    counted: bool
    client_request_id: str | None
    priced_at: datetime = Field(description="The moment whose prices count.")
    user: str | None = Field(description="The end user that the caller named.")
    metadata: dict[str, str] = Field(description="The caller's own words.")
    cached_answer: bool = Field(description="An earlier answer was given again.")

    @classmethod
    def of(cls, usage: metering.RecordedUsage) -> ExplainedUsage:
        event = usage.event
        return cls.show(
            event,
            recorded_at=usage.recorded_at,
            scope=show_path(event.scope),
            endpoint=f"{show_path(event.endpoint_scope)}/{event.endpoint_name}" if event.endpoint_name else None,
            quantities=dict(event.quantities),
            priced_at=event.priced_at or event.occurred_at,
            metadata=dict(event.metadata),
        )


class RatedLineView(Shape):
    request_id: str
    meter: str
    quantity: int
    unit_price: str = Field(description="Exact decimal, for one unit of the meter.")
    price_id: UUID = Field(description="The price version that made the line.")
    cost: Money
    transfer_id: UUID | None = Field(description="Null for a line that cost nothing.")

    @classmethod
    def of(cls, line: pricing.RatedLine) -> RatedLineView:
        return cls.show(
            line,
            request_id=line.usage_event_id,
            unit_price=format(line.unit_price, "f"),
            cost=Money.of(line.currency, line.amount_nano),
        )


class UnratedLineView(BaseModel):
    meter: str
    quantity: int
    reason: pricing.UnratedReason


class LedgerAccountView(BaseModel):
    scope: str
    purpose: ledger.Purpose


class TransferView(Shape):
    id: UUID
    debit: LedgerAccountView
    credit: LedgerAccountView
    moved: Money
    kind: ledger.TransferKind
    correlation: str = Field(description="The batch or request that posted it.")
    corrects: UUID | None
    day: date = Field(description="The day, in UTC, that it belongs to.")
    posted_at: datetime

    @classmethod
    def of(cls, transfer: ledger.Transfer) -> TransferView:
        return cls.show(
            transfer,
            debit=LedgerAccountView(scope=show_path(transfer.debit.scope), purpose=transfer.debit.purpose),
            credit=LedgerAccountView(scope=show_path(transfer.credit.scope), purpose=transfer.credit.purpose),
            moved=Money.of(transfer.debit.currency, transfer.amount_nano),
        )


class ExplanationView(BaseModel):
    request_id: str
    usage: ExplainedUsage
    lines: list[RatedLineView]
    unrated: list[UnratedLineView] = Field(description="Quantities that wait: for a price, or for a person.")
    transfers: list[TransferView] = Field(description="A transfer may also hold lines of other requests of its batch.")
    total: list[Money]

    @classmethod
    def of(cls, explained: Explanation) -> ExplanationView:
        return cls(
            request_id=explained.usage.event.id,
            usage=ExplainedUsage.of(explained.usage),
            lines=[RatedLineView.of(line) for line in explained.lines],
            unrated=[
                UnratedLineView(meter=u.measured.meter, quantity=u.measured.quantity, reason=u.reason)
                for u in explained.unrated
            ],
            transfers=[TransferView.of(transfer) for transfer in explained.transfers],
            total=[Money.of(currency, nano) for currency, nano in explained.total_nano.items()],
        )


class CostsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ids: str = Field(min_length=1, max_length=65_536, description="Request ids, by commas; at most 500.")

    def requests(self) -> list[str]:
        """Raises Invalid for more than are told at once."""
        found = list(dict.fromkeys(filter(None, self.ids.split(","))))
        if len(found) > MAX_PAGE:
            raise invalid("ids", f"names {len(found)} requests", f"ask for at most {MAX_PAGE} at once")
        return found


class RequestCostView(BaseModel):
    request_id: str
    total: list[Money]


class RequestCostList(BaseModel):
    items: list[RequestCostView] = Field(description="Of those whose costs the caller may see, if any.")


class TransferLinesPage(BaseModel):
    transfer: TransferView
    corrected_by: UUID | None = Field(description="The transfer that takes it back.")
    lines: list[RatedLineView]
    next_cursor: str | None


class BalanceView(BaseModel):
    scope: str
    owed: list[Money] = Field(description="By the scope and all below it: both of the following; negative is credit.")
    unbilled: list[Money] = Field(description="What of it is on no invoice yet.")
    due: list[Money] = Field(description="What of it is on invoices that are not paid; accounts have it.")


@router.get("/api/v1/billing/requests", permission="billing:read")
async def list_request_costs(ctx: Context, query: CostsQuery) -> RequestCostList:
    """Show what each of some requests cost."""
    costs = await pricing.list_costs(ctx, query.requests())
    return RequestCostList(
        items=[
            RequestCostView(request_id=each, total=[Money.of(currency, nano) for currency, nano in total.items()])
            for each, total in costs.items()
        ]
    )


@router.get("/api/v1/billing/requests/{request_id}", permission="billing:read")
async def explain_request(ctx: Context, request_id: str) -> ExplanationView:
    """Explain what a request cost: usage event → rated lines → transfers."""
    return ExplanationView.of(await service.explain_request(ctx, request_id))


@router.get("/api/v1/billing/transfers/{transfer_id}", permission="billing:read")
async def explain_transfer(ctx: Context, transfer_id: str, query: PageQuery) -> TransferLinesPage:
    """Show a transfer with the rated lines, and so the requests, that it moved."""
    after = decode_cursor(query.cursor) if query.cursor else ("", "")
    transfer, found = await service.explain_transfer(ctx, service.parse_id(transfer_id), after, query.limit + 1)
    page = found[: query.limit]
    correction = await ledger.find_correction(ctx, transfer.id)
    return TransferLinesPage(
        transfer=TransferView.of(transfer),
        corrected_by=correction.id if correction else None,
        lines=[RatedLineView.of(line) for line in page],
        next_cursor=encode_cursor(page[-1].usage_event_id, page[-1].meter) if len(found) > query.limit else None,
    )


@router.get("/api/v1/scopes/{path}/balance", permission="billing:read")
async def get_balance(ctx: Context, path: str) -> BalanceView:
    """Show what a scope and all below it owe."""
    balance = await service.get_scope_balance(ctx, path)
    owed, unbilled, due = (
        [Money.of(currency, part.get(currency, 0)) for currency in balance.owed_nano]
        for part in (balance.owed_nano, balance.unbilled_nano, balance.due_nano)
    )
    return BalanceView(scope=show_path(balance.scope), owed=owed, unbilled=unbilled, due=due)
