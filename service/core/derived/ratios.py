"""Ratios: one trait divided by another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from service.core.conditions import Field
from service.core.derived.exact import decimal_of
from service.core.derived.fields import NUMBERS, Place, parse_field, unknown_properties
from service.core.english import field_english
from service.core.parsing import Schema
from service.core.problems import Invalid, Problem
from service.core.traits import ABSENT, Profile, TraitType, describe

PROPERTIES = ("numerator", "denominator")


@dataclass(frozen=True, slots=True)
class Ratio:
    """The quotient of two traits, both taken as the decimals that they were written as: the double
    nearest to the exact quotient, so always a float. Missing where one of the two is missing or no
    number, where the denominator is 0, and where the quotient is too large for a double."""

    places: tuple[Place, ...]

    @property
    def numerator(self) -> Field:
        """What is divided."""
        return self.places[0].field

    @property
    def denominator(self) -> Field:
        """What it is divided by."""
        return self.places[1].field

    @property
    def type(self) -> TraitType:
        """A number."""
        return TraitType.NUMBER

    def compiled(self) -> Callable[[Profile], float | None]:
        """The value for a profile; None: missing."""
        read_numerator, read_denominator = self.numerator.read, self.denominator.read

        def value(profile: Profile) -> float | None:
            numerator, denominator = read_numerator(profile), read_denominator(profile)
            if numerator is ABSENT or denominator is ABSENT:
                return None
            return quotient(numerator, denominator)

        return value

    def english(self) -> str:
        """`Refunds divided by revenue.`"""
        text = f"{field_english(self.numerator)} divided by {field_english(self.denominator)}."
        return text[:1].upper() + text[1:]


def quotient(numerator: Any, denominator: Any) -> float | None:
    """The double nearest to the quotient of two numbers; None where there is none."""
    if type(numerator) is not int or type(denominator) is not int:
        above, below = decimal_of(numerator), decimal_of(denominator)
        if above is None or below is None:
            return None
        # a/b : c/d = ad/bc
        (a, b), (c, d) = above.as_integer_ratio(), below.as_integer_ratio()
        numerator, denominator = a * d, b * c
    if denominator == 0:
        return None
    try:
        # Python divides integers to the nearest double, however large they are.
        return float(numerator / denominator) or 0.0
    except OverflowError:
        return None


def parse_ratio(document: Any, schema: Schema, pointer: str = "/ratio") -> Ratio:
    """`{"numerator": FIELD, "denominator": FIELD}` as a ratio. Raises Invalid."""
    if not isinstance(document, dict):
        detail = f"expected numerator and denominator, got {describe(document)}"
        raise Invalid([Problem(pointer, "type", detail)])
    problems = unknown_properties(document, PROPERTIES, pointer)
    places = []
    for part in PROPERTIES:
        where = f"{pointer}/{part}"
        try:
            field = parse_field(
                document.get(part), schema, where, NUMBERS, "a ratio divides numbers"
            )
        except Invalid as fault:
            problems += fault.problems
        else:
            places.append(Place(where, field))
    if problems:
        raise Invalid(problems)
    return Ratio(tuple(places))
