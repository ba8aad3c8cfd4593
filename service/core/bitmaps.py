"""Packed bitmaps over the rows of a block, and how small codes become them.

A *bitmap* is a uint8 array of ceil(rows / 8) bytes, row i in bit i % 8 of byte i // 8. Combining
two costs a hundredth of looking at the rows again, so the rows are looked at once a bit of their
codes and everything else is put together from those bit planes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bitmap = NDArray[np.uint8]
Bitmaps = NDArray[np.uint8]  # two-dimensional: one bitmap a row

# Bits of codes whose bitmaps are held at once: up to 512 of them.
_DIGIT = 9
# From how many codes on a table look-up a row is cheaper than one bitmap a code.
_MANY = 64


def pack(flags: NDArray[np.bool_]) -> Bitmap:
    """The bitmap of the rows that are true."""
    return np.packbits(flags, bitorder="little")


def unpack(bitmap: Bitmap, size: int) -> NDArray[np.bool_]:
    """The first `size` rows of a bitmap as flags."""
    return np.unpackbits(bitmap, count=size, bitorder="little").view(np.bool_)


def smallest_dtype(count: int) -> type[np.unsignedinteger]:
    """The smallest unsigned type that holds the codes 0 to count - 1."""
    if count <= 1 << 8:
        return np.uint8
    return np.uint16 if count <= 1 << 16 else np.uint32


def planes_of(codes: NDArray[np.unsignedinteger[Any]], bits: int) -> Bitmaps:
    """For each of the lowest `bits` bits the bitmap of the rows whose code has it."""
    masks = (1 << np.arange(8)).astype(np.uint8)[:, None]
    found = []
    for shift in range(0, bits, 8):
        octet = (codes >> shift).astype(np.uint8) if shift else codes.astype(np.uint8, copy=False)
        found.append(np.packbits(octet & masks[: bits - shift], axis=1, bitorder="little"))
    return np.concatenate(found)


class Codes:
    """One code a row, 0 to count - 1, and the bitmaps of codes and of ranges of them."""

    def __init__(self, codes: NDArray[np.unsignedinteger[Any]], count: int) -> None:
        self.codes = codes
        self.count = count
        bits = max((count - 1).bit_length(), 1)
        self._planes = planes_of(codes, bits)
        digits = -(-bits // _DIGIT)
        self._width = -(-bits // digits)
        self._mask = (1 << self._width) - 1
        self._higher = range(1, digits)
        self._full = pack(np.ones(len(codes), dtype=bool))
        self.nothing: Bitmap = np.zeros_like(self._full)
        self._from: dict[int, list[Bitmap]] = {}
        self._equal: dict[int, list[Bitmap]] = {}

    def _of_digit(self, place: int) -> tuple[Bitmaps, int]:
        """The planes of a digit, lowest first, and how many values it takes."""
        shift = place * self._width
        values = min(((self.count - 1) >> shift) + 1, 1 << self._width)
        return self._planes[shift : shift + self._width], values

    def _at_least(self, place: int) -> list[Bitmap]:
        """Bitmaps of the rows whose digit is at least 0, 1, 2 ... and one past its last."""
        known = self._from.get(place)
        if known is None:
            planes, values = self._of_digit(place)
            rows = np.zeros((values + 1, len(self._full)), np.uint8)
            rows[0] = self._full
            done = 1
            # Taking one more plane: at least v below it means v or the plane; above it, both.
            for plane in planes:
                more = min(done, values - done)
                np.bitwise_and(rows[:more], plane, out=rows[done : done + more])
                np.bitwise_or(rows[1:done], plane, out=rows[1:done])
                done += more
            known = self._from[place] = list(rows)
        return known

    def _being(self, place: int) -> list[Bitmap]:
        """Bitmaps of the rows whose digit is 0, 1, 2 ..."""
        known = self._equal.get(place)
        if known is None:
            planes, values = self._of_digit(place)
            rows = np.empty((values, len(self._full)), np.uint8)
            rows[0] = self._full
            done = 1
            for plane in planes:
                more = min(done, values - done)
                np.bitwise_and(rows[:more], plane, out=rows[done : done + more])
                np.bitwise_and(rows[:done], ~plane, out=rows[:done])
                done += more
            known = self._equal[place] = list(rows)
        return known

    def at_least(self, code: int) -> Bitmap:
        """The rows whose code is `code` or more; `code` is below `count`."""
        found = self._at_least(0)[code & self._mask]
        for place in self._higher:
            digit = code >> place * self._width & self._mask
            rows = self._at_least(place)
            found = rows[digit + 1] | (rows[digit] & found)
        return found

    def equal(self, code: int) -> Bitmap:
        """The rows of one code."""
        found = self._being(0)[code & self._mask]
        for place in self._higher:
            found = found & self._being(place)[code >> place * self._width & self._mask]
        return found

    def any_of(self, codes: Sequence[int]) -> Bitmap:
        """The rows of any of these codes."""
        if len(codes) > _MANY:
            table = np.zeros(self.count, dtype=bool)
            table[list(codes)] = True
            return pack(table.take(self.codes))
        if not codes:
            return self.nothing
        found = self.equal(codes[0])
        if len(codes) > 1:
            found = found | self.equal(codes[1])
            for code in codes[2:]:
                found |= self.equal(code)
        return found

    def between(self, bounds: Sequence[int]) -> Bitmap:
        """The rows whose code lies from the first bound up to the second, from the third up to
        the fourth, and so on; bounds are below `count`, an open end has none."""
        if not bounds:
            return self.nothing
        at_least = self.at_least if self._higher else self._at_least(0).__getitem__
        found = at_least(bounds[0])
        for bound in bounds[1:]:
            found = found ^ at_least(bound)
        return found
