"""The close of periods: charge what they add, claim what was used, finalize.

A close is a row that says what comes next; each step is one transaction, so that whatever dies in between goes on where
it was, and nothing happens twice. Closes are taken a hundred at a time, each statement for all of them: what is written
here of one is done of many, and of each account at most one at a time. Locks are taken in one order everywhere: closes,
subscriptions, claims, invoices, numbers, credit, and of each by account or id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Final
from uuid import UUID

from ironworks.platform import ledger, pricing, subscriptions
from ironworks.platform.invoices import adjusted, closes, store
from ironworks.platform.invoices.adjusted import PostedTerms
from ironworks.platform.invoices.finalizing import finalize_drafts
from ironworks.platform.invoices.model import Close, CloseState, LineKind, NewCharge, Smallest, any_amount, month_of
from ironworks.shared.context import Context
from ironworks.shared.path import OPERATOR

PAGE: Final = 10_000
"""Transfers that one step claims, of all its closes together: it keeps the transaction short."""
CLOSE_DELAY: Final = timedelta(hours=1)
"""A period is closed so long after its end: usage is still on its way."""
_LINE_OF: Final = {
    ledger.TransferKind.USAGE: LineKind.USAGE,
    ledger.TransferKind.FEE: LineKind.FEE,
    ledger.TransferKind.ADJUSTMENT: LineKind.ADJUSTMENT,
}
_TRANSFER_OF: Final = {
    LineKind.FEE: ledger.TransferKind.FEE,
    LineKind.ADJUSTMENT: ledger.TransferKind.ADJUSTMENT,
}


def next_month(last_end: date | None, today: date) -> tuple[date, date] | None:
    """The calendar period to close next, [start, end): from where the last close ended to the end of that month.

    None while it is not over. Without a close before, it is the month before the one that holds `today`.
    """
    start, end = month_of(today)
    if last_end is None:
        return start, end
    its_end = (last_end.replace(day=28) + timedelta(days=4)).replace(day=1)
    return (last_end, its_end) if its_end <= end else None


def settled_day(now: datetime) -> date:
    """The latest day before which periods are closed at `now`."""
    return (now - CLOSE_DELAY).astimezone(UTC).date()


async def open_months(ctx: Context, accounts: Sequence[str]) -> int:
    """Open the next calendar close of each of these accounts where one is due; returns how many.

    The periods of an account with a subscription are that one's.
    """
    today = settled_day(ctx.now())
    last = await closes.last_closes(ctx, accounts)
    subscribed = await subscriptions.list_subscribed(ctx, accounts)
    due = []
    for account in accounts:
        end, done = last.get(account, (None, True))
        days = next_month(end, today) if done else None
        if days and account not in subscribed:
            due.append((pricing.Period(account, *days, pricing.CURRENCY), None))
    return len(await closes.open_closes(ctx, due)) if due else 0


async def open_subscribed(ctx: Context, limit: int) -> None:
    """Open the closes of subscriptions whose periods are over, each when those before it are done."""
    due = await subscriptions.due_periods(ctx, ctx.now() - CLOSE_DELAY, limit)
    last = await closes.last_closes(ctx, [period.account for period in due])
    ready = [
        (pricing.Period(p.account, p.start, p.end, p.currency), p.subscription_id)
        for p in due
        if last.get(p.account, (None, True))[1]
    ]
    if ready:
        await closes.open_closes(ctx, ready)


async def advance_closes(
    ctx: Context, close_ids: Collection[UUID], smallest: Smallest = any_amount
) -> dict[UUID, CloseState]:
    """Take closes one step further, each of an account of its own; returns what each does next.

    `smallest` says which invoices are too small to be sent. One that is absent is done, or another worker holds it.
    """
    locked = await closes.lock_closes(ctx, close_ids)
    if not locked:
        return {}
    steps: Mapping[CloseState, Callable[[Context, Sequence[Close]], Awaitable[list[Close]]]] = {
        CloseState.CHARGING: _charge,
        CloseState.COLLECTING: _collect,
        CloseState.FINALIZING: partial(_finish, smallest=smallest),
    }
    moved = [after for state, step in steps.items() for after in await step(ctx, _of(locked, state))]
    await closes.move_closes(ctx, moved)
    return {close.id: close.state for close in moved}


def _of(locked: Iterable[Close], state: CloseState) -> list[Close]:
    return [close for close in locked if close.state is state]


# --- what a period adds to its usage, or takes from it ---------------------------------------------------------------


async def _charge(ctx: Context, charging: Sequence[Close]) -> list[Close]:
    """Post what the periods add to their usage, or take from it."""
    if charging:
        charges = [*await _plan_charges(ctx, charging), *await _adjustments(ctx, charging)]
        await _post_charges(ctx, charges)
    return [replace(close, state=CloseState.COLLECTING) for close in charging]


def _periods(found: Iterable[Close]) -> list[subscriptions.DuePeriod]:
    """What subscriptions call those of these closes that are theirs."""
    return [
        subscriptions.DuePeriod(c.subscription_id, c.account, c.currency, c.start, c.end)
        for c in found
        if c.subscription_id is not None
    ]


async def _plan_charges(ctx: Context, charging: Sequence[Close]) -> list[tuple[date, NewCharge]]:
    periods = _periods(charging)
    found = await subscriptions.period_charges(ctx, periods) if periods else []
    return [
        (_last_day(period.end), _plan_charge(charge, period.currency))
        for period, charges in zip(periods, found, strict=True)
        for charge in charges
    ]


def _plan_charge(charge: subscriptions.Charge, currency: str) -> NewCharge:
    included = charge.kind is subscriptions.ChargeKind.INCLUDED
    return NewCharge(
        charge.scope,
        LineKind.ADJUSTMENT if included else LineKind.FEE,
        charge.reference,
        charge.description,
        charge.amount_nano,
        currency,
        Decimal(charge.quantity),
        charge.unit,
    )


async def _adjustments(ctx: Context, charging: Sequence[Close]) -> list[tuple[date, NewCharge]]:
    """What terms add or take off, in every currency that the account used something in, and in its own: on the days
    that no earlier close adjusted, since one by hand may lie in a subscription's period."""
    until = await adjusted.lock_adjusted(ctx, charging)
    start_of = {close.account: max(close.start, until.get(close.id, date.min)) for close in charging}
    await adjusted.note_adjusted(ctx, {close.id: start_of[close.account] for close in charging})
    close_of = {close.account: close for close in charging}
    own = await pricing.find_currencies(ctx, {a: datetime.combine(day, time(), UTC) for a, day in start_of.items()})
    currencies = await ledger.list_currencies(ctx, close_of) | set(own.items())
    periods = [
        pricing.Period(account, start_of[account], close_of[account].end, currency)
        for account, currency in sorted(currencies)
    ]
    return [
        (_last_day(period.end), _adjusting(step, period.currency, close_of[period.account].id, position))
        for period, steps in zip(periods, await pricing.adjust_periods(ctx, periods), strict=True)
        for position, step in enumerate(steps)
        if step.amount_nano
    ] + await _late_adjustments(ctx, charging, currencies)


