"""Money: exact decimals in, JSON numbers out."""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Any

from service.core.traits import EXACT_DIGITS, TraitType, Uncoercible, describe, type_english

# What a sum of many amounts times a rate can need: nothing is rounded on the way.
EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)
HIGHEST = 10**15
REMEMBERED = 32_768

_AMOUNT = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?", re.ASCII)
_STEP = Decimal("0.0001")


def money(value: Any) -> Decimal:
    """An amount as it was told, a number or its text (`"120.50"`). Raises Uncoercible.

    Of a number that is not whole the 15 digits count that a JSON number surely holds: shops add up
    doubles, and 0.30000000000000004 was to be 0.3.
    """
    kind = type(value)
    if kind is str:
        told = told_amount(value)
        if told is not None:
            return told
    if kind is int and -HIGHEST < value < HIGHEST:
        return Decimal(value)
    if kind is float and -HIGHEST < value < HIGHEST:
        return Decimal(f"{value:.{EXACT_DIGITS}g}")
    raise Uncoercible(
        f"expected {type_english(TraitType.MONEY)} below {HIGHEST:,}, got {describe(value)}"
    )


@lru_cache(maxsize=REMEMBERED)
def told_amount(text: str) -> Decimal | None:
    """The amount that a text tells, None if it tells none. Prices are the same again and again."""
    text = text.strip()
    return Decimal(text) if _AMOUNT.fullmatch(text) else None


def rounded(amount: Decimal) -> Decimal:
    """A converted amount, to four decimals; a half goes to the even one. Two more than most
    currencies have, so that sums of many orders stay right."""
    return amount.quantize(_STEP, context=EXACT)


@lru_cache(maxsize=REMEMBERED)
def text_of(amount: Decimal) -> str:
    """The one way an amount is written: `120.5`, without an exponent and needless zeros."""
    text = f"{amount:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


@lru_cache(maxsize=REMEMBERED)
def number_of(amount: Decimal) -> int | float:
    """An amount as a JSON number."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)
