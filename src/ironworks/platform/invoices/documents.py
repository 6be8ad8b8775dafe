"""An invoice as HTML, CSV and JSON. Every document says the same: sections by platform, exact lines, what was rounded.

HTML holds what a browser can show of any script; it loads nothing from anywhere.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from html import escape
from typing import Any, Final

from ironworks.platform.invoices.model import (
    BillingDetails,
    CreditNote,
    Document,
    Invoice,
    InvoiceState,
    Line,
    LineKind,
)
from ironworks.platform.invoices.money import show_exact, show_money

_STATES: Final = {
    InvoiceState.DRAFT: "Draft",
    InvoiceState.FINALIZED: "To pay",
    InvoiceState.PAID: "Paid",
    InvoiceState.VOID: "Void",
    InvoiceState.UNCOLLECTIBLE: "Written off",
}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}",
                   "\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip
"""What a spreadsheet would take a cell for that begins with it."""
_SHORT: Final = {"gpu": "GPU", "gib": "GiB", "d1": "D1", "r2": "R2", "kv": "KV"}


def title_of(invoice: Invoice) -> str:
    """The heading of a document."""
    return f"Invoice {invoice.number}" if invoice.number else "Draft invoice"


def state_of(invoice: Invoice) -> str:
    return _STATES[invoice.state]


def period_of(invoice: Invoice) -> str:
    """The first and the last day, or the only one."""
    first, last = invoice.period_start, invoice.period_end - timedelta(days=1)
    return show_day(first) if last <= first else f"{show_day(first)} – {show_day(last)}"


def show_day(day: date) -> str:
    """As people read it anywhere: 1 March 2026."""
    return f"{day.day} {day:%B %Y}"


def shown(text: str) -> str:
    """`text` on one line, without what no paper shows: control characters, and those that turn the order of others."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def party(details: BillingDetails, otherwise: str) -> list[str]:
    """The lines of an address."""
    number = [f"Tax number {details.tax_number}"] if details.tax_number else []
    lines = [details.name or otherwise, *details.address, *([details.email] if details.email else []), *number]
    return [shown(line) for line in lines]


def facts(invoice: Invoice) -> list[tuple[str, str]]:
    """What stands beside the addresses."""
    found = [("Period", f"{period_of(invoice)} (UTC)"), ("Currency", invoice.currency)]
    if invoice.finalized_at:
        found.insert(0, ("Date", show_day(invoice.finalized_at.date())))
    if invoice.due_at and invoice.due_nano:
        found.insert(1, ("Due", show_day(invoice.due_at.date())))
    return found


def words_of(line: Line) -> str:
    """What a line is for; meters as people write them."""
    about = f"{line.meter}: " if line.kind is LineKind.ADJUSTMENT and line.meter else ""
    words = [_SHORT.get(word, word) for word in f"{about}{line.description}".replace("_", " ").split(" ")]
    text = " ".join(words)
    text = text[:1].upper() + text[1:]
    return shown(f"{text} · {line.model}" if line.model not in ("", "*") else text)


def quantity_of(line: Line) -> str:
    """How many; of what, where the words do not say it."""
    if line.quantity is None:
        return ""
    number = f"{line.quantity.normalize():,f}"
    return f"{number} {line.unit}{'' if line.quantity == 1 else 's'}" if line.kind is LineKind.FEE else number


def price_of(line: Line) -> str:
    """The price of one unit, or of a million where that is easier to read."""
    if line.unit_price is None:
        return ""
    if Decimal(0) < line.unit_price < Decimal("0.0001"):
        return f"{(line.unit_price * 10**6).normalize():f} / million"
    return f"{line.unit_price.normalize():f}"


def totals(document: Document) -> list[tuple[str, str]]:
    """From the sum of the lines to what is to pay; the last one is that."""
    invoice = document.invoice
    lines_nano = invoice.lines_nano if invoice.number else sum(line.amount_nano for line in document.lines)
    found = [("Sum of all lines", show_exact(lines_nano, invoice.currency))]
    if not invoice.number:
        return found
    if invoice.rounding_nano:
        found.append(("Rounding to whole coins", show_exact(invoice.rounding_nano, invoice.currency)))
    found.append(("Net", show_money(invoice.net_nano, invoice.currency)))
    found += [
        (f"{shown(tax.name)} {_percent(tax.rate)}", show_money(tax.amount_nano, invoice.currency))
        for tax in invoice.taxes
    ]
    found.append(("Total", show_money(invoice.total_nano, invoice.currency)))
    for label, nano in (
        ("Paid by prepaid credit", invoice.credit_nano),
        ("Credit notes", invoice.noted_nano),
        ("Payments", invoice.paid_nano),
    ):
        if nano:
            found.append((label, show_money(-nano, invoice.currency)))
    found.append(("To pay", f"{show_money(invoice.due_nano, invoice.currency)} {invoice.currency}"))
    return found


