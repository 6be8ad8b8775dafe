"""What plans and subscriptions look like over HTTP."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform import pricing
from ironworks.platform.subscriptions.model import (
    MAX_TRIAL_DAYS,
    Charge,
    ChargeKind,
    Plan,
    Preview,
    Standing,
    Status,
    Subscription,
    Suggestion,
    When,
)
from ironworks.platform.subscriptions.plans import MAX_FEE_NANO, MAX_LIMIT, MAX_QUANTITY, NewPlan
from ironworks.shared.listing import PageQuery
from ironworks.shared.shapes import Shape

PlanName = Annotated[str, Field(min_length=1, max_length=63)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Amount(pricing.ExactAmount):
    """An exact amount, twice: whole nano-units for programs, a decimal for people."""


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

    def plan(self) -> NewPlan:
        return NewPlan(
            self.title,
            int(self.base_fee.scaleb(9)),
            self.currency,
            self.limits,
            self.included,
            self.overage,
            self.trial_days,
        )


class WithdrawBody(Body):
    currency: Currency = pricing.CURRENCY


class PlanView(Shape):
    id: UUID
    name: str
    version: int
    title: str
    base_fee: Amount
    limits: dict[str, int | None]
    included: dict[str, int]
    overage: dict[str, str]
    trial_days: int
    withdrawn: bool = Field(description="With this version the plan is offered no more.")
    created_at: datetime

    @classmethod
    def of(cls, plan: Plan) -> PlanView:
        assert plan.created_at is not None, "it was kept"
        return cls.show(
            plan,
            base_fee=Amount.of(plan.currency, plan.base_fee_nano),
            limits=dict(plan.limits),
            included=dict(plan.included),
            overage={meter: format(price, "f") for meter, price in plan.overage.items()},
        )


class PlanList(BaseModel):
    items: list[PlanView]


class SubscriptionView(Shape):
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
        return cls.show(found, grace_until=found.grace_until if found.is_live else None)


class MeterUseView(Shape):
    meter: str
    used: int
    included: int
    remaining: int


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
            usage=[MeterUseView.show(use) for use in standing.usage],
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


class ChargeView(Shape):
    kind: ChargeKind
    description: str
    quantity: int
    unit: str
    cost: Amount
    reference: str

    @classmethod
    def of(cls, currency: str, charge: Charge) -> ChargeView:
        return cls.show(charge, cost=Amount.of(currency, charge.amount_nano))


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


class SubscriptionsQuery(PageQuery):
    status: Status | None = None
    plan: PlanName | None = Field(None, description="Only those on this plan, in any of its versions.")


class SubscriptionPage(BaseModel):
    items: list[SubscriptionView]
    next_cursor: str | None


class ListedCharge(ChargeView):
    due_on: date
    billed_on: date | None = Field(description="The end of the period whose close took it; null while none did.")


class ChargePage(BaseModel):
    items: list[ListedCharge]
    next_cursor: str | None


class SuggestionView(Shape):
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
        return cls.show(found)


class SuggestionPage(BaseModel):
    items: list[SuggestionView]
    next_cursor: str | None
