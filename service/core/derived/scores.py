"""Scores: points for what is true of a customer, and for what they did."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from service.core.aggregates import Series
from service.core.conditions import Condition, Rule
from service.core.derived import groups
from service.core.derived.decaying import DecayingSum, first_passing
from service.core.derived.fields import Place
from service.core.instants import Duration, Moment
from service.core.timelines import Timeline, number
from service.core.traits import Profile, TraitType

# A customer's events by the key of their series; a series that is not there has none.
Histories = Mapping[str, Timeline]


@dataclass(frozen=True, slots=True)
class Held:
    """Points that are held while a condition is true. `units`: see Score; `pointer`: where the
    condition stands in the definition."""

    condition: Condition
    units: int
    pointer: str


@dataclass(frozen=True, slots=True)
class Earned:
    """Points that each event of a series earns once."""

    series: Series
    units: int


@dataclass(frozen=True)
class Score:
    """Points for conditions while they are true, and for events, which halve every `half_life`
    (None: never).

    Points are kept as units, integers of `decimals` decimals, so that 0.1 three times is 0.3. A
    score is never missing: nobody has no points, only 0.
    """

    held: tuple[Held, ...]
    earned: tuple[Earned, ...]
    decimals: int
    half_life: Duration | None
    places: tuple[Place, ...]

    @property
    def type(self) -> TraitType:
        """A number."""
        return TraitType.NUMBER

    @property
    def decays(self) -> bool:
        """Whether it changes at every instant."""
        return self.half_life is not None

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions that it asks of a customer."""
        return tuple(each.condition for each in self.held)

    @cached_property
    def _tests(self) -> tuple[tuple[groups.Test, int], ...]:
        return tuple((groups.compiled(each.condition), each.units) for each in self.held)

    @cached_property
    def _timed(self) -> tuple[Rule, ...]:
        return tuple(rule for each in self.conditions for rule in groups.timed_rules(each))

    def compiled(self) -> Callable[[Profile, Moment, Histories], int | float]:
        """The value for a profile and a customer's events at a moment."""
        tests = self._tests
        if not self.earned:
            decimals = self.decimals

            def value(profile: Profile, moment: Moment, histories: Histories) -> int | float:
                return number(
                    sum([units for test, units in tests if test(profile, moment)]), decimals
                )

            return value

        def standing(profile: Profile, moment: Moment, histories: Histories) -> int | float:
            return self.standing(profile, moment, histories).value_at(moment.now)

        return standing

    def standing(self, profile: Profile, moment: Moment, histories: Histories) -> "Standing":
        """What the score is made of at a moment. An event dated in the future counts from its
        instant on."""
        held = sum([units for test, units in self._tests if test(profile, moment)])
        past = [
            (timeline.times, bisect_right(timeline.times, moment.now), each.units)
            for each in self.earned
            if (timeline := histories.get(each.series.key)) is not None
        ]
        if self.half_life is None:
            held += sum(count * units for _, count, units in past)
            return Standing(held, self.decimals)
        earned = [(at, units) for times, count, units in past for at in times[:count]]
        return Standing(held, self.decimals, DecayingSum.of(earned, self.half_life.micros))

    def next_change(
        self,
        profile: Profile,
        moment: Moment,
        histories: Histories,
        thresholds: Iterable[float],
    ) -> int | None:
        """The first instant after the moment at which time alone could change what anybody sees
        of the score: another condition is true, an event that is dated ahead comes, or it passes
        one of the thresholds that it is compared with. A lower bound; None: never."""
        changes = [groups.next_change(self._timed, profile, moment)]
        for each in self.earned:
            timeline = histories.get(each.series.key)
            if timeline is not None:
                coming = bisect_right(timeline.times, moment.now)
                if coming < len(timeline.times):
                    changes.append(timeline.times[coming])
        if self.half_life is not None:
            standing = self.standing(profile, moment, histories)
            changes += [standing.crossing(moment.now, each) for each in thresholds]
        return min((each for each in changes if each is not None), default=None)

    def english(self) -> str:
        """`10 points while country is CZ; 5 points for each event “Visit”; points for events halve
        every 30 days.`"""
        parts = [
            f"{_points(each.units, self.decimals)} while {groups.clause(each.condition)}"
            for each in self.held
        ]
        for each in self.earned:
            where = each.series.where
            which = "" if where is None else f" where {groups.clause(where)}"
            points = _points(each.units, self.decimals)
            event = each.series.events[0].replace("”", "””")
            parts.append(f"{points} for each event “{event}”{which}")
        text = "; ".join(parts)
        if self.half_life is not None:
            text += f"; points for events halve every {self.half_life.english}"
        return f"{text}."


def _points(units: int, decimals: int) -> str:
    points = number(units, decimals)
    return f"{points:,} point{'' if points == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Standing:
    """A score at an instant: the units held, and those that decay."""

    held: int
    decimals: int
    decaying: DecayingSum | None = None

    def value_at(self, instant: int) -> int | float:
        """The points at an instant, as far as only decay changes them."""
        if self.decaying is None:
            return number(self.held, self.decimals)
        unit: int = 10**self.decimals
        return (self.held + self.decaying.value_at(instant)) / unit

    def crossing(self, now: int, threshold: float) -> int | None:
        """The first instant after `now` at which decay alone brings the score from above a
        threshold to it or below, from it to below, or the same from below; None: never."""
        if self.decaying is None:
            return None
        side = _side(self.value_at(now), threshold)
        expected = threshold * 10**self.decimals - self.held
        return first_passing(
            lambda at: _side(self.value_at(at), threshold) != side, self.decaying, now, expected
        )


def _side(value: float, threshold: float) -> int:
    return (value > threshold) - (value < threshold)
