"""Coverage: how many customers have each trait, of which types, and which values are frequent."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from service.core.traits import TraitType, kind_of, point

# Values that fewer customers have tell of somebody, and not of many.
CELL = 5
TOP = 20
# Texts that are longer are seldom the same twice.
VALUE_LENGTH = 100
# Different values of one trait that are counted; where there are more, the rarest are forgotten.
VALUES = 2_000
# Names that are kept apart: maps keyed by products have as many as there are products.
NAMES = 5_000


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one trait, by its dotted path. `customers`: how many have it; `types`: how
    many have it as which; `top`: frequent values, or items of lists, and how many have each."""

    name: str
    customers: int
    types: Mapping[TraitType, int]
    top: list[tuple[Any, int]]


@dataclass(slots=True)
class _Tally:
    customers: int = 0
    types: Counter[TraitType] = field(default_factory=Counter)
    values: "Values" = field(default_factory=Counter)


class Coverage:
    """Counts customers one after the other."""

    def __init__(self) -> None:
        self.customers = 0
        self._tallies: dict[str, _Tally] = {}

    def add(self, traits: Mapping[str, Any]) -> None:
        """Count one customer, by their traits, given and derived."""
        self.customers += 1
        self._add(traits, "")

    def _add(self, traits: Mapping[str, Any], prefix: str) -> None:
        for name, value in traits.items():
            plain = _PLAIN.get(type(value))
            kind = plain or _kind(value)
            if kind is None:
                continue
            tally = self._tally(prefix + name)
            if tally is not None:
                tally.customers += 1
                tally.types[kind] += 1
                if plain is not None:
                    _count(tally.values, plain, value)
                elif kind is TraitType.LIST:
                    _count_items(tally.values, value)
            if kind is TraitType.OBJECT:
                self._add(value, f"{prefix}{name}.")

    def _tally(self, path: str) -> _Tally | None:
        tally = self._tallies.get(path)
        if tally is None and len(self._tallies) < NAMES:
            tally = self._tallies[path] = _Tally()
        return tally

    def found(self) -> Iterator[Found]:
        """All traits that somebody has, by name."""
        for name, tally in sorted(self._tallies.items()):
            # Of several that are as frequent the first by their texts: the same every time.
            frequent = sorted(tally.values.items(), key=lambda each: (-each[1], str(each[0])))
            top = [(value, count) for (_, value), count in frequent[:TOP] if count >= CELL]
            yield Found(name, tally.customers, dict(tally.types.most_common()), top)


Values = Counter[tuple[TraitType, Any]]
# The types of values that can be told apart from others.
_PLAIN: Mapping[type, TraitType] = {
    str: TraitType.STRING,
    bool: TraitType.BOOLEAN,
    int: TraitType.NUMBER,
    float: TraitType.NUMBER,
}


def _count(values: Values, kind: TraitType, value: Any) -> None:
    if kind is TraitType.STRING and len(value) > VALUE_LENGTH:
        return
    values[kind, value] += 1
    if len(values) > VALUES:
        for item, _ in values.most_common()[VALUES // 2 :]:
            del values[item]


def _count_items(values: Values, items: list[Any]) -> None:
    """An item that is in a list twice is one customer's still."""
    for kind, item in {(_PLAIN[type(item)], item) for item in items if type(item) in _PLAIN}:
        _count(values, kind, item)


def _kind(value: Any) -> TraitType | None:
    if isinstance(value, datetime):
        return TraitType.INSTANT
    if isinstance(value, Decimal):
        return TraitType.MONEY
    return TraitType.POINT if point(value) is not None else kind_of(value)
