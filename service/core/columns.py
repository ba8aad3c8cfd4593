"""A block of customers as columns, the form in which many are matched at once.

A column holds a field's values for all rows, sorted by their JSON type into *parts*: one part each
for numbers, texts, booleans, instants, lists and points, and the rest one by one. A typed source
has one part a column; plain profiles may need several. A row without a value is in no part.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.core.conditions import Field
from service.core.instants import from_datetime, to_datetime
from service.core.traits import ABSENT, Profile, is_number, point

Flags = NDArray[np.bool_]
EXACT = 2**53  # integers up to here are floats exactly


@dataclass(frozen=True, slots=True)
class Numbers:
    """`values`: float64 or int64, one a row; NaN is a value that is no number."""

    values: NDArray[Any]
    valid: Flags

    def part(self, rows: slice) -> "Numbers":
        """These rows alone."""
        return Numbers(self.values[rows], self.valid[rows])

    def raw(self) -> Iterator[tuple[Any, NDArray[np.intp]]]:
        """Each distinct value with its rows."""
        return _grouped(self.values, self.valid, lambda value: value.item())


@dataclass(frozen=True, slots=True)
class Texts:
    """`codes`: one a row, the place of its text in `dictionary`, negative where there is none."""

    codes: NDArray[np.signedinteger[Any]]
    dictionary: Sequence[str]

    @property
    def valid(self) -> Flags:
        """The rows that hold a text."""
        return self.codes >= 0

    def part(self, rows: slice) -> "Texts":
        """These rows alone."""
        return Texts(self.codes[rows], self.dictionary)

    def raw(self) -> Iterator[tuple[Any, NDArray[np.intp]]]:
        """Each distinct text with its rows."""
        return _grouped(self.codes, self.valid, lambda code: self.dictionary[code])


@dataclass(frozen=True, slots=True)
class Booleans:
    """`values`: true or false, one a row."""

    values: Flags
    valid: Flags

    def part(self, rows: slice) -> "Booleans":
        """These rows alone."""
        return Booleans(self.values[rows], self.valid[rows])

    def raw(self) -> Iterator[tuple[Any, NDArray[np.intp]]]:
        """Both values with their rows."""
        return _grouped(self.values, self.valid, bool)


@dataclass(frozen=True, slots=True)
class Instants:
    """`micros`: microseconds since the epoch, one a row."""

    micros: NDArray[np.int64]
    valid: Flags

    def part(self, rows: slice) -> "Instants":
        """These rows alone."""
        return Instants(self.micros[rows], self.valid[rows])

    def raw(self) -> Iterator[tuple[Any, NDArray[np.intp]]]:
        """Each distinct instant, as a datetime, with its rows."""
        return _grouped(self.micros, self.valid, lambda micros: to_datetime(int(micros)))


@dataclass(frozen=True, slots=True)
class Lists:
    """Row i holds `codes[offsets[i]:offsets[i + 1]]`, places in `dictionary`; its items are texts
    and numbers only."""

    offsets: NDArray[np.int64]
    codes: NDArray[np.signedinteger[Any]]
    dictionary: Sequence[Any]
    valid: Flags

    def part(self, rows: slice) -> "Lists":
        """These rows alone."""
        offsets = self.offsets[rows.start : rows.stop + 1]
        return Lists(offsets, self.codes, self.dictionary, self.valid[rows])

    def raw(self) -> Iterator[tuple[Any, NDArray[np.intp]]]:
        """Each list with its row."""
        for row in np.flatnonzero(self.valid):
            codes = self.codes[self.offsets[row] : self.offsets[row + 1]]
            yield [self.dictionary[code] for code in codes], np.array([row])


@dataclass(frozen=True, slots=True)
class Points:
    """`lat`, `lon`: degrees, one a row, within -90 to 90 and -180 to 180."""

    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    valid: Flags

    def part(self, rows: slice) -> "Points":
        """These rows alone."""
        return Points(self.lat[rows], self.lon[rows], self.valid[rows])

    def raw(self) -> Iterator[tuple[Any, NDArray[np.intp]]]:
        """Each point with its row."""
        for row in np.flatnonzero(self.valid):
            yield {"lat": float(self.lat[row]), "lon": float(self.lon[row])}, np.array([row])


@dataclass(frozen=True, slots=True)
class Others:
    """Values of no part, by row: huge integers, objects, mixed lists, NaN."""

    values: Mapping[int, Any]

    def part(self, rows: slice) -> "Others":
        """These rows alone."""
        kept = {
            row - rows.start: value
            for row, value in self.values.items()
            if rows.start <= row < rows.stop
        }
        return Others(kept)

    def raw(self) -> Iterator[tuple[Any, NDArray[np.intp]]]:
        """Each value with its row."""
        for row, value in self.values.items():
            yield value, np.array([row])


Part = Numbers | Texts | Booleans | Instants | Lists | Points | Others
_P = TypeVar("_P", bound=Part)


def _grouped(
    values: NDArray[Any], valid: Flags, raw: Any
) -> Iterator[tuple[Any, NDArray[np.intp]]]:
    rows = np.flatnonzero(valid)
    distinct, inverse = np.unique(values[rows], return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    ends = np.cumsum(np.bincount(inverse, minlength=len(distinct)))
    start = 0
    for value, end in zip(distinct, ends, strict=True):
        yield raw(value), rows[order[start:end]]
        start = end


@dataclass(frozen=True, slots=True)
class Column:
    """One field's values; no row is in two parts."""

    parts: tuple[Part, ...]

    def part(self, kind: type[_P]) -> _P | None:
        """The part of that kind, if there is one."""
        return next((part for part in self.parts if isinstance(part, kind)), None)

    def present(self, size: int) -> Flags:
        """The rows that hold a value."""
        flags = np.zeros(size, dtype=bool)
        for part in self.parts:
            if isinstance(part, Others):
                flags[list(part.values)] = True
            else:
                flags |= part.valid
        return flags

    def raw(self, size: int) -> list[Any]:
        """Every row's raw value, ABSENT where there is none."""
        values = np.full(size, ABSENT, dtype=object)
        for part in self.parts:
            for value, rows in part.raw():
                for row in rows:
                    values[row] = value
        return values.tolist()


