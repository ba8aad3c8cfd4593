"""Scores: held points, earned points, and how those decay."""

import math
from datetime import UTC
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.core.derived.decaying import DecayingSum
from service.core.derived.score_parsing import LONGEST, SHORTEST, parse_score
from service.core.derived.scores import Score, Standing
from service.core.events import Event
from service.core.instants import DAY, LAST, SECOND, Moment, format_instant
from service.core.parsing import Invalid, Schema
from service.core.timelines import Timeline
from service.core.traits import TraitType

NOW = 1_790_000_000_000_000
SCHEMA = Schema(UTC, {"seen": TraitType.INSTANT, "country": TraitType.STRING})
AT = Moment(NOW, UTC)


def group(field: str, operator: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "combinator": "and",
        "rules": [{"field": field, "operator": operator, "value": value, **more}],
    }


def held(points: float, condition: dict[str, Any]) -> dict[str, Any]:
    return {"condition": condition, "points": points}


def earned(points: float, event: str = "Visit", **more: Any) -> dict[str, Any]:
    return {"event": event, "points": points, **more}


def score(*points: dict[str, Any], half_life: str | None = None) -> Score:
    return parse_score({"points": list(points), "half_life": half_life}, SCHEMA)


def histories(of: Score, *times: list[int]) -> dict[str, Timeline]:
    """Timelines of a score's events, in the order of its entries."""
    return {
        each.series.key: Timeline.of([(at, None) for at in instants])
        for each, instants in zip(of.earned, times, strict=True)
    }


def test_points_are_held_while_a_condition_is_true() -> None:
    one = score(
        held(10, group("country", "=", "CZ")),
        held(-3, group("age", "<", 18)),
        held(0.5, group("tags", "containsAny", ["vip"])),
    )
    value = one.compiled()
    assert value({"country": "CZ"}, AT, {}) == 10
    assert value({"country": "CZ", "age": 17}, AT, {}) == 7
    assert value({"country": "SK", "age": 17, "tags": ["vip"]}, AT, {}) == -2.5
    # Nobody is without a score; what is unknown earns nothing.
    assert value({}, AT, {}) == 0
    assert value({"country": 5}, AT, {}) == 0


def test_a_tenth_of_a_point_thrice_is_exact() -> None:
    tenths = [held(0.1, group(name, "notNull")) for name in "abc"]
    assert score(*tenths).compiled()({"a": 1, "b": 1, "c": 1}, AT, {}) == 0.3
    visits = score(earned(0.1))
    assert visits.compiled()({}, AT, histories(visits, [1, 2, 3])) == 0.3
    together = score(earned(0.1), half_life="1d")
    assert together.compiled()({}, AT, histories(together, [NOW] * 3)) == 0.3


def test_each_event_counts_once_from_its_instant_on() -> None:
    one = score(earned(2), earned(5, "Order Completed"))
    events = histories(one, [NOW - 9, NOW, NOW + 1], [5])
    assert one.compiled()({}, AT, events) == 9
    assert one.compiled()({}, Moment(NOW + 1, UTC), events) == 11
    assert one.next_change({}, AT, events, []) == NOW + 1
    assert one.next_change({}, Moment(NOW + 1, UTC), events, []) is None
    assert one.compiled()({}, AT, {}) == 0


def test_events_are_chosen_by_where() -> None:
    (entry,) = score(earned(3, "Order Completed", where=group("properties.total", ">", 100))).earned
    event = Event("Order Completed", 5, {"total": 120}, "m", "s")
    small = Event("Order Completed", 6, {"total": 20}, "n", "s")
    unknown = Event("Order Completed", 7, {}, "o", "s")
    assert [list(entry.series.entries(each, UTC)) for each in (event, small, unknown)] == [
        [(5, None)], [], [],
    ]  # fmt: skip


def test_where_reads_the_event_and_not_the_customer() -> None:
    """`properties.seen` is no instant because the customer's trait of that name is one."""
    schema = Schema(UTC, {"properties.seen": TraitType.INSTANT})
    document = {"points": [earned(1, where=group("properties.seen", "contains", "x"))]}
    (entry,) = parse_score(document, schema).earned
    event = Event("Visit", 5, {"seen": "xyz"}, "m", "s")
    assert list(entry.series.entries(event, UTC)) == [(5, None)]


