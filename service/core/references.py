"""How segments refer to each other: in which order they are decided, and what keeps them from it.

Every problem is told at the rule that causes it.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

from service.core.conditions import Condition, Field, Source, located_rules
from service.core.matching import Level
from service.core.parsing import Problem

if TYPE_CHECKING:
    from service.core.catalog import Segment

# A chain of references costs one level of matching each; people's chains are a few long.
REFERENCE_DEPTH = 64


class Tangled(ValueError):
    """Segments that refer to each other in a circle (`path` begins and ends with the same one),
    or in too long a chain. `steps`: for each segment that has a part in it the reference that
    does. `keys`: those to refuse for it."""

    def __init__(self, path: Sequence[str], steps: Mapping[str, str], keys: Iterable[str]) -> None:
        super().__init__(_circle_english(path) if path[0] == path[-1] else _chain_english(path))
        self.path = list(path)
        self.steps = steps
        self.keys = frozenset(keys)


def _circle_english(path: Sequence[str]) -> str:
    return f"segments refer to each other in a circle: {' -> '.join(path)}"


def _chain_english(path: Sequence[str]) -> str:
    limit = REFERENCE_DEPTH
    return f"segments refer to each other in a chain of more than {limit}: {' -> '.join(path)}"


def users_of(key: str, segments: Iterable["Segment"]) -> list[str]:
    """Keys of the segments whose conditions refer to `key`, sorted."""
    return sorted(segment.key for segment in segments if key in segment.references)


def mentions(document: Any, key: str, pointer: str = "/condition") -> list[str]:
    """Pointers of the rules that refer to `key` in a condition as it is written, which need not
    be one that can be read today."""
    if not isinstance(document, dict):
        return []
    rules = document.get("rules")
    if isinstance(rules, list):
        return [
            place
            for index, rule in enumerate(rules)
            for place in mentions(rule, key, f"{pointer}/rules/{index}")
        ]
    return [pointer] if document.get("field") == f"segment:{key}" else []


def schemes_of(segments: Iterable["Segment"]) -> dict[str, tuple[str, ...]]:
    """For each scheme its segments' keys, the one that wins first."""
    members: dict[str, list[tuple[int, str]]] = {}
    for segment in segments:
        definition = segment.definition
        if definition.scheme is not None:
            entry = (definition.priority or 0, definition.key)
            members.setdefault(definition.scheme, []).append(entry)
    return {scheme: tuple(key for _, key in sorted(entries)) for scheme, entries in members.items()}


def located(
    segment: "Segment",
    code: str,
    detail: Callable[[Field], str | None],
    pointer: str = "/condition",
) -> list[Problem]:
    """A problem for each field that a condition reads and that has one: `detail` says which."""
    found = []
    for place, rule in (
        () if segment.condition is None else located_rules(segment.condition, pointer)
    ):
        for where, read in (("field", rule.field), ("value", rule.other)):
            sentence = None if read is None else detail(read)
            if sentence is not None:
                found.append(Problem(f"{place}/{where}", code, sentence))
    return found


def _reference(field: Field) -> str | None:
    return field.path[0] if field.source is Source.SEGMENT else None


def dangling(
    segment: "Segment",
    segments: Mapping[str, "Segment"],
    refused: Container[str] = (),
    pointer: str = "/condition",
) -> list[Problem]:
    """The problems of the rules that refer to segments that are not among those served."""

    def detail(field: Field) -> str | None:
        other = _reference(field)
        if other is None or other == segment.key or other in segments:
            return None
        why = "is refused itself" if other in refused else "is no active segment"
        return f"it refers to {other}, which {why}"

    return located(segment, "unknown_segment", detail, pointer)


def own_scheme(
    segment: "Segment", segments: Mapping[str, "Segment"], pointer: str = "/condition"
) -> list[Problem]:
    """The problems of the rules that refer to other segments of the same scheme: only one of them
    can win, so each would depend on the other."""
    key, scheme = segment.key, segment.definition.scheme

    def detail(field: Field) -> str | None:
        other = segments.get(_reference(field) or "")
        if other is None or other.key == key or other.definition.scheme != scheme:
            return None
        way = f"{key} -> {other.key}, both of {scheme}"
        return f"segments of one scheme can't refer to each other: {way}"

    if scheme is None or not segment.references:
        return []
    return located(segment, "cycle", detail, pointer)


