"""Where JSONLogic's truth and ours can differ, and what is said of it.

A trait of a declared type holds values of that type or none: whatever comes in is coerced. One
without may hold anything, which JSONLogic converts and we do not compare.
"""

from collections.abc import Sequence
from typing import Any

from service.core.conditions import Field
from service.core.importing import javascript
from service.core.importing.draft import Draft
from service.core.traits import TraitType, describe, is_number, type_english

AMOUNTS = frozenset({TraitType.NUMBER, TraitType.MONEY})
# Texts to JSONLogic; to us things with an order of their own.
AS_TEXT = {
    TraitType.INSTANT: "a point in time",
    TraitType.DATE: "a day",
    TraitType.VERSION: "a version",
}


class Differences:
    """Warns in a draft, where there is reason to. `at` is the place of the operation."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft

    def of_equality(
        self, at: str, field: Field, values: Sequence[Any], strict: bool, wanted: bool
    ) -> None:
        """A trait that equals one of these values, or, not wanted, none of them."""
        kind = field.type
        self.mixed(at, field, exact=wanted)
        self.as_text(at, field, kind)
        if kind in (None, TraitType.STRING) and not strict:
            if any(converts(value) if kind is None else is_number(value) for value in values):
                self.loose(at, field)
            values = [value for value in values if not is_number(value)]
        for value in values:
            if kind is not None and not _as_declared(kind, value, strict):
                self.read_as_declared(at, field, kind, value)

    def of_order(self, at: str, field: Field, value: Any) -> None:
        """A trait that comes before or after a value."""
        self.mixed(at, field, exact=False)
        self.as_text(at, field, TraitType.INSTANT if isinstance(value, str) else None)
        self.as_text(at, field, field.type)

    def of_pair(self, at: str, field: Field, *, loose: bool, exact: bool) -> None:
        """A trait that is compared with another."""
        if loose and field.type is None:
            self.loose(at, field)
        self.mixed(at, field, exact=exact)
        self.as_text(at, field, field.type)

    def mixed(self, at: str, field: Field, *, exact: bool) -> None:
        """`exact`: of values of another type JSONLogic says what we say, that it is not so."""
        if field.type is not None or exact:
            return
        self.draft.warn(
            at,
            "undeclared_type",
            field.name,
            f"{field.name} has no declared type. Where it holds a value of another type than it "
            "is compared with, JSONLogic converts it or counts it as different; here the rule is "
            "not met then. Declare its type and both agree",
        )

    def loose(self, at: str, field: Field) -> None:
        """`==` with what other types are converted to."""
        self.draft.warn(
            at,
            "loose_equality",
            field.name,
            "JSONLogic's == takes values of different types for equal, such as 1 and the text "
            f'"1", or 0 and the empty text; here {field.name} must be of the same type. Write '
            "=== instead, or declare its type",
        )

    def as_text(self, at: str, field: Field, kind: TraitType | None) -> None:
        """A comparison as instants, days or versions."""
        if kind is None or kind not in AS_TEXT or field.type not in (None, kind):
            return
        self.draft.warn(
            at,
            "compared_as_text",
            field.name,
            f"JSONLogic compares {field.name} letter by letter, as text; here it is compared as "
            f"{AS_TEXT[kind]}. They agree where all values are written alike",
        )

    def read_as_declared(self, at: str, field: Field, kind: TraitType, value: Any) -> None:
        """A literal of another type than the declared one."""
        self.draft.warn(
            at,
            "read_as_declared",
            field.name,
            f"{field.name} is declared as {type_english(kind)}, so {describe(value)} is read as "
            "one; JSONLogic never takes them for equal",
        )

    def null_as_text(self, at: str, field: Field) -> None:
        """A search for another trait's text."""
        self.draft.warn(
            at,
            "missing_compared",
            field.name,
            f'where {field.name} is unknown JSONLogic looks for the text "null"; here the rule is '
            "not met then. Nor does JSONLogic find an empty text within an empty one, as is done "
            "here",
        )

    def empty_text(self, at: str, field: Field) -> None:
        """`missing`, where it is not wanted."""
        self.draft.warn(
            at,
            "empty_text",
            field.name,
            f"JSONLogic counts {field.name} as missing where it is the empty text; here an empty "
            "text is known. Declare it as a text and both agree",
        )

    def default(self, at: str, field: Field, default: Any) -> None:
        """A default that is answered differently than null is; to us null is no value either."""
        self.draft.warn(
            at,
            "default",
            field.name,
            f"where {field.name} is unknown it counts as {describe(default)}, as the default "
            "says; JSONLogic takes the default where it is left out, but not where it is null",
        )


def converts(value: Any) -> bool:
    """Whether `==` finds values of another type equal to this one."""
    return not isinstance(value, str) or javascript.number_of(value) is not None


def _as_declared(kind: TraitType, value: Any, strict: bool) -> bool:
    """Whether JSONLogic can find a value of the declared type equal to a literal."""
    if kind is TraitType.STRING:
        return isinstance(value, str)
    if kind in AMOUNTS:
        return is_number(value) or not strict
    if kind is TraitType.BOOLEAN:
        return isinstance(value, bool)
    return True
