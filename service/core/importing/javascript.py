"""How JSONLogic compares scalars: as JavaScript does (ECMA-262, 7.1.4 and 7.2.13 to 7.2.15).

Asked only of what is known when a condition is imported: of null, which JSONLogic reads where a
trait is missing, of a default, and of literals.
"""

import re
from typing import Any

from service.core.traits import is_number

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_RADIX = re.compile(r"0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)", re.ASCII)


def number_of(value: Any) -> int | float | None:
    """The number that a scalar counts as in a comparison, None for NaN: null and "" are 0."""
    if value is None or isinstance(value, bool):
        return int(bool(value))
    if is_number(value):
        return value
    text = str(value).strip()
    if not text:
        return 0
    if _DECIMAL.fullmatch(text):
        return float(text)
    return int(text, 0) if _RADIX.fullmatch(text) else None


def equal(left: Any, right: Any, strict: bool) -> bool:
    """`left === right`, or `left == right` when not strict."""
    if _kind(left) is _kind(right):
        return bool(left == right)
    if strict or left is None or right is None:
        return False
    first, second = number_of(left), number_of(right)
    return first is not None and first == second


def _kind(value: Any) -> type:
    return float if is_number(value) else type(value)


def ordered(operator: str, left: Any, right: Any) -> bool:
    """`left < right` for one of < <= > >=."""
    if not (isinstance(left, str) and isinstance(right, str)):
        left, right = number_of(left), number_of(right)
        if left is None or right is None:
            return False
    match operator:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case _:
            return bool(left >= right)


def truthy(value: Any) -> bool:
    """Whether a scalar counts as true: all but null, false, 0 and ""."""
    return bool(value)


def text_of(value: int | float) -> str:
    """A number as the text that it is searched for: 5.0 as 5."""
    return str(int(value)) if float(value).is_integer() else repr(value)
