"""Aggregates: one value from what a customer did, over a window of time.

An aggregate reads a *series*: the events of one name that meet a condition, with one value of each
(or of each of their items). Several aggregates share a series when only the function or the window
differs. Its events stand in a `Timeline` beside the customer: deciding reads no event again.
"""

import hashlib
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from service.core.events import Event
from service.core.instants import DAY, MINUTE, Duration, Moment, format_instant, shift
from service.core.interpreting import evaluate
from service.core.timelines import Entry, Timeline, decimal_sum, number
from service.core.traits import ABSENT, TraitType, freeze, is_number

if TYPE_CHECKING:
    from service.core.comparisons import Truth
    from service.core.conditions import Condition


class Function(StrEnum):
    """What is made of the events in the window."""

    COUNT = "count"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    FIRST = "first"
    LAST = "last"
    DISTINCT = "distinct"
    MODE = "mode"
    MEDIAN_GAP = "medianGap"
    SESSIONS = "sessions"


# Over nothing these are 0; all others are missing.
ZERO = frozenset({Function.COUNT, Function.SUM, Function.DISTINCT, Function.SESSIONS})
# These say nothing without a value of each event.
NEED_OF = frozenset(
    {Function.SUM, Function.AVG, Function.MIN, Function.MAX, Function.DISTINCT, Function.MODE}
)
NUMERIC = frozenset({Function.SUM, Function.AVG, Function.MIN, Function.MAX})
# These are about when events happen, and have nothing to take of each.
TIMED = frozenset({Function.MEDIAN_GAP, Function.SESSIONS})

# Silence that ends a session, as web analytics have it.
SESSION_ENDS = 30 * MINUTE

Path = tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """Events of one name, or of several, and which of them: `where` is true of the event, or, with
    `each`, of an item of the list at that path. `of`: the path of the value that is kept.
    `document`: the same as JSON, by which series are told apart."""

    events: tuple[str, ...]
    of: Path | None
    each: Path | None
    where: "Condition | None" = field(compare=False)
    document: str

    @cached_property
    def key(self) -> str:
        """A short name that is the same in every process, as long as the definition is."""
        return hashlib.sha256(self.document.encode()).hexdigest()[:16]

    def entries(self, event: Event, zone: tzinfo) -> list[Entry]:
        """What an event of such a name adds to the series."""
        if self.where is None and self.each is None and self.of is None:
            return [(event.at, None)]
        moment = Moment(event.at, zone)
        found: list[Entry] = []
        for profile in self._profiles(event):
            if self.where is None or evaluate(self.where, profile, moment, _nobody) is True:
                value = None if self.of is None else _value_at(profile, self.of)
                if self.of is None or value is not None:
                    found.append((event.at, value))
        return found

    def _profiles(self, event: Event) -> Iterator[dict[str, Any]]:
        profile: dict[str, Any] = {"properties": event.properties}
        if self.each is None:
            yield profile
            return
        items = _value_at(profile, self.each, whole=True)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                yield {**profile, "item": item}


@dataclass(frozen=True)
class Aggregate:
    """A function over a series within a window that ends now (`within`), or within one that ended
    in the past (`between`: how long ago it began and ended); neither: over everything."""

    function: Function
    series: Series
    within: Duration | None = None
    between: tuple[Duration, Duration] | None = None

    @cached_property
    def name(self) -> str:
        """The field under which conditions find an aggregate that has no name of its own."""
        window: str | list[str] | None = None
        if self.within is not None:
            window = self.within.text
        elif self.between is not None:
            window = [each.text for each in self.between]
        return f"event:{json.dumps([self.function, window, self.series.document])}"

    @property
    def type(self) -> TraitType | None:
        """The type of its value; None where it is whatever the events hold."""
        if self.function in NUMERIC or self.function in ZERO:
            return TraitType.NUMBER
        if self.function is Function.MEDIAN_GAP:
            return TraitType.NUMBER
        if self.series.of is None:
            return TraitType.INSTANT
        return None

    @property
    def moves(self) -> bool:
        """Whether time takes events out of the window again."""
        return self.within is not None or self.between is not None

    def value(self, timeline: Timeline, now: int, zone: tzinfo) -> Any:
        """The value at an instant, or ABSENT. Windows are (now - d, now]: an event dated in the
        future counts from its instant on."""
        first, last = self.window(timeline.times, now, zone)
        return self.over(timeline, first, last)

    def over(self, timeline: Timeline, first: int, last: int) -> Any:
        """The value over the events from place `first` up to `last`, or ABSENT."""
        if first >= last:
            return 0 if self.function in ZERO else ABSENT
        return _FUNCTIONS[self.function](timeline, first, last)

    def window(self, times: Sequence[int], now: int, zone: tzinfo) -> tuple[int, int]:
        """The first event in the window, and the first after it, as places among the times."""
        if self.within is not None:
            return bisect_right(times, shift(now, self.within, zone, -1)), bisect_right(times, now)
        if self.between is not None:
            began, ended = (bisect_right(times, shift(now, d, zone, -1)) for d in self.between)
            return began, ended
        return 0, bisect_right(times, now)


