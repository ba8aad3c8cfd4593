"""Traits: their types, how a raw JSON value is read as a type, and how one is coerced to it.

Reading is strict and total: a value of another type is WRONG_TYPE, which makes a comparison
unknown. Coercion is lenient and happens once, when a value comes in.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Any, Final, TypeGuard

from service.core.instants import from_datetime, parse_instant


class TraitType(StrEnum):
    """The types of semantics: what a trait's values are compared as."""

    STRING = "string"
    NUMBER = "number"
    MONEY = "money"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    DATE = "date"
    VERSION = "version"
    LIST = "list"
    POINT = "point"
    OBJECT = "object"


class Dimension(StrEnum):
    """What a trait or a segment is about."""

    DEMOGRAPHIC = "demographic"
    GEOGRAPHIC = "geographic"
    PSYCHOGRAPHIC = "psychographic"
    TECHNOGRAPHIC = "technographic"
    BEHAVIORAL = "behavioral"
    NEEDS = "needs"
    VALUE = "value"
    FIRMOGRAPHIC = "firmographic"


class _Mark(Enum):
    ABSENT = "absent"
    WRONG_TYPE = "wrong type"


ABSENT: Final = _Mark.ABSENT
WRONG_TYPE: Final = _Mark.WRONG_TYPE

Profile = Mapping[str, Any]


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number: no boolean, no NaN."""
    return type(value) is int or (type(value) is float and not math.isnan(value))


# Longer texts are not worth remembering: few repeat, and callers send them as long as they like.
REMEMBERED_LENGTH = 128


def fold(text: str) -> str:
    """The text as strings compare: NFC, Unicode case-folded, NFC again (folding can undo it)."""
    return _fold_remembered(text) if len(text) <= REMEMBERED_LENGTH else _fold(text)


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


_fold_remembered = lru_cache(maxsize=65_536)(_fold)


def compose(text: str) -> str:
    """The text as case-sensitive strings compare: NFC."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def freeze(value: Any, case_sensitive: bool = False) -> Any:
    """A hashable form of a JSON value under which equal values are equal.

    Strings are folded, numbers compare by value, booleans are no numbers.
    """
    kind = type(value)
    if kind is str:
        return compose(value) if case_sensitive else fold(value)
    if kind is bool:
        return ("boolean", value)
    if kind is list:
        return ("list", tuple(freeze(item, case_sensitive) for item in value))
    if isinstance(value, dict):
        return (
            "object",
            frozenset((key, freeze(item, case_sensitive)) for key, item in value.items()),
        )
    return value


_VERSION = re.compile(
    r"[vV]?(\d{1,18}(?:\.\d{1,18}){0,5})(?:-([0-9A-Za-z.-]{1,64}))?(?:\+[0-9A-Za-z.-]{1,64})?",
    re.ASCII,
)

VersionKey = tuple[tuple[int, ...], tuple[Any, ...]]


def version_key(text: str) -> VersionKey | None:
    """A version string's sort key in the order of Semantic Versioning 2.0.0, section 11.

    Missing places count as zero, build metadata is ignored; None when it is no version.
    """
    return None if len(text) > 256 else _version_key(text)


