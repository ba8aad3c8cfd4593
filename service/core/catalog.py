"""The catalog: everything active, compiled, immutable, with a revision.

Compiling refuses what can't stand, with its reason, and everything that leans on it; the rest
serves.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.core.aggregates import Aggregate
from service.core.conditions import (
    Condition,
    Field,
    Source,
    aggregates_of,
    model_of,
    models_of,
    references_of,
    rules_of,
)
from service.core.derived.cities import Cities
from service.core.derived.compiling import DerivedTraits, compile_derived
from service.core.derived.cut_points import CutPoints
from service.core.derived.plan import Plan
from service.core.deriving import NO_DERIVATIONS, Derivations
from service.core.matching import Level, Matcher, fields_read
from service.core.outlook import NO_OUTLOOK, Outlook
from service.core.parsing import Invalid, Problem, Schema, parse_condition
from service.core.references import (
    Tangled,
    dangling,
    located,
    order,
    own_scheme,
    schemes_of,
    step,
)
from service.core.sameness import same


@dataclass(frozen=True, slots=True)
class Definition:
    """An active segment as it is stored: `condition` is JSON, None for a list."""

    key: str
    version: int
    name: str
    condition: Any
    scheme: str | None = None
    priority: int | None = None
    treatment: Mapping[str, Any] | None = None

    @property
    def is_list(self) -> bool:
        """A segment without a condition is a list."""
        return self.condition is None


@dataclass(frozen=True, slots=True)
class Segment:
    """An active segment, compiled."""

    definition: Definition
    condition: Condition | None
    # Keys of the segments that the condition refers to.
    references: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """The segment's key."""
        return self.definition.key


@dataclass(frozen=True, slots=True)
class Refusal:
    """A definition that can't be served, and why."""

    key: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """All active segments. `keys[i]` is the segment of bit i in what `matcher` answers."""

    revision: int
    schema: Schema
    segments: Mapping[str, Segment]
    schemes: Mapping[str, tuple[str, ...]]
    matcher: Matcher
    refused: tuple[Refusal, ...] = ()
    refused_keys: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    # Facts of the customer record that conditions read.
    customer_facts: frozenset[str] = frozenset()
    # The aggregates of events that traits and conditions hold.
    derivations: Derivations = NO_DERIVATIONS
    # The same, and the ready-made traits that nothing reads, for who looks at a customer.
    told: Derivations = NO_DERIVATIONS
    # Derived traits that can't be served, each with its problems.
    refused_traits: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    # Facts of the customer record that conditions or derived traits read.
    facts_read: frozenset[str] = frozenset()
    # What conditions make of those, and until when.
    outlook: Outlook = NO_OUTLOOK
    keys: Sequence[str] = field(default_factory=list)


def compile_catalog(
    definitions: Iterable[Definition],
    schema: Schema,
    revision: int = 0,
    previous: Catalog | None = None,
    missing_models: Mapping[str, str] | None = None,
    derived: Mapping[str, Mapping[str, Any]] | None = None,
    cut_points: Mapping[str, CutPoints] | None = None,
    ready_made: Mapping[str, Mapping[str, Any]] | None = None,
    also_read: Iterable[str] = (),
    cities: Cities | None = None,
) -> Catalog:
    """Compile active definitions. Conditions unchanged since `previous` are not parsed again.

    `derived`: the definitions of derived traits, by name; `cut_points`: those of the ranks.
    `ready_made`: definitions of traits that are derived where anything reads them; `also_read`: the
    traits that models read; `cities`: the table that facts of cities are looked up in.

    `missing_models`: models that should be served and can't be, each with the reason. Segments
    that read them are refused: without the model they would look as if everyone had left.
    """
    refused: dict[str, Refusal] = {}
    segments: dict[str, Segment] = {}
    everything = compile_derived(derived or {}, schema, ready_made, cities=cities is not None)
    schema = everything.schema
    for definition in definitions:
        try:
            condition = _condition(definition, schema, previous)
        except Invalid as fault:
            refused[definition.key] = Refusal(definition.key, tuple(fault.problems))
        else:
            segments[definition.key] = segment_of(definition, condition)
    compiled = everything.reading(
        [*also_read, *(name for s in segments.values() for name in _traits_of(s.condition))]
    )
    if missing_models:
        _refuse_without_models(segments, refused, missing_models)
    if compiled.refused:
        _refuse_without_traits(segments, refused, compiled.refused)
    _refuse_shared_priorities(segments, refused)
    _refuse_own_scheme(segments, refused)
    _refuse_dangling(segments, refused)
    levels = _levels_or_refuse(segments, refused)
    schemes = schemes_of(segments.values())
    lists = sorted(key for key, segment in segments.items() if segment.condition is None)
    conditions = [s.condition for s in segments.values() if s.condition is not None]
    held = {each.name: each for condition in conditions for each in aggregates_of(condition)}
    derivations = _derivations(compiled, conditions, held, cut_points, cities)
    told = derivations
    if everything.ready_made != compiled.ready_made:
        told = _derivations(everything, (), {}, cut_points, cities)
    matcher = Matcher(lists, levels, schema.zone, derivations.moving)
    fields = fields_read(conditions).values()
    facts = frozenset(f.name for f in fields if f.source is Source.CUSTOMER)
    models = frozenset[str]().union(*map(models_of, conditions))
    return Catalog(
        revision=revision,
        schema=schema,
        segments=segments,
        schemes=schemes,
        matcher=matcher,
        refused=tuple(sorted(refused.values(), key=lambda refusal: refusal.key)),
        refused_keys=frozenset(refused),
        models=models,
        customer_facts=facts,
        derivations=derivations,
        told=told,
        facts_read=facts | derivations.customer_facts,
        outlook=Outlook(derivations, matcher, fields, models=bool(models)),
        refused_traits=compiled.refused,
        keys=matcher.keys,
    )


