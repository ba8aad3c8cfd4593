"""JSONLogic comes in with the truth that its reference implementation gives it.

tests/cases/jsonlogic/README.md says how its cases are made.
"""

import json
from collections.abc import Iterator
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.importing.draft import Imported
from service.core.importing.jsonlogic import from_jsonlogic
from service.core.instants import Moment
from service.core.interpreting import evaluate
from service.core.parsing import Invalid, Problem, Schema, parse_condition
from service.core.traits import TraitType, kind_of

CASES = Path(__file__).parents[1] / "cases" / "jsonlogic" / "cases.jsonl"
MIXED = ("a", "b", "labels", "work.code")
NOW = Moment(0, UTC)


@cache
def shared() -> dict[str, Any]:
    with CASES.open(encoding="utf-8") as lines:
        return dict(json.loads(next(lines)))


def types() -> dict[str, TraitType]:
    return {name: TraitType(kind) for name, kind in shared()["types"].items()}


def cases() -> Iterator[dict[str, Any]]:
    with CASES.open(encoding="utf-8") as lines:
        next(lines)
        yield from map(json.loads, lines)


def differences(case: dict[str, Any], imported: Imported, profiles: list[int]) -> list[Any]:
    """The profiles of whom JSONLogic and the condition say different things."""
    found = []
    for place in profiles:
        profile = shared()["profiles"][place]
        member = evaluate(imported.parsed, profile, NOW, lambda key: None) is True
        if member != (case["truths"][place] == "1"):
            found.append((case["logic"], imported.condition, profile))
    return found


def everyone() -> list[int]:
    return list(range(len(shared()["profiles"])))


def taken(schema: Schema) -> Iterator[tuple[dict[str, Any], Imported]]:
    for case in cases():
        try:
            yield case, from_jsonlogic(case["logic"], schema)
        except Invalid:
            continue


def test_without_a_warning_truth_is_the_same() -> None:
    sure = 0
    for case, imported in taken(Schema(zone=UTC, types=types())):
        if not imported.warnings:
            assert differences(case, imported, everyone()) == []
            sure += 1
    assert sure > 1_000


def held(profile: dict[str, Any], path: str) -> Any:
    value: Any = profile
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


@pytest.mark.parametrize("kind", ["string", "number", "boolean", "list"])
def test_with_a_declared_type_both_agree(kind: str) -> None:
    """What the warnings advise: of customers whose values have the type, truth is the same."""
    schema = Schema(zone=UTC, types=types() | dict.fromkeys(MIXED, TraitType(kind)))
    sure = 0
    for case, imported in taken(schema):
        named = [name for name in MIXED if f'"{name}"' in json.dumps(case["logic"])]
        if named and not imported.warnings:
            profiles = [
                place
                for place, profile in enumerate(shared()["profiles"])
                if all(kind_of(held(profile, name)) in (None, TraitType(kind)) for name in named)
            ]
            assert differences(case, imported, profiles) == []
            sure += 1
    assert sure > 100


def test_each_warning_is_of_a_difference() -> None:
    needed: dict[str, int] = {}
    for case, imported in taken(Schema(zone=UTC, types=types())):
        given_codes = {each.code for each in imported.warnings}
        if len(given_codes) == 1 and differences(case, imported, everyone()):
            (code,) = given_codes
            needed[code] = needed.get(code, 0) + 1
    assert set(needed) == set(WARNED)


def test_most_of_what_is_asked_for_is_taken() -> None:
    refused = sum(1 for _ in cases()) - sum(1 for _ in taken(Schema(zone=UTC, types=types())))
    assert refused < 150


TYPES = {
    "age": TraitType.NUMBER,
    "spent": TraitType.MONEY,
    "vip": TraitType.BOOLEAN,
    "country": TraitType.STRING,
    "tags": TraitType.LIST,
    "seen": TraitType.INSTANT,
    "app": TraitType.VERSION,
    "home": TraitType.POINT,
    "box.length": TraitType.NUMBER,
}
SCHEMA = Schema(zone=UTC, types=TYPES)


