"""What a quantity costs: exact, rounded once, half to even, at the version in force."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.platform import metering, pricing
from ironworks.platform.pricing.model import FALLBACKS, PriceInUse, check_start
from tests.support.money import NOON

DAY = timedelta(days=1)


def version(price: str = "0.0000001", model: str = "*", days: float = 0, meter: str = "input_tokens") -> pricing.Price:
    return pricing.Price(uuid4(), pricing.PriceKey(meter, model, "USD"), Decimal(price), NOON + days * DAY)


@pytest.mark.parametrize(
    ("quantity", "unit_price", "nano"),
    [
        (1, "1", 10**9),
        (7, "0.0000001", 700),
        (1, "0.0000000005", 0),  # half, and 0 is even
        (3, "0.0000000005", 2),  # 1.5 → 2
        (5, "0.0000000005", 2),  # 2.5 → 2
        (7, "0.0000000005", 4),  # 3.5 → 4
        (1, "0.00000000049999999", 0),
        (1, "0.0000000005000000001", 1),  # a little over half
        (999, "0.000000000001", 1),  # 0.999
        (0, "123.45", 0),
        (10**12, "0.000000000000000001", 1000),
        (10**12, "1000000", 10**27),
        (3, "1E+2", 300 * 10**9),
        (5, "0", 0),
    ],
)
def test_half_even_table(quantity: int, unit_price: str, nano: int) -> None:
    assert pricing.nano_amount(quantity, Decimal(unit_price)) == nano


@given(st.integers(0, 10**12), st.decimals(0, 10**6, places=18))
def test_the_amount_is_the_exact_product_rounded_half_even(quantity: int, unit_price: Decimal) -> None:
    assert pricing.nano_amount(quantity, unit_price) == round(Fraction(unit_price) * quantity * 10**9)


@pytest.mark.parametrize("text", ["NaN", "Infinity"])
def test_what_is_no_number_is_no_price(text: str) -> None:
    with pytest.raises(ValueError, match="is no price"):
        pricing.nano_amount(1, Decimal(text))


@pytest.mark.parametrize(
    ("nano", "shown"), [(0, "0.000000000"), (1200, "0.000001200"), (-1, "-0.000000001"), (5 * 10**9 + 7, "5.000000007")]
)
def test_money_is_shown_exactly(nano: int, shown: str) -> None:
    assert pricing.show_nano(nano) == shown


def test_the_version_in_force_at_the_moment_of_use_prices_it() -> None:
    early, late, own = version("1"), version("2", days=10), version("3", "big", days=5)
    book = pricing.PriceBook([late, own, early])
    found = {days: book.find("input_tokens", "big", "USD", NOON + days * DAY) for days in (-1, 0, 4.999, 5, 11)}
    assert found == {-1: None, 0: early, 4.999: early, 5: own, 11: own}
    assert book.find("input_tokens", "small", "USD", NOON + 10 * DAY) == late
    assert book.find("input_tokens", "small", "EUR", NOON + 10 * DAY) is None
    assert book.find("output_tokens", "small", "USD", NOON + 10 * DAY) is None


def test_what_has_no_price_or_costs_absurdly_much_waits() -> None:
    def used(quantity: int, meter: str = "input_tokens") -> metering.UsageEvent:
        return metering.UsageEvent(id="req", occurred_at=NOON, scope="acme", quantities={meter: quantity}, model="m")

    rating = pricing.rate([used(1), used(1, "output_tokens"), used(10**12)], pricing.PriceBook([version("1")]))
    assert [(line.quantity, line.amount_nano) for line in rating.lines] == [(1, 10**9)]
    assert [(u.measured.meter, u.reason) for u in rating.unrated] == [
        ("output_tokens", "no_price"),
        ("input_tokens", "over_limit"),
    ]


NOW = NOON + 20 * DAY


@pytest.mark.parametrize(
    ("book", "model", "days", "allowed"),
    [
        ([], "*", 20, True),
        ([], "*", -300, True),  # nothing had a price yet
        ([version()], "*", 20, True),
        ([version()], "*", 30, True),
        ([version()], "*", 19, False),  # the first one priced that day
        ([version()], "*", -5, True),  # before the first one
        ([version()], "*", 0, False),  # the same moment
        ([version(days=30)], "*", 30, False),  # the same moment, to come
        ([version()], "big", 10, False),  # `*` priced it
        ([version(days=25)], "big", 10, True),  # `*` has not begun
        ([version(model="other")], "big", 10, True),
        ([version(days=15)], "big", 10, False),  # from day 15 on `*` priced it
        ([version(days=15), version(model="big", days=12)], "big", 10, True),  # ends before `*` begins
    ],
)
def test_a_new_version_never_gives_two_prices_to_one_moment(
    book: list[pricing.Price], model: str, days: int, allowed: bool
) -> None:
    key = pricing.PriceKey("input_tokens", model, "USD")
    if allowed:
        check_start(book, key, NOON + days * DAY, NOW)
    else:
        with pytest.raises(PriceInUse):
            check_start(book, key, NOON + days * DAY, NOW)


def test_a_part_of_a_token_costs_what_the_whole_costs() -> None:
    """The model's own price before that of `*`, and at each the meter's own before that of the whole."""
    own, whole = version("1", "big", meter="reasoning_tokens"), version("2", "big", meter="output_tokens")
    any_own, any_whole = version("3", meter="reasoning_tokens"), version("4", meter="output_tokens")
    book = [any_whole, any_own, whole, own]
    for left in (own, whole, any_own, any_whole, None):
        assert pricing.PriceBook(book).find("reasoning_tokens", "big", "USD", NOON) == left
        book = book[:-1]
    assert pricing.PriceBook([own, any_own]).find("output_tokens", "big", "USD", NOON) is None
    assert pricing.PriceBook([whole]).find("images", "big", "USD", NOON) is None


METERS = (*FALLBACKS, "input_tokens", "output_tokens", "images")
MODELS = ("big", "small", "*")
prices = st.builds(
    version,
    st.sampled_from(["0", "0.0000000005", "0.00000012345", "1"]),
    st.sampled_from(MODELS),
    st.integers(-5, 25),
    st.sampled_from(METERS),
)


@given(st.lists(prices, max_size=12), st.sampled_from(METERS), st.integers(1, 10**9), st.integers(-6, 26))
def test_rating_takes_the_first_price_in_the_declared_order(
    book: list[pricing.Price], meter: str, quantity: int, days: int
) -> None:
    at = NOON + days * DAY
    keys = [(name, model) for model in ("big", "*") for name in (meter, FALLBACKS.get(meter, meter))]
    began = [[p for p in book if (p.key.meter, p.key.model) == key and p.valid_from <= at] for key in keys]
    expected = next((max(found, key=lambda p: p.valid_from).unit_price for found in began if found), None)
    if len({(p.key, p.valid_from) for p in book}) < len(book):
        return  # two versions that begin together cannot be created
    used = metering.UsageEvent(
        id="req",
        occurred_at=NOON - 99 * DAY,
        scope="acme",
        quantities={meter: quantity},
        model="big",
        priced_at=at,
    )
    rating = pricing.rate([used], pricing.PriceBook(book))
    if expected is None:
        assert [line.reason for line in rating.unrated] == ["no_price"]
    elif (amount := round(Fraction(expected) * quantity * 10**9)) <= pricing.MAX_LINE_NANO:
        assert [line.amount_nano for line in rating.lines] == [amount]


@given(
    st.lists(prices, max_size=8, unique_by=lambda price: (price.key, price.valid_from)),
    st.lists(st.tuples(st.dictionaries(st.sampled_from(METERS), st.integers(0, 9)), st.integers(-6, 26)), max_size=8),
)
def test_rating_a_batch_gives_what_rating_each_event_gives(
    book: list[pricing.Price], used: list[tuple[dict[str, int], int]]
) -> None:
    """Whatever was in force for the event before."""
    events = [
        metering.UsageEvent(id=f"req{n}", occurred_at=NOON + days * DAY, scope="acme", quantities=found, model="big")
        for n, (found, days) in enumerate(used)
    ]
    together = pricing.rate(events, pricing.PriceBook(book))
    apart = [pricing.rate([event], pricing.PriceBook(book)) for event in events]
    assert together.lines == [line for one in apart for line in one.lines]
    assert list(together.unrated) == [line for one in apart for line in one.unrated]
    assert len(together.lines) + len(together.unrated) == sum(bool(n) for found, _ in used for n in found.values())


@given(st.lists(prices, max_size=8), st.lists(st.tuples(prices, st.integers(0, 20)), max_size=8))
def test_a_version_created_later_never_changes_what_a_moment_costs(
    first: list[pricing.Price], created: list[tuple[pricing.Price, int]]
) -> None:
    """Whatever check_start lets in at some moment leaves alone every price that was found for moments before it."""
    book: list[pricing.Price] = []
    for price, now in [*((p, -99) for p in first), *sorted(created, key=lambda pair: pair[1])]:
        try:
            check_start(book, price.key, price.valid_from, NOON + now * DAY)
        except PriceInUse:
            continue
        before, after = pricing.PriceBook(book), pricing.PriceBook([*book, price])
        for meter in METERS:
            for model in MODELS:
                for days in range(-6, now):
                    old = before.find(meter, model, "USD", NOON + days * DAY)
                    assert old is None or after.find(meter, model, "USD", NOON + days * DAY) == old
        book.append(price)