def _derivations(
    compiled: DerivedTraits,
    conditions: Sequence[Condition],
    held: Mapping[str, Aggregate],
    cut_points: Mapping[str, CutPoints] | None,
    cities: Cities | None,
) -> Derivations:
    """All that is derived. `held`: the aggregates that conditions hold themselves."""
    schema = compiled.schema
    named = {
        name: trait.rule
        for name, trait in compiled.traits.items()
        if isinstance(trait.rule, Aggregate)
    }
    aggregates = {**named, **held}
    moving = {name for name, each in aggregates.items() if each.moves}
    plan = None
    if compiled.traits:
        plan = Plan(compiled.traits.values(), cut_points, conditions, moving, cities)
    zone, currency = schema.zone, schema.base_currency
    return Derivations(aggregates, zone, currency, plan, compiled.ready_made)


def _traits_of(condition: Condition | None) -> Iterator[str]:
    """The traits that a condition reads something of."""
    for rule in () if condition is None else rules_of(condition):
        for field_ in (rule.field, rule.other):
            if field_ is not None and field_.source is Source.TRAIT:
                yield field_.path[0]


def segment_of(definition: Definition, condition: Condition | None) -> Segment:
    """A definition with its parsed condition, None for a list."""
    references = frozenset[str]() if condition is None else references_of(condition)
    return Segment(definition, condition, references)


def _condition(
    definition: Definition, schema: Schema, previous: Catalog | None
) -> Condition | None:
    if definition.is_list:
        return None
    if previous is not None and previous.schema == schema:
        known = previous.segments.get(definition.key)
        if known is not None and same(known.definition.condition, definition.condition):
            return known.condition
    return parse_condition(definition.condition, schema)


def _refuse_without_models(
    segments: dict[str, Segment], refused: dict[str, Refusal], missing: Mapping[str, str]
) -> None:
    def detail(field: Field) -> str | None:
        name = model_of(field)
        reason = None if name is None else missing.get(name)
        return None if reason is None else f"it reads the model {name}, which is refused: {reason}"

    for key, segment in list(segments.items()):
        models = frozenset() if segment.condition is None else models_of(segment.condition)
        if models & missing.keys():
            _refuse(segments, refused, key, *located(segment, "model_refused", detail))


def without_traits(
    segment: Segment, missing: Container[str], pointer: str = "/condition"
) -> list[Problem]:
    """The problems of the rules that read a derived trait which is refused: without it a segment
    would look as if everyone had left. Why it is refused may quote what not everybody may read."""

    def detail(field: Field) -> str | None:
        if field.source is not Source.TRAIT or field.path[0] not in missing:
            return None
        return f"it reads the derived trait {field.path[0]}, which is refused"

    return located(segment, "trait_refused", detail, pointer)


def _refuse_without_traits(
    segments: dict[str, Segment], refused: dict[str, Refusal], missing: Container[str]
) -> None:
    """Refuse segments that read a derived trait which is refused."""
    for key, segment in list(segments.items()):
        problems = without_traits(segment, missing)
        if problems:
            _refuse(segments, refused, key, *problems)


def _refuse_shared_priorities(segments: dict[str, Segment], refused: dict[str, Refusal]) -> None:
    taken: dict[tuple[str, int | None], str] = {}
    for key in sorted(segments):
        definition = segments[key].definition
        if definition.scheme is None:
            continue
        place = (definition.scheme, definition.priority)
        holder = taken.setdefault(place, key)
        if holder != key or definition.priority is None:
            _refuse(segments, refused, key, shared_priority(definition, holder))


def shared_priority(definition: Definition, holder: str) -> Problem:
    """The problem of a segment whose place in its scheme is missing or taken."""
    if definition.priority is None:
        detail = f"a segment of scheme {definition.scheme} needs a priority"
    else:
        detail = f"priority {definition.priority} of {definition.scheme} is {holder}'s already"
    return Problem("/priority", "conflict", detail)


def _refuse_own_scheme(segments: dict[str, Segment], refused: dict[str, Refusal]) -> None:
    for key, segment in list(segments.items()):
        problems = own_scheme(segment, segments)
        if problems:
            _refuse(segments, refused, key, *problems)


def _refuse_dangling(segments: dict[str, Segment], refused: dict[str, Refusal]) -> None:
    """Refuse segments that refer to what is not served, and whoever refers to those in turn."""
    users: dict[str, list[str]] = {}
    for key, segment in segments.items():
        for reference in segment.references:
            users.setdefault(reference, []).append(key)
    missing = list(users.keys() - segments.keys())
    fallen: dict[str, Segment] = {}
    while missing:
        for key in users.get(missing.pop(), ()):
            if key in segments:
                fallen[key] = segments.pop(key)
                missing.append(key)
    gone = refused.keys() | fallen.keys()
    for key, segment in fallen.items():
        refused[key] = Refusal(key, tuple(dangling(segment, segments, gone)))


def _refuse(
    segments: dict[str, Segment], refused: dict[str, Refusal], key: str, *problems: Problem
) -> None:
    del segments[key]
    refused[key] = Refusal(key, problems)


def _levels_or_refuse(segments: dict[str, Segment], refused: dict[str, Refusal]) -> list[Level]:
    while True:
        try:
            return order(segments)
        except Tangled as tangle:
            for key in tangle.keys:
                problems = step(segments[key], tangle, "/condition")
                _refuse(segments, refused, key, *problems)
            _refuse_dangling(segments, refused)
