"""Reports as files: CSV for spreadsheets, Parquet for everything else. Both keep every amount exact."""

from __future__ import annotations

import csv
import io
import re
from datetime import date
from decimal import Decimal
from typing import Any, Final

from ironworks.platform import pricing
from ironworks.platform.reports.model import Column, ColumnType, Table

CSV: Final = "text/csv; charset=utf-8"
PARQUET: Final = "application/vnd.apache.parquet"
FILES: Final = ("text/csv", PARQUET)
_FORMULA: Final = re.compile(r"[=+@\t\r\n\uff1d\uff0b\uff0d\uff20]|-.", re.DOTALL)


def to_csv(table: Table) -> bytes:
    """RFC 4180, in UTF-8: a head, then the rows; amounts as exact decimals, empty where there is no value.

    A text that a spreadsheet would run as a formula begins with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([column.name for column in table.columns])
    for row in table.rows:
        writer.writerow([_cell(column, value) for column, value in zip(table.columns, row, strict=True)])
    return text.getvalue().encode()


def _cell(column: Column, value: Any) -> str:
    if value is None:
        return ""
    if column.type is ColumnType.MONEY:
        return pricing.show_nano(value)
    if column.type is ColumnType.TEXT and _FORMULA.match(value):
        return f"'{value}"
    return value.isoformat() if isinstance(value, date) else str(value)


def to_parquet(table: Table) -> bytes:
    """One row group, compressed with zstd: text, date32, int64, and decimal128(38, 9) for amounts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        ColumnType.TEXT: pa.string(),
        ColumnType.DATE: pa.date32(),
        ColumnType.COUNT: pa.int64(),
        ColumnType.MONEY: pa.decimal128(38, 9),
    }
    columns = list(zip(*table.rows, strict=True)) if table.rows else [()] * len(table.columns)
    arrays = [
        pa.array([_exact(column, value) for value in values], types[column.type])
        for column, values in zip(table.columns, columns, strict=True)
    ]
    sink = io.BytesIO()
    names = [column.name for column in table.columns]
    pq.write_table(pa.Table.from_arrays(arrays, names=names), sink, compression="zstd")
    return sink.getvalue()


def _exact(column: Column, value: Any) -> Any:
    return Decimal(value).scaleb(-9) if column.type is ColumnType.MONEY and value is not None else value
