"""What a rule compares with, resolved once: checked, folded, compiled, converted."""

from collections.abc import Callable
from datetime import tzinfo
from enum import Enum
from typing import Any, Final

import re2

from service.core import instants
from service.core.comparisons import (
    TIMES,
    at_most,
    comparable,
    item_tokens,
    normal,
    start,
)
from service.core.conditions import Rule
from service.core.geography import circle
from service.core.instants import Span
from service.core.operators import Family, Operand
from service.core.traits import (
    TraitType,
    Uncoercible,
    coerce,
    compose,
    describe,
    is_number,
    kind_of,
    point,
    read,
    version_key,
)

PATTERN_LIMIT = 1_000
FARTHEST_KM = 1_000_000  # beyond any two points on earth
PATTERN_MEMORY = 1 << 20  # bytes of a compiled pattern's program and its state cache


class BadOperand(ValueError):
    """An operand that can't be used: the path below `value`, a code and a sentence."""

    def __init__(self, detail: str, *path: str | int, code: str = "bad_value") -> None:
        super().__init__(detail)
        self.path = path
        self.code = code


class _Mark(Enum):
    INCOMPARABLE = "incomparable"


INCOMPARABLE: Final = _Mark.INCOMPARABLE


def common_kind(left: TraitType | None, right: TraitType | None) -> Any:
    """The type under which two fields compare: None when neither is declared."""
    if left is None or right is None or left is right:
        return left or right
    if {left, right} == {TraitType.NUMBER, TraitType.MONEY}:
        return TraitType.MONEY
    if {left, right} == TIMES:
        return TraitType.INSTANT
    return INCOMPARABLE


# The type that both sides are read as (see Rule), and the operand.
Resolved = tuple[TraitType | None, Any]


def resolve(rule: Rule, zone: tzinfo) -> Resolved:
    """The operand of a rule, resolved from its `value`. Raises BadOperand."""
    return _RESOLVERS[rule.operator.operand](rule, zone)


def _none(rule: Rule, zone: tzinfo) -> Resolved:
    return rule.field.type, None


def _scalar(rule: Rule, zone: tzinfo) -> Resolved:
    if rule.value is None:
        raise BadOperand('null is no value; ask with "null" or "notNull"')
    if rule.operator.family is Family.ORDER:
        kind = _order_kind(rule, rule.value)
        return kind, _ordered(kind, rule, rule.value, zone)
    return rule.field.type, (_pair(rule, rule.value, zone),)


def _pair(rule: Rule, value: Any, zone: tzinfo, *path: int) -> tuple[TraitType, Any]:
    """One operand of equality as (kind, comparable value)."""
    if value is None:
        raise BadOperand('null is no value; ask with "null" or "notNull"', *path)
    kind = rule.field.type or kind_of(value)
    if kind is None:
        raise BadOperand(f"{describe(value)} can't be compared with", *path)
    if kind in TIMES:
        return kind, _span(rule, value, zone, *path)
    typed = _typed(kind, value, zone, *path)
    return kind, comparable(kind, typed, rule.case_sensitive)


def _typed(kind: TraitType, value: Any, zone: tzinfo, *path: int) -> Any:
    try:
        return read(kind, coerce(kind, value, zone), zone)
    except Uncoercible as fault:
        raise BadOperand(str(fault), *path, code="type") from fault


def _span(rule: Rule, value: Any, zone: tzinfo, *path: int) -> Span:
    day = instants.parse_day(value) if isinstance(value, str) else None
    if day is not None:
        if rule.field.type not in TIMES:
            raise BadOperand(
                f"a whole day needs a declared type: declare {rule.field.name} as an instant or "
                "a date, or write an instant such as 2026-11-20T00:00:00Z",
                *path,
                code="type",
            )
        return Span(instants.start_of_day(day, zone), instants.end_of_day(day, zone))
    instant = instants.parse_instant(value, zone) if isinstance(value, str) else None
    if instant is None:
        raise BadOperand(f"expected an RFC 3339 instant, got {describe(value)}", *path, code="type")
    return Span(instant, instant + 1)


def _order_kind(rule: Rule, value: Any, *path: int) -> TraitType:
    if rule.field.type is not None:
        return rule.field.type
    kind = kind_of(value)
    if kind is TraitType.NUMBER:
        return TraitType.NUMBER
    if kind is TraitType.STRING:
        return TraitType.INSTANT
    raise BadOperand(
        f'"{rule.operator.name}" compares numbers and instants, not {describe(value)}',
        *path,
        code="type",
    )


def _ordered(kind: TraitType, rule: Rule, value: Any, zone: tzinfo, *path: int) -> Any:
    if kind in TIMES:
        return _span(rule, value, zone, *path)
    return _typed(kind, value, zone, *path)


def _list(rule: Rule, zone: tzinfo) -> Resolved:
    values = rule.value
    if not isinstance(values, list):
        raise BadOperand(f"expected a list of values, got {describe(values)}", code="type")
    if not values:
        raise BadOperand("an empty list can never be met", code="empty")
    if rule.operator.family is Family.ITEMS:
        return TraitType.LIST, _tokens(rule, values)
    pairs = [_pair(rule, value, zone, index) for index, value in enumerate(values)]
    return rule.field.type, tuple(dict.fromkeys(pairs))


