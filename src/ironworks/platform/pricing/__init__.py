"""Pricing: the price book, and what a quantity costs under it.

Owns: price versions, rated lines, and the lines that wait for a price. `rating.py` holds the arithmetic, pure.
Never: moves money (it remembers the transfer that did), or changes a version or a line that exists.
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
    Price,
    PriceInUse,
    PriceKey,
    RatedLine,
    Rating,
    TransferOf,
    UnratedLine,
    UnratedReason,
    lookups,
    show_nano,
)
from ironworks.platform.pricing.rating import PriceBook, nano_amount, rate
from ironworks.platform.pricing.service import (
    DEFAULT_PRICES,
    create_price,
    keep_rating,
    list_lines,
    list_prices,
    list_transfer_lines,
    list_unrated,
    rate_usage,
    rate_waiting,
    seed_default_prices,
    sum_costs,
)

__all__ = [
    "ANY_MODEL",
    "CURRENCY",
    "DEFAULT_PRICES",
    "FALLBACKS",
    "MAX_LINE_NANO",
    "NANO",
    "Price",
    "PriceBook",
    "PriceInUse",
    "PriceKey",
    "RatedLine",
    "Rating",
    "TransferOf",
    "UnratedLine",
    "UnratedReason",
    "create_price",
    "keep_rating",
    "list_lines",
    "list_prices",
    "list_transfer_lines",
    "list_unrated",
    "lookups",
    "nano_amount",
    "rate",
    "rate_usage",
    "rate_waiting",
    "seed_default_prices",
    "show_nano",
    "sum_costs",
]
