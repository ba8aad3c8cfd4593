"""JSONLogic's source text taken apart: operations with their arguments, traits, literals, items."""

from typing import Any, NamedTuple

from service.core.importing.draft import Draft, Refused
from service.core.importing.leaves import Literal, Subject
from service.core.parsing import escape
from service.core.traits import describe

# The equalities: whether strict, and whether what they ask is equality.
EQUALITY = {"==": (False, True), "===": (True, True), "!=": (False, False), "!==": (True, False)}
INEXPRESSIBLE = {
    **dict.fromkeys(("+", "-", "*", "/", "%", "min", "max"), "conditions do no arithmetic"),
    **dict.fromkeys(("cat", "substr"), "conditions put no texts together"),
    **dict.fromkeys(("map", "filter", "reduce", "merge"), "conditions make no lists"),
    **dict.fromkeys(("log", "method"), "conditions only ask"),
}


class Term(NamedTuple):
    """A part of the source, its place, and how many operations it stands in."""

    value: Any
    pointer: str
    depth: int

    @property
    def operation(self) -> str | None:
        """The operation's name, None where this is none."""
        if isinstance(self.value, dict) and len(self.value) == 1:
            return str(next(iter(self.value)))
        return None

    def arguments(self) -> list["Term"]:
        """The arguments of an operation; one may stand without its list."""
        ((name, given),) = self.value.items()
        term = Term(given, f"{self.pointer}/{escape(name)}", self.depth + 1)
        return term.items() if isinstance(given, list) else [term]

    def items(self) -> list["Term"]:
        """The items of a list."""
        return [
            Term(each, f"{self.pointer}/{index}", self.depth)
            for index, each in enumerate(self.value)
        ]

    @property
    def is_item(self) -> bool:
        """Whether this is the item that `some`, `none` or `all` has in hand."""
        return self.operation == "var" and self.value["var"] in ("", [], [""])


class Asked(NamedTuple):
    """What is asked of a list's items: to be one of these values, or none of them."""

    values: list[Any]
    inside: bool
    loose: bool


class Reader:
    """Reads what comparisons are between. What can't be read is noted in the draft: Refused."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft

    def unknown(self, term: Term) -> Refused:
        """Notes an operation that there is no way to take over."""
        name = str(term.operation)
        if name in INEXPRESSIBLE:
            detail = f'"{name}" can\'t be taken over: {INEXPRESSIBLE[name]}'
            return self.draft.refuse(term.pointer, "bad_operator", detail)
        detail = f'"{name}" is no operation of JSONLogic'
        return self.draft.refuse(term.pointer, "unknown_operator", detail)

    def subject(self, term: Term, *, of_items: bool = False) -> Subject:
        """The trait that is compared: a `var`. `of_items`: its default may be the empty list."""
        if term.operation is None:
            detail = "one side of a comparison has to be a trait: a var"
            raise self.draft.refuse(term.pointer, "bad_value", detail)
        if term.operation != "var":
            raise self._outcome(term)
        arguments = term.arguments()
        if not 1 <= len(arguments) <= 2:
            detail = "var takes a name and perhaps a default"
            raise self.draft.refuse(term.pointer, "bad_value", detail)
        found = self.named(arguments[0])
        if len(arguments) == 1 or (of_items and arguments[1].value == []):
            return found
        return found._replace(null=self.literal(arguments[1]).value)

    def named(self, term: Term) -> Subject:
        """The trait of that name."""
        name = term.value
        if not isinstance(name, str) or not name:
            detail = f"expected a trait's name, got {describe(name)}"
            raise self.draft.refuse(term.pointer, "unknown_field", detail)
        steps = name.split(".")
        if any(step.isdigit() for step in steps):
            detail = "the items of a list can't be asked for by their number"
            raise self.draft.refuse(term.pointer, "unknown_field", detail)
        if len(steps) > 1 and steps[-1] == "length" and name not in self.draft.schema.types:
            detail = "how long a list or a text is can't be asked"
            raise self.draft.refuse(term.pointer, "unknown_field", detail)
        return Subject(self.draft.field(name, term.pointer), term.pointer, None)

    def literal(self, term: Term) -> Literal:
        """A text, number, true, false or null that is written out."""
        if term.operation is not None:
            raise self._outcome(term)
        if isinstance(term.value, list | dict):
            detail = f"{describe(term.value)} can't be compared with"
            raise self.draft.refuse(term.pointer, "type", detail)
        return Literal(term.value, term.pointer)

    def _outcome(self, term: Term) -> Refused:
        name = term.operation
        if name in INEXPRESSIBLE or name == "var":
            return self.unknown(term)
        detail = f'the outcome of "{name}" can\'t be compared'
        return self.draft.refuse(term.pointer, "bad_operator", detail)

    def asked_of_items(self, term: Term) -> Asked:
        """The question of `some`, `none` or `all`."""
        self.draft.visit(term.pointer)
        name = term.operation
        arguments = term.arguments() if name else []
        if name == "or" and arguments:
            asked = [self.asked_of_items(each) for each in arguments]
            if all(each.inside for each in asked):
                values = [value for each in asked for value in each.values]
                return Asked(values, True, any(each.loose for each in asked))
        if name == "!" and len(arguments) == 1:
            found = self.asked_of_items(arguments[0])
            return found._replace(inside=not found.inside)
        if len(arguments) == 2:
            item, other = arguments if arguments[0].is_item else arguments[::-1]
            if name in EQUALITY and item.is_item:
                strict, equal = EQUALITY[name]
                return Asked([self.literal(other).value], equal, not strict)
            if name == "in" and arguments[0].is_item and isinstance(arguments[1].value, list):
                return Asked(arguments[1].value, True, False)
        raise self.draft.refuse(
            term.pointer,
            "bad_operator",
            'of the items of a list one can ask {"==": [{"var": ""}, value]} and '
            '{"in": [{"var": ""}, [values]]}',
        )