def _tokens(rule: Rule, values: list[Any]) -> frozenset[Any]:
    for index, value in enumerate(values):
        if not isinstance(value, str) and not is_number(value):
            raise BadOperand(
                f"lists hold texts and numbers, not {describe(value)}", index, code="type"
            )
    return item_tokens(values, rule.case_sensitive)


def _between(rule: Rule, zone: tzinfo) -> Resolved:
    values = rule.value
    if not isinstance(values, list) or len(values) != 2:
        raise BadOperand("expected two values, [lowest, highest]", code="type")
    kind = _order_kind(rule, values[0], 0)
    low = _ordered(kind, rule, values[0], zone, 0)
    if rule.field.type is None and _order_kind(rule, values[1], 1) is not kind:
        raise BadOperand("both ends must be of one type", 1, code="type")
    high = _ordered(kind, rule, values[1], zone, 1)
    if not at_most(start(low), high):
        raise BadOperand("the lowest value comes first: nothing lies between these", code="empty")
    return kind, (low, high)


def _text(rule: Rule, zone: tzinfo) -> Resolved:
    if not isinstance(rule.value, str):
        raise BadOperand(f"expected a text, got {describe(rule.value)}", code="type")
    if not rule.value:
        raise BadOperand("every text contains the empty text", code="empty")
    operand = normal(rule.value, rule.case_sensitive)
    return TraitType.STRING, operand


def compile_pattern(text: str, case_sensitive: bool) -> Any:
    """A pattern in RE2 with bounded memory. Raises BadOperand."""
    options = re2.Options()
    options.max_mem = PATTERN_MEMORY
    options.log_errors = False
    options.case_sensitive = case_sensitive
    try:
        return re2.compile(compose(text), options)
    except re2.error as fault:
        reason = fault.args[0].decode() if isinstance(fault.args[0], bytes) else str(fault)
        raise BadOperand(f"not a pattern of RE2: {reason}", code="bad_pattern") from fault
    except UnicodeEncodeError as fault:
        raise BadOperand("a pattern holds no lone surrogates", code="bad_pattern") from fault


def _pattern(rule: Rule, zone: tzinfo) -> Resolved:
    if not isinstance(rule.value, str) or not rule.value:
        raise BadOperand("expected a pattern as a text", code="type")
    if len(rule.value) > PATTERN_LIMIT:
        raise BadOperand(f"a pattern holds {PATTERN_LIMIT:,} characters at most", code="too_long")
    pattern = compile_pattern(rule.value, rule.case_sensitive)
    return TraitType.STRING, pattern


def _duration(rule: Rule, zone: tzinfo) -> Resolved:
    text = rule.value
    duration = instants.parse_duration(text) if isinstance(text, str) else None
    if duration is None:
        hint = "; write min for minutes or mo for months" if _bare_minutes(text) else ""
        raise BadOperand(
            f"expected a duration such as 45min, 12h, 30d, 2w, 6mo or 1y, got "
            f"{describe(text)}{hint}",
            code="bad_duration",
        )
    return rule.field.type or TraitType.INSTANT, duration


def _bare_minutes(text: Any) -> bool:
    return isinstance(text, str) and text.endswith("m") and text[:-1].isdigit()


def _version(rule: Rule, zone: tzinfo) -> Resolved:
    key = version_key(rule.value) if isinstance(rule.value, str) else None
    if key is None:
        raise BadOperand(
            f"expected a version such as 2.10.1, got {describe(rule.value)}", code="type"
        )
    return TraitType.VERSION, key


def _distance(rule: Rule, zone: tzinfo) -> Resolved:
    value = rule.value
    if not isinstance(value, dict):
        raise BadOperand('expected {"lat":, "lon":, "km":}', code="type")
    _only(value, {"lat", "lon", "km"})
    centre = point(value)
    if centre is None:
        raise BadOperand("lat lies between -90 and 90, lon between -180 and 180", code="type")
    km = value.get("km")
    if not is_number(km) or not 0 < km <= FARTHEST_KM:
        raise BadOperand(f"km is a number above 0, at most {FARTHEST_KM:,}", "km", code="type")
    return TraitType.POINT, circle(centre, float(km))


def _sample(rule: Rule, zone: tzinfo) -> Resolved:
    value = rule.value
    if not isinstance(value, dict):
        raise BadOperand('expected {"percent": 10, "salt": "x"}', code="type")
    _only(value, {"percent", "salt"})
    percent, salt = value.get("percent"), value.get("salt", "")
    if not is_number(percent) or not 0 < percent <= 100:
        raise BadOperand("percent is a number above 0, at most 100", "percent", code="type")
    if not isinstance(salt, str) or len(salt) > 64:
        raise BadOperand("salt is a text of 64 characters at most", "salt", code="type")
    return TraitType.STRING, (float(percent), salt)


def _only(value: dict[str, Any], known: set[str]) -> None:
    for name in value:
        if name not in known:
            raise BadOperand(f'"{name}" is not understood here', name, code="unknown_property")


_RESOLVERS: dict[Operand, Callable[[Rule, tzinfo], Resolved]] = {
    Operand.NONE: _none,
    Operand.SCALAR: _scalar,
    Operand.LIST: _list,
    Operand.PAIR: _between,
    Operand.TEXT: _text,
    Operand.PATTERN: _pattern,
    Operand.DURATION: _duration,
    Operand.VERSION: _version,
    Operand.DISTANCE: _distance,
    Operand.SAMPLE: _sample,
}