@dataclass(frozen=True, slots=True)
class Block:
    """`size` customers as columns by field name; a field that has no column is absent."""

    size: int
    columns: Mapping[str, Column] = field(default_factory=dict)

    def part(self, start: int, stop: int) -> "Block":
        """The customers from `start` up to `stop`."""
        rows = slice(start, stop)
        columns = {
            name: Column(tuple(part.part(rows) for part in column.parts))
            for name, column in self.columns.items()
        }
        return Block(stop - start, columns)

    @classmethod
    def from_columns(cls, size: int, columns: Mapping[str, Part]) -> "Block":
        """Typed columns, each of one part with `size` rows; a nested field goes by its dotted
        name."""
        return cls(size, {name: Column((part,)) for name, part in columns.items()})

    @classmethod
    def from_profiles(cls, profiles: Sequence[Profile], fields: Mapping[str, Field]) -> "Block":
        """Plain profiles, of which only `fields` (by name) are looked at."""
        columns = {}
        for name, subject in fields.items():
            if len(subject.path) == 1:
                (step,) = subject.path
                values = [profile.get(step) for profile in profiles]
            else:
                read = subject.read
                values = [
                    None if (value := read(profile)) is ABSENT else value for profile in profiles
                ]
            columns[name] = _column(values)
        return cls(len(profiles), columns)


def _column(values: list[Any]) -> Column:
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {int, float}:
        numbers = _only_numbers(values)
        if numbers is not None:
            return Column((numbers,))
    if kinds == {str}:
        return Column((_texts(values),))
    return Column(tuple(_parts(values)))


def _only_numbers(values: list[Any]) -> Numbers | None:
    """Nothing but numbers that a float holds exactly, else None."""
    try:
        floats = np.array([np.nan if value is None else value for value in values], np.float64)
    except OverflowError:
        return None
    valid = ~np.isnan(floats)
    if np.count_nonzero(valid) != len(values) - values.count(None):
        return None
    if np.any(np.abs(floats[valid]) >= EXACT) and any(
        type(value) is int and abs(value) > EXACT for value in values
    ):
        return None
    return Numbers(floats, valid)


def _texts(values: Sequence[str | None]) -> Texts:
    places: dict[str, int] = {}
    codes = [-1 if value is None else places.setdefault(value, len(places)) for value in values]
    return Texts(np.array(codes, np.int32), list(places))


_NUMBERS, _TEXTS, _BOOLEANS, _INSTANTS, _LISTS, _POINTS, _OTHERS = range(7)


def _sort_of(value: Any) -> int:
    kind = type(value)
    if kind is str:
        return _TEXTS
    if kind is bool:
        return _BOOLEANS
    if kind is int:
        return _NUMBERS if -EXACT <= value <= EXACT else _OTHERS
    if kind is float:
        return _NUMBERS if value == value else _OTHERS  # noqa: PLR0124 - NaN is not itself
    if kind is list:
        plain = all(type(item) is str or is_number(item) for item in value)
        return _LISTS if plain else _OTHERS
    if kind is dict and value.keys() == {"lat", "lon"} and point(value) is not None:
        return _POINTS
    return _INSTANTS if isinstance(value, datetime) else _OTHERS


def _parts(values: list[Any]) -> Iterator[Part]:
    sorts: list[dict[int, Any]] = [{} for _ in range(7)]
    for row, value in enumerate(values):
        if value is not None:
            sorts[_sort_of(value)][row] = value
    size = len(values)
    if found := sorts[_NUMBERS]:
        yield Numbers(*_spread(found, size, np.float64))
    if found := sorts[_TEXTS]:
        yield _texts([found.get(row) for row in range(size)])
    if found := sorts[_BOOLEANS]:
        yield Booleans(*_spread(found, size, np.bool_))
    if found := sorts[_INSTANTS]:
        micros = {row: from_datetime(value) for row, value in found.items()}
        yield Instants(*_spread(micros, size, np.int64))
    if found := sorts[_LISTS]:
        yield _lists(found, size)
    if found := sorts[_POINTS]:
        places = {row: point(value) or (0.0, 0.0) for row, value in found.items()}
        lat, valid = _spread({row: lat for row, (lat, _) in places.items()}, size, np.float64)
        lon, _ = _spread({row: lon for row, (_, lon) in places.items()}, size, np.float64)
        yield Points(lat, lon, valid)
    if found := sorts[_OTHERS]:
        yield Others(found)


def _spread(values: dict[int, Any], size: int, dtype: Any) -> tuple[NDArray[Any], Flags]:
    """Values at their rows among `size`, and which rows those are."""
    spread = np.zeros(size, dtype)
    valid = np.zeros(size, dtype=bool)
    rows = np.fromiter(values, np.intp, len(values))
    spread[rows] = np.fromiter(values.values(), dtype, len(values))
    valid[rows] = True
    return spread, valid


def _lists(lists: dict[int, list[Any]], size: int) -> Lists:
    places: dict[tuple[type, Any], int] = {}  # 1 and 1.0 are two spellings
    codes = [
        places.setdefault((type(item), item), len(places))
        for items in lists.values()
        for item in items
    ]
    lengths, valid = _spread({row: len(items) for row, items in lists.items()}, size, np.int64)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return Lists(offsets, np.array(codes, np.int32), [item for _, item in places], valid)
