"""Credit: giving it, using it, and letting it expire."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from ironworks.platform import tenancy
from ironworks.platform.ledger import holdings, service
from ironworks.platform.ledger.credit import (
    DEFAULT_PRIORITY,
    HELD_FOR,
    CreditGrant,
    CreditSource,
    Draw,
    ReferenceUsed,
    plan_holds,
    plan_use,
)
from ironworks.platform.ledger.events import CreditExpired, CreditGranted
from ironworks.platform.ledger.model import (
    MAX_AMOUNT_NANO,
    AccountName,
    NewTransfer,
    Purpose,
    TransferKind,
    new_transfer_id,
)
from ironworks.platform.ledger.standing import check_account, owed_in, stand
from ironworks.shared.context import Context
from ironworks.shared.errors import invalid
from ironworks.shared.path import OPERATOR

_BATCH: Final = 100
_GIVEN_FROM: Final[Mapping[CreditSource, Purpose]] = {
    CreditSource.PAID: Purpose.CASH,
    CreditSource.PROMOTION: Purpose.PROMOTION,
}
_EXPIRES_TO: Final[Mapping[CreditSource, Purpose]] = {
    CreditSource.PAID: Purpose.REVENUE,
    CreditSource.PROMOTION: Purpose.PROMOTION,
}


async def grant_credit(
    ctx: Context,
    account: str,
    currency: str,
    amount_nano: int,
    source: CreditSource,
    reference: str,
    *,
    expires_at: datetime | None = None,
    priority: int = DEFAULT_PRIORITY,
    note: str = "",
) -> CreditGrant:
    """Give an account credit; the same `reference` again gives nothing more and answers the same grant.

    Args:
        source: PAID moves it out of `cash`, PROMOTION out of `promotion`. priority: 0 to 100, the lower pays first.

    Raises Invalid, NotFound (no such account), and ReferenceUsed where the reference gave something else before.
    """
    check_account(account, currency)
    _check_amount(amount_nano, priority)
    await tenancy.require_scope(ctx, account)
    await holdings.lock_credit(ctx, account)
    wanted = CreditGrant(
        id=new_transfer_id(),
        account=account,
        currency=currency,
        amount_nano=amount_nano,
        remaining_nano=amount_nano,
        source=source,
        priority=priority,
        expires_at=expires_at,
        reference=reference,
        note=note,
        granted_by=ctx.actor.name,
        granted_at=ctx.now(),
    )
    if before := await holdings.find_grant(ctx, account, reference):
        return _same(before, wanted)
    if expires_at is not None and expires_at <= ctx.now():
        raise invalid("expires_at", "is over already", "choose a later moment, or none")
    await _give(ctx, wanted)
    return wanted


def _check_amount(amount_nano: int, priority: int) -> None:
    if not 0 < amount_nano <= MAX_AMOUNT_NANO:
        raise invalid("amount", "cannot be credited", f"use 1 to {MAX_AMOUNT_NANO} nano-units")
    if not 0 <= priority <= 100:
        raise invalid("priority", "is out of bounds", "use 0 to 100")


def _same(before: CreditGrant, wanted: CreditGrant) -> CreditGrant:
    """Raises ReferenceUsed unless both give the same."""
    if (before.currency, before.amount_nano, before.source) != (wanted.currency, wanted.amount_nano, wanted.source):
        raise ReferenceUsed(
            f"{before.account} got other credit under {before.reference!r}; use a reference of its own",
            grant_id=str(before.id),
        )
    return before


async def _give(ctx: Context, grant: CreditGrant) -> None:
    gift = NewTransfer(
        debit=AccountName(OPERATOR, _GIVEN_FROM[grant.source], grant.currency),
        credit=AccountName(grant.account, Purpose.CREDIT, grant.currency),
        amount_nano=grant.amount_nano,
        kind=TransferKind.CREDIT_GRANT,
        correlation=ctx.request_id,
        day=ctx.now().date(),
    )
    await service.post_transfer(ctx, gift)
    await holdings.save_grant(ctx, grant, gift.id)
    event = CreditGranted(
        grant_id=grant.id,
        account=grant.account,
        currency=grant.currency,
        amount_nano=grant.amount_nano,
        source=grant.source,
        reference=grant.reference,
        expires_at=grant.expires_at,
    )
    await ctx.emit(event, grant.account)
    await ctx.audit(
        "ledger.credit.grant", "credit_grant", str(grant.id), grant.account, after=event.model_dump(mode="json")
    )
    await stand(ctx, grant.account, grant.currency)


async def usable_credit(ctx: Context, account: str, currency: str) -> int:
    """How much `use_credit` could pay now, in nano-units. Locks the account's credit until the transaction ends."""
    await holdings.lock_credit(ctx, account)
    await _expire(ctx, account, currency)
    return _usable(ctx, await holdings.list_open_grants(ctx, account, currency))


def _usable(ctx: Context, grants: Iterable[CreditGrant]) -> int:
    return sum(grant.remaining_nano for grant in grants if grant.is_usable(ctx.now()))


