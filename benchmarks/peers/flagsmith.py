"""`flagsmith-flag-engine` (Python): its segment evaluator alone, without flags."""

from collections.abc import Callable
from typing import Any

from flag_engine.segments.evaluator import is_context_in_segment

from benchmarks.peers.positive import Leaf, Node, positive

OPERATORS = {
    "=": "EQUAL",
    "!=": "NOT_EQUAL",
    "<": "LESS_THAN",
    "<=": "LESS_THAN_INCLUSIVE",
    ">": "GREATER_THAN",
    ">=": "GREATER_THAN_INCLUSIVE",
}


def prepare(conditions: list[dict[str, Any]], now_us: int) -> Callable[[dict[str, Any]], list[int]]:
    segments: list[Any] = [
        {"key": str(index), "name": str(index), "rules": [_rule(positive(each))]}
        for index, each in enumerate(conditions)
    ]

    def match(profile: dict[str, Any]) -> list[int]:
        context: Any = {
            "environment": {"key": "bench", "name": "bench"},
            "identity": {"identifier": "x", "key": "x", "traits": profile},
        }
        return [
            index
            for index, segment in enumerate(segments)
            if is_context_in_segment(context, segment)
        ]

    return match


def _rule(node: Node | Leaf) -> dict[str, Any]:
    if isinstance(node, Leaf):
        return _leaf(node)
    rules = [_rule(each) for each in node.children]
    if not node.every:
        # A rule needs its conditions *and* its sub-rules: under ANY all must be of one sort.
        return {"type": "ANY", "rules": rules}
    plain = [rule for rule in rules if rule["type"] == "ALL" and "rules" not in rule]
    nested = [rule for rule in rules if rule not in plain]
    conditions = [condition for rule in plain for condition in rule["conditions"]]
    return {"type": "ALL", "conditions": conditions, "rules": nested}


def _leaf(leaf: Leaf) -> dict[str, Any]:
    name, operator, value = leaf.field, leaf.operator, leaf.operand
    if operator in ("in", "notIn"):
        found = _test(name, "IN", [str(each) for each in value])
        if operator == "in":
            return {"type": "ALL", "conditions": [found]}
        absent = {"type": "NONE", "conditions": [found]}
        return {"type": "ALL", "conditions": [_test(name, "IS_SET", "")], "rules": [absent]}
    if operator in ("between", "notBetween"):
        low, high = (str(each) for each in value)
        if operator == "between":
            both = [
                _test(name, "GREATER_THAN_INCLUSIVE", low),
                _test(name, "LESS_THAN_INCLUSIVE", high),
            ]
            return {"type": "ALL", "conditions": both}
        either = [_test(name, "LESS_THAN", low), _test(name, "GREATER_THAN", high)]
        return {"type": "ANY", "conditions": either}
    return {"type": "ALL", "conditions": [_test(name, OPERATORS[operator], str(value))]}


def _test(name: str, operator: str, value: Any) -> dict[str, Any]:
    return {"property": name, "operator": operator, "value": value}
