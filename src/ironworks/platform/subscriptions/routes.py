"""Plans and an account's subscription over HTTP."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform import pricing
from ironworks.platform.subscriptions import service
from ironworks.platform.subscriptions.model import (
    MAX_TRIAL_DAYS,
    Charge,
    ChargeKind,
    MeterUse,
    Plan,
    Preview,
    Standing,
    Status,
    Subscription,
    Suggestion,
    When,
)
from ironworks.platform.subscriptions.plans import MAX_FEE_NANO, MAX_LIMIT, MAX_QUANTITY, NewPlan
from ironworks.shared.context import Context
from ironworks.shared.http import AUTHENTICATED, Router
from ironworks.shared.listing import DEFAULT_PAGE, MAX_PAGE, bad_cursor, decode_cursor, encode_cursor, read_moment

router = Router("platform.subscriptions")

PlanName = Annotated[str, Field(min_length=1, max_length=63)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PageQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=1024)


class Amount(BaseModel):
    """An exact amount, twice: whole nano-units for programs, a decimal for people."""

    currency: str
    nano: int = Field(description="Whole nano-units (10⁻⁹) of the currency.")
    amount: str

    @classmethod
    def of(cls, currency: str, nano: int) -> Amount:
        return cls(currency=currency, nano=nano, amount=pricing.show_nano(nano))


# --- plans -------------------------------------------------------------------------------------------------------


class PlansQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    every_version: bool = Field(False, description="Also those that later ones took the place of.")


class NewPlanBody(Body):
    name: PlanName
    title: str = Field(min_length=1, max_length=80)
    currency: Currency = pricing.CURRENCY
    base_fee: Decimal = Field(
        ge=0, le=MAX_FEE_NANO // 10**9, decimal_places=9, description="For a whole period, in advance."
    )
    limits: dict[str, Annotated[int, Field(ge=0, le=MAX_LIMIT)] | None] = Field(
        default_factory=dict, description="The most platforms, tenants and features; null or absent is unlimited."
    )
    included: dict[str, Annotated[int, Field(gt=0, le=MAX_QUANTITY)]] = Field(
        default_factory=dict, description="Meter → units that a period's fee pays for."
    )
    overage: dict[str, Decimal] = Field(
        default_factory=dict, description="Meter → exact price of a unit beyond; else the price book's counts."
    )
    trial_days: int = Field(0, ge=0, le=MAX_TRIAL_DAYS)


class PlanView(BaseModel):
    id: UUID
    name: str
    version: int
    title: str
    base_fee: Amount
    limits: dict[str, int | None]
    included: dict[str, int]
    overage: dict[str, str]
    trial_days: int

    @classmethod
    def of(cls, plan: Plan) -> PlanView:
        return cls(
            id=plan.id,
            name=plan.name,
            version=plan.version,
            title=plan.title,
            base_fee=Amount.of(plan.currency, plan.base_fee_nano),
            limits=dict(plan.limits),
            included=dict(plan.included),
            overage={meter: format(price, "f") for meter, price in plan.overage.items()},
            trial_days=plan.trial_days,
        )


class PlanList(BaseModel):
    items: list[PlanView]


@router.get("/api/v1/plans", permission=AUTHENTICATED)
async def list_plans(ctx: Context, query: PlansQuery) -> PlanList:
    """List the plans that one can subscribe to."""
    return PlanList(items=[PlanView.of(each) for each in await service.list_plans(ctx, latest=not query.every_version)])


@router.post("/api/v1/plans", permission="plan:create", status=201)
async def create_plan(ctx: Context, body: NewPlanBody) -> PlanView:
    """Add a version of a plan; who is on an older one stays on it."""
    plan = NewPlan(
        body.title,
        int(body.base_fee.scaleb(9)),
        body.currency,
        body.limits,
        body.included,
        body.overage,
        body.trial_days,
    )
    return PlanView.of(await service.create_plan(ctx, body.name, plan))


# --- a subscription ----------------------------------------------------------------------------------------------


class SubscriptionView(BaseModel):
    id: UUID
    account: str
    plan_id: UUID = Field(description="The version of the plan that is in force.")
    next_plan_id: UUID | None = Field(description="What takes its place at the period's end.")
    status: Status
    currency: str
    started_on: date
    trial_end: date | None = Field(description="The day of the first fee.")
    period_start: date
    period_end: date = Field(description="The first day of the next period.")
    ends_on: date | None = Field(description="The first day on which it is no more; null while no end is known.")
    grace_until: datetime | None = Field(description="It is past due, and ends after this unless it is paid.")

    @classmethod
    def of(cls, found: Subscription) -> SubscriptionView:
        return cls(
            id=found.id,
            account=found.account,
            plan_id=found.plan_id,
            next_plan_id=found.next_plan_id,
            status=found.status,
            currency=found.currency,
            started_on=found.started_on,
            trial_end=found.trial_end,
            period_start=found.period_start,
            period_end=found.period_end,
            ends_on=found.ends_on,
            grace_until=found.grace_until if found.is_live else None,
        )


class MeterUseView(BaseModel):
    meter: str
    used: int
    included: int
    remaining: int

    @classmethod
    def of(cls, use: MeterUse) -> MeterUseView:
        return cls(meter=use.meter, used=use.used, included=use.included, remaining=use.remaining)


class StandingView(SubscriptionView):
    plan: PlanView
    next_plan: PlanView | None
    usage: list[MeterUseView] = Field(description="Of what the present period includes.")

    @classmethod
    def standing(cls, standing: Standing) -> StandingView:
        return cls(
            **SubscriptionView.of(standing.subscription).model_dump(),
            plan=PlanView.of(standing.plan),
            next_plan=PlanView.of(standing.next_plan) if standing.next_plan else None,
            usage=[MeterUseView.of(use) for use in standing.usage],
        )


class StartBody(Body):
    plan: PlanName
    currency: Currency = pricing.CURRENCY
    trial: bool = Field(True, description="Begin with the plan's trial, if this is the account's first subscription.")


class PreviewBody(Body):
    plan: PlanName
    when: When | None = Field(None, description="Default: a dearer plan at once, any other at the period's end.")


class ChangeBody(PreviewBody):
    expected_nano: int | None = Field(
        None, ge=-MAX_FEE_NANO, le=MAX_FEE_NANO, description="What the preview said is due; refused if it is not."
    )


class CancelBody(Body):
    when: When = When.PERIOD_END
    reason: str = Field("", max_length=500)


class ChargeView(BaseModel):
    kind: ChargeKind
    description: str
    quantity: int
    unit: str
    cost: Amount
    reference: str

    @classmethod
    def of(cls, currency: str, charge: Charge) -> ChargeView:
        return cls(
            kind=charge.kind,
            description=charge.description,
            quantity=charge.quantity,
            unit=charge.unit,
            cost=Amount.of(currency, charge.amount_nano),
            reference=charge.reference,
        )


class PreviewView(BaseModel):
    plan: PlanView
    when: When
    effective: date
    charges: list[ChargeView] = Field(description="Prorations, on the next invoice.")
    due: Amount = Field(description="Their sum; negative is taken off.")
    next_fee: Amount
    next_fee_on: date

    @classmethod
    def of(cls, preview: Preview) -> PreviewView:
        currency = preview.plan.currency
        return cls(
            plan=PlanView.of(preview.plan),
            when=preview.when,
            effective=preview.effective,
            charges=[ChargeView.of(currency, charge) for charge in preview.charges],
            due=Amount.of(currency, preview.due_nano),
            next_fee=Amount.of(currency, preview.next_fee_nano),
            next_fee_on=preview.period_end,
        )


@router.get("/api/v1/scopes/{path}/subscription", permission="subscription:read")
async def get_subscription(ctx: Context, path: str) -> StandingView:
    """Show an account's subscription, its plan, and what is used of what that includes."""
    return StandingView.standing(await service.get_standing(ctx, path))


