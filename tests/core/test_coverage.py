"""Coverage: counts equal what is counted by hand, and small cells are not told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import coverage
from service.core.coverage import CELL, Coverage, Found
from service.core.dimensions import WELL_KNOWN
from service.core.merging import check_names
from service.core.traits import TraitType

T = TraitType


def found(*customers: dict[str, Any]) -> dict[str, Found]:
    counted = Coverage()
    for traits in customers:
        counted.add(traits)
    assert counted.customers == len(customers)
    return {each.name: each for each in counted.found()}


def test_traits_are_counted_by_their_paths() -> None:
    one = {"age": 31, "address": {"city": "Brno", "geo": {"lat": 49.2, "lon": 16.6}}, "tags": []}
    told = found(one, {"age": "31", "address": {}, "gone": None}, {"age": 3.5})
    assert {name: (each.customers, each.types) for name, each in told.items()} == {
        "age": (3, {T.NUMBER: 2, T.STRING: 1}),
        "address": (2, {T.OBJECT: 2}),
        "address.city": (1, {T.STRING: 1}),
        "address.geo": (1, {T.POINT: 1}),
        "tags": (1, {T.LIST: 1}),
    }


def test_frequent_values_are_told_and_rare_ones_are_not() -> None:
    people: list[dict[str, Any]] = [{"country": "CZ"}] * 7 + [{"country": "SK"}] * CELL
    people += [{"country": "AT"}] * (CELL - 1) + [{"country": 1}] * CELL + [{"country": True}] * 6
    assert found(*people)["country"].top == [("CZ", 7), (True, 6), (1, CELL), ("SK", CELL)]
    tagged = [{"tags": ["vip", "vip", "new", {"a": 1}, "x" * 101]}] * CELL
    assert found(*tagged)["tags"].top == [("new", CELL), ("vip", CELL)]


def test_traits_without_end_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "VALUES", 20)
    monkeypatch.setattr(coverage, "NAMES", 3)
    people = [{"id": f"i-{number}", "kind": "shop", f"k{number}": 1} for number in range(500)]
    told = found(*people)
    assert len(told) == 3
    assert told["id"].customers == 500
    assert told["id"].top == []
    assert told["kind"].top == [("shop", 500)]


SCALAR = st.sampled_from(["a", "b", 1, 1.0, 2, True, False])
VALUE = SCALAR | st.lists(SCALAR, max_size=3)


@given(st.lists(st.dictionaries(st.sampled_from("xy"), VALUE), max_size=40), st.randoms())
def test_counts_are_those_of_a_plain_count_in_any_order(people: Any, random: Any) -> None:
    told = found(*people)
    for name, each in told.items():
        values = [person[name] for person in people if name in person]
        assert each.customers == len(values)
        for value, count in each.top:
            having = [one for one in values if _has(one, value)]
            assert count == len(having) >= CELL
    random.shuffle(people)
    assert found(*people) == told


def _has(held: Any, value: Any) -> bool:
    items = held if isinstance(held, list) else [held]
    return any(item == value and (type(item) is bool) == (type(value) is bool) for item in items)


def test_well_known_names_are_names_that_traits_may_have() -> None:
    assert check_names(dict.fromkeys(WELL_KNOWN)) == []
    assert WELL_KNOWN["country"] == "geographic"
    assert len(set(WELL_KNOWN.values())) == 8
