"""Queries of react-querybuilder come in as the right condition, and go back as the same query.

The fixtures are made by the package's own functions: tests/cases/querybuilder/README.md.
"""

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.importing.draft import Imported
from service.core.importing.jsonlogic import from_jsonlogic
from service.core.importing.querybuilder import from_querybuilder
from service.core.instants import Moment
from service.core.interpreting import evaluate
from service.core.parsing import Invalid, Schema, parse_condition
from service.core.traits import TraitType
from tests.core import pools, strategies

FIXTURES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "cases" / "querybuilder" / "fixtures.json").read_text("utf-8")
)
TAKEN = [pytest.param(each, id=each["name"]) for each in FIXTURES if "condition" in each]
SAID_IN_JSONLOGIC = [
    pytest.param(each, id=each["name"]) for each in FIXTURES if each.get("jsonlogic") is not None
]
REFUSED = [pytest.param(each, id=each["name"]) for each in FIXTURES if "refused" in each]
SCHEMA = Schema(zone=UTC, types=pools.TYPES)
NOW = Moment(0, UTC)


def schema_of(fixture: dict[str, Any]) -> Schema:
    return Schema(zone=UTC, types={name: TraitType(it) for name, it in fixture["types"].items()})


def codes(imported: Imported) -> list[tuple[str, str]]:
    return [(each.pointer, each.code) for each in imported.warnings]


def refusals(document: Any, schema: Schema = SCHEMA) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        from_querybuilder(document, schema)
    return [(each.pointer, each.code) for each in caught.value.problems]


@pytest.mark.parametrize("fixture", TAKEN)
def test_a_query_becomes_its_condition(fixture: dict[str, Any]) -> None:
    imported = from_querybuilder(fixture["query"], schema_of(fixture))
    assert imported.condition == fixture["condition"]
    assert imported.parsed == parse_condition(fixture["condition"], schema_of(fixture))
    assert codes(imported) == [tuple(each) for each in fixture["warnings"]]


@pytest.mark.parametrize("fixture", TAKEN)
def test_the_package_reads_the_condition_as_the_same_query(fixture: dict[str, Any]) -> None:
    """`again` is the condition through the package's export, `sql` what it makes of either."""
    assert fixture["again"] == fixture["condition"]
    if fixture["sql"] is not None:
        of_query, of_condition = fixture["sql"]
        assert of_query == of_condition
    again = from_querybuilder(fixture["again"], schema_of(fixture))
    assert again.condition == fixture["condition"]


@pytest.mark.parametrize("fixture", SAID_IN_JSONLOGIC)
def test_its_json_logic_means_the_same(fixture: dict[str, Any]) -> None:
    """Of customers of whom everything is known: elsewhere JSONLogic's null decides."""
    schema = schema_of(fixture)
    condition = parse_condition(fixture["condition"], schema)
    logic = from_jsonlogic(fixture["jsonlogic"], schema).parsed
    for profile in PROFILES:
        truth = evaluate(condition, profile, NOW, lambda key: None)
        assert evaluate(logic, profile, NOW, lambda key: None) is truth, profile


PROFILES = [
    {"age": age, "low": 18, "high": age + of, "country": country, "name": name, "nickname": nick,
     "spent": spent, "credit": 100, "vip": spent > 99, "app": app}
    for age in (1, 2, 3, 5, 18, 20, 65, 75)
    for of in (0, 1)
    for country, name, nick in (("CZ", "Ann", "An"), ("SK", "Bea", 5), ("x,y", "Alba", "18"))
    for spent, app in ((99.5, "1.3"), (100, "1.2.0"), (7, "3"))
]  # fmt: skip


@pytest.mark.parametrize("fixture", REFUSED)
def test_what_would_change_its_meaning_is_refused(fixture: dict[str, Any]) -> None:
    expected = [tuple(each) for each in fixture["refused"]]
    assert refusals(fixture["query"], schema_of(fixture)) == expected


YOUNG = {"field": "age", "operator": "<", "value": 18}