async def use_credit(
    ctx: Context,
    account: str,
    currency: str,
    amount_nano: int,
    correlation: str,
    coin_nano: int = 1,
    least_rest_nano: int = 0,
) -> int:
    """Pay up to `amount_nano` of what the account owes by its invoices with its credit; returns how much was paid.

    Moves `credit` to `due`, in whole multiples of `coin_nano`, and leaves nothing or at least `least_rest_nano`, so
    that what is left can be paid. The same correlation (an invoice's id) again uses nothing more and answers the same
    amount. Locks the account's credit until the transaction ends: who uses that of several accounts in one takes them
    in order. Raises ValueError for a negative amount.
    """
    if amount_nano < 0:
        raise ValueError(f"cannot use {amount_nano} nano-units of credit")
    await holdings.lock_credit(ctx, account)
    if before := await holdings.find_use(ctx, account, currency, correlation):
        return sum(draw.amount_nano for draw in before[1])
    await _expire(ctx, account, currency)
    grants = await holdings.list_open_grants(ctx, account, currency)
    there = _usable(ctx, grants)
    most = amount_nano if there >= amount_nano else min(there, max(amount_nano - least_rest_nano, 0))
    draws = plan_use(grants, most - most % coin_nano, ctx.now())
    used = sum(draw.amount_nano for draw in draws)
    if used:
        transfer = _out_of_credit(ctx, account, currency, used, TransferKind.CREDIT_USE, correlation)
        await service.post_transfer(ctx, transfer)
        await holdings.save_draws(ctx, account, draws, ("use", correlation), transfer.id)
    return used


async def list_credited(ctx: Context, accounts: Collection[str]) -> set[tuple[str, str]]:
    """(account, currency) of which any credit was ever granted: `use_credit` has nothing to use in others."""
    return await holdings.list_credited(ctx, accounts)


async def return_credit(ctx: Context, account: str, currency: str, correlation: str) -> int:
    """Give back to its grants what was used under a correlation, of an invoice that is void; returns how much.

    What was not used, or was given back before, gives 0.
    """
    await holdings.lock_credit(ctx, account)
    found = await holdings.find_use(ctx, account, currency, correlation)
    if found is None:
        return 0
    transfer_id, draws = found
    reversal = await service.reverse_transfer(ctx, transfer_id, correlation)
    back = [Draw(draw.grant_id, -draw.amount_nano) for draw in draws]
    await holdings.save_draws(ctx, account, back, ("return", correlation), reversal)
    await stand(ctx, account, currency)
    return sum(draw.amount_nano for draw in draws)


def _out_of_credit(
    ctx: Context, account: str, currency: str, amount_nano: int, kind: TransferKind, correlation: str
) -> NewTransfer:
    return NewTransfer(
        debit=AccountName(account, Purpose.CREDIT, currency),
        credit=AccountName(account, Purpose.DUE, currency),
        amount_nano=amount_nano,
        kind=kind,
        correlation=correlation,
        day=ctx.now().date(),
    )


async def list_expiring(ctx: Context, after: tuple[str, str] = ("", ""), limit: int = _BATCH) -> list[tuple[str, str]]:
    """One page of (account, currency) with credit that is to expire now, past `after`."""
    return await holdings.list_expiring(ctx, ctx.now(), after, limit)


async def expire_credit(ctx: Context, account: str, currency: str) -> int:
    """Take what expired from an account, but for what it owes since before; returns how much. As the worker."""
    await holdings.lock_credit(ctx, account)
    expired = await _expire(ctx, account, currency)
    await stand(ctx, account, currency)
    return expired


async def _expire(ctx: Context, account: str, currency: str) -> int:
    """Decide what each grant that expired since is held for, and take what is not, or no longer, held."""
    now = ctx.now()
    grants = await holdings.list_open_grants(ctx, account, currency)
    fresh = [g for g in grants if not g.held and g.expires_at is not None and g.expires_at <= now]
    held = {g.id: g.remaining_nano for g in grants if g.held}
    holds: dict[UUID, int] = {}
    if fresh:
        owed = owed_in(await service.get_balances(ctx, account), currency)
        holds = plan_holds(fresh, sum(held.values()), sum(owed))
        await holdings.save_holds(ctx, account, holds, now + HELD_FOR)
    lapsed = await holdings.list_lapsed(ctx, held, now) if held else set()
    total = 0
    for grant in [*fresh, *(g for g in grants if g.id in lapsed)]:
        if lost := grant.remaining_nano - holds.get(grant.id, 0):
            await _take(ctx, grant, lost)
            total += lost
    return total


async def _take(ctx: Context, grant: CreditGrant, lost_nano: int) -> None:
    transfer = NewTransfer(
        debit=AccountName(grant.account, Purpose.CREDIT, grant.currency),
        credit=AccountName(OPERATOR, _EXPIRES_TO[grant.source], grant.currency),
        amount_nano=lost_nano,
        kind=TransferKind.CREDIT_EXPIRY,
        correlation=str(grant.id),
        day=ctx.now().date(),
    )
    await service.post_transfer(ctx, transfer)
    await holdings.save_draws(ctx, grant.account, [Draw(grant.id, lost_nano)], ("expiry", str(grant.id)), transfer.id)
    event = CreditExpired(grant_id=grant.id, account=grant.account, currency=grant.currency, amount_nano=lost_nano)
    await ctx.emit(event, grant.account)


async def list_grants(
    ctx: Context, path: str, after: tuple[str, str] = ("", ""), limit: int = 100
) -> list[CreditGrant]:
    """One page of the grants of an account, or of all (the operator's path); `after` is the last one's (account, id).

    Raises NotFound for a scope that never existed.
    """
    found = await holdings.list_grants(ctx, path, after, limit)
    if not found:
        await tenancy.require_scope(ctx, path)
    return found
