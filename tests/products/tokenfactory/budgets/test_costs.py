"""What the gateway quotes is what rating charges, to the last nano-unit, and never more than it held."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from ironworks.platform import metering, pricing
from ironworks.products.tokenfactory.gateway.costs import LAG, Prices, lag_of, quantities_of
from ironworks.products.tokenfactory.gateway.model import Usage

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
METERS = (
    metering.INPUT_TOKENS, metering.CACHED_INPUT_TOKENS, metering.INPUT_AUDIO_TOKENS,
    metering.OUTPUT_TOKENS, metering.REASONING_TOKENS, metering.OUTPUT_AUDIO_TOKENS,
)  # fmt: skip


def price(
    meter: str, unit: str, model: str = "*", since: datetime = NOON, currency: str = "USD", scope: str = ""
) -> pricing.Price:
    return pricing.Price(uuid4(), pricing.PriceKey(meter, model, currency, scope), Decimal(unit), since)


WHOLE = (price(metering.INPUT_TOKENS, "0.0000001"), price(metering.OUTPUT_TOKENS, "0.0000004"))
units = st.decimals(min_value=0, max_value=Decimal("0.001"), places=14)
tokens = st.integers(0, 10**7)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Parts are parts of their whole."""
    given_in, given_out = draw(tokens), draw(tokens)
    cached = draw(st.integers(0, given_in))
    heard = draw(st.integers(0, given_in - cached))
    thought = draw(st.integers(0, given_out))
    spoken = draw(st.integers(0, given_out - thought))
    return Usage(given_in, cached, given_out, False, thought, heard, spoken)


@st.composite
def books(draw: st.DrawFn, scopes: Sequence[str] = ("",)) -> list[pricing.Price]:
    found = [price(meter, str(draw(units))) for meter in (metering.INPUT_TOKENS, metering.OUTPUT_TOKENS)]
    for meter, model, scope in product(METERS, ("m", "*"), scopes):
        if draw(st.booleans()) and pricing.PriceKey(meter, model, "USD", scope) not in {p.key for p in found}:
            found.append(price(meter, str(draw(units)), model, scope=scope))
    return found


def rated(prices: Sequence[pricing.Price], usage: Usage, at: datetime, scope: str = "acme") -> pricing.Rating:
    event = metering.UsageEvent(id="e", occurred_at=at, scope=scope, quantities=quantities_of(usage), model="m")
    return pricing.rate([event], pricing.PriceBook(prices))


@given(books(), usages())
def test_a_quote_is_what_rating_charges(prices: list[pricing.Price], usage: Usage) -> None:
    quote = Prices(prices).quote("m", NOON.timestamp())
    assert quote.complete
    assert quote.cost(usage) == sum(line.amount_nano for line in rated(prices, usage, NOON).lines)


@given(books(("", "acme", "acme.shop")), usages(), st.sampled_from(["acme", "acme.shop", "acme.shop.eu", "acme.shops"]))
def test_a_quote_is_what_rating_charges_where_a_scope_has_prices_of_its_own(
    prices: list[pricing.Price], usage: Usage, scope: str
) -> None:
    held = Prices(prices)
    held.quote("m", NOON.timestamp(), "rival")
    quote = held.quote("m", NOON.timestamp(), scope)
    assert quote.cost(usage) == sum(line.amount_nano for line in rated(prices, usage, NOON, scope).lines)


@given(books(), usages())
def test_no_split_costs_more_than_the_worst_case(prices: list[pricing.Price], usage: Usage) -> None:
    quote = Prices(prices).quote("m", NOON.timestamp())
    cost = quote.cost(usage)
    assert cost is not None
    assert cost <= quote.worst(usage.input_tokens, usage.output_tokens)


@given(books(), tokens, st.integers(0, 10**12))
def test_what_is_affordable_fits_and_one_more_does_not(prices: list[pricing.Price], given_in: int, nano: int) -> None:
    quote = Prices(prices).quote("m", NOON.timestamp())
    output = quote.affordable_output(nano, given_in)
    if output:
        assert quote.worst(given_in, output) <= nano
    if output < 2**31:
        assert quote.worst(given_in, output + 1) > nano


