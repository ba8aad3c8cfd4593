"""Each operation of JSONLogic comes in as the rules that say the same."""

import json
from typing import Any

import pytest

from service.core.importing.jsonlogic import from_jsonlogic
from service.core.parsing import parse_condition
from tests.core.jsonlogic import SCHEMA, group, rule, var

CASED = {"caseSensitive": True}
ABSENT = {"missing": True}
FIELD = {"valueSource": "field"}
SHAPES: list[tuple[Any, dict[str, Any]]] = [
    ({"==": [var("country"), "CZ"]}, rule("country", "=", "CZ", **CASED)),
    ({"!==": [var("country"), "CZ"]}, rule("country", "!=", "CZ", **CASED, **ABSENT)),
    ({"==": [5, var("age")]}, rule("age", "=", 5)),
    ({"==": [var("age"), None]}, rule("age", "null")),
    ({"!=": [None, var("age")]}, rule("age", "notNull")),
    ({"<": [5, var("age")]}, rule("age", ">", 5)),
    ({"<": [var("age"), 5]}, rule("age", "<", 5, **ABSENT)),
    ({">=": [var(["age"]), 0]}, rule("age", ">=", 0, **ABSENT)),
    ({"!": {">": [var("age"), 5]}}, rule("age", "<=", 5, **ABSENT)),
    ({"!": [{"<": [var("age"), 5]}]}, rule("age", ">=", 5)),
    ({"<=": [18, var("age"), 65]}, rule("age", "between", [18, 65])),
    ({"!": {"<=": [18, var("age"), 65]}}, rule("age", "notBetween", [18, 65], **ABSENT)),
    ({"<=": [-1, var("age"), 65]}, rule("age", "between", [-1, 65], **ABSENT)),
    ({"<": [18, var("age"), 65]},
     group("and", rule("age", ">", 18), rule("age", "<", 65, **ABSENT))),
    ({"<=": [var("age"), var("spent"), 9]},
     group("and",
           group("or", rule("age", "<=", "spent", **FIELD),
                 group("and", rule("age", "null"), rule("spent", ">=", 0, **ABSENT)),
                 group("and", rule("spent", "null"), rule("age", "<=", 0))),
           rule("spent", "<=", 9, **ABSENT))),
    ({"===": [var("country"), var("name")]},
     group("or", rule("country", "=", "name", **FIELD, **CASED),
           group("and", rule("country", "null"), rule("name", "null")))),
    ({"!=": [var("age"), var("spent")]},
     group("and", rule("age", "!=", "spent", **FIELD, **ABSENT),
           group("or", rule("age", "notNull"), rule("spent", "notNull")))),
    ({"in": [var("country"), ["CZ", "SK"]]}, rule("country", "in", ["CZ", "SK"], **CASED)),
    ({"in": [var("age"), [5, None]]}, rule("age", "in", [5], **ABSENT)),
    ({"in": [var("age"), [None]]}, rule("age", "null")),
    ({"!": {"in": [var("age"), [5]]}}, rule("age", "notIn", [5], **ABSENT)),
    ({"in": ["Z", var("country")]}, rule("country", "contains", "Z", **CASED)),
    ({"in": ["Z", var("tags")]}, rule("tags", "containsAny", ["Z"], **CASED)),
    ({"in": [5.0, var("country")]}, rule("country", "contains", "5", **CASED)),
    ({"in": ["Z", var("name")]},
     group("or", rule("name", "contains", "Z", **CASED),
           rule("name", "containsAny", ["Z"], **CASED))),
    ({"startsWith": [var("country"), "C"]}, rule("country", "beginsWith", "C", **CASED)),
    ({"!": {"endsWith": [var("country"), "C"]}},
     rule("country", "doesNotEndWith", "C", **CASED, **ABSENT)),
    ({"some": [var("tags"), {"===": [var(""), "x"]}]}, rule("tags", "containsAny", ["x"], **CASED)),
    ({"some": [var("tags"), {"or": [{"===": ["x", var("")]}, {"in": [var(""), [1, 2]]}]}]},
     rule("tags", "containsAny", ["x", 1, 2], **CASED)),
    ({"none": [var("tags"), {"in": [var(""), ["x", 1]]}]},
     rule("tags", "containsNone", ["x", 1], **CASED, **ABSENT)),
    ({"all": [var("tags"), {"!": {"in": [var(""), [1]]}}]},
     group("and", rule("tags", "containsNone", [1]), rule("tags", "!=", []))),
    ({"<": [var("age", 5), 3]}, rule("age", "<", 3)),
    ({"<": [var("age", 1), 3]}, rule("age", "<", 3, **ABSENT)),
    (var("vip", True), rule("vip", "=", True, **ABSENT)),
    ({"some": [var("tags", []), {"===": [var(""), 1]}]}, rule("tags", "containsAny", [1])),
    (var("vip"), rule("vip", "=", True)),
    ({"!": var("vip")}, rule("vip", "!=", True, **ABSENT)),
    ({"!!": [var("age")]}, rule("age", "!=", 0)),
    ({"!": [var("country")]}, rule("country", "=", "", **ABSENT)),
    ({"!!": var("seen")}, rule("seen", "notNull")),
    ({"!": var("name")}, rule("name", "in", [False, 0, "", []], **ABSENT)),
    ({"!!": var("name")}, rule("name", "notIn", [False, 0, "", [], {}])),
    ({"missing": ["age", "country"]},
     group("or", rule("age", "null"), rule("country", "=", "", **ABSENT))),
    ({"!": {"missing": [["age", "vip"]]}},
     group("and", rule("age", "notNull"), rule("vip", "notNull"))),
    ({"missing_some": [1, ["age", "vip"]]}, group("and", rule("age", "null"), rule("vip", "null"))),
    ({"!": {"missing_some": [1, ["age", "vip"]]}},
     group("or", rule("age", "notNull"), rule("vip", "notNull"))),
    ({"missing_some": [9, ["age", "vip"]]}, group("or", rule("age", "null"), rule("vip", "null"))),
    ({"if": [var("vip"), True, {">": [var("age"), 5]}]},
     group("or", rule("vip", "=", True), rule("age", ">", 5))),
    ({"if": [var("vip"), {">": [var("age"), 5]}, False]},
     group("and", rule("vip", "=", True), rule("age", ">", 5))),
    ({"?:": [var("vip"), {">": [var("age"), 5]}, {">": [var("age"), 9]}]},
     group("or", group("and", rule("vip", "=", True), rule("age", ">", 5)),
           group("and", rule("vip", "!=", True, **ABSENT), rule("age", ">", 9)))),
    ({"if": [var("vip"), False, True]}, rule("vip", "!=", True, **ABSENT)),
    ({"!": {"and": [var("vip"), {">": [var("age"), 5]}]}},
     group("or", rule("vip", "!=", True, **ABSENT), rule("age", "<=", 5, **ABSENT))),
    ({"and": [True, {"or": [False, var("vip"), {"or": [{">": [var("age"), 5]}]}]}]},
     group("or", rule("vip", "=", True), rule("age", ">", 5))),
    ({"==": [var("segment:big"), True]}, rule("segment:big", "=", True)),
    ({"!": var("segment:big")}, rule("segment:big", "!=", True)),
    ({">": [var("box.length"), 5]}, rule("box.length", ">", 5)),
]  # fmt: skip


@pytest.mark.parametrize(("logic", "node"), SHAPES, ids=lambda each: json.dumps(each)[:60])
def test_each_operation_has_its_rule(logic: Any, node: dict[str, Any]) -> None:
    imported = from_jsonlogic(logic, SCHEMA)
    assert imported.condition == (node if "rules" in node else group("and", node))
    assert imported.parsed == parse_condition(imported.condition, SCHEMA)
