"""Amounts of a currency: its coins, what totals are rounded to, how people read them. In whole nano-units (10⁻⁹)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

NANO: Final = 10**9


_DIGITS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX"), 0),
    **dict.fromkeys(("VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""Decimal places of the smallest coin (ISO 4217), where they are not two. No fifth of an ariary (MGA) is charged."""


def digits_of(currency: str) -> int:
    """How many decimal places an invoice in `currency` has."""
    return _DIGITS.get(currency, 2)


def coin_of(currency: str) -> int:
    """The smallest coin of `currency`, in nano-units."""
    return int(10 ** (9 - digits_of(currency)))


def step_of(currency: str) -> int:
    """What every total is a multiple of, in nano-units: the smallest coin; ten of them where there are three places,
    for card networks charge no single one of these."""
    return coin_of(currency) * (10 if digits_of(currency) == 3 else 1)


def round_to_coin(amount_nano: int, currency: str) -> int:
    """`amount_nano` in whole steps of the currency, half to even."""
    step = step_of(currency)
    return int((Decimal(amount_nano) / step).quantize(Decimal(1), ROUND_HALF_EVEN)) * step


def show_money(amount_nano: int, currency: str) -> str:
    """An amount in coins as people read it: 1234560000000 USD → `1,234.56`. Raises ValueError for parts of a coin."""
    if amount_nano % coin_of(currency):
        raise ValueError(f"{amount_nano} nano-units are no whole coins of {currency}")
    return f"{Decimal(amount_nano).scaleb(-9):,.{digits_of(currency)}f}"


def show_exact(amount_nano: int, currency: str) -> str:
    """An amount with as many places as it needs, and no fewer than the currency has: 1234500 USD → `0.0012345`."""
    whole, _, part = f"{Decimal(amount_nano).scaleb(-9):,.9f}".partition(".")
    part = part.rstrip("0").ljust(digits_of(currency), "0")
    return f"{whole}.{part}" if part else whole
