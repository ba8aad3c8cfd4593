"""When time alone can next change a rule's truth.

Each function answers with a lower bound: no change happens before it; None: never again. Fixed
durations are solved in closed form. Calendar months are not monotone near month ends (a month
before 29 March can lie before a month before 28 March), so there the few days around the expected
change are searched.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import timedelta, tzinfo
from typing import Any

from service.core import instants
from service.core.aggregates import Aggregate
from service.core.conditions import Rule
from service.core.instants import DAY, LAST, Duration, Moment
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
    return _search(_truth(rule, raw, moment.zone), moment, leaves)


def _within_next(raw: Any, rule: Rule, moment: Moment) -> int | None:
    value = read(TraitType.INSTANT, raw, moment.zone)
    if value is WRONG_TYPE or moment.now >= value:
        return None
    enters = instants.shift(value, rule.operand, moment.zone, -1)
    if not rule.operand.months:
        return enters if moment.now < enters else int(value)
    change = _search(_truth(rule, raw, moment.zone), moment, enters)
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
    change = _search(_truth(rule, raw, moment.zone), moment, enters)
    return end if change is None else min(change, end)


def next_window_change(
    aggregate: Aggregate, times: Sequence[int], now: int, zone: tzinfo
) -> int | None:
    """The earliest instant after `now` at which an event could enter an aggregate's window, or
    leave it: a lower bound. `times`: the events' instants, sorted."""
    changes = []
    if aggregate.between is None:
        coming = bisect_right(times, now)
        if coming < len(times):
            changes.append(times[coming])
    durations = aggregate.between or ((aggregate.within,) if aggregate.within else ())
    for duration in durations:
        change = _edge_change(times, duration, now, zone)
        if change is not None:
            changes.append(change)
    return min(changes, default=None)


def _edge_change(times: Sequence[int], duration: Duration, now: int, zone: tzinfo) -> int | None:
    """When the edge of a window that lies `duration` ago could next pass an event."""

    def passed(at: int) -> int:
        return bisect_right(times, instants.shift(at, duration, zone, -1))

    place = passed(now)
    if not duration.months:
        return times[place] + duration.micros if place < len(times) else None
    found = []
    if place and instants.shift(now, duration, zone, -1) - times[place - 1] < _UNSURE:
        # At a midnight that follows a short month the edge goes back, past an event perhaps.
        found.append(_search(passed, Moment(now, zone), now + _UNSURE // 2))
    if place < len(times):
        expected = instants.shift(times[place], duration, zone, 1)
        found.append(_search(passed, Moment(now, zone), max(expected, now)))
    return min((each for each in found if each is not None), default=None)


# How far from where it is expected a calendar month can end.
_UNSURE = 4 * DAY


def _truth(rule: Rule, raw: Any, zone: tzinfo) -> Callable[[int], Any]:
    return lambda now: rule.operator.test(raw, rule.operand, rule, Moment(now, zone))


def _search(truth: Callable[[int], Any], moment: Moment, expected: int) -> int | None:
    """The first change of what looks a calendar duration back, which lies within days of
    `expected`.

    A wall clock's shifted date moves at local midnights and its comparison at the value's own
    time of day, so between those the truth is constant but for a zone's clock changes; two
    neighbours that differ are narrowed down by bisection.
    """
    first, last = expected - _UNSURE, expected + _UNSURE
    if moment.now < first:
        return first
    if moment.now >= last:
        return None
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
