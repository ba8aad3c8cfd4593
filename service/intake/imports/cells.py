"""The cells of a file read as what they mean. CSV knows texts only; Parquet and JSON have numbers.

Amounts never pass through a float where the file has a text. What is empty is not told.
"""

import re
from datetime import UTC, date, datetime, time, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import Any

from service.core.instants import FIRST, LAST, from_datetime, parse_instant, start_of_day
from service.core.money import money, text_of
from service.core.traits import Uncoercible, describe

ID_LENGTH = 256  # characters
# What spreadsheets would take for a formula is written with a quote before it.
_GUARDED = ("=", "+", "-", "@", "\t", "\r")
_REMEMBERED = 65_536

_GROUPED = {
    ".": re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII),
    ",": re.compile(r"[+-]?\d{1,3}([.  ' ]\d{3})+(,\d+)?", re.ASCII),
}
_CURRENCY_SIGNS = re.compile(r"^(?:[A-Z]{3} ?|[$€£¥] ?)|(?: ?[A-Z]{3}| ?[$€£¥])$")
_SPACED = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(:\d{2}(?:\.\d+)?)? ?(Z|UTC|GMT|[+-]\d{2}:?\d{2})?",
    re.ASCII | re.IGNORECASE,
)
_DIVIDED = re.compile(
    r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?:,? (\d{1,2}):(\d{2})(?::(\d{2}))?(?: ?([AaPp])[Mm])?)?",
    re.ASCII,
)


class DateOrder(StrEnum):
    """What comes first in dates such as 3/4/2026."""

    DAY = "dmy"
    MONTH = "mdy"


class Unreadable(ValueError):
    """A cell is not what its column is said to hold; the text says why."""


def unguarded(cell: str) -> str:
    """A cell of a CSV file without the quote that keeps spreadsheets from running it, or from
    taking its digits for a number."""
    if cell[:1] != "'" or len(cell) < 2:
        return cell
    return cell[1:] if cell[1] in _GUARDED or cell[1:].isdecimal() else cell


def text(cell: Any) -> str | None:
    """A cell as a text without blanks around it: 17 and 17.0 are "17"; None where it is empty."""
    kind = type(cell)
    if kind is str:
        return cell.strip() or None
    if cell is None or cell != cell:  # noqa: PLR0124 - NaN, by which many tools say "empty"
        return None
    if kind is bool:
        return "true" if cell else "false"
    if kind is int:
        return str(cell)
    if kind is float:
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell)
    raise Unreadable(f"expected a text or a number, got {describe(cell)}")


def identifier(cell: Any) -> str | None:
    """An id. Raises Unreadable."""
    found = text(cell)
    if found is not None and len(found) > ID_LENGTH:
        raise Unreadable(f"an id has {ID_LENGTH} characters at most, this has {len(found):,}")
    return found


def amount(cell: Any, decimal: str = ".") -> str | None:
    """An amount or a quantity as the text of an exact decimal. Raises Unreadable.

    `decimal`: the sign before its fraction; the other one may divide thousands. A currency's code
    or sign around it is left out.
    """
    kind = type(cell)
    if kind is str:
        found = _amount(cell, decimal)
    elif kind is int or kind is float:
        if cell != cell:  # noqa: PLR0124 - NaN
            return None
        found = _number(cell)
    else:
        found = None
    if found is None and not _empty(cell):
        raise Unreadable(f"expected a number, got {describe(cell)}")
    return found


def _empty(cell: Any) -> bool:
    return cell is None or (cell.__class__ is str and not cell.strip())


def _amount(cell: str, decimal: str) -> str | None:
    cell = _CURRENCY_SIGNS.sub("", cell.strip())
    if _GROUPED[decimal].fullmatch(cell):
        cell = re.sub(r"," if decimal == "." else r"[.  ' ]", "", cell)
    if decimal == ",":
        if "." in cell:
            return None
        cell = cell.replace(",", ".")
    if cell.startswith("."):
        cell = "0" + cell
    return _number(cell)


@lru_cache(maxsize=_REMEMBERED, typed=True)  # columns repeat themselves
def _number(cell: str | float) -> str | None:
    try:
        return text_of(money(cell))
    except Uncoercible:
        return None


