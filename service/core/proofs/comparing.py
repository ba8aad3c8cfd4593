"""Whether two fields can stand to each other as the rules that compare them demand."""

from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

from service.core import instants
from service.core.comparisons import TIMES, Truth
from service.core.conditions import Rule
from service.core.instants import Moment
from service.core.operators import Family
from service.core.proofs.goals import Demand
from service.core.proofs.values import absence_possible
from service.core.traits import TraitType

_TIMELESS = Moment(0, UTC)
_DAYS = (instants.to_datetime(0), instants.to_datetime(1))
# A lesser and a greater value of each ordered type, as a profile holds them.
_SAMPLES: dict[TraitType, tuple[Any, Any]] = {
    TraitType.NUMBER: (0, 1),
    TraitType.MONEY: (0, 1),
    TraitType.VERSION: ("1", "2"),
    **dict.fromkeys(TIMES, _DAYS),
}

Pair = tuple[str, str]


def pair_of(rule: Rule) -> Pair | None:
    """The names of the two fields that a rule compares, in order; None of a rule with one."""
    if rule.other is None:
        return None
    low, high = sorted((rule.field.name, rule.other.name))
    return low, high


def fields_compared(rule: Rule) -> tuple[str, ...]:
    """The names of the one or two fields that a rule looks at."""
    pair = pair_of(rule)
    return (rule.field.name,) if pair is None or pair[0] == pair[1] else pair


def pair_possible(pair: Pair, demands: Sequence[Demand]) -> bool:
    """Whether two fields can meet these demands. `demands`: those on either field."""
    for name in pair:
        if absence_possible([each for each in demands if name in fields_compared(each.rule)]):
            return True
    asked = [demand for demand in demands if pair_of(demand.rule) == pair]
    # What values of one reading answer says nothing of another's: one question at a time.
    questions: dict[Any, list[Demand]] = {}
    for demand in asked:
        questions.setdefault(_question(demand.rule), []).append(demand)
    return all(_answerable(pair, each) for each in questions.values())


def _question(rule: Rule) -> Any:
    """Rules with the same key can be answered together."""
    if _ordering(rule):
        return rule.kind
    base = rule.operator.negates or rule.operator.name
    return rule.field.name, base, rule.kind, rule.case_sensitive


def _ordering(rule: Rule) -> bool:
    """Whether a rule asks which of two values is the greater."""
    if rule.operator.family is Family.ORDER:
        return True
    return rule.operator.family is Family.EQUALITY and rule.kind in _SAMPLES


def _answerable(pair: Pair, demands: Sequence[Demand]) -> bool:
    """Whether two present values can answer all of these demands."""
    if all(None in demand.truths for demand in demands):
        return True
    answers = zip(*(_answers(pair, demand.rule) for demand in demands), strict=True)
    return any(
        all(truth in demand.truths for truth, demand in zip(truths, demands, strict=True))
        for truths in answers
    )


def _answers(pair: Pair, rule: Rule) -> Iterator[Truth]:
    """A rule's truth in each case that its question knows: less, equal, greater; or yes and no."""
    if not _ordering(rule):
        positive = rule.operator.negates is None
        yield from (positive, not positive)
        return
    low, high = _SAMPLES[rule.kind or TraitType.NUMBER]
    cases = [(low, low)] if pair[0] == pair[1] else [(low, high), (low, low), (high, low)]
    for left, right in cases:
        one, other = (left, right) if rule.field.name == pair[0] else (right, left)
        yield rule.operator.test(one, other, rule, _TIMELESS)
