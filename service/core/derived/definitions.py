"""Derived traits: JSON -> definition, and in which order they are computed."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from service.core.aggregates import Aggregate
from service.core.conditions import Condition, located_rules
from service.core.derived.cities import CityFact, parse_city
from service.core.derived.fields import Place
from service.core.derived.formula_parsing import parse_formula
from service.core.derived.formulas import Formula
from service.core.derived.ranks import Rank, parse_rank
from service.core.derived.ratios import Ratio, parse_ratio
from service.core.derived.score_parsing import parse_score
from service.core.derived.scores import Score
from service.core.parsing import Schema
from service.core.problems import Invalid, Problem
from service.core.traits import TraitType

# One after another is computed for every customer; people's chains are a few long.
CHAIN_LIMIT = 64

# What is computed from other traits; an aggregate is computed from events.
Computed = Ratio | Formula | Score | Rank | CityFact
Rule = Computed | Aggregate
# Parses an aggregate's document at a pointer. Raises Invalid.
ParseAggregate = Callable[[Any, Schema, str], Aggregate]

_PARSERS: Mapping[str, Callable[[Any, Schema, str], Computed]] = {
    "ratio": parse_ratio,
    "formula": parse_formula,
    "score": parse_score,
    "rank": parse_rank,
    "city": parse_city,
}
KINDS = ("aggregate", *_PARSERS)


@dataclass(frozen=True, slots=True)
class DerivedTrait:
    """A trait by its name, and how it is computed."""

    name: str
    rule: Rule

    @property
    def places(self) -> tuple[Place, ...]:
        """Where it reads which field."""
        return () if isinstance(self.rule, Aggregate) else self.rule.places

    @property
    def reads(self) -> frozenset[str]:
        """The traits, and facts of the customer's record, that it reads."""
        return frozenset(place.name for place in self.places)

    @property
    def type(self) -> TraitType | None:
        """The type of its value; None where it is whatever the events hold."""
        return self.rule.type

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions that it asks of a customer."""
        return self.rule.conditions if isinstance(self.rule, Score | Rank) else ()

    @property
    def decays(self) -> bool:
        """Whether it changes at every instant."""
        return isinstance(self.rule, Score) and self.rule.decays


def kinds_in(document: Mapping[str, Any]) -> list[str]:
    """Which ways to derive a trait a document names; a trait that is given names none."""
    return [kind for kind in KINDS if document.get(kind) is not None]


def parse_definition(
    name: str, document: Mapping[str, Any], schema: Schema, parse_aggregate: ParseAggregate
) -> DerivedTrait:
    """The derived part of a trait's document. Its other members are nothing to this function.
    `schema` holds the types of derived traits too. Raises Invalid."""
    kinds = kinds_in(document)
    if not kinds:
        detail = f"a derived trait has one of {', '.join(KINDS)}"
        raise Invalid([Problem("", "required", detail)])
    if len(kinds) > 1:
        detail = f"a trait is derived in one way, and this one has {' and '.join(kinds)}"
        raise Invalid([Problem(f"/{kind}", "bad_value", detail) for kind in kinds[1:]])
    if "." in name:
        detail = "a derived trait's name has no dot: it is no part of another"
        raise Invalid([Problem("/path/name", "bad_name", detail)])
    (kind,) = kinds
    parse: Callable[[Any, Schema, str], Rule] = _PARSERS.get(kind, parse_aggregate)
    return DerivedTrait(name, parse(document[kind], schema, f"/{kind}"))


class Tangled(ValueError):
    """Derived traits that read each other in a circle, or in too long a chain: for each trait that
    has a part in it the problems at the places where it does."""

    def __init__(self, path: list[str], problems: Mapping[str, tuple[Problem, ...]]) -> None:
        super().__init__(_english(path))
        self.path = path
        self.problems = problems


def _english(path: list[str]) -> str:
    way = " -> ".join(path)
    if path[0] == path[-1]:
        return f"traits read each other in a circle: {way}"
    return f"traits read each other in a chain of more than {CHAIN_LIMIT}: {way}"


def order_of(traits: Iterable[DerivedTrait]) -> list[str]:
    """The names of derived traits, each after all that it reads, and otherwise sorted. Raises
    Tangled."""
    known = {trait.name: trait for trait in traits}
    needs = {name: sorted(trait.reads & known.keys()) for name, trait in sorted(known.items())}
    placed: dict[str, int] = {}
    waiting = dict(needs)
    while waiting:
        ready = [name for name, needed in waiting.items() if all(map(placed.__contains__, needed))]
        if not ready:
            raise _tangled(_circle(waiting), known)
        for name in ready:
            placed[name] = 1 + max((placed[other] for other in waiting.pop(name)), default=0)
            if placed[name] > CHAIN_LIMIT:
                raise _tangled(_chain(name, needs, placed), known)
    return list(placed)


def _circle(waiting: Mapping[str, list[str]]) -> list[str]:
    trail = [next(iter(waiting))]
    while True:
        following = next(name for name in waiting[trail[-1]] if name in waiting)
        if following in trail:
            return [*trail[trail.index(following) :], following]
        trail.append(following)


def _chain(name: str, needs: Mapping[str, list[str]], placed: Mapping[str, int]) -> list[str]:
    path = [name]
    while needs[path[-1]]:
        path.append(max(needs[path[-1]], key=placed.__getitem__))
    return path


def _tangled(path: list[str], known: Mapping[str, DerivedTrait]) -> Tangled:
    detail = _english(path)
    return Tangled(
        path,
        {
            name: tuple(
                Problem(place.pointer, "cycle", detail)
                for place in known[name].places
                if place.name == following
            )
            for name, following in pairwise(path)
        },
    )


def misreadings(traits: Iterable[DerivedTrait]) -> dict[str, tuple[Problem, ...]]:
    """By name, the problems of ratios, formulas and ranks that read a score that decays, and of
    scores whose conditions compare two such: they are others at every instant, and when one falls
    below a number is all that is known beforehand."""
    known = list(traits)
    decaying = {trait.name for trait in known if trait.decays}
    found = {trait.name: tuple(_misread(trait, decaying)) for trait in known}
    return {name: problems for name, problems in found.items() if problems}


def _misread(trait: DerivedTrait, decaying: Collection[str]) -> Iterator[Problem]:
    if isinstance(trait.rule, Score):
        for each in trait.rule.held:
            yield from two_decaying(each.condition, each.pointer, decaying)
        return
    for place in trait.places:
        if place.name in decaying:
            detail = f"{place.name} decays, and changes at every instant: only conditions of "
            detail += "segments and scores can read it"
            yield Problem(place.pointer, "bad_value", detail)


def two_decaying(
    condition: Condition, pointer: str, decaying: Collection[str]
) -> Iterator[Problem]:
    """The problems of rules that compare two scores that both decay."""
    for where, rule in located_rules(condition, pointer):
        other = rule.other
        if other is not None and rule.field.name in decaying and other.name in decaying:
            detail = f"{rule.field.name} and {other.name} both decay: compare each with a number"
            yield Problem(f"{where}/value", "bad_value", detail)