def _nobody(key: str) -> "Truth":
    raise AssertionError(f"a condition on events asked for segment {key}")


def _value_at(profile: Mapping[str, Any], path: Path, *, whole: bool = False) -> Any:
    """The scalar at a path (with `whole`, anything); None where there is none."""
    node: Any = profile
    for step in path:
        node = node.get(step) if isinstance(node, dict) else None
    return node if whole or isinstance(node, str | int | float | bool) else None


def _count(timeline: Timeline, first: int, last: int) -> Any:
    return last - first


def _sum(timeline: Timeline, first: int, last: int) -> Any:
    if timeline.decimals is not None and timeline.values is not None:
        return number(timeline.total(first, last), timeline.decimals)
    return _plain(decimal_sum(_numbers(timeline, first, last)))


def _avg(timeline: Timeline, first: int, last: int) -> Any:
    if timeline.decimals is not None and timeline.values is not None:
        total = timeline.total(first, last)
        whole, rest = divmod(total, (last - first) * 10**timeline.decimals)
        return total / ((last - first) * 10**timeline.decimals) if rest else whole
    numbers = _numbers(timeline, first, last)
    return _plain(decimal_sum(numbers) / len(numbers)) if numbers else ABSENT


def _extreme(*, largest: bool) -> Callable[[Timeline, int, int], Any]:
    choose: Callable[..., Any] = max if largest else min

    def chosen(timeline: Timeline, first: int, last: int) -> Any:
        if timeline.decimals is not None and timeline.values is not None:
            place = timeline.extreme(first, last, largest=largest)
            return number(timeline.values[place], timeline.decimals)
        return choose(_numbers(timeline, first, last), default=ABSENT)

    return chosen


def _numbers(timeline: Timeline, first: int, last: int) -> list[int | float]:
    return [value for value in timeline.numbers(first, last) if is_number(value)]


def _plain(exact: Any) -> int | float:
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def _nth(timeline: Timeline, place: int) -> Any:
    if timeline.values is None:
        return format_instant(timeline.times[place])
    return timeline.numbers(place, place + 1)[0]


def _first(timeline: Timeline, first: int, last: int) -> Any:
    return _nth(timeline, first)


def _last(timeline: Timeline, first: int, last: int) -> Any:
    return _nth(timeline, last - 1)


def _distinct(timeline: Timeline, first: int, last: int) -> Any:
    if timeline.decimals is not None and timeline.values is not None:
        return len(set(timeline.values[first:last]))
    return len({freeze(value) for value in timeline.numbers(first, last)})


def _mode(timeline: Timeline, first: int, last: int) -> Any:
    """The most frequent value; of several the one that came last."""
    values = timeline.numbers(first, last)
    frozen = [freeze(value) for value in values]
    counts = Counter(frozen)
    most = max(counts.values())
    place = next(i for i in range(len(values) - 1, -1, -1) if counts[frozen[i]] == most)
    return values[place]


def _median_gap(timeline: Timeline, first: int, last: int) -> Any:
    """The median time between one event and the next, in days."""
    times = timeline.times[first:last]
    if len(times) < 2:
        return ABSENT
    return median(after - before for before, after in pairwise(times)) / DAY


def _sessions(timeline: Timeline, first: int, last: int) -> Any:
    """How many runs of events there are, none of which comes `SESSION_ENDS` after the one before.
    A window cuts off what is before it."""
    times = timeline.times[first:last]
    return 1 + sum(after - before >= SESSION_ENDS for before, after in pairwise(times))


_FUNCTIONS: Mapping[Function, Callable[[Timeline, int, int], Any]] = {
    Function.COUNT: _count,
    Function.SUM: _sum,
    Function.AVG: _avg,
    Function.MIN: _extreme(largest=False),
    Function.MAX: _extreme(largest=True),
    Function.FIRST: _first,
    Function.LAST: _last,
    Function.DISTINCT: _distinct,
    Function.MODE: _mode,
    Function.MEDIAN_GAP: _median_gap,
    Function.SESSIONS: _sessions,
}
