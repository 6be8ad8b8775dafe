"""What a period's close adds or takes off: exact, by the whole quantity, whatever it was split into."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.platform import pricing
from ironworks.platform.pricing.terms import (
    MAX_COUNT,
    TermsBook,
    Total,
    adjustments,
    check_terms,
    terms_of_json,
    terms_to_json,
)
from ironworks.shared.errors import Invalid

CENT = 10**7
BASE = Decimal("0.01")
TIERS = (pricing.Tier(100, BASE), pricing.Tier(1000, Decimal("0.008")), pricing.Tier(None, Decimal("0.005")))


def charged(terms: pricing.PriceTerms, quantity: int, base: int | None = None) -> int:
    """What the whole quantity costs in the end, in nano-units."""
    rated = pricing.nano_amount(quantity, BASE) if base is None else base
    return rated + sum(step.amount_nano for step in pricing.adjust(terms, quantity, rated))


@pytest.mark.parametrize(
    ("changes", "quantity", "cents"),
    [
        ({}, 7, 7),
        ({"included": 5}, 7, 2),
        ({"included": 5}, 3, 0),
        ({"tiers": TIERS}, 100, 100),
        ({"tiers": TIERS}, 101, 100.8),
        ({"tiers": TIERS}, 1001, 100 + 720 + 0.5),
        ({"tiers": TIERS, "mode": "volume"}, 100, 100),
        ({"tiers": TIERS, "mode": "volume"}, 101, 80.8),
        ({"tiers": TIERS, "mode": "volume"}, 1001, 500.5),
        ({"tiers": TIERS, "included": 100}, 200, 100),
        ({"package": pricing.Package(1000, Decimal("3"))}, 0, 0),
        ({"package": pricing.Package(1000, Decimal("3"))}, 1, 300),
        ({"package": pricing.Package(1000, Decimal("3"))}, 1000, 300),
        ({"package": pricing.Package(1000, Decimal("3"))}, 1001, 600),
        ({"package": pricing.Package(1000, Decimal("3")), "included": 1}, 1001, 300),
        ({"discount": Decimal("12.5")}, 8, 7),
        ({"discount": Decimal(100)}, 8, 0),
        ({"minimum": Decimal("0.05")}, 0, 5),
        ({"minimum": Decimal("0.05")}, 4, 5),
        ({"minimum": Decimal("0.05")}, 6, 6),
        ({"tiers": TIERS, "included": 50, "discount": Decimal(50), "minimum": Decimal(1)}, 150, 100),
    ],
)
def test_what_a_period_costs(changes: dict[str, Any], quantity: int, cents: float) -> None:
    assert charged(terms_of(**changes), quantity) == round(cents * CENT)


def terms_of(**changes: Any) -> pricing.PriceTerms:
    if "mode" in changes:
        changes["mode"] = pricing.TierMode(changes["mode"])
    return pricing.PriceTerms(**changes)


def test_each_step_has_a_line_of_its_own() -> None:
    terms = terms_of(tiers=TIERS, included=50, discount=Decimal(50), minimum=Decimal(1))
    assert pricing.adjust(terms, 150, 150 * CENT) == [
        ("graduated tiers, 50 included", -50 * CENT),
        ("discount of 50 %", -50 * CENT),
        ("up to the minimum of 1", 50 * CENT),
    ]
    assert pricing.adjust(terms_of(), 150, 150 * CENT) == []


def test_a_share_is_rounded_half_to_even() -> None:
    """Included quantities are worth the average of what the period's units cost."""
    assert [charged(terms_of(included=1), 2, base) for base in (1, 3, 5)] == [0, 2, 2]
    assert [charged(terms_of(discount=Decimal(50)), 1, base) for base in (1, 3, 5)] == [1, 1, 3]
    assert charged(terms_of(included=1), 3, 100) == 67


prices = st.decimals(0, Decimal("0.01"), places=12)


@st.composite
def tiers(draw: st.DrawFn) -> tuple[pricing.Tier, ...]:
    ends = sorted(draw(st.sets(st.integers(1, 10**6), max_size=4)))
    return tuple(pricing.Tier(end, draw(prices)) for end in [*ends, None])