def test_points_halve_with_every_half_life() -> None:
    one = score(earned(8), held(100, group("country", "=", "CZ")), half_life="30d")
    events = histories(one, [NOW])
    value = one.compiled()
    for halvings in range(12):
        at = Moment(NOW + halvings * 30 * DAY, UTC)
        assert value({}, at, events) == 8 / 2**halvings
        assert value({"country": "CZ"}, at, events) == 100 + 8 / 2**halvings
    between = value({}, Moment(NOW + 10 * DAY, UTC), events)
    assert between == pytest.approx(8 * 2 ** (-1 / 3), rel=1e-15)


half_lives = st.sampled_from([SECOND, 90 * SECOND, DAY, 30 * DAY, LONGEST])
units = st.integers(-(10**6), 10**6).filter(bool)
spans = st.integers(0, 3_000 * DAY) | st.sampled_from([0, 1, DAY, 30 * DAY])
sums = st.lists(st.tuples(spans.map(NOW.__sub__), units), max_size=12)


def naive(points: list[tuple[int, int]], half_life: int, at: int) -> tuple[float, float]:
    """v(t) = Σ pᵢ · 2^(−(t − tᵢ)/h) from the definition, and the sum of what is added."""
    terms = [p * 2.0 ** -((at - t) / half_life) for t, p in points]
    return math.fsum(terms), math.fsum(map(abs, terms))


@given(sums, half_lives, spans)
def test_a_sum_is_what_the_definition_says(
    points: list[tuple[int, int]], half_life: int, later: int
) -> None:
    at = NOW + later
    expected, size = naive(points, half_life, at)
    # 2 ** -x loses about x ulps of the exponent itself, which the definition's own power has.
    found = DecayingSum.of(points, half_life).value_at(at)
    assert found == pytest.approx(expected, rel=1e-11, abs=size * 1e-11 + 1e-300)


