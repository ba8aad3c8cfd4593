"""From a customer's traits to the row of numbers that a model reads."""

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from service.scoring.manifest import Feature

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Convert = Callable[[Any], float]

_NUMBERS = frozenset((int, Decimal, np.float64, np.int64))  # float aside: it comes first


def _number(value: Any) -> float:
    if type(value) is not float:
        if type(value) not in _NUMBERS:
            return math.nan
        try:
            value = float(value)
        except (OverflowError, ValueError):  # an integer past 1.8e308; a signalling NaN
            return math.nan
    # Infinite and NaN alike: the difference is NaN, and no model has seen either.
    return value if value - value == 0.0 else math.nan


def _boolean(value: Any) -> float:
    return math.nan if type(value) is not bool else float(value)


def _category(categories: Sequence[str]) -> Convert:
    codes = {category: float(code) for code, category in enumerate(categories)}
    return lambda value: codes.get(value, math.nan) if isinstance(value, str) else math.nan


def _convert(feature: Feature) -> Convert:
    match feature.kind:
        case "number":
            return _number
        case "boolean":
            return _boolean
        case "category":
            return _category(feature.categories)


class FeatureReader:
    """Reads profiles as rows of a fixed list of features; paths are resolved once."""

    def __init__(self, features: Sequence[Feature], required: Sequence[str]) -> None:
        self._reads = tuple(
            (first, tuple(rest), _convert(feature))
            for feature in features
            for first, *rest in [feature.trait.split(".")]
        )
        traits = [feature.trait for feature in features]
        self._required = tuple(traits.index(trait) for trait in required)

    def row(self, profile: Mapping[str, Any]) -> list[float] | None:
        """One float a feature, NaN where missing; None if the model has nothing to say.

        That is so when a required trait is missing, or all are. Nested traits are plain dicts.
        """
        row = []
        get = profile.get
        for first, rest, convert in self._reads:
            value = get(first)
            for part in rest:
                value = value.get(part) if isinstance(value, dict) else None
            row.append(convert(value))
        for index in self._required:
            if math.isnan(row[index]):
                return None
        if not self._required and all(map(math.isnan, row)):
            return None
        return row

    def matrix(self, profiles: Sequence[Mapping[str, Any]]) -> tuple[Matrix, Mask]:
        """`row` of many, a feature at a time: (n, features), and which rows are not None."""
        columns = []
        for first, rest, convert in self._reads:
            values = [profile.get(first) for profile in profiles]
            for part in rest:
                values = [value.get(part) if isinstance(value, dict) else None for value in values]
            columns.append(list(map(convert, values)))
        matrix = np.array(columns, dtype=np.float64).T
        present = ~np.isnan(matrix)
        known: Mask = (
            np.all(present[:, self._required], axis=1)
            if self._required
            else np.any(present, axis=1)
        )
        return np.ascontiguousarray(matrix), known
