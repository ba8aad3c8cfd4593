"""JSON -> aggregate. Every error is located by a JSON pointer; all of them are told at once."""

import json
from collections.abc import Callable
from typing import Any

from service.core.aggregates import NEED_OF, TIMED, Aggregate, Function, Path, Series
from service.core.conditions import Condition, Source, rules_of
from service.core.horizons import looks_at_time
from service.core.instants import DAY, Duration, parse_duration
from service.core.problems import Invalid, Problem, escape
from service.core.traits import describe

PROPERTIES = ("function", "of", "each", "where", "within", "between")
EVENT_NAME_LENGTH = 256
NAMES_LIMIT = 10

# Parses a group at a pointer. Raises Invalid.
ParseGroup = Callable[[Any, str], Condition]


def parse_aggregate(event: str, document: Any, pointer: str, parse_group: ParseGroup) -> Aggregate:
    """`{"function", "of", "each", "where", "within" | "between"}` over the events of a name, as
    an aggregate. Raises Invalid."""
    return _Parser(pointer, parse_group).aggregate((event,), document)


def parse_named(document: Any, pointer: str, parse_group: ParseGroup) -> Aggregate:
    """The same with the events' name within, as `"event"`, or a list of names. Raises Invalid."""
    if not isinstance(document, dict):
        detail = f"expected an aggregate: an object, got {describe(document)}"
        raise Invalid([Problem(pointer, "type", detail)])
    events = _names(document.get("event"), f"{pointer}/event")
    rest = {name: value for name, value in document.items() if name != "event"}
    return _Parser(pointer, parse_group).aggregate(events, rest)


def _names(written: Any, pointer: str) -> tuple[str, ...]:
    names = written if isinstance(written, list) else [written]
    if not 1 <= len(names) <= NAMES_LIMIT:
        detail = f"an aggregate is about events of 1-{NAMES_LIMIT} names"
        raise Invalid([Problem(pointer, "bad_value", detail)])
    for name in names:
        if not isinstance(name, str) or not 1 <= len(name) <= EVENT_NAME_LENGTH:
            detail = f"an event's name has 1-{EVENT_NAME_LENGTH} characters"
            raise Invalid([Problem(pointer, "required", detail)])
    return tuple(sorted(set(names)))


class _Parser:
    def __init__(self, pointer: str, parse_group: ParseGroup) -> None:
        self.pointer = pointer
        self.parse_group = parse_group
        self.problems: list[Problem] = []

    def refuse(self, place: str, code: str, detail: str) -> None:
        self.problems.append(Problem(f"{self.pointer}{place}", code, detail))

    def aggregate(self, events: tuple[str, ...], document: Any) -> Aggregate:
        if not isinstance(document, dict):
            self.refuse("", "required", "rules over events need an aggregate: how they count")
            raise Invalid(self.problems)
        for name in document:
            if name not in PROPERTIES:
                detail = f'"{name}" is not understood: ignoring it could change the meaning'
                self.refuse(f"/{escape(name)}", "unknown_property", detail)
        function = self.function(document.get("function"))
        each = self.path(document, "each", ("properties",))
        of = self.path(document, "of", ("properties",) if each is None else ("properties", "item"))
        if function in NEED_OF and "of" not in document:
            place = "properties.total" if each is None else "item.price"
            self.refuse("/of", "required", f"{function} needs `of`: a value such as {place}")
        if function in TIMED and "of" in document:
            detail = f"{function} is about when events happen: it has no `of`"
            self.refuse("/of", "bad_value", detail)
        where = self.where(document, each is not None)
        within = self.duration(document.get("within"), "/within") if "within" in document else None
        between = self.between(document["between"]) if "between" in document else None
        if "within" in document and "between" in document:
            self.refuse("/between", "bad_value", "a window is given by within or between, not both")
        if self.problems or function is None:
            raise Invalid(self.problems)
        kept = {name: document[name] for name in ("each", "of", "where") if name in document}
        told = events[0] if len(events) == 1 else events
        text = json.dumps({"event": told, **kept}, sort_keys=True, ensure_ascii=False)
        return Aggregate(function, Series(events, of, each, where, text), within, between)

    def function(self, name: Any) -> Function | None:
        if name in list(Function):
            return Function(name)
        known = ", ".join(Function)
        self.refuse("/function", "bad_value", f"the function is one of {known}")
        return None

    def path(self, document: dict[str, Any], name: str, roots: tuple[str, ...]) -> Path | None:
        if name not in document:
            return None
        written = document[name]
        path = tuple(written.split(".")) if isinstance(written, str) else ()
        if len(path) < 2 or not all(path) or path[0] not in roots or len(written) > 512:
            ways = " or ".join(f"{root}.NAME" for root in roots)
            self.refuse(f"/{name}", "bad_value", f"`{name}` is a path: {ways}")
            return None
        return path

    def where(self, document: dict[str, Any], items: bool) -> Condition | None:
        if "where" not in document:
            return None
        place = f"{self.pointer}/where"
        try:
            condition = self.parse_group(document["where"], place)
        except Invalid as fault:
            self.problems += fault.problems
            return None
        roots = ("properties", "item") if items else ("properties",)
        ways = " or ".join(f"{root}.NAME" for root in roots)
        for rule in rules_of(condition):
            for field in (rule.field, rule.other):
                if field is not None and (
                    field.source is not Source.TRAIT
                    or field.path[0] not in roots
                    or len(field.path) < 2
                ):
                    detail = f"a condition on events reads {ways}, not {field.name}"
                    self.problems.append(Problem(place, "unknown_field", detail))
            if looks_at_time(rule):
                detail = f"{rule.operator.name} has no place in a condition on events: use within"
                self.problems.append(Problem(place, "bad_operator", detail))
        return condition

    def duration(self, text: Any, place: str) -> Duration | None:
        duration = parse_duration(text) if isinstance(text, str) else None
        if duration is None:
            detail = f"expected a duration such as 30d or 6mo, got {describe(text)}"
            self.refuse(place, "bad_value", detail)
        return duration

    def between(self, written: Any) -> tuple[Duration, Duration] | None:
        if not isinstance(written, list) or len(written) != 2:
            detail = 'expected when the window began and ended, such as ["180d", "90d"]'
            self.refuse("/between", "bad_value", detail)
            return None
        began, ended = (self.duration(each, f"/between/{i}") for i, each in enumerate(written))
        if began is None or ended is None:
            return None
        if not _longer(began, ended):
            self.refuse("/between", "bad_value", "the window has to begin longer ago than it ends")
            return None
        return began, ended


def _longer(one: Duration, other: Duration) -> bool:
    """Whether one duration is longer than another, whatever months they meet."""
    if one.months and other.months:
        return one.months > other.months
    return one.months * 28 * DAY + one.micros > other.months * 31 * DAY + other.micros
