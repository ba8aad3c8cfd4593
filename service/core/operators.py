"""THE operator table: for each operator its types, its operand, its test, its English, its inverse.

Parser, evaluators, sentences, documentation and error messages read this table; nothing else
knows an operator's name.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from service.core import comparisons as c
from service.core.comparisons import TIMES, Interval, Test
from service.core.traits import TraitType


class Operand(StrEnum):
    """What an operator is given to compare with."""

    NONE = "none"
    SCALAR = "one value"
    LIST = "a list of values"
    PAIR = "a pair of values, lowest first"
    TEXT = "a text"
    PATTERN = "a regular expression in RE2 syntax"
    DURATION = "a duration such as 30d or 2mo"
    VERSION = "a version such as 2.10.1"
    DISTANCE = 'a circle {"lat":, "lon":, "km":}'
    SAMPLE = 'a share {"percent": 10, "salt": "x"}'


class Family(StrEnum):
    """How the index treats an operator."""

    PRESENCE = "presence"
    EQUALITY = "equality"
    ORDER = "order"
    TEXT = "text"
    ITEMS = "items"
    AGE = "age"
    OTHER = "other"


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """One row of the table.

    `types`: the declared types it applies to. `negates`: the operator it is the Kleene negation
    of. `inverse`: the operator that is true exactly where this one is false, if there is one.
    `fields`: whether another field may stand in the operand's place. `interval` and `every`
    describe to the index what the test does.
    """

    name: str
    english: str
    operand: Operand
    family: Family
    types: frozenset[TraitType]
    test: Test
    negates: str | None = None
    inverse: str | None = None
    fields: bool = False
    # ORDER: the interval of values in which it holds. AGE: the interval of ages, now - value.
    interval: Callable[[Any], Interval] | None = None
    # ITEMS: whether every operand must be found, or one.
    every: bool = False

    @property
    def negative(self) -> bool:
        """Whether people expect it to hold for customers without a value (it doesn't)."""
        return self.negates is not None and self.operand is not Operand.NONE


ANY = frozenset(TraitType)
ORDERED = frozenset(
    {
        TraitType.NUMBER,
        TraitType.MONEY,
        TraitType.INSTANT,
        TraitType.DATE,
        TraitType.VERSION,
    }
)
TEXTS = frozenset({TraitType.STRING})
LISTS = frozenset({TraitType.LIST})
VERSIONS = frozenset({TraitType.VERSION})
POINTS = frozenset({TraitType.POINT})


def _pair(positive: Operator, name: str, english: str) -> tuple[Operator, Operator]:
    """An operator and its Kleene negation, each the other's inverse."""
    negative = replace(
        positive,
        name=name,
        english=english,
        test=c.opposite(positive.test),
        negates=positive.name,
        inverse=positive.name,
        interval=None,
    )
    return replace(positive, inverse=name), negative


def _rows() -> list[Operator]:
    o, f = Operand, Family
    below, at_most = c.ordered(c.below), c.ordered(c.at_most)
    above, at_least = c.opposite(at_most), c.opposite(below)
    between = c.ordered(c.between)
    contains = c.textual(lambda value, part: part in value)
    begins, ends = c.textual(str.startswith), c.textual(str.endswith)
    contains_any = c.itemised(lambda items, wanted: not items.isdisjoint(wanted))
    contains_all = c.itemised(lambda items, wanted: wanted <= items)
    row = Operator
    return [
        *_pair(row("=", "is", o.SCALAR, f.EQUALITY, ANY, c.is_in, fields=True), "!=", "is not"),
        *_pair(row("in", "is one of", o.LIST, f.EQUALITY, ANY, c.is_in), "notIn", "is none of"),
        *_pair(row("null", "is unknown", o.NONE, f.PRESENCE, ANY, c.absent), "notNull", "is known"),
        row("<", "is less than", o.SCALAR, f.ORDER, ORDERED, below, inverse=">=", fields=True,
            interval=c.interval_below),
        row("<=", "is at most", o.SCALAR, f.ORDER, ORDERED, at_most, inverse=">", fields=True,
            interval=c.interval_at_most),
        row(">", "is more than", o.SCALAR, f.ORDER, ORDERED, above, inverse="<=", fields=True,
            interval=c.interval_above),
        row(">=", "is at least", o.SCALAR, f.ORDER, ORDERED, at_least, inverse="<", fields=True,
            interval=c.interval_at_least),
        *_pair(
            row("between", "is between", o.PAIR, f.ORDER, ORDERED, between,
                interval=c.interval_between),
            "notBetween", "is not between",
        ),
        *_pair(
            row("contains", "contains", o.TEXT, f.TEXT, TEXTS, contains, fields=True),
            "doesNotContain", "does not contain",
        ),
        *_pair(
            row("beginsWith", "begins with", o.TEXT, f.TEXT, TEXTS, begins, fields=True),
            "doesNotBeginWith", "does not begin with",
        ),
        *_pair(
            row("endsWith", "ends with", o.TEXT, f.TEXT, TEXTS, ends, fields=True),
            "doesNotEndWith", "does not end with",
        ),
        row("matches", "matches the pattern", o.PATTERN, f.TEXT, TEXTS, c.matches),
        *_pair(
            row("containsAny", "contains any of", o.LIST, f.ITEMS, LISTS, contains_any,
                fields=True),
            "containsNone", "contains none of",
        ),
        row("containsAll", "contains all of", o.LIST, f.ITEMS, LISTS, contains_all, fields=True,
            every=True),
        *_pair(
            row("withinLast", "is within the last", o.DURATION, f.AGE, TIMES, c.within_last,
                interval=c.ages_within_last),
            "notWithinLast", "is not within the last",
        ),
        row("withinNext", "is within the next", o.DURATION, f.AGE, TIMES, c.within_next,
            interval=c.ages_within_next),
        row("anniversaryWithin", "has its anniversary within the next", o.DURATION, f.OTHER,
            TIMES, c.anniversary_within),
        row("versionAtLeast", "is version", o.VERSION, f.ORDER, VERSIONS, at_least,
            inverse="versionBelow", interval=c.interval_at_least),
        row("versionBelow", "is older than version", o.VERSION, f.ORDER, VERSIONS, below,
            inverse="versionAtLeast", interval=c.interval_below),
        row("withinDistance", "is within", o.DISTANCE, f.OTHER, POINTS, c.within_distance),
        row("sample", "falls in a sample of", o.SAMPLE, f.OTHER, TEXTS, c.sample),
    ]  # fmt: skip


OPERATORS: dict[str, Operator] = {operator.name: operator for operator in _rows()}
