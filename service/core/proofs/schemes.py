"""What is proved of a scheme: who never wins a customer, and whom priority alone decides about."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, tzinfo

from service.core.catalog import Segment
from service.core.proofs import wording
from service.core.proofs.findings import Code, Finding
from service.core.proofs.goals import NOT_TRUE, TRUE, Goal, Place
from service.core.proofs.overlapping import Overlap, overlaps
from service.core.proofs.refuting import Budget, World, refute

# Steps of all questions about one scheme.
SCHEME_STEPS = 20_000


def prove_scheme(
    members: Iterable[Segment],
    segments: Mapping[str, Segment] | None = None,
    zone: tzinfo = UTC,
    saved: str | None = None,
) -> dict[str, list[Finding]]:
    """What is proved of the segments of one scheme, by the key of the segment it is told about.

    `members`: with their priorities, in any order; lists among them are not looked into.
    `segments`: those that references may be followed into; `zone`: the workspace's; `saved`: the
    one whose change is asked about, so that of those before it nothing is told again. Pointers are
    into the segment's document.
    """
    ordered = sorted(members, key=lambda each: (_priority(each), each.key))
    world, budget = World(segments or {}), Budget(SCHEME_STEPS)
    found: dict[str, list[Finding]] = defaultdict(list)
    shadowed: set[str] = set()
    asked = _from(saved, ordered)
    for place, segment in enumerate(ordered):
        if segment.key not in asked:
            continue
        same = [each for each in ordered[:place] if _priority(each) == _priority(segment)]
        if same:
            found[segment.key].append(_same_priority(segment, same[0]))
        ahead = [each for each in ordered[:place] if _priority(each) < _priority(segment)]
        shadow = _shadowed(segment, ahead, world, budget)
        if shadow is not None:
            found[segment.key].append(shadow)
            shadowed.add(segment.key)
    for overlap in overlaps([each for each in ordered if each.key not in shadowed], zone):
        apart = _priority(overlap.first) < _priority(overlap.second)
        if apart and overlap.second.key in asked:
            found[overlap.second.key].append(_overlapping(overlap))
    return dict(found)


def _from(saved: str | None, ordered: Sequence[Segment]) -> frozenset[str]:
    """The keys from the saved segment on, all of them where none is named."""
    keys = [segment.key for segment in ordered]
    return frozenset(keys if saved is None else keys[keys.index(saved) :])


def _priority(segment: Segment) -> int:
    return segment.definition.priority or 0


def _same_priority(segment: Segment, other: Segment) -> Finding:
    detail = (
        f"{other.key} has priority {_priority(segment)} in {segment.definition.scheme} already, "
        "so nothing says which of the two a customer goes to; give each its own."
    )
    return Finding(Code.SAME_PRIORITY, "/priority", detail, "/priority")


def _shadowed(
    segment: Segment, ahead: Sequence[Segment], world: World, budget: Budget
) -> Finding | None:
    if segment.condition is None:
        return None
    goal = Goal(segment.condition, TRUE, Place("/condition"))
    fields = world.fields(segment.condition)
    denied = [
        Goal(other.condition, NOT_TRUE, Place("/condition", other.key))
        for other in ahead
        if other.condition is not None and not fields.isdisjoint(world.fields(other.condition))
    ]
    if not denied:
        return None
    cores = refute([goal, *denied], world, budget)
    if cores is None:
        return None
    keys = {each.place.segment for each in wording.distinct(cores)}
    takers = [other.key for other in ahead if other.key in keys]
    if not takers:
        # Nobody meets the condition at all, which is told of the condition itself.
        return None
    listed = wording.joined(takers)
    detail = (
        f"{segment.key} never has a member: whoever meets it is taken by {listed}, which "
        f"{'comes' if len(takers) == 1 else 'come'} first in {segment.definition.scheme}."
    )
    return Finding(Code.SHADOWED_IN_SCHEME, "/condition", detail, "/condition")


def _overlapping(overlap: Overlap) -> Finding:
    first, second = overlap.first, overlap.second
    example = f", for example with {overlap.example}" if overlap.example else ""
    detail = (
        f"Some customers fit both {first.key} and {second.key}{example}; {first.key} takes them, "
        f"as its priority {_priority(first)} comes before {_priority(second)}."
    )
    return Finding(Code.PRIORITY_OVERLAP, "/priority", detail, "/priority")
