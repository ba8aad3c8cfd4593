"""Conditions without NOT, so that every peer gives the three-valued answers of the product.

A segment's members are those for whom its condition is *true*. With NOT pushed down to the
predicates, and each predicate false where its value is missing, two-valued engines find exactly
those: no peer pays for a third value.
"""

from dataclasses import dataclass
from typing import Any

INVERSES = {
    "=": "!=",
    "in": "notIn",
    "<": ">=",
    ">": "<=",
    "between": "notBetween",
    "null": "notNull",
    "contains": "doesNotContain",
    "beginsWith": "doesNotBeginWith",
    "containsAny": "containsNone",
    "containsAll": "notContainsAll",
    "withinLast": "notWithinLast",
    "versionAtLeast": "versionBelow",
    "withinDistance": "notWithinDistance",
}
INVERSES |= {inverse: operator for operator, inverse in INVERSES.items()}


@dataclass(frozen=True)
class Leaf:
    field: str
    operator: str
    operand: Any


@dataclass(frozen=True)
class Node:
    """`every`: all the children must be true; else one of them."""

    every: bool
    children: "tuple[Node | Leaf, ...]"


def positive(rule: dict[str, Any], *, negated: bool = False) -> Node | Leaf:
    """The same condition (wire format) with its NOTs in the predicates' operators."""
    if "rules" not in rule:
        operator = INVERSES[rule["operator"]] if negated else rule["operator"]
        return Leaf(rule["field"], operator, rule.get("value"))
    negated ^= rule.get("not", False)
    children = tuple(positive(child, negated=negated) for child in rule["rules"])
    if len(children) == 1:
        return children[0]
    return Node((rule["combinator"] == "and") ^ negated, children)
