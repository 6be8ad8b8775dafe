"""Analytics: how much, how fast and how well, by tenant, key, route, model and endpoint; a read model of charged usage.

Owns: sums and histograms per minute (kept for hours) and per hour (kept for a year), and the questions asked of them.
Never: decides what anything costs; it counts what billing charged, in the same transaction, and nothing else.
Invariants: the sums of an hour are those of its usage events and their rated lines, whatever order and however often
batches came in; a quantile is off by at most 5 % of itself; an error or an abandoned request has no latency.

What a caller may not see (scopes by `usage:read`, money by `billing:read`) is in no sum that he is given. End users
and metadata are not kept here: a question by them is answered from metering, which reads every event of the period.
"""

from ironworks.products.tokenfactory.analytics.model import (
    Answered,
    Figures,
    Interval,
    Question,
    Report,
    Sort,
    cell_of,
    quantile,
)
from ironworks.products.tokenfactory.analytics.service import (
    add_usage,
    answered_of,
    rebuild_hours,
    report_targets,
    report_usage,
)

__all__ = [
    "Answered",
    "Figures",
    "Interval",
    "Question",
    "Report",
    "Sort",
    "add_usage",
    "answered_of",
    "cell_of",
    "quantile",
    "rebuild_hours",
    "report_targets",
    "report_usage",
]
