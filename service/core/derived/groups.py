"""Conditions within derived traits: who earns points, who is ranked."""

from collections.abc import Callable, Iterator
from typing import Any

from service.core import horizons
from service.core.conditions import Condition, Field, Group, Rule, Source, located_rules, rules_of
from service.core.derived.fields import LATER, Place
from service.core.english import summarise
from service.core.instants import Moment
from service.core.interpreting import absent_truth
from service.core.parsing import Schema, parse_condition
from service.core.problems import Invalid, Problem
from service.core.traits import ABSENT, Profile

Test = Callable[[Profile, Moment], bool]


def parse_group(document: Any, schema: Schema, pointer: str) -> Condition:
    """A group that reads traits only: no segment and no model. Raises Invalid."""
    condition = parse_condition(document, schema, pointer)
    problems = [
        Problem(where, "bad_value", LATER[field.source])
        for where, field in _located_fields(condition, pointer)
        if field.source in (Source.SEGMENT, Source.MODEL)
    ]
    if problems:
        raise Invalid(problems)
    return condition


def places_of(condition: Condition, pointer: str) -> list[Place]:
    """The traits and facts that a group reads, each with its place."""
    return [
        Place(where, field)
        for where, field in _located_fields(condition, pointer)
        if field.source is not Source.EVENT
    ]


def _located_fields(condition: Condition, pointer: str) -> Iterator[tuple[str, Field]]:
    for where, rule in located_rules(condition, pointer):
        yield f"{where}/field", rule.field
        if rule.other is not None:
            yield f"{where}/value", rule.other


def compiled(condition: Condition) -> Test:
    """Whether a group is true of a profile; unknown is not."""
    return _wanted(condition, True)


def _wanted(condition: Condition, wanted: bool) -> Test:
    """Whether a condition is true (`wanted`), or false and not unknown."""
    if isinstance(condition, Rule):
        return _rule(condition, wanted)
    return _group(condition, wanted ^ condition.negated)


def _group(group: Group, wanted: bool) -> Test:
    tests = [_wanted(child, wanted) for child in group.rules]
    if len(tests) == 1:
        return tests[0]
    enough = (group.combinator == "or") == wanted

    def met(profile: Profile, moment: Moment) -> bool:
        for test in tests:
            if test(profile, moment) is enough:
                return enough
        return not enough

    return met


def _rule(rule: Rule, wanted: bool) -> Test:
    read, test, operand = rule.field.read, rule.operator.test, rule.operand
    absent = absent_truth(rule) is wanted
    if rule.other is None:

        def met(profile: Profile, moment: Moment) -> bool:
            value = read(profile)
            return absent if value is ABSENT else test(value, operand, rule, moment) is wanted

        return met
    read_other = rule.other.read

    def compared(profile: Profile, moment: Moment) -> bool:
        value, other = read(profile), read_other(profile)
        if value is ABSENT or other is ABSENT:
            return absent
        return test(value, other, rule, moment) is wanted

    return compared


def timed_rules(condition: Condition) -> tuple[Rule, ...]:
    """The rules whose truth time alone can change."""
    return tuple(rule for rule in rules_of(condition) if horizons.looks_at_time(rule))


def next_change(rules: tuple[Rule, ...], profile: Profile, moment: Moment) -> int | None:
    """The first instant after the moment at which time alone could change one of these rules: a
    lower bound; None: never."""
    changes = []
    for rule in rules:
        raw = rule.field.read(profile)
        change = None if raw is ABSENT else horizons.next_change(rule, raw, moment)
        if change is not None:
            changes.append(change)
    return min(changes, default=None)


def clause(condition: Condition) -> str:
    """A group as a part of a sentence: `orders is at least 2 and country is CZ`."""
    text = summarise(condition)
    # A sentence's first letter is written large, and is small in every name that can begin one.
    return text[:1].lower() + text[1:-1]
