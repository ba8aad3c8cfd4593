"""Compiled closures: what one writes first, and writes well.

Operands are parsed once, a profile's values are typed and folded once a profile (into numbered
slots, wrong types as missing), and groups stop at the first child that settles them.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from math import asin, cos, radians, sin, sqrt
from typing import Any
from unicodedata import normalize

from benchmarks.peers.positive import Leaf, Node, positive

Slots = list[Any]
Test = Callable[[Slots], bool]
Match = Callable[[dict[str, Any]], list[int]]

UNITS_US = {"h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
EARTH_KM = 6371.0088


def prepare(conditions: list[dict[str, Any]], now_us: int) -> Match:
    compiler = _Compiler(now_us)
    tests = list(enumerate(compiler.compile(positive(each)) for each in conditions))
    readers = [(field, _READ[kind]) for field, kind in compiler.slots]

    def match(profile: dict[str, Any]) -> list[int]:
        slots = [
            read(value) if (value := profile.get(field)) is not None else None
            for field, read in readers
        ]
        return [index for index, test in tests if test(slots)]

    return match


class _Compiler:
    def __init__(self, now_us: int) -> None:
        self.now = now_us
        self.slots: dict[tuple[str, str], int] = {}

    def compile(self, node: Node | Leaf) -> Test:
        if isinstance(node, Leaf):
            return self._leaf(node)
        return (_every if node.every else _some)([self.compile(each) for each in node.children])

    def _leaf(self, leaf: Leaf) -> Test:
        kind = _kind(leaf)
        slot = self.slots.setdefault((leaf.field, kind), len(self.slots))
        operator, operand = leaf.operator, leaf.operand
        if operator in ("null", "notNull"):
            return partial(_absent if operator == "null" else _present, slot)
        if operator in ("withinLast", "notWithinLast"):
            span = int(operand[:-1]) * UNITS_US[operand[-1]]
            return _MAKE[operator](slot, (self.now - span, self.now))
        if isinstance(operand, list):
            values = [_READ[kind](each) if kind != "tokens" else _fold(each) for each in operand]
            ordered = operator in ("between", "notBetween")
            return _MAKE[operator](slot, values if ordered else frozenset(values))
        return _MAKE[operator](slot, _READ[kind](operand))


def _kind(leaf: Leaf) -> str:
    operator = leaf.operator
    if operator in ("null", "notNull"):
        return "raw"
    if operator.startswith("version"):
        return "version"
    if operator in ("withinDistance", "notWithinDistance"):
        return "point"
    if operator in ("withinLast", "notWithinLast"):
        return "instant"
    if operator in ("containsAny", "containsAll", "containsNone", "notContainsAll"):
        return "tokens"
    sample = leaf.operand[0] if isinstance(leaf.operand, list) else leaf.operand
    if isinstance(sample, bool):
        return "flag"
    if isinstance(sample, str):
        return "instant" if operator in ("<", "<=", ">", ">=") else "text"
    return "number"


def _fold(text: str) -> str:
    return (text if text.isascii() else normalize("NFC", text)).casefold()


def _number(value: Any) -> float | None:
    return value if type(value) in (int, float) else None


def _text(value: Any) -> str | None:
    return _fold(value) if type(value) is str else None


def _flag(value: Any) -> bool | None:
    return value if type(value) is bool else None


def _instant(value: Any) -> int | None:
    try:
        return round(datetime.fromisoformat(value).timestamp() * 1_000_000)
    except (TypeError, ValueError):
        return None


def _tokens(value: Any) -> frozenset[Any] | None:
    if type(value) is not list:
        return None
    return frozenset(_fold(each) if type(each) is str else each for each in value)


def _version(value: Any) -> tuple[int, ...] | None:
    try:
        return tuple(map(int, value.split(".")))
    except (AttributeError, ValueError):
        return None


def _point(value: Any) -> tuple[float, float, float] | None:
    """Latitude and longitude in radians, and the reach in km of an operand (else 0)."""
    try:
        return radians(value["lat"]), radians(value["lon"]), value.get("km", 0.0)
    except (TypeError, KeyError):
        return None


def _raw(value: Any) -> Any:
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    "number": _number,
    "text": _text,
    "flag": _flag,
    "instant": _instant,
    "tokens": _tokens,
    "version": _version,
    "point": _point,
    "raw": _raw,
}


def _every(tests: list[Test]) -> Test:
    def test(slots: Slots) -> bool:
        for each in tests:  # noqa: SIM110 - `all` over a generator costs twice as much
            if not each(slots):
                return False
        return True

    return test


def _some(tests: list[Test]) -> Test:
    def test(slots: Slots) -> bool:
        for each in tests:  # noqa: SIM110 - as above
            if each(slots):
                return True
        return False

    return test


def _absent(slot: int, slots: Slots) -> bool:
    return slots[slot] is None


def _present(slot: int, slots: Slots) -> bool:
    return slots[slot] is not None


def _km(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """Great-circle distance by the haversine formula, km."""
    half = sin((b[0] - a[0]) / 2) ** 2 + cos(a[0]) * cos(b[0]) * sin((b[1] - a[1]) / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(half))


def _make(expression: str) -> Callable[[int, Any], Test]:
    """A maker of closures over `slot` and `operand`; the source is this module's own."""
    source = f"lambda slot, operand: lambda slots: (v := slots[slot]) is not None and {expression}"
    return eval(source, {"km": _km})  # noqa: S307 - text of our own making


_MAKE = {
    "=": _make("v == operand"),
    "!=": _make("v != operand"),
    "in": _make("v in operand"),
    "notIn": _make("v not in operand"),
    "<": _make("v < operand"),
    "<=": _make("v <= operand"),
    ">": _make("v > operand"),
    ">=": _make("v >= operand"),
    "between": _make("operand[0] <= v <= operand[1]"),
    "notBetween": _make("not operand[0] <= v <= operand[1]"),
    "contains": _make("operand in v"),
    "doesNotContain": _make("operand not in v"),
    "beginsWith": _make("v.startswith(operand)"),
    "doesNotBeginWith": _make("not v.startswith(operand)"),
    "containsAny": _make("not operand.isdisjoint(v)"),
    "containsNone": _make("operand.isdisjoint(v)"),
    "containsAll": _make("operand <= v"),
    "notContainsAll": _make("not operand <= v"),
    "withinLast": _make("operand[0] < v <= operand[1]"),
    "notWithinLast": _make("not operand[0] < v <= operand[1]"),
    "versionAtLeast": _make("v >= operand"),
    "versionBelow": _make("v < operand"),
    "withinDistance": _make("km(v, operand) <= operand[2]"),
    "notWithinDistance": _make("km(v, operand) > operand[2]"),
}
