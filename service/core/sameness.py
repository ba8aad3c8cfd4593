"""Whether two values of JSON are one. Python takes `true` for 1, which no definition means."""

from typing import Any


def same(one: Any, other: Any) -> bool:
    """1 is 1.0, and neither is true; the order of members doesn't matter, that of items does."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)
