"""Amounts as card networks count them: whole smallest units, which steps of them, and how many at least.

From docs.stripe.com/currencies: its lists of currencies without and with three decimals, its special cases, and its
table of minimum charges. What invoices come to is always a whole number of these steps (`invoices.round_to_coin`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from ironworks.shared.errors import invalid

THREE_DECIMALS: Final = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
NO_DECIMALS: Final = (
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
)  # fmt: skip
WHOLE_BUT_WRITTEN_WITH_TWO: Final = ("ISK", "UGX")
"""They have no smaller unit, and yet 5 of them are written 500."""
_EXPONENTS: Final[Mapping[str, int]] = {**dict.fromkeys(NO_DECIMALS, 0), **dict.fromkeys(THREE_DECIMALS, 3)}
_STEPS: Final[Mapping[str, int]] = {
    **dict.fromkeys(THREE_DECIMALS, 10),
    **dict.fromkeys(WHOLE_BUT_WRITTEN_WITH_TWO, 100),
}
"""Of so many smallest units an amount must be a multiple."""
_LEAST: Final[Mapping[str, Decimal]] = {
    **dict.fromkeys(("AUD", "BRL", "CAD", "CHF", "EUR", "INR", "NZD", "SGD", "USD"), Decimal("0.50")),
    "AED": Decimal(2), "BGN": Decimal(1), "CZK": Decimal(15), "DKK": Decimal("2.50"), "GBP": Decimal("0.30"),
    "HKD": Decimal(4), "HUF": Decimal(175), "JPY": Decimal(50), "MXN": Decimal(10), "MYR": Decimal(2),
    "NOK": Decimal(3), "PLN": Decimal(2), "RON": Decimal(2), "SEK": Decimal(3), "THB": Decimal(10),
}  # fmt: skip


def minor_units(amount_nano: int, currency: str) -> int:
    """An amount in the currency's smallest unit. Raises Invalid for one that cannot be charged to the last digit."""
    units, rest = divmod(amount_nano, _minor_unit(currency))
    step = _STEPS.get(currency, 1)
    if rest or units <= 0 or units % step:
        least = Decimal(step * _minor_unit(currency)).scaleb(-9).normalize()
        raise invalid(
            "amount", f"is no positive multiple of {least:f} {currency}, which cards are charged in", "round it"
        )
    return units


def nano_units(amount_minor: int, currency: str) -> int:
    """The way back."""
    return amount_minor * _minor_unit(currency)


def smallest_charge_nano(currency: str) -> int:
    """Nano-units below which nothing is charged; 0 where the minimum is that of another currency, after conversion."""
    return int(_LEAST.get(currency, Decimal(0)).scaleb(9))


def _minor_unit(currency: str) -> int:
    return int(10 ** (9 - _EXPONENTS.get(currency, 2)))
