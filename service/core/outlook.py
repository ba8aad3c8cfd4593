"""The outlook: what conditions make of derived traits, and until when if nothing but time happens.

Most of what is told of a customer changes nothing that anybody asks: a visit more where conditions
ask for five. Conditions see a field through its indexes, where all values between two cuts look the
same. So an aggregate that is read by conditions alone changes only when its value passes a cut, and
neither the events that leave its window before, nor those that come, need a look at all the rest.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

from service.core.aggregates import Aggregate, Function
from service.core.conditions import Field, aggregates_of
from service.core.deriving import NO_DERIVATIONS, Derivations, Histories
from service.core.exclusion import FLAGS
from service.core.field_index import FieldIndex, Form
from service.core.horizons import next_window_change
from service.core.instants import Moment
from service.core.matching import Matcher
from service.core.timelines import Timeline, number
from service.core.traits import ABSENT

# Boundaries of one aggregate that are walked where no other is, before one is taken as it comes.
BOUNDARIES = 4

# Values that are looked through to see further. Who has more of them is looked at again sooner.
LOOKED_THROUGH = 64
_EMPTY = Timeline()


class Standing(NamedTuple):
    """What some fields rule out at an instant, and until when at least; None: for ever. Where two
    have the same `out`, conditions see the same: the clauses that are out by index, or the cut
    that a count lies behind."""

    out: list[int | None]
    until: int | None


class Watched:
    """An aggregate that conditions read, and nothing else: by its field's indexes, one a level."""

    def __init__(self, aggregate: Aggregate, indexes: Sequence[FieldIndex], zone: tzinfo) -> None:
        self.aggregate = aggregate
        self.indexes = indexes
        self.zone = zone
        self._timed = any(index.is_timed for index in indexes)
        # How long its window is, where that and the events' own times are all there is to it.
        within = aggregate.within
        plain = aggregate.between is None and not (within is not None and within.months)
        self._plain = plain and not self._timed
        self._micros = 0 if within is None else within.micros
        # Where only cuts between numbers matter, when a number passes one.
        numbers = all(index.form in (Form.NUMBERS, Form.PRESENCE) for index in indexes)
        self._lanes = [index.numbers for index in indexes if numbers and index.numbers is not None]
        self._passes = _PASSES.get(aggregate.function) if numbers else None
        self._counts = plain and numbers and aggregate.function is Function.COUNT
        self._leaving = _LEAVES.get(aggregate.function, _the_next)

    def value(self, timeline: Timeline, now: int) -> Any:
        """Its value at an instant, or ABSENT."""
        return self.aggregate.value(timeline, now, self.zone)

    def out(self, value: Any, now: int) -> list[int | None]:
        """The clauses that a value rules out at an instant, by index."""
        return [index.out_at(value, now) for index in self.indexes]

    def standing(self, timeline: Timeline, now: int) -> Standing:
        """What it rules out at an instant, and until when."""
        if self._counts:
            return self._counted(timeline, now)
        if self._plain:
            first, last = self._window(timeline, now)
            value = self.aggregate.over(timeline, first, last)
            until = self._until(timeline, first, last, now, BOUNDARIES)
            return Standing(self.out(value, now), until)
        value = self.value(timeline, now)
        changes = [self.next_change(timeline, now, BOUNDARIES)]
        if self._timed:
            changes += [index.next_change(value, now) for index in self.indexes]
        until = min((change for change in changes if change is not None), default=None)
        return Standing(self.out(value, now), until)

    def _counted(self, timeline: Timeline, now: int) -> Standing:
        """`standing` of a count that only cuts between numbers look at: most that are asked are."""
        times = timeline.times
        first, last = self._window(timeline, now)
        cut = self.below(last - first)
        until = times[last] if last < len(times) else None
        if self._micros and cut is not None and cut > 0:
            leaves = times[last - cut] + self._micros
            until = leaves if until is None or leaves < until else until
        return Standing([cut], until)

    def next_change(self, timeline: Timeline, now: int, boundaries: int = 1) -> int | None:
        """The first instant after `now` at which events that come or leave could change what
        conditions make of the value: a lower bound, found by walking so many boundaries where
        nothing better is known of the function; None: never."""
        if not self.indexes or not timeline.times:
            return None
        if self._plain:
            return self._until(timeline, *self._window(timeline, now), now, boundaries)
        if self._timed:
            # What a value rules out moves by itself: each value counts.
            return next_window_change(self.aggregate, timeline.times, now, self.zone)
        return self._walked(timeline, now, boundaries)

    def _window(self, timeline: Timeline, now: int) -> tuple[int, int]:
        times = timeline.times
        last = bisect_right(times, now)
        return (bisect_right(times, now - self._micros, 0, last) if self._micros else 0), last

    def _until(
        self, timeline: Timeline, first: int, last: int, now: int, boundaries: int
    ) -> int | None:
        times = timeline.times
        comes = times[last] if last < len(times) else None
        if not self._micros or first == last:
            return comes
        leaves = self._leaves(timeline, first, last, now, boundaries)
        if leaves is None:
            return comes
        leaves += self._micros
        return leaves if comes is None or leaves < comes else comes

    def _leaves(
        self, timeline: Timeline, first: int, last: int, now: int, boundaries: int
    ) -> int | None:
        """The time of the first of these events without which, and without those before it, the
        value could be seen as another."""
        if self._passes is not None:
            passed = self._passes(self, timeline, first, last)
            if passed != first:
                return None if passed is None else timeline.times[passed]
        if boundaries == 1:
            return timeline.times[self._leaving(self, timeline, first, last)]
        out = self.out(self._of(timeline, first, last), now)
        place = first
        for _ in range(boundaries):
            place = self._leaving(self, timeline, first, last)
            first = place + 1
            if self.out(self._of(timeline, first, last), now) != out:
                break
            if first == last:
                return None
        return timeline.times[place]

    def _of(self, timeline: Timeline, first: int, last: int) -> Any:
        return self.aggregate.over(timeline, first, last)

    def _walked(self, timeline: Timeline, now: int, boundaries: int) -> int | None:
        if boundaries == 1:
            return next_window_change(self.aggregate, timeline.times, now, self.zone)
        out = self.out(self.value(timeline, now), now)
        at: int | None = now
        for _ in range(boundaries):
            assert at is not None  # noqa: S101 - it was told so below
            at = next_window_change(self.aggregate, timeline.times, at, self.zone)
            if at is None or self.out(self.value(timeline, at), now) != out:
                break
        return at

    def passed(self, value: float) -> Callable[[float], bool]:
        """Whether a number lies behind a cut, seen from this one."""
        places = [lane.place(value) for lane in self._lanes]
        return lambda other: any(
            lane.place(other) != place for lane, place in zip(self._lanes, places, strict=True)
        )

    def below(self, value: int) -> int | None:
        """The nearest cut at or below an integer: what is less is seen as another."""
        nearest: int | None = None
        for lane in self._lanes:
            cut = lane.below(value)
            if cut is not None and (nearest is None or cut > nearest):
                nearest = cut
        return nearest


