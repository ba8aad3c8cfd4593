import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from models import household_tiers
from service.scoring.features import FeatureReader
from service.scoring.manifest import Feature
from tests.scoring.generated import households, odd_households

NAN = math.nan


def equal(first: float, second: float) -> bool:
    return first == second or (math.isnan(first) and math.isnan(second))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("number", 3, 3.0),
        ("number", 2.5, 2.5),
        ("number", -0.0, 0.0),
        ("number", Decimal("120.50"), 120.5),
        ("number", Decimal("sNaN"), NAN),
        ("number", np.float64(1.5), 1.5),
        ("number", True, NAN),
        ("number", "3", NAN),
        ("number", None, NAN),
        ("number", [3], NAN),
        ("number", math.inf, NAN),
        ("number", NAN, NAN),
        ("number", 10**400, NAN),
        ("boolean", True, 1.0),
        ("boolean", False, 0.0),
        ("boolean", 1, NAN),
        ("boolean", "true", NAN),
        ("category", "gold", 1.0),
        ("category", "bronze", NAN),
        ("category", 1, NAN),
        ("category", ["gold"], NAN),
    ],
)
def test_a_trait_is_read_as_its_kind_or_is_missing(kind: Any, value: Any, expected: float) -> None:
    categories = ("silver", "gold") if kind == "category" else ()
    reader = FeatureReader([Feature("x", kind, categories=categories), Feature("y")], ["y"])
    row = reader.row({"x": value, "y": 1})
    assert row is not None
    assert equal(row[0], expected)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ({"address": {"geo": {"lat": 1}}}, 1.0),
        ({"address": {"geo": 5}}, NAN),
        ({"address": ["geo"]}, NAN),
        ({"address.geo.lat": 1}, NAN),
        ({}, NAN),
    ],
)
def test_nested_traits_are_read_by_path(profile: dict[str, Any], expected: float) -> None:
    row = FeatureReader([Feature("address.geo.lat"), Feature("y")], []).row(profile | {"y": 2})
    assert row is not None
    assert equal(row[0], expected)


def test_without_a_required_trait_there_is_no_row() -> None:
    reader = FeatureReader([Feature("x"), Feature("y")], ["y"])
    assert reader.row({"x": 1}) is None
    assert reader.row({"x": 1, "y": "1"}) is None
    assert reader.row({"y": 1}) is not None


def test_without_any_trait_there_is_no_row() -> None:
    reader = FeatureReader([Feature("x"), Feature("y")], [])
    assert reader.row({"z": 1}) is None
    assert reader.row({"x": 0}) is not None


@pytest.mark.parametrize("required", [household_tiers.REQUIRED, ()])
def test_a_matrix_is_its_rows(required: tuple[str, ...]) -> None:
    reader = FeatureReader(household_tiers.FEATURES, required)
    profiles = [*odd_households(1000), *households(10), {}]
    matrix, known = reader.matrix(profiles)
    rows = [reader.row(profile) for profile in profiles]
    assert known.tolist() == [row is not None for row in rows]
    assert 0 < known.sum() < len(profiles)
    np.testing.assert_array_equal(matrix[known], [row for row in rows if row is not None])
