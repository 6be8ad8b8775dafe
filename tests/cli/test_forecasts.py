"""A budget's forecast in words and letters, from what the API answers."""

from __future__ import annotations

from typing import Any

from ironworks.cli.forecasts import plot_burn_down, say_forecast

FOUND: dict[str, Any] = {
    "currency": "USD", "amount": "100", "spent": "40", "period_start": "2026-03-01T00:00:00Z",
    "period_end": "2026-03-11T00:00:00Z", "counts_from": "2026-03-01T00:00:00Z",
    "points": [{"at": f"2026-03-0{day + 1}T00:00:00Z", "spent": str(10 * day)} for day in range(5)],
    "forecast": {
        "basis": "days", "blocks": 4, "confidence": 80, "per_day": "10", "spent": "100", "low": "91.5", "high": "108.5",
        "runs_out_at": None, "runs_out_earliest": "2026-03-10T00:00:00Z", "runs_out_latest": None,
    },
}  # fmt: skip


def test_in_words() -> None:
    assert list(say_forecast(FOUND)) == [
        "40.00 of 100.00 USD is spent (40%), from 2026-03-01T00:00:00Z to 2026-03-11T00:00:00Z",
        "10.00 USD a day, by the last 4 days",
        "100.00 USD at the period's end, with 80 % confidence between 91.50 and 108.50",
    ]
    told = FOUND["forecast"] | {"runs_out_at": "2026-03-10T12:00:00.5Z", "basis": "tens-of-minutes"}
    *_, rate, _, last = say_forecast(FOUND | {"forecast": told})
    assert rate == "10.00 USD a day, by the last 4 tens of minutes"
    assert last == "runs out at 2026-03-10T12:00:00Z, between 2026-03-10T00:00:00Z and later"
    (only,) = say_forecast(FOUND | {"forecast": None})
    assert only.startswith("40.00 of")


def test_a_young_budget_has_no_range_and_a_total_no_end() -> None:
    told = FOUND["forecast"] | {"basis": "lifetime", "low": None, "high": None, "runs_out_earliest": None}
    assert list(say_forecast(FOUND | {"forecast": told}))[2] == "100.00 USD at the period's end"
    told |= {"spent": None, "runs_out_at": "2026-03-10T12:00:00Z", "per_day": "0.000123456"}
    lines = list(say_forecast(FOUND | {"forecast": told, "period_end": None}))
    assert lines[0].endswith("from 2026-03-01T00:00:00Z")
    assert lines[1].startswith("0.000123 USD a day, by what was spent since it was made")
    assert lines[2] == "runs out at 2026-03-10T12:00:00Z"


def test_in_letters() -> None:
    """Spent on the even way to the amount, and forecast to end just there."""
    drawn = plot_burn_down(FOUND, width=11, height=6)
    assert drawn == [
        "100.00 |---------++",
        " 80.00 |       ++.",
        " 60.00 |      +",
        " 40.00 |   ##+",
        " 20.00 |  #",
        "  0.00 |##",
        "       +-----------",
        "        2026-03-01T00:00:00Z2026-03-11T00:00:00Z",
    ]


def test_letters_of_whatever_there_is() -> None:
    for change in (
        {"amount": "0", "spent": "0", "points": FOUND["points"][:1] * 2},
        {"forecast": FOUND["forecast"] | {"spent": "100000"}},
        {"period_end": None, "forecast": FOUND["forecast"] | {"spent": None}},
        {"amount": "5"},
    ):
        assert len(plot_burn_down(FOUND | change)) == 14