@router.post("/api/v1/scopes/{path}/subscription", permission="subscription:update", status=201)
async def start_subscription(ctx: Context, path: str, body: StartBody) -> SubscriptionView:
    """Subscribe an account to a plan."""
    made = await service.start_subscription(ctx, path, body.plan, trial=body.trial, currency=body.currency)
    return SubscriptionView.of(made)


@router.post("/api/v1/scopes/{path}/subscription:preview", permission="subscription:read")
async def preview_change(ctx: Context, path: str, body: PreviewBody) -> PreviewView:
    """Show what changing the plan would cost today; changes nothing."""
    return PreviewView.of(await service.preview_plan_change(ctx, path, body.plan, body.when))


@router.post("/api/v1/scopes/{path}/subscription:change", permission="subscription:update")
async def change_subscription(ctx: Context, path: str, body: ChangeBody) -> SubscriptionView:
    """Change an account's plan: a dearer one at once and prorated, any other at the period's end."""
    changed = await service.change_subscription(ctx, path, body.plan, body.when, body.expected_nano)
    return SubscriptionView.of(changed)


@router.post("/api/v1/scopes/{path}/subscription:cancel", permission="subscription:update")
async def cancel_subscription(ctx: Context, path: str, body: CancelBody) -> SubscriptionView:
    """End an account's subscription with its period, or with today."""
    return SubscriptionView.of(await service.cancel_subscription(ctx, path, body.when, body.reason))


