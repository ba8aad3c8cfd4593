"""Comparisons of two fields over a block."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core import instants
from service.core.bitmaps import Bitmap, pack
from service.core.columns import Column, Instants, Numbers
from service.core.comparisons import TIMES
from service.core.conditions import Rule
from service.core.instants import Moment
from service.core.operators import Family
from service.core.traits import TraitType


def compared(
    rule: Rule, column: Column, other: Column, size: int, moment: Moment, truth: bool
) -> Bitmap:
    """The rows where a comparison of two fields has a truth: row by row, but machine numbers all
    at once."""
    quick = _numbers_compared(rule, column, other, moment, truth)
    if quick is not None:
        return quick
    both = np.flatnonzero(column.present(size) & other.present(size))
    left, right = column.raw(size), other.raw(size)
    flags = np.zeros(size, dtype=bool)
    for row in both:
        flags[row] = rule.operator.test(left[row], right[row], rule, moment) is truth
    return pack(flags)


def _numbers_compared(
    rule: Rule, column: Column, other: Column, moment: Moment, truth: bool
) -> Bitmap | None:
    """The rows where both columns are machine numbers of one kind, else None."""
    if rule.operator.family not in (Family.EQUALITY, Family.ORDER):
        return None
    if len(column.parts) != 1 or len(other.parts) != 1:
        return None
    (left,), (right,) = column.parts, other.parts
    low: Any = 0
    high: Any = 1
    if isinstance(left, Numbers) and isinstance(right, Numbers):
        if left.values.dtype != right.values.dtype:
            return None
        if rule.kind not in (None, TraitType.NUMBER, TraitType.MONEY):
            return None
        a: NDArray[Any] = left.values
        b: NDArray[Any] = right.values
        both = left.valid & right.valid & np.isfinite(a) & np.isfinite(b)
        finite = left.valid & right.valid
        if rule.kind is not TraitType.MONEY and not np.array_equal(both, finite):
            return None
    elif isinstance(left, Instants) and isinstance(right, Instants) and rule.kind in TIMES:
        a, b, both = left.micros, right.micros, left.valid & right.valid
        low, high = instants.to_datetime(0), instants.to_datetime(1)
    else:
        return None
    # What the operator says of less, equal and more decides every row.
    flags = np.zeros(len(a), dtype=bool)
    for one, two, relation in (
        (low, high, np.less),
        (low, low, np.equal),
        (high, low, np.greater),
    ):
        if rule.operator.test(one, two, rule, moment) is truth:
            flags |= relation(a, b)
    return pack(flags & both)
