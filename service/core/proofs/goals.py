"""What a proof asks of a condition: nodes that must have one of some truths.

Kleene logic has three truths, so "not true" is no negation: it is a goal of its own. A group's
goal comes apart into goals of its children, all of which must be reached or one of them.
"""

from typing import Any, NamedTuple

from service.core.comparisons import Truth, negate
from service.core.conditions import Condition, Group, Rule
from service.core.operators import Operator

Truths = frozenset[Truth]

TRUE: Truths = frozenset({True})
FALSE: Truths = frozenset({False})
NOT_TRUE: Truths = frozenset({False, None})
NOT_FALSE: Truths = frozenset({True, None})
EVERY: Truths = frozenset({True, False, None})


class Place(NamedTuple):
    """Where a node stands in the condition that is proved, as a JSON pointer. `segment`: the node
    belongs to that segment's condition, and the pointer is of the rule that refers to it."""

    pointer: str
    segment: str | None = None

    def child(self, index: int) -> "Place":
        """The place of a group's child."""
        if self.segment is not None:
            return self
        return Place(f"{self.pointer}/rules/{index}")

    def holds(self, other: "Place") -> bool:
        """Whether the other place is this one or lies within."""
        return other.pointer == self.pointer or other.pointer.startswith(f"{self.pointer}/")


class Goal(NamedTuple):
    """A node that must have one of these truths."""

    node: Condition
    truths: Truths
    place: Place

    def contrary(self) -> "Goal":
        """The goal that is reached exactly where this one is not."""
        return self._replace(truths=EVERY - self.truths)


class Demand(NamedTuple):
    """A goal that is a rule, with the depth of the choice that led to it."""

    rule: Rule
    truths: Truths
    place: Place
    level: int


class Want(NamedTuple):
    """What a demand asks of values that its rule can read: that the operator, a positive one, is
    true of them or false. `values`: an equality's operands of that type."""

    rule: Rule
    operator: Operator
    wanted: bool
    values: tuple[Any, ...] = ()

    @property
    def question(self) -> tuple[Any, ...]:
        """What is asked, whichever way: of one value it has one answer."""
        return self.operator.name, repr(self.rule.value), self.rule.case_sensitive


def parts_of(group: Group, goal: Goal) -> tuple[bool, list[Goal]]:
    """The children's goals, and whether all of them must be reached or one will do.

    An `and` is true when all children are, not false when none is false; it is false, or not
    true, when one child is. An `or` the other way round.
    """
    truths = frozenset(map(negate, goal.truths)) if group.negated else goal.truths
    every = (group.combinator == "and") == (True in truths)
    children = enumerate(group.rules)
    return every, [Goal(child, truths, goal.place.child(index)) for index, child in children]