class Amounts(dict[str, str | None]):
    """Amounts by their texts, as `amount` reads them: whoever reads many looks them up."""

    def __init__(self, decimal: str) -> None:
        super().__init__()
        self._decimal = decimal

    def __missing__(self, cell: str) -> str | None:
        if len(self) >= _REMEMBERED:
            self.clear()
        found = self[cell] = amount(cell, self._decimal)
        return found


class Instants:
    """Reads the instants of a file."""

    def __init__(self, zone: tzinfo, clock_zone: tzinfo = UTC, order: DateOrder | None = None):
        """`zone`: of dates without a time, which are its days; `clock_zone`: of times that name
        none; `order`: of dates such as 3/4/2026, None: they are not understood."""
        self._zone = zone
        self._clock_zone = clock_zone
        self._order = order
        self._known: dict[str, int | None] = {}

    def read(self, cell: Any) -> int | None:
        """Microseconds since the epoch; None where nothing is told. Raises Unreadable."""
        if _empty(cell):
            return None
        found = None
        if isinstance(cell, str):
            found = self._known.get(cell)
            if found is None:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                found = self._known[cell] = self._instant(cell.strip())
        if found is None:
            raise Unreadable(self._refusal(cell))
        return found

    def _refusal(self, cell: Any) -> str:
        if isinstance(cell, str) and _DIVIDED.fullmatch(cell.strip()) and self._order is None:
            return f"is {cell.strip()} the day or the month first? Say dates: dmy or mdy"
        return f"expected a date or an instant, got {describe(cell)}"

    def _instant(self, written: str) -> int | None:
        try:
            found = self._spaced(written)
            if found is None and self._order is not None:
                found = self._divided(written)
        except (ValueError, OverflowError):
            return None
        if found is None:
            # A day, or what else RFC 3339 has.
            found = parse_instant(written, self._zone)
        return found if found is not None and FIRST <= found <= LAST else None

    def _spaced(self, written: str) -> int | None:
        match = _SPACED.fullmatch(written)
        if match is None:
            return None
        day, clock, seconds, offset = match.groups()
        moment = datetime.fromisoformat(f"{day}T{clock}{(seconds or ':00')[:10]}")
        if offset is None:
            return from_datetime(moment.replace(tzinfo=self._clock_zone))
        if offset[0] not in "+-":
            return from_datetime(moment)
        offset = offset if ":" in offset else f"{offset[:3]}:{offset[3:]}"
        return from_datetime(datetime.fromisoformat(f"{moment.isoformat()}{offset}"))

    def _divided(self, written: str) -> int | None:
        match = _DIVIDED.fullmatch(written)
        if match is None:
            return None
        first, _, second, year, hour, minute, seconds, half = match.groups()
        day, month = (first, second) if self._order is DateOrder.DAY else (second, first)
        when = date(int(year), int(month), int(day))
        if hour is None:
            return start_of_day(when, self._zone)
        hours = int(hour)
        if half is not None:
            if not 1 <= hours <= 12:
                return None
            hours = hours % 12 + (12 if half in "pP" else 0)
        at = time(hours, int(minute), int(seconds or 0))
        return from_datetime(datetime.combine(when, at, self._clock_zone))


def date_order(cells: list[Any]) -> DateOrder | None:
    """Which comes first in dates such as 3/4/2026, as far as some of them can be only one."""
    parts = [
        (int(match[1]), int(match[3]))
        for cell in cells
        if isinstance(cell, str) and (match := _DIVIDED.fullmatch(cell.strip()))
    ]
    if any(first > 12 for first, _ in parts):
        return DateOrder.DAY
    if any(second > 12 for _, second in parts):
        return DateOrder.MONTH
    return None


_YES = frozenset({"true", "yes", "y", "1", "t"})
_NO = frozenset({"false", "no", "n", "0", "f"})


def flag(cell: Any) -> bool | None:
    """Yes or no. Raises Unreadable."""
    found = text(cell)
    if found is None:
        return None
    folded = found.casefold()
    if folded in _YES or folded in _NO:
        return folded in _YES
    raise Unreadable(f"expected yes or no, got {describe(cell)}")
