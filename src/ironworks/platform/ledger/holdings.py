"""Credit in Postgres: grants, what was drawn from them, what is held of expired ones, and prepaid accounts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from ironworks.platform.ledger.credit import (
    CreditGrant,
    CreditSource,
    CreditState,
    CreditTerms,
    Draw,
    PrepaidAccount,
    Standing,
)
from ironworks.shared.context import Context

_GRANTS = """
    select g.*, h.grant_id is not null as held,
           g.amount_nano - coalesce((select sum(d.amount_nano) from platform_ledger.credit_draw d
                                     where d.grant_id = g.id), 0)::bigint as remaining_nano
    from platform_ledger.credit_grant g left join platform_ledger.credit_hold h on h.grant_id = g.id
"""


async def lock_credit(ctx: Context, account: str) -> None:
    """One decision about an account's credit at a time, until the transaction ends."""
    await ctx.db.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"ledger.credit:{account}")


async def save_grant(ctx: Context, grant: CreditGrant, transfer_id: UUID) -> None:
    """Keep a new grant. Raises UniqueViolationError for a reference that the account has."""
    await ctx.db.execute(
        """
        insert into platform_ledger.credit_grant (id, scope, currency, amount_nano, source, priority, expires_at,
                                                  reference, note, granted_by, granted_at, transfer_id)
        values ($1, $2::text::ltree, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        """,
        grant.id, grant.account, grant.currency, grant.amount_nano, grant.source, grant.priority, grant.expires_at,
        grant.reference, grant.note, grant.granted_by, grant.granted_at, transfer_id,
    )  # fmt: skip


async def find_grant(ctx: Context, account: str, reference: str) -> CreditGrant | None:
    """The grant that an account got under a reference."""
    row = await ctx.db.fetchrow(f"{_GRANTS} where g.path = $1 and g.reference = $2", account, reference)
    return _grant(row) if row else None


async def list_open_grants(ctx: Context, account: str, currency: str) -> list[CreditGrant]:
    """The grants of an account of which something remains, expired ones too."""
    rows = await ctx.db.fetch(f"{_GRANTS} where g.path = $1 and g.currency = $2", account, currency)
    return [_grant(row) for row in rows if row["remaining_nano"]]


async def list_grants(ctx: Context, path: str, after: tuple[str, str], limit: int) -> list[CreditGrant]:
    """One page of the grants of accounts at and below `path`, by (account, id), past `after`."""
    rows = await ctx.db.fetch(
        f"""
        {_GRANTS}
        where ($1 = '' or g.path = $1) and (g.path, g.id::text) > ($2, $3) order by g.path, g.id::text limit $4
        """,
        path,
        *after,
        limit,
    )
    return [_grant(row) for row in rows]


async def save_draws(
    ctx: Context, account: str, draws: Sequence[Draw], why: tuple[str, str], transfer_id: UUID
) -> None:
    """Append draws that one transfer moved; `why` is (kind, correlation)."""
    await ctx.db.execute(
        """
        insert into platform_ledger.credit_draw (grant_id, transfer_id, amount_nano, kind, correlation, scope)
        select grant_id, $3, amount, $4, $5, $6::text::ltree
        from unnest($1::uuid[], $2::bigint[]) as d (grant_id, amount)
        """,
        [draw.grant_id for draw in draws],
        [draw.amount_nano for draw in draws],
        transfer_id,
        *why,
        account,
    )


async def find_use(ctx: Context, account: str, currency: str, correlation: str) -> tuple[UUID, list[Draw]] | None:
    """The transfer of what was used under a correlation, and its draws, unless it was given back."""
    rows = await ctx.db.fetch(
        """
        select d.transfer_id, d.grant_id, d.amount_nano from platform_ledger.credit_draw d
        join platform_ledger.credit_grant g on g.id = d.grant_id
        where d.correlation = $3 and d.kind = 'use' and g.path = $1 and g.currency = $2
          and not exists (select from platform_ledger.transfer t where t.corrects = d.transfer_id)
        order by d.grant_id
        """,
        account,
        currency,
        correlation,
    )
    return (rows[0]["transfer_id"], [Draw(r["grant_id"], r["amount_nano"]) for r in rows]) if rows else None


async def save_holds(ctx: Context, account: str, holds: Mapping[UUID, int], until: datetime) -> None:
    """Note once what each expired grant is held for."""
    await ctx.db.execute(
        """
        insert into platform_ledger.credit_hold (grant_id, held_nano, held_until, scope)
        select grant_id, held, $3, $4::text::ltree from unnest($1::uuid[], $2::bigint[]) as h (grant_id, held)
        """,
        list(holds),
        list(holds.values()),
        until,
        account,
    )