def history(document: Document) -> list[tuple[str, str, str]]:
    """What came in, went back, and was taken off: (day, words, amount), oldest first."""
    currency = document.invoice.currency
    found = [
        (p.recorded_at, f"{'Payment' if p.amount_nano > 0 else 'Refund'}, {p.method}: {p.reference}", -p.amount_nano)
        for p in document.payments
    ]
    found += [(n.issued_at, f"Credit note {n.number}: {n.reason}", -n.amount_nano) for n in document.notes]
    return [(show_day(at.date()), shown(words), show_money(nano, currency)) for at, words, nano in sorted(found)]


def note_facts(invoice: Invoice, note: CreditNote) -> list[tuple[str, str]]:
    """What stands beside the addresses of a credit note."""
    of = f"{invoice.number}, {show_day(invoice.finalized_at.date())}" if invoice.finalized_at else str(invoice.number)
    return [("Date", show_day(note.issued_at.date())), ("Invoice", of), ("Currency", invoice.currency)]


def note_totals(invoice: Invoice, note: CreditNote) -> list[tuple[str, str]]:
    """Of a credit note what is net, what is tax, where it went; the last one is the whole of it."""
    names = ", ".join(f"{shown(tax.name)} {_percent(tax.rate)}" for tax in invoice.taxes)
    found = [("Net", show_money(note.amount_nano - note.tax_nano, invoice.currency))]
    if invoice.taxes:
        found.append((names, show_money(note.tax_nano, invoice.currency)))
    if note.to_credit_nano:
        found.append(("Of this to prepaid credit", show_money(note.to_credit_nano, invoice.currency)))
    return [*found, ("Credited", f"{show_money(note.amount_nano, invoice.currency)} {invoice.currency}")]


def _percent(rate: Decimal) -> str:
    return f"{(rate * 100).normalize():f} %"


def section_sum(lines: Iterable[Line], currency: str) -> str:
    return show_exact(sum(line.amount_nano for line in lines), currency)


def to_html(document: Document) -> str:
    """A page of its own."""
    invoice = document.invoice
    sections = "".join(
        f"<tbody><tr class=section><th colspan=4>{escape(path)}</th>"
        f"<td>{section_sum(lines, invoice.currency)}</td></tr>{''.join(_row(line, invoice) for line in lines)}</tbody>"
        for path, lines in document.sections.items()
    )
    since = "".join(
        f"<tr><td>{day}</td><td>{escape(words)}</td><td class=n>{amount}</td></tr>"
        for day, words, amount in history(document)
    )
    note = f"<p class=note>{escape(invoice.issuer.note)}</p>" if invoice.issuer.note else ""
    since = f"<h2>Payments and credit notes</h2><table class=lines>{since}</table>" if since else ""
    return _page(
        title_of(invoice), state_of(invoice), facts(invoice), invoice,
        "<table class=lines><thead><tr><th>Tenant</th><th>What</th><th class=n>Quantity</th>"
        f"<th class=n>Unit price</th><th class=n>Amount</th></tr></thead>{sections}</table>"
        f"{_totals(totals(document))}{since}{note}",
    )  # fmt: skip


def note_to_html(invoice: Invoice, note: CreditNote) -> str:
    """A credit note as a page of its own."""
    body = f"<p>{escape(shown(note.reason))}</p>{_totals(note_totals(invoice, note))}"
    return _page(f"Credit note {note.number}", "", note_facts(invoice, note), invoice, body)


def _page(title: str, state: str, about: Sequence[tuple[str, str]], invoice: Invoice, body: str) -> str:
    return (
        f'<!doctype html><html lang=en><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><header><h1>{escape(title)}</h1><p class=state>{state}</p></header>"
        f"<div class=parties>{_address('From', party(invoice.issuer, 'Ironworks'))}"
        f"{_address('To', party(invoice.payer, invoice.account))}<table>{_pairs(about)}</table></div>"
        f"{body}</body></html>"
    )


def _totals(rows: Sequence[tuple[str, str]]) -> str:
    return f"<table class=totals>{_pairs(rows)}</table>"


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    return "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in rows)


def _address(title: str, lines: Sequence[str]) -> str:
    return f"<address><b>{title}</b><br>{'<br>'.join(escape(line) for line in lines)}</address>"