# Of some events of a timeline, the place of the first without which, and without those before it,
# the value could be another.
def _the_next(watched: Watched, timeline: Timeline, first: int, last: int) -> int:
    return first


def _the_last(watched: Watched, timeline: Timeline, first: int, last: int) -> int:
    return last - 1


def _the_extreme(watched: Watched, timeline: Timeline, first: int, last: int) -> int:
    """An extreme stands until the last event that has it leaves."""
    if timeline.decimals is None or timeline.values is None:
        return first
    largest = watched.aggregate.function is Function.MAX
    return timeline.extreme(first, last, largest=largest)


_LEAVES: Mapping[Function, Callable[[Watched, Timeline, int, int], int]] = {
    Function.MAX: _the_extreme,
    Function.MIN: _the_extreme,
    Function.LAST: _the_last,
}


# The place of the first without which a number has passed a cut; None: it never will. Of numbers of
# which it is known how they go as events leave: they fall, or stay between two others.
def _of_a_count(watched: Watched, timeline: Timeline, first: int, last: int) -> int | None:
    cut = watched.below(last - first)
    return None if cut is None or cut <= 0 else last - cut


def _of_a_sum(watched: Watched, timeline: Timeline, first: int, last: int) -> int | None:
    """A sum only falls if nothing in it is negative."""
    if timeline.decimals is None or timeline.values is None or min(timeline.values[first:last]) < 0:
        return first
    return _falling(watched, timeline, first, last)


def _falling(watched: Watched, timeline: Timeline, first: int, last: int) -> int | None:
    passed = watched.passed(watched.aggregate.over(timeline, first, last))
    left = range(first + 1, last + 1)
    place = bisect_left(
        left, True, key=lambda start: passed(watched.aggregate.over(timeline, start, last))
    )
    return None if place == len(left) else first + place


def _of_an_average(watched: Watched, timeline: Timeline, first: int, last: int) -> int | None:
    """An average stays between the least and the largest of its values while there are any."""
    if timeline.decimals is None or timeline.values is None or last - first > LOOKED_THROUGH:
        return first
    values = timeline.values[first:last]
    least, largest = (number(each, timeline.decimals) for each in (min(values), max(values)))
    return first if watched.passed(least)(largest) else last - 1


_PASSES: Mapping[Function, Callable[[Watched, Timeline, int, int], int | None]] = {
    Function.COUNT: _of_a_count,
    Function.SUM: _of_a_sum,
    Function.DISTINCT: _falling,
    Function.AVG: _of_an_average,
}


