"""Stretches of an ordered line that are ruled out."""

from collections.abc import Iterable
from typing import Any

from service.core.comparisons import Cut, Interval


def covers(outs: Iterable[Interval]) -> bool:
    """Whether stretches, in any order, leave nothing of the line."""
    reached: Cut | None = None
    for place, (low, high) in enumerate(sorted(outs, key=_beginning)):
        if low is not None and (place == 0 or reached is None or reached < low):
            return False
        if high is None:
            return True
        reached = high if reached is None else max(reached, high)
    return False


def _beginning(interval: Interval) -> tuple[Any, ...]:
    low = interval[0]
    return () if low is None else low