@lru_cache(maxsize=16_384)
def _version_key(text: str) -> VersionKey | None:
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    numbers = [int(part) for part in match[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    if match[2] is None:
        return tuple(numbers), (1,)
    identifiers = tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in match[2].split(".")
    )
    return tuple(numbers), (0, identifiers)


_NUMBER = frozenset({int, float})


def point(value: Any) -> tuple[float, float] | None:
    """(latitude, longitude) in degrees of a `{lat, lon}` object, else None."""
    if not isinstance(value, dict):
        return None
    lat: Any = value.get("lat")
    lon: Any = value.get("lon")
    if type(lat) not in _NUMBER or type(lon) not in _NUMBER:
        return None
    # No NaN passes a comparison.
    return (lat, lon) if -90 <= lat <= 90 and -180 <= lon <= 180 else None


def read(kind: TraitType, value: Any, zone: tzinfo) -> Any:
    """A raw value read strictly as a type, in the form that comparisons use, or WRONG_TYPE.

    string: the text; number: int or float (no NaN); money: Decimal; boolean: bool; instant and
    date: microseconds since the epoch; version: its sort key; list: list; point: (lat, lon);
    object: dict.
    """
    return _READERS[kind](value, zone)


def _read_string(value: Any, zone: tzinfo) -> Any:
    return value if type(value) is str else WRONG_TYPE


def _read_number(value: Any, zone: tzinfo) -> Any:
    return value if is_number(value) else WRONG_TYPE


def _read_boolean(value: Any, zone: tzinfo) -> Any:
    return value if type(value) is bool else WRONG_TYPE


def _read_version(value: Any, zone: tzinfo) -> Any:
    key = version_key(value) if type(value) is str else None
    return WRONG_TYPE if key is None else key


def _read_list(value: Any, zone: tzinfo) -> Any:
    return value if type(value) is list else WRONG_TYPE


def _read_point(value: Any, zone: tzinfo) -> Any:
    place = point(value)
    return WRONG_TYPE if place is None else place


def _read_object(value: Any, zone: tzinfo) -> Any:
    return value if isinstance(value, dict) else WRONG_TYPE


def _read_instant(value: Any, zone: tzinfo) -> Any:
    if type(value) is str:
        instant = parse_instant(value, zone)
        return WRONG_TYPE if instant is None else instant
    if isinstance(value, datetime):
        return from_datetime(value)
    return WRONG_TYPE


def _read_money(value: Any, zone: tzinfo) -> Any:
    if type(value) is int:
        return Decimal(value)
    if type(value) is float and math.isfinite(value):
        # The shortest decimal that reads back as this float: what the caller wrote.
        return Decimal(repr(value))
    return WRONG_TYPE


_READERS: dict[TraitType, Callable[[Any, tzinfo], Any]] = {
    TraitType.STRING: _read_string,
    TraitType.NUMBER: _read_number,
    TraitType.MONEY: _read_money,
    TraitType.BOOLEAN: _read_boolean,
    TraitType.INSTANT: _read_instant,
    TraitType.DATE: _read_instant,
    TraitType.VERSION: _read_version,
    TraitType.LIST: _read_list,
    TraitType.POINT: _read_point,
    TraitType.OBJECT: _read_object,
}


# Values of these Python types are of the trait's type whatever their content, but for NaN.
NATURAL: Mapping[TraitType, frozenset[type]] = {
    TraitType.STRING: frozenset({str}),
    TraitType.NUMBER: frozenset({int, float}),
    TraitType.MONEY: frozenset({int}),
    TraitType.BOOLEAN: frozenset({bool}),
    TraitType.LIST: frozenset({list}),
}


class Uncoercible(ValueError):
    """The value can't be taken as the declared type; the text says why."""


_DECIMAL = re.compile(r"[+-]?\d{1,30}(\.\d{1,15})?", re.ASCII)


def coerce(kind: TraitType, value: Any, zone: tzinfo) -> Any:
    """An incoming value as its trait's declared type, in JSON form. Raises Uncoercible.

    `"120.50"` for a number or money becomes 120.5, `5` and `5.0` for a string become `"5"`.
    """
    actual = type(value)
    if read(kind, value, zone) is not WRONG_TYPE:
        if kind is TraitType.MONEY and actual is float and not _surely_exact(value):
            raise Uncoercible(
                f"money of more than {EXACT_DIGITS} significant digits is rounded in a JSON "
                "number; send it as a text"
            )
        return value
    if kind in (TraitType.NUMBER, TraitType.MONEY) and actual is str:
        return _coerce_number(kind, value)
    if kind is TraitType.STRING and actual in (int, float):
        return _number_text(value)
    if kind is TraitType.STRING and actual is bool:
        return "true" if value else "false"
    if kind is TraitType.BOOLEAN and actual is str and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind is TraitType.VERSION and actual in (int, float) and version_key(_number_text(value)):
        return _number_text(value)
    raise Uncoercible(f"expected {_TYPE_ENGLISH[kind]}, got {describe(value)}")


# Decimals of so many significant digits come out of a double as they went in (IEEE 754, DBL_DIG).
EXACT_DIGITS = 15


def _surely_exact(value: float) -> bool:
    """Whether a JSON number is what its author wrote, and no longer amount's rounding."""
    return float(f"{value:.{EXACT_DIGITS}g}") == value


def _number_text(value: float) -> str:
    """A number as a text: JSON knows no difference between 5 and 5.0, so neither do these."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)


def _coerce_number(kind: TraitType, text: str) -> int | float:
    stripped = text.strip()
    if not _DECIMAL.fullmatch(stripped):
        raise Uncoercible(f"expected {_TYPE_ENGLISH[kind]}, got {describe(text)}")
    try:
        exact = Decimal(stripped)
    except InvalidOperation as error:  # pragma: no cover - the pattern admits decimals only
        raise Uncoercible(str(error)) from error
    if exact == exact.to_integral_value():
        return int(exact)
    number = float(exact)
    if kind is TraitType.MONEY and Decimal(repr(number)) != exact:
        raise Uncoercible("money is kept exactly: this amount has too many significant digits")
    return number


_TYPE_ENGLISH = {
    TraitType.STRING: "text",
    TraitType.NUMBER: "a number",
    TraitType.MONEY: "an amount of money",
    TraitType.BOOLEAN: "true or false",
    TraitType.INSTANT: "an RFC 3339 instant",
    TraitType.DATE: "a date such as 2026-11-20",
    TraitType.VERSION: "a version such as 2.10.1",
    TraitType.LIST: "a list",
    TraitType.POINT: "a point {lat, lon}",
    TraitType.OBJECT: "an object",
}


def type_english(kind: TraitType) -> str:
    """The type in words with its article: `a number`."""
    return _TYPE_ENGLISH[kind]


def describe(value: Any) -> str:
    """A value in an error message: its JSON kind, and short scalars themselves."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the text "{value}"' if len(value) <= 40 else f"a text of {len(value)} characters"
    if isinstance(value, int):
        return f"the number {value}" if -(10**20) < value < 10**20 else "a very large number"
    if isinstance(value, float):
        return f"the number {value!r}"
    return "a list" if isinstance(value, list) else "an object"


def kind_of(value: Any) -> TraitType | None:
    """The type under which an undeclared value compares, None for null."""
    actual = type(value)
    if actual is str:
        return TraitType.STRING
    if actual is bool:
        return TraitType.BOOLEAN
    if is_number(value):
        return TraitType.NUMBER
    if actual is list:
        return TraitType.LIST
    if isinstance(value, dict):
        return TraitType.OBJECT
    return None
