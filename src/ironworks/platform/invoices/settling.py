"""What becomes of a finalized invoice: paid, credited, taken back or written off. Each posts what it says."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid4

from ironworks.platform import ledger
from ironworks.platform.invoices import closes, store
from ironworks.platform.invoices.events import (
    CreditNoteIssued,
    InvoicePaid,
    InvoiceReopened,
    InvoiceUncollectible,
    InvoiceVoided,
)
from ironworks.platform.invoices.model import (
    CreditNote,
    Invoice,
    InvoiceState,
    Payment,
    ReferenceInUse,
    WrongState,
    number_of,
    tax_part,
)
from ironworks.platform.invoices.money import coin_of, show_money
from ironworks.shared.context import Context
from ironworks.shared.errors import NotFound, invalid

MAX_AMOUNT_NANO: Final = 2**62


async def lock_invoice(ctx: Context, invoice_id: UUID) -> Invoice:
    """An invoice, held until the transaction ends. Raises NotFound."""
    found = await store.get_invoice(ctx, invoice_id, lock=True)
    if found is None:
        raise NotFound(f"no invoice {invoice_id} for this caller")
    return found


def transfer_between(
    ctx: Context,
    debit: ledger.AccountName,
    credit: ledger.AccountName,
    amount_nano: int,
    kind: ledger.TransferKind,
    correlation: UUID,
) -> ledger.NewTransfer:
    """A transfer of today; a negative amount goes the other way."""
    if amount_nano < 0:
        debit, credit = credit, debit
    return ledger.NewTransfer(
        debit=debit,
        credit=credit,
        amount_nano=abs(amount_nano),
        kind=kind,
        correlation=str(correlation),
        day=ctx.now().date(),
    )


def due_of(invoice: Invoice) -> ledger.AccountName:
    return ledger.AccountName(invoice.account, ledger.Purpose.DUE, invoice.currency)


def operators(purpose: ledger.Purpose, invoice: Invoice) -> ledger.AccountName:
    """The operator's ledger account in the invoice's currency."""
    return ledger.AccountName("", purpose, invoice.currency)


async def post(
    ctx: Context,
    invoice: Invoice,
    kind: ledger.TransferKind,
    debit: ledger.AccountName,
    credit: ledger.AccountName,
    amount_nano: int,
    *,
    reversible: bool = False,
) -> None:
    """Post one transfer of an invoice, if it moves anything, and remember that the invoice made it."""
    if not amount_nano:
        return
    transfer = transfer_between(ctx, debit, credit, amount_nano, kind, invoice.id)
    await ledger.post_transfer(ctx, transfer)
    await store.save_postings(ctx, [(invoice, transfer.id, kind)], reversible=reversible)


async def settle(ctx: Context, invoice: Invoice) -> Invoice:
    """Mark an invoice as paid when nothing is open on it any more, and as due again when something is."""
    if invoice.state is InvoiceState.FINALIZED and invoice.open_nano <= 0:
        paid = await store.save_state(ctx, invoice, InvoiceState.PAID)
        event = InvoicePaid(
            invoice_id=paid.id,
            account=paid.account,
            number=paid.number or "",
            currency=paid.currency,
            total_nano=paid.total_nano,
        )
        await ctx.emit(event, paid.account)
        return paid
    if invoice.state is InvoiceState.PAID and invoice.open_nano > 0:
        again = await store.save_state(ctx, invoice, InvoiceState.FINALIZED)
        reopened = InvoiceReopened(
            invoice_id=again.id,
            account=again.account,
            number=again.number or "",
            currency=again.currency,
            due_nano=again.open_nano,
        )
        await ctx.emit(reopened, again.account)
        return again
    return invoice


def check_coins(amount_nano: int, currency: str) -> None:
    """Raises Invalid unless it is a positive number of whole coins."""
    coin = coin_of(currency)
    if not 0 < amount_nano <= MAX_AMOUNT_NANO or amount_nano % coin:
        raise invalid(
            "amount_nano",
            f"is no whole number of {currency}'s smallest coin",
            f"use a positive multiple of {coin} nano-units, which is {show_money(coin, currency)} {currency}",
        )


async def record_payment(ctx: Context, invoice_id: UUID, amount_nano: int, method: str, reference: str) -> Invoice:
    """Record money that came in for an invoice; what it is too much becomes prepaid credit.

    The same method and reference again records nothing more. A voided invoice's payment is credit as a whole; one for
    an invoice that was written off takes the writing-off back first. Raises NotFound, Invalid, WrongState (a draft),
    and ReferenceInUse where the reference recorded something else.
    """
    before = await store.lock_reference(ctx, method, reference)
    invoice = await lock_invoice(ctx, invoice_id)
    if before:
        return _same(before, invoice, amount_nano)
    check_coins(amount_nano, invoice.currency)
    if invoice.state is InvoiceState.DRAFT:
        raise WrongState("a draft cannot be paid: finalize it first", state=invoice.state)
    if invoice.state is InvoiceState.UNCOLLECTIBLE:
        invoice = await _collect_again(ctx, invoice)
    counts = 0 if invoice.state is InvoiceState.VOID else min(amount_nano, max(invoice.open_nano, 0))
    extra = amount_nano - counts
    await store.save_payment(ctx, invoice, amount_nano, extra, method, reference)
    cash = operators(ledger.Purpose.CASH, invoice)
    await post(ctx, invoice, ledger.TransferKind.PAYMENT, cash, due_of(invoice), counts)
    if extra:
        await _give_credit(ctx, invoice, extra, f"payment:{method}:{reference}")
    after = {"amount_nano": amount_nano, "method": method, "reference": reference}
    await ctx.audit("invoices.payment.record", "invoice", str(invoice.id), invoice.account, after=after)
    return await settle(ctx, await store.add_up(ctx, invoice, paid_nano=counts))


def _same(before: Payment, invoice: Invoice, amount_nano: int) -> Invoice:
    if (before.invoice_id, before.amount_nano) != (invoice.id, amount_nano):
        raise ReferenceInUse(
            f"{before.method} {before.reference!r} recorded something else before; use the reference of this payment",
            invoice_id=str(before.invoice_id),
        )
    return invoice


async def _give_credit(ctx: Context, invoice: Invoice, amount_nano: int, reference: str) -> None:
    await ledger.grant_credit(
        ctx,
        invoice.account,
        invoice.currency,
        amount_nano,
        ledger.CreditSource.PAID,
        reference,
        note=f"invoice {invoice.number or invoice.id}",
    )


async def _due_to_credit(ctx: Context, invoice: Invoice, amount_nano: int, reference: str) -> None:
    """Turn what we owe the customer into prepaid credit: as if it went back, and came in again."""
    cash = operators(ledger.Purpose.CASH, invoice)
    await post(ctx, invoice, ledger.TransferKind.REFUND, due_of(invoice), cash, amount_nano)
    await _give_credit(ctx, invoice, amount_nano, reference)


async def credit_negative_total(ctx: Context, invoice: Invoice) -> None:
    """An invoice that took off more than it charged: the customer has that beforehand now."""
    if invoice.total_nano < 0:
        await _due_to_credit(ctx, invoice, -invoice.total_nano, f"invoice:{invoice.id}")


async def _collect_again(ctx: Context, invoice: Invoice) -> Invoice:
    for transfer_id in await store.list_postings(ctx, invoice.id, ledger.TransferKind.WRITE_OFF):
        try:
            await ledger.reverse_transfer(ctx, transfer_id, str(invoice.id))
        except ledger.AlreadyReversed:
            continue
    return await store.save_state(ctx, invoice, InvoiceState.FINALIZED)


async def record_refund(ctx: Context, invoice_id: UUID, amount_nano: int, method: str, reference: str) -> Invoice:
    """Record money that went back to the customer; the same method and reference again records nothing more.

    Where a credit note did not take off as much before, the invoice is due again: a payment was returned. One that was
    written off stays so, and what went back is lost with the rest. Raises NotFound, Invalid, WrongState (nothing was
    paid, or less), ReferenceInUse.
    """
    before = await store.lock_reference(ctx, method, reference)
    invoice = await lock_invoice(ctx, invoice_id)
    if before:
        return _same(before, invoice, -amount_nano)
    check_coins(amount_nano, invoice.currency)
    if amount_nano > invoice.paid_nano:
        raise WrongState(
            "more would go back than was paid for this invoice; refund at most what was", paid_nano=invoice.paid_nano
        )
    await store.save_payment(ctx, invoice, -amount_nano, 0, method, reference)
    cash = operators(ledger.Purpose.CASH, invoice)
    await post(ctx, invoice, ledger.TransferKind.REFUND, due_of(invoice), cash, amount_nano)
    if invoice.state is InvoiceState.UNCOLLECTIBLE:
        await _lose(ctx, invoice, amount_nano)
    after = {"amount_nano": amount_nano, "method": method, "reference": reference}
    await ctx.audit("invoices.payment.refund", "invoice", str(invoice.id), invoice.account, after=after)
    return await settle(ctx, await store.add_up(ctx, invoice, paid_nano=-amount_nano))


async def issue_credit_note(
    ctx: Context, invoice_id: UUID, amount_nano: int, reason: str, reference: str, *, refund: bool = False
) -> CreditNote:
    """Take back part of an invoice, taxes included in proportion, or all of it.

    What is still open shrinks first. What is more than that was paid already: it becomes prepaid credit, or with
    `refund` waits for record_refund, as far as money paid it. The same reference again issues nothing more.
    Raises NotFound, Invalid, WrongState (not finalized, or more than is left of it) and ReferenceInUse.
    """
    invoice = await lock_invoice(ctx, invoice_id)
    if before := await store.find_note(ctx, invoice.id, reference):
        if before.amount_nano != amount_nano:
            raise ReferenceInUse(f"{reference!r} named another credit note before; use a reference of its own")
        return before
    check_coins(amount_nano, invoice.currency)
    if invoice.state not in (InvoiceState.FINALIZED, InvoiceState.PAID):
        raise WrongState(f"an invoice that is {invoice.state} takes no credit note", state=invoice.state)
    notes = await store.list_notes(ctx, invoice.id)
    noted = sum(note.amount_nano for note in notes)
    left = invoice.total_nano - noted
    if amount_nano > left:
        rest = f"{show_money(left, invoice.currency)} {invoice.currency}"
        raise WrongState(f"credit notes cannot exceed the invoice, of which {rest} is left", left_nano=left)
    # of all notes together, so that those of a whole invoice take exactly its tax back
    tax = tax_part(noted + amount_nano, invoice) - sum(note.tax_nano for note in notes)
    over = amount_nano - min(amount_nano, max(invoice.open_nano, 0))
    waits = min(over, invoice.paid_nano - max(-invoice.open_nano, 0)) if refund else 0
    note = CreditNote(
        uuid4(),
        invoice.id,
        number_of(invoice.account, await store.next_number(ctx, invoice.account, "credit_note"), "credit_note"),
        amount_nano,
        min(max(tax, 0), amount_nano),
        over - waits,
        reason,
        ctx.now(),
    )
    await _post_note(ctx, invoice, note, reference)
    # what waits for a refund counts as taken off: the refund then takes it from what was paid
    await settle(ctx, await store.add_up(ctx, invoice, noted_nano=amount_nano - note.to_credit_nano))
    return note


async def _post_note(ctx: Context, invoice: Invoice, note: CreditNote, reference: str) -> None:
    kind, due = ledger.TransferKind.CREDIT_NOTE, due_of(invoice)
    await post(ctx, invoice, kind, operators(ledger.Purpose.REVENUE, invoice), due, note.amount_nano - note.tax_nano)
    await post(ctx, invoice, kind, operators(ledger.Purpose.TAX, invoice), due, note.tax_nano)
    if note.to_credit_nano:
        await _due_to_credit(ctx, invoice, note.to_credit_nano, f"credit_note:{note.id}")
    await store.save_note(ctx, invoice, note, reference)
    event = CreditNoteIssued(
        credit_note_id=note.id,
        invoice_id=invoice.id,
        account=invoice.account,
        number=note.number,
        currency=invoice.currency,
        amount_nano=note.amount_nano,
    )
    await ctx.emit(event, invoice.account)
    await ctx.audit(
        "invoices.credit-note.issue", "credit-note", note.number, invoice.account, after=event.model_dump(mode="json")
    )


async def void_invoice(ctx: Context, invoice_id: UUID, reason: str) -> Invoice:
    """Take an invoice back: its transfers are reversed, its credit is given back, and what it claimed is unbilled
    again and comes on the next invoice. Its number stays its own.

    Raises NotFound, and WrongState unless it is a whole draft, or finalized without a payment or credit note.
    """
    invoice = await lock_invoice(ctx, invoice_id)
    if invoice.state is InvoiceState.VOID:
        return invoice
    if invoice.state is InvoiceState.DRAFT and not await closes.is_collected(ctx, invoice.id):
        raise WrongState("the period of this draft is still being closed; try again in a minute", state=invoice.state)
    touched = invoice.paid_nano or await store.list_payments(ctx, invoice.id) or await store.list_notes(ctx, invoice.id)
    if invoice.state not in (InvoiceState.DRAFT, InvoiceState.FINALIZED) or touched:
        raise WrongState(
            "only a draft, or a finalized invoice without payments and credit notes, can be voided;"
            " issue a credit note instead",
            state=invoice.state,
        )
    for transfer_id in await store.list_postings(ctx, invoice.id):
        await ledger.reverse_transfer(ctx, transfer_id, str(invoice.id))
    if invoice.credit_nano:
        await ledger.return_credit(ctx, invoice.account, invoice.currency, str(invoice.id))
    await store.release_claims(ctx, invoice.id)
    voided = await store.save_state(ctx, invoice, InvoiceState.VOID, reason)
    event = InvoiceVoided(invoice_id=voided.id, account=voided.account, number=voided.number, reason=reason)
    await ctx.emit(event, voided.account)
    await ctx.audit("invoices.invoice.void", "invoice", str(voided.id), voided.account, after={"reason": reason})
    return voided


async def _lose(ctx: Context, invoice: Invoice, amount_nano: int) -> None:
    loss = operators(ledger.Purpose.LOSS, invoice)
    await post(ctx, invoice, ledger.TransferKind.WRITE_OFF, loss, due_of(invoice), amount_nano, reversible=True)


async def write_off(ctx: Context, invoice_id: UUID, reason: str) -> Invoice:
    """Give up on what is open of an invoice: it is a loss from now on. Raises NotFound, WrongState."""
    invoice = await lock_invoice(ctx, invoice_id)
    if invoice.state is InvoiceState.UNCOLLECTIBLE:
        return invoice
    if invoice.state is not InvoiceState.FINALIZED:
        raise WrongState(f"an invoice that is {invoice.state} cannot be written off", state=invoice.state)
    lost = invoice.open_nano
    await _lose(ctx, invoice, lost)
    gone = await store.save_state(ctx, invoice, InvoiceState.UNCOLLECTIBLE, reason)
    event = InvoiceUncollectible(
        invoice_id=gone.id,
        account=gone.account,
        number=gone.number or "",
        currency=gone.currency,
        lost_nano=lost,
        reason=reason,
    )
    await ctx.emit(event, gone.account)
    await ctx.audit("invoices.invoice.uncollectible", "invoice", str(gone.id), gone.account, after={"reason": reason})
    return gone