@router.post("/api/v1/scopes/{path}/subscription:resume", permission="subscription:update")
async def resume_subscription(ctx: Context, path: str) -> SubscriptionView:
    """Take a cancellation back before it takes effect."""
    return SubscriptionView.of(await service.resume_subscription(ctx, path))


# --- lists -------------------------------------------------------------------------------------------------------


class SubscriptionsQuery(PageQuery):
    status: Status | None = None


class SubscriptionPage(BaseModel):
    items: list[SubscriptionView]
    next_cursor: str | None


class ListedCharge(ChargeView):
    due_on: date
    billed_on: date | None = Field(description="The end of the period whose close took it; null while none did.")


class ChargePage(BaseModel):
    items: list[ListedCharge]
    next_cursor: str | None


class SuggestionView(BaseModel):
    subscription_id: UUID
    period_start: date
    meter: str
    percent: int = Field(description="Of what is included, at least so much was used.")
    used: int
    included: int
    plan: str = Field(description="The cheapest that includes more.")
    suggested_at: datetime

    @classmethod
    def of(cls, found: Suggestion) -> SuggestionView:
        assert found.suggested_at is not None, "it was kept"
        return cls(
            subscription_id=found.subscription_id,
            period_start=found.period_start,
            meter=found.meter,
            percent=found.percent,
            used=found.used,
            included=found.included,
            plan=found.plan,
            suggested_at=found.suggested_at,
        )


class SuggestionPage(BaseModel):
    items: list[SuggestionView]
    next_cursor: str | None


@router.get("/api/v1/subscriptions", permission=AUTHENTICATED)
async def list_subscriptions(ctx: Context, query: SubscriptionsQuery) -> SubscriptionPage:
    """List the subscriptions that the caller may see, by account."""
    after = decode_cursor(query.cursor) if query.cursor else ("", "")
    found = await service.list_subscriptions(ctx, query.status, after, query.limit + 1)
    page = found[: query.limit]
    more = encode_cursor(page[-1].account, str(page[-1].id)) if len(found) > query.limit else None
    return SubscriptionPage(items=[SubscriptionView.of(each) for each in page], next_cursor=more)


@router.get("/api/v1/scopes/{path}/subscription/charges", permission="subscription:read")
async def list_charges(ctx: Context, path: str, query: PageQuery) -> ChargePage:
    """List what an account's subscriptions charged, newest first."""
    day, reference = decode_cursor(query.cursor) if query.cursor else ("9999-12-31", "")
    found = await service.list_charges(ctx, path, (_day(day), reference), query.limit + 1)
    page = found[: query.limit]
    items = [
        ListedCharge(
            **ChargeView.of(each.currency, each.charge).model_dump(), due_on=each.due_on, billed_on=each.billed_on
        )
        for each in page
    ]
    more = encode_cursor(page[-1].due_on.isoformat(), page[-1].charge.reference) if len(found) > query.limit else None
    return ChargePage(items=items, next_cursor=more)


@router.get("/api/v1/scopes/{path}/subscription/suggestions", permission="subscription:read")
async def list_suggestions(ctx: Context, path: str, query: PageQuery) -> SuggestionPage:
    """List the larger plans that were suggested to an account, newest first."""
    at, tag = decode_cursor(query.cursor) if query.cursor else ("9999-12-31T00:00:00+00:00", "")
    found = await service.list_suggestions(ctx, path, (read_moment(at), tag), query.limit + 1)
    items = [SuggestionView.of(each) for each in found[: query.limit]]
    last = items[-1] if len(found) > query.limit else None
    more = encode_cursor(last.suggested_at.isoformat(), f"{last.meter}:{last.percent}") if last else None
    return SuggestionPage(items=items, next_cursor=more)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise bad_cursor() from None
