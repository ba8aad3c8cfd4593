"""Ratios: the double nearest to the exact quotient, or nothing."""

from datetime import UTC
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.derived.ratios import parse_ratio, quotient
from service.core.parsing import Invalid, Schema
from service.core.traits import TraitType

SCHEMA = Schema(UTC, {"revenue": TraitType.MONEY, "name": TraitType.STRING})
RATIO = {"numerator": "refunds", "denominator": "revenue"}


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [
        (1, 4, 0.25),
        (6, 3, 2.0),
        (0.3, 0.1, 3.0),
        (120.5, 2, 60.25),
        (0, -5, 0.0),
        (1, 0, None),
        (1, 0.0, None),
        (0, 0, None),
        (10**400, 1, None),
        (1e308, 1e-10, None),
        (5e-324, 1e300, 0.0),
        (2**53 + 1, 1, float(2**53)),
        (float("inf"), 1, None),
        (float("nan"), 1, None),
        (True, 1, None),
        ("1", 2, None),
        (1, None, None),
        ([1], 2, None),
    ],
)
def test_golden_quotients(numerator: Any, denominator: Any, expected: float | None) -> None:
    value = parse_ratio(RATIO, SCHEMA).compiled()({"refunds": numerator, "revenue": denominator})
    assert value == expected
    assert str(value) == str(expected)  # 0.0 is not -0.0, and no ratio is an integer


def test_missing_in_missing_out() -> None:
    value = parse_ratio(RATIO, SCHEMA).compiled()
    assert value({"refunds": 1}) is None
    assert value({"revenue": 1}) is None
    assert value({"refunds": None, "revenue": 1}) is None


def test_paths_are_read() -> None:
    ratio = parse_ratio({"numerator": "shop.refunds", "denominator": "shop.sales"}, SCHEMA)
    assert ratio.compiled()({"shop": {"refunds": 1, "sales": 8}}) == 0.125
    assert {place.name for place in ratio.places} == {"shop"}


numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)


@given(numbers, numbers)
def test_it_is_the_nearest_double_to_the_quotient_of_what_was_written(
    numerator: float, denominator: float
) -> None:
    found = quotient(numerator, denominator)
    below = Fraction(repr(denominator))
    if below == 0:
        assert found is None
        return
    exact = Fraction(repr(numerator)) / below
    try:
        assert found == float(exact)
    except OverflowError:
        assert found is None


def test_it_reads_as_a_sentence() -> None:
    assert parse_ratio(RATIO, SCHEMA).english() == "Refunds divided by revenue."


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        (None, "/ratio", "type"),
        ([], "/ratio", "type"),
        ({"numerator": "a"}, "/ratio/denominator", "required"),
        ({"numerator": "", "denominator": "b"}, "/ratio/numerator", "required"),
        ({"numerator": 1, "denominator": "b"}, "/ratio/numerator", "required"),
        ({"numerator": "name", "denominator": "b"}, "/ratio/numerator", "type"),
        ({"numerator": "a", "denominator": "customer_id"}, "/ratio/denominator", "type"),
        ({"numerator": "a", "denominator": "customer.last_seen"}, "/ratio/denominator", "type"),
        ({"numerator": "a", "denominator": "customer.age"}, "/ratio/denominator", "unknown_field"),
        ({"numerator": "segment:vip", "denominator": "b"}, "/ratio/numerator", "bad_value"),
        ({"numerator": "model:m.score", "denominator": "b"}, "/ratio/numerator", "bad_value"),
        ({"numerator": "event:Visit", "denominator": "b"}, "/ratio/numerator", "bad_value"),
        ({"numerator": "odd:x", "denominator": "b"}, "/ratio/numerator", "unknown_field"),
        ({"numerator": "a..b", "denominator": "b"}, "/ratio/numerator", "unknown_field"),
        ({"numerator": "a" * 513, "denominator": "b"}, "/ratio/numerator", "bad_value"),
        ({**RATIO, "a/b": 1}, "/ratio/a~1b", "unknown_property"),
    ],
)
def test_faults_are_located(document: Any, pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_ratio(document, SCHEMA)
    assert [(each.pointer, each.code) for each in caught.value.problems] == [(pointer, code)]


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        parse_ratio({"numerator": "name", "denominator": "segment:vip", "x": 1}, SCHEMA)
    pointers = [each.pointer for each in caught.value.problems]
    assert pointers == ["/ratio/x", "/ratio/numerator", "/ratio/denominator"]
