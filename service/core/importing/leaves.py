"""JSONLogic's questions about one trait, or two, as rules that are true of the same customers.

Each function makes what is true exactly where JSONLogic's answer is `wanted`: a negation is asked
for here, never put around a rule, so that what is unknown to us can count as JSONLogic counts it.
A trait without a value is null there, and `missing` says of it what JSONLogic says of null.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from service.core.conditions import Field
from service.core.importing import javascript
from service.core.importing.differences import AMOUNTS, Differences, converts
from service.core.importing.draft import Draft, Node, every, is_segment, some
from service.core.operators import OPERATORS
from service.core.traits import TraitType, describe, is_number

COMPOUND = frozenset({TraitType.LIST, TraitType.POINT, TraitType.OBJECT})
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
CASED = frozenset({None, TraitType.STRING, TraitType.LIST})
FALSY = [False, 0, "", []]


class Subject(NamedTuple):
    """A `var`: its field, its place in the source, and what is read where it has no value."""

    field: Field
    pointer: str
    null: Any


class Literal(NamedTuple):
    """A value that is written in the source, and its place there."""

    value: Any
    pointer: str


class Leaves:
    """Makes rules in a draft. `at` is always the place of the operation."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.differences = Differences(draft)

    def equals(
        self, at: str, subject: Subject, literal: Literal, strict: bool, wanted: bool
    ) -> Node:
        """`==` and `===`; null is asked for as absence."""
        if literal.value is None:
            if self._without(subject, lambda null: null is None):
                return self._known(at, subject, not wanted)
            return not wanted
        self.differences.of_equality(at, subject.field, [literal.value], strict, wanted)
        met = self._without(subject, lambda null: javascript.equal(null, literal.value, strict))
        return self._rule(at, subject, "=" if wanted else "!=", literal, met == wanted)

    def one_of(self, at: str, subject: Subject, literal: Literal, wanted: bool) -> Node:
        """`in` with a list of scalars."""
        values = [value for value in literal.value if value is not None]
        if not values:
            null = Literal(None, literal.pointer)
            return self.equals(at, subject, null, True, wanted) if literal.value else not wanted
        self.differences.of_equality(at, subject.field, values, True, wanted)
        met = self._without(
            subject, lambda null: any(javascript.equal(null, each, True) for each in literal.value)
        )
        listed = Literal(values, literal.pointer)
        return self._rule(at, subject, "in" if wanted else "notIn", listed, met == wanted)

    def ordered(
        self, at: str, operator: str, subject: Subject, literal: Literal, wanted: bool
    ) -> Node:
        """`<` and its like, the subject at the left."""
        self.differences.of_order(at, subject.field, literal.value)
        met = self._without(subject, lambda null: javascript.ordered(operator, null, literal.value))
        return self._rule(at, subject, _toward(operator, wanted), literal, met == wanted)

    def between(self, at: str, low: Literal, subject: Subject, high: Literal, wanted: bool) -> Node:
        """`<=` of three, the subject in the middle."""
        for literal in (low, high):
            self.differences.of_order(at, subject.field, literal.value)
        met = self._without(
            subject,
            lambda null: (
                javascript.ordered("<=", low.value, null)
                and javascript.ordered("<=", null, high.value)
            ),
        )
        pair = Literal([low.value, high.value], at)
        return self._rule(at, subject, "between" if wanted else "notBetween", pair, met == wanted)

    def same(self, at: str, left: Subject, right: Subject, strict: bool, wanted: bool) -> Node:
        """`==` and `===` of two traits; both without a value are equal there."""
        if COMPOUND & {left.field.type, right.field.type}:
            raise self.draft.refuse(
                at, "bad_operator", "JSONLogic never takes two lists or objects for equal"
            )
        for field in (left.field, right.field):
            self.differences.of_pair(at, field, loose=not strict, exact=wanted)
        rule = self._pair(at, left, "=" if wanted else "!=", right, absent=not wanted)
        if wanted:
            return some([rule, every([self._known(at, each, False) for each in (left, right)])])
        return every([rule, some([self._known(at, each, True) for each in (left, right)])])

    def ordered_pair(
        self, at: str, operator: str, left: Subject, right: Subject, wanted: bool
    ) -> Node:
        """`<` and its like of two traits; null counts as 0 among numbers, as nothing else."""
        order = _toward(operator, wanted)
        kinds = {left.field.type, right.field.type}
        if not kinds <= AMOUNTS:
            for field in (left.field, right.field):
                self.differences.of_pair(at, field, loose=False, exact=False)
            return self._pair(at, left, order, right, absent=not wanted)
        zero = Literal(0, at)
        left_null = self._rule(
            at, right, MIRRORED[order], zero, javascript.ordered(order, None, None)
        )
        return some(
            [
                self._pair(at, left, order, right),
                every([self._known(at, left, False), left_null]),
                every([self._known(at, right, False), self._rule(at, left, order, zero)]),
            ]
        )

    def contains(self, at: str, subject: Subject, needle: Literal, wanted: bool) -> Node:
        """`in` with a text to look into, or a list: either where no type is declared."""
        if not isinstance(needle.value, str) and not is_number(needle.value):
            raise self.draft.refuse(
                needle.pointer, "type", f"texts and lists hold no {describe(needle.value)}"
            )
        self.differences.mixed(at, subject.field, exact=wanted)
        text = needle.value
        if not isinstance(text, str):
            text = javascript.text_of(text)
        absent = wanted == self._without(
            subject, lambda null: isinstance(null, str) and text in null
        )
        nodes = []
        if subject.field.type is not TraitType.LIST:
            operator = "contains" if wanted else "doesNotContain"
            nodes.append(self._rule(at, subject, operator, Literal(text, needle.pointer), absent))
        if subject.field.type in (None, TraitType.LIST):
            nodes.append(self._items(at, subject, [needle.value], wanted, absent=absent))
        return some(nodes)

    def textual_pair(
        self, at: str, operator: str, subject: Subject, part: Subject, wanted: bool
    ) -> Node:
        """A text that contains, begins or ends with another trait's text."""
        for field in (subject.field, part.field):
            self.differences.mixed(at, field, exact=False)
        self.differences.null_as_text(at, part.field)
        return self._pair(at, subject, _toward(operator, wanted), part, absent=not wanted)

    def affix(self, at: str, operator: str, subject: Subject, part: Literal, wanted: bool) -> Node:
        """`startsWith` and `endsWith`."""
        self.differences.mixed(at, subject.field, exact=wanted)
        text = part.value

        def met(null: Any) -> bool:
            if not (isinstance(null, str) and isinstance(text, str)):
                return False
            return null.startswith(text) if operator == "beginsWith" else null.endswith(text)

        absent = self._without(subject, met) == wanted
        return self._rule(at, subject, _toward(operator, wanted), part, absent)

    def holds(
        self, at: str, subject: Subject, values: Sequence[Any], loose: bool, wanted: bool
    ) -> Node:
        """Whether a list has one of these items: `some`, or `none` where it is not wanted."""
        self.differences.mixed(at, subject.field, exact=wanted)
        return self._items(at, subject, values, wanted, absent=not wanted, loose=loose)

    def holds_only_others(
        self, at: str, subject: Subject, values: Sequence[Any], loose: bool, wanted: bool
    ) -> Node:
        """Whether a list has items and none of these: `all` of them are something else."""
        self.differences.mixed(at, subject.field, exact=wanted)
        held = self._items(at, subject, values, not wanted, absent=False, loose=loose)
        nothing = Literal([], at)
        if wanted:
            return every([held, self._rule(at, subject, "!=", nothing)])
        return some([held, self._rule(at, subject, "=", nothing, absent=True)])

    def truthy(self, at: str, subject: Subject, wanted: bool) -> Node:
        """A trait asked as such: neither missing nor false, 0, "" or an empty list."""
        kind = subject.field.type
        absent = self._without(subject, javascript.truthy) == wanted
        if kind is None:
            operator, values = ("notIn", [*FALSY, {}]) if wanted else ("in", FALSY)
            return self._rule(at, subject, operator, Literal(values, at), absent)
        if kind is TraitType.BOOLEAN:
            operator = "=" if wanted else "!="
            return self._rule(at, subject, operator, Literal(True, at), absent)
        if kind in AMOUNTS or kind in (TraitType.STRING, TraitType.LIST):
            nothing: Any = 0 if kind in AMOUNTS else "" if kind is TraitType.STRING else []
            operator = "!=" if wanted else "="
            return self._rule(at, subject, operator, Literal(nothing, at), absent)
        if javascript.truthy(subject.null):
            return wanted
        return self._known(at, subject, wanted)

    def lacking(self, at: str, subject: Subject, wanted: bool) -> Node:
        """`missing` of one trait: null, or the empty text."""
        kind = subject.field.type
        if kind is TraitType.STRING or (kind is None and wanted):
            operator = "=" if wanted else "!="
            return self._rule(at, subject, operator, Literal("", at), absent=wanted)
        if kind is None:
            self.differences.empty_text(at, subject.field)
        return self._known(at, subject, not wanted)

    def _without(self, subject: Subject, answer: Callable[[Any], bool]) -> bool:
        """What JSONLogic answers where there is no value: of null, or of the default."""
        found = answer(subject.null)
        if subject.null is not None and found != answer(None):
            self.differences.default(subject.pointer, subject.field, subject.null)
        return found

    def _known(self, at: str, subject: Subject, wanted: bool) -> Node:
        rule = {"field": subject.field.name, "operator": "notNull" if wanted else "null"}
        return self._accepted(rule, at, subject.pointer, at)

    def _items(
        self,
        at: str,
        subject: Subject,
        values: Sequence[Any],
        wanted: bool,
        *,
        absent: bool,
        loose: bool = False,
    ) -> Node:
        if loose and any(converts(value) for value in values):
            self.differences.loose(at, subject.field)
        operator = "containsAny" if wanted else "containsNone"
        return self._rule(at, subject, operator, Literal(list(values), at), absent)

    def _rule(
        self, at: str, subject: Subject, operator: str, literal: Literal, absent: bool = False
    ) -> Node:
        """A rule; `absent`: it is met without a value. Texts keep their case, as there."""
        field, value = subject.field, literal.value
        rule: dict[str, Any] = {"field": field.name, "operator": operator, "value": value}
        texts = value if isinstance(value, list) else [value]
        if field.type in CASED and any(isinstance(each, str) and each for each in texts):
            rule["caseSensitive"] = True
        if absent and not is_segment(field):
            rule["missing"] = True
        return self._accepted(rule, at, subject.pointer, literal.pointer)

    def _pair(
        self, at: str, left: Subject, operator: str, right: Subject, absent: bool = False
    ) -> Node:
        for each in (left, right):
            if each.null is not None:
                raise self.draft.refuse(
                    each.pointer, "bad_value", "a default can't stand between two traits"
                )
        rule: dict[str, Any] = {
            "field": left.field.name,
            "operator": operator,
            "value": right.field.name,
            "valueSource": "field",
        }
        if left.field.type in CASED and right.field.type in CASED and operator not in MIRRORED:
            rule["caseSensitive"] = True
        if absent:
            rule["missing"] = True
        return self._accepted(rule, at, left.pointer, right.pointer)

    def _accepted(self, rule: dict[str, Any], at: str, field: str, value: str) -> Node:
        def locate(below: str) -> str:
            if below.startswith("/value"):
                return value
            return field if below == "/field" else at

        return self.draft.rule(rule, at, locate)


def _toward(operator: str, wanted: bool) -> str:
    """The operator, or where it is not wanted the one that is true exactly where it is false."""
    return operator if wanted else str(OPERATORS[operator].inverse)
