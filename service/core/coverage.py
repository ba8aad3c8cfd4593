"""Coverage: how many customers have each trait, of which types, and which values are frequent."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from service.core.traits import TraitType, is_number, kind_of, point

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
    values: Counter[tuple[TraitType, Any]] = field(default_factory=Counter)


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
            kind = _kind(value)
            if kind is None:
                continue
            path = prefix + name
            tally = self._tally(path)
            if tally is not None:
                tally.customers += 1
                tally.types[kind] += 1
                _count(tally.values, kind, value)
            if kind is TraitType.OBJECT:
                self._add(value, path + ".")

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


def _count(values: Counter[tuple[TraitType, Any]], kind: TraitType, value: Any) -> None:
    items = value if kind is TraitType.LIST else [value]
    # An item that is in a list twice is one customer's still.
    for item in {(known, item) for item in items if (known := _scalar(item)) is not None}:
        values[item] += 1
    if len(values) > VALUES:
        for item, _ in values.most_common()[VALUES // 2 :]:
            del values[item]


def _scalar(value: Any) -> TraitType | None:
    """The type of a value that can be told apart from others, None for all else."""
    if isinstance(value, str):
        return TraitType.STRING if len(value) <= VALUE_LENGTH else None
    if isinstance(value, bool):
        return TraitType.BOOLEAN
    return TraitType.NUMBER if is_number(value) else None


def _kind(value: Any) -> TraitType | None:
    if isinstance(value, datetime):
        return TraitType.INSTANT
    if isinstance(value, Decimal):
        return TraitType.MONEY
    return TraitType.POINT if point(value) is not None else kind_of(value)
