"""The plan: all derived traits that are computed from others, compiled, in order."""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from service.core.aggregates import Aggregate, Series
from service.core.conditions import Condition, Field, Source, aggregates_of, rules_of
from service.core.derived import groups
from service.core.derived.cities import Cities, CityFact
from service.core.derived.cut_points import CutPoints
from service.core.derived.definitions import DerivedTrait, order_of
from service.core.derived.formulas import Formula
from service.core.derived.ranks import Rank
from service.core.derived.ratios import Ratio
from service.core.derived.scores import Histories, Score
from service.core.instants import Moment
from service.core.traits import Profile, is_number

# None: missing.
Step = Callable[[Profile, Moment, Histories], Any]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What conditions compare a trait with: numbers, and other fields."""

    numbers: frozenset[float] = frozenset()
    fields: frozenset[Field] = frozenset()

    def of(self, profile: Profile) -> list[float]:
        """The numbers for one customer."""
        others = [field.read(profile) for field in self.fields]
        return [*self.numbers, *map(_float, filter(is_number, others))]


def thresholds_of(names: Collection[str], conditions: Iterable[Condition]) -> dict[str, Thresholds]:
    """For each of these traits what conditions compare it with."""
    numbers: dict[str, set[float]] = {name: set() for name in names}
    fields: dict[str, set[Field]] = {name: set() for name in names}
    for condition in conditions:
        for rule in rules_of(condition):
            name = rule.field.name
            if name in numbers:
                numbers[name].update(_numbers(rule.operand))
                if rule.other is not None:
                    fields[name].add(rule.other)
            if rule.other is not None and rule.other.name in numbers:
                fields[rule.other.name].add(rule.field)
    return {name: Thresholds(frozenset(numbers[name]), frozenset(fields[name])) for name in names}


def _numbers(operand: Any) -> Iterator[float]:
    """The numbers of a resolved operand: one, a pair of them, or pairs of a type and one."""
    if isinstance(operand, tuple):
        for part in operand:
            yield from _numbers(part)
    elif is_number(operand) or isinstance(operand, Decimal):
        yield _float(operand)


def _float(exact: float | Decimal) -> float:
    # A number that no double comes near is beyond all scores.
    return float(min(max(exact, -sys.float_info.max), sys.float_info.max))


class Plan:
    """Ratios, formulas, scores and ranks, each compiled once. Aggregates have been put into the
    profile before."""

    def __init__(
        self,
        traits: Iterable[DerivedTrait],
        cut_points: Mapping[str, CutPoints] | None = None,
        conditions: Iterable[Condition] = (),
        moving: Collection[str] = (),
        cities: Cities | None = None,
    ) -> None:
        """`cut_points`: those of the last refresh, by rank; `conditions`: those of all segments,
        for what they compare scores with; `moving`: the fields that time changes already, such as
        aggregates over a window; `cities`: asked for by facts of cities. Raises Tangled."""
        known = {trait.name: trait for trait in traits}
        self.order = order_of(known.values())
        ranked = cut_points or {}
        self.traits = {
            name: known[name] for name in self.order if not isinstance(known[name].rule, Aggregate)
        }
        self._steps: list[tuple[str, Step]] = [
            (name, _step(trait, ranked.get(name), cities)) for name, trait in self.traits.items()
        ]
        own = [each for trait in self.traits.values() for each in trait.conditions]
        asked = [*conditions, *own]
        decaying = {name for name, trait in self.traits.items() if trait.decays}
        self._thresholds = thresholds_of(decaying, asked)
        # What has a part in next_change, by itself.
        self._timed = [
            (trait.rule, self._thresholds.get(name, Thresholds()))
            for name, trait in self.traits.items()
            if isinstance(trait.rule, Score | Rank)
        ]
        self.asks_cities = any(isinstance(each.rule, CityFact) for each in self.traits.values())
        self.moving = self._moving(moving)
        self._moving_steps = [(name, step) for name, step in self._steps if name in self.moving]
        # What the traits need beside other traits: series of events, aggregates that their
        # conditions hold themselves, and facts of the customer's record.
        self.series: tuple[Series, ...] = tuple(
            {
                earned.series.key: earned.series
                for rule, _ in self._timed
                if isinstance(rule, Score)
                for earned in rule.earned
            }.values()
        )
        self.aggregates = {each.name: each for one in own for each in aggregates_of(one)}
        self.customer_facts = frozenset(
            place.name
            for trait in self.traits.values()
            for place in trait.places
            if place.field.source is Source.CUSTOMER
        )

    def evaluate(
        self,
        profile: dict[str, Any],
        moment: Moment,
        histories: Histories,
        overridden: Collection[str] = (),
    ) -> None:
        """Put the value of each trait into a profile; missing ones are taken out of it.

        `overridden`: traits whose value the caller has given.
        """
        _take(self._steps, profile, moment, histories, overridden)

    def advance(
        self,
        profile: dict[str, Any],
        moment: Moment,
        histories: Histories,
        overridden: Collection[str] = (),
    ) -> None:
        """The same for a profile that was evaluated at another moment: only what time changes."""
        _take(self._moving_steps, profile, moment, histories, overridden)

    def next_change(self, profile: Profile, moment: Moment, histories: Histories) -> int | None:
        """The first instant after the moment at which time alone could change a trait that was
        evaluated, or take one that decays past a threshold: a lower bound; None: never."""
        changes = [
            rule.next_change(profile, moment, histories, thresholds.of(profile))
            if isinstance(rule, Score)
            else rule.next_change(profile, moment)
            for rule, thresholds in self._timed
        ]
        return min((change for change in changes if change is not None), default=None)

    def _moving(self, base: Collection[str]) -> frozenset[str]:
        moving = set(base)
        for name, trait in self.traits.items():
            rule = trait.rule
            if (
                (isinstance(rule, Score) and rule.earned)
                or any(groups.timed_rules(each) for each in trait.conditions)
                or not moving.isdisjoint(_held(trait))
                or not trait.reads.isdisjoint(moving)
            ):
                moving.add(name)
        return frozenset(moving & self.traits.keys())

    def rank_thresholds(
        self, name: str, conditions: Iterable[Condition]
    ) -> frozenset[float] | None:
        """What a refresh compares old and new ranks by: the numbers that conditions compare the
        rank with; None where each of its values counts, because another trait calculates with it
        or a condition compares it with another field."""
        readers = [trait for trait in self.traits.values() if name in trait.reads]
        if any(
            isinstance(trait.rule, Ratio | Formula)
            or (isinstance(trait.rule, Rank) and trait.rule.of.name == name)
            for trait in readers
        ):
            return None
        own = [each for trait in readers for each in trait.conditions]
        found = thresholds_of([name], [*conditions, *own])[name]
        return None if found.fields else found.numbers


def _held(trait: DerivedTrait) -> Iterator[str]:
    """The names of the aggregates that a trait's conditions hold themselves."""
    for condition in trait.conditions:
        for aggregate in aggregates_of(condition):
            yield aggregate.name


def _take(
    steps: Iterable[tuple[str, Step]],
    profile: dict[str, Any],
    moment: Moment,
    histories: Histories,
    overridden: Collection[str],
) -> None:
    for name, step in steps:
        if name in overridden:
            continue
        value = step(profile, moment, histories)
        if value is None:
            profile.pop(name, None)
        else:
            profile[name] = value


def _step(trait: DerivedTrait, cut_points: CutPoints | None, cities: Cities | None) -> Step:
    rule = trait.rule
    if isinstance(rule, CityFact):
        assert cities is not None  # noqa: S101 - else the trait were refused
        fact = rule.compiled(cities)
        return lambda profile, moment, histories: fact(profile)
    if isinstance(rule, Score):
        return rule.compiled()
    if isinstance(rule, Ratio):
        ratio = rule.compiled()
        return lambda profile, moment, histories: ratio(profile)
    if isinstance(rule, Rank):
        rank = rule.compiled(cut_points)
        return lambda profile, moment, histories: rank(profile, moment)
    assert isinstance(rule, Formula)  # noqa: S101 - aggregates are computed elsewhere
    formula = rule.compiled()
    return lambda profile, moment, histories: formula(profile, moment)
