"""Money: exact decimals in, JSON numbers out."""

from datetime import UTC
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from service.core.traits import EXACT_DIGITS, TraitType, Uncoercible, coerce, read

# What a sum of many amounts times a rate can need: nothing is rounded on the way.
EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)
HIGHEST = Decimal(10) ** 15

_STEP = Decimal("0.0001")


def money(value: Any) -> Decimal:
    """An amount as it was told, a number or its text (`"120.50"`). Raises Uncoercible.

    Of a number that is not whole the 15 digits count that a JSON number surely holds: shops add up
    doubles, and 0.30000000000000004 was to be 0.3.
    """
    if type(value) is float:
        value = float(f"{value:.{EXACT_DIGITS}g}")
    amount: Decimal = read(TraitType.MONEY, coerce(TraitType.MONEY, value, UTC), UTC)
    if not -HIGHEST < amount < HIGHEST:
        raise Uncoercible(f"an amount of money is less than {HIGHEST:,}")
    return amount


def rounded(amount: Decimal) -> Decimal:
    """A converted amount, to four decimals; a half goes to the even one. Two more than most
    currencies have, so that sums of many orders stay right."""
    return amount.quantize(_STEP, context=EXACT)


def text_of(amount: Decimal) -> str:
    """The one way an amount is written: `120.5`, without an exponent and needless zeros."""
    text = f"{amount:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def number_of(amount: Decimal) -> int | float:
    """An amount as a JSON number."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)