async def _late_adjustments(
    ctx: Context, charging: Sequence[Close], currencies: Collection[tuple[str, str]]
) -> list[tuple[date, NewCharge]]:
    """What terms ask of days that earlier closes worked out, now that more was used on them, less what they posted."""
    earlier = await adjusted.list_adjusted(ctx, charging, subscriptions.LATE)
    by_id = {close.id: close for close in charging}
    wanted = [
        (close_id, pricing.Period(by_id[by].account, start, end, currency))
        for close_id, (by, start, end) in earlier.items()
        for account, currency in sorted(currencies)
        if account == by_id[by].account
    ]
    found = await pricing.adjust_periods(ctx, [period for _, period in wanted])
    due = [
        PostedTerms(close_id, s.terms_id, s.scope, s.meter, s.model, period.currency, s.amount_nano)
        for (close_id, period), steps in zip(wanted, found, strict=True)
        for s in steps
    ]
    posted = await adjusted.sum_adjusted(ctx, {close.account for close in charging}, earlier) if earlier else []
    rests: dict[PostedTerms, int] = defaultdict(int)
    for each in (*due, *(each._replace(amount_nano=-each.amount_nano) for each in posted)):
        rests[each._replace(amount_nano=0)] += each.amount_nano
    return [_late(of._replace(amount_nano=nano), by_id[earlier[of.close_id][0]], earlier) for of, nano in rests.items()]


def _late(rest: PostedTerms, close: Close, earlier: Mapping[UUID, tuple[UUID, date, date]]) -> tuple[date, NewCharge]:
    _, start, end = earlier[rest.close_id]
    charge = NewCharge(
        rest.scope,
        LineKind.ADJUSTMENT,
        f"terms:{rest.terms_id}:{rest.close_id}:late:{close.id}",
        f"{rest.meter.replace('_', ' ')} that came late, {start} to {_last_day(end)}",
        rest.amount_nano,
        rest.currency,
        meter=rest.meter,
        model=rest.model,
    )
    return _last_day(close.end), charge


