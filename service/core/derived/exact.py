"""Numbers of JSON as the decimals that their authors wrote, so that 0.1 + 0.2 is 0.3."""

import math
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from functools import lru_cache
from typing import Any

# IEEE 754-2008, decimal128: 34 digits. What has no result is an error, and not a special value:
# 1 / (1 / 0) must not come to nothing.
DECIMAL = Context(
    prec=34, Emin=-6143, Emax=6144, traps=[DivisionByZero, InvalidOperation, Overflow]
)


def decimal_of(raw: Any) -> Decimal | None:
    """A raw value as a decimal; None where it is no finite number."""
    kind = type(raw)
    if kind is int:
        return Decimal(raw)
    return _of_float(raw) if kind is float else None


# A customer's numbers are asked for at each of several instants.
@lru_cache(maxsize=16_384)
def _of_float(raw: float) -> Decimal | None:
    # The shortest decimal that reads back as this float: what the caller wrote.
    return Decimal(repr(raw)) if math.isfinite(raw) else None


def json_number(exact: Decimal) -> int | float | None:
    """A decimal as a number of JSON: an integer where it is whole, else the nearest double; None
    where it is too large for one."""
    if exact.adjusted() < DECIMAL.prec and exact == exact.to_integral_value():
        return int(exact)
    nearest = float(exact)
    # What is too small for a double is plain zero.
    return (nearest or 0.0) if math.isfinite(nearest) else None
