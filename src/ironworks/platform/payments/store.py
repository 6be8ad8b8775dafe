"""Payments, refunds, customers and notices in Postgres.

A worker leases a row under a token before it calls out; what it writes afterwards counts only while the token is its
own, so a worker that was taken for dead cannot overwrite what the next one learned.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from ironworks.platform.payments.model import LEASE, LIVE, Outcome, Payment, PaymentState, Refund
from ironworks.platform.payments.provider import Customer, Method, RefundAnswer, RefundState
from ironworks.shared.context import Context

_PAYMENT = (
    "id, account, invoice_id, provider, method, amount_nano, currency, state, created_at, attempt, reference,"
    " failure_code, failure_message, first_failed_at, finished_at, recorded_at, due_at, told, looked"
)
_REFUND = (
    "id, payment_id, account, amount_nano, reason, state, created_at, reference, failure_message, finished_at,"
    " recorded_at"
)


# --- customers and methods ----------------------------------------------------------------------------------------


async def find_customer(ctx: Context, account: str) -> Customer | None:
    row = await ctx.db.fetchrow(
        "select account, provider, reference, default_method, incarnation from platform_payments.customer"
        " where account = $1",
        account,
    )
    return Customer(**row) if row else None


async def list_customers(ctx: Context, references: Collection[str]) -> list[Customer]:
    """Who these customers, or the owners of these payment methods, are."""
    rows = await ctx.db.fetch(
        "select account, provider, reference, default_method, incarnation from platform_payments.customer"
        " where reference = any($1::text[])"
        " or account in (select account from platform_payments.method where reference = any($1::text[]))",
        list(references),
    )
    return [Customer(**row) for row in rows]


async def insert_customer(ctx: Context, account: str, provider: str) -> None:
    """Note the intent to make a customer; one that is there stays."""
    await ctx.db.execute(
        "insert into platform_payments.customer (account, provider, created_at) values ($1, $2, $3)"
        " on conflict do nothing",
        account, provider, ctx.now(),
    )  # fmt: skip


async def keep_reference(ctx: Context, account: str, reference: str) -> str:
    """Note who the account is at the provider, and answer it: the first that was noted, if two were made at once."""
    await ctx.db.execute(
        "update platform_payments.customer set reference = $2 where account = $1 and reference is null",
        account, reference,
    )  # fmt: skip
    kept: str = await ctx.db.fetchval("select reference from platform_payments.customer where account = $1", account)
    return kept


async def forget_customer(ctx: Context, customer: Customer) -> None:
    """The provider deleted this customer: another one may be made, and nothing is charged until then."""
    forgotten = await ctx.db.execute(
        "update platform_payments.customer"
        " set reference = null, default_method = null, incarnation = incarnation + 1"
        " where account = $1 and reference = $2",
        customer.account, customer.reference,
    )  # fmt: skip
    if forgotten == "UPDATE 1":
        await ctx.db.execute("delete from platform_payments.method where account = $1", customer.account)


async def set_default(ctx: Context, account: str, method: str | None) -> None:
    await ctx.db.execute(
        "update platform_payments.customer set default_method = $2 where account = $1", account, method
    )


async def replace_methods(ctx: Context, account: str, methods: Sequence[Method], default: str | None) -> None:
    """What the provider lists is what there is."""
    await ctx.db.execute("delete from platform_payments.method where account = $1", account)
    await ctx.db.executemany(
        "insert into platform_payments.method (reference, account, kind, label, expires_on)"
        " values ($1, $2, $3, $4, $5) on conflict (reference) do nothing",
        [(m.reference, account, m.kind, m.label, m.expires_on) for m in methods],
    )
    await ctx.db.execute(
        "update platform_payments.customer set default_method = $2, synced_at = $3 where account = $1",
        account, default, ctx.now(),
    )  # fmt: skip


async def list_methods(ctx: Context, account: str) -> list[Method]:
    rows = await ctx.db.fetch(
        """
        select m.reference, m.kind, m.label, m.expires_on, m.reference = c.default_method as default
        from platform_payments.method m join platform_payments.customer c using (account)
        where account = $1 order by m.reference
        """,
        account,
    )
    return [Method(**{**row, "default": bool(row["default"])}) for row in rows]


async def delete_method(ctx: Context, account: str, reference: str) -> bool:
    found = await ctx.db.execute(
        "delete from platform_payments.method where account = $1 and reference = $2", account, reference
    )
    return bool(found == "DELETE 1")


# --- payments -----------------------------------------------------------------------------------------------------


async def insert_payment(ctx: Context, payment: Payment) -> bool:
    """False where the invoice has a live payment already, or the reference is known."""
    made = await ctx.db.execute(
        """
        insert into platform_payments.payment
          (id, account, invoice_id, provider, method, amount_nano, currency, state, reference, created_at, finished_at,
           due_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict do nothing
        """,
        payment.id, payment.account, payment.invoice_id, payment.provider, payment.method, payment.amount_nano,
        payment.currency, payment.state, payment.reference, payment.created_at, payment.finished_at, payment.due_at,
    )  # fmt: skip
    return bool(made == "INSERT 0 1")


async def find_payment(ctx: Context, payment_id: UUID) -> Payment | None:
    row = await ctx.db.fetchrow(f"select {_PAYMENT} from platform_payments.payment where id = $1", payment_id)
    return _payment(row) if row else None


async def find_live_payment(ctx: Context, invoice_id: UUID) -> Payment | None:
    row = await ctx.db.fetchrow(
        f"select {_PAYMENT} from platform_payments.payment where invoice_id = $1 and state = any($2::text[])",
        invoice_id, list(LIVE),
    )  # fmt: skip
    return _payment(row) if row else None


async def find_receipt(ctx: Context, provider: str, reference: str) -> Payment | None:
    """The payment that the provider, or a receipt, knows as `reference`."""
    row = await ctx.db.fetchrow(
        f"select {_PAYMENT} from platform_payments.payment where provider = $1 and reference = $2", provider, reference
    )
    return _payment(row) if row else None


async def list_payments(
    ctx: Context, account: str | None, invoice_id: UUID | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[Payment]:
    """The newest first."""
    rows = await ctx.db.fetch(
        f"""
        select {_PAYMENT} from platform_payments.payment
        where ($1::text is null or account = $1) and ($2::uuid is null or invoice_id = $2)
          and ($3::timestamptz is null or (created_at, id) < ($3, $4))
        order by created_at desc, id desc limit $5
        """,
        account, invoice_id, *(before or (None, None)), limit,
    )  # fmt: skip
    return [_payment(row) for row in rows]


async def sum_unrecorded(ctx: Context, invoice_id: UUID) -> int:
    """What came in for an invoice that it does not know of yet."""
    total: int = await ctx.db.fetchval(
        "select coalesce(sum(amount_nano), 0)::bigint from platform_payments.payment"
        " where invoice_id = $1 and state = 'succeeded' and recorded_at is null",
        invoice_id,
    )
    return total


async def retry_payment(ctx: Context, payment_id: UUID) -> bool:
    """Have a failed one tried again now."""
    done = await ctx.db.execute(
        "update platform_payments.payment set state = 'failed', due_at = $2 where id = $1"
        " and state in ('failed', 'exhausted')",
        payment_id, ctx.now(),
    )  # fmt: skip
    return bool(done == "UPDATE 1")


async def retry_account(ctx: Context, account: str) -> None:
    """Try all failed ones of an account again: it has a new payment method."""
    await ctx.db.execute(
        "update platform_payments.payment set state = 'failed', due_at = $2 where account = $1"
        " and state in ('failed', 'exhausted')",
        account, ctx.now(),
    )  # fmt: skip


async def claim_payment(ctx: Context, provider: str) -> tuple[Payment, UUID] | None:
    """One payment that is due or is to be looked at, leased to this caller; its token fences what is written."""
    token = uuid4()
    row = await ctx.db.fetchrow(
        f"""
        update platform_payments.payment set token = $1, leased_until = $2::timestamptz + $3
        where id = (select id from platform_payments.payment
                    where provider = $4 and (told > looked or due_at <= $2)
                      and (leased_until is null or leased_until <= $2)
                    order by due_at nulls first limit 1 for update skip locked)
        returning {_PAYMENT}
        """,
        token, ctx.now(), LEASE, provider,
    )  # fmt: skip
    return (_payment(row), token) if row else None


async def begin_attempt(ctx: Context, payment: Payment, token: UUID, method: str) -> bool:
    """Note, before the provider is asked, that it is, and by which method. False for who lost the lease."""
    return await _fenced(
        ctx, "payment", payment.id, token, "state = 'sending', attempt = $3, method = $4", payment.attempt, method
    )


async def keep_charge(ctx: Context, payment_id: UUID, token: UUID, reference: str) -> bool:
    """Note which charge this payment is, before that is confirmed."""
    return await _fenced(ctx, "payment", payment_id, token, "reference = $3", reference)


async def leave_charge(ctx: Context, payment_id: UUID, token: UUID) -> bool:
    """Note that the charge cannot be paid any more, and that nobody is asked for money now."""
    return await _fenced(ctx, "payment", payment_id, token, "state = 'planned', reference = null")


async def settle_payment(ctx: Context, payment: Payment, token: UUID, outcome: Outcome) -> bool:
    """Note what the provider decided, and end the lease."""
    finished = outcome.state in (PaymentState.SUCCEEDED, PaymentState.CANCELED)
    return await _fenced(
        ctx,
        "payment",
        payment.id,
        token,
        "state = $3, due_at = $4, first_failed_at = $5, failure_code = $6, failure_message = $7, finished_at = $8,"
        " looked = $9, token = null, leased_until = null",
        outcome.state,
        outcome.due_at,
        outcome.first_failed_at,
        outcome.failure_code,
        outcome.failure_message,
        ctx.now() if finished else None,
        payment.told,
    )


async def put_off(ctx: Context, table: str, row_id: UUID, token: UUID, pause: timedelta) -> None:
    """The provider did not answer: leave it to anyone, after a pause."""
    await _fenced(ctx, table, row_id, token, "leased_until = $3", ctx.now() + pause)


async def note_recorded(ctx: Context, table: str, row_id: UUID) -> None:
    await ctx.db.execute(f"update platform_payments.{table} set recorded_at = $2 where id = $1", row_id, ctx.now())


async def look_at(ctx: Context, references: Collection[str]) -> None:
    """Have these charges looked at."""
    await ctx.db.execute(
        "update platform_payments.payment set told = told + 1"
        " where reference = any($1::text[]) and provider <> 'manual' and state not in ('succeeded', 'canceled')",
        list(references),
    )
    await ctx.db.execute(
        "update platform_payments.refund r set due_at = $2 from platform_payments.payment p"
        " where p.id = r.payment_id and p.reference = any($1::text[]) and r.state = 'pending'",
        list(references), ctx.now(),
    )  # fmt: skip


# --- refunds ------------------------------------------------------------------------------------------------------


async def lock_refunds(ctx: Context, invoice_id: UUID) -> None:
    """One decision about what goes back of an invoice's payments at a time, until the transaction ends."""
    await ctx.db.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"payments.refunds:{invoice_id}")


