"""JSON -> score. Every error is located by a JSON pointer; all of them are told at once."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from service.core.aggregate_parsing import EVENT_NAME_LENGTH, parse_aggregate
from service.core.aggregates import Series
from service.core.conditions import Condition, rules_of
from service.core.derived import groups
from service.core.derived.exact import decimal_of
from service.core.derived.fields import Place, unknown_properties
from service.core.derived.scores import Earned, Held, Score
from service.core.instants import DAY, SECOND, Duration, parse_duration
from service.core.parsing import Schema, parse_condition
from service.core.problems import Invalid, Problem
from service.core.traits import describe

PROPERTIES = ("points", "half_life")
CONDITION_PROPERTIES = ("condition", "points")
EVENT_PROPERTIES = ("event", "where", "points")
ENTRIES_LIMIT = 100
LARGEST = 1_000_000
MOST_DECIMALS = 6
# Longer ones would stand still for microseconds: see `decaying`.
SHORTEST, LONGEST = SECOND, 3_650 * DAY


def parse_score(document: Any, schema: Schema, pointer: str = "/score") -> Score:
    """`{"points": [...], "half_life": "30d"}` as a score. Raises Invalid."""
    if not isinstance(document, dict):
        detail = f"expected points, and perhaps half_life, got {describe(document)}"
        raise Invalid([Problem(pointer, "type", detail)])
    return _Parser(schema, pointer).score(document)


class _Parser:
    def __init__(self, schema: Schema, pointer: str) -> None:
        self.schema = schema
        self.pointer = pointer
        self.problems: list[Problem] = []
        self.conditions: list[tuple[Condition, str, Decimal]] = []
        self.events: list[tuple[Series, Decimal]] = []
        self.places: list[Place] = []

    def refuse(self, place: str, code: str, detail: str) -> None:
        self.problems.append(Problem(f"{self.pointer}{place}", code, detail))

    def score(self, document: dict[str, Any]) -> Score:
        self.problems += unknown_properties(document, PROPERTIES, self.pointer)
        entries = document.get("points")
        if not isinstance(entries, list):
            self.refuse("/points", "required", "a score needs points: a list of what earns them")
        elif not entries:
            self.refuse("/points", "empty", "a score needs something that earns points")
        elif len(entries) > ENTRIES_LIMIT:
            detail = f"a score holds {ENTRIES_LIMIT} kinds of points at most"
            self.refuse("/points", "too_many", detail)
        else:
            for index, entry in enumerate(entries):
                self.entry(entry, f"/points/{index}")
        half_life = self.half_life(document)
        self.count_rules()
        if self.problems:
            raise Invalid(self.problems)
        points = [exact for *_, exact in self.conditions] + [exact for _, exact in self.events]
        decimals = max(map(_decimals, points))
        return Score(
            held=tuple(
                Held(each, int(exact.scaleb(decimals)), where)
                for each, where, exact in self.conditions
            ),
            earned=tuple(Earned(each, int(exact.scaleb(decimals))) for each, exact in self.events),
            decimals=decimals,
            half_life=half_life,
            places=tuple(self.places),
        )

    def entry(self, entry: Any, place: str) -> None:
        if not isinstance(entry, dict) or ("condition" in entry) == ("event" in entry):
            detail = "points are given for a condition or for an event: name one of the two"
            self.refuse(place, "required", detail)
            return
        known = CONDITION_PROPERTIES if "condition" in entry else EVENT_PROPERTIES
        self.problems += unknown_properties(entry, known, f"{self.pointer}{place}")
        points = self.points(entry, f"{place}/points")
        try:
            if "condition" in entry:
                where = f"{self.pointer}{place}/condition"
                condition = groups.parse_group(entry["condition"], self.schema, where)
                self.conditions.append((condition, where, points or Decimal(0)))
                self.places += groups.places_of(condition, where)
            else:
                self.events.append((self.series(entry, place), points or Decimal(0)))
        except Invalid as fault:
            self.problems += fault.problems

    def series(self, entry: dict[str, Any], place: str) -> Series:
        event = entry["event"]
        if not isinstance(event, str) or not 0 < len(event) <= EVENT_NAME_LENGTH:
            detail = f"an event's name has 1-{EVENT_NAME_LENGTH} characters"
            raise Invalid([Problem(f"{self.pointer}{place}/event", "bad_value", detail)])
        # Points count events as an aggregate does, and so share its series.
        which = {"where": entry["where"]} if "where" in entry else {}
        counted = parse_aggregate(
            event, {"function": "count", **which}, f"{self.pointer}{place}", self.group_on_events
        )
        return counted.series

    def group_on_events(self, document: Any, pointer: str) -> Condition:
        # What an event holds is not the customer's, whose types don't count here.
        return parse_condition(document, replace(self.schema, types={}, known={}), pointer)

    def count_rules(self) -> None:
        conditions = [condition for condition, *_ in self.conditions]
        conditions += [series.where for series, _ in self.events if series.where is not None]
        limit = self.schema.rules_limit
        if sum(1 for condition in conditions for _ in rules_of(condition)) > limit:
            self.refuse("/points", "too_many_rules", f"a score holds {limit:,} rules at most")

    def points(self, entry: dict[str, Any], place: str) -> Decimal | None:
        exact = decimal_of(entry.get("points"))
        if exact is None:
            detail = f"expected a number of points, got {describe(entry.get('points'))}"
            self.refuse(place, "required" if "points" not in entry else "type", detail)
            return None
        exact = exact.normalize()
        if not 0 < abs(exact) <= LARGEST or exact != round(exact, MOST_DECIMALS):
            self.refuse(
                place,
                "bad_value",
                f"points are a number between -{LARGEST:,} and {LARGEST:,}, not 0, of "
                f"{MOST_DECIMALS} decimals at most",
            )
        return exact

    def half_life(self, document: dict[str, Any]) -> Duration | None:
        text = document.get("half_life")
        if text is None:
            return None
        duration = parse_duration(text) if isinstance(text, str) else None
        if duration is None:
            detail = f"expected a duration such as 12h, 30d or 8w, got {describe(text)}"
            self.refuse("/half_life", "bad_duration", detail)
            return None
        if duration.months:
            detail = "a half-life is always equally long: write days or weeks, not months or years"
            self.refuse("/half_life", "bad_duration", detail)
        elif not SHORTEST <= duration.micros <= LONGEST:
            detail = f"a half-life is {LONGEST // DAY:,} days at most"
            self.refuse("/half_life", "bad_duration", detail)
        if not self.events and not self.problems:
            detail = (
                "only points for events decay, and this score has none: those for a condition are "
                "held while it is true"
            )
            self.refuse("/half_life", "bad_value", detail)
        return duration


def _decimals(exact: Decimal) -> int:
    """How many decimals a normalised number of points has."""
    exponent = exact.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0
