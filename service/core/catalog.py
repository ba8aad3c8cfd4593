"""The catalog: everything active, compiled, immutable, with a revision.

Compiling refuses what can't stand, with its reason, and everything that leans on it; the rest
serves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from service.core.conditions import Condition, Source, models_of, references_of
from service.core.matching import Level, Matcher, fields_read
from service.core.parsing import Invalid, Problem, Schema, parse_condition


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
    keys: Sequence[str] = field(default_factory=list)


# A chain of references costs one level of matching each; people's chains are a few long.
REFERENCE_DEPTH = 64


class Tangled(ValueError):
    """Segments that refer to each other in a circle (`path` begins and ends with the same one),
    or in too long a chain. `keys`: those to refuse for it."""

    def __init__(self, path: Sequence[str], keys: Iterable[str]) -> None:
        circle = path[0] == path[-1]
        what = "in a circle" if circle else f"in a chain of more than {REFERENCE_DEPTH}"
        super().__init__(f"segments refer to each other {what}: {' -> '.join(path)}")
        self.path = list(path)
        self.keys = frozenset(keys)


def compile_catalog(
    definitions: Iterable[Definition],
    schema: Schema,
    revision: int = 0,
    previous: Catalog | None = None,
    missing_models: Mapping[str, str] | None = None,
) -> Catalog:
    """Compile active definitions. Conditions unchanged since `previous` are not parsed again.

    `missing_models`: models that should be served and can't be, each with the reason. Segments
    that read them are refused: without the model they would look as if everyone had left.
    """
    refused: dict[str, Refusal] = {}
    segments: dict[str, Segment] = {}
    for definition in definitions:
        try:
            condition = _condition(definition, schema, previous)
        except Invalid as fault:
            refused[definition.key] = Refusal(definition.key, tuple(fault.problems))
        else:
            segments[definition.key] = segment_of(definition, condition)
    if missing_models:
        _refuse_without_models(segments, refused, missing_models)
    _refuse_shared_priorities(segments, refused)
    _refuse_dangling(segments, refused)
    levels = _levels_or_refuse(segments, refused)
    schemes = schemes_of(segments.values())
    lists = sorted(key for key, segment in segments.items() if segment.condition is None)
    matcher = Matcher(lists, levels, schema.zone)
    conditions = [s.condition for s in segments.values() if s.condition is not None]
    fields = fields_read(conditions).values()
    return Catalog(
        revision=revision,
        schema=schema,
        segments=segments,
        schemes=schemes,
        matcher=matcher,
        refused=tuple(sorted(refused.values(), key=lambda refusal: refusal.key)),
        refused_keys=frozenset(refused),
        models=frozenset[str]().union(*map(models_of, conditions)),
        customer_facts=frozenset(f.name for f in fields if f.source is Source.CUSTOMER),
        keys=matcher.keys,
    )


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
        if known is not None and known.definition.condition == definition.condition:
            return known.condition
    return parse_condition(definition.condition, schema)


def schemes_of(segments: Iterable[Segment]) -> dict[str, tuple[str, ...]]:
    """For each scheme its segments' keys, the one that wins first."""
    members: dict[str, list[tuple[int, str]]] = {}
    for segment in segments:
        definition = segment.definition
        if definition.scheme is not None:
            entry = (definition.priority or 0, definition.key)
            members.setdefault(definition.scheme, []).append(entry)
    return {scheme: tuple(key for _, key in sorted(entries)) for scheme, entries in members.items()}


def _refuse_without_models(
    segments: dict[str, Segment], refused: dict[str, Refusal], missing: Mapping[str, str]
) -> None:
    for key, segment in list(segments.items()):
        models = frozenset() if segment.condition is None else models_of(segment.condition)
        for name in sorted(models & missing.keys()):
            detail = f"it reads the model {name}, which is refused: {missing[name]}"
            _refuse(segments, refused, key, Problem("/condition", "model_refused", detail))
            break


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


def _refuse_dangling(segments: dict[str, Segment], refused: dict[str, Refusal]) -> None:
    """Refuse segments that refer to what is not served, and whoever refers to those in turn."""
    users: dict[str, list[str]] = {}
    for key, segment in segments.items():
        for reference in segment.references:
            users.setdefault(reference, []).append(key)
    missing = sorted(users.keys() - segments.keys(), reverse=True)
    while missing:
        reference = missing.pop()
        for key in users.get(reference, ()):
            if key in segments:
                _refuse(segments, refused, key, dangling_reference(reference, refused))
                missing.append(key)