def _row(line: Line, invoice: Invoice) -> str:
    cells = (quantity_of(line), price_of(line), show_exact(line.amount_nano, invoice.currency))
    return (
        f'<tr id="line-{line.id}"><td>{escape(line.scope)}</td><td>{escape(words_of(line))}</td>'
        + "".join(f"<td class=n>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
    )


_STYLE: Final = (
    "body{font:14px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "header{display:flex;justify-content:space-between;align-items:baseline;border-bottom:2px solid #1b1f24}"
    ".state{font-weight:600}.parties{display:flex;gap:3rem;margin:1.5rem 0;flex-wrap:wrap}"
    ".parties td{padding-left:1rem}address{font-style:normal}table{border-collapse:collapse}"
    "th{text-align:left;font-weight:600}"
    ".lines{width:100%}.lines td,.lines th{padding:.25rem .5rem;border-bottom:1px solid #d8dee4}"
    ".section th,.section td{background:#f3f5f7;font-weight:600}.section td,.n,.totals td{text-align:right;"
    "font-variant-numeric:tabular-nums}.totals{margin:1rem 0 0 auto}.totals td,.totals th{padding:.2rem .5rem}"
    ".totals tr:last-child{border-top:2px solid #1b1f24;font-size:1.15em}.note{margin-top:2rem;white-space:pre-line}"
    "@media print{body{margin:0}}"
)

COLUMNS: Final = (
    "invoice", "platform", "tenant", "kind", "description", "meter", "model", "quantity", "unit", "unit_price",
    "amount_nano", "amount", "currency", "line_id",
)  # fmt: skip


def to_csv(document: Document) -> str:
    """One row per line and, last, one for rounding and each tax: the column `amount_nano` adds up to the total.

    What a spreadsheet would take for a formula gets an apostrophe before it.
    """
    invoice = document.invoice
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    name = invoice.number or str(invoice.id)
    for line in document.lines:
        writer.writerow(
            [_safe(text) for text in (name, line.platform, line.scope, line.kind, line.description, line.meter)]
            + [_safe(line.model), "" if line.quantity is None else f"{line.quantity:f}", _safe(line.unit)]
            + ["" if line.unit_price is None else f"{line.unit_price:f}", line.amount_nano]
            + [show_exact(line.amount_nano, invoice.currency).replace(",", ""), invoice.currency, line.id]
        )
    extra = [("rounding", "Rounding to whole coins", invoice.rounding_nano)] if invoice.rounding_nano else []
    extra += [("tax", tax.name, tax.amount_nano) for tax in invoice.taxes]
    for kind, text, nano in extra:
        amount = show_exact(nano, invoice.currency).replace(",", "")
        writer.writerow([_safe(name), "", "", kind, _safe(text), *[""] * 5, nano, amount, invoice.currency, ""])
    return out.getvalue()


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_json(document: Document) -> dict[str, Any]:
    """Everything, amounts in nano-units."""
    invoice = document.invoice
    return {
        "id": str(invoice.id),
        "number": invoice.number,
        "account": invoice.account,
        "state": invoice.state,
        "currency": invoice.currency,
        "period": {"from": invoice.period_start.isoformat(), "to": invoice.period_end.isoformat()},
        "finalized_at": invoice.finalized_at and invoice.finalized_at.isoformat(),
        "due_at": invoice.due_at and invoice.due_at.isoformat(),
        "issuer": invoice.issuer.model_dump(mode="json"),
        "payer": invoice.payer.model_dump(mode="json"),
        "sections": [
            {"platform": path, "lines": [_json_line(line) for line in lines]}
            for path, lines in document.sections.items()
        ],
        "lines_nano": invoice.lines_nano if invoice.number else sum(line.amount_nano for line in document.lines),
        "rounding_nano": invoice.rounding_nano,
        "taxes": [
            {"name": t.name, "rate": f"{t.rate:f}", "base_nano": t.base_nano, "amount_nano": t.amount_nano}
            for t in invoice.taxes
        ],
        "total_nano": invoice.total_nano,
        "credit_nano": invoice.credit_nano,
        "paid_nano": invoice.paid_nano,
        "noted_nano": invoice.noted_nano,
        "due_nano": invoice.due_nano,
        "payments": [
            {
                "recorded_at": p.recorded_at.isoformat(),
                "method": p.method,
                "reference": p.reference,
                "amount_nano": p.amount_nano,
                "to_credit_nano": p.to_credit_nano,
            }
            for p in document.payments
        ],
        "credit_notes": [
            {
                "number": n.number,
                "issued_at": n.issued_at.isoformat(),
                "reason": n.reason,
                "amount_nano": n.amount_nano,
                "tax_nano": n.tax_nano,
                "to_credit_nano": n.to_credit_nano,
            }
            for n in document.notes
        ],
    }


def _json_line(line: Line) -> dict[str, Any]:
    return {
        "id": str(line.id),
        "scope": line.scope,
        "kind": line.kind,
        "description": line.description,
        "meter": line.meter or None,
        "model": line.model or None,
        "quantity": None if line.quantity is None else f"{line.quantity:f}",
        "unit": line.unit or None,
        "unit_price": None if line.unit_price is None else f"{line.unit_price:f}",
        "amount_nano": line.amount_nano,
    }