def var(name: Any, *default: Any) -> dict[str, Any]:
    return {"var": [name, *default] if default else name}


def rule(field: str, operator: str, *value: Any, **more: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator} | ({"value": value[0]} if value else {}) | more


def group(combinator: str, *rules: Any) -> dict[str, Any]:
    return {"combinator": combinator, "rules": list(rules)}


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


# For each warning: where it is due, and the same where it is not.
WARNED: dict[str, tuple[list[tuple[Any, list[str]]], list[Any]]] = {
    "loose_equality": (
        [
            ({"==": [var("plan"), 5]}, [""]),
            ({"or": [{"==": [var("plan"), "5"]}, {"==": [var("plan"), 6]}]}, ["/or/0"]),
            ({"==": [var("plan"), True]}, [""]),
            ({"==": [var("country"), 5]}, [""]),
            ({"==": [var("plan"), var("nick")]}, ["", ""]),
            ({"some": [var("tags"), {"==": [var(""), 5]}]}, [""]),
        ],
        [{"===": [var("plan"), 5]}, {"==": [var("plan"), "x"]}, {"==": [var("age"), 5]}],
    ),
    "undeclared_type": (
        [
            ({"<": [var("plan"), 5]}, [""]),
            ({"and": [var("vip"), {"!=": [var("plan"), "x"]}]}, ["/and/1"]),
            ({"!": {"in": [var("plan"), ["x"]]}}, ["/!"]),
            ({"none": [var("plan"), {"==": [var(""), "x"]}]}, [""]),
        ],
        [{"in": [var("plan"), ["x"]]}, {"<": [var("age"), 5]}, {"!": var("plan")}],
    ),
    "compared_as_text": (
        [
            ({">": [var("seen"), "2026-11-20T00:00:00Z"]}, [""]),
            ({"<=": ["2026-11-19", var("seen"), "2026-11-20"]}, [""]),
            ({"!": {"==": [var("app"), "1.2"]}}, ["/!"]),
        ],
        [{"!!": var("seen")}, {"==": [var("app"), None]}],
    ),
    "read_as_declared": (
        [
            ({"===": [var("age"), "5"]}, [""]),
            ({"in": [var("country"), ["x", 5]]}, [""]),
            ({"==": [var("vip"), "true"]}, [""]),
        ],
        [{"==": [var("age"), "5"]}, {"===": [var("vip"), True]}],
    ),
    "missing_compared": (
        [({"startsWith": [var("country"), var("country")]}, [""])],
        [{"startsWith": [var("country"), "x"]}],
    ),
    "empty_text": (
        [({"!": {"missing": ["plan"]}}, ["/!"])],
        [{"missing": ["plan"]}, {"!": {"missing": ["country", "age"]}}],
    ),
    "default": (
        [({"<": [var("age", 5), 3]}, ["/</0/var/0"]), (var("vip", True), ["/var/0"])],
        [{"<": [var("age", 5), 9]}, {"<": [var("age", None), 9]}, var("vip", False)],
    ),
}


@pytest.mark.parametrize("code", WARNED)
def test_each_difference_is_warned_of_where_it_is(code: str) -> None:
    due, not_due = WARNED[code]
    for logic, pointers in due:
        warnings = from_jsonlogic(logic, SCHEMA).warnings
        assert [each.pointer for each in warnings if each.code == code] == pointers, logic
    for logic in not_due:
        assert code not in {each.code for each in from_jsonlogic(logic, SCHEMA).warnings}, logic


def refusals(logic: Any, schema: Schema = SCHEMA) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        from_jsonlogic(logic, schema)
    return [(each.pointer, each.code) for each in caught.value.problems]


