"""What a customer may try with his own subscription, and what one account's trouble does to the others: nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest

from ironworks.platform import policy, subscriptions
from ironworks.platform.subscriptions import controller, service
from ironworks.platform.subscriptions.model import (
    MAX_CHANGES,
    AlreadySubscribed,
    NoSubscription,
    PaymentOverdue,
    PlanTooSmall,
    TooManyChanges,
)
from ironworks.shared.context import Context
from tests.platform.subscriptions.conftest import Subscribers

NOW = subscriptions.When.NOW


async def resume(world: Subscribers) -> subscriptions.Subscription:
    async with world.lower.acting(world.payer) as ctx:
        return await subscriptions.resume_subscription(ctx, "acme")


async def note(world: Subscribers, invoice: UUID, *, paid: bool = False) -> None:
    async with world.lower.system("worker") as ctx:
        await (service.note_settled if paid else service.note_unpaid)(ctx, "acme", invoice)


async def fees(world: Subscribers) -> int:
    (row,) = await world.lower.query(
        "select coalesce(sum(amount_nano), 0)::bigint as n from platform_subscriptions.charge"
    )
    return int(row["n"])


async def test_who_did_not_pay_in_time_cannot_resume_day_after_day(world: Subscribers) -> None:
    await world.start(trial=False)
    invoice = uuid4()
    await note(world, invoice)
    assert (await resume(world)).status is subscriptions.Status.PAST_DUE
    world.at += timedelta(days=14)
    await controller.end_unpaid_subscriptions(await world.lower.database("worker"))
    with pytest.raises(PaymentOverdue) as refused:
        await resume(world)
    assert refused.value.details["invoices"] == [str(invoice)]
    await note(world, invoice, paid=True)
    resumed = await resume(world)
    assert (resumed.status, resumed.ends_on) == (subscriptions.Status.ACTIVE, None)


async def test_a_new_subscription_does_not_wash_away_what_the_last_one_owes(world: Subscribers) -> None:
    await world.start(trial=False)
    invoice = uuid4()
    await note(world, invoice)
    async with world.lower.acting(world.payer) as ctx:
        await subscriptions.cancel_subscription(ctx, "acme", NOW)
    world.at += timedelta(days=2)
    for _ in range(2):
        with pytest.raises(PaymentOverdue):
            await world.start()
    await note(world, uuid4(), paid=True)
    with pytest.raises(PaymentOverdue):
        await world.start()
    await note(world, invoice, paid=True)
    again = await world.start()
    assert (again.status, again.trial_end) == (subscriptions.Status.ACTIVE, None), "and no second trial"


async def test_a_large_plan_for_an_hour_leaves_nothing_behind_for_free(
    world: Subscribers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one day the last change counts, so what the large plan let him make has to go before."""
    await world.start(trial=False)
    before = await fees(world)
    await world.change("scale")
    there = {"platforms": 4, "tenants": 2}

    async def list_quotas(ctx: Context, account: str) -> list[policy.EffectiveQuota]:
        return [policy.EffectiveQuota(q, account, None, used, "scale", False, None, None) for q, used in there.items()]

    monkeypatch.setattr(policy, "list_quotas", list_quotas)
    with pytest.raises(PlanTooSmall) as refused:
        await world.change("starter", when=NOW)
    assert refused.value.details == {"quota": "platforms", "limit": 1, "used": 4}
    with pytest.raises(PlanTooSmall):
        async with world.lower.acting(world.payer) as ctx:
            await subscriptions.preview_plan_change(ctx, "acme", "starter", NOW)
    kept = await world.change("starter")
    assert kept.next_plan_id is not None
    there["platforms"] = 1
    await world.change("starter", when=NOW)
    assert await fees(world) == before


async def test_a_plan_is_not_changed_without_end_on_one_day(world: Subscribers) -> None:
    await world.start(trial=False)
    for n in range(MAX_CHANGES):
        await world.change(("growth", "starter")[n % 2], when=NOW)
    with pytest.raises(TooManyChanges):
        await world.change("growth", when=NOW)
    (charges,) = await world.lower.query("select count(*) as n from platform_subscriptions.charge")
    assert charges["n"] <= 2 * MAX_CHANGES + 1
    world.at += timedelta(days=1)
    await world.change("scale", when=NOW)


async def test_a_trial_comes_once_however_it_is_asked_for(world: Subscribers) -> None:
    made = await world.start()
    assert made.trial_end == date(2026, 4, 15)
    with pytest.raises(AlreadySubscribed):
        await world.start("growth")
    changed = await world.change("growth", when=NOW)
    assert changed.trial_end == made.trial_end
    world.at += timedelta(days=3)
    paid = await world.change("scale", when=NOW)
    assert (paid.trial_end, paid.status) == (date(2026, 4, 4), subscriptions.Status.ACTIVE)
    closed = await world.close_all()
    assert [(period.end, [each.amount_nano for each in found]) for period, found in closed] == [
        (date(2026, 4, 1), []),
        (date(2026, 4, 4), [799 * 10**9]),
    ]
    async with world.lower.acting(world.payer) as ctx:
        await subscriptions.cancel_subscription(ctx, "acme", NOW)
    world.at += timedelta(days=1)
    again = await world.start("growth")
    assert (again.trial_end, again.status) == (None, subscriptions.Status.ACTIVE)


async def test_one_subscription_that_fails_keeps_no_other_from_its_turn(
    world: Subscribers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.start(trial=False)
    async with world.lower.acting(world.operator) as ctx:
        theirs = await subscriptions.start_subscription(ctx, "rival", "starter", trial=False)
    for name, turn in (
        ("roll_one", controller.roll_subscriptions),
        ("end_unpaid", controller.end_unpaid_subscriptions),
        ("suggest_upgrade", controller.suggest_upgrades),
    ):
        turns = Turns(getattr(service, name), theirs.id)
        monkeypatch.setattr(service, name, turns)
        await note(world, uuid4())
        async with world.lower.system("worker") as ctx:
            await service.note_unpaid(ctx, "rival", uuid4())
        world.at += timedelta(days=31)
        await turn(await world.lower.database("worker"))
        assert turns.done, name


class Turns:
    """A step that works for one subscription alone."""

    def __init__(self, real: Callable[[Context, UUID], Awaitable[None]], whole: UUID) -> None:
        self.real = real
        self.whole = whole
        self.done = False

    async def __call__(self, ctx: Context, subscription_id: UUID) -> None:
        if subscription_id != self.whole:
            raise RuntimeError("an account's books are broken")
        await self.real(ctx, subscription_id)
        self.done = True


async def test_who_is_gone_is_charged_no_further_fee(world: Subscribers) -> None:
    """An account that was deleted: its subscription ends with the period that is paid for."""
    await world.start(trial=False)
    before = await fees(world)
    await world.lower.admin(
        "update platform_tenancy.node_path set phase = 'deleted', closed_at = now() where path = 'acme'"
    )
    world.on(date(2026, 8, 1))
    await controller.roll_subscriptions(await world.lower.database("worker"))
    assert await fees(world) == before
    async with world.lower.acting(world.operator) as ctx:
        found = (await subscriptions.get_standing(ctx, "acme")).subscription
        assert (found.status, found.ends_on) == (subscriptions.Status.CANCELED, date(2026, 5, 1))
        with pytest.raises(NoSubscription):
            await subscriptions.change_subscription(ctx, "acme", "growth")