@given(sums, half_lives, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_no_bit(
    points: list[tuple[int, int]], half_life: int, random: Any
) -> None:
    shuffled = points[:]
    random.shuffle(shuffled)
    assert DecayingSum.of(shuffled, half_life) == DecayingSum.of(points, half_life)


@given(sums, half_lives, st.integers(1, 10**15), units)
def test_folding_one_more_event_is_folding_all(
    points: list[tuple[int, int]], half_life: int, later: int, more: int
) -> None:
    known = DecayingSum.of(points, half_life)
    event = (NOW + later, more)
    assert known.fold(*event) == DecayingSum.of([*points, event], half_life)


@given(sums, half_lives, spans, st.integers(1, 10**6))
def test_decay_never_turns_back(
    points: list[tuple[int, int]], half_life: int, later: int, step: int
) -> None:
    known = DecayingSum.of(points, half_life)
    first, second = known.value_at(NOW + later), known.value_at(NOW + later + step)
    assert abs(second) <= abs(first)
    if abs(first) > 1e-300:
        assert abs(second) < abs(first)


def side(standing: Standing, at: int, threshold: float) -> int:
    value = standing.value_at(at)
    return (value > threshold) - (value < threshold)


thresholds = st.sampled_from([0, 1, 0.5, -1, 0.1, 1e-9, 1e-300, 7.25, 1_000, -40.5]) | st.floats(
    allow_nan=False
)


@given(sums, half_lives, spans, thresholds, st.integers(-(10**6), 10**6), st.integers(0, 6))
@example([(NOW, 8)], 30 * DAY, 0, 4, 0, 0)
@example([(NOW, 1)], LONGEST, 0, 1_000_000, 999_999, 0)
@example([(NOW, 1)], LONGEST, 0, 0, 0, 0)
@example([(NOW, -5)], DAY, 0, 0, 3, 0)
def test_a_crossing_is_the_microsecond_at_which_the_value_itself_crosses(
    points: list[tuple[int, int]],
    half_life: int,
    later: int,
    threshold: float,
    constant: int,
    decimals: int,
) -> None:
    now = NOW + later
    standing = Standing(constant, decimals, DecayingSum.of(points, half_life))
    before = side(standing, now, threshold)
    at = standing.crossing(now, threshold)
    if at is None:
        # At the end of time it stands where it did.
        assert side(standing, LAST, threshold) == before
        return
    assert now < at <= LAST
    assert side(standing, at - 1, threshold) == before
    assert side(standing, at, threshold) != before


@given(st.integers(1, 10**6), half_lives, st.integers(1, 60 * 10**6), st.integers(1, 10**6))
def test_a_positive_sum_falls_below_a_lower_threshold_at_its_crossing(
    points: int, half_life: int, millionths: int, part: int
) -> None:
    """It may touch the threshold for a microsecond: then two crossings follow each other."""
    standing = Standing(0, 0, DecayingSum.of([(NOW, points)], half_life))
    threshold = points * part / (part + millionths)
    at = standing.crossing(NOW, threshold)
    while at is not None and standing.value_at(at) == threshold:
        at = standing.crossing(at, threshold)
    if at is None:
        assert standing.value_at(LAST) >= threshold
        return
    assert standing.value_at(at - 1) >= threshold
    assert standing.value_at(at) < threshold
    expected = NOW + half_life * math.log2(points / threshold)
    assert at == pytest.approx(expected, abs=2 + half_life * 1e-13)


def test_at_a_whole_half_life_it_touches_the_threshold() -> None:
    """`>= 4` ends a microsecond after `> 4` does."""
    standing = Standing(0, 0, DecayingSum.of([(NOW, 8)], 30 * DAY))
    assert standing.crossing(NOW, 4) == NOW + 30 * DAY
    assert standing.value_at(NOW + 30 * DAY) == 4
    assert standing.crossing(NOW + 30 * DAY, 4) == NOW + 30 * DAY + 1


def test_the_next_change_is_the_first_thing_that_time_does() -> None:
    one = score(
        held(10, group("seen", "withinLast", "20d")), earned(8), half_life="30d"
    )  # fmt: skip
    seen = {"seen": format_instant(NOW - 5 * DAY)}
    events = histories(one, [NOW])
    assert one.next_change(seen, AT, events, [14]) == NOW + 15 * DAY
    assert one.next_change({}, AT, events, [4, 2]) == NOW + 30 * DAY
    assert one.next_change({}, AT, events, [100, 8.5]) is None
    assert one.next_change({}, AT, events, []) is None
    assert one.next_change({}, AT, histories(one, [NOW, NOW + DAY]), [4]) == NOW + DAY
    assert one.next_change({}, AT, {}, [4]) is None


@given(sums, st.lists(thresholds, max_size=3), st.integers(0, 40 * DAY))
def test_nothing_changes_before_the_next_change(
    points: list[tuple[int, int]], compared: list[float], later: int
) -> None:
    one = score(earned(3), earned(-2.5, "Return"), half_life="12h")
    times = [at + 30 * DAY for at, _ in points]
    events = histories(one, times[::2], times[1::2])
    change = one.next_change({}, AT, events, compared)
    until = NOW + 40 * DAY if change is None else change
    value = one.compiled()
    now = value({}, AT, events)
    for at in {NOW + (until - NOW) * later // (40 * DAY), until - 1} - {until}:
        if at >= NOW:
            then = value({}, Moment(at, UTC), events)
            assert [(now > t) - (now < t) for t in compared] == [
                (then > t) - (then < t) for t in compared
            ]


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (
            score(held(10, group("country", "=", "CZ"))),
            "10 points while country is CZ.",
        ),
        (
            score(
                held(1, group("orders", ">=", 2)),
                held(-2.5, group("Odd Name", "null")),
                earned(20_000, "Order Completed", where=group("properties.total", ">", 50)),
                half_life="30d",
            ),
            "1 point while orders is at least 2; -2.5 points while “Odd Name” is unknown; 20,000 "
            "points for each event “Order Completed” where properties's total is more than 50; "
            "points for events halve every 30 days.",
        ),
    ],
)
def test_it_reads_as_a_sentence(one: Score, sentence: str) -> None:
    assert one.english() == sentence


