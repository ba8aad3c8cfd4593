"""What is masked of a profile, and what is told of the rest."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.personal import MASK, NOBODYS, Personal

HOME = {"city": "Brno", "geo": {"lat": 1.5, "lon": 2}}


@pytest.mark.parametrize(
    ("personal", "traits", "masked", "paths"),
    [
        ({"email"}, {"email": "a@b.c", "age": 3}, {"email": MASK, "age": 3}, ["email"]),
        ({"email"}, {"age": 3}, {"age": 3}, []),
        ({"home"}, {"home": HOME}, {"home": MASK}, ["home"]),
        ({"home"}, {"home": {}}, {"home": MASK}, ["home"]),
        ({"home", "home.city"}, {"home": HOME}, {"home": MASK}, ["home"]),
        (
            {"home.city", "home.geo.lat"},
            {"home": HOME},
            {"home": {"city": MASK, "geo": {"lat": MASK, "lon": 2}}},
            ["home.city", "home.geo.lat"],
        ),
        # Where the object should be, something else may hold the same.
        ({"home.city"}, {"home": "Brno"}, {"home": MASK}, ["home"]),
        ({"home.city"}, {"home": [HOME]}, {"home": MASK}, ["home"]),
        ({"a"}, {"a": None, "b": {"a": 1}}, {"a": None, "b": {"a": 1}}, []),
        ({"a"}, {"a": 0, "ab": 1}, {"a": MASK, "ab": 1}, ["a"]),
        ({"a"}, {"a": False}, {"a": MASK}, ["a"]),
    ],
)
def test_what_is_masked(
    personal: set[str], traits: dict[str, Any], masked: dict[str, Any], paths: list[str]
) -> None:
    assert Personal(frozenset(personal)).masked(traits) == (masked, paths)


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        ("pay - 83219", "pay - ***"),
        ("2*pay.net2/ 1.5", "***" + "*pay.net2/ ***"),
        ("(born + 18y) × 3", "(born + ***) × ***"),
        ("`pay` - `of 2026` - 7", "`pay` - `of 2026` - ***"),
        ("pay * (12", "pay * (***"),
        ("pay - paid", None),
        ("payment - 83219", None),
        (83219, None),
    ],
)
def test_numbers_in_formulas_of_personal_traits(formula: Any, shown: str | None) -> None:
    document = {"formula": formula, "description": "8"}
    personal = Personal(frozenset({"pay", "born"}))
    expected = document if shown is None else {**document, "formula": shown}
    places = [] if shown is None else ["/formula"]
    assert personal.definition(document) == (expected, places)
    assert NOBODYS.definition(document) == (document, [])


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.frozensets(st.lists(NAMES, min_size=1, max_size=3).map(".".join), max_size=4)
VALUES = st.recursive(
    st.integers(),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)


def leaves(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: value}
    found: dict[str, Any] = {}
    for name, inner in value.items():
        found |= leaves(inner, f"{path}.{name}" if path else name)
    return found


@given(PATHS, st.dictionaries(NAMES, VALUES, max_size=3))
def test_nothing_at_or_below_a_personal_path_is_left(
    paths: frozenset[str], traits: dict[str, Any]
) -> None:
    personal = Personal(paths)
    before = leaves(traits, "")
    masked, told = personal.masked(traits)
    after = leaves(masked, "")
    hidden = set(told)
    for path, value in before.items():
        steps = path.split(".")
        above = {".".join(steps[:length]) for length in range(1, len(steps) + 1)}
        below = any(each.startswith(f"{path}.") for each in paths)
        if above & paths:
            assert personal.covering(path) in above & paths
            assert above & hidden
            assert path not in after or after[path] == MASK
        elif below:
            assert after[path] == MASK
        else:
            assert personal.covering(path) is None
            assert after[path] == value


def test_a_reason_names_what_is_personal_and_nothing_below_it() -> None:
    personal = Personal(frozenset({"children"}))
    reason = {"kind": "trait", "traits": ["age", "children.Bob", "children.Eve"]}
    assert personal.reason(reason) == {"kind": "trait", "traits": ["age", "children"]}
    assert NOBODYS.reason(reason) == reason
    assert personal.reason({"kind": "time"}) == {"kind": "time"}


@pytest.mark.parametrize(
    ("path", "touched"),
    [("a", True), ("a.b", True), ("a.b.c", True), ("a.c", False), ("x", True), ("x.y", True),
     ("y", False), ("ab", False)],
)  # fmt: skip
def test_paths_that_hold_what_is_personal_or_lie_within(path: str, touched: bool) -> None:
    assert Personal(frozenset({"a.b", "x"})).touches(path) is touched


@pytest.mark.parametrize(
    ("rule", "hidden"),
    [
        ({"field": "x", "operator": "=", "value": False}, True),
        ({"field": "x", "operator": "in", "value": ["a"]}, True),
        ({"field": "a", "operator": "=", "value": {"b": 1}}, True),
        ({"field": "x", "operator": "null", "value": None}, False),
        ({"field": "x", "operator": "null"}, False),
        ({"field": "x", "operator": "=", "value": "y", "valueSource": "field"}, False),
        ({"field": "y", "operator": "=", "value": "x"}, False),
        ({"field": "customer_id", "operator": "=", "value": "c-1"}, True),
        ({"field": "customer_id", "operator": "sample", "value": {"percent": 1}}, False),
        ({"field": ["x"], "value": 1}, False),
    ],
)
def test_rules_whose_value_is_personal(rule: dict[str, Any], hidden: bool) -> None:
    personal = Personal(frozenset({"a.b", "x"}))
    document = {"combinator": "and", "rules": ["and", {"rules": [rule], "not": True}]}
    masked, places = personal.condition(document)
    assert places == ["/condition/rules/1/rules/0/value"] * hidden
    told = masked["rules"][1]["rules"][0]
    assert told == ({**rule, "value": "***"} if hidden else rule)
    assert masked | {"rules": []} == document | {"rules": []}
    assert document["rules"][1]["rules"][0] is rule  # type: ignore[index]