class Outlook:
    """What a catalog's conditions make of its derived traits."""

    def __init__(
        self,
        derivations: Derivations,
        matcher: Matcher,
        fields: Iterable[Field] = (),
        *,
        models: bool = False,
    ) -> None:
        """`fields`: all that conditions read; `models`: whether they read models, which may make
        of any trait what they like."""
        self.derivations = derivations
        plan = derivations.plan
        traits = () if plan is None else plan.traits.values()
        reads = {name for trait in traits for name in trait.reads}
        held = {
            each.name
            for trait in traits
            for condition in trait.conditions
            for each in aggregates_of(condition)
        }
        # What is seen otherwise than by the indexes, where each value counts.
        otherwise = matcher.read_otherwise | {name.partition(".")[0] for name in reads} | held
        otherwise |= {field.path[0] for field in fields if len(field.path) > 1}
        otherwise |= {*FLAGS}
        self.watched: dict[str, Watched] = {
            name: Watched(aggregate, matcher.indexes_of(name), derivations.zone)
            for name, aggregate in derivations.aggregates.items()
            if name not in otherwise
        }
        # By the series' key, all that reads it; a series that is not there is read otherwise too.
        self._by_series: dict[str, list[Watched]] = {}
        if not models:
            self._by_series = {key: [] for key in derivations.series}
            for series in () if plan is None else plan.series:
                self._by_series.pop(series.key, None)
            for name, aggregate in derivations.aggregates.items():
                if name in self.watched:
                    if aggregate.series.key in self._by_series:
                        self._by_series[aggregate.series.key].append(self.watched[name])
                else:
                    self._by_series.pop(aggregate.series.key, None)
        # Whether time alone may change what models say.
        self.scores_move = models and bool(derivations.moving)

    def standing(self, histories: Histories, keys: Iterable[str], now: int) -> Standing | None:
        """What conditions make of these series at an instant, and until when; None where
        something else reads them too."""
        out: list[int | None] = []
        until: int | None = None
        for key in keys:
            readers = self._by_series.get(key)
            if readers is None:
                return None
            timeline = histories.get(key, _EMPTY)
            for watched in readers:
                mine, change = watched.standing(timeline, now)
                out += mine
                if change is not None and (until is None or change < until):
                    until = change
        return Standing(out, until)

    def change_of(self, name: str, histories: Histories, now: int) -> int | None:
        """The first instant after `now` at which time alone could change what anybody makes of an
        aggregate: a lower bound; None: never."""
        derivations = self.derivations
        aggregate = derivations.aggregates[name]
        timeline = histories.get(aggregate.series.key)
        if timeline is None or not timeline.times:
            return None
        watched = self.watched.get(name)
        if watched is not None:
            return watched.next_change(timeline, now)
        return next_window_change(aggregate, timeline.times, now, derivations.zone)


class Foreseen:
    """The derived traits of a customer from an instant on. At each later one only those aggregates
    are looked at again that could be seen as others by then."""

    def __init__(
        self, outlook: Outlook, derived: Mapping[str, Any], histories: Histories, now: int
    ) -> None:
        """`derived`: those of the instant."""
        self.outlook = outlook
        self.histories = histories
        aggregates = outlook.derivations.aggregates
        self._found = {name: derived[name] for name in aggregates if name in derived}
        self._changes = {
            name: change
            for name in aggregates
            if (change := outlook.change_of(name, histories, now)) is not None
        }

    def until(self, profile: Mapping[str, Any], now: int) -> int | None:
        """The first instant after `now`, the latest asked about, at which time alone could change
        what conditions make of the derived traits of a profile that holds them: a lower bound;
        None: never."""
        derivations = self.outlook.derivations
        until = min(self._changes.values(), default=None)
        if derivations.plan is None:
            return until
        change = derivations.plan.next_change(
            profile, Moment(now, derivations.zone), self.histories
        )
        return until if change is None or (until is not None and until < change) else change

    def at(
        self, given: Mapping[str, Any], now: int, overridden: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The derived traits at an instant after all that were asked about, as far as conditions
        tell them from what they were; `given` and `overridden` as `Derivations.values` has them."""
        derivations, histories = self.outlook.derivations, self.histories
        for name in [name for name, change in self._changes.items() if change <= now]:
            aggregate = derivations.aggregates[name]
            value = aggregate.value(histories[aggregate.series.key], now, derivations.zone)
            if value is ABSENT:
                self._found.pop(name, None)
            else:
                self._found[name] = value
            change = self.outlook.change_of(name, histories, now)
            if change is None:
                del self._changes[name]
            else:
                self._changes[name] = change
        return derivations.completed(given, dict(self._found), histories, now, overridden)


NO_OUTLOOK = Outlook(NO_DERIVATIONS, Matcher((), (), UTC))