def dangling_reference(missing: str, refused: Mapping[str, Refusal]) -> Problem:
    """The problem of a segment that refers to one that is not served."""
    why = "is refused itself" if missing in refused else "is no active segment"
    return Problem("/condition", "unknown_segment", f"it refers to {missing}, which {why}")


def _refuse(
    segments: dict[str, Segment], refused: dict[str, Refusal], key: str, problem: Problem
) -> None:
    del segments[key]
    refused[key] = Refusal(key, (problem,))


def _levels_or_refuse(segments: dict[str, Segment], refused: dict[str, Refusal]) -> list[Level]:
    while True:
        try:
            return order(segments)
        except Tangled as cycle:
            problem = Problem("/condition", "cycle", str(cycle))
            for key in cycle.keys:
                _refuse(segments, refused, key, problem)
            _refuse_dangling(segments, refused)


def order(segments: Mapping[str, Segment]) -> list[Level]:
    """Segments in levels: each refers only to lower ones. Raises Tangled.

    Who refers to a segment of a scheme needs the scheme's winner, hence all its segments.
    """
    schemes = schemes_of(segments.values())
    needs = {
        key: _needs(segment, segments, schemes)
        for key, segment in segments.items()
        if segment.condition is not None
    }
    placed: dict[str, int] = {}
    waiting = dict(needs)
    for level in count():
        ready = [key for key, needed in waiting.items() if needed.keys() <= placed.keys()]
        if not waiting:
            break
        if not ready:
            raise _circle(waiting)
        if level == REFERENCE_DEPTH:
            raise Tangled(_chain(min(ready), needs, placed), ready)
        for key in ready:
            del waiting[key]
        placed.update(dict.fromkeys(ready, level))
    conditions: dict[int, list[tuple[str, Condition]]] = {}
    complete: dict[int, list[tuple[str, tuple[str, ...]]]] = {}
    for key, level in placed.items():
        condition = segments[key].condition
        assert condition is not None  # noqa: S101 - lists are not placed
        conditions.setdefault(level, []).append((key, condition))
    for scheme, members in schemes.items():
        # A scheme of lists alone is settled before the first condition.
        level = max((placed.get(member, -1) for member in members), default=-1)
        complete.setdefault(level, []).append((scheme, members))
    return [
        Level(tuple(conditions.get(level, ())), tuple(complete.get(level, ())))
        for level in sorted(conditions.keys() | complete.keys())
    ]


def _needs(
    segment: Segment, segments: Mapping[str, Segment], schemes: Mapping[str, tuple[str, ...]]
) -> dict[str, str]:
    """The segments with conditions that must be known before this one, each with the reference
    that asks for it."""
    needs: dict[str, str] = {}
    for key in sorted(segment.references):
        scheme = segments[key].definition.scheme
        # The segment itself first, so that a circle is told by the shortest path.
        for other in (key, *(schemes[scheme] if scheme is not None else ())):
            if segments[other].condition is not None:
                needs.setdefault(other, key)
    return needs


def _circle(waiting: Mapping[str, Mapping[str, str]]) -> Tangled:
    """A circle among segments that all wait for one another."""
    trail = [min(waiting)]
    while True:
        following = next(key for key in waiting[trail[-1]] if key in waiting)
        if following in trail:
            circle = trail[trail.index(following) :]
            break
        trail.append(following)
    path = [circle[0]]
    for key, following in zip(circle, [*circle[1:], circle[0]], strict=True):
        reference = waiting[key][following]
        path.extend([following] if reference == following else [reference, following])
    return Tangled(path, circle)


def _chain(
    key: str, needs: Mapping[str, Mapping[str, str]], placed: Mapping[str, int]
) -> list[str]:
    """A longest chain of references that begins with a segment."""
    path = [key]
    while needs[path[-1]]:
        path.append(max(needs[path[-1]], key=lambda other: placed[other]))
    return path


def users_of(key: str, segments: Iterable[Segment]) -> list[str]:
    """Keys of the segments whose conditions refer to `key`, sorted."""
    return sorted(segment.key for segment in segments if key in segment.references)
