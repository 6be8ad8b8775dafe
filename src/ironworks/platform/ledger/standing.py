"""Where accounts stand: what they may still use, which of them pay beforehand, and who runs out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from ironworks.platform import tenancy
from ironworks.platform.ledger import holdings, service
from ironworks.platform.ledger.credit import (
    MAX_GRACE,
    CreditBalance,
    CreditState,
    CreditTerms,
    CreditUsedUp,
    PrepaidAccount,
    Standing,
    next_standing,
)
from ironworks.platform.ledger.events import CreditStateChanged
from ironworks.platform.ledger.model import MAX_AMOUNT_NANO, Balance, Purpose
from ironworks.shared.context import Context
from ironworks.shared.errors import invalid
from ironworks.shared.path import level

_CURRENCY: Final = re.compile("[A-Z]{3}")
_BATCH: Final = 100


def check_account(account: str, currency: str = "USD") -> None:
    """Raises Invalid unless `account` is the path of an account and `currency` looks like one."""
    if level(account) != 1:
        raise invalid("scope", "credit belongs to an account", "name an account, the first label of a path")
    if not _CURRENCY.fullmatch(currency):
        raise invalid("currency", "is no currency", "use its three letters, for instance USD")


def owed_in(balances: Sequence[Balance], currency: str) -> tuple[int, int]:
    """(unbilled, due) of one currency."""
    found = {b.purpose: b.amount_nano for b in balances if b.currency == currency}
    return found.get(Purpose.RECEIVABLE, 0), found.get(Purpose.DUE, 0)


async def list_credit(ctx: Context, account: str) -> list[CreditBalance]:
    """What an account has in each currency that it ever had money in. Raises Invalid, NotFound."""
    check_account(account)
    await tenancy.require_scope(ctx, account)
    balances = await service.get_balances(ctx, account)
    return [await _balance(ctx, account, c, balances) for c in sorted({b.currency for b in balances})]


async def get_credit(ctx: Context, account: str, currency: str) -> CreditBalance:
    """What an account may still use, as far as the caller sees it."""
    return await _balance(ctx, account, currency, await service.get_balances(ctx, account))


async def _balance(ctx: Context, account: str, currency: str, balances: Sequence[Balance]) -> CreditBalance:
    now = ctx.now()
    unbilled, due = owed_in(balances, currency)
    grants = await holdings.list_open_grants(ctx, account, currency)
    return CreditBalance(
        account,
        currency,
        sum(grant.remaining_nano for grant in grants if grant.is_usable(now)),
        unbilled,
        due,
        await holdings.find_prepaid(ctx, account, currency),
    )


async def set_prepaid(ctx: Context, account: str, currency: str, terms: CreditTerms) -> PrepaidAccount:
    """Have an account pay beforehand, or change how. Raises Invalid, NotFound."""
    check_account(account, currency)
    if not 0 <= terms.low_nano <= MAX_AMOUNT_NANO:
        raise invalid("low", "is no amount", "use 0 or more")
    if not timedelta(0) <= terms.grace <= MAX_GRACE:
        raise invalid("grace_hours", "is out of bounds", f"use 0 to {MAX_GRACE // timedelta(hours=1)}")
    await tenancy.require_scope(ctx, account)
    await holdings.lock_credit(ctx, account)
    await holdings.save_terms(ctx, account, currency, terms, Standing(CreditState.HEALTHY, ctx.now()))
    after = {"currency": currency, "low_nano": terms.low_nano, "grace_seconds": int(terms.grace.total_seconds())}
    await ctx.audit("ledger.prepaid.set", "account", account, account, after=after)
    await stand(ctx, account, currency)
    kept = await holdings.find_prepaid(ctx, account, currency)
    assert kept is not None
    return kept


async def remove_prepaid(ctx: Context, account: str, currency: str) -> None:
    """Have an account pay afterwards; what it was granted stays its own. Does nothing to one that does already.

    Raises Invalid, NotFound.
    """
    check_account(account, currency)
    await tenancy.require_scope(ctx, account)
    await holdings.lock_credit(ctx, account)
    before = await holdings.find_prepaid(ctx, account, currency)
    if before is None:
        return
    await holdings.remove_prepaid(ctx, account, currency)
    await ctx.audit("ledger.prepaid.remove", "account", account, account, before={"currency": currency})
    if before.standing.state is not CreditState.HEALTHY:
        await _tell(ctx, before, Standing(CreditState.HEALTHY, ctx.now()))


async def list_prepaid(ctx: Context, after: tuple[str, str] = ("", ""), limit: int = _BATCH) -> list[PrepaidAccount]:
    """One page of accounts that pay beforehand, by (account, currency), past `after`."""
    return await holdings.list_prepaid(ctx, after, limit)


async def review_credit(ctx: Context, account: str, currency: str) -> CreditState | None:
    """Find out where a prepaid account stands now, and tell when that changed; None where it pays afterwards."""
    await holdings.lock_credit(ctx, account)
    return await stand(ctx, account, currency)


async def require_credit(ctx: Context, path: str) -> None:
    """Raises CreditUsedUp where the account over `path` pays beforehand and has nothing left: nothing new begins."""
    if not path:
        return
    account = path.split(".")[0]
    if gone := await holdings.find_used_up(ctx, account):
        state, release_at = gone
        raise CreditUsedUp(
            f"{account} has no credit left; add some to go on",
            account=account,
            state=state,
            release_at=release_at.isoformat(),
        )


async def stand(ctx: Context, account: str, currency: str) -> CreditState | None:
    """As review_credit, for who holds the lock."""
    balance = await get_credit(ctx, account, currency)
    if balance.prepaid is None:
        return None
    current, terms = balance.prepaid.standing, balance.prepaid.terms
    standing = next_standing(current, terms, balance.available_nano, ctx.now())
    if standing is not current:
        await holdings.save_standing(ctx, balance.prepaid, standing)
        await _tell(ctx, balance.prepaid, standing, balance.available_nano)
    return standing.state


async def _tell(ctx: Context, prepaid: PrepaidAccount, standing: Standing, available_nano: int = 0) -> None:
    event = CreditStateChanged(
        account=prepaid.account,
        currency=prepaid.currency,
        before=prepaid.standing.state,
        state=standing.state,
        available_nano=available_nano,
        release_at=standing.release_at,
    )
    await ctx.emit(event, prepaid.account)
