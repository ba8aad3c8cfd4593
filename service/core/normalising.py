"""A condition as clauses: NOT pushed down to the leaves, then disjunctive normal form.

Both steps keep three-valued truth exactly: a tree is true if and only if every literal of one of
its clauses is.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from service.core.conditions import Condition, Rule

CLAUSE_LIMIT = 16


class Literal(NamedTuple):
    """A rule that must be true (`wanted`), or false - not unknown - where `wanted` is False."""

    rule: Rule
    wanted: bool


Clause = tuple[Literal, ...]


def clauses_of(condition: Condition, limit: int = CLAUSE_LIMIT) -> list[Clause] | None:
    """The clauses of a condition, or None where there would be more than `limit`."""
    return _expand(condition, True, limit)


def _expand(condition: Condition, wanted: bool, limit: int) -> list[Clause] | None:
    if isinstance(condition, Rule):
        return [(Literal(condition, wanted),)]
    wanted ^= condition.negated
    parts: list[list[Clause]] = []
    for child in condition.rules:
        part = _expand(child, wanted, limit)
        if part is None:
            return None
        parts.append(part)
    if (condition.combinator == "or") == wanted:
        joined = [clause for part in parts for clause in part]
        return joined if len(joined) <= limit else None
    count = 1
    for part in parts:
        count *= len(part)
        if count > limit:
            return None
    return [tuple(_concatenate(choice)) for choice in product(*parts)]


def _concatenate(clauses: tuple[Clause, ...]) -> Iterator[Literal]:
    for clause in clauses:
        yield from clause