packages = st.builds(pricing.Package, st.integers(1, 10**4), prices)
quantities = st.integers(0, 10**7)
any_terms = st.builds(
    pricing.PriceTerms,
    included=st.integers(0, 10**6),
    tiers=st.one_of(st.just(()), tiers()),
    mode=st.sampled_from(pricing.TierMode),
    discount=st.decimals(0, 100, places=3),
    minimum=st.decimals(0, 100, places=9),
)


@given(tiers(), quantities)
def test_graduated_tiers_cost_what_each_unit_costs(steps: tuple[pricing.Tier, ...], quantity: int) -> None:
    exact, below = Fraction(0), 0
    for up_to, price in steps:
        end = quantity if up_to is None else up_to
        exact += max(0, min(end, quantity) - below) * Fraction(price)
        below = min(end, quantity)
    assert charged(terms_of(tiers=steps), quantity) == round(exact * 10**9)


@given(tiers(), quantities, quantities, st.integers(0, 10**6))
def test_more_never_costs_less_in_graduated_tiers(
    steps: tuple[pricing.Tier, ...], one: int, other: int, included: int
) -> None:
    few, many = sorted((one, other))
    assert charged(terms_of(tiers=steps, included=included), few) <= charged(
        terms_of(tiers=steps, included=included), many
    )


@given(packages, quantities, quantities)
def test_more_never_costs_less_in_packages(package: pricing.Package, one: int, other: int) -> None:
    few, many = sorted((one, other))
    assert charged(terms_of(package=package), few) <= charged(terms_of(package=package), many)


@given(tiers(), quantities)
def test_volume_has_one_price_for_all(steps: tuple[pricing.Tier, ...], quantity: int) -> None:
    price = next(p for up_to, p in steps if up_to is None or quantity <= up_to)
    assert charged(terms_of(tiers=steps, mode="volume"), quantity) == pricing.nano_amount(quantity, price)


@given(any_terms, st.lists(st.integers(1, 10**5), max_size=30))
def test_how_a_quantity_was_split_changes_nothing(terms: pricing.PriceTerms, parts: list[int]) -> None:
    """At a base price of whole nano-units, lines add up to the line of the whole, and so does what they cost in the
    end."""
    split = sum(pricing.nano_amount(part, BASE) for part in parts)
    assert split == pricing.nano_amount(sum(parts), BASE)
    assert charged(terms, sum(parts), split) == charged(terms, sum(parts))


@given(st.integers(0, 10**6), st.lists(st.integers(1, 10**6), max_size=3), quantities)
def test_tiers_at_the_base_price_adjust_nothing(first: int, more: list[int], quantity: int) -> None:
    ends = sorted({first + 1, *more})
    same = tuple(pricing.Tier(end, BASE) for end in [*ends, None])
    for mode in pricing.TierMode:
        assert pricing.adjust(terms_of(tiers=same, mode=mode), quantity, pricing.nano_amount(quantity, BASE)) == []


@given(any_terms, quantities, st.integers(0, 10**15))
def test_nobody_is_paid_for_using(terms: pricing.PriceTerms, quantity: int, base: int) -> None:
    end = charged(terms, quantity, base)
    assert end >= round(Fraction(terms.minimum) * 10**9) >= 0
    assert all(step.amount_nano for step in pricing.adjust(terms, quantity, base))


@given(any_terms)
def test_terms_are_kept_exactly(terms: pricing.PriceTerms) -> None:
    check_terms(terms)
    kept = terms_of_json(terms_to_json(terms))
    assert [charged(kept, n) for n in (0, 7, 10**7)] == [charged(terms, n) for n in (0, 7, 10**7)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tiers": (pricing.Tier(5, BASE),)}, "tiers"),
        ({"tiers": (pricing.Tier(None, BASE), pricing.Tier(None, BASE))}, "tiers"),
        ({"tiers": (pricing.Tier(5, BASE), pricing.Tier(5, BASE), pricing.Tier(None, BASE))}, "tiers"),
        ({"tiers": (pricing.Tier(0, BASE), pricing.Tier(None, BASE))}, "tiers"),
        ({"tiers": (*(pricing.Tier(n, BASE) for n in range(1, 51)), pricing.Tier(None, BASE))}, "tiers"),
        ({"tiers": (pricing.Tier(None, Decimal(-1)),)}, "tiers.0.unit_price"),
        ({"tiers": TIERS, "package": pricing.Package(1, BASE)}, "package"),
        ({"package": pricing.Package(0, BASE)}, "package.size"),
        ({"package": pricing.Package(1, Decimal("NaN"))}, "package.price"),
        ({"included": -1}, "included"),
        ({"included": MAX_COUNT + 1}, "included"),
        ({"discount": Decimal("100.1")}, "discount"),
        ({"minimum": Decimal(-1)}, "minimum"),
    ],
)
def test_what_is_no_rule_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_terms(terms_of(**changes))
    assert [problem["field"] for problem in caught.value.details["fields"]] == [field]


