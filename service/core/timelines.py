"""Timelines: when the events of one kind happened and a value of each, packed beside a customer.

Two columns in the order of time, so that a window is a slice and most functions one pass in C.
Numbers are kept as integers of a common number of decimals: their sums are exact.
"""

import json
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any

from service.core.traits import is_number

# Numbers of more decimals, or larger ones, are kept as they are.
MOST_DECIMALS = 9
_LARGEST = 2**62

# A timeline as it is stored: the instants, the decimals, and the values: packed integers, any JSON
# by itself, or None.
Packed = tuple[bytes, int | None, Any]

Entry = tuple[int, Any]  # microseconds since the epoch, a JSON scalar (None: no value is kept)


class Timeline:
    """The events of one kind, sorted. `times`: microseconds since the epoch. `values`: None where
    nothing is kept of them; integers of `decimals` decimals; or, where that is None, any JSON.

    Of a customer's many timelines one event touches few: a stored one is unpacked when it is asked.
    """

    __slots__ = ("_extremes", "_packed", "_sums", "decimals", "times", "values")

    times: "array[int]"
    values: "array[int] | list[Any] | None"
    decimals: int | None

    def __init__(
        self,
        times: "array[int] | None" = None,
        values: "array[int] | list[Any] | None" = None,
        decimals: int | None = None,
    ) -> None:
        self.times = array("q") if times is None else times
        self.values = values
        self.decimals = decimals
        self._sums: list[int] | None = None
        self._extremes: dict[tuple[bool, int, int], int] = {}
        self._packed: Packed | None = None

    @classmethod
    def unpacked(cls, packed: Packed) -> "Timeline":
        """A timeline from how it is stored."""
        timeline = cls.__new__(cls)
        timeline._packed = packed
        timeline._sums = None
        timeline._extremes = {}
        timeline.decimals = packed[1]
        return timeline

    def packed(self) -> Packed:
        """How it is stored."""
        if self._packed is not None:
            return self._packed
        values = self.values.tobytes() if isinstance(self.values, array) else self.values
        return self.times.tobytes(), self.decimals, values

    def __getattr__(self, name: str) -> Any:
        # Only asked for what is not there: the columns of what was not unpacked yet.
        if name not in ("times", "values") or self._packed is None:
            raise AttributeError(name)
        times, _, values = self._packed
        self.times = _array(times)
        self.values = _array(values) if isinstance(values, bytes) else values
        return getattr(self, name)

    def __len__(self) -> int:
        return len(self.times)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeline) and self.entries() == other.entries()

    __hash__ = None  # type: ignore[assignment]  # it changes

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Timeline":
        """A timeline of entries in any order."""
        timeline = cls()
        timeline.add(sorted(entries, key=_order))
        return timeline

    def entries(self) -> list[Entry]:
        """What it holds, in order."""
        if self.values is None:
            return [(at, None) for at in self.times]
        return list(zip(self.times, self.numbers(0, len(self)), strict=True))

    def add(self, entries: Iterable[Entry]) -> None:
        """Put entries in their places. Those of one instant stand in the order of their values, so
        that it does not matter which arrives first."""
        found = list(entries)
        if not found:
            return
        _ = self.times  # unpacked
        self._packed = self._sums = None
        self._extremes = {}
        for at, value in found:
            if value is None:
                place = bisect_right(self.times, at)
            else:
                stored = self._stored(value)
                place = self._place(at, stored)
                assert self.values is not None  # noqa: S101 - _stored has made it
                self.values.insert(place, stored)
            self.times.insert(place, at)

    def _place(self, at: int, stored: Any) -> int:
        first, last = bisect_left(self.times, at), bisect_right(self.times, at)
        if first == last:
            return first
        assert self.values is not None  # noqa: S101
        # From behind: those of one instant come sorted, where all are put in at once.
        mine = _rank(stored)
        while last > first and _rank(self.values[last - 1]) > mine:
            last -= 1
        return last

    def _stored(self, value: Any) -> Any:
        """A value as the column keeps it; the column is changed to one that can."""
        if self.values is None:
            self.values, self.decimals = array("q"), 0
        if self.decimals is None:
            return value
        exact = _exact(value)
        if exact is not None:
            decimals = max(self.decimals, _decimals(exact))
            scaled = int(exact.scaleb(decimals))
            grown = 10 ** (decimals - self.decimals)
            if abs(scaled) < _LARGEST and all(
                abs(known) * grown < _LARGEST for known in (self.values if grown > 1 else ())
            ):
                if grown > 1:
                    self.values = array("q", [known * grown for known in self.values])
                    self.decimals = decimals
                return scaled
        self.values, self.decimals = self.numbers(0, len(self)), None
        return value

    def total(self, first: int, last: int) -> int:
        """The sum of a slice of a column of integers. Many windows are asked about between one
        event and the next, so the sums of all that came before each are kept."""
        if self._sums is None:
            assert self.values is not None  # noqa: S101 - asked of columns with values only
            self._sums = list(accumulate(self.values, initial=0))
        return self._sums[last] - self._sums[first]

    def extreme(self, first: int, last: int, *, largest: bool) -> int:
        """The place of the last of the largest, or smallest, of a slice of a column of integers.
        Windows of many lengths hold the same events, so it is remembered."""
        asked = (largest, first, last)
        place = self._extremes.get(asked)
        if place is None:
            assert isinstance(self.values, array)  # noqa: S101 - asked of columns of integers only
            part = self.values[first:last]
            value = max(part) if largest else min(part)
            part.reverse()
            place = self._extremes[asked] = last - 1 - part.index(value)
        return place

    def numbers(self, first: int, last: int) -> list[Any]:
        """The values of a slice as JSON."""
        assert self.values is not None  # noqa: S101 - asked of columns with values only
        values = self.values[first:last]
        if self.decimals is None:
            return list(values)
        return [number(value, self.decimals) for value in values]


def _array(data: bytes) -> "array[int]":
    numbers = array("q")
    numbers.frombytes(data)
    return numbers


def number(scaled: int, decimals: int) -> int | float:
    """An integer of so many decimals as a JSON number: the one nearest to it."""
    unit: int = 10**decimals
    whole, rest = divmod(scaled, unit)
    return scaled / unit if rest else whole


def decimal_sum(values: Sequence[int | float]) -> Decimal:
    """The exact sum of JSON numbers, each taken as the decimal that it was written as."""
    return sum((Decimal(repr(value)) for value in values), Decimal(0))


def _exact(value: Any) -> Decimal | None:
    """A number as a decimal that a column of integers can keep; None for everything else."""
    if not is_number(value) or abs(value) >= _LARGEST:
        return None
    exact = Decimal(repr(value))
    return exact if _decimals(exact) <= MOST_DECIMALS else None


def _decimals(exact: Decimal) -> int:
    exponent = exact.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def _rank(value: Any) -> tuple[int, Any]:
    """An order among values of all kinds that depends on nothing but them."""
    if type(value) is str and value.isalnum() and value.isascii():
        return (1, f'"{value}"')  # as it is in JSON
    return (0, value) if is_number(value) else (1, json.dumps(value, sort_keys=True))


def _order(entry: Entry) -> tuple[int, tuple[int, Any]]:
    """The order of entries: of those of one instant that of their values."""
    at, value = entry
    return at, (0, 0) if value is None else _rank(value)
