"""Whether definitions can stand: read, among all that is active, and by what is proved of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

from service.core.catalog import (
    Catalog,
    Definition,
    Segment,
    segment_of,
    shared_priority,
    without_traits,
)
from service.core.conditions import Condition, Rule, Source, models_of
from service.core.consent import KNOWN_OF_ALL
from service.core.english import summarise
from service.core.instants import format_instant, parse_instant
from service.core.operators import Operand
from service.core.parsing import Invalid, Problem, parse_condition
from service.core.personal import NOBODYS, Personal
from service.core.proofs.definitions import prove
from service.core.proofs.findings import Code, Finding, Severity
from service.core.proofs.schemes import prove_scheme
from service.core.references import Tangled, dangling, order, own_scheme, tangling, users_of
from service.core.sameness import same
from service.flows.publications import Conflict, Notify
from service.store.catalogs import definition_of
from service.store.segments import SegmentRow

# What of a definition decides who is in; the rest only describes.
DECIDING = ("condition", "scheme", "priority")
LIST_SUMMARY = "Customers on an uploaded list."
# Findings that one answer tells of; the first ones are what the others follow from.
FINDINGS = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A segment as somebody wants it: its key, its status, its definition, and perhaps the
    version that this was made from, 0 where there must be none.

    `action`: what the audit calls it, where its outcome does not say; `notify`: whom to tell of
    what it causes; `theirs`: whether the rules of its condition come from who wants it.
    """

    key: str
    status: str
    definition: Mapping[str, Any]
    based_on: int | None = None
    action: str | None = None
    notify: Notify = Notify.NONE
    theirs: bool = True


@dataclass(frozen=True, slots=True)
class Checked:
    """A definition that may be saved: its condition (None: there is none, or it can't be read any
    more), its kind, what it is in English, and what its author should know."""

    condition: Condition | None
    kind: str
    summary: str
    warnings: tuple[Problem, ...] = ()


def decides_anew(wanted: Wanted, before: SegmentRow | None) -> bool:
    """Whether what is wanted may decide about customers otherwise than what was before."""
    return (
        before is None
        or before.status != wanted.status
        or any(
            not same(before.definition.get(name), wanted.definition.get(name)) for name in DECIDING
        )
    )


def kind_of(condition: Condition | None) -> str:
    """list without a condition, model where a condition reads one, else rule."""
    if condition is None:
        return "list"
    return "model" if models_of(condition) else "rule"


def expects_absence(rule: Rule, negated: bool) -> bool:
    """Whether a rule, perhaps negated by the groups around it, reads as if it held for customers
    without a value, and does not."""
    is_trait = rule.field.source is Source.TRAIT and rule.field.name not in KNOWN_OF_ALL
    asks_presence = rule.operator.operand is Operand.NONE
    reads_negative = rule.operator.negative is not negated
    return is_trait and rule.missing is None and not asks_presence and reads_negative


def check(
    catalog: Catalog,
    wanted: Sequence[Wanted],
    known: Sequence[SegmentRow | None],
    now: int,
    hidden: Personal = NOBODYS,
) -> list[Checked]:
    """Read definitions, and see whether all that would be active can stand together.

    `known`: what is stored of each before; `now`: in microseconds since the epoch; `hidden`: what
    their author may not read, so that nothing is proved to them by it. Raises Invalid (pointers
    into the one segment, or below `/INDEX` for several) and Conflict.
    """
    prefixes = [""] if len(wanted) == 1 else [f"/{index}" for index in range(len(wanted))]
    problems: list[Problem] = []
    conditions: list[Condition | None] = []
    unread: dict[str, list[Problem]] = {}
    proposed = dict(catalog.segments)
    for each, before, prefix in zip(wanted, known, prefixes, strict=True):
        proposed.pop(each.key, None)
        problems += _expired(each, before, now, prefix)
        document = each.definition.get("condition")
        condition = None
        if document is not None:
            try:
                condition = parse_condition(document, catalog.schema, f"{prefix}/condition")
            except Invalid as fault:
                if _stays(each, before):
                    unread[each.key] = fault.problems
                else:
                    problems += fault.problems
        conditions.append(condition)
        if each.status == "active":
            proposed[each.key] = _segment(each, condition)
    if problems:
        raise Invalid(problems)
    for each, before, prefix in zip(wanted, known, prefixes, strict=True):
        if each.status == "active":
            problems += _stands(proposed, proposed[each.key], prefix)
            if decides_anew(each, before):
                problems += without_traits(
                    proposed[each.key], catalog.refused_traits, f"{prefix}/condition"
                )
        else:
            not_in_use(each.key, proposed)
    if problems:
        raise Invalid(problems)
    try:
        order(proposed)
    except Tangled as tangle:
        problems = [
            problem
            for each, prefix in zip(wanted, prefixes, strict=True)
            if each.key in proposed
            for problem in tangling(proposed[each.key], proposed, tangle, prefix)
        ]
        raise Invalid(problems) from tangle
    own = {
        each.key: _segment(each, condition)
        for each, condition in zip(wanted, conditions, strict=True)
    }
    seen = {key: _veiled(each, hidden) for key, each in proposed.items()}
    for each in wanted:
        if not each.theirs:
            own[each.key] = _veiled(own[each.key], hidden)
        elif each.key in seen:
            seen[each.key] = own[each.key]
    found = _proved(catalog, wanted, conditions, own, seen)
    for each, before, prefix in zip(wanted, known, prefixes, strict=True):
        # What stood before it was looked at so closely goes on standing.
        if each.status == "active" and decides_anew(each, before):
            problems += [
                _problem(finding, prefix)
                for finding in found[each.key]
                if finding.severity is Severity.REFUSE
            ]
    if problems:
        raise Invalid(problems[:FINDINGS])
    result = []
    for each, before, condition in zip(wanted, known, conditions, strict=True):
        if before is not None and each.key in unread:
            result.append(Checked(None, before.kind, before.summary, tuple(unread[each.key])))
            continue
        warnings = without_traits(_segment(each, condition), catalog.refused_traits)
        warnings += map(_problem, found[each.key][:FINDINGS])
        summary = LIST_SUMMARY if condition is None else summarise(condition)
        result.append(Checked(condition, kind_of(condition), summary, tuple(warnings)))
    return result


