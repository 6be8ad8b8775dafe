"""Pricing: the price book, and what a quantity costs under it.

Owns: price versions, terms (tiers, packages, included quantities, discounts, minimums), rated lines, and the lines that
wait for a price. `rating.py` holds the arithmetic of lines, `terms.py` that of a period's close, `simulation.py` that
of other prices, all pure; `periods.py` the SQL of whole periods, `totals.py` that of reports.
Never: moves money (it remembers the transfer that did), converts currencies, or changes a version or line that exists.
Invariants: prices are exact decimals; a line is rounded once, half to even, to whole nano-units; it keeps the price
version that made it and belongs to exactly one transfer (a line that costs nothing moves nothing, and has none); a
quantity without a price is kept until there is one; what part of a token has no price of its own costs what the whole
costs; a version created later never changes what a moment costs.
"""

from ironworks.platform.pricing.model import (
    ANY_MODEL,
    CURRENCY,
    FALLBACKS,
    MAX_LINE_NANO,
    NANO,
    LineGroup,
    Price,
    PriceInUse,
    PriceKey,
    RatedLine,
    Rating,
    TransferOf,
    UnratedLine,
    UnratedReason,
    chain_of,
    lookups,
    show_nano,
)
from ironworks.platform.pricing.rating import PriceBook, nano_amount, rate
from ironworks.platform.pricing.service import (
    DEFAULT_PRICES,
    create_price,
    create_terms,
    group_transfer_lines,
    keep_rating,
    list_adjustments,
    list_group_lines,
    list_lines,
    list_prices,
    list_terms,
    list_transfer_lines,
    list_unadjusted,
    list_unrated,
    rate_usage,
    rate_waiting,
    seed_default_prices,
    simulate_prices,
    sum_costs,
    withdraw_price,
)
from ironworks.platform.pricing.simulation import Difference, GroupBy, OtherBook, Simulation
from ironworks.platform.pricing.terms import (
    Adjustment,
    Package,
    PriceTerms,
    Step,
    TermsVersion,
    Tier,
    TierMode,
    Total,
    adjust,
)
from ironworks.platform.pricing.totals import RATED_BY, RatedSum, sum_rated

__all__ = [
    "ANY_MODEL",
    "CURRENCY",
    "DEFAULT_PRICES",
    "FALLBACKS",
    "MAX_LINE_NANO",
    "NANO",
    "RATED_BY",
    "Adjustment",
    "Difference",
    "GroupBy",
    "LineGroup",
    "OtherBook",
    "Package",
    "Price",
    "PriceBook",
    "PriceInUse",
    "PriceKey",
    "PriceTerms",
    "RatedLine",
    "RatedSum",
    "Rating",
    "Simulation",
    "Step",
    "TermsVersion",
    "Tier",
    "TierMode",
    "Total",
    "TransferOf",
    "UnratedLine",
    "UnratedReason",
    "adjust",
    "chain_of",
    "create_price",
    "create_terms",
    "group_transfer_lines",
    "keep_rating",
    "list_adjustments",
    "list_group_lines",
    "list_lines",
    "list_prices",
    "list_terms",
    "list_transfer_lines",
    "list_unadjusted",
    "list_unrated",
    "lookups",
    "nano_amount",
    "rate",
    "rate_usage",
    "rate_waiting",
    "seed_default_prices",
    "show_nano",
    "simulate_prices",
    "sum_costs",
    "sum_rated",
    "withdraw_price",
]
