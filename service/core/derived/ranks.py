"""Ranks: where a customer stands among all others by one value."""

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from service.core.conditions import Condition, Field, Rule
from service.core.derived import groups
from service.core.derived.cut_points import CutPoints
from service.core.derived.fields import NUMBERS, TIMES, Place, parse_field, unknown_properties
from service.core.english import field_english
from service.core.instants import Moment, local_day
from service.core.parsing import Schema
from service.core.problems import Invalid, Problem
from service.core.traits import ABSENT, WRONG_TYPE, Profile, TraitType, describe, is_number, read

PROPERTIES = ("of", "order", "by", "among")

# What a customer is ranked by: a double, an instant in microseconds, or the number of a day.
Key = Callable[[Profile, Moment], int | float | None]


class Order(StrEnum):
    """Who comes first: ascending ranks count the customers with a smaller value, descending ones
    those with a larger one."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class By(StrEnum):
    """What of a value counts: all of it, or the calendar day that it falls on."""

    VALUE = "value"
    DAY = "day"


@dataclass(frozen=True)
class Rank:
    """The share of customers who have a smaller (or larger) value, among those who have one and
    for whom `among` is true. It is missing for all others.

    The customers are counted at a refresh; a value that changes afterwards is ranked among the
    values of then.
    """

    order: Order
    by: By
    among: Condition | None
    # Of what is ranked first, then what `among` reads.
    places: tuple[Place, ...]

    @property
    def of(self) -> Field:
        """What customers are ranked by."""
        return self.places[0].field

    @property
    def type(self) -> TraitType:
        """A number."""
        return TraitType.NUMBER

    @property
    def timely(self) -> bool:
        """Whether instants are ranked, and not numbers."""
        return self.by is By.DAY or self.of.type in TIMES

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The condition that it asks of a customer, if there is one."""
        return () if self.among is None else (self.among,)

    @cached_property
    def _timed(self) -> tuple[Rule, ...]:
        return () if self.among is None else groups.timed_rules(self.among)

    def keys(self) -> "array[Any]":
        """An empty array for the keys of all customers."""
        return array("q" if self.timely else "d")

    def key(self) -> Key:
        """A function of a profile: what the customer is ranked by; None: not ranked."""
        if self.by is By.DAY:
            key = _day(self.of)
        else:
            key = _instant(self.of) if self.timely else _number(self.of)
        return key if self.among is None else _among(groups.compiled(self.among), key)

    def compiled(self, cut_points: CutPoints | None) -> Callable[[Profile, Moment], float | None]:
        """The value for a profile, by the cut points of the last refresh; None: missing."""
        if cut_points is None:
            return lambda profile, moment: None
        key, rank = self.key(), cut_points.rank

        def value(profile: Profile, moment: Moment) -> float | None:
            found = key(profile, moment)
            return None if found is None else rank(found)

        return value

    def next_change(self, profile: Profile, moment: Moment) -> int | None:
        """The first instant after the moment at which time alone could change whether the customer
        is ranked: a lower bound; None: never."""
        return groups.next_change(self._timed, profile, moment)

    def english(self) -> str:
        """`The share of customers with a smaller total spent, among those where country is CZ.`"""
        name = field_english(self.of)
        ascending = self.order is Order.ASCENDING
        if self.by is By.DAY:
            text = f"whose {name} is on {'an earlier' if ascending else 'a later'} day"
        elif self.timely:
            text = f"whose {name} is {'earlier' if ascending else 'later'}"
        else:
            text = f"whose {name} is {'smaller' if ascending else 'larger'}"
        if self.among is not None:
            text += f", among those where {groups.clause(self.among)}"
        return f"The share of customers {text}."


def _number(of: Field) -> Key:
    raw = of.read

    def key(profile: Profile, moment: Moment) -> float | None:
        value = raw(profile)
        if not is_number(value):
            return None
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None

    return key


def _instant(of: Field) -> Callable[[Profile, Moment], int | None]:
    raw = of.read

    def key(profile: Profile, moment: Moment) -> int | None:
        value = raw(profile)
        if value is ABSENT:
            return None
        instant = read(TraitType.INSTANT, value, moment.zone)
        return None if instant is WRONG_TYPE else int(instant)

    return key


def _day(of: Field) -> Key:
    instant = _instant(of)

    def key(profile: Profile, moment: Moment) -> int | None:
        at = instant(profile, moment)
        return None if at is None else local_day(at, moment.zone).toordinal()

    return key


def _among(test: groups.Test, key: Key) -> Key:
    return lambda profile, moment: key(profile, moment) if test(profile, moment) else None


def parse_rank(document: Any, schema: Schema, pointer: str = "/rank") -> Rank:
    """`{"of": FIELD, "order": "asc", "by": "value", "among": GROUP}` as a rank. Raises Invalid."""
    if not isinstance(document, dict):
        detail = f"expected what to rank by, such as of and order, got {describe(document)}"
        raise Invalid([Problem(pointer, "type", detail)])
    problems = unknown_properties(document, PROPERTIES, pointer)
    order, by = document.get("order", Order.ASCENDING), document.get("by", By.VALUE)
    if order not in list(Order):
        detail = 'order is "asc" (who has less) or "desc" (who has more)'
        problems.append(Problem(f"{pointer}/order", "bad_value", detail))
    if by not in list(By):
        problems.append(Problem(f"{pointer}/by", "bad_value", 'by is "value" or "day"'))
    places: list[Place] = []
    among = None
    days = by == By.DAY
    types, purpose = (
        (TIMES, "only instants and dates fall on a day")
        if days
        else (NUMBERS | TIMES, "a rank orders numbers and instants")
    )
    try:
        where = f"{pointer}/of"
        places.append(Place(where, parse_field(document.get("of"), schema, where, types, purpose)))
    except Invalid as fault:
        problems += fault.problems
    if document.get("among") is not None:
        try:
            among = groups.parse_group(document["among"], schema, f"{pointer}/among")
            places += groups.places_of(among, f"{pointer}/among")
        except Invalid as fault:
            problems += fault.problems
    if problems:
        raise Invalid(problems)
    return Rank(Order(order), By(by), among, tuple(places))
