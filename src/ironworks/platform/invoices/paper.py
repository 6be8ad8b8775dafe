"""An invoice as PDF, on A4, in a font that is embedded and knows Latin, Greek and Cyrillic.

Of another script the PDF shows boxes; the HTML shows it. The same invoice gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import Any, Final
from xml.sax.saxutils import escape

import fontpkg_fira_sans
from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from ironworks.platform.invoices.documents import (
    facts,
    history,
    note_facts,
    note_totals,
    party,
    price_of,
    quantity_of,
    section_sum,
    shown,
    state_of,
    title_of,
    totals,
    words_of,
)
from ironworks.platform.invoices.model import CreditNote, Document, Invoice, Line
from ironworks.platform.invoices.money import show_exact

_PLAIN: Final = "FiraSans"
_BOLD: Final = "FiraSans-SemiBold"
_INK: Final = colors.HexColor("#1b1f24")
_GREY: Final = colors.HexColor("#57606a")
_RULE: Final = colors.HexColor("#d8dee4")
_SHADE: Final = colors.HexColor("#f3f5f7")
_MARGIN: Final = 20 * mm
_FRAME: Final = 6
"""What ReportLab puts between a page's margin and its content, in points."""
_WIDTH: Final = A4[0] - 2 * _MARGIN
MAX_LINES: Final = 2000
"""Nobody reads more on paper, and ReportLab takes about a second for a thousand: beyond that, sums of platforms."""
_LONGEST: Final = 80
"""Letters of a line of an address: the addresses fit on a page whatever is in them. The HTML shows it all."""
_COLUMNS: Final = [0.22 * _WIDTH, 0.34 * _WIDTH, 0.14 * _WIDTH, 0.14 * _WIDTH, 0.16 * _WIDTH]


@cache
def _register_fonts() -> None:
    for name, file in ((_PLAIN, "FiraSans-Regular.ttf"), (_BOLD, "FiraSans-SemiBold.ttf")):
        pdfmetrics.registerFont(TTFont(name, str(fontpkg_fira_sans.ROOT / "files" / file)))


def _style(size: float = 8.5, *, bold: bool = False, right: bool = False, color: Any = _INK) -> ParagraphStyle:
    return ParagraphStyle(
        "text",
        fontName=_BOLD if bold else _PLAIN,
        fontSize=size,
        leading=size * 1.35,
        textColor=color,
        splitLongWords=True,
        **({"alignment": TA_RIGHT} if right else {}),
    )


def _text(words: str, **style: Any) -> Paragraph:
    _register_fonts()
    return Paragraph(escape(words).replace("\n", "<br/>"), _style(**style))


def to_pdf(document: Document) -> bytes:
    """The bytes of the PDF. Takes about a second for a thousand lines; of more than MAX_LINES it shows the sums."""
    invoice = document.invoice
    return _build(
        title_of(invoice),
        invoice,
        [*_head(title_of(invoice), state_of(invoice), facts(invoice), invoice), _lines(document), Spacer(0, 6 * mm)],
        [*_sums(totals(document)), *_history(document), *_note(invoice)],
    )


def note_to_pdf(invoice: Invoice, note: CreditNote) -> bytes:
    """A credit note, on a page of its own."""
    title = f"Credit note {note.number}"
    head = [*_head(title, "", note_facts(invoice, note), invoice), _text(shown(note.reason)), Spacer(0, 6 * mm)]
    return _build(title, invoice, head, _sums(note_totals(invoice, note)))


def _build(title: str, invoice: Invoice, body: list[Flowable], end: list[Flowable]) -> bytes:
    """`end` stays on one page, where it can."""
    out = io.BytesIO()
    paper = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=_MARGIN - _FRAME,
        rightMargin=_MARGIN - _FRAME,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        title=title,
        author=invoice.issuer.name or "Ironworks",
        invariant=1,
    )
    paper.build([*body, KeepTogether(end)], canvasmaker=_paged(title))
    return out.getvalue()


def _note(invoice: Invoice) -> list[Flowable]:
    """Bank details and terms, as the issuer gave them."""
    words = invoice.issuer.note
    return [Spacer(0, 10 * mm), _text(words, color=_GREY)] if words else []


