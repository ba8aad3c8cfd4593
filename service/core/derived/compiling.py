"""All derived traits of a catalog, parsed together: what stands, and why the rest does not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from service.core.aggregate_parsing import parse_named
from service.core.aggregates import Aggregate
from service.core.derived.cities import CityFact
from service.core.derived.definitions import (
    DerivedTrait,
    Tangled,
    misreadings,
    order_of,
    parse_definition,
)
from service.core.parsing import Schema, parse_condition
from service.core.problems import Invalid, Problem


@dataclass(frozen=True, slots=True)
class DerivedTraits:
    """Derived traits by name; `schema` knows their types. `refused`: the problems of the others.
    `ready_made`: the names of those that nobody has defined here."""

    schema: Schema
    traits: Mapping[str, DerivedTrait] = field(default_factory=dict)
    refused: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    ready_made: frozenset[str] = frozenset()

    def reading(self, names: Iterable[str]) -> "DerivedTraits":
        """The same without the ready-made traits that neither any of these names nor any other
        trait asks for."""
        asked = [*names, *(name for name in self._all() if name not in self.ready_made)]
        read: set[str] = set()
        while asked:
            name = asked.pop()
            if name not in read:
                read.add(name)
                if name in self.traits:
                    asked += self.traits[name].reads
        left_out = self.ready_made - read
        return replace(
            self,
            traits={name: each for name, each in self.traits.items() if name not in left_out},
            refused={name: each for name, each in self.refused.items() if name not in left_out},
            ready_made=self.ready_made & read,
        )

    def _all(self) -> Iterable[str]:
        return (*self.traits, *self.refused)


def compile_derived(
    own: Mapping[str, Mapping[str, Any]],
    schema: Schema,
    ready_made: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    cities: bool = False,
) -> DerivedTraits:
    """Parse the definitions of derived traits: a workspace's own, and the ready-made ones, each
    unless a definition or a declared type has its name. Who reads a refused one is refused too.
    `cities`: whether facts of cities can be told."""
    ours = standing(ready_made or {}, own, schema)
    if not cities:
        ours = {name: document for name, document in ours.items() if "city" not in document}
    documents = {**ours, **own}
    if not documents:
        return DerivedTraits(schema)
    # Twice: what a definition is made of may stand behind it, and its type with it.
    traits: dict[str, DerivedTrait] = {}
    refused: dict[str, tuple[Problem, ...]] = {}
    for _ in range(2):
        types = {name: kind for name, kind in schema.types.items() if name not in documents}
        types |= {name: trait.type for name, trait in traits.items() if trait.type is not None}
        known = replace(schema, types=types, assumed={}, known={})
        traits, refused = _parsed(documents, known)
    if not cities:
        refused |= _without_cities(traits.values())
    refused |= misreadings(traits.values())
    _refuse_readers(traits, refused)
    while True:
        try:
            order_of(traits.values())
        except Tangled as tangle:
            refused |= tangle.problems
            _refuse_readers(traits, refused)
        else:
            break
    types = {name: kind for name, kind in types.items() if name not in refused}
    assumed = {name: kind for name, kind in types.items() if name in ours}
    types = {name: kind for name, kind in types.items() if name not in ours}
    known = replace(schema, types=types, assumed=assumed, known={})
    return DerivedTraits(known, traits, refused, frozenset(ours))


def standing(
    ready_made: Mapping[str, Mapping[str, Any]],
    own: Mapping[str, Mapping[str, Any]],
    schema: Schema,
) -> dict[str, Mapping[str, Any]]:
    """The ready-made traits whose name neither a definition nor a declared type has taken."""
    return {
        name: document
        for name, document in ready_made.items()
        if name not in own and name not in schema.types
    }


def _parsed(
    documents: Mapping[str, Mapping[str, Any]], schema: Schema
) -> tuple[dict[str, DerivedTrait], dict[str, tuple[Problem, ...]]]:
    traits: dict[str, DerivedTrait] = {}
    refused: dict[str, tuple[Problem, ...]] = {}
    for name, document in documents.items():
        try:
            traits[name] = parse_definition(name, document, schema, _aggregate)
        except Invalid as fault:
            refused[name] = tuple(fault.problems)
    return traits, refused


def _without_cities(traits: Iterable[DerivedTrait]) -> dict[str, tuple[Problem, ...]]:
    detail = "there is no table of cities: install segserve with its extra, places"
    problem = Problem("/city", "not_available", detail)
    return {trait.name: (problem,) for trait in traits if isinstance(trait.rule, CityFact)}


def _aggregate(document: Any, schema: Schema, pointer: str) -> Aggregate:
    inner = replace(schema, types={}, known={})
    return parse_named(document, pointer, lambda group, at: parse_condition(group, inner, at))


def _refuse_readers(
    traits: dict[str, DerivedTrait], refused: dict[str, tuple[Problem, ...]]
) -> None:
    """Take what is refused out, and whoever reads it in turn."""
    while True:
        for name in refused:
            traits.pop(name, None)
        fallen = {
            name: tuple(
                Problem(place.pointer, "refused", f"it reads {place.name}, which is refused")
                for place in trait.places
                if place.name in refused
            )
            for name, trait in traits.items()
            if not trait.reads.isdisjoint(refused)
        }
        if not fallen:
            return
        refused |= fallen
