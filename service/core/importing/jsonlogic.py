"""JSONLogic (jsonlogic.com) -> a condition that is true of the same customers.

Somebody who brings a rule wants the same customers as before, so truth comes before looks: where
our format can say what JSONLogic says, it is said, even if the rule becomes longer. Where a trait
has no value JSONLogic compares null (`age < 18` is met, as 0 < 18 is): such rules carry
`"missing": true`, which the summary tells in words and which is easily taken away. A negation goes
down to the rules, for NOT unknown is unknown here and true there. Texts keep their case.

A difference that remains is warned of, once for each trait and kind of difference, and what can't
be said is refused: nothing is dropped. Without a warning a condition is true of exactly the
customers of whom the JSONLogic is, as the reference implementation in JavaScript has it, but for
what nobody means: lists and objects where one value is compared, empty objects, texts that are
equal only under Unicode normalisation (NFC), and integers past 2**53.

Warnings: `undeclared_type`, `loose_equality`, `compared_as_text`, `read_as_declared`,
`missing_compared`, `empty_text`, `default`; `differences` says when each is given.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from service.core.importing import javascript
from service.core.importing.draft import Draft, Imported, Node, Refused, every, some
from service.core.importing.leaves import MIRRORED, Leaves, Literal, Subject
from service.core.importing.terms import EQUALITY, Reader, Term
from service.core.parsing import Schema
from service.core.traits import describe, is_number

AFFIXES = {"startsWith": "beginsWith", "endsWith": "endsWith"}


def from_jsonlogic(document: Any, schema: Schema, pointer: str = "") -> Imported:
    """A JSONLogic expression as a condition; pointers are below `pointer`. Raises Invalid."""
    draft = Draft(schema)
    node = _Translator(draft).truth(Term(document, pointer, 0), True)
    return draft.finish(node, pointer)


class _Translator:
    """Each method answers what is true exactly where the term's truth is `wanted`."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.leaves = Leaves(draft)
        self.reader = Reader(draft)

    def truth(self, term: Term, wanted: bool) -> Node:
        """What is refused is noted, so that the rest is still looked at."""
        self.draft.visit(term.pointer)
        try:
            return self.asked(term, wanted)
        except Refused:
            return False

    def refuse(self, term: Term, code: str, detail: str) -> Refused:
        return self.draft.refuse(term.pointer, code, detail)

    def asked(self, term: Term, wanted: bool) -> Node:
        value = term.value
        if value is None or isinstance(value, bool) or is_number(value):
            return javascript.truthy(value) == wanted
        name, at = term.operation, term.pointer
        if name is None:
            detail = f"expected true, false or one operation such as and, got {describe(value)}"
            raise self.refuse(term, "type", detail)
        if term.depth >= self.draft.schema.depth_limit:
            limit = self.draft.schema.depth_limit
            raise self.refuse(term, "too_deep", f"operations may nest {limit} deep at most")
        if name in EQUALITY:
            strict, equal = EQUALITY[name]
            return self.equality(at, *self.two(term), strict, wanted == equal)
        match name:
            case "and" | "or":
                return self.junction(name, term.arguments(), wanted)
            case "!" | "!!":
                return self.truth(self.one(term), wanted == (name == "!!"))
            case "if" | "?:":
                return self.choice(term.arguments(), wanted)
            case "var":
                return self.leaves.truthy(at, self.reader.subject(term, of_items=True), wanted)
            case "<" | "<=" | ">" | ">=":
                return self.order(name, term, wanted)
            case "in":
                return self.containment(term, wanted)
            case "startsWith" | "endsWith":
                return self.affix(AFFIXES[name], term, wanted)
            case "some" | "none" | "all":
                return self.quantifier(name, term, wanted)
            case "missing":
                return self.lacking_some(_names(term.arguments()), 1, term, wanted)
            case "missing_some":
                return self.missing_some(term, wanted)
        raise self.reader.unknown(term)

    def one(self, term: Term) -> Term:
        arguments = term.arguments()
        if len(arguments) != 1:
            raise self.refuse(term, "bad_value", f"{term.operation} takes one argument")
        return arguments[0]

    def two(self, term: Term) -> tuple[Term, Term]:
        arguments = term.arguments()
        if len(arguments) != 2:
            raise self.refuse(term, "bad_value", f"{term.operation} takes two arguments")
        return arguments[0], arguments[1]

    def junction(self, name: str, arguments: list[Term], wanted: bool) -> Node:
        if not arguments:
            return not wanted
        nodes = [self.truth(each, wanted) for each in arguments]
        return every(nodes) if (name == "and") == wanted else some(nodes)

    def choice(self, arguments: list[Term], wanted: bool) -> Node:
        """`if`: conditions and outcomes by turns, at last what else."""
        if not arguments:
            return not wanted
        if len(arguments) == 1:
            return self.truth(arguments[0], wanted)
        first, then, *rest = arguments
        met = self.truth(then, wanted)
        otherwise = self.choice(rest, wanted)
        if met is True:  # the condition need not be repeated: (c and true) or (not c and d)
            return some([self.truth(first, True), otherwise])
        if otherwise is True:
            return some([self.truth(first, False), met])
        return some(
            [
                met and every([self.truth(first, True), met]),
                otherwise and every([self.truth(first, False), otherwise]),
            ]
        )

    def equality(self, at: str, left: Term, right: Term, strict: bool, wanted: bool) -> Node:
        if right.operation == "var" and left.operation != "var":
            left, right = right, left
        subject = self.reader.subject(left)
        if right.operation == "var":
            return self.leaves.same(at, subject, self.reader.subject(right), strict, wanted)
        return self.leaves.equals(at, subject, self.reader.literal(right), strict, wanted)

    def order(self, name: str, term: Term, wanted: bool) -> Node:
        arguments = term.arguments()
        at = term.pointer
        if len(arguments) != 3 or name not in ("<", "<="):
            return self.compared(at, name, *self.two(term), wanted)
        low, middle, high = arguments
        if name == "<=" and [each.operation for each in arguments] == [None, "var", None]:
            subject = self.reader.subject(middle)
            lowest, highest = self.reader.literal(low), self.reader.literal(high)
            return self.leaves.between(at, lowest, subject, highest, wanted)
        nodes = [
            self.compared(at, name, low, middle, wanted),
            self.compared(at, name, middle, high, wanted),
        ]
        return every(nodes) if wanted else some(nodes)

    def compared(self, at: str, name: str, left: Term, right: Term, wanted: bool) -> Node:
        if right.operation == "var" and left.operation != "var":
            left, right, name = right, left, MIRRORED[name]
        subject = self.reader.subject(left)
        if right.operation == "var":
            return self.leaves.ordered_pair(at, name, subject, self.reader.subject(right), wanted)
        return self.leaves.ordered(at, name, subject, self.reader.literal(right), wanted)

    def containment(self, term: Term, wanted: bool) -> Node:
        """`in`: of a trait in a list that is written out, or of a part in a trait."""
        needle, hay = self.two(term)
        at = term.pointer
        if isinstance(hay.value, list):
            return self.membership(at, needle, hay, wanted)
        if hay.operation is None:
            detail = "look for a text in a trait, or for a trait in a list that is written out"
            raise self.refuse(hay, "bad_value", detail)
        subject = self.reader.subject(hay, of_items=True)
        if needle.operation == "var":
            part = self.reader.subject(needle)
            return self.leaves.textual_pair(at, "contains", subject, part, wanted)
        return self.leaves.contains(at, subject, self.reader.literal(needle), wanted)

    def membership(self, at: str, needle: Term, hay: Term, wanted: bool) -> Node:
        values = [each for each in hay.value if not isinstance(each, list | dict)]
        others = [] if len(values) == len(hay.value) else hay.items()
        traits = [each for each in others if isinstance(each.value, list | dict)]
        for each in traits:
            if each.operation != "var":
                self.reader.literal(each)  # which it is not: that is noted
        nodes = [self.equality(at, needle, each, True, wanted) for each in traits]
        if values or not traits:
            subject = self.reader.subject(needle)
            literal = Literal(values, hay.pointer)
            nodes.append(self.leaves.one_of(at, subject, literal, wanted))
        return some(nodes) if wanted else every(nodes)

    def affix(self, name: str, term: Term, wanted: bool) -> Node:
        whole, part = self.two(term)
        subject = self.reader.subject(whole)
        if part.operation == "var":
            other = self.reader.subject(part)
            return self.leaves.textual_pair(term.pointer, name, subject, other, wanted)
        return self.leaves.affix(term.pointer, name, subject, self.reader.literal(part), wanted)

    def quantifier(self, name: str, term: Term, wanted: bool) -> Node:
        items, question = self.two(term)
        subject = self.reader.subject(items, of_items=True)
        values, inside, loose = self.reader.asked_of_items(question)
        at = term.pointer
        if inside and name != "all":
            return self.leaves.holds(at, subject, values, loose, wanted == (name == "some"))
        if not inside and name == "all":
            return self.leaves.holds_only_others(at, subject, values, loose, wanted)
        detail = "of a list one can ask whether it holds any of some values, or none of them"
        raise self.refuse(term, "bad_operator", detail)

    def missing_some(self, term: Term, wanted: bool) -> Node:
        """True where fewer than so many of the traits have a value."""
        needed, options = self.two(term)
        if type(needed.value) is not int or not isinstance(options.value, list):
            detail = "missing_some takes a whole number and a list of traits"
            raise self.refuse(term, "bad_value", detail)
        if needed.value <= 0:
            return not wanted
        names = options.items()
        least = max(len(names) - needed.value + 1, 1)
        return self.lacking_some(names, least, term, wanted)

    def lacking_some(self, names: list[Term], least: int, term: Term, wanted: bool) -> Node:
        """At least so many of the traits are missing; unwanted: too many of them are not."""
        subjects = [self.reader.named(each) for each in names]
        size = least if wanted else len(names) - least + 1
        if least > len(names):
            return not wanted
        return some(self._lacking(combinations(subjects, size), term, wanted))

    def _lacking(
        self, chosen: Iterator[tuple[Subject, ...]], term: Term, wanted: bool
    ) -> Iterator[Node]:
        for subjects in chosen:
            yield every(self.leaves.lacking(term.pointer, each, wanted) for each in subjects)


def _names(arguments: list[Term]) -> list[Term]:
    """The names that `missing` lists: as its arguments, or as a list in the first of them."""
    if arguments and isinstance(arguments[0].value, list):
        return arguments[0].items()
    return arguments
