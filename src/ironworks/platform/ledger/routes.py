"""The ledger and credit over HTTP: who owes whom, what an account was given, and the operator's hand."""

from __future__ import annotations

from decimal import Decimal

from ironworks.platform.ledger import prepaid, service, standing
from ironworks.platform.ledger.credit import CreditTerms
from ironworks.platform.ledger.declarations import POST
from ironworks.platform.ledger.model import TransferQuery
from ironworks.platform.ledger.shapes import (
    HOUR,
    AccountsQuery,
    CreditBalanceView,
    CreditGrantPage,
    CreditGrantView,
    CreditView,
    LedgerAccountBalance,
    LedgerAccountPage,
    ListedTransfer,
    NewCredit,
    PrepaidTerms,
    PrepaidView,
    TransferPage,
    TransfersQuery,
)
from ironworks.shared.context import Context
from ironworks.shared.http import Router
from ironworks.shared.listing import PageQuery, decode_cursor, decode_newest, encode_cursor

router = Router("platform.ledger")


@router.get("/api/v1/scopes/{path}/ledger-accounts", permission="billing:read")
async def list_ledger_accounts(ctx: Context, path: str, query: AccountsQuery) -> LedgerAccountPage:
    """List the ledger accounts of a scope and all below it, with their balances."""
    found = await service.list_accounts(ctx, path, query.purpose, _after(query.cursor), query.limit + 1)
    page = found[: query.limit]
    last = page[-1].name if len(found) > query.limit else None
    return LedgerAccountPage(
        items=[LedgerAccountBalance.of(account) for account in page],
        next_cursor=encode_cursor(last.scope, f"{last.purpose}:{last.currency}") if last else None,
    )


@router.get("/api/v1/scopes/{path}/transfers", permission="billing:read")
async def list_transfers(ctx: Context, path: str, query: TransfersQuery) -> TransferPage:
    """List the transfers of a scope and all below it, newest first."""
    wanted = TransferQuery(
        path=path,
        account=query.account,
        purpose=query.purpose,
        kind=query.kind,
        since=query.since,
        until=query.until,
        before=decode_newest(query.cursor),
    )
    found = await service.find_transfers(ctx, wanted, query.limit + 1)
    page = found[: query.limit]
    last = page[-1] if len(found) > query.limit else None
    return TransferPage(
        items=[ListedTransfer.of(transfer) for transfer in page],
        next_cursor=encode_cursor(last.posted_at.isoformat(), str(last.id)) if last else None,
    )


@router.get("/api/v1/scopes/{path}/credit", permission="billing:read")
async def get_credit(ctx: Context, path: str) -> CreditView:
    """Show what an account may still use, and how it pays beforehand."""
    return CreditView(account=path, balances=[CreditBalanceView.of(b) for b in await standing.list_credit(ctx, path)])


@router.get("/api/v1/scopes/{path}/credits", permission="billing:read")
async def list_credits(ctx: Context, path: str, query: PageQuery) -> CreditGrantPage:
    """List the credit that an account was given, or every account: `-`."""
    after = decode_cursor(query.cursor) if query.cursor else ("", "")
    found = await prepaid.list_grants(ctx, path, after, query.limit + 1)
    page = found[: query.limit]
    more = encode_cursor(page[-1].account, str(page[-1].id)) if len(found) > query.limit else None
    return CreditGrantPage(items=[CreditGrantView.of(grant) for grant in page], next_cursor=more)


@router.post("/api/v1/scopes/{path}/credits", permission=POST, status=201)
async def grant_credit(ctx: Context, path: str, body: NewCredit) -> CreditGrantView:
    """Give an account credit: paid for beforehand, or a gift."""
    await service.check_may_post(ctx)
    grant = await prepaid.grant_credit(
        ctx,
        path,
        body.currency,
        _nano(body.amount),
        body.source,
        body.reference,
        expires_at=body.expires_at,
        priority=body.priority,
        note=body.note,
    )
    return CreditGrantView.of(grant)


@router.put("/api/v1/scopes/{path}/prepaid/{currency}", permission=POST)
async def set_prepaid(ctx: Context, path: str, currency: str, body: PrepaidTerms) -> PrepaidView:
    """Have an account pay beforehand, or change how."""
    await service.check_may_post(ctx)
    terms = CreditTerms(_nano(body.low), body.grace_hours * HOUR)
    return PrepaidView.of(await standing.set_prepaid(ctx, path, currency, terms))


@router.delete("/api/v1/scopes/{path}/prepaid/{currency}", permission=POST)
async def remove_prepaid(ctx: Context, path: str, currency: str) -> None:
    """Have an account pay afterwards again; its credit stays its own."""
    await service.check_may_post(ctx)
    await standing.remove_prepaid(ctx, path, currency)


def _nano(amount: Decimal) -> int:
    return int(amount.scaleb(9))


def _after(cursor: str | None) -> tuple[str, str, str]:
    """Raises Invalid for anything that we did not make."""
    if not cursor:
        return "", "", ""
    path, rest = decode_cursor(cursor)
    purpose, _, currency = rest.partition(":")
    return path, purpose, currency