REFUSALS: list[tuple[Any, list[tuple[str, str]]]] = [
    ("adult", [("", "type")]),
    ([var("vip")], [("", "type")]),
    ({}, [("", "type")]),
    ({"and": [var("vip")], "or": []}, [("", "type")]),
    (True, [("", "bad_value")]),
    ({"or": []}, [("", "bad_value")]),
    ({"if": [var("vip"), "adult", "child"]}, [("/if/1", "type"), ("/if/2", "type")]),
    ({"+": [1, 2]}, [("", "bad_operator")]),
    ({">": [{"/": [var("age"), 2]}, 5]}, [("/>/0", "bad_operator")]),
    ({"==": [5, {"cat": ["a", "b"]}]}, [("/==/0", "bad_value")]),
    ({"==": [var("country"), {"cat": ["a", "b"]}]}, [("/==/1", "bad_operator")]),
    ({"==": [var("vip"), {"!": [var("age")]}]}, [("/==/1", "bad_operator")]),
    ({"filter": [var("tags"), True]}, [("", "bad_operator")]),
    ({"log": "x"}, [("", "bad_operator")]),
    ({"isAdult": [var("age")]}, [("", "unknown_operator")]),
    ({"a/b~c": []}, [("", "unknown_operator")]),
    ({"!": {"isAdult": []}}, [("/!", "unknown_operator")]),
    (var(""), [("/var", "unknown_field")]),
    (var(0), [("/var", "unknown_field")]),
    (var("tags.0"), [("/var", "unknown_field")]),
    ({">": [var("tags.length"), 2]}, [("/>/0/var", "unknown_field")]),
    (var({"var": "x"}), [("/var", "unknown_field")]),
    ({"var": []}, [("", "bad_value")]),
    (var("a:b"), [("/var", "unknown_field")]),
    ({"var": ["age", [1]]}, [("/var/1", "type")]),
    ({"==": [var("plan", []), 0]}, [("/==/0/var/1", "type")]),
    ({"==": [1, 1]}, [("/==/0", "bad_value")]),
    ({"==": [var("age")]}, [("", "bad_value")]),
    ({">": [1, var("age"), 2]}, [("", "bad_value")]),
    ({"<=": [9, var("age"), 2]}, [("", "empty")]),
    ({"<": [var("country"), 5]}, [("", "bad_operator")]),
    ({"<": [var("age"), None]}, [("/</1", "bad_value")]),
    ({"==": [var("age"), "old"]}, [("/==/1", "type")]),
    ({"==": [var("tags"), var("home")]}, [("", "bad_operator")]),
    ({"==": [var("age", 5), var("spent")]}, [("/==/0/var/0", "bad_value")]),
    ({"in": [var("country"), "CZ,SK"]}, [("/in/1", "bad_value")]),
    ({"in": [var("country"), [["CZ"]]]}, [("/in/1/0", "type")]),
    ({"in": [True, var("tags")]}, [("/in/0", "type")]),
    ({"in": ["", var("country")]}, [("/in/0", "empty")]),
    ({"some": [var("tags"), {">": [var(""), 5]}]}, [("/some/1", "bad_operator")]),
    ({"some": [var("tags"), {"==": [var("name"), 5]}]}, [("/some/1", "bad_operator")]),
    ({"some": [var("tags"), {"!=": [var(""), 5]}]}, [("", "bad_operator")]),
    ({"all": [var("tags"), {"==": [var(""), 5]}]}, [("", "bad_operator")]),
    ({"missing": [5]}, [("/missing/0", "unknown_field")]),
    ({"missing": {"merge": []}}, [("/missing", "unknown_field")]),
    ({"missing_some": ["1", ["a"]]}, [("", "bad_value")]),
    (
        {"and": [{"+": []}, {"or": [var("vip"), {"-": []}]}, {"if": [{"*": []}, var("vip")]}]},
        [("/and/0", "bad_operator"), ("/and/1/or/1", "bad_operator"),
         ("/and/2/if/0", "bad_operator")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("logic", "expected"), REFUSALS, ids=lambda each: json.dumps(each)[:60])
def test_what_cannot_be_said_is_refused_where_it_is(
    logic: Any, expected: list[tuple[str, str]]
) -> None:
    assert refusals(logic) == expected


def test_pointers_begin_where_the_logic_stands() -> None:
    with pytest.raises(Invalid) as caught:
        from_jsonlogic({"and": [{"+": []}]}, SCHEMA, "/logic")
    assert [each.pointer for each in caught.value.problems] == ["/logic/and/0"]
    (warning,) = from_jsonlogic({"!": {"==": [var("plan"), "x"]}}, SCHEMA, "/logic").warnings
    assert warning.pointer == "/logic/!"


def nested(depth: int) -> Any:
    logic: Any = var("vip")
    for _ in range(depth - 1):
        logic = {"!": logic}
    return logic


def test_operations_nest_so_deep_and_no_deeper() -> None:
    assert from_jsonlogic(nested(32), SCHEMA).condition["rules"]
    assert refusals(nested(33)) == [("/!" * 32, "too_deep")]
    assert refusals(nested(400)) == [("/!" * 32, "too_deep")]


def test_a_condition_that_would_nest_too_deep_is_refused() -> None:
    chain = [each for n in range(40) for each in ({"==": [var("age"), n]}, {"!!": var("country")})]
    assert refusals({"if": chain}) == [("", "too_deep")]


def test_there_are_so_many_rules_and_no_more() -> None:
    rules = [{"==": [var("age"), n]} for n in range(SCHEMA.rules_limit)]
    assert len(from_jsonlogic({"or": rules}, SCHEMA).condition["rules"]) == SCHEMA.rules_limit
    assert refusals({"or": [*rules, var("vip")]}) == [("/or/1000", "too_many_rules")]


@pytest.mark.parametrize("innermost", [True, var("vip"), {"==": [var("age"), 1]}])
def test_what_would_grow_without_bound_is_refused(innermost: Any) -> None:
    logic = innermost
    for _ in range(30):
        logic = {"if": [logic, {">": [var("age"), 5]}, {">": [var("spent"), 5]}]}
    assert "too_many_rules" in {code for _, code in refusals(logic)}
    names = [f"t{n}" for n in range(30)]
    assert "too_many_rules" in {code for _, code in refusals({"missing_some": [15, names]})}


def test_no_more_is_told_than_anybody_reads() -> None:
    told = refusals({"or": [{"+": []}] * 50_000})
    assert told[-1][1] == "too_many_rules"
    assert len(told) <= 20 * SCHEMA.rules_limit + 1


def leads_into(document: Any, pointer: str) -> bool:
    at = document
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(at, list) and name.isdigit() and int(name) < len(at):
            at = at[int(name)]
        elif isinstance(at, dict) and name in at:
            at = at[name]
        else:
            return False
    return True


OPERATIONS = (
    "and", "or", "!", "!!", "==", "===", "!=", "!==", "<", "<=", ">", ">=", "in", "var", "missing",
    "missing_some", "if", "?:", "all", "some", "none", "startsWith", "endsWith", "+", "cat", "x/y",
)  # fmt: skip
SCRAPS = st.sampled_from(
    (None, True, False, 0, 1, 5, -2.5, "", "x", "5", "age", "2026-11-20", *map(var, TYPES),
     var(""), var("plan"), var("plan", 5), var("segment:big"), var("a.0"))
)  # fmt: skip
WHATEVER = st.recursive(
    SCRAPS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.builds(
            lambda name, given_: {name: given_},
            st.sampled_from(OPERATIONS),
            st.one_of(st.lists(inner, max_size=4), inner),
        )
    ),
    max_leaves=25,
)


@settings(deadline=None, max_examples=500)
@given(WHATEVER)
def test_whatever_comes_is_taken_or_refused(document: Any) -> None:
    try:
        imported = from_jsonlogic(document, SCHEMA)
    except Invalid as fault:
        told = fault.problems
    else:
        told = [Problem("", "", ""), *imported.warnings]
        assert parse_condition(imported.condition, SCHEMA) == imported.parsed
    assert told
    assert all(leads_into(document, each.pointer) for each in told)
