"""What the operators test: three-valued comparisons of a raw value with a resolved operand.

A test answers True, False, or None for unknown; a value of another type is always unknown. Beside
a test stands, where it has one, the interval of values in which it holds, for the index.
"""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from service.core import instants
from service.core.geography import vector
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

# Where an interval begins or ends: (value, 0) just before the value, (value, 1) just after it;
# None at the open ends.
Cut = tuple[Any, int]
Interval = tuple[Cut | None, Cut | None]
# (raw value, operand, rule, moment): the operand is the rule's own, or the other field's raw value.
Test = Callable[[Any, Any, "Rule", Moment], Truth]

TIMES = frozenset({TraitType.INSTANT, TraitType.DATE})


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
            return bool(freeze(value, case_sensitive) == operand)
        case _:
            return bool(value == operand)


def is_in(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
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
            return freeze(value, case_sensitive)
        case _:
            return value


def _span(instant: int) -> Span:
    return Span(instant, instant + 1)


def ordered(test: Callable[[Any, Any], bool]) -> Test:
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


def below(value: Any, operand: Any) -> bool:
    return bool(value < start(operand))


def at_most(value: Any, operand: Any) -> bool:
    end = getattr(operand, "end", None)
    return bool(value < end) if end is not None else bool(value <= operand)


def between(value: Any, operand: Any) -> bool:
    low, high = operand
    return not below(value, low) and at_most(value, high)


def _after(operand: Any) -> Cut:
    """The cut behind a whole order operand: behind a day, a number, a version."""
    end = getattr(operand, "end", None)
    return (operand, 1) if end is None else (end, 0)


def interval_below(operand: Any) -> Interval:
    return None, (start(operand), 0)


def interval_at_most(operand: Any) -> Interval:
    return None, _after(operand)


def interval_above(operand: Any) -> Interval:
    return _after(operand), None


def interval_at_least(operand: Any) -> Interval:
    return (start(operand), 0), None


def interval_between(operand: Any) -> Interval:
    low, high = operand
    return (start(low), 0), _after(high)


def ages_within_last(duration: Any) -> Interval:
    return (0, 0), (duration.micros, 0)


def ages_within_next(duration: Any) -> Interval:
    return (-duration.micros, 0), (0, 0)


def textual(test: Callable[[str, Any], bool]) -> Test:
    def evaluate(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
        if type(raw) is not str:
            return None
        if rule.other is not None:
            if type(operand) is not str:
                return None
            operand = normal(operand, rule.case_sensitive)
        return test(normal(raw, rule.case_sensitive), operand)

    return evaluate


def matches(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    if type(raw) is not str:
        return None
    return bool(operand.search(compose(raw)))


def item_tokens(value: list[Any], case_sensitive: bool) -> frozenset[Any]:
    """The strings and numbers of a list, as they compare; its other items count for nothing."""
    form = compose if case_sensitive else fold
    return frozenset(
        [
            form(item) if type(item) is str else item
            for item in value
            if type(item) is str or is_number(item)
        ]
    )


def itemised(test: Callable[[frozenset[Any], frozenset[Any]], bool]) -> Test:
    def evaluate(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
        if type(raw) is not list:
            return None
        if rule.other is not None:
            if type(operand) is not list:
                return None
            operand = item_tokens(operand, rule.case_sensitive)
        return test(item_tokens(raw, rule.case_sensitive), operand)

    return evaluate


def within_last(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    value = read(TraitType.INSTANT, raw, moment.zone)
    if value is WRONG_TYPE:
        return None
    return bool(instants.shift(moment.now, operand, moment.zone, -1) < value <= moment.now)


def within_next(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    value = read(TraitType.INSTANT, raw, moment.zone)
    if value is WRONG_TYPE:
        return None
    return bool(moment.now < value <= instants.shift(moment.now, operand, moment.zone, 1))


def anniversary_within(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
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


def within_distance(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    place = read(TraitType.POINT, raw, moment.zone)
    if place is WRONG_TYPE:
        return None
    return bool(operand.contains(vector(place)))


def sample_position(salt: str, customer_id: str) -> float:
    """Where a customer stands in [0, 100): the first 8 bytes of SHA-256(salt + ":" + id)."""
    digest = hashlib.sha256(f"{salt}:{customer_id}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) * (100 / 2**53)


def sample(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    if type(raw) is not str:
        return None
    percent, salt = operand
    return sample_position(salt, raw) < float(percent)


def absent(raw: Any, operand: Any, rule: "Rule", moment: Moment) -> Truth:
    return False


def opposite(test: Test) -> Test:
    return lambda raw, operand, rule, moment: negate(test(raw, operand, rule, moment))