def _adjusting(step: pricing.Adjustment, currency: str, close_id: UUID, position: int) -> NewCharge:
    return NewCharge(
        step.scope,
        LineKind.ADJUSTMENT,
        f"terms:{step.terms_id}:{close_id}:{position}",
        step.description,
        step.amount_nano,
        currency,
        meter=step.meter,
        model=step.model,
    )


def _last_day(end: date) -> date:
    return end - timedelta(days=1)


async def charge(ctx: Context, day: date, charges: Sequence[NewCharge]) -> int:
    """Post fees and adjustments, each once per account by its reference; returns how many were new.

    They wait for the next close of a period that holds `day`.
    """
    return await _post_charges(ctx, [(day, each) for each in charges])


async def _post_charges(ctx: Context, charges: Sequence[tuple[date, NewCharge]]) -> int:
    made = {transfer.id: (transfer, each) for day, each in charges if (transfer := _transfer(each, day))}
    if not made:
        return 0
    new = await closes.save_charges(ctx, {id_: each for id_, (_, each) in made.items()})
    await ledger.post_transfers(ctx, [transfer for id_, (transfer, _) in made.items() if id_ in new])
    return len(new)


def _transfer(charge: NewCharge, day: date) -> ledger.NewTransfer | None:
    """What a charge moves, None for nothing; what it takes off moves the other way."""
    if not charge.amount_nano:
        return None
    owed = ledger.AccountName(charge.scope, ledger.Purpose.RECEIVABLE, charge.currency)
    earned = ledger.AccountName(OPERATOR, ledger.Purpose.REVENUE, charge.currency)
    debit, credit = (owed, earned) if charge.amount_nano > 0 else (earned, owed)
    return ledger.NewTransfer(
        debit=debit,
        credit=credit,
        amount_nano=abs(charge.amount_nano),
        kind=_TRANSFER_OF[charge.kind],
        correlation=charge.reference,
        day=day,
    )


# --- what was used ---------------------------------------------------------------------------------------------------


async def _collect(ctx: Context, collecting: Sequence[Close]) -> list[Close]:
    """Claim one page of transfers of each close, and let the drafts' lines grow by them."""
    if not collecting:
        return []
    page = max(PAGE // len(collecting), 1)
    queries = [ledger.PostingQuery(c.account, c.since, c.end, c.cursor) for c in collecting]
    found = await ledger.list_postings(ctx, queries, page)
    await _claim(ctx, {c.account: c for c in collecting}, [posting for postings in found for posting in postings])
    return [_past(close, postings, page) for close, postings in zip(collecting, found, strict=True)]


def _past(close: Close, postings: Sequence[ledger.Posting], page: int) -> Close:
    """The close behind what was found: it collects on while pages are full."""
    state = CloseState.COLLECTING if len(postings) == page else CloseState.FINALIZING
    if not postings:
        return replace(close, state=state)
    last = postings[-1]
    return replace(close, state=state, cursor=(last.scope, last.posted_at, last.transfer_id))


async def _claim(ctx: Context, close_of: dict[str, Close], postings: Sequence[ledger.Posting]) -> None:
    taken = await store.find_claims(ctx, [posting.transfer_id for posting in postings]) if postings else {}
    free = [posting for posting in postings if posting.transfer_id not in taken]
    if not free:
        return
    drafts = await closes.find_drafts(ctx, {(close_of[_account(p.scope)], p.currency) for p in free})
    wanted = [(p, _LINE_OF.get(p.kind, LineKind.CORRECTION), drafts[_account(p.scope), p.currency]) for p in free]
    claimed = await closes.claim(ctx, wanted)
    ours = [each for each in wanted if each[0].transfer_id in claimed]
    used = [posting.transfer_id for posting, kind, _ in ours if kind is LineKind.USAGE]
    if used:
        groups = await pricing.group_transfer_lines(ctx, used)
        await closes.add_usage(ctx, [(group, drafts[_account(group.scope), group.currency]) for group in groups])
    if others := [each for each in ours if each[1] is not LineKind.USAGE]:
        await closes.add_charged(ctx, others)


def _account(scope: str) -> str:
    return scope.partition(".")[0]


# --- the end ---------------------------------------------------------------------------------------------------------


async def _finish(ctx: Context, finishing: Sequence[Close], smallest: Smallest) -> list[Close]:
    """Finalize the drafts, unless a person is to look at them first; the closes are done."""
    if finishing:
        details = await store.list_details(ctx, {close.account for close in finishing})
        await finalize_drafts(ctx, [c.id for c in finishing if not details[c.account].review], details, smallest)
        if periods := _periods(finishing):
            await subscriptions.advance(ctx, periods)
    return [replace(close, state=CloseState.DONE) for close in finishing]
