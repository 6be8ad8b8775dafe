"""Reports: what was earned, used, and is still owed, added up for people, spreadsheets and charts.

Owns: the reports of revenue, usage, margin, unbilled usage and open invoices, and their files (`exports.py`: CSV and
Parquet); what usage costs the operator (cost rates).
Never: keeps a figure of its own (each report adds up the books as they are), moves money, or shows anybody what they
may not see line by line.
Invariants: amounts are exact whatever the format; the sum of a report's rows is the same whatever it is grouped by;
revenue is what the ledger's revenue accounts say; a cost that nobody told is shown as unknown, never as nothing.
"""

from ironworks.platform.reports.model import Column, ColumnType, CostRate, CostRateInUse, Table
from ironworks.platform.reports.service import (
    create_cost_rate,
    list_cost_rates,
    report_margin,
    report_receivables,
    report_revenue,
    report_unbilled,
    report_usage,
)

__all__ = [
    "Column",
    "ColumnType",
    "CostRate",
    "CostRateInUse",
    "Table",
    "create_cost_rate",
    "list_cost_rates",
    "report_margin",
    "report_receivables",
    "report_revenue",
    "report_unbilled",
    "report_usage",
]
