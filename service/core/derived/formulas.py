"""Formulas: + − × ÷ of traits and numbers, or an instant moved by durations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from service.core.conditions import Field
from service.core.derived.exact import DECIMAL, decimal_of, json_number
from service.core.derived.fields import Place
from service.core.english import field_english
from service.core.instants import FIRST, LAST, Duration, Moment, shift, to_datetime
from service.core.traits import ABSENT, WRONG_TYPE, Profile, TraitType, read

Value = Callable[[Profile, Moment], int | float | datetime | None]


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was written."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Trait:
    """A trait that is read."""

    field: Field


@dataclass(frozen=True, slots=True)
class Negated:
    """The negative of a number."""

    of: "Node"


@dataclass(frozen=True, slots=True)
class Calculated:
    """Two numbers and one of + − × ÷ between them."""

    sign: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Moved:
    """An instant moved by a duration: later with +, earlier with −."""

    sign: str
    instant: "Node"
    duration: Duration


Node = Number | Trait | Negated | Calculated | Moved


@dataclass(frozen=True, slots=True)
class Formula:
    """A calculation with other traits. Missing where one of them is missing or of another type,
    where it divides by zero, and where the result is too large.

    Numbers are decimals of 34 significant digits, and come out as an integer where the result is
    whole, else as the nearest double. Instants come out as aware datetimes, which are read at a
    third of what a text costs; durations are as everywhere, a day 24 hours and a month one of the
    calendar.
    """

    node: Node
    type: TraitType
    places: tuple[Place, ...]

    def compiled(self) -> Value:
        """The value for a profile at a moment, of which the zone counts only; None: missing."""
        if self.type is TraitType.INSTANT:
            return _instant_value(_instant(self.node))
        return _number_value(_number(self.node))

    def english(self) -> str:
        """`Revenue − (refunds + discounts) × 2.`"""
        text = _english(self.node) + "."
        return text[:1].upper() + text[1:]


Calculation = Callable[[Profile], Decimal | None]

_SIGNS: Mapping[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": DECIMAL.add,
    "−": DECIMAL.subtract,
    "×": DECIMAL.multiply,
    "÷": DECIMAL.divide,
}


def _number_value(calculation: Calculation) -> Value:
    def value(profile: Profile, moment: Moment) -> int | float | None:
        try:
            exact = calculation(profile)
        except ArithmeticError:
            return None
        return None if exact is None else json_number(exact)

    return value


def _number(node: Node) -> Calculation:
    match node:
        case Number(constant):
            return lambda profile: constant
        case Trait(field):
            raw = field.read
            return lambda profile: decimal_of(raw(profile))
        case Negated(inner):
            return _negated(_number(inner))
        case Calculated(sign, left, right):
            return _calculated(_SIGNS[sign], _number(left), _number(right))
    raise AssertionError(f"{node} is no number")  # pragma: no cover - parsing keeps them apart


def _negated(of: Calculation) -> Calculation:
    def calculation(profile: Profile) -> Decimal | None:
        value = of(profile)
        return None if value is None else DECIMAL.minus(value)

    return calculation


def _calculated(
    calculate: Callable[[Decimal, Decimal], Decimal], left: Calculation, right: Calculation
) -> Calculation:
    def calculation(profile: Profile) -> Decimal | None:
        first = left(profile)
        if first is None:
            return None
        second = right(profile)
        return None if second is None else calculate(first, second)

    return calculation


Timing = Callable[[Profile, Moment], int | None]


def _instant_value(timing: Timing) -> Value:
    def value(profile: Profile, moment: Moment) -> datetime | None:
        instant = timing(profile, moment)
        return None if instant is None else to_datetime(instant)

    return value


def _instant(node: Node) -> Timing:
    match node:
        case Trait(field):
            return _read_instant(field.read)
        case Moved(sign, inner, duration):
            return _moved(_instant(inner), duration, 1 if sign == "+" else -1)
    raise AssertionError(f"{node} is no instant")  # pragma: no cover - parsing keeps them apart


def _read_instant(raw: Callable[[Profile], Any]) -> Timing:
    def timing(profile: Profile, moment: Moment) -> int | None:
        value = raw(profile)
        if value is ABSENT:
            return None
        instant = read(TraitType.INSTANT, value, moment.zone)
        return None if instant is WRONG_TYPE else instant

    return timing


def _moved(of: Timing, duration: Duration, sign: int) -> Timing:
    def timing(profile: Profile, moment: Moment) -> int | None:
        instant = of(profile, moment)
        if instant is None:
            return None
        moved = shift(instant, duration, moment.zone, sign)
        # What lies beyond the years 1-9999 is clamped to their ends.
        return moved if FIRST < moved < LAST else None

    return timing


_BINDS = {"+": 1, "−": 1, "×": 2, "÷": 2}


def _english(node: Node, binding: int = 0) -> str:
    """A node in words, in parentheses where it binds less than what it stands in."""
    match node:
        case Number(value):
            return f"{value:f}"
        case Trait(field):
            return field_english(field)
        case Negated(inner):
            return f"−{_english(inner, 3)}"
        case Moved(sign, instant, duration):
            return f"{_english(instant)} {sign} {duration.english}"
        case Calculated(sign, left, right):
            binds = _BINDS[sign]
            text = f"{_english(left, binds)} {sign} {_english(right, binds + 1)}"
            return f"({text})" if binds < binding else text
