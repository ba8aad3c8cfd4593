"""Lines: ordered values of a whole column turned into small codes, between which a field's
predicates are ranges.

The code of a value is one more than the number of *cuts* at or before it (0 is left for rows
without such a value). Cuts are exact: for floats they become the least float that lies behind
them, so that comparing machine numbers answers what comparing the exact operands would.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.bitmaps import smallest_dtype
from service.core.comparisons import Cut, Interval
from service.core.traits import WRONG_TYPE, TraitType, read

Keys = NDArray[np.int64]

_SIGN = np.int64(63)
_REST = np.int64(2**63 - 1)
_LEAST, _MOST = -(2**63), 2**63 - 1
_CELL_BITS = 16
_MOST_PASSES = 8
TEXTS_KEPT = 65_536


def float_keys(values: NDArray[np.float64]) -> Keys:
    """Integers in the order of the floats: -0.0 with 0.0, no NaN."""
    bits = (values + 0.0).view(np.int64)
    return bits ^ (bits >> _SIGN & _REST)


def least_float(cut: Cut, amount: Callable[[float], Any]) -> float | None:
    """The least float that lies at or behind a cut, None when there is none. `amount` says how a
    float compares with the operand."""
    value, behind = cut

    def reached(candidate: float) -> bool:
        return bool(amount(candidate) > value if behind else amount(candidate) >= value)

    try:
        found = float(value)
    except OverflowError:
        found = math.inf if value > 0 else -math.inf
    while not reached(found):
        if found == math.inf:
            return None
        found = math.nextafter(found, math.inf)
    while found > -math.inf and reached(lower := math.nextafter(found, -math.inf)):
        found = lower
    return found


def least_integer(cut: Cut) -> int | None:
    """The least 64-bit integer at or behind a cut, None when there is none."""
    value, behind = cut
    if value in (math.inf, -math.inf):
        return _LEAST if value < 0 else None
    least = math.floor(value) + 1 if behind else math.ceil(value)
    return None if least > _MOST else max(least, _LEAST)


class Cells:
    """Thresholds laid over a grid of equal cells: a look-up finds a key's cell and with it most
    of its code; the few thresholds within the cell are compared one after the other."""

    def __init__(self, thresholds: Sequence[int], never: int) -> None:
        """`thresholds`: ascending; `never`: how many cuts no key reaches."""
        self.thresholds = np.array([*thresholds, _MOST], np.int64)
        self.count = len(thresholds)
        self.dtype = smallest_dtype(self.count + never + 2)
        if not thresholds:
            return
        first, last = thresholds[0], thresholds[-1]
        shift = max((last - first).bit_length() - _CELL_BITS, 0)
        # A whole cell on either side for all the keys beyond.
        self.low = max(first - (1 << shift), _LEAST)
        cells = (last - self.low >> shift) + 2
        self.high = min(self.low + (cells - 1 << shift), _MOST)
        self.shift = np.uint64(shift)
        steps = self._steps(self.thresholds[:-1])
        places = (steps >> self.shift).view(np.int64)
        # A threshold at the very start of its cell holds for all keys of the cell.
        at_start = steps & np.uint64((1 << shift) - 1) == 0
        within = np.bincount(places[~at_start], minlength=cells)
        self.most = int(within.max())
        codes = np.cumsum(np.bincount(places, minlength=cells)) - within + 1
        self.base = codes.astype(self.dtype)
        self.divided = within > 0

    def _steps(self, keys: Keys) -> NDArray[np.uint64]:
        return (keys - np.int64(self.low)).view(np.uint64)

    def codes(self, keys: Keys) -> NDArray[Any]:
        """One more than the number of thresholds at or below each key."""
        if not self.count:
            return np.ones(len(keys), self.dtype)
        inside = np.minimum(np.maximum(keys, self.low), self.high)
        cells = (self._steps(inside) >> self.shift).view(np.int64)
        codes = self.base.take(cells)
        if self.most:
            rows = np.flatnonzero(self.divided.take(cells))
            codes[rows] = self._within_cells(keys[rows], codes[rows])
        return codes

    def _within_cells(self, keys: Keys, codes: NDArray[Any]) -> NDArray[Any]:
        if self.most > _MOST_PASSES:
            return np.searchsorted(self.thresholds[:-1], keys, side="right") + 1
        found = codes.astype(np.intp)
        for _ in range(self.most):
            # Thresholds below the code are passed; is the next one?
            found += keys >= self.thresholds.take(found - 1, mode="clip")
        # The largest integer there is equals the sentinel behind the last threshold.
        return np.minimum(found, self.count + 1)


class Line:
    """All the cuts of one field under one type, and each predicate as bounds of codes."""

    def __init__(self, kind: TraitType, predicates: Iterable[list[Interval]]) -> None:
        """`predicates`: for each the sorted, disjoint intervals in which it holds."""
        predicates = list(predicates)
        self.kind = kind
        self.cuts: list[Cut] = sorted(
            {cut for held in predicates for interval in held for cut in interval if cut is not None}
        )
        self.count = len(self.cuts) + 2
        places = {cut: place + 2 for place, cut in enumerate(self.cuts)}
        # For each predicate where it begins and ceases to hold, as codes (what never ceases has
        # no end), and where it begins and ceases to fail.
        self.holds = [
            [
                bound
                for low, high in held
                for bound in ((1 if low is None else places[low]), high and places[high])
                if bound is not None
            ]
            for held in predicates
        ]
        self.fails = [bounds[1:] if bounds[:1] == [1] else [1, *bounds] for bounds in self.holds]
        self._texts: dict[str, int] = {}
        self._float_cells: Cells | None = None
        self._integer_cells: Cells | None = None

    def code(self, value: Any) -> int:
        """The code of one value, read as the line's type."""
        return bisect_right(self.cuts, (value, 0.5)) + 1 if self.cuts else 1

    def text_codes(self, texts: Sequence[str], zone: tzinfo) -> NDArray[Any]:
        """The codes of texts, 0 where one can't be read as the line's type."""
        known = self._texts
        if len(known) > TEXTS_KEPT:
            known.clear()
        codes = np.zeros(len(texts), smallest_dtype(self.count))
        for place, text in enumerate(texts):
            code = known.get(text)
            if code is None:
                value = read(self.kind, text, zone)
                known[text] = code = 0 if value is WRONG_TYPE else self.code(value)
            codes[place] = code
        return codes

    def float_codes(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """The codes of finite or infinite floats."""
        if self._float_cells is None:
            # Money reads a float as the decimal that prints it.
            as_printed = self.kind is TraitType.MONEY
            amount = (lambda value: Decimal(repr(value))) if as_printed else float
            found = [least_float(cut, amount) for cut in self.cuts]
            floats = np.array([each for each in found if each is not None], np.float64)
            self._float_cells = Cells(float_keys(floats).tolist(), found.count(None))
        return self._float_cells.codes(float_keys(values))

    def integer_codes(self, values: Keys) -> NDArray[Any]:
        """The codes of 64-bit integers."""
        if self._integer_cells is None:
            found = [least_integer(cut) for cut in self.cuts]
            integers = [each for each in found if each is not None]
            self._integer_cells = Cells(integers, found.count(None))
        return self._integer_cells.codes(values)
