"""All derived traits of a catalog, parsed together: what stands, and why the rest does not."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from service.core.aggregate_parsing import parse_named
from service.core.aggregates import Aggregate
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
    """Derived traits by name; `schema` knows their types. `refused`: the problems of the others."""

    schema: Schema
    traits: Mapping[str, DerivedTrait] = field(default_factory=dict)
    refused: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)


def compile_derived(documents: Mapping[str, Mapping[str, Any]], schema: Schema) -> DerivedTraits:
    """Parse the definitions of derived traits. Who reads a refused one is refused too."""
    if not documents:
        return DerivedTraits(schema)
    # Twice: what a definition is made of may stand behind it, and its type with it.
    traits: dict[str, DerivedTrait] = {}
    refused: dict[str, tuple[Problem, ...]] = {}
    for _ in range(2):
        types = {name: kind for name, kind in schema.types.items() if name not in documents}
        types |= {name: trait.type for name, trait in traits.items() if trait.type is not None}
        known = replace(schema, types=types, known={})
        traits, refused = _parsed(documents, known)
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
    return DerivedTraits(replace(schema, types=types, known={}), traits, refused)


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
