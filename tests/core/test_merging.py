"""Merging traits: RFC 7396, and the latest time wins whatever the order of arrival."""

import itertools
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core import merging
from service.core.merging import Change, Merge, Written, check_names, count_traits, merge, same
from service.core.parsing import Schema
from service.core.traits import TraitType

PLAIN = Schema(zone=UTC)
BRNO = {"lat": 49.1951, "lon": 16.6068}
PRAHA = {"lat": 50.0755, "lon": 14.4378}


def written(at: int, source: str = "assign") -> Written:
    return Written(at, None, source)


def merged(*patches: dict[str, Any], schema: Schema = PLAIN) -> Merge:
    """Patches written and arriving one after the other, at 1, 2, 3 ..."""
    return arriving([(at, patch) for at, patch in enumerate(patches, 1)], schema)


def arriving(patches: list[tuple[int, dict[str, Any]]], schema: Schema = PLAIN) -> Merge:
    """Patches in the order of their arrival, each with the instant it was written at."""
    result = Merge({}, {})
    for at, patch in patches:
        result = merge(result.traits, result.times, patch, written(at), schema)
    return result


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, word for word; but points replace whole."""
    if not isinstance(patch, dict) or (
        patch.keys() == {"lat", "lon"} and all(type(v) in (int, float) for v in patch.values())
    ):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"a": "foo"}, {"b": ["x", None]}, {"a": "foo", "b": ["x", None]}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": {"b": "c"}}, {"a": {}}, {"a": {"b": "c"}}),
        ({"a": 5}, {"a": {}}, {"a": {}}),
        ({"a": 5}, {"a": {"b": None}}, {"a": {}}),
        ({"a": 5}, {"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 1}}}),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
        ({}, {"a": {"lat": {}, "lon": {"b": None}}}, {"a": {"lat": {}, "lon": {}}}),
    ],
)
def test_the_cases_of_rfc_7396(
    target: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert merged(target, patch).traits == expected


_NAMES = st.sampled_from(("a", "b", "lat", "lon"))
_LEAVES = st.one_of(
    st.none(),
    st.integers(0, 3),
    st.sampled_from(("x", "", True, 1.5, [], [1, None], BRNO, PRAHA)),
)
_VALUES = st.recursive(_LEAVES, lambda inner: st.dictionaries(_NAMES, inner, max_size=3))
_PATCHES = st.dictionaries(st.sampled_from("ab"), _VALUES, min_size=1, max_size=3)


@settings(max_examples=300, deadline=None)
@given(st.lists(_PATCHES, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_what_the_order_of_time_gives(
    patches: list[dict[str, Any]], shuffler: Any
) -> None:
    timed = list(enumerate(patches, 1))
    expected: Any = {}
    for patch in patches:
        expected = merge_patch(expected, patch)
    assert same(arriving(timed).traits, expected)
    shuffler.shuffle(timed)
    assert same(arriving(timed).traits, expected)


@settings(max_examples=100, deadline=None)
@given(st.lists(_PATCHES, min_size=3, max_size=3))
def test_every_order_of_three(patches: list[dict[str, Any]]) -> None:
    outcomes = [arriving(list(order)) for order in itertools.permutations(enumerate(patches, 1))]
    assert all(same(outcomes[0].traits, outcome.traits) for outcome in outcomes)


@settings(max_examples=200, deadline=None)
@given(st.lists(_PATCHES, min_size=1, max_size=5))
def test_changes_tell_all_that_changed(patches: list[dict[str, Any]]) -> None:
    """Whoever applies the history's changes has the traits."""
    result, told = Merge({}, {}), Merge({}, {})
    for at, patch in enumerate(patches, 1):
        result = merge(result.traits, result.times, patch, written(at), PLAIN)
        for change in result.changes:
            document: Any = change.value
            for step in reversed(change.path.split(".")):
                document = {step: document}
            told = merge(told.traits, told.times, document, change.written, PLAIN)
    assert same(told.traits, result.traits)


def test_what_was_set_at_the_same_instant_wins_by_arrival() -> None:
    assert arriving([(1, {"a": 1}), (1, {"a": 2})]).traits == {"a": 2}
    assert arriving([(1, {"a": {"b": 1}}), (1, {"a": 2})]).traits == {"a": 2}
    assert arriving([(1, {"a": 2}), (1, {"a": {"b": 1}})]).traits == {"a": {"b": 1}}


def test_an_older_value_does_not_revive_what_was_removed() -> None:
    assert arriving([(1, {"a": 1}), (3, {"a": None}), (2, {"a": 2})]).traits == {}
    assert arriving([(3, {"a": None}), (2, {"a": {"b": 2}})]).traits == {}


def test_what_was_set_below_later_survives_an_older_value_above() -> None:
    late = arriving([(1, {"a": {"b": 1, "c": 1}}), (3, {"a": {"c": 3}}), (2, {"a": None})])
    assert late.traits == {"a": {"c": 3}}
    assert set(late.times) == {"a", "a.c"}


