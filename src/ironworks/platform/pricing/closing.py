"""What the close of periods asks of pricing: what terms make of usage, and what no terms touch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time

from ironworks.platform.pricing import periods, store
from ironworks.platform.pricing.rating import Currencies
from ironworks.platform.pricing.terms import Adjustment, Period, TermsBook, TermsVersion, Total, adjustments
from ironworks.shared.context import Context
from ironworks.shared.path import OPERATOR


async def list_adjustments(ctx: Context, account: str, start: date, end: date, currency: str) -> Sequence[Adjustment]:
    """What terms add to `account`'s usage of the UTC days [start, end) at base price, or take from it.

    Computed from the rated lines that the caller may see; the same lines give the same answer, since the terms that
    were in force on `start` count, and those cannot change afterwards. An empty period has none, not even a minimum,
    and a minimum alone is due in the account's own currency only.
    """
    return (await adjust_periods(ctx, [Period(account, start, end, currency)]))[0]


async def adjust_periods(ctx: Context, wanted: Sequence[Period]) -> list[Sequence[Adjustment]]:
    """The same of several periods, at the cost of one."""
    books = [book if p.start < p.end else None for p, book in zip(wanted, await _books(ctx, wanted), strict=True)]
    meters = {version.key.meter for book in books if book for version in book.in_force()}
    if not meters:
        return [[] for _ in wanted]
    totals = await periods.sum_lines(ctx, wanted, meters)
    currencies = Currencies(await store.list_currencies(ctx, {period.account for period in wanted}))
    found: list[Sequence[Adjustment]] = []
    for period, book, used in zip(wanted, books, totals, strict=True):
        own = currencies.find(period.account, datetime.combine(period.start, time.min, UTC))
        counts = book is not None and (used or period.currency == own)
        found.append(adjustments(book, period.account, period.currency, used) if book and counts else [])
    return found


async def _books(ctx: Context, wanted: Sequence[Period]) -> list[TermsBook]:
    """For each period the terms in its currency that were in force when it began."""
    versions = await periods.list_terms_below(ctx, {period.account for period in wanted})
    own: dict[tuple[str, str], list[TermsVersion]] = {}
    for version in versions:
        own.setdefault((version.key.scope.partition(".")[0], version.key.currency), []).append(version)
    return [
        TermsBook([*own.get((OPERATOR, p.currency), ()), *own.get((p.account, p.currency), ())], p.start)
        for p in wanted
    ]


async def list_unadjusted(
    ctx: Context, wanted: Sequence[tuple[Period, date]], meters: Collection[str]
) -> list[Sequence[Total]]:
    """What was used of `meters` in each of these periods at base price, as far as no terms adjust it.

    By tenant, meter and model, from the rated lines that the caller may see. A period may be part of a longer one; the
    day beside it says when that began, whose terms count.
    """
    totals = await periods.sum_lines(ctx, [period for period, _ in wanted], meters) if meters else []
    if not any(totals):
        return [[] for _ in wanted]
    books = await _books(ctx, [period._replace(start=began) for period, began in wanted])
    return [
        [each for each in found if book.find(each.meter, each.model, period.currency, each.scope) is None]
        for (period, _), found, book in zip(wanted, totals, books, strict=True)
    ]
