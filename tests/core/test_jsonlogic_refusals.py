"""JSONLogic that no condition can say is refused where it is, however long, deep or odd it is."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.importing.jsonlogic import from_jsonlogic
from service.core.parsing import Invalid, Problem, Schema, parse_condition
from tests.core.jsonlogic import SCHEMA, TYPES, var


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