async def sum_going_back(ctx: Context, invoice_id: UUID) -> int:
    """What is on its way back of all payments of an invoice, and which the invoice does not know of yet.

    Read it before the invoice: should that learn of a refund in between, too little can go back, and never too much.
    """
    total: int = await ctx.db.fetchval(
        "select coalesce(sum(r.amount_nano), 0)::bigint from platform_payments.refund r"
        " join platform_payments.payment p on p.id = r.payment_id"
        " where p.invoice_id = $1 and r.recorded_at is null and r.state <> 'failed'",
        invoice_id,
    )
    return total


async def insert_refund(ctx: Context, refund: Refund) -> None:
    await ctx.db.execute(
        "insert into platform_payments.refund (id, payment_id, account, amount_nano, reason, state, created_at, due_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $7)",
        refund.id, refund.payment_id, refund.account, refund.amount_nano, refund.reason, refund.state,
        refund.created_at,
    )  # fmt: skip


async def list_refunds(ctx: Context, payment_ids: Collection[UUID]) -> list[Refund]:
    rows = await ctx.db.fetch(
        f"select {_REFUND} from platform_payments.refund where payment_id = any($1::uuid[]) order by id",
        list(payment_ids),
    )
    return [_refund(row) for row in rows]


async def claim_refund(ctx: Context, provider: str) -> tuple[Refund, UUID] | None:
    """One refund that is due: of the provider's charges, or of money that came in by hand."""
    token = uuid4()
    row = await ctx.db.fetchrow(
        f"""
        update platform_payments.refund set token = $1, leased_until = $2::timestamptz + $3,
          state = case state when 'planned' then 'sending' else state end
        where id = (select r.id from platform_payments.refund r
                    join platform_payments.payment p on p.id = r.payment_id and p.provider in ($4, 'manual')
                    where r.due_at <= $2 and (r.leased_until is null or r.leased_until <= $2)
                    order by r.due_at limit 1 for update of r skip locked)
        returning {_REFUND}
        """,
        token, ctx.now(), LEASE, provider,
    )  # fmt: skip
    return (_refund(row), token) if row else None


