"""Cut points: how many of all customers had which value when a rank was refreshed.

A rank is k/n, k of the n customers having a smaller value (or a larger one). It is the double
nearest to the fraction, as Python divides integers, and compares with a threshold as the fraction
does: rounding keeps the order, and a fraction that differs from a threshold of d decimals differs
by at least 1/(n · 10^d), which is more than doubles below 1 are apart (2⁻⁵³) while n · 10^d < 2⁵³.
That is every threshold of 8 decimals among ten million customers.
"""

import math
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.comparisons import Cut, Interval

# By the type code of the array: instants and days are whole, numbers are doubles.
_DTYPES = {"q": "<i8", "d": "<f8"}
_VERSION = 1
_HEADER = struct.Struct("<BcBQ")
_START, _END = (-math.inf, 0), (math.inf, 1)


class Unreadable(ValueError):
    """Stored cut points that this version can't read."""


@dataclass(frozen=True, slots=True)
class CutPoints:
    """The distinct values in order, and for each how many values are not above it.

    `descending`: whether the customers above are counted, not those below.
    """

    values: "array[int] | array[float]"
    counts: "array[int]"
    descending: bool = False

    @property
    def size(self) -> int:
        """How many customers were ranked."""
        return self.counts[-1] if self.counts else 0

    def rank(self, value: float) -> float | None:
        """The share of customers below a value (above it, if descending), in [0, 1); None where
        nobody was ranked.

        A value beyond all others is ranked as if its customer had been among those: n others are
        never below it.
        """
        size = self.size
        if not size:
            return None
        if self.descending:
            place = bisect_right(self.values, value)
            beyond = size - (self.counts[place - 1] if place else 0)
        else:
            place = bisect_left(self.values, value)
            beyond = self.counts[place - 1] if place else 0
        return min(beyond, size - 1) / size

    def boundary(self, threshold: float, *, above: bool) -> Cut:
        """Where, in the order of values, the rank changes from being less than a threshold to
        reaching it; with `above`, from at most the threshold to being above it. -∞ and +∞ where
        it does so nowhere within the values."""
        size = self.size
        least = _least(threshold, size, above)
        everywhere, nowhere = (_END, _START) if self.descending else (_START, _END)
        if least == 0:
            return everywhere
        if least >= size:
            return nowhere
        if self.descending:
            # The largest value with so many at or above it: below it they are beyond.
            return self.values[bisect_right(self.counts, size - least)], 0
        return self.values[bisect_left(self.counts, least)], 1

    def encode(self) -> bytes:
        """The cut points as bytes, the same on every machine."""
        code = self.values.typecode
        header = _HEADER.pack(_VERSION, code.encode(), self.descending, len(self.values))
        values = np.frombuffer(self.values, dtype=code).astype(_DTYPES[code])
        counts = np.frombuffer(self.counts, dtype=self.counts.typecode).astype("<u4")
        return header + values.tobytes() + counts.tobytes()


def decode(stored: bytes) -> CutPoints:
    """Cut points from what `encode` made of them. Raises Unreadable."""
    if len(stored) < _HEADER.size or stored[0] != _VERSION:
        raise Unreadable("cut points of an unknown version")
    _, code, descending, length = _HEADER.unpack_from(stored)
    dtype = _DTYPES.get(code.decode("latin-1"))
    if dtype is None or len(stored) != _HEADER.size + length * 12:
        raise Unreadable("cut points that are cut off")
    values = np.frombuffer(stored, dtype, length, _HEADER.size)
    counts = np.frombuffer(stored, "<u4", length, _HEADER.size + length * 8)
    return CutPoints(_packed(code.decode(), values), _packed("I", counts), bool(descending))


def cut_points(keys: "array[int] | array[float]", *, descending: bool = False) -> CutPoints:
    """The cut points of the values of all ranked customers, in any order."""
    found, times = np.unique(np.frombuffer(keys, dtype=keys.typecode), return_counts=True)
    return CutPoints(_packed(keys.typecode, found), _packed("I", np.cumsum(times)), descending)


def _packed(code: str, values: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> "array[Any]":
    packed = array(code)
    packed.frombytes(values.astype(np.dtype(code)).tobytes())
    return packed


def _least(threshold: float, size: int, above: bool) -> int:
    """The least number of customers beyond, out of all, whose rank reaches a threshold, or is
    above it; the number of all where none does."""

    def reaches(beyond: int) -> bool:
        rank = beyond / size
        return rank > threshold if above else rank >= threshold

    least = math.floor(min(max(threshold, 0.0), 1.0) * size)
    while least > 0 and reaches(least - 1):
        least -= 1
    while least < size and not reaches(least):
        least += 1
    return least


def moved(
    old: CutPoints | None, new: CutPoints, thresholds: Iterable[float] | None
) -> list[Interval]:
    """The intervals of values, sorted and apart, whose rank a refresh moves to another side of a
    threshold: below, at or above it. None for thresholds: every rank counts.

    Only customers with a value in them can be told apart from before by their rank.
    """
    if not new.size and (old is None or not old.size):
        return []
    if old is None or not old.size or not new.size or old.descending != new.descending:
        return [(None, None)]
    if thresholds is None:
        return [] if old == new else [(None, None)]
    crossed = []
    for threshold in thresholds:
        for above in (False, True):
            ends = sorted(
                (old.boundary(threshold, above=above), new.boundary(threshold, above=above))
            )
            if ends[0] != ends[1]:
                crossed.append((ends[0], ends[1]))
    return _joined(sorted(crossed))


def _joined(crossed: list[tuple[Cut, Cut]]) -> list[Interval]:
    joined: list[tuple[Cut, Cut]] = []
    for low, high in crossed:
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return [
        (None if low == _START else low, None if high == _END else high) for low, high in joined
    ]


def within(value: float, interval: Interval) -> bool:
    """Whether a value lies in an interval between cuts."""
    low, high = interval
    # A value stands between the cut before it and the cut after it.
    return (low is None or low <= (value, 0)) and (high is None or (value, 1) <= high)