def _head(title: str, state: str, beside: Sequence[tuple[str, str]], invoice: Invoice) -> list[Flowable]:
    top = Table(
        [[_text(title, size=20, bold=True), _text(state, size=11, bold=True, right=True)]],
        [0.75 * _WIDTH, 0.25 * _WIDTH],
        style=[
            ("VALIGN", (0, 0), (-1, -1), "BOTTOM"),
            ("LINEBELOW", (0, 0), (-1, -1), 1.2, _INK),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 8),
            *_flush(),
        ],
    )
    about = Table(
        [[_text(label, color=_GREY), _text(value)] for label, value in beside],
        [0.09 * _WIDTH, 0.25 * _WIDTH],
        style=[("VALIGN", (0, 0), (-1, -1), "TOP"), ("TOPPADDING", (0, 0), (-1, -1), 0), *_flush()],
    )
    parties = Table(
        [
            [
                _address("From", party(invoice.issuer, "Ironworks")),
                _address("To", party(invoice.payer, invoice.account)),
                about,
            ]
        ],
        [0.33 * _WIDTH, 0.33 * _WIDTH, 0.34 * _WIDTH],
        style=[("VALIGN", (0, 0), (-1, -1), "TOP"), *_flush(), ("RIGHTPADDING", (0, 0), (1, 0), 5 * mm)],
    )
    return [top, Spacer(0, 7 * mm), parties, Spacer(0, 9 * mm)]


def _flush() -> list[Any]:
    return [("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0)]


def _address(title: str, lines: list[str]) -> list[Flowable]:
    name, *rest = (line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…" for line in lines)
    return [
        _text(title, color=_GREY),
        _text(name, size=9.5, bold=True),
        *(_text(line) for line in rest),
    ]


def _lines(document: Document) -> Flowable:
    head = [
        _text(label, bold=True, right=place > 1)
        for place, label in enumerate(("Tenant", "What", "Quantity", "Unit price", "Amount"))
    ]
    rows: list[list[Any]] = [head]
    style: list[Any] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, 0), 0.8, _INK),
        ("LINEBELOW", (0, 1), (-1, -1), 0.4, _RULE),
        ("TOPPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
        ("LEFTPADDING", (0, 0), (-1, -1), 4),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
    ]
    for path, lines in document.sections.items():
        place = len(rows)
        style += [("BACKGROUND", (0, place), (-1, place), _SHADE), ("SPAN", (0, place), (3, place))]
        style.append(("NOSPLIT", (0, place), (-1, place + 1)))  # no section begins with its name alone
        amount = section_sum(lines, document.invoice.currency)
        rows.append([_text(path, bold=True), "", "", "", _text(amount, bold=True, right=True)])
        if len(document.lines) <= MAX_LINES:
            rows += [_line(line, document.invoice.currency) for line in lines]
        else:
            rows.append(["", _text(f"{len(lines):,} lines, each in this invoice's CSV", color=_GREY), "", "", ""])
    return Table(rows, _COLUMNS, repeatRows=1, style=TableStyle(style))


def _line(line: Line, currency: str) -> list[Any]:
    numbers = (quantity_of(line), price_of(line), show_exact(line.amount_nano, currency))
    tenant = line.scope.removeprefix(line.platform).removeprefix(".")  # its section says the rest
    return [_text(tenant, color=_GREY), _text(words_of(line)), *(_text(n, right=True) for n in numbers)]


def _sums(found: Sequence[tuple[str, str]]) -> list[Flowable]:
    """Sums one below the other; the last one counts."""
    *sums, due = found
    rows = [[_text(label, color=_GREY), _text(value, right=True)] for label, value in sums]
    rows.append([_text(due[0], size=11, bold=True), _text(due[1], size=11, bold=True, right=True)])
    table = Table(
        rows,
        [0.26 * _WIDTH, 0.24 * _WIDTH],
        hAlign="RIGHT",
        style=[
            ("LINEABOVE", (0, -1), (-1, -1), 1.2, _INK),
            ("TOPPADDING", (0, -1), (-1, -1), 5),
            ("TOPPADDING", (0, 0), (-1, -2), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -2), 2),
            ("LEFTPADDING", (0, 0), (-1, -1), 4),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ],
    )
    return [table]


def _history(document: Document) -> list[Flowable]:
    """What came in, went back and was taken off since."""
    rows = [
        [_text(day, color=_GREY), _text(words), _text(amount, right=True)] for day, words, amount in history(document)
    ]
    if not rows:
        return []
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEABOVE", (0, 0), (-1, -1), 0.4, _RULE),
        ("TOPPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
        ("LEFTPADDING", (0, 0), (-1, -1), 4),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
    ]
    title = _text("Payments and credit notes", size=9.5, bold=True)
    return [
        Spacer(0, 8 * mm),
        title,
        Spacer(0, 2 * mm),
        Table(rows, [0.22 * _WIDTH, 0.62 * _WIDTH, 0.16 * _WIDTH], style=style),
    ]


def _paged(title: str) -> type[Canvas]:
    """A canvas that knows at the end how many pages there are, and writes `1 / 3` on each."""

    class Paged(Canvas):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._kept: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802
            self._kept.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, kept in enumerate(self._kept, 1):
                self.__dict__.update(kept)
                self.setFont(_PLAIN, 7.5)
                self.setFillColor(_GREY)
                self.drawString(_MARGIN, 11 * mm, title)
                self.drawRightString(A4[0] - _MARGIN, 11 * mm, f"{number} / {len(self._kept)}")
                super().showPage()
            super().save()

    return Paged