async def settle_refund(
    ctx: Context, refund_id: UUID, token: UUID, answer: RefundAnswer, due_at: datetime | None
) -> bool:
    done = answer.state in (RefundState.SUCCEEDED, RefundState.FAILED)
    return await _fenced(
        ctx,
        "refund",
        refund_id,
        token,
        "state = $3, reference = nullif($4, ''), failure_message = $5, due_at = $6, finished_at = $7, token = null,"
        " leased_until = null",
        answer.state,
        answer.reference,
        answer.failure_message,
        due_at,
        ctx.now() if done else None,
    )


async def list_settled(
    ctx: Context, provider: str, references: Collection[str], since: datetime, until: datetime
) -> list[Payment]:
    """Payments that are these charges at the provider, and those that were begun in that time."""
    rows = await ctx.db.fetch(
        f"""
        select {_PAYMENT} from platform_payments.payment
        where provider = $1 and reference is not null
          and (reference = any($2::text[]) or (created_at >= $3 and created_at < $4))
        """,
        provider, list(references), since, until,
    )  # fmt: skip
    return [_payment(row) for row in rows]


async def _fenced(ctx: Context, table: str, row_id: UUID, token: UUID, changes: str, *values: Any) -> bool:
    done = await ctx.db.execute(
        f"update platform_payments.{table} set {changes} where id = $1 and token = $2", row_id, token, *values
    )
    return bool(done == "UPDATE 1")


def _payment(row: asyncpg.Record) -> Payment:
    return Payment(**{**row, "state": PaymentState(row["state"])})


def _refund(row: asyncpg.Record) -> Refund:
    return Refund(**{**row, "state": RefundState(row["state"])})
