"""Bitsets as Python integers: one bit a clause or a segment, any number of them."""

from collections.abc import Iterable

# Where arithmetic on the integer is cheaper than writing it out.
FEW, SHORT = 16, 4_096


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
    positions = []
    if bits.bit_count() < FEW and bits.bit_length() < SHORT:
        while bits:
            lowest = bits & -bits
            positions.append(lowest.bit_length() - 1)
            bits ^= lowest
        return positions
    # Searching a text of digits beats arithmetic: one pass in C, however long the integer.
    digits = bin(bits)[:1:-1]
    position = digits.find("1")
    while position >= 0:
        positions.append(position)
        position = digits.find("1", position + 1)
    return positions
