"""Conditions within derived traits: compiled they say what the interpreter says."""

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.comparisons import Truth
from service.core.derived import groups
from service.core.instants import DAY, Moment, format_instant
from service.core.interpreting import evaluate
from service.core.parsing import Invalid, Schema, parse_condition
from service.core.traits import TraitType
from tests.core import pools, strategies

SCHEMA = Schema(UTC, pools.TYPES)
NOW = 1_790_000_000_000_000


def _nobody(key: str) -> Truth:
    raise AssertionError(key)


@given(strategies.groups(strategies.rules()), strategies.profiles(5), st.sampled_from(pools.ZONES))
def test_a_compiled_group_says_what_the_interpreter_says(
    document: Any, profiles: list[dict[str, Any]], zone: Any
) -> None:
    try:
        condition = parse_condition(document, Schema(zone, pools.TYPES))
    except Invalid:
        return
    test = groups.compiled(condition)
    for profile in profiles:
        moment = Moment(NOW, zone)
        assert test(profile, moment) is (evaluate(condition, profile, moment, _nobody) is True)


def group(*rules: Any) -> dict[str, Any]:
    return {"combinator": "and", "rules": list(rules)}


@pytest.mark.parametrize(
    ("rule", "pointer"),
    [
        ({"field": "segment:vip", "operator": "=", "value": True}, "/x/rules/1/rules/0/field"),
        ({"field": "model:m.label", "operator": "=", "value": "a"}, "/x/rules/1/rules/0/field"),
        (
            {"field": "age", "operator": "<", "value": "model:m.score", "valueSource": "field"},
            "/x/rules/1/rules/0/value",
        ),
    ],
)
def test_segments_and_models_are_refused(rule: Any, pointer: str) -> None:
    known = {"field": "age", "operator": ">", "value": 1}
    with pytest.raises(Invalid) as caught:
        groups.parse_group(group(known, group(rule)), SCHEMA, "/x")
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.code) == (pointer, "bad_value")
    assert problem.detail.endswith(("no trait can read one", "no trait can read one's answer"))


def test_places_name_the_trait_and_the_fact() -> None:
    condition = groups.parse_group(
        group(
            {"field": "work.pay", "operator": ">", "value": "age", "valueSource": "field"},
            {"field": "customer.last_seen", "operator": "withinLast", "value": "30d"},
            {"field": "event:Visit", "operator": ">", "value": 1,
             "aggregate": {"function": "count"}},
        ),
        SCHEMA,
        "/x",
    )  # fmt: skip
    assert [(place.pointer, place.name) for place in groups.places_of(condition, "/x")] == [
        ("/x/rules/0/field", "work"),
        ("/x/rules/0/value", "age"),
        ("/x/rules/1/field", "customer.last_seen"),
    ]


def test_the_next_change_is_the_first_of_all_timed_rules() -> None:
    condition = parse_condition(
        {
            "combinator": "or",
            "rules": [
                {"field": "seen", "operator": "withinLast", "value": "30d"},
                {"field": "born", "operator": "notWithinLast", "value": "10d"},
                {"field": "none", "operator": "withinNext", "value": "10d"},
                {"field": "age", "operator": ">", "value": 1},
            ],
        },
        SCHEMA,
    )
    rules = groups.timed_rules(condition)
    assert len(rules) == 3
    seen, born = format_instant(NOW - 5 * DAY), format_instant(NOW - 8 * DAY)
    change = groups.next_change(rules, {"seen": seen, "born": born, "age": 3}, Moment(NOW, UTC))
    assert change == NOW + 2 * DAY
    assert groups.next_change(rules, {"age": 3}, Moment(NOW, UTC)) is None


def test_a_clause_is_the_sentence_without_its_capital_and_full_stop() -> None:
    schema = Schema(UTC, {"app": TraitType.VERSION})
    for rule, text in (
        ({"field": "Odd Name", "operator": ">", "value": 1}, "“Odd Name” is more than 1"),
        ({"field": "total_spent", "operator": ">", "value": 1}, "total spent is more than 1"),
        ({"field": "é", "operator": "null"}, "é is unknown"),
    ):
        assert groups.clause(parse_condition(group(rule), schema)) == text
