"""What every import makes: a condition in wire format, its problems, and its warnings.

A node under construction is a rule or group in wire format, or True or False where the same is
said of every customer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from service.core.conditions import Condition, Field, Rule, Source, rules_of
from service.core.parsing import Invalid, Problem, Schema, parse_condition

Node = bool | dict[str, Any]
VISITS_A_RULE = 20  # what may be looked at for each rule that is allowed: bounds the work


@dataclass(frozen=True, slots=True)
class Imported:
    """A condition in wire format, the same parsed, and where its truth differs from its source.

    A warning's pointer leads into the document that was imported.
    """

    condition: dict[str, Any]
    parsed: Condition
    warnings: list[Problem]


class Refused(Exception):
    """A part of the source has no condition; why is noted in the draft."""


class Draft:
    """Collects rules that our parser accepts; what it refuses is told at the source's place."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._problems: dict[Problem, None] = {}
        self._warnings: dict[tuple[str, str], Problem] = {}
        self._visits = 0
        self._rules = 0

    def refuse(self, pointer: str, code: str, detail: str) -> Refused:
        """Notes a problem, for the caller to raise what is answered."""
        self._problems[Problem(pointer, code, detail)] = None
        return Refused(detail)

    def warn(self, pointer: str, code: str, about: str, detail: str) -> None:
        """Notes a warning, at the first place where it is due for what it is about."""
        self._warnings.setdefault((code, about), Problem(pointer, code, detail))

    def visit(self, pointer: str) -> None:
        """Counts a look at a part of the source. Raises Invalid when there were too many."""
        self._visits += 1
        if self._visits > VISITS_A_RULE * self.schema.rules_limit:
            raise self._too_many(pointer)

    def _too_many(self, pointer: str) -> Invalid:
        limit = self.schema.rules_limit
        detail = f"this becomes more than the {limit:,} rules that a condition holds at most"
        self.refuse(pointer, "too_many_rules", detail)
        return Invalid(list(self._problems))

    def field(self, name: str, pointer: str) -> Field:
        """The field of that name. Raises Refused when there can be none."""
        asked: dict[str, Any] = {"field": name, "operator": "notNull"}
        if name.startswith("segment:"):
            asked = {"field": name, "operator": "=", "value": True}
        return self._parsed(asked, lambda below: pointer).field

    def rule(self, rule: dict[str, Any], pointer: str, locate: Callable[[str], str]) -> Node:
        """A rule that our parser accepts. Raises Refused; Invalid past the limit of rules.

        `locate` answers where in the source stands what is at a pointer below the rule.
        """
        self._rules += 1
        if self._rules > self.schema.rules_limit:
            raise self._too_many(pointer)
        self._parsed(rule, locate)
        return rule

    def _parsed(self, rule: dict[str, Any], locate: Callable[[str], str]) -> Rule:
        try:
            group = parse_condition({"combinator": "and", "rules": [rule]}, self.schema, "")
        except Invalid as fault:
            for each in fault.problems:
                self.refuse(locate(each.pointer.removeprefix("/rules/0")), each.code, each.detail)
            raise Refused(str(fault)) from fault
        return next(rules_of(group))

    def finish(self, node: Node, pointer: str) -> Imported:
        """The import as a whole. Raises Invalid with every problem that was noted."""
        if not self._problems and isinstance(node, bool):
            always = "true of every customer" if node else "never true"
            self.refuse(pointer, "bad_value", f"this is {always}: a segment needs a condition")
        if self._problems or isinstance(node, bool):
            raise Invalid(list(self._problems))
        condition = node if "rules" in node else {"combinator": "and", "rules": [node]}
        try:
            parsed = parse_condition(condition, self.schema, "")
        except Invalid as fault:
            problems = [Problem(pointer, each.code, each.detail) for each in fault.problems]
            raise Invalid(problems) from fault
        return Imported(condition, parsed, list(self._warnings.values()))


def is_segment(field: Field) -> bool:
    """Whether a field asks about membership, which is never unknown for want of a value."""
    return field.source is Source.SEGMENT


def every(nodes: Iterable[Node]) -> Node:
    """All of these; True of none."""
    return _joined("and", nodes)


def some(nodes: Iterable[Node]) -> Node:
    """At least one of these; False of none."""
    return _joined("or", nodes)


def _joined(combinator: str, nodes: Iterable[Node]) -> Node:
    """Nodes under one combinator: constants folded, groups of the same combinator opened (none
    of which is negated)."""
    neutral = combinator == "and"
    rules: list[dict[str, Any]] = []
    for node in nodes:
        if isinstance(node, bool):
            if node is not neutral:
                return node
        elif node.get("combinator") == combinator:
            rules.extend(node["rules"])
        else:
            rules.append(node)
    if not rules:
        return neutral
    return rules[0] if len(rules) == 1 else {"combinator": combinator, "rules": rules}
