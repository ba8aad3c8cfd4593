"""The plan: derived traits in order, put into a profile, and what time does to them."""

from array import array
from collections.abc import Collection, Mapping
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.conditions import Condition
from service.core.derived.cut_points import CutPoints, cut_points
from service.core.derived.definitions import Tangled, parse_definition
from service.core.derived.plan import Plan, Thresholds, thresholds_of
from service.core.instants import DAY, Moment, format_instant, to_datetime
from service.core.parsing import Schema, parse_condition
from service.core.timelines import Timeline
from service.core.traits import TraitType

NOW = 1_790_000_000_000_000
AT = Moment(NOW, UTC)
SCHEMA = Schema(
    UTC, {"last_order_at": TraitType.INSTANT, "cost": TraitType.MONEY, "loyalty": TraitType.NUMBER}
)


def group(*rules: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "combinator": "and",
        "rules": [
            {"field": rule[0], "operator": rule[1], "value": rule[2], **dict(rule[3:])}
            for rule in rules
        ],
    }


def condition(*rules: tuple[Any, ...]) -> Condition:
    return parse_condition(group(*rules), SCHEMA)


DEFINITIONS: dict[str, dict[str, Any]] = {
    "net": {"formula": "gross - refunds"},
    "refund_share": {"ratio": {"numerator": "refunds", "denominator": "gross"}},
    "due_at": {"formula": "last_order_at + 30d"},
    "steady": {
        "score": {
            "points": [
                {"condition": group(("refund_share", "<", 0.1)), "points": 5},
                {"condition": group(("due_at", "withinNext", "10d")), "points": 2},
            ]
        }
    },
    "spending": {"rank": {"of": "net", "among": group(("net", ">", 0))}},
    "doubled": {"formula": "steady * 2 + spending"},
    "loyalty": {
        "score": {
            "points": [
                {"condition": group(("spending", ">=", 0.5)), "points": 1},
                {"event": "Visit", "points": 8},
            ],
            "half_life": "30d",
        }
    },
    "idle": {"formula": "given + 1"},
}
NETS = cut_points(array("d", [10, 20, 30, 40]))


def refused(document: Any, schema: Schema, pointer: str) -> Any:
    raise AssertionError(pointer)


def plan(
    definitions: Mapping[str, dict[str, Any]] = DEFINITIONS,
    ranked: Mapping[str, CutPoints] | None = None,
    conditions: Collection[Condition] = (),
    moving: Collection[str] = (),
) -> Plan:
    traits = [parse_definition(name, each, SCHEMA, refused) for name, each in definitions.items()]
    return Plan(traits, {"spending": NETS} if ranked is None else ranked, conditions, moving)


def visits(of: Plan, *times: int) -> dict[str, Timeline]:
    (series,) = of.series
    return {series.key: Timeline.of([(at, None) for at in times])}


CUSTOMER: dict[str, Any] = {
    "gross": 30.5,
    "refunds": 0.5,
    "last_order_at": format_instant(NOW - 18 * DAY),
}


def test_each_trait_is_put_into_the_profile_in_order() -> None:
    one = plan()
    profile = {**CUSTOMER, "idle": "stale"}
    one.evaluate(profile, AT, visits(one, NOW - 30 * DAY))
    assert profile == {
        **CUSTOMER,
        "net": 30,
        "refund_share": 0.5 / 30.5,
        "due_at": to_datetime(NOW + 12 * DAY),
        "steady": 5,
        "spending": 0.5,
        "doubled": 10.5,
        "loyalty": 1 + 4,
    }


def test_a_customer_of_whom_nothing_is_known_has_scores_only() -> None:
    one = plan()
    profile: dict[str, Any] = {}
    one.evaluate(profile, AT, {})
    assert profile == {"steady": 0, "loyalty": 0}


def test_before_the_first_refresh_nobody_is_ranked() -> None:
    one = plan(ranked={})
    profile = dict(CUSTOMER)
    one.evaluate(profile, AT, {})
    assert not {"spending", "doubled"} & profile.keys()


def test_what_the_caller_gives_is_left_and_read() -> None:
    one = plan()
    profile = {**CUSTOMER, "net": 45}
    one.evaluate(profile, AT, {}, overridden={"net"})
    assert (profile["net"], profile["spending"]) == (45, 0.75)


def test_only_what_time_changes_is_evaluated_again() -> None:
    one = plan()
    assert one.moving == {"steady", "doubled", "loyalty"}
    # The name of an aggregate over a window makes all that reads it move.
    assert plan(moving={"gross"}).moving >= {"net", "refund_share", "spending"}
    profile = dict(CUSTOMER)
    events = visits(one, NOW)
    one.evaluate(profile, AT, events)
    later = Moment(NOW + 30 * DAY, UTC)
    again = dict(profile)
    one.advance(again, later, events)
    fresh = dict(CUSTOMER)
    one.evaluate(fresh, later, events)
    assert again == fresh
    assert again["loyalty"] == 1 + 4


