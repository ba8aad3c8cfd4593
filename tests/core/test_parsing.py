"""Parsing: every refusal says where and why, all at once; what is taken is the tree it means."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.core.conditions import Group, Rule, models_of, references_of, rules_of
from service.core.parsing import Invalid, Problem, Schema, parse_condition
from service.core.traits import TraitType
from tests.core.reading import SCHEMA, TYPES, group, points_into


def problems(document: Any, schema: Schema = SCHEMA) -> list[Problem]:
    with pytest.raises(Invalid) as caught:
        parse_condition(document, schema)
    return caught.value.problems


REFUSALS: list[tuple[Any, str, str]] = [
    (7, "", "type"),
    ([], "", "type"),
    (None, "", "type"),
    ({"rules": [{"field": "a", "operator": "null"}]}, "/combinator", "bad_value"),
    (group({"field": "a", "operator": "null"}, combinator="xor"), "/combinator", "bad_value"),
    (group({"field": "a", "operator": "null"}, combinator=["and"]), "/combinator", "bad_value"),
    ({"combinator": "and"}, "/rules", "type"),
    ({"combinator": "and", "rules": {}}, "/rules", "type"),
    (group(), "/rules", "empty"),
    (group(group()), "/rules/0/rules", "empty"),
    (group({"field": "a", "operator": "null"}, **{"not": "yes"}), "/not", "type"),
    (group({"field": "a", "operator": "null"}, disabled=True), "/disabled", "unknown_property"),
    (group({"field": "a", "operator": "null"}, **{"a/b~c": 1}), "/a~1b~0c", "unknown_property"),
    (group(5), "/rules/0", "type"),
    (group("and"), "/rules/0", "type"),
    (group({"operator": "null"}), "/rules/0/field", "required"),
    (group({"field": "", "operator": "null"}), "/rules/0/field", "required"),
    (group({"field": 5, "operator": "null"}), "/rules/0/field", "required"),
    (group({"field": "a" * 513, "operator": "null"}), "/rules/0/field", "bad_value"),
    (group({"field": "a"}), "/rules/0/operator", "required"),
    (group({"field": "a", "operator": ["="]}), "/rules/0/operator", "required"),
    (group({"field": "a", "operator": "equals", "value": 1}), "/rules/0/operator",
     "unknown_operator"),
    (group({"field": "a", "operator": "WITHINLAST", "value": "1d"}), "/rules/0/operator",
     "unknown_operator"),
    (group({"field": "a", "operator": "="}), "/rules/0/value", "required"),
    (group({"field": "a", "operator": "=", "value": None}), "/rules/0/value", "bad_value"),
    (group({"field": "a", "operator": "=", "value": 1, "muted": True}), "/rules/0/muted",
     "unknown_property"),
    (group({"field": "a", "operator": "=", "value": 1, "match": {}}), "/rules/0/match",
     "unknown_property"),
    (group({"field": "a", "operator": "=", "value": 1, "missing": "x"}), "/rules/0/missing",
     "type"),
    (group({"field": "a", "operator": "=", "value": 1, "caseSensitive": 1}),
     "/rules/0/caseSensitive", "type"),
    (group({"field": "a", "operator": "null", "missing": True}), "/rules/0/missing", "bad_value"),
    (group({"field": "segment:x", "operator": "=", "value": True, "missing": True}),
     "/rules/0/missing", "bad_value"),
    (group({"field": "event:Order Completed", "operator": ">=", "value": 3}),
     "/rules/0/aggregate", "required"),
    (group({"field": "event:", "operator": "notNull"}), "/rules/0/field", "bad_value"),
    (group({"field": "a", "aggregate": {}, "operator": "=", "value": 1}), "/rules/0/aggregate",
     "bad_value"),
    (group({"field": "a..b", "operator": "null"}), "/rules/0/field", "unknown_field"),
    (group({"field": ".a", "operator": "null"}), "/rules/0/field", "unknown_field"),
    (group({"field": "trait:a", "operator": "null"}), "/rules/0/field", "unknown_field"),
    (group({"field": "segment:No Key", "operator": "=", "value": True}), "/rules/0/field",
     "unknown_field"),
    (group({"field": "model:tiers", "operator": "null"}), "/rules/0/field", "unknown_field"),
    (group({"field": "model:tiers.size", "operator": "null"}), "/rules/0/field", "unknown_field"),
    (group({"field": "customer.name", "operator": "null"}), "/rules/0/field", "unknown_field"),
    (group({"field": "segment:x", "operator": "in", "value": [True]}), "/rules/0/operator",
     "bad_operator"),
    (group({"field": "segment:x", "operator": "=", "value": "maybe"}), "/rules/0/value", "type"),
    (group({"field": "segment:x", "operator": "=", "value": True, "caseSensitive": True}),
     "/rules/0/caseSensitive", "bad_value"),
    (group({"field": "segment:x", "operator": "=", "value": "a", "valueSource": "field"}),
     "/rules/0/valueSource", "bad_value"),
    (group({"field": "a", "operator": "sample", "value": {"percent": 1}}), "/rules/0/field",
     "bad_operator"),
    (group({"field": "name", "operator": "<", "value": "x"}), "/rules/0/operator",
     "bad_operator"),
    (group({"field": "age", "operator": "contains", "value": "x"}), "/rules/0/operator",
     "bad_operator"),
    (group({"field": "tags", "operator": "withinLast", "value": "1d"}), "/rules/0/operator",
     "bad_operator"),
    (group({"field": "a", "operator": "=", "value": "b", "valueSource": "trait"}),
     "/rules/0/valueSource", "bad_value"),
    (group({"field": "a", "operator": "in", "value": "b", "valueSource": "field"}),
     "/rules/0/valueSource", "bad_value"),
    (group({"field": "a", "operator": "=", "value": 5, "valueSource": "field"}),
     "/rules/0/value", "required"),
    (group({"field": "a", "operator": "=", "value": "x:y", "valueSource": "field"}),
     "/rules/0/value", "unknown_field"),
    (group({"field": "a", "operator": "=", "value": "segment:x", "valueSource": "field"}),
     "/rules/0/value", "bad_value"),
    (group({"field": "age", "operator": "=", "value": "name", "valueSource": "field"}),
     "/rules/0/value", "type"),
    (group({"field": "a", "operator": "<", "value": "name", "valueSource": "field"}),
     "/rules/0/operator", "bad_operator"),
    (group({"field": "age", "operator": "=", "value": "old"}), "/rules/0/value", "type"),
    (group({"field": "age", "operator": "in", "value": [1, "x"]}), "/rules/0/value/1", "type"),
    (group({"field": "vip", "operator": "=", "value": 1}), "/rules/0/value", "type"),
    (group({"field": "spent", "operator": "=", "value": "1.12345678901234567"}),
     "/rules/0/value", "type"),
    (group({"field": "a", "operator": "in", "value": []}), "/rules/0/value", "empty"),
    (group({"field": "a", "operator": "in", "value": "x"}), "/rules/0/value", "type"),
    (group({"field": "a", "operator": "in", "value": [1, None]}), "/rules/0/value/1", "bad_value"),
    (group({"field": "tags", "operator": "containsAny", "value": ["x", True]}),
     "/rules/0/value/1", "type"),
    (group({"field": "tags", "operator": "containsAll", "value": []}), "/rules/0/value", "empty"),
    (group({"field": "a", "operator": "<", "value": "soon"}), "/rules/0/value", "type"),
    (group({"field": "a", "operator": "<", "value": "2026-11-20"}), "/rules/0/value", "type"),
    (group({"field": "a", "operator": "<", "value": True}), "/rules/0/value", "type"),
    (group({"field": "a", "operator": "<", "value": [1]}), "/rules/0/value", "type"),
    (group({"field": "seen", "operator": "=", "value": 5}), "/rules/0/value", "type"),
    (group({"field": "seen", "operator": "in", "value": ["2026-11-20", "x"]}),
     "/rules/0/value/1", "type"),
    (group({"field": "a", "operator": "between", "value": [1]}), "/rules/0/value", "type"),
    (group({"field": "a", "operator": "between", "value": [1, "2026-11-20T00:00:00Z"]}),
     "/rules/0/value/1", "type"),
    (group({"field": "a", "operator": "between", "value": [None, 1]}), "/rules/0/value/0", "type"),
    (group({"field": "a", "operator": "between", "value": [2, 1]}), "/rules/0/value", "empty"),
    (group({"field": "seen", "operator": "between", "value": ["2026-11-21", "2026-11-20"]}),
     "/rules/0/value", "empty"),
    (group({"field": "a", "operator": "contains", "value": ""}), "/rules/0/value", "empty"),
    (group({"field": "a", "operator": "contains", "value": 5}), "/rules/0/value", "type"),
    (group({"field": "a", "operator": "matches", "value": ""}), "/rules/0/value", "type"),
    (group({"field": "a", "operator": "matches", "value": "("}), "/rules/0/value", "bad_pattern"),
    (group({"field": "a", "operator": "matches", "value": "(?=a)"}), "/rules/0/value",
     "bad_pattern"),
    (group({"field": "a", "operator": "matches", "value": "\ud800"}), "/rules/0/value",
     "bad_pattern"),
    (group({"field": "a", "operator": "matches", "value": "((a{1000}){1000}){1000}"}),
     "/rules/0/value", "bad_pattern"),
    (group({"field": "a", "operator": "matches", "value": "a" * 1_001}), "/rules/0/value",
     "too_long"),
    (group({"field": "seen", "operator": "withinLast", "value": "30m"}), "/rules/0/value",
     "bad_duration"),
    (group({"field": "seen", "operator": "withinLast", "value": "0d"}), "/rules/0/value",
     "bad_duration"),
    (group({"field": "seen", "operator": "withinLast", "value": "-1d"}), "/rules/0/value",
     "bad_duration"),
    (group({"field": "seen", "operator": "withinNext", "value": 30}), "/rules/0/value",
     "bad_duration"),
    (group({"field": "app", "operator": "versionAtLeast", "value": "new"}), "/rules/0/value",
     "type"),
    (group({"field": "app", "operator": "versionBelow", "value": 2}), "/rules/0/value", "type"),
    (group({"field": "home", "operator": "withinDistance", "value": "5 km"}), "/rules/0/value",
     "type"),
    (group({"field": "home", "operator": "withinDistance", "value": {"lat": 50, "km": 5}}),
     "/rules/0/value", "type"),
    (group({"field": "home", "operator": "withinDistance",
            "value": {"lat": 50, "lon": 1, "km": 0}}), "/rules/0/value/km", "type"),
    (group({"field": "home", "operator": "withinDistance",
            "value": {"lat": 50, "lon": 1, "km": 10**400}}), "/rules/0/value/km", "type"),
    (group({"field": "home", "operator": "withinDistance",
            "value": {"lat": 50, "lon": 1, "km": 5, "mi": 3}}), "/rules/0/value/mi",
     "unknown_property"),
    (group({"field": "customer_id", "operator": "sample", "value": 10}), "/rules/0/value", "type"),
    (group({"field": "customer_id", "operator": "sample", "value": {"percent": 101}}),
     "/rules/0/value/percent", "type"),
    (group({"field": "customer_id", "operator": "sample", "value": {"percent": 1, "salt": 5}}),
     "/rules/0/value/salt", "type"),
    (group({"field": "customer_id", "operator": "sample", "value": {"percent": 1, "seed": 5}}),
     "/rules/0/value/seed", "unknown_property"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "pointer", "code"), REFUSALS)
def test_refusals(document: Any, pointer: str, code: str) -> None:
    found = problems(document)
    assert [(problem.pointer, problem.code) for problem in found] == [
        ("/condition" + pointer, code)
    ]
    assert points_into(document, found[0].pointer)
    assert found[0].detail
    assert found[0].detail[0] != " "


def test_all_problems_are_told_at_once_in_order() -> None:
    document = group(
        {"field": "a", "operator": "=", "value": 1},
        {"field": "age", "operator": "=", "value": "old"},
        group({"operator": "??"}, {"field": "a", "operator": "in", "value": []}),
        wrong=1,
    )
    assert [(problem.pointer, problem.code) for problem in problems(document)] == [
        ("/condition/wrong", "unknown_property"),
        ("/condition/rules/1/value", "type"),
        ("/condition/rules/2/rules/0/field", "required"),
        ("/condition/rules/2/rules/0/operator", "unknown_operator"),
        ("/condition/rules/2/rules/1/value", "empty"),
    ]


def test_hints_name_what_was_likely_meant() -> None:
    (unknown,) = problems(group({"field": "a", "operator": "beginswith", "value": "x"}))
    assert unknown.detail == '"beginswith" is no operator; did you mean "beginsWith"?'
    (bare,) = problems(group({"field": "seen", "operator": "withinLast", "value": "30m"}))
    assert bare.detail.endswith("write min for minutes or mo for months")


def test_the_pointer_can_start_elsewhere() -> None:
    with pytest.raises(Invalid) as caught:
        parse_condition(group(), SCHEMA, "/among")
    assert caught.value.problems[0].pointer == "/among/rules"
    assert str(caught.value) == "/among/rules: a group needs at least one rule"


def test_limits_of_depth_and_rules() -> None:
    schema = Schema(zone=UTC, rules_limit=5, depth_limit=3)
    one = {"field": "a", "operator": "=", "value": 1}
    assert parse_condition(group(*[one] * 5), schema)
    (many,) = problems(group(*[one] * 9), schema)
    assert (many.pointer, many.code) == ("/condition/rules/5", "too_many_rules")
    assert parse_condition(group(group(group(one))), schema)
    (deep,) = problems(group(group(group(group(one)))), schema)
    assert (deep.pointer, deep.code) == ("/condition/rules/0/rules/0/rules/0", "too_deep")


def test_editor_properties_are_ignored() -> None:
    bare = group({"field": "a", "operator": "=", "value": 1})
    edited = group({"field": "a", "operator": "=", "value": 1, "id": "r1", "path": [0],
                    "valueSource": "value"}, id="root", path=[], **{"not": False})  # fmt: skip
    assert parse_condition(edited, SCHEMA) == parse_condition(bare, SCHEMA)


def test_the_tree_that_is_parsed() -> None:
    condition = parse_condition(
        group(
            {"field": "work.pay", "operator": ">", "value": "1000", "missing": False},
            group({"field": "segment:vip", "operator": "=", "value": True},
                  {"field": "model:tiers.label", "operator": "=", "value": "Gold"},
                  combinator="or", **{"not": True}),
            {"field": "model:churn.score", "operator": "<", "value": "a", "valueSource": "field"},
        ),
        SCHEMA,
    )  # fmt: skip
    assert isinstance(condition, Group)
    first, inner, last = condition.rules
    assert isinstance(first, Rule)
    assert isinstance(inner, Group)
    assert isinstance(last, Rule)
    assert (first.field.path, first.kind, first.operand) == (
        ("work", "pay"),
        TraitType.NUMBER,
        1000,
    )
    assert (first.missing, first.case_sensitive) == (False, False)
    assert (inner.combinator, inner.negated, condition.negated) == ("or", True, False)
    assert last.other is not None
    assert last.other.name == "a"
    assert references_of(condition) == {"vip"}
    assert models_of(condition) == {"tiers", "churn"}
    assert [rule.field.name for rule in rules_of(condition)] == [
        "work.pay", "segment:vip", "model:tiers.label", "model:churn.score",
    ]  # fmt: skip


def test_zones_decide_what_a_whole_day_is() -> None:
    document = group({"field": "seen", "operator": "=", "value": "2026-11-20"})
    prague = parse_condition(document, Schema(zone=ZoneInfo("Europe/Prague"), types=TYPES))
    utc = parse_condition(document, SCHEMA)
    assert isinstance(prague, Group)
    assert isinstance(utc, Group)
    (here,), (there,) = prague.rules, utc.rules
    assert isinstance(here, Rule)
    assert isinstance(there, Rule)
    ((_, one),), ((_, other),) = here.operand, there.operand
    assert other.start - one.start == 3_600_000_000
    assert one.end - one.start == other.end - other.start == 86_400_000_000


def test_the_values_of_a_rule_are_limited_and_the_way_out_is_told() -> None:
    schema = Schema(zone=UTC, values_limit=3)
    rules = [
        {"field": "zip", "operator": "in", "value": ["1", "2", "3"]},
        {"field": "zip", "operator": "notIn", "value": ["1", "2", "3", "4"]},
        {"field": "tags", "operator": "containsAny", "value": [*range(4)]},
        {"field": "tags", "operator": "=", "value": [*range(4)]},
    ]
    with pytest.raises(Invalid) as refused:
        parse_condition({"combinator": "and", "rules": rules}, schema)
    assert [(problem.pointer, problem.code) for problem in refused.value.problems] == [
        (f"/condition/rules/{place}/value", "too_many") for place in (1, 2, 3)
    ]
    assert refused.value.problems[0].detail == (
        "a rule holds 3 values at most; put the customers on a list segment and ask for it with "
        "segment:KEY"
    )
    assert Schema(zone=UTC).values_limit == 10_000