async def list_credited(ctx: Context, accounts: Collection[str]) -> set[tuple[str, str]]:
    """(account, currency) of what was ever granted to these accounts."""
    rows = await ctx.db.fetch(
        "select distinct path, currency from platform_ledger.credit_grant where path = any($1::text[])", list(accounts)
    )
    return {(row["path"], row["currency"]) for row in rows}


async def list_lapsed(ctx: Context, grants: Iterable[UUID], now: datetime) -> set[UUID]:
    """Those of these grants whose hold is over."""
    rows = await ctx.db.fetch(
        "select grant_id from platform_ledger.credit_hold where grant_id = any($1::uuid[]) and held_until <= $2",
        list(grants),
        now,
    )
    return {row["grant_id"] for row in rows}


async def list_expiring(ctx: Context, now: datetime, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
    """(account, currency) past `after`, of which an expired grant has what neither its hold nor a use accounts for."""
    rows = await ctx.db.fetch(
        """
        select distinct g.path, g.currency from platform_ledger.credit_grant g
        left join platform_ledger.credit_hold h on h.grant_id = g.id
        where g.expires_at <= $1 and (h.grant_id is null or h.held_until <= $1)
          and g.amount_nano > (select coalesce(sum(d.amount_nano), 0) from platform_ledger.credit_draw d
                               where d.grant_id = g.id)
          and (g.path, g.currency) > ($2, $3)
        order by g.path, g.currency limit $4
        """,
        now,
        *after,
        limit,
    )
    return [(row["path"], row["currency"]) for row in rows]


async def find_prepaid(ctx: Context, account: str, currency: str) -> PrepaidAccount | None:
    """How an account pays beforehand, if it does."""
    row = await ctx.db.fetchrow(
        "select * from platform_ledger.prepaid_account where path = $1 and currency = $2", account, currency
    )
    return _prepaid(row) if row else None


async def find_used_up(ctx: Context, account: str) -> tuple[CreditState, datetime] | None:
    """(state, release at) of an account that has nothing left; also for who may not see its money."""
    row = await ctx.db.fetchrow("select * from platform_ledger.used_up($1)", account)
    return (CreditState(row["state"]), row["release_at"]) if row else None


async def list_prepaid(ctx: Context, after: tuple[str, str], limit: int) -> list[PrepaidAccount]:
    """One page of accounts that pay beforehand, by (path, currency), past `after`."""
    rows = await ctx.db.fetch(
        "select * from platform_ledger.prepaid_account where (path, currency) > ($1, $2)"
        " order by path, currency limit $3",
        *after,
        limit,
    )
    return [_prepaid(row) for row in rows]


async def save_terms(ctx: Context, account: str, currency: str, terms: CreditTerms, standing: Standing) -> None:
    """Keep how an account pays beforehand; `standing` is that of one that did not until now."""
    await ctx.db.execute(
        """
        insert into platform_ledger.prepaid_account as p (scope, currency, low_nano, grace, state, since, release_at)
        values ($1::text::ltree, $2, $3, $4, $5, $6, $7)
        on conflict (path, currency) do update set low_nano = excluded.low_nano, grace = excluded.grace
        """,
        account, currency, terms.low_nano, terms.grace, standing.state, standing.since, standing.release_at,
    )  # fmt: skip


async def save_standing(ctx: Context, prepaid: PrepaidAccount, standing: Standing) -> None:
    """Keep the state that an account is in from now on."""
    await ctx.db.execute(
        "update platform_ledger.prepaid_account set state = $3, since = $4, release_at = $5"
        " where path = $1 and currency = $2",
        prepaid.account, prepaid.currency, standing.state, standing.since, standing.release_at,
    )  # fmt: skip


async def remove_prepaid(ctx: Context, account: str, currency: str) -> None:
    """The account pays afterwards from now on."""
    await ctx.db.execute(
        "delete from platform_ledger.prepaid_account where path = $1 and currency = $2", account, currency
    )


def _grant(row: asyncpg.Record) -> CreditGrant:
    return CreditGrant(
        id=row["id"],
        account=row["path"],
        currency=row["currency"],
        amount_nano=row["amount_nano"],
        remaining_nano=row["remaining_nano"],
        source=CreditSource(row["source"]),
        priority=row["priority"],
        expires_at=row["expires_at"],
        reference=row["reference"],
        note=row["note"],
        granted_by=row["granted_by"],
        granted_at=row["granted_at"],
        held=row["held"],
    )


def _prepaid(row: asyncpg.Record) -> PrepaidAccount:
    return PrepaidAccount(
        row["path"],
        row["currency"],
        CreditTerms(row["low_nano"], row["grace"]),
        Standing(CreditState(row["state"]), row["since"], row["release_at"]),
    )
