"""Definitions as source text of a C-like expression language: `zen-engine` and CEL speak it."""

import json
from dataclasses import dataclass

from benchmarks.peers.positive import Leaf, Node


@dataclass(frozen=True)
class Dialect:
    """How a language spells AND, OR, and "not in"; the rest they spell alike."""

    every: str
    some: str
    not_in: str


def source(node: Node | Leaf, dialect: Dialect) -> str:
    """The expression, true exactly where the condition is; a missing value is the null."""
    if isinstance(node, Node):
        joined = dialect.every if node.every else dialect.some
        return f"({joined.join(source(each, dialect) for each in node.children)})"
    name, operator, value = node.field, node.operator, node.operand
    if operator in ("=", "in"):  # no guard: nothing equals the null
        return f"{name} {'==' if operator == '=' else 'in'} {json.dumps(value)}"
    return f"({name} != null{dialect.every}{_guarded(name, operator, value, dialect)})"


def _guarded(name: str, operator: str, value: object, dialect: Dialect) -> str:
    if operator == "notIn":
        return dialect.not_in.format(name=name, values=json.dumps(value))
    if operator in ("between", "notBetween"):
        low, high = value  # type: ignore[misc]  # a pair, by the operator
        if operator == "between":
            return f"{name} >= {low}{dialect.every}{name} <= {high}"
        return f"({name} < {low}{dialect.some}{name} > {high})"
    if operator in ("!=", "<", "<=", ">", ">="):
        return f"{name} {operator} {json.dumps(value)}"
    raise ValueError(f"{operator} is outside what the peers share")