CONDITION = group("age", ">", 1)


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        (5, "/score", "type"),
        ({}, "/score/points", "required"),
        ({"points": []}, "/score/points", "empty"),
        ({"points": [earned(1)] * 101}, "/score/points", "too_many"),
        ({"points": [earned(1)], "half": 1}, "/score/half", "unknown_property"),
        ({"points": [7]}, "/score/points/0", "required"),
        ({"points": [{"points": 7}]}, "/score/points/0", "required"),
        ({"points": [earned(1, condition=CONDITION)]}, "/score/points/0", "required"),
        ({"points": [{"event": "Visit"}]}, "/score/points/0/points", "required"),
        ({"points": [earned(True)]}, "/score/points/0/points", "type"),
        ({"points": [{"event": "Visit", "points": "7"}]}, "/score/points/0/points", "type"),
        ({"points": [earned(0)]}, "/score/points/0/points", "bad_value"),
        ({"points": [earned(1_000_001)]}, "/score/points/0/points", "bad_value"),
        ({"points": [earned(1e300)]}, "/score/points/0/points", "bad_value"),
        ({"points": [earned(1e-7)]}, "/score/points/0/points", "bad_value"),
        ({"points": [earned(1, "")]}, "/score/points/0/event", "bad_value"),
        ({"points": [earned(1, "x" * 257)]}, "/score/points/0/event", "bad_value"),
        ({"points": [{"event": 1, "points": 1}]}, "/score/points/0/event", "bad_value"),
        ({"points": [earned(1, within="30d")]}, "/score/points/0/within", "unknown_property"),
        ({"points": [held(1, {**CONDITION, "rules": []})]},
         "/score/points/0/condition/rules", "empty"),
        ({"points": [{**held(1, CONDITION), "where": CONDITION}]},
         "/score/points/0/where", "unknown_property"),
        ({"points": [held(1, group("segment:vip", "=", True))]},
         "/score/points/0/condition/rules/0/field", "bad_value"),
        ({"points": [earned(1, where=group("properties.n", "=>", 1))]},
         "/score/points/0/where/rules/0/operator", "unknown_operator"),
        ({"points": [earned(1, where=group("age", ">", 1))]},
         "/score/points/0/where", "unknown_field"),
        ({"points": [earned(1, where=group("properties.at", "withinLast", "3d"))]},
         "/score/points/0/where", "bad_operator"),
        ({"points": [earned(1)], "half_life": 30}, "/score/half_life", "bad_duration"),
        ({"points": [earned(1)], "half_life": "30"}, "/score/half_life", "bad_duration"),
        ({"points": [earned(1)], "half_life": "1mo"}, "/score/half_life", "bad_duration"),
        ({"points": [earned(1)], "half_life": "2y"}, "/score/half_life", "bad_duration"),
        ({"points": [earned(1)], "half_life": "3651d"}, "/score/half_life", "bad_duration"),
        ({"points": [held(1, CONDITION)], "half_life": "30d"}, "/score/half_life", "bad_value"),
    ],
)  # fmt: skip
def test_faults_are_located(document: Any, pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_score(document, SCHEMA)
    problems = [(each.pointer, each.code) for each in caught.value.problems]
    assert len(problems) == 1
    place, found = problems[0]
    # Where an aggregate's condition is at fault is the aggregate parser's to say.
    assert place == pointer or (place.startswith(pointer) and "/where" in pointer)
    assert found == code


def test_a_score_holds_as_many_rules_as_a_condition() -> None:
    many = {"combinator": "or", "rules": [CONDITION["rules"][0]] * 600}
    score(held(1, many))
    with pytest.raises(Invalid) as caught:
        score(held(1, many), earned(2, where=group("properties.a", "=", 1)), held(1, many))
    assert [each.code for each in caught.value.problems] == ["too_many_rules"]


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        score(held(0, {}), earned(0, ""), half_life="1y")
    assert len(caught.value.problems) >= 5


def test_the_longest_half_life_still_moves_every_microsecond() -> None:
    """What `decaying` builds on: a microsecond changes a sum by more than doubles are wrong."""
    step = Fraction(1, LONGEST) * Fraction(math.log(2))
    assert step > 4 * Fraction(2) ** -51
    assert SHORTEST >= SECOND
