"""When time alone can next change a rule's truth.

Each function answers with a lower bound: no change happens before it; None: never again. Fixed
durations are solved in closed form. Calendar months are not monotone near month ends (a month
before 29 March can lie before a month before 28 March), so there the few days around the expected
change are searched.
"""

from collections.abc import Callable
from datetime import timedelta, tzinfo
from typing import Any

from service.core import instants
from service.core.conditions import Rule
from service.core.instants import DAY, LAST, Moment
from service.core.operators import OPERATORS
from service.core.traits import WRONG_TYPE, TraitType, read

Horizon = Callable[[Any, Rule, Moment], int | None]


def next_change(rule: Rule, raw: Any, moment: Moment) -> int | None:
    """The earliest instant after `moment.now` at which the rule's truth for this value could
    differ; None when it never will, or the rule does not look at time."""
    operator = rule.operator.negates or rule.operator.name
    horizon = _HORIZONS.get(operator)
    return None if horizon is None else horizon(raw, rule, moment)


def looks_at_time(rule: Rule) -> bool:
    """Whether time alone can change this rule's truth."""
    return (rule.operator.negates or rule.operator.name) in _HORIZONS


def _within_last(raw: Any, rule: Rule, moment: Moment) -> int | None:
    value = read(TraitType.INSTANT, raw, moment.zone)
    if value is WRONG_TYPE:
        return None
    if moment.now < value:
        return int(value)
    leaves = instants.shift(value, rule.operand, moment.zone, 1)
    if not rule.operand.months:
        return leaves if moment.now < leaves else None
    return _search(rule, raw, moment, leaves)


def _within_next(raw: Any, rule: Rule, moment: Moment) -> int | None:
    value = read(TraitType.INSTANT, raw, moment.zone)
    if value is WRONG_TYPE or moment.now >= value:
        return None
    enters = instants.shift(value, rule.operand, moment.zone, -1)
    if not rule.operand.months:
        return enters if moment.now < enters else int(value)
    change = _search(rule, raw, moment, enters)
    return int(value) if change is None else min(change, int(value))


def _anniversary_within(raw: Any, rule: Rule, moment: Moment) -> int | None:
    value = read(TraitType.DATE, raw, moment.zone)
    if value is WRONG_TYPE:
        return None
    day = instants.local_day(value, moment.zone)
    coming = instants.next_anniversary(day, instants.local_day(moment.now, moment.zone))
    if coming is None:
        return None
    start = instants.start_of_day(coming, moment.zone)
    end = instants.end_of_day(coming, moment.zone)
    enters = instants.shift(start, rule.operand, moment.zone, -1)
    if not rule.operand.months:
        return enters if moment.now < enters else end
    change = _search(rule, raw, moment, enters)
    return end if change is None else min(change, end)


def _search(rule: Rule, raw: Any, moment: Moment, expected: int) -> int | None:
    """The first change of a calendar rule's truth, which lies within days of `expected`.

    A wall clock's shifted date moves at local midnights and its comparison at the value's own
    time of day, so between those the truth is constant but for a zone's clock changes; two
    neighbours that differ are narrowed down by bisection.
    """
    first, last = expected - 4 * DAY, expected + 4 * DAY
    if moment.now < first:
        return first
    if moment.now >= last:
        return None

    def truth(now: int) -> Any:
        return rule.operator.test(raw, rule.operand, rule, Moment(now, moment.zone))

    before, known = moment.now, truth(moment.now)
    for point in _points(expected, first, last, moment.zone):
        if point <= moment.now:
            continue
        if truth(point) != known:
            return _bisect(truth, before, point)
        before = point
    return None


def _points(expected: int, first: int, last: int, zone: tzinfo) -> list[int]:
    """Local midnights, the expected time of day, and an hour about it, between two instants."""
    day = instants.local_day(expected, zone)
    points = {last}
    for offset in range(-5, 6):
        try:
            midnight = instants.start_of_day(day + timedelta(days=offset), zone)
        except OverflowError:
            continue
        clock = expected + offset * DAY
        points.update((midnight, clock - instants.HOUR, clock, clock + instants.HOUR))
    return sorted(point for point in points if first <= point <= last and point <= LAST)


def _bisect(truth: Callable[[int], Any], before: int, after: int) -> int:
    known = truth(before)
    while after - before > 1:
        middle = (before + after) // 2
        if truth(middle) == known:
            before = middle
        else:
            after = middle
    return after


_HORIZONS: dict[str, Horizon] = {
    OPERATORS["withinLast"].name: _within_last,
    OPERATORS["withinNext"].name: _within_next,
    OPERATORS["anniversaryWithin"].name: _anniversary_within,
}
