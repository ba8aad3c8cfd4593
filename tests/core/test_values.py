"""Values: folded, frozen, read strictly, coerced or refused, and told of in messages."""

import itertools
import math
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.traits import (
    WRONG_TYPE,
    TraitType,
    Uncoercible,
    coerce,
    compose,
    describe,
    fold,
    freeze,
    read,
    version_key,
)
from tests.core.fuzzing import fuzz


@fuzz
@given(st.text())
def test_folding_ignores_letter_case_and_composition(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert fold(unicodedata.normalize("NFD", text)) == fold(composed) == fold(text)
    assert fold(composed.casefold()) == fold(text)
    assert compose(unicodedata.normalize("NFD", text)) == compose(text) == composed


json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@fuzz
@given(json_values, json_values)
def test_frozen_values_can_be_looked_up_and_are_equal_to_themselves(one: Any, other: Any) -> None:
    assert hash(freeze(one)) == hash(freeze(one))
    assert freeze(one) == freeze(one)
    if isinstance(one, bool) is not isinstance(other, bool):
        assert freeze(one) != freeze(other)


@fuzz
@given(st.sampled_from(list(TraitType)), json_values)
def test_coercion_ends_in_its_type_or_says_why(kind: TraitType, value: Any) -> None:
    try:
        coerced = coerce(kind, value, UTC)
    except Uncoercible as fault:
        reason = str(fault)
    else:
        assert read(kind, coerced, UTC) is not WRONG_TYPE
        if kind is not TraitType.MONEY or isinstance(value, int | float):
            assert coerce(kind, coerced, UTC) == coerced
        return
    assert reason.startswith(("expected ", "money "))
    inexact = kind is TraitType.MONEY and isinstance(value, float)
    assert read(kind, value, UTC) is WRONG_TYPE or inexact


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (TraitType.NUMBER, "120.50", 120.5),
        (TraitType.NUMBER, " 7 ", 7),
        (TraitType.NUMBER, "-3.0", -3),
        (TraitType.NUMBER, "9007199254740993", 9007199254740993),
        (TraitType.NUMBER, True, None),
        (TraitType.NUMBER, "1e3", None),
        (TraitType.NUMBER, "NaN", None),
        (TraitType.NUMBER, "١٢", None),
        (TraitType.NUMBER, math.nan, None),
        (TraitType.NUMBER, "", None),
        (TraitType.MONEY, "0.10", 0.1),
        (TraitType.MONEY, "0.12345678901234567", None),
        (TraitType.MONEY, math.inf, None),
        # As texts these are known to be kept as they are; as JSON numbers they could be another's
        # rounding.
        (TraitType.MONEY, "1234567890123.456", 1234567890123.456),
        (TraitType.MONEY, "1234567890123456.7", None),
        (TraitType.MONEY, 123456789012.345, 123456789012.345),
        (TraitType.MONEY, 1234567890123.456, None),
        (TraitType.MONEY, 0.30000000000000004, None),
        (TraitType.MONEY, 9007199254740993.0, None),
        (TraitType.MONEY, 9007199254740993, 9007199254740993),
        (TraitType.MONEY, 10**30, 10**30),
        (TraitType.MONEY, 1e16, 1e16),
        (TraitType.NUMBER, 0.30000000000000004, 0.30000000000000004),
        (TraitType.STRING, 5, "5"),
        (TraitType.STRING, 5.5, "5.5"),
        # JSON knows no difference between 5 and 5.0.
        (TraitType.STRING, 5.0, "5"),
        (TraitType.STRING, -0.0, "0"),
        (TraitType.STRING, 1e16, "10000000000000000"),
        (TraitType.STRING, 10**16, "10000000000000000"),
        (TraitType.STRING, 1e-7, "1e-07"),
        (TraitType.STRING, True, "true"),
        (TraitType.STRING, [], None),
        (TraitType.BOOLEAN, "TRUE", True),
        (TraitType.BOOLEAN, "false", False),
        (TraitType.BOOLEAN, 1, None),
        (TraitType.BOOLEAN, "yes", None),
        (TraitType.INSTANT, "2026-11-20", "2026-11-20"),
        (TraitType.INSTANT, "20.11.2026", None),
        (TraitType.INSTANT, 1795168800, None),
        (TraitType.DATE, "2026-02-30", None),
        (TraitType.VERSION, 2, "2"),
        (TraitType.VERSION, 2.0, "2"),
        (TraitType.VERSION, 2.1, "2.1"),
        (TraitType.VERSION, "two", None),
        (TraitType.LIST, ["a"], ["a"]),
        (TraitType.LIST, "a", None),
        (TraitType.POINT, {"lat": 1, "lon": 2}, {"lat": 1, "lon": 2}),
        (TraitType.POINT, {"lat": 91, "lon": 2}, None),
        (TraitType.OBJECT, {}, {}),
        (TraitType.OBJECT, [], None),
    ],
)
def test_coercion(kind: TraitType, value: Any, expected: Any) -> None:
    """`expected` None: it is refused."""
    if expected is None:
        with pytest.raises(Uncoercible):
            coerce(kind, value, UTC)
    else:
        coerced = coerce(kind, value, UTC)
        assert (type(coerced), coerced) == (type(expected), expected)


def test_reading_is_strict() -> None:
    assert read(TraitType.MONEY, 0.1, UTC) == Decimal("0.1")
    assert read(TraitType.MONEY, math.inf, UTC) is WRONG_TYPE
    assert read(TraitType.NUMBER, math.nan, UTC) is WRONG_TYPE
    assert read(TraitType.NUMBER, True, UTC) is WRONG_TYPE
    assert read(TraitType.STRING, 5, UTC) is WRONG_TYPE
    moment = datetime(2026, 11, 20, 10, tzinfo=ZoneInfo("Europe/Prague"))
    assert read(TraitType.INSTANT, moment, UTC) == read(
        TraitType.INSTANT, "2026-11-20T09:00:00Z", UTC
    )
    assert read(TraitType.DATE, "2026-11-20", ZoneInfo("Europe/Prague")) == read(
        TraitType.INSTANT, "2026-11-19T23:00:00Z", UTC
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("x", 'the text "x"'),
        ("x" * 41, "a text of 41 characters"),
        (5, "the number 5"),
        (10**30, "a very large number"),
        (0.5, "the number 0.5"),
        ([1], "a list"),
        ({}, "an object"),
    ],
)
def test_values_in_error_messages(value: Any, text: str) -> None:
    assert describe(value) == text


# The order that Semantic Versioning 2.0.0 gives in section 11, and more.
_VERSIONS = (
    "0", "0.0.1", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
    "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2", "1.10", "2", "10",
)  # fmt: skip


def test_versions_are_in_semantic_order() -> None:
    keys = [version_key(text) for text in _VERSIONS]
    assert None not in keys
    assert all(low < high for low, high in itertools.pairwise(keys))  # type: ignore[operator]
    assert version_key("v1.0.0+build.7") == version_key("1")
    for text in ("", "1.x", "1.2.3.4.5.6.7", "1" * 19, "-1", "1.0-", "x" * 300):
        assert version_key(text) is None
