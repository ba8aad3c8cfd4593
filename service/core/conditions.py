"""The condition: a frozen boolean tree of rules over fields.

A tree is made by `parsing` only, so that every operand in it is already resolved: folded,
compiled, converted. Evaluators read it and never look at JSON again.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from service.core.operators import Operator
from service.core.traits import ABSENT, Profile, TraitType

if TYPE_CHECKING:
    from service.core.aggregates import Aggregate


class Source(StrEnum):
    """Where a field's value comes from."""

    TRAIT = "trait"
    SEGMENT = "segment"
    MODEL = "model"
    CUSTOMER = "customer"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Field:
    """What a rule reads: a trait by its dotted path, a segment, a model's output, a fact of the
    customer record, an aggregate of events. `type` is the declared type, None where none is."""

    name: str
    source: Source
    path: tuple[str, ...]
    type: TraitType | None = None
    aggregate: "Aggregate | None" = None

    def read(self, profile: Profile) -> Any:
        """The raw value in a profile, or ABSENT (missing, or null)."""
        if len(self.path) == 1:
            plain = profile.get(self.path[0])
            return ABSENT if plain is None else plain
        value: Any = profile
        for step in self.path:
            if not isinstance(value, dict):
                return ABSENT
            value = value.get(step)
            if value is None:
                return ABSENT
        return value


@dataclass(frozen=True, slots=True)
class Rule:
    """A comparison of a field with an operand, or with another field.

    `kind` is the type both sides are read as; None where it depends on the value (an undeclared
    field in `in`, or compared with another undeclared field). `operand` is resolved; `value` is
    what the author wrote, for sentences. `missing` is the truth when the field is absent.
    """

    field: Field
    operator: Operator
    kind: TraitType | None
    operand: Any
    value: Any = dataclasses.field(compare=False)
    other: Field | None = None
    missing: bool | None = None
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """`and` or `or` over rules and groups, perhaps negated."""

    combinator: str
    rules: tuple["Rule | Group", ...]
    negated: bool = False


Condition = Rule | Group


def rules_of(condition: Condition) -> Iterator[Rule]:
    """Every rule of a tree, in order."""
    stack: list[Condition] = [condition]
    while stack:
        node = stack.pop()
        if isinstance(node, Rule):
            yield node
        else:
            stack.extend(reversed(node.rules))


def located_rules(condition: Condition, pointer: str) -> Iterator[tuple[str, Rule]]:
    """Every rule of a tree with its place in the document that it was parsed from."""
    return ((place, rule) for place, rule, _ in signed_rules(condition, pointer))


def signed_rules(
    condition: Condition, pointer: str, negated: bool = False
) -> Iterator[tuple[str, Rule, bool]]:
    """The same, each with whether the groups around it negate it: an odd number of them does."""
    if isinstance(condition, Rule):
        yield pointer, condition, negated
        return
    below = negated is not condition.negated
    for index, child in enumerate(condition.rules):
        yield from signed_rules(child, f"{pointer}/rules/{index}", below)


def references_of(condition: Condition) -> frozenset[str]:
    """Keys of the segments that a tree refers to."""
    return frozenset(
        rule.field.path[0] for rule in rules_of(condition) if rule.field.source is Source.SEGMENT
    )


def aggregates_of(condition: Condition) -> Iterator["Aggregate"]:
    """The aggregates that a tree's rules hold themselves."""
    for rule in rules_of(condition):
        for field in (rule.field, rule.other):
            if field is not None and field.aggregate is not None:
                yield field.aggregate


def model_of(field: Field) -> str | None:
    """The model whose output a field is; None where it is something else."""
    if field.source is not Source.MODEL:
        return None
    return field.name.removeprefix("model:").rpartition(".")[0]


def models_of(condition: Condition) -> frozenset[str]:
    """Names of the models whose outputs a tree reads."""
    fields = (field for rule in rules_of(condition) for field in (rule.field, rule.other))
    return frozenset(
        name for name in (model_of(field) for field in fields if field is not None) if name
    )
