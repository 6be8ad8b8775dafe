"""Words that customers choose, on paper and in files: markup, formulas, control characters, words without an end."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from ironworks.platform.invoices import documents, paper
from ironworks.platform.invoices.model import BillingDetails, Document, Invoice, InvoiceState, Line, LineKind
from ironworks.platform.reports.exports import to_csv
from ironworks.platform.reports.model import Column, ColumnType, Table

MARKUP = "<script>alert(1)</script><b>&amp;</b><img src=x onerror=y>"
TURNED = "\u202egnp.exe\u2066\x1b[31m\x07\x00"
FORMULAS = (
    "=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1+1", "\uff0b1", "\uff0d1+1", "\uff20SUM(A1)",
)  # fmt: skip


def line(model: str = "", description: str = "Input tokens", n: int = 0) -> Line:
    return Line(
        uuid4(), UUID(int=1), f"acme.shop.t{n % 7}", LineKind.USAGE, "input_tokens", model, Decimal("0.1"), "",
        description, Decimal(10), "token", 10**9, "USD",
    )  # fmt: skip


def document(*lines: Line, **details: Any) -> Document:
    party = BillingDetails(**details)
    now = datetime(2026, 4, 1, tzinfo=UTC)
    nano = sum(one.amount_nano for one in lines)
    invoice = Invoice(
        UUID(int=1), "acme", "USD", date(2026, 3, 1), date(2026, 4, 1), InvoiceState.FINALIZED, "ACME-000001", nano, 0,
        (), nano, 0, 0, 0, party, party, now, now, now, None, "",
    )  # fmt: skip
    return Document(invoice, lines)


@pytest.mark.parametrize(
    "word", [MARKUP, TURNED, "\n" * 511, "W" * 511, "\U0001f4a5" * 511, "]]><![CDATA[", "<br/>" * 99]
)
def test_every_document_of_any_words_is_made(word: str) -> None:
    made = document(
        line(word, word),
        name=word[:200],
        address=[word[:200]] * 8,
        email=word[:254],
        tax_number=word[:60],
        note=word * 3,
    )
    assert paper.to_pdf(made).startswith(b"%PDF")
    page = documents.to_html(made)
    assert "<script" not in page
    assert "<img" not in page
    assert documents.to_csv(made)
    assert documents.to_json(made)


def test_what_turns_other_letters_or_steers_a_terminal_is_not_shown() -> None:
    page = documents.to_html(document(line(TURNED, TURNED), name=TURNED, address=[TURNED]))
    assert not {"\u202e", "\u2066", "\x1b", "\x07", "\x00"} & set(page)
    assert "gnp.exe" in page


@pytest.mark.parametrize("word", FORMULAS)
def test_a_spreadsheet_runs_nothing(word: str) -> None:
    (_, row) = csv.reader(io.StringIO(documents.to_csv(document(line(word, word)))))
    assert [row[4], row[6]] == [f"'{word}"] * 2
    table = Table((Column("model", ColumnType.TEXT),), [(word,)])
    (_, row) = csv.reader(io.StringIO(to_csv(table).decode()))
    assert row == [f"'{word}"]


def test_a_very_long_invoice_is_a_short_paper() -> None:
    """Whoever may see an invoice may ask for it again and again."""
    made = document(*(line(f"model-{n}", n=n) for n in range(20_000)))
    began = time.process_time()
    short = paper.to_pdf(made)
    assert time.process_time() - began < 5
    assert len(short) < 200_000
    assert documents.to_csv(made).count("\r\n") == 20_001


def test_an_address_has_lines_of_some_length() -> None:
    with pytest.raises(ValidationError):
        BillingDetails(address=("x" * 201,))