def test_the_next_change_is_the_first_of_all() -> None:
    in_segment = condition(("loyalty", ">", 5))
    one = plan(conditions=[in_segment])
    events = visits(one, NOW)
    profile = dict(CUSTOMER)
    one.evaluate(profile, AT, events)
    # Two days on the order is due within ten.
    assert one.next_change(profile, AT, events) == NOW + 2 * DAY
    then = Moment(NOW + 2 * DAY, UTC)
    one.advance(profile, then, events)
    assert profile["steady"] == 7
    assert one.next_change(profile, then, events) == NOW + 12 * DAY
    last = Moment(NOW + 12 * DAY, UTC)
    one.advance(profile, last, events)
    # 1 + 8 · 2^(-t/30) comes down to 5 after one half-life.
    assert one.next_change(profile, last, events) == NOW + 30 * DAY
    nobody_asks = plan()
    assert nobody_asks.next_change(profile, last, events) is None


def test_a_score_compared_with_another_field_crosses_its_value() -> None:
    for rule in (
        ("loyalty", ">", "wanted", ("valueSource", "field")),
        ("wanted", "<=", "loyalty", ("valueSource", "field")),
    ):
        one = plan(conditions=[condition(rule)])
        events = visits(one, NOW)
        profile = {"wanted": 2}
        assert one.next_change(profile, AT, events) == NOW + 60 * DAY
        assert one.next_change({"wanted": 10**400}, AT, events) is None
        assert one.next_change({"wanted": "2"}, AT, events) is None
        assert one.next_change({}, AT, events) is None


def test_thresholds_are_all_numbers_that_conditions_compare_with() -> None:
    asked = [
        condition(("x", ">", 1), ("x", "between", [2, 3.5]), ("x", "=", 4), ("y", "<", 9)),
        condition(("x", "notIn", [5, 6]), ("x", "null", None), ("z", ">", 7)),
        condition(("x", "<", "z", ("valueSource", "field"))),
    ]
    found = thresholds_of(["x", "y", "nobody"], asked)
    assert found["x"].numbers == {1, 2, 3.5, 4, 5, 6}
    assert [field.name for field in found["x"].fields] == ["z"]
    assert found["y"] == Thresholds(frozenset({9.0}))
    assert found["nobody"] == Thresholds()
    money = condition(("loyalty", ">", "cost", ("valueSource", "field")), ("cost", "<", "7.25"))
    assert thresholds_of(["cost"], [money])["cost"].numbers == {7.25}


def test_a_refresh_asks_what_a_rank_is_compared_with() -> None:
    definitions = {name: each for name, each in DEFINITIONS.items() if name != "doubled"}
    one = plan(definitions)
    assert one.rank_thresholds("spending", []) == {0.5}
    assert one.rank_thresholds("spending", [condition(("spending", "<", 0.2))]) == {0.2, 0.5}
    compared = condition(("spending", "<", "given", ("valueSource", "field")))
    assert one.rank_thresholds("spending", [compared]) is None
    # A formula calculates with it, a rank ranks it.
    assert plan().rank_thresholds("spending", []) is None
    ranked = {**definitions, "again": {"rank": {"of": "spending"}}}
    assert plan(ranked).rank_thresholds("spending", []) is None


def test_what_else_is_needed_is_told() -> None:
    aggregate = ("aggregate", {"function": "count", "within": "30d"})
    one = plan(
        {
            "tenure": {"formula": "customer.first_seen + 1y"},
            "s": {
                "score": {
                    "points": [
                        {"condition": group(("event:Visit", ">", 2, aggregate)), "points": 1},
                        {"condition": group(("customer.type", "=", "person")), "points": 1},
                        {"event": "Visit", "points": 1},
                        {"event": "Visit", "points": 2},
                    ]
                }
            },
        }
    )
    assert one.customer_facts == {"customer.first_seen", "customer.type"}
    assert [series.events for series in one.series] == [("Visit",)]
    (held,) = one.aggregates.values()
    assert held.moves
    profile: dict[str, Any] = {held.name: 3}
    one.evaluate(profile, AT, visits(one, NOW))
    assert profile["s"] == 1 + 3


def test_what_reads_a_moving_aggregate_moves() -> None:
    aggregate = ("aggregate", {"function": "count", "within": "30d"})
    counted = {"condition": group(("event:Visit", ">", 2, aggregate)), "points": 1}
    definitions = {"s": {"score": {"points": [counted]}}, "f": {"formula": "s * 2"}}
    still = plan(definitions)
    assert still.moving == frozenset()
    assert plan(definitions, moving=still.aggregates).moving == {"s", "f"}


def test_circles_are_refused() -> None:
    with pytest.raises(Tangled):
        plan({"a": {"formula": "b"}, "b": {"formula": "a"}})


@given(
    st.lists(st.integers(0, 400).map(lambda days: NOW - 200 * DAY + days * DAY), max_size=5),
    st.integers(0, 60),
    st.floats(0, 1),
)
def test_no_side_changes_before_the_next_change(times: list[int], since: int, part: float) -> None:
    asked = condition(("loyalty", ">", 5), ("loyalty", "<=", 2), ("steady", "<", 6))
    one = plan(conditions=[asked])
    events = visits(one, *times)
    profile = {**CUSTOMER, "last_order_at": format_instant(NOW - since * DAY)}
    one.evaluate(profile, AT, events)
    change = one.next_change(profile, AT, events)
    until = NOW + 300 * DAY if change is None else change
    for at in (NOW + int((until - 1 - NOW) * part), until - 1):
        then = dict(profile)
        one.advance(then, Moment(at, UTC), events)
        assert (then["steady"], then["doubled"]) == (profile["steady"], profile["doubled"])
        for threshold in (5, 2):
            assert (then["loyalty"] > threshold) == (profile["loyalty"] > threshold)
