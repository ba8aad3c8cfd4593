"""Bitsets as Python integers: one bit a clause or a segment, any number of them."""

from collections.abc import Iterable

import numpy as np

# Up to so many bits, taking them off one by one beats writing the integer out.
FEW = 24


def bits_of(positions: Iterable[int]) -> int:
    """The integer with these bits set. Linear in the highest position, however many there are."""
    ordered = list(positions)
    if len(ordered) < 4:
        bits = 0
        for position in ordered:
            bits |= 1 << position
        return bits
    buffer = bytearray(max(ordered) // 8 + 1)
    for position in ordered:
        buffer[position >> 3] |= 1 << (position & 7)
    return int.from_bytes(buffer, "little")


def positions_of(bits: int) -> list[int]:
    """The positions of the set bits, ascending."""
    if bits.bit_count() > FEW:
        packed = np.frombuffer(bits.to_bytes((bits.bit_length() + 7) // 8, "little"), np.uint8)
        found: list[int] = np.unpackbits(packed, bitorder="little").nonzero()[0].tolist()
        return found
    positions = []
    while bits:
        lowest = bits & -bits
        positions.append(lowest.bit_length() - 1)
        bits ^= lowest
    return positions
