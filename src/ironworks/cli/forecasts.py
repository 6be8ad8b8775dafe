"""A budget's forecast in words, and its burn-down drawn with letters."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Context, Decimal
from operator import itemgetter
from typing import Any

from ironworks.cli.output import at_second


def say_forecast(found: dict[str, Any]) -> Iterator[str]:
    """In words: what is spent, how fast, and where that ends."""
    currency, spent, amount = found["currency"], Decimal(found["spent"]), Decimal(found["amount"])
    share = f" ({spent / amount:.0%})" if amount else ""
    since = f"from {at_second(found['counts_from'])}"
    until = f" to {at_second(found['period_end'])}" if found["period_end"] else ""
    yield f"{_money(spent)} of {_money(amount)} {currency} is spent{share}, {since}{until}"
    told = found["forecast"]
    if told is None:
        return
    yield f"{_money(told['per_day'])} {currency} a day, by {_basis(told)}"
    if told["spent"] is not None:
        yield f"{_money(told['spent'])} {currency} at the period's end{_range(told)}"
    if told["runs_out_at"]:
        early, late = (told[f"runs_out_{side}"] for side in ("earliest", "latest"))
        between = f", between {at_second(early)} and {at_second(late) if late else 'later'}" if early else ""
        yield f"runs out at {at_second(told['runs_out_at'])}{between}"
    elif spent >= amount:
        yield "all of it is spent"


def _basis(told: dict[str, Any]) -> str:
    if told["basis"] == "lifetime":
        return "what was spent since it was made, which is not long ago"
    words = {"days": "days", "hours": "hours", "tens-of-minutes": "tens of minutes"}
    return f"the last {told['blocks']} {words[told['basis']]}"


def _range(told: dict[str, Any]) -> str:
    if told["low"] is None:
        return ""
    return f", with {told['confidence']} % confidence between {_money(told['low'])} and {_money(told['high'])}"


def _money(amount: str | Decimal) -> str:
    """Three digits of what is below a unit, cents of what is above."""
    value = Decimal(amount)
    return f"{value:,.2f}" if abs(value) >= 1 or not value else format(value.normalize(Context(prec=3)), "f")


def plot_burn_down(found: dict[str, Any], width: int = 64, height: int = 12) -> list[str]:
    """What was spent by when (`#`), the even way to the amount (`.`), and the forecast (`+`); the amount is a line.

    Works in any terminal and in a file. A period without an end is drawn up to now, a forecast up to twice the amount.
    """
    points = [(_moment(each["at"]), Decimal(each["spent"])) for each in found["points"]]
    now = points[-1][0]
    begin, end = (
        (_moment(found["period_start"]), _moment(found["period_end"])) if found["period_end"] else (points[0][0], now)
    )
    amount, told = Decimal(found["amount"]), found["forecast"] or {}
    last = Decimal(told["spent"]) if told.get("spent") else points[-1][1]
    top = max(amount, points[-1][1], min(last, 2 * amount)) or Decimal(1)
    rows = [[" "] * width for _ in range(height)]

    def mark(column: int, value: Decimal, sign: str) -> None:
        if value <= top:
            rows[round(value / top * (height - 1))][column] = sign

    for column in range(width):
        at = begin + (end - begin) * column / (width - 1)
        mark(column, amount, "-")
        if found["period_end"]:
            mark(column, amount * column / (width - 1), ".")
        if at <= now:
            mark(column, _value_at(points, at), "#")
        elif told.get("spent"):
            mark(column, points[-1][1] + (last - points[-1][1]) * Decimal((at - now) / (end - now)), "+")
    labels = [_money(top * row / (height - 1)) for row in range(height)]
    wide = max(map(len, labels))
    lines = [f"{label.rjust(wide)} |{''.join(row)}".rstrip() for label, row in zip(labels, rows, strict=True)][::-1]
    first, final = (f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in (begin, end))
    return [*lines, f"{' ' * wide} +{'-' * width}", f"{' ' * wide}  {first}{final.rjust(width - len(first))}"]


def _value_at(points: Sequence[tuple[datetime, Decimal]], at: datetime) -> Decimal:
    """What was spent by then."""
    return points[max(0, bisect_right(points, at, key=itemgetter(0)) - 1)][1]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
