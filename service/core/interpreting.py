"""The specification: a plain recursive interpreter of conditions.

Three-valued (Kleene) logic. Everything faster is compared with this, so it stays obvious.
"""

from collections.abc import Callable

from service.core.comparisons import Truth, negate
from service.core.conditions import Condition, Rule, Source
from service.core.instants import Moment
from service.core.operators import OPERATORS
from service.core.traits import ABSENT, Profile

# The truth of a segment by its key: True, False, or None for a list that can't be read.
Memberships = Callable[[str], Truth]


def evaluate(
    condition: Condition, profile: Profile, moment: Moment, memberships: Memberships
) -> Truth:
    """The truth of a condition for a profile: True, False, or None for unknown."""
    if isinstance(condition, Rule):
        return rule_truth(condition, profile, moment, memberships)
    truths = [evaluate(child, profile, moment, memberships) for child in condition.rules]
    truth = _all(truths) if condition.combinator == "and" else _any(truths)
    return negate(truth) if condition.negated else truth


def _all(truths: list[Truth]) -> Truth:
    if False in truths:
        return False
    return None if None in truths else True


def _any(truths: list[Truth]) -> Truth:
    if True in truths:
        return True
    return None if None in truths else False


def rule_truth(rule: Rule, profile: Profile, moment: Moment, memberships: Memberships) -> Truth:
    """The truth of one rule for a profile."""
    if rule.field.source is Source.SEGMENT:
        member = memberships(rule.field.path[0])
        return None if member is None else rule.operator.test(member, rule.operand, rule, moment)
    value = rule.field.read(profile)
    if value is ABSENT:
        return absent_truth(rule)
    if rule.other is None:
        return rule.operator.test(value, rule.operand, rule, moment)
    other = rule.other.read(profile)
    if other is ABSENT:
        return absent_truth(rule)
    return rule.operator.test(value, other, rule, moment)


def absent_truth(rule: Rule) -> Truth:
    """What absence says: `null` and `notNull` know, others follow the rule's `missing`."""
    if rule.operator is OPERATORS["null"]:
        return True
    if rule.operator is OPERATORS["notNull"]:
        return False
    return rule.missing