DAY = date(2026, 3, 1)


def version(scope: str = "", model: str = "*", day: int = 1, *, withdrawn: bool = False, **terms: Any) -> Any:
    key = pricing.PriceKey("input_tokens", model, "USD", scope)
    return pricing.TermsVersion(uuid4(), key, terms_of(**terms), DAY.replace(day=day), withdrawn)


def lines(versions: list[pricing.TermsVersion], *totals: Total) -> list[tuple[str, str, int, int]]:
    found = adjustments(TermsBook(versions, DAY), "acme", "USD", totals)
    return [(a.scope, a.model, a.quantity, a.amount_nano // CENT) for a in found]


def used(scope: str, quantity: int, model: str = "m") -> Total:
    return Total(scope, "input_tokens", model, quantity, quantity * CENT)


FREE = {"discount": Decimal(100)}


def test_terms_add_up_what_is_used_where_they_hold() -> None:
    everyones, own, shops = version(**FREE), version("acme", **FREE), version("acme.shop", **FREE)
    usage = (used("acme.shop.eu", 1), used("acme.shop.us", 2), used("acme.lab.x", 4))
    assert lines([everyones], *usage) == [("acme", "*", 7, -7)]
    assert lines([everyones, own], *usage) == [("acme", "*", 7, -7)]
    assert lines([everyones, shops], *usage) == [("acme", "*", 4, -4), ("acme.shop", "*", 3, -3)]
    assert lines([version("acme.shop.eu", **FREE)], *usage) == [("acme.shop.eu", "*", 1, -1)]
    assert lines([version("acmes", **FREE)], *usage) == []


def test_a_models_terms_go_before_those_of_all_and_the_nearest_before_both() -> None:
    usage = (used("acme.shop.eu", 1, "big"), used("acme.shop.eu", 2, "small"))
    assert lines([version(**FREE), version(model="big", **FREE)], *usage) == [
        ("acme", "*", 2, -2),
        ("acme", "big", 1, -1),
    ]
    assert lines([version("acme", **FREE), version(model="big", **FREE)], *usage) == [("acme", "*", 3, -3)]
    assert lines([version("acme"), version(**FREE)], *usage) == []  # terms that say nothing hide those above
    assert lines([version("acme", withdrawn=True), version(**FREE)], *usage) == [("acme", "*", 3, -3)]


def test_the_version_in_force_as_the_period_begins_counts() -> None:
    assert lines([version(day=2, **FREE)], used("acme.shop.eu", 1)) == []
    both = [version(day=2), version(**FREE)]
    assert lines(both, used("acme.shop.eu", 1)) == [("acme", "*", 1, -1)]


def test_a_minimum_is_due_without_usage_and_once() -> None:
    least = {"minimum": Decimal("0.05")}
    assert lines([version(**least)]) == [("acme", "*", 0, 5)]
    assert lines([version(**least), version("acme", **least)], used("acme.shop.eu", 2)) == [("acme", "*", 2, 3)]
    assert lines([version(**least), version("acme.shop", **least)]) == [("acme", "*", 0, 5), ("acme.shop", "*", 0, 5)]
    assert lines([version(**least), version("rival", **least)]) == [("acme", "*", 0, 5)]


def test_a_part_of_a_token_has_terms_of_its_own() -> None:
    assert lines([version(**FREE)], Total("acme.shop.eu", "cached_input_tokens", "m", 5, 5 * CENT)) == []