def tangling(
    segment: "Segment", segments: Mapping[str, "Segment"], tangle: Tangled, prefix: str = ""
) -> list[Problem]:
    """What of a segment makes a tangle: each rule that leads back to the segment, with its way;
    a rule of too long a chain; or the segment's place in a scheme."""
    ways = _ways_back(segment, segments)

    def detail(field: Field) -> str | None:
        way = ways.get(_reference(field) or "")
        return None if way is None else _circle_english(way)

    pointer = f"{prefix}/condition"
    if ways:
        return located(segment, "cycle", detail, pointer)
    if segment.key in tangle.steps:
        return step(segment, tangle, pointer)
    if segment.key in tangle.path:
        return [Problem(f"{prefix}/scheme", "cycle", str(tangle))]
    return []


def step(segment: "Segment", tangle: Tangled, pointer: str) -> list[Problem]:
    """The problems of the rules by which a segment takes part in a tangle."""
    reference, detail = tangle.steps[segment.key], str(tangle)
    return located(
        segment, "cycle", lambda read: detail if _reference(read) == reference else None, pointer
    )


def _ways_back(segment: "Segment", segments: Mapping[str, "Segment"]) -> dict[str, list[str]]:
    """For each reference of a segment that leads back to it the shortest way there."""
    needs = _all_needs(segments)
    users: dict[str, list[str]] = {}
    for key, needed in needs.items():
        for other in needed:
            users.setdefault(other, []).append(key)
    # From each segment that leads to this one the next on the way.
    following: dict[str, str] = {}
    reached = [segment.key]
    for key in reached:
        for user in users.get(key, ()):
            if user not in following:
                following[user] = key
                reached.append(user)
    ways: dict[str, list[str]] = {}
    for other, reference in needs.get(segment.key, {}).items():
        if other == segment.key:
            way = [other]
        elif other in following:
            way = [other]
            while way[-1] != segment.key:
                way.append(following[way[-1]])
        else:
            continue
        if reference not in ways or len(way) < len(ways[reference]):
            ways[reference] = way
    return {
        reference: _told(dict(pairwise([segment.key, *way])), needs, segment.key)
        for reference, way in ways.items()
    }


def order(segments: Mapping[str, "Segment"]) -> list[Level]:
    """Segments in levels: each refers only to lower ones. Raises Tangled.

    Who refers to a segment of a scheme needs the scheme's winner, hence all its segments.
    """
    schemes = schemes_of(segments.values())
    needs = _all_needs(segments)
    placed: dict[str, int] = {}
    waiting = dict(needs)
    for level in count():
        ready = [key for key, needed in waiting.items() if needed.keys() <= placed.keys()]
        if not waiting:
            break
        if not ready:
            raise _circle(waiting)
        if level == REFERENCE_DEPTH:
            raise _chain(ready, needs, placed)
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


# For each segment the segments with conditions that must be known before it, each with the
# reference that asks for it.
Needs = Mapping[str, Mapping[str, str]]


def _all_needs(segments: Mapping[str, "Segment"]) -> Needs:
    schemes = schemes_of(segments.values())
    return {
        key: _needs(segment, segments, schemes)
        for key, segment in segments.items()
        if segment.condition is not None
    }


def _needs(
    segment: "Segment", segments: Mapping[str, "Segment"], schemes: Mapping[str, tuple[str, ...]]
) -> dict[str, str]:
    needs: dict[str, str] = {}
    for key in sorted(segment.references):
        scheme = segments[key].definition.scheme
        # The segment itself first, so that a circle is told by the shortest path.
        for other in (key, *(schemes[scheme] if scheme is not None else ())):
            if segments[other].condition is not None:
                needs.setdefault(other, key)
    return needs


def _circle(waiting: Needs) -> Tangled:
    """A circle among segments that all wait for one another."""
    trail = [min(waiting)]
    while True:
        following = next(key for key in waiting[trail[-1]] if key in waiting)
        if following in trail:
            circle = trail[trail.index(following) :]
            break
        trail.append(following)
    moves = dict(zip(circle, [*circle[1:], circle[0]], strict=True))
    steps = {key: waiting[key][following] for key, following in moves.items()}
    return Tangled(_told(moves, waiting, circle[0]), steps, circle)


def _told(moves: Mapping[str, str], needs: Needs, start: str) -> list[str]:
    """A circle as people follow it: who needs a scheme's winner goes by the one it asks for."""
    path = [start]
    while len(path) == 1 or path[-1] != start:
        following = moves[path[-1]]
        reference = needs[path[-1]][following]
        path.extend([following] if reference == following else [reference, following])
    return path


def _chain(ready: Sequence[str], needs: Needs, placed: Mapping[str, int]) -> Tangled:
    """A longest chain of references that begins with the first of those at its top."""

    def deepest(key: str) -> str:
        return max(needs[key], key=lambda other: placed[other])

    path = [min(ready)]
    while needs[path[-1]]:
        path.append(deepest(path[-1]))
    steps = {key: needs[key][deepest(key)] for key in (*ready, *path[:-1])}
    return Tangled(path, steps, ready)
