"""THE operator table: for each operator its types, its operand, its test, its English, its inverse.

Parser, evaluators, sentences, documentation and error messages read this table; nothing else
knows an operator's name. A test is three-valued: True, False, or None for unknown.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from service.core import instants
from service.core.instants import Moment, Span
from service.core.traits import (
    WRONG_TYPE,
    TraitType,
    compose,
    fold,
    freeze,
    is_number,
    kind_of,
    read,
)

if TYPE_CHECKING:
    from service.core.conditions import Rule

Truth = bool | None
# (raw value, operand, rule, moment): the operand is the rule's own, or the other field's raw value.
Test = Callable[[Any, Any, "Rule", Moment], Truth]


class Operand(StrEnum):
    """What an operator is given to compare with."""

    NONE = "none"
    SCALAR = "one value"
    LIST = "a list of values"
    PAIR = "a pair of values, lowest first"
    TEXT = "a text"
    PATTERN = "a regular expression in RE2 syntax"
    DURATION = "a duration such as 30d or 2mo"
    VERSION = "a version such as 2.10.1"
    DISTANCE = 'a circle {"lat":, "lon":, "km":}'
    SAMPLE = 'a share {"percent": 10, "salt": "x"}'


class Family(StrEnum):
    """How the index treats an operator."""

    PRESENCE = "presence"
    EQUALITY = "equality"
    ORDER = "order"
    TEXT = "text"
    ITEMS = "items"
    AGE = "age"
    OTHER = "other"


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """One row of the table.

    `types`: the declared types it applies to. `negates`: the operator it is the Kleene negation
    of. `inverse`: the operator that is true exactly where this one is false, if there is one.
    `fields`: whether another field may stand in the operand's place.
    """

    name: str
    english: str
    operand: Operand
    family: Family
    types: frozenset[TraitType]
    test: Test
    negates: str | None = None
    inverse: str | None = None
    fields: bool = False
    past_looking: bool = False

    @property
    def negative(self) -> bool:
        """Whether people expect it to hold for customers without a value (it doesn't)."""
        return self.negates is not None and self.operand is not Operand.NONE


ANY = frozenset(TraitType)
ORDERED = frozenset(
    {
        TraitType.NUMBER,
        TraitType.MONEY,
        TraitType.INSTANT,
        TraitType.DATE,
        TraitType.VERSION,
    }
)
TEXTS = frozenset({TraitType.STRING})
LISTS = frozenset({TraitType.LIST})
TIMES = frozenset({TraitType.INSTANT, TraitType.DATE})

EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG


def negate(truth: Truth) -> Truth:
    """Kleene negation: NOT unknown is unknown."""
    return None if truth is None else not truth


def normal(value: Any, case_sensitive: bool) -> str:
    """A text in the form it compares under."""
    return compose(value) if case_sensitive else fold(value)


def _equals(kind: TraitType, value: Any, operand: Any, case_sensitive: bool) -> bool:
    """Whether a value already read as `kind` equals a resolved operand."""
    match kind:
        case TraitType.STRING:
            return bool(normal(value, case_sensitive) == operand)
        case TraitType.INSTANT | TraitType.DATE:
            return bool(operand.start <= value < operand.end)
        case TraitType.LIST | TraitType.OBJECT:
            return bool(freeze(value) == operand)
        case _:
            return bool(value == operand)


def _is_in(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    """`=` and `in`: the operand is a tuple of (kind, value) pairs."""
    readable = False
    for kind, wanted in _pairs(raw, operand, rule, moment):
        value = read(kind, raw, moment.zone)
        if value is WRONG_TYPE:
            continue
        readable = True
        if _equals(kind, value, wanted, rule.case_sensitive):
            return True
    return False if readable else None


def _pairs(
    raw: Any, operand: Any, rule: "Rule", moment: Moment
) -> tuple[tuple[TraitType, Any], ...]:
    if rule.other is None:
        return operand  # type: ignore[no-any-return]  # resolved by the parser
    kind = rule.kind or kind_of(raw)
    if kind is None:
        return ()
    other = read(kind, operand, moment.zone)
    if other is WRONG_TYPE:
        return ()
    return ((kind, comparable(kind, other, rule.case_sensitive)),)


def comparable(kind: TraitType, value: Any, case_sensitive: bool) -> Any:
    """A value read as `kind` in the form that an operand of `=` has."""
    match kind:
        case TraitType.STRING:
            return normal(value, case_sensitive)
        case TraitType.INSTANT | TraitType.DATE:
            return _span(value)
        case TraitType.LIST | TraitType.OBJECT:
            return freeze(value)
        case _:
            return value


def _span(instant: int) -> Span:
    return Span(instant, instant + 1)


def _compare(test: Callable[[Any, Any], bool]) -> Test:
    """An order operator; `test` gets the value and the operand (a Span for times)."""

    def evaluate(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
        kind = rule.kind
        if rule.other is not None:
            kind = kind or _common_order(raw, operand)
            if kind is None:
                return None
            operand = read(kind, operand, moment.zone)
            if operand is WRONG_TYPE:
                return None
            if kind in TIMES:
                operand = _span(operand)
        assert kind is not None  # noqa: S101 - the parser gives order rules a kind
        value = read(kind, raw, moment.zone)
        if value is WRONG_TYPE:
            return None
        return test(value, operand)

    return evaluate


def _common_order(left: Any, right: Any) -> TraitType | None:
    """The order two undeclared values share: numbers, or RFC 3339 texts."""
    kinds = {kind_of(left), kind_of(right)}
    if kinds == {TraitType.NUMBER}:
        return TraitType.NUMBER
    if kinds == {TraitType.STRING}:
        return TraitType.INSTANT
    return None


def start(operand: Any) -> Any:
    """Where an order operand begins: a Span's start, any other value itself."""
    return getattr(operand, "start", operand)


def _below(value: Any, operand: Any) -> bool:
    return bool(value < start(operand))


def _at_most(value: Any, operand: Any) -> bool:
    end = getattr(operand, "end", None)
    return bool(value < end) if end is not None else bool(value <= operand)


def _between(value: Any, operand: Any) -> bool:
    low, high = operand
    return not _below(value, low) and _at_most(value, high)


def _text(test: Callable[[str, Any], bool]) -> Test:
    def evaluate(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
        if type(raw) is not str:
            return None
        if rule.other is not None:
            if type(operand) is not str:
                return None
            operand = normal(operand, rule.case_sensitive)
        return test(normal(raw, rule.case_sensitive), operand)

    return evaluate


def _matches(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    if type(raw) is not str:
        return None
    return bool(operand.search(compose(raw)))


def item_tokens(value: list[Any], case_sensitive: bool) -> frozenset[Any]:
    """The strings and numbers of a list, as they compare; its other items count for nothing."""
    return frozenset(
        normal(item, case_sensitive) if type(item) is str else item
        for item in value
        if type(item) is str or is_number(item)
    )


def _items(test: Callable[[frozenset[Any], frozenset[Any]], bool]) -> Test:
    def evaluate(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
        if type(raw) is not list:
            return None
        if rule.other is not None:
            if type(operand) is not list:
                return None
            operand = item_tokens(operand, rule.case_sensitive)
        return test(item_tokens(raw, rule.case_sensitive), operand)

    return evaluate


def _within_last(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    value = read(TraitType.INSTANT, raw, moment.zone)
    if value is WRONG_TYPE:
        return None
    return bool(instants.shift(moment.now, operand, moment.zone, -1) < value <= moment.now)


def _within_next(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    value = read(TraitType.INSTANT, raw, moment.zone)
    if value is WRONG_TYPE:
        return None
    return bool(moment.now < value <= instants.shift(moment.now, operand, moment.zone, 1))


def _anniversary_within(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    """True from `duration` before the start of the coming anniversary until that day ends."""
    value = read(TraitType.DATE, raw, moment.zone)
    if value is WRONG_TYPE:
        return None
    day = instants.local_day(value, moment.zone)
    coming = instants.next_anniversary(day, instants.local_day(moment.now, moment.zone))
    if coming is None:
        return False
    horizon = instants.shift(moment.now, operand, moment.zone, 1)
    return instants.start_of_day(coming, moment.zone) <= horizon


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two (latitude, longitude) points in degrees: haversine formula."""
    lat_a, lat_b = math.radians(a[0]), math.radians(b[0])
    half_lat = (lat_b - lat_a) / 2
    half_lon = math.radians(b[1] - a[1]) / 2
    chord = math.sin(half_lat) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(chord)))


def _within_distance(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    place = read(TraitType.POINT, raw, moment.zone)
    if place is WRONG_TYPE:
        return None
    centre, km = operand
    return distance_km(place, centre) <= float(km)


def sample_position(salt: str, customer_id: str) -> float:
    """Where a customer stands in [0, 100): the first 8 bytes of SHA-256(salt + ":" + id)."""
    digest = hashlib.sha256(f"{salt}:{customer_id}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) * (100 / 2**53)


def _sample(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    if type(raw) is not str:
        return None
    percent, salt = operand
    return sample_position(salt, raw) < float(percent)


def _present(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    return True


def _absent(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    return False


def _not(test: Test) -> Test:
    return lambda raw, operand, rule, moment: negate(test(raw, operand, rule, moment))


def _table() -> dict[str, Operator]:
    below, at_most = _compare(_below), _compare(_at_most)
    between = _compare(_between)
    contains = _text(lambda value, part: part in value)
    begins = _text(str.startswith)
    ends = _text(str.endswith)
    contains_any = _items(lambda items, wanted: not items.isdisjoint(wanted))
    contains_all = _items(lambda items, wanted: wanted <= items)

    def row(name: str, english: str, operand: Operand, family: Family, types: frozenset[TraitType],
            test: Test, **more: Any) -> Operator:  # fmt: skip
        return Operator(name, english, operand, family, types, test, **more)

    o, f = Operand, Family
    rows = [
        row("=", "is", o.SCALAR, f.EQUALITY, ANY, _is_in, inverse="!=", fields=True),
        row("!=", "is not", o.SCALAR, f.EQUALITY, ANY, _not(_is_in), negates="=", inverse="=",
            fields=True),
        row("in", "is one of", o.LIST, f.EQUALITY, ANY, _is_in, inverse="notIn"),
        row("notIn", "is none of", o.LIST, f.EQUALITY, ANY, _not(_is_in), negates="in",
            inverse="in"),
        row("null", "is unknown", o.NONE, f.PRESENCE, ANY, _absent, inverse="notNull"),
        row("notNull", "is known", o.NONE, f.PRESENCE, ANY, _present, negates="null",
            inverse="null"),
        row("<", "is less than", o.SCALAR, f.ORDER, ORDERED, below, inverse=">=", fields=True),
        row("<=", "is at most", o.SCALAR, f.ORDER, ORDERED, at_most, inverse=">", fields=True),
        row(">", "is more than", o.SCALAR, f.ORDER, ORDERED, _not(at_most), inverse="<=",
            fields=True),
        row(">=", "is at least", o.SCALAR, f.ORDER, ORDERED, _not(below), inverse="<",
            fields=True),
        row("between", "is between", o.PAIR, f.ORDER, ORDERED, between, inverse="notBetween"),
        row("notBetween", "is not between", o.PAIR, f.ORDER, ORDERED, _not(between),
            negates="between", inverse="between"),
        row("contains", "contains", o.TEXT, f.TEXT, TEXTS, contains, inverse="doesNotContain",
            fields=True),
        row("doesNotContain", "does not contain", o.TEXT, f.TEXT, TEXTS, _not(contains),
            negates="contains", inverse="contains", fields=True),
        row("beginsWith", "begins with", o.TEXT, f.TEXT, TEXTS, begins,
            inverse="doesNotBeginWith", fields=True),
        row("doesNotBeginWith", "does not begin with", o.TEXT, f.TEXT, TEXTS, _not(begins),
            negates="beginsWith", inverse="beginsWith", fields=True),
        row("endsWith", "ends with", o.TEXT, f.TEXT, TEXTS, ends, inverse="doesNotEndWith",
            fields=True),
        row("doesNotEndWith", "does not end with", o.TEXT, f.TEXT, TEXTS, _not(ends),
            negates="endsWith", inverse="endsWith", fields=True),
        row("matches", "matches the pattern", o.PATTERN, f.TEXT, TEXTS, _matches),
        row("containsAny", "contains any of", o.LIST, f.ITEMS, LISTS, contains_any,
            inverse="containsNone", fields=True),
        row("containsAll", "contains all of", o.LIST, f.ITEMS, LISTS, contains_all, fields=True),
        row("containsNone", "contains none of", o.LIST, f.ITEMS, LISTS, _not(contains_any),
            negates="containsAny", inverse="containsAny", fields=True),
        row("withinLast", "is within the last", o.DURATION, f.AGE, TIMES, _within_last,
            inverse="notWithinLast"),
        row("notWithinLast", "is not within the last", o.DURATION, f.AGE, TIMES,
            _not(_within_last), negates="withinLast", inverse="withinLast", past_looking=True),
        row("withinNext", "is within the next", o.DURATION, f.AGE, TIMES, _within_next),
        row("anniversaryWithin", "has its anniversary within the next", o.DURATION, f.OTHER,
            TIMES, _anniversary_within),
        row("versionAtLeast", "is version", o.VERSION, f.ORDER, frozenset({TraitType.VERSION}),
            _not(below), inverse="versionBelow"),
        row("versionBelow", "is older than version", o.VERSION, f.ORDER,
            frozenset({TraitType.VERSION}), below, inverse="versionAtLeast"),
        row("withinDistance", "is within", o.DISTANCE, f.OTHER, frozenset({TraitType.POINT}),
            _within_distance),
        row("sample", "falls in a sample of", o.SAMPLE, f.OTHER, TEXTS, _sample),
    ]  # fmt: skip
    return {operator.name: operator for operator in rows}


OPERATORS: dict[str, Operator] = _table()