def _stays(each: Wanted, before: SegmentRow | None) -> bool:
    """Whether what is not active keeps the condition that it had, which types of traits declared
    since may have made one that can't be read."""
    return (
        each.status != "active"
        and before is not None
        and same(before.definition.get("condition"), each.definition.get("condition"))
    )


def _veiled(segment: Segment, hidden: Personal) -> Segment:
    """A segment as proofs see it for an author who may not read whom its condition names: as they
    see a list, of which nothing follows. By what followed, one question at a time, they would
    learn it."""
    _, named = hidden.condition(segment.definition.condition)
    return replace(segment, condition=None) if named else segment


def not_in_use(key: str, segments: Mapping[str, Segment]) -> None:
    """Raises Conflict where segments refer to one that is to go."""
    users = users_of(key, segments.values())
    if users:
        problems = [Problem("", "used_by", user) for user in users]
        raise Conflict("in_use", f"{key} is used by {', '.join(users)}", problems)


def _segment(wanted: Wanted, condition: Condition | None) -> Segment:
    return segment_of(definition_of(wanted.key, 0, dict(wanted.definition)), condition)


def _expired(each: Wanted, before: SegmentRow | None, now: int, prefix: str) -> list[Problem]:
    """The fault of a definition that would be archived as soon as it is saved."""
    expires = each.definition.get("expires_at")
    instant = None if expires is None else parse_instant(expires, UTC)
    stood = (
        before is not None
        and before.status == each.status
        and before.definition.get("expires_at") == expires
    )
    if instant is None or instant > now or stood:
        return []
    detail = f"{format_instant(instant)} has passed: a segment that expires has to do so later"
    return [Problem(f"{prefix}/expires_at", "in_the_past", detail)]


def _stands(segments: Mapping[str, Segment], segment: Segment, prefix: str) -> list[Problem]:
    """What keeps an active segment from standing among others: references, its scheme."""
    pointer = f"{prefix}/condition"
    problems = dangling(segment, segments, pointer=pointer)
    problems += own_scheme(segment, segments, pointer)
    definition = segment.definition
    if definition.scheme is not None:
        holder = next(
            (
                key
                for key, other in segments.items()
                if key != segment.key and _same_place(other.definition, definition)
            ),
            None,
        )
        if holder is not None or definition.priority is None:
            fault = shared_priority(definition, holder or "")
            problems.append(Problem(prefix + fault.pointer, fault.code, fault.detail))
    return problems


def _same_place(one: Definition, other: Definition) -> bool:
    return one.scheme == other.scheme and one.priority == other.priority


def _proved(
    catalog: Catalog,
    wanted: Sequence[Wanted],
    conditions: Sequence[Condition | None],
    own: Mapping[str, Segment],
    proposed: Mapping[str, Segment],
) -> Mapping[str, list[Finding]]:
    """What is proved of each definition and its scheme, by its key. `own`: the segments wanted."""
    found: dict[str, list[Finding]] = defaultdict(list)
    active: dict[str, list[str]] = defaultdict(list)
    for each, condition in zip(wanted, conditions, strict=True):
        if condition is not None:
            found[each.key] += prove(condition, proposed)
        segment = own[each.key]
        scheme = segment.definition.scheme
        if scheme is None or segment.definition.priority is None:
            continue
        if each.status == "active":
            active[scheme].append(each.key)
        else:
            members = [*_members(proposed, scheme), segment]
            found[each.key] += _in_scheme(members, proposed, [each.key], catalog)[each.key]
    for scheme, keys in active.items():
        told = _in_scheme(_members(proposed, scheme), proposed, keys, catalog)
        for key, findings in told.items():
            found[key] += findings
    return found


def _members(segments: Mapping[str, Segment], scheme: str) -> list[Segment]:
    return [each for each in segments.values() if each.definition.scheme == scheme]


def _in_scheme(
    members: Sequence[Segment],
    segments: Mapping[str, Segment],
    saved: Sequence[str],
    catalog: Catalog,
) -> Mapping[str, list[Finding]]:
    """What is proved of segments being saved in their scheme. What only their coming makes true
    of others is told of the first of them."""
    zone = catalog.schema.zone
    first = min(
        (each for each in members if each.key in saved),
        key=lambda each: (each.definition.priority or 0, each.key),
    ).key
    told = prove_scheme(members, segments, zone, saved=first)
    result: dict[str, list[Finding]] = {key: told.get(key, []) for key in saved}
    if told.keys() - result.keys():
        others = [each for each in members if each.key not in saved]
        before = prove_scheme(others, segments, zone)
        for key in sorted(told.keys() - result.keys()):
            known = {(each.code, each.detail) for each in before.get(key, ())}
            result[first] = result[first] + [
                replace(each, pointer="/priority")
                for each in told[key]
                if (each.code, each.detail) not in known
            ]
    return result


def _problem(finding: Finding, prefix: str = "") -> Problem:
    # The catalog's own word for it, which it also has where a definition is no longer served.
    code = "conflict" if finding.code is Code.SAME_PRIORITY else finding.code.value
    return Problem(f"{prefix}{finding.pointer}", code, finding.detail)
