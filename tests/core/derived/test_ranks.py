"""Ranks: against the naive definition, exact at every threshold, and what a refresh moves."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, date
from fractions import Fraction
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.derived.cut_points import (
    CutPoints,
    Unreadable,
    cut_points,
    decode,
    moved,
    within,
)
from service.core.derived.ranks import Rank, parse_rank
from service.core.instants import DAY, Moment, from_datetime, parse_instant, to_datetime
from service.core.parsing import Invalid, Schema, parse_condition
from service.core.traits import TraitType

TYPES = {
    "last_order_at": TraitType.INSTANT,
    "spent": TraitType.MONEY,
    "name": TraitType.STRING,
    "app": TraitType.VERSION,
}
SCHEMA = Schema(UTC, TYPES)
NOW = 1_790_000_000_000_000
AT = Moment(NOW, UTC)

whole = st.integers(-5, 5)
broken = st.sampled_from([-1.5, -0.0, 0.0, 0.1, 0.30000000000000004, 2.5, 1e308, -1e308, 5e-324])
populations = st.lists(whole, max_size=40).map(lambda keys: array("q", keys)) | st.lists(
    whole.map(float) | broken, max_size=40
).map(lambda keys: array("d", keys))


def naive(keys: Sequence[float], value: float, descending: bool) -> float:
    beyond = sum(1 for key in keys if (key > value if descending else key < value))
    return beyond / len(keys)


@given(populations, st.booleans())
def test_everyone_ranked_has_the_rank_of_the_definition(keys: Any, descending: bool) -> None:
    points = cut_points(keys, descending=descending)
    assert points.size == len(keys)
    for key in keys:
        rank = points.rank(key)
        assert rank == naive(keys, key, descending)
        assert 0 <= naive(keys, key, descending) < 1


@given(populations, st.booleans(), whole | broken)
def test_a_value_between_cut_points_counts_those_beyond_it(
    keys: Any, descending: bool, value: float
) -> None:
    rank = cut_points(keys, descending=descending).rank(value)
    if not keys:
        assert rank is None
        return
    # Beyond all n others, one is ranked as if among them.
    assert rank == min(naive(keys, value, descending), (len(keys) - 1) / len(keys))


@given(populations, st.booleans())
def test_cut_points_are_stored_as_they_are(keys: Any, descending: bool) -> None:
    points = cut_points(keys, descending=descending)
    assert decode(points.encode()) == points


def test_stored_cut_points_are_twelve_bytes_a_value() -> None:
    stored = cut_points(array("d", [1.5, 2.5, 2.5])).encode()
    assert stored.hex() == (
        "0164000200000000000000"  # version 1, doubles, ascending, two values
        "000000000000f83f0000000000000440"  # 1.5 and 2.5, the least significant byte first
        "0100000003000000"  # one, then three, not above them
    )


@pytest.mark.parametrize("stored", [b"", b"\x02" + b"d" * 30, b"\x01", b"\x01x\x00" + bytes(8)])
def test_other_versions_and_torn_bytes_are_refused(stored: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(stored)
    with pytest.raises(Unreadable):
        decode(cut_points(array("q", [1, 2])).encode()[:-1])


# 0.2, 0.4 ... and every other threshold of a few decimals, as conditions write them.
THRESHOLDS = ["0.2", "0.4", "0.6", "0.8", "0.1", "0.25", "0.5", "0.9", "0.99", "0.123", "0.3333"]


def agrees(beyond: int, size: int, text: str) -> None:
    """A rank compares with a threshold as the fraction does, however it is rounded."""
    rank, threshold = beyond / size, float(text)
    exact = Fraction(text)
    assert (rank >= threshold) == (beyond * exact.denominator >= size * exact.numerator)
    assert (rank > threshold) == (beyond * exact.denominator > size * exact.numerator)


@pytest.mark.parametrize("text", THRESHOLDS)
def test_ranks_are_exact_at_thresholds(text: str) -> None:
    exact = Fraction(text)
    random = Random(text)
    sizes = [*range(1, 2_000), *(random.randint(1, 10**7) for _ in range(5_000)), 10**7]
    for size in sizes:
        boundary = math.floor(size * exact)
        for beyond in range(max(boundary - 1, 0), min(boundary + 2, size)):
            agrees(beyond, size, text)


@given(st.integers(1, 10**7), st.data())
def test_ranks_are_exact_at_every_threshold_of_eight_decimals(size: int, data: Any) -> None:
    hundred_millionths = data.draw(st.integers(1, 10**8 - 1))
    text = f"0.{hundred_millionths:08}"
    boundary = size * hundred_millionths // 10**8
    for beyond in range(max(boundary - 1, 0), min(boundary + 2, size)):
        agrees(beyond, size, text)


@pytest.mark.parametrize("size", [1, 4, 5, 7, 100, 4_338])
def test_fifths_are_conditions_on_the_rank(size: int) -> None:
    """The score 1 + floor(5k/n) of RFM is the number of thresholds that a rank reaches."""
    random = Random(size)
    keys = array("q", [random.randint(0, size // 2) for _ in range(size)])
    points = cut_points(keys)
    ordered = sorted(keys)
    fifths = [
        parse_condition(
            {"combinator": "and", "rules": [{"field": "r", "operator": ">=", "value": least}]},
            SCHEMA,
        ).rules[0]  # type: ignore[union-attr]
        for least in (0.2, 0.4, 0.6, 0.8)
    ]
    for key in keys:
        rank = points.rank(key)
        reached = sum(
            1
            for rule in fifths
            if rule.operator.test(rank, rule.operand, rule, AT)  # type: ignore[union-attr]
        )
        assert 1 + reached == 1 + 5 * bisect_left(ordered, key) // size


thresholds = st.lists(
    st.sampled_from([0.2, 0.4, 0.5, 0.8, 0, -1, 1, 2, 0.25, 1 / 3]) | st.floats(allow_nan=False),
    max_size=4,
)
POOL: list[float] = [
    *range(-7, 8), *(n + 0.5 for n in range(-7, 8)), 0.1, 0.30000000000000004, 0.2, 5e-324, 1e-300,
    1e308, -1e308, 1.7e308, -1.7e308,
]  # fmt: skip


def sides(points: CutPoints, value: float, compared: Sequence[float]) -> list[tuple[bool, bool]]:
    rank = points.rank(value)
    assert rank is not None
    return [(rank >= threshold, rank > threshold) for threshold in compared]


@given(populations, populations, st.booleans(), thresholds)
def test_a_refresh_moves_exactly_the_values_whose_side_differs(
    before: Any, after: Any, descending: bool, compared: list[float]
) -> None:
    old, new = (cut_points(keys, descending=descending) for keys in (before, after))
    intervals = moved(old, new, compared)
    for value in POOL:
        found = sum(within(value, interval) for interval in intervals)
        if not before or not after:
            assert found == (len(before) != len(after))
        else:
            differs = sides(old, value, compared) != sides(new, value, compared)
            assert found == differs


@given(populations, populations)
def test_where_every_rank_counts_everything_has_moved(before: Any, after: Any) -> None:
    old, new = cut_points(before), cut_points(after)
    if old == new:
        assert moved(old, new, None) == []
    else:
        assert moved(old, new, None) == [(None, None)]


def test_the_first_refresh_and_another_order_move_everyone() -> None:
    points = cut_points(array("q", [1, 2, 3]))
    assert moved(None, points, [0.5]) == [(None, None)]
    assert moved(None, cut_points(array("q")), [0.5]) == []
    assert moved(cut_points(array("q", [1]), descending=True), points, []) == [(None, None)]


def test_golden_intervals() -> None:
    old, new = cut_points(array("q", range(10))), cut_points(array("q", range(5, 15)))
    # From 5 on half of them were below; now from 10 on.
    assert moved(old, new, [0.5]) == [((4, 1), (10, 1))]
    assert moved(old, old, [0.5]) == []


def rank(**document: Any) -> Rank:
    return parse_rank(document, SCHEMA)


def keys_of(one: Rank, profiles: Sequence[dict[str, Any]], moment: Moment = AT) -> Any:
    """What a refresh does: the keys of all who are ranked."""
    keys, key = one.keys(), one.key()
    keys.extend(each for profile in profiles if (each := key(profile, moment)) is not None)
    return keys


def test_only_those_among_and_with_a_value_are_ranked() -> None:
    among = {"combinator": "and", "rules": [{"field": "country", "operator": "=", "value": "CZ"}]}
    one = rank(of="spent", among=among)
    profiles: list[dict[str, Any]] = [
        {"spent": 10, "country": "CZ"},
        {"spent": 20.5, "country": "CZ"},
        {"spent": 20.5, "country": "CZ"},
        {"spent": 5, "country": "SK"},
        {"spent": 5},
        {"country": "CZ"},
        {"spent": "12", "country": "CZ"},
        {"spent": float("nan"), "country": "CZ"},
        {"spent": float("inf"), "country": "CZ"},
        {"spent": 10**400, "country": "CZ"},
    ]
    keys = keys_of(one, profiles)
    assert list(keys) == [10, 20.5, 20.5]
    value = one.compiled(cut_points(keys))
    assert [value(profile, AT) for profile in profiles[:4]] == [0.0, 1 / 3, 1 / 3, None]
    assert value({"spent": 15, "country": "CZ"}, AT) == 1 / 3
    assert value({"spent": 99, "country": "CZ"}, AT) == 2 / 3
    assert one.compiled(None)(profiles[0], AT) is None


def test_days_are_those_of_the_workspace() -> None:
    zone = ZoneInfo("Europe/Prague")
    one = rank(of="last_order_at", by="day")
    profiles = [
        {"last_order_at": text}
        for text in ("2026-11-20T22:59:00Z", "2026-11-20T23:01:00Z", "2026-11-21T22:00:00Z")
    ]
    assert len(set(keys_of(one, profiles, Moment(NOW, zone)))) == 2
    assert len(set(keys_of(one, profiles, Moment(NOW, UTC)))) == 2
    assert (
        list(keys_of(one, profiles, Moment(NOW, zone)))[1:] == [date(2026, 11, 21).toordinal()] * 2
    )
    assert len(set(keys_of(rank(of="last_order_at"), profiles))) == 3


def test_instants_are_ranked_to_the_microsecond() -> None:
    one = rank(of="customer.first_seen", order="desc")
    profiles = [{"customer.first_seen": to_datetime(NOW + after)} for after in (0, 1, 1)]
    keys = keys_of(one, profiles)
    assert list(keys) == [NOW, NOW + 1, NOW + 1]
    value = one.compiled(cut_points(keys, descending=True))
    assert [value(each, AT) for each in profiles] == [2 / 3, 0, 0]
    assert value({"customer.first_seen": "no instant"}, AT) is None


def test_time_changes_who_is_ranked() -> None:
    among = {
        "combinator": "and",
        "rules": [{"field": "last_order_at", "operator": "withinLast", "value": "365d"}],
    }
    at = parse_instant("2026-01-01T00:00:00Z", UTC)
    assert at is not None
    profile = {"last_order_at": to_datetime(at)}
    assert rank(of="spent", among=among).next_change(profile, Moment(at, UTC)) == at + 365 * DAY
    assert rank(of="spent").next_change(profile, Moment(at, UTC)) is None
    assert from_datetime(profile["last_order_at"]) == at


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (rank(of="spent"), "The share of customers whose spent is smaller."),
        (rank(of="spent", order="desc"), "The share of customers whose spent is larger."),
        (rank(of="last_order_at"), "The share of customers whose last order at is earlier."),
        (
            rank(of="last_order_at", order="desc"),
            "The share of customers whose last order at is later.",
        ),
        (
            rank(of="last_order_at", by="day", order="desc"),
            "The share of customers whose last order at is on a later day.",
        ),
        (
            rank(
                of="spent",
                among={
                    "combinator": "and",
                    "rules": [{"field": "orders", "operator": ">=", "value": 1}],
                },
            ),
            "The share of customers whose spent is smaller, among those where orders is at least "
            "1.",
        ),
    ],
)
def test_it_reads_as_a_sentence(one: Rank, sentence: str) -> None:
    assert one.english() == sentence


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        ([], "/rank", "type"),
        ({}, "/rank/of", "required"),
        ({"of": "name"}, "/rank/of", "type"),
        ({"of": "app"}, "/rank/of", "type"),
        ({"of": "spent", "by": "day"}, "/rank/of", "type"),
        ({"of": "segment:vip"}, "/rank/of", "bad_value"),
        ({"of": "spent", "order": "up"}, "/rank/order", "bad_value"),
        ({"of": "spent", "order": ["asc"]}, "/rank/order", "bad_value"),
        ({"of": "spent", "by": "week"}, "/rank/by", "bad_value"),
        ({"of": "spent", "within": 1}, "/rank/within", "unknown_property"),
        ({"of": "spent", "among": {}}, "/rank/among/combinator", "bad_value"),
        (
            {
                "of": "spent",
                "among": {
                    "combinator": "and",
                    "rules": [{"field": "segment:vip", "operator": "=", "value": True}],
                },
            },
            "/rank/among/rules/0/field",
            "bad_value",
        ),
    ],
)
def test_faults_are_located(document: Any, pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_rank(document, SCHEMA)
    first = caught.value.problems[0]
    assert (first.pointer, first.code) == (pointer, code)