def test_it_prices_what_is_part_of_a_token_count_like_the_whole() -> None:
    quote = Prices(WHOLE).quote("m", NOON.timestamp())
    assert quote.cost(Usage(10, 4, 5, False, 2)) == 10 * 100 + 5 * 400
    assert quote.worst(10, 5) == 10 * 100 + 5 * 400, "no rounding, so nothing is held for it"


def test_without_a_price_nobody_can_say() -> None:
    quote = Prices(WHOLE[:1]).quote("m", NOON.timestamp())
    assert not quote.complete
    assert quote.cost(Usage(10, 0, 0)) == 1000
    assert quote.cost(Usage(10, 0, 1)) is None
    assert quote.cost(Usage(0, 0, 0, extra=(("images", 1),))) is None
    assert not Prices().quote("m", NOON.timestamp()).complete
    assert not Prices([price(meter, "1", currency="EUR") for meter in METERS]).quote("m", NOON.timestamp()).complete


def test_a_version_counts_from_its_moment_on() -> None:
    """One book, all moments: a quote that is kept is not used past the next version."""
    later = NOON + timedelta(hours=1)
    prices = Prices([*WHOLE, price(metering.OUTPUT_TOKENS, "0.0000008", since=later)])
    usage = Usage(0, 0, 10)
    before = NOON - timedelta(seconds=1)
    found = [prices.quote("m", at.timestamp()).cost(usage) for at in (before, NOON, later, NOON, later)]
    assert found == [None, 4000, 8000, 4000, 8000]
    assert prices.quote("m", NOON.timestamp()) is prices.quote("m", NOON.timestamp() + 3599)


def test_requests_are_priced_at_a_moment_of_which_all_is_known() -> None:
    assert lag_of(0.1) == LAG
    assert lag_of(60.0) == 61.0


def test_scopes_with_the_same_prices_share_one_quote() -> None:
    own = price(metering.INPUT_TOKENS, "0.0000002", scope="acme.shop")
    prices, at = Prices([*WHOLE, own]), NOON.timestamp()
    assert prices.quote("m", at, "acme.shop.eu") is prices.quote("m", at, "acme.shop.us.x")
    assert prices.quote("m", at, "acme.lab") is prices.quote("m", at, "rival.app.x") is prices.quote("m", at)
    assert prices.quote("m", at, "acme.shop.eu") is not prices.quote("m", at)


def test_a_withdrawn_price_leaves_the_next_one() -> None:
    own = price(metering.INPUT_TOKENS, "0.0000002", scope="acme.shop")
    end = pricing.Price(uuid4(), own.key, Decimal(0), NOON + timedelta(hours=1), withdrawn=True)
    prices, usage = Prices([*WHOLE, own, end]), Usage(10, 0, 0)
    found = [prices.quote("m", NOON.timestamp() + s, "acme.shop.eu").cost(usage) for s in (0, 3599, 3600)]
    assert found == [2000, 2000, 1000]


def test_an_account_with_another_currency_has_no_quote() -> None:
    """Budgets and the header are in one currency; nothing is converted."""
    euros = pricing.AccountCurrency("acme", "EUR", NOON + timedelta(hours=1))
    prices = Prices([*WHOLE, price(metering.INPUT_TOKENS, "1", currency="EUR"), euros])
    at = euros.valid_from.timestamp()
    assert prices.quote("m", at, "acme.shop.eu").cost(Usage(10, 0, 0)) is None
    assert not prices.quote("m", at, "acme.shop.eu").complete
    assert prices.quote("m", at - 1, "acme.shop.eu").cost(Usage(10, 0, 0)) == 1000
    assert prices.quote("m", at, "rival.app.x").cost(Usage(10, 0, 0)) == 1000
