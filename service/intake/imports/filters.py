"""Which rows of a file are meant: `Price > 0`."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from service.intake.imports.cells import Unreadable, amount, text

_WRITTEN = re.compile(r"(?P<column>.+?)\s*(?P<sign>!=|<=|>=|=|<|>)\s*(?P<value>.*)", re.DOTALL)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Where:
    """Rows of whose column something is true. Numbers compare as numbers, everything else as texts,
    and only by = and !=; what is empty is equal to nothing but an empty value."""

    column: str
    sign: str
    value: str

    @classmethod
    def of(cls, written: str) -> Self | None:
        """`Price > 0`; None where it is none."""
        match = _WRITTEN.fullmatch(written.strip())
        if match is None:
            return None
        found = cls(match["column"].strip(), match["sign"], match["value"].strip())
        if found.sign not in ("=", "!=") and _number(found.value, ".") is None:
            return None
        return found

    def test(self, decimal: str) -> Callable[[Any], bool]:
        """Whether a cell is meant."""
        wanted = _number(self.value, ".")
        compare = _COMPARE[self.sign]
        unequal = self.sign == "!="

        def holds(cell: Any) -> bool:
            if wanted is not None:
                found = _number(cell, decimal)
                return unequal if found is None else compare(found, wanted)
            try:
                return compare(text(cell) or "", self.value)
            except Unreadable:
                return unequal

        return holds


def _number(cell: Any, decimal: str) -> Decimal | None:
    try:
        found = amount(cell, decimal)
    except Unreadable:
        return None
    return None if found is None else Decimal(found)
