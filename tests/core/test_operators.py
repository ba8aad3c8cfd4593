"""The operator table: complete, its inverses opposite, its intervals true, its samples even."""

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given, settings

from service.core.comparisons import negate, sample_position
from service.core.conditions import Group, Rule
from service.core.instants import Moment
from service.core.interpreting import evaluate
from service.core.operators import OPERATORS, Family, Operand
from service.core.traits import WRONG_TYPE, read
from tests.core import strategies
from tests.core.fuzzing import fuzz, no_member, parsed


def only_rule(document: dict[str, Any]) -> Rule | None:
    condition = parsed({"combinator": "and", "rules": [document]})
    if condition is None:
        return None
    assert isinstance(condition, Group)
    (rule,) = condition.rules
    assert isinstance(rule, Rule)
    return rule


@pytest.mark.parametrize(
    "name", [name for name, operator in OPERATORS.items() if (operator.inverse or "") > name]
)
def test_an_inverse_is_true_exactly_where_its_operator_is_false(name: str) -> None:
    operator = OPERATORS[name]
    assert operator.inverse is not None
    inverse = OPERATORS[operator.inverse]
    assert inverse.inverse == name
    assert inverse.operand is operator.operand
    assert inverse.types == operator.types
    shapes = [shape for shape in strategies.SHAPES if shape.operator is operator]
    seen: set[bool | None] = set()

    @settings(fuzz, max_examples=100)
    @given(strategies.rules(shapes), strategies.profiles(36), strategies.nows())
    def opposite(document: dict[str, Any], customers: list[dict[str, Any]], now: int) -> None:
        document.pop("missing", None)
        rule, other = only_rule(document), only_rule(document | {"operator": inverse.name})
        assert (rule is None) == (other is None)
        if rule is None or other is None:
            return
        moment = Moment(now, UTC)
        for profile in customers:
            truth = evaluate(rule, profile, moment, no_member)
            assert evaluate(other, profile, moment, no_member) is negate(truth)
            seen.add(truth)

    opposite()
    assert {True, False} <= seen
    assert None in seen or operator.family is Family.PRESENCE


def test_the_table_is_complete() -> None:
    for name, operator in OPERATORS.items():
        assert operator.name == name
        assert operator.english
        assert operator.types
        if operator.negates is not None:
            base = OPERATORS[operator.negates]
            assert base.negates is None
            assert (base.inverse, operator.inverse) == (name, base.name)
        elif operator.family in (Family.ORDER, Family.AGE):
            assert operator.interval is not None
        assert any(shape.operator is operator for shape in strategies.SHAPES)
    assert {name for name, operator in OPERATORS.items() if operator.negative} == {
        "!=", "notIn", "notBetween", "doesNotContain", "doesNotBeginWith", "doesNotEndWith",
        "containsNone", "notWithinLast",
    }  # fmt: skip
    assert {operator.operand for operator in OPERATORS.values()} == set(Operand)


def test_order_operators_hold_in_their_interval() -> None:
    compared = 0
    shapes = [
        shape
        for shape in strategies.SHAPES
        if shape.operator.interval is not None and shape.operator.family is Family.ORDER
    ]

    @fuzz
    @given(strategies.rules(shapes), strategies.profiles(16))
    def same(document: dict[str, Any], customers: list[dict[str, Any]]) -> None:
        nonlocal compared
        rule = only_rule(document)
        if rule is None:
            return
        assert rule.operator.interval is not None
        assert rule.kind is not None
        low, high = rule.operator.interval(rule.operand)
        for profile in customers:
            raw = rule.field.read(profile)
            value = read(rule.kind, raw, UTC)
            if value is WRONG_TYPE:
                continue
            place = (value, 0.5)
            within = (low is None or low < place) and (high is None or place < high)
            assert (evaluate(rule, profile, Moment(0, UTC), no_member) is True) == within
            compared += 1

    same()
    assert compared > 300


def test_samples_are_spread_evenly_and_by_salt() -> None:
    positions = [sample_position("", f"c-{number}") for number in range(4_000)]
    assert all(0 <= position < 100 for position in positions)
    for share in (10, 50, 90):
        assert abs(sum(position < share for position in positions) / 40 - share) < 3
    both = sum(sample_position("x", f"c-{number}") < 50 and positions[number] < 50
               for number in range(4_000))  # fmt: skip
    assert abs(both / 40 - 25) < 3