def test_points_and_arrays_replace_whole() -> None:
    assert merged({"home": {"lat": 1, "lon": 2}}, {"home": BRNO}).traits == {"home": BRNO}
    assert merged({"home": {"city": "Brno", "lat": 1}}, {"home": BRNO}).traits == {"home": BRNO}
    assert merged({"tags": ["a", "b"]}, {"tags": ["c"]}).traits == {"tags": ["c"]}
    assert merged({"home": BRNO}).times.keys() == {"home"}
    assert merged({"home": BRNO}, {"home": {"city": "Brno"}}).traits == {
        "home": {**BRNO, "city": "Brno"}
    }


def test_a_late_point_takes_its_place_under_what_came_later() -> None:
    late = arriving([(1, {"home": PRAHA}), (3, {"home": {"city": "Brno"}}), (2, {"home": BRNO})])
    assert late.traits == {"home": {**BRNO, "city": "Brno"}}


def test_values_declared_as_objects_replace_whole() -> None:
    schema = Schema(UTC, {"info": TraitType.OBJECT})
    assert merged({"info": {"k": 1}}, {"info": {"l": 2}}, schema=schema).traits == {
        "info": {"l": 2}
    }
    assert merged({"info": {"k": 1}}, {"info": {}}, schema=schema).traits == {"info": {}}


def test_values_are_coerced_to_their_declared_type_and_failures_are_told() -> None:
    schema = Schema(UTC, {"spent": TraitType.MONEY, "work.pay": TraitType.NUMBER})
    patch = {"spent": "120.50", "work": {"pay": "much", "place": "Brno"}, "other": "1"}
    result = merged(patch, schema=schema)
    assert result.traits == {"spent": 120.5, "work": {"place": "Brno"}, "other": "1"}
    assert [(p.pointer, p.code) for p in result.problems] == [("/traits/work/pay", "wrong_type")]
    assert "work.pay" not in result.times


def test_a_value_that_does_not_fit_leaves_the_one_before() -> None:
    schema = Schema(UTC, {"age": TraitType.NUMBER})
    assert merged({"age": 31}, {"age": "old"}, schema=schema).traits == {"age": 31}
    assert merged({"age": 31}, {"age": None}, schema=schema).traits == {}


def test_each_path_knows_when_and_by_whom_it_was_set() -> None:
    first = merge({}, {}, {"a": {"b": 1}, "c": 1}, written(1, "import"), PLAIN)
    second = merge(first.traits, first.times, {"c": 2}, written(2), PLAIN)
    assert second.times == {"a.b": written(1, "import"), "c": written(2)}
    assert second.changes == [Change("c", 2, written(2))]


def test_a_value_sent_again_is_no_change_but_is_newer() -> None:
    again = merged({"a": 1, "b": [1]}, {"a": 1.0, "b": [1]})
    assert again.changes == []
    assert again.times["a"].at == 2


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, "1"), (0, False), ([1], [True])])
def test_values_of_different_types_are_different(one: Any, other: Any) -> None:
    assert [change.value for change in merged({"a": one}, {"a": other}).changes] == [other]


def test_the_arguments_are_not_changed() -> None:
    traits, times = {"a": {"b": {"c": 1}}}, {"a.b.c": written(1)}
    merge(traits, times, {"a": {"b": {"c": 2, "d": 3}}}, written(2), PLAIN)
    assert traits == {"a": {"b": {"c": 1}}}
    assert times == {"a.b.c": written(1)}


def test_names_that_come_and_go_do_not_pile_up() -> None:
    result = Merge({}, {})
    for number in range(2_000):
        patch = {f"old-{number - 1}": None, f"old-{number}": 1, "kept": number}
        result = merge(result.traits, result.times, patch, written(number), PLAIN)
    assert result.traits == {"old-1999": 1, "kept": 1999}
    assert count_traits(result.traits, result.times) == 2
    assert len(result.times) <= merging.REMOVALS_COUNTED_FROM
    late = merge(result.traits, result.times, {"old-1998": 1}, written(1), PLAIN)
    assert late.traits == result.traits


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"": 1}, "/traits/"),
        ({"a.b": 1}, "/traits/a.b"),
        ({"a:b": 1}, "/traits/a:b"),
        ({"x" * 129: 1}, "/traits/" + "x" * 129),
        ({"customer": 1}, "/traits/customer"),
        ({"customer_id": "c"}, "/traits/customer_id"),
        ({"a": {"b": {"c.d": 1}}}, "/traits/a/b/c.d"),
        ({"a/b~": {"": 1}}, "/traits/a~1b~0/"),
    ],
)
def test_names_that_no_trait_may_have(patch: dict[str, Any], pointer: str) -> None:
    assert [problem.pointer for problem in check_names(patch)] == [pointer]


def test_names_that_are_fine() -> None:
    assert check_names({"a": {"customer": 1}, "č š": 1, "x" * 128: 1, "home": BRNO}) == []
