"""Plans and an account's subscription over HTTP."""

from __future__ import annotations

from datetime import date

from ironworks.platform.subscriptions import offering, service
from ironworks.platform.subscriptions.shapes import (
    CancelBody,
    ChangeBody,
    ChargePage,
    ChargeView,
    ListedCharge,
    NewPlanBody,
    PlanList,
    PlansQuery,
    PlanView,
    PreviewBody,
    PreviewView,
    StandingView,
    StartBody,
    SubscriptionPage,
    SubscriptionsQuery,
    SubscriptionView,
    SuggestionPage,
    SuggestionView,
    WithdrawBody,
)
from ironworks.shared.context import Context
from ironworks.shared.http import AUTHENTICATED, Router
from ironworks.shared.listing import PageQuery, bad_cursor, decode_cursor, encode_cursor, read_moment

router = Router("platform.subscriptions")

# --- plans -------------------------------------------------------------------------------------------------------


@router.get("/api/v1/plans", permission=AUTHENTICATED)
async def list_plans(ctx: Context, query: PlansQuery) -> PlanList:
    """List the plans that one can subscribe to."""
    return PlanList(
        items=[PlanView.of(each) for each in await offering.list_plans(ctx, latest=not query.every_version)]
    )


@router.post("/api/v1/plans", permission="plan:create", status=201)
async def create_plan(ctx: Context, body: NewPlanBody) -> PlanView:
    """Add a version of a plan; who is on an older one stays on it."""
    return PlanView.of(await offering.create_plan(ctx, body.name, body.plan()))


@router.post("/api/v1/plans/{name}:withdraw", permission="plan:create")
async def withdraw_plan(ctx: Context, name: str, body: WithdrawBody) -> PlanView:
    """Offer a plan no more; who is on it stays on it, and a later version offers it again."""
    return PlanView.of(await offering.withdraw_plan(ctx, name, body.currency))


# --- a subscription ----------------------------------------------------------------------------------------------


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


@router.get("/api/v1/subscriptions", permission=AUTHENTICATED)
async def list_subscriptions(ctx: Context, query: SubscriptionsQuery) -> SubscriptionPage:
    """List the subscriptions that the caller may see, by account."""
    after = decode_cursor(query.cursor) if query.cursor else ("", "")
    found = await service.list_subscriptions(ctx, query.status, after, query.limit + 1, query.plan)
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
