"""Properties of the core's parts: bitsets, intervals, clauses, inverses, folding, coercion."""

import itertools
import math
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core import instants
from service.core.bits import bits_of, positions_of
from service.core.comparisons import Cut, Interval, negate, sample_position
from service.core.conditions import Condition, Group, Rule
from service.core.instants import Moment, parse_duration
from service.core.interpreting import evaluate
from service.core.lanes import complement, intersect
from service.core.normalising import CLAUSE_LIMIT, clauses_of
from service.core.operators import OPERATORS, Family, Operand
from service.core.parsing import Invalid, Schema, parse_condition
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
from tests.core import pools, strategies

_fuzz = settings(
    max_examples=300,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
SCHEMA = Schema(zone=UTC, types=pools.TYPES)


@_fuzz
@given(st.sets(st.one_of(st.integers(0, 40), st.integers(0, 9_000))))
def test_bits_and_positions_are_inverses(positions: set[int]) -> None:
    bits = bits_of(positions)
    assert bits == sum(1 << position for position in positions)
    assert positions_of(bits) == sorted(positions)


def test_positions_of_dense_and_of_distant_bits() -> None:
    assert positions_of((1 << 100) - 1) == list(range(100))
    assert positions_of(1 << 100_000) == [100_000]
    assert positions_of(0) == []


@st.composite
def interval_sets(draw: st.DrawFn) -> list[Interval]:
    """Sorted, disjoint intervals between cuts on the numbers 0 to 9."""
    every = [(value, side) for value in range(10) for side in (0, 1)]
    cuts: list[Any] = sorted(draw(st.sets(st.sampled_from(every))))
    ends: list[Cut | None] = [*([None] if draw(st.booleans()) else []), *cuts]
    if len(ends) % 2:
        ends.append(None)
    return list(itertools.batched(ends, 2)) if hasattr(itertools, "batched") else list(
        zip(ends[::2], ends[1::2], strict=True)
    )  # fmt: skip


def inside(value: float, intervals: list[Interval]) -> bool:
    def before(cut: Cut) -> bool:
        return value > cut[0] if cut[1] else value >= cut[0]

    return any(
        (low is None or before(low)) and (high is None or not before(high))
        for low, high in intervals
    )


_PROBES = [number / 2 for number in range(-2, 22)]


@_fuzz
@given(interval_sets(), interval_sets())
def test_intervals_complement_and_intersect(left: list[Interval], right: list[Interval]) -> None:
    rest, shared = complement(left), intersect(left, right)
    for value in _PROBES:
        assert inside(value, rest) is not inside(value, left)
        assert inside(value, shared) is (inside(value, left) and inside(value, right))
    assert complement(rest) == left or not left


def test_intervals_at_their_ends() -> None:
    assert complement([]) == [(None, None)]
    assert complement([(None, None)]) == []
    assert complement([((1, 0), (1, 1))]) == [(None, (1, 0)), ((1, 1), None)]
    assert intersect([(None, (1, 0))], [((1, 0), None)]) == []
    assert intersect([(None, (1, 1))], [((1, 0), None)]) == [((1, 0), (1, 1))]


def parsed(document: Any) -> Condition | None:
    try:
        return parse_condition(document, SCHEMA)
    except Invalid:
        return None


def no_member(key: str) -> bool:
    raise AssertionError(key)


def test_clauses_keep_the_truth_of_their_tree() -> None:
    compared = expanded = 0

    @_fuzz
    @given(
        st.one_of(
            strategies.groups(strategies.rules()),
            strategies.chains(strategies.rules()),
            strategies.bushy(strategies.rules()),
        ),
        strategies.profiles(16),
        strategies.nows(),
    )
    def same(document: Any, customers: list[dict[str, Any]], now: int) -> None:
        nonlocal compared, expanded
        condition = parsed(document)
        if condition is None:
            return
        clauses = clauses_of(condition, 64)
        if clauses is None:
            return
        expanded += 1
        assert len(clauses) <= 64
        moment = Moment(now, UTC)
        for profile in customers:
            truth = evaluate(condition, profile, moment, no_member) is True
            by_clauses = any(
                all(evaluate(rule, profile, moment, no_member) is wanted for rule, wanted in clause)
                for clause in clauses
            )
            assert truth == by_clauses
            compared += 1

    same()
    assert expanded > 100
    assert compared > 1_600


def test_an_expansion_past_the_limit_is_left() -> None:
    rule: dict[str, Any] = {"field": "a", "operator": "=", "value": 1}
    pair = {"combinator": "or", "rules": [rule, rule]}
    four = parsed({"combinator": "and", "rules": [pair] * 4})
    five = parsed({"combinator": "and", "rules": [pair] * 5})
    assert four is not None
    assert five is not None
    assert len(clauses_of(four) or ()) == CLAUSE_LIMIT == 16
    assert clauses_of(five) is None
    many = parsed({"combinator": "or", "rules": [rule] * 17})
    assert many is not None
    assert clauses_of(many) is None


# The operator table


def only_rule(document: dict[str, Any]) -> Rule | None:
    condition = parsed({"combinator": "and", "rules": [document]})
    if condition is None:
        return None
    assert isinstance(condition, Group)
    (rule,) = condition.rules
    assert isinstance(rule, Rule)
    return rule


@pytest.mark.parametrize(
    "name", [name for name, operator in OPERATORS.items() if (operator.inverse or "") > name]
)
def test_an_inverse_is_true_exactly_where_its_operator_is_false(name: str) -> None:
    operator = OPERATORS[name]
    assert operator.inverse is not None
    inverse = OPERATORS[operator.inverse]
    assert inverse.inverse == name
    assert inverse.operand is operator.operand
    assert inverse.types == operator.types
    shapes = [shape for shape in strategies.SHAPES if shape.operator is operator]
    seen: set[bool | None] = set()

    @settings(_fuzz, max_examples=100)
    @given(strategies.rules(shapes), strategies.profiles(36), strategies.nows())
    def opposite(document: dict[str, Any], customers: list[dict[str, Any]], now: int) -> None:
        document.pop("missing", None)
        rule, other = only_rule(document), only_rule(document | {"operator": inverse.name})
        assert (rule is None) == (other is None)
        if rule is None or other is None:
            return
        moment = Moment(now, UTC)
        for profile in customers:
            truth = evaluate(rule, profile, moment, no_member)
            assert evaluate(other, profile, moment, no_member) is negate(truth)
            seen.add(truth)

    opposite()
    assert {True, False} <= seen
    assert None in seen or operator.family is Family.PRESENCE


def test_the_table_is_complete() -> None:
    for name, operator in OPERATORS.items():
        assert operator.name == name
        assert operator.english
        assert operator.types
        if operator.negates is not None:
            base = OPERATORS[operator.negates]
            assert base.negates is None
            assert (base.inverse, operator.inverse) == (name, base.name)
        elif operator.family in (Family.ORDER, Family.AGE):
            assert operator.interval is not None
        assert any(shape.operator is operator for shape in strategies.SHAPES)
    assert {name for name, operator in OPERATORS.items() if operator.negative} == {
        "!=", "notIn", "notBetween", "doesNotContain", "doesNotBeginWith", "doesNotEndWith",
        "containsNone", "notWithinLast",
    }  # fmt: skip
    assert {operator.operand for operator in OPERATORS.values()} == set(Operand)


def test_order_operators_hold_in_their_interval() -> None:
    compared = 0
    shapes = [
        shape
        for shape in strategies.SHAPES
        if shape.operator.interval is not None and shape.operator.family is Family.ORDER
    ]

    @_fuzz
    @given(strategies.rules(shapes), strategies.profiles(16))
    def same(document: dict[str, Any], customers: list[dict[str, Any]]) -> None:
        nonlocal compared
        rule = only_rule(document)
        if rule is None:
            return
        assert rule.operator.interval is not None
        assert rule.kind is not None
        low, high = rule.operator.interval(rule.operand)
        for profile in customers:
            raw = rule.field.read(profile)
            value = read(rule.kind, raw, UTC)
            if value is WRONG_TYPE:
                continue
            place = (value, 0.5)
            within = (low is None or low < place) and (high is None or place < high)
            assert (evaluate(rule, profile, Moment(0, UTC), no_member) is True) == within
            compared += 1

    same()
    assert compared > 300


# Values


@_fuzz
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


@_fuzz
@given(json_values, json_values)
def test_frozen_values_can_be_looked_up_and_are_equal_to_themselves(one: Any, other: Any) -> None:
    assert hash(freeze(one)) == hash(freeze(one))
    assert freeze(one) == freeze(one)
    if isinstance(one, bool) is not isinstance(other, bool):
        assert freeze(one) != freeze(other)


@_fuzz
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


def test_samples_are_spread_evenly_and_by_salt() -> None:
    positions = [sample_position("", f"c-{number}") for number in range(4_000)]
    assert all(0 <= position < 100 for position in positions)
    for share in (10, 50, 90):
        assert abs(sum(position < share for position in positions) / 40 - share) < 3
    both = sum(sample_position("x", f"c-{number}") < 50 and positions[number] < 50
               for number in range(4_000))  # fmt: skip
    assert abs(both / 40 - 25) < 3


# Time


@_fuzz
@given(
    st.integers(instants.FIRST, instants.LAST),
    st.sampled_from(pools.ZONES),
)
def test_instants_print_and_parse(instant: int, zone: Any) -> None:
    text = instants.format_instant(instant)
    assert instants.parse_instant(text, zone) == instant
    assert instants.from_datetime(instants.to_datetime(instant)) == instant


@_fuzz
@given(st.dates(date(2, 1, 1), date(9998, 12, 31)), st.sampled_from(pools.ZONES))
def test_days_follow_each_other_without_a_gap(day: date, zone: Any) -> None:
    start, end = instants.start_of_day(day, zone), instants.end_of_day(day, zone)
    assert 22 * instants.HOUR <= end - start <= 26 * instants.HOUR
    assert instants.local_day(start, zone) == day
    assert instants.local_day(end - 1, zone) == day
    assert instants.local_day(end, zone) != day


@_fuzz
@given(
    st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    st.sampled_from(pools.DURATIONS[:-1]),
    st.sampled_from(pools.ZONES),
)
def test_a_shift_there_and_back_ends_within_days(moment: Any, text: str, zone: Any) -> None:
    instant = instants.from_datetime(moment)
    duration = parse_duration(text)
    assert duration is not None
    there = instants.shift(instant, duration, zone, 1)
    back = instants.shift(there, duration, zone, -1)
    assert there > instant
    assert abs(back - instant) <= (4 * instants.DAY if duration.months else 0)


def test_durations() -> None:
    month, year = parse_duration("2mo"), parse_duration("1y")
    assert month is not None
    assert year is not None
    assert (month.months, month.micros, month.english) == (2, 0, "2 months")
    assert (year.months, year.english) == (12, "1 year")
    for text in ("30m", "0d", "", "d", "1.5h", "-1d", "+1d", "1 d", "1D", "1000000d", "1d1h", "١d"):
        assert parse_duration(text) is None


def test_anniversaries_of_leap_days() -> None:
    leap = date(2000, 2, 29)
    for today, expected in (
        (date(2026, 1, 1), date(2026, 2, 28)),
        (date(2026, 2, 28), date(2026, 2, 28)),
        (date(2026, 3, 1), date(2027, 2, 28)),
        (date(2027, 12, 31), date(2028, 2, 29)),
        (date(2028, 2, 28), date(2028, 2, 29)),
        (date(2028, 2, 29), date(2028, 2, 29)),
    ):
        assert instants.next_anniversary(leap, today) == expected
    assert instants.next_anniversary(date(2000, 1, 1), date(9999, 12, 31)) is None