def joined(*rules: Any, **more: Any) -> dict[str, Any]:
    return {"combinator": "and", "rules": list(rules)} | more


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (7, [("", "type")]),
        ("{}", [("", "type")]),
        ({}, [("/rules", "type")]),
        ({"rules": "age"}, [("/rules", "type")]),
        (joined(YOUNG, **{"not": "yes"}), [("/not", "type")]),
        (joined(YOUNG, locked=True), [("/locked", "unknown_property")]),
        (joined(YOUNG, "and", YOUNG), [("/rules/1", "type")]),
        (joined(YOUNG, combinator=3), [("/combinator", "bad_value")]),
        (joined(joined(), joined(joined())), [("/rules", "empty")]),
        ({"rules": [YOUNG, "and"]}, [("/rules", "bad_value")]),
        ({"rules": [YOUNG, "xor", YOUNG]}, [("/rules/1", "bad_value")]),
        ({"rules": [YOUNG, YOUNG, YOUNG]}, [("/rules/1", "bad_value")]),
        (joined(YOUNG | {"operator": "like"}), [("/rules/0/operator", "unknown_operator")]),
        (joined(YOUNG | {"operator": None}), [("/rules/0/operator", "required")]),
        (joined(YOUNG | {"field": 5}), [("/rules/0/field", "required")]),
        (joined(YOUNG | {"field": "x:y"}), [("/rules/0/field", "unknown_field")]),
        (joined(YOUNG | {"value": "young"}), [("/rules/0/value", "type")]),
        (joined(YOUNG | {"operator": "in", "value": " , "}), [("/rules/0/value", "empty")]),
        (joined(YOUNG | {"operator": "in", "value": [1, "x"]}), [("/rules/0/value/1", "type")]),
        (
            joined({"field": "a", "operator": "between", "value": "b", "valueSource": "field"}),
            [("/rules/0/value", "type")],
        ),
        (
            joined({"field": "a", "operator": "in", "value": "", "valueSource": "field"}),
            [("/rules/0/value", "type")],
        ),
        (
            joined(YOUNG | {"disabled": True}, joined(YOUNG | {"value": "x"}), YOUNG),
            [("/rules/0/disabled", "bad_value"), ("/rules/1/rules/0/value", "type")],
        ),
    ],
)
def test_refusals_say_where(document: Any, expected: list[tuple[str, str]]) -> None:
    assert refusals(document) == expected


def test_pointers_begin_where_the_query_stands() -> None:
    with pytest.raises(Invalid) as caught:
        from_querybuilder(joined(YOUNG | {"value": "x"}), SCHEMA, "/query")
    assert [each.pointer for each in caught.value.problems] == ["/query/rules/0/value"]
    imported = from_querybuilder(joined(YOUNG, joined()), SCHEMA, "/query")
    assert codes(imported) == [("/query/rules/1", "empty_group")]


def test_groups_nest_and_rules_count_as_everywhere() -> None:
    deep: Any = joined(YOUNG)
    for _ in range(SCHEMA.depth_limit - 1):
        deep = joined(deep)
    assert from_querybuilder(deep, SCHEMA).condition == deep
    assert refusals(joined(deep)) == [("/rules/0" * SCHEMA.depth_limit, "too_deep")]
    full = joined(*[YOUNG] * SCHEMA.rules_limit)
    assert from_querybuilder(full, SCHEMA).condition == full
    full["rules"].append(YOUNG)
    assert refusals(full) == [("/rules/1000", "too_many_rules")]


def test_items_of_a_list_may_be_numbers_or_texts() -> None:
    imported = from_querybuilder(
        joined({"field": "tags", "operator": "containsAny", "value": "vip, 1"}), SCHEMA
    )
    assert imported.condition["rules"][0]["value"] == ["vip", "1"]
    assert codes(imported) == [("/rules/0/value", "number_as_text")]
    assert "declare" not in imported.warnings[0].detail


def test_numbers_written_as_text_are_exact() -> None:
    """As the parser reads them: a sum of money is not made a float first."""
    pair = {"field": "spent", "operator": "between", "value": "0.1, 99999999999999999999"}
    imported = from_querybuilder(joined(pair), SCHEMA)
    assert imported.condition == joined(pair | {"value": [0.1, 99999999999999999999]})


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(strategies.groups(strategies.rules()))
def test_a_condition_of_ours_stays_as_it_is(condition: dict[str, Any]) -> None:
    try:
        parsed = parse_condition(condition, SCHEMA)
    except Invalid:
        assert refusals(condition)
        return
    imported = from_querybuilder(condition, SCHEMA)
    assert imported.parsed == parsed


NAMES = ("combinator", "not", "rules", "id", "disabled", "field", "operator", "value",
         "valueSource", "match")  # fmt: skip
SCRAPS = st.sampled_from(
    (None, True, False, 0, 5, "", "and", "or", "~", "18", "18,65", "a", "age", "=", "in", "between",
     "field", "<", "null", [1, "x"])
)  # fmt: skip


@settings(deadline=None)
@given(
    st.recursive(
        SCRAPS,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
            | st.builds(lambda rules: {"rules": rules}, st.lists(inner, max_size=5))
        ),
        max_leaves=20,
    )
)
def test_whatever_comes_is_taken_or_refused(document: Any) -> None:
    try:
        imported = from_querybuilder(document, SCHEMA)
    except Invalid as fault:
        told = len(fault.problems)
    else:
        told = len(imported.condition["rules"])
        assert parse_condition(imported.condition, SCHEMA) == imported.parsed
    assert told
