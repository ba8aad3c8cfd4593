"""Saving a negative rule tells how many customers it passes over for want of a value."""

from typing import Any

import pytest

from tests.running import group
from tests.serving import Service


@pytest.fixture
def filled(fresh: Service) -> Service:
    fresh.assign("c-1", traits={"city": "Brno", "home": {"zip": "1"}})
    fresh.assign("c-2", traits={"age": 30})
    fresh.assign("c-3", traits={"home": {"zip": None, "kind": "flat"}})
    return fresh


def test_a_negative_rule_warns_of_customers_without_a_value(filled: Service) -> None:
    saved = filled.save("not-brno", ("age", ">", 1), ("city", "!=", "Brno"))
    (warning,) = saved["warnings"]
    assert warning["pointer"] == "/condition/rules/1"
    assert warning["code"] == "no_value"
    assert warning["detail"].startswith("2 of 3 customers have no city")


def test_nested_paths_and_windows_that_look_back_warn_too(filled: Service) -> None:
    saved = filled.save("lapsed", ("home.zip", "notIn", ["2"]), ("seen", "notWithinLast", "30d"))
    told = [(each["pointer"], each["detail"][:6]) for each in saved["warnings"]]
    assert told == [("/condition/rules/0", "2 of 3"), ("/condition/rules/1", "3 of 3")]


def test_a_rule_that_says_what_absence_means_does_not_warn(filled: Service) -> None:
    condition = group(("city", "!=", "Brno"))
    condition["rules"][0]["missing"] = True
    answer = filled.ask("put", "/segments/said", json={"condition": condition})
    assert answer.json()["warnings"] == []
    assert filled.save("positive", ("city", "=", "Brno"))["warnings"] == []


@pytest.mark.parametrize(
    ("operator", "negations", "counting_in"),
    [
        ("!=", [False], True),
        ("!=", [True], None),
        ("!=", [True, True], True),
        ("=", [False], None),
        ("=", [True], False),
        ("=", [True, False], False),
        ("=", [False, True, False], False),
        ("=", [True, True], None),
        ("beginsWith", [True], False),
        ("null", [True], None),
        ("notNull", [True], None),
    ],
)
def test_what_a_negation_makes_of_a_rule(
    filled: Service, operator: str, negations: list[bool], counting_in: bool | None
) -> None:
    """Who is counted in by the advice is those without a value, and they only."""
    rule = {"field": "city", "operator": operator, "value": "Brno"}
    condition: dict[str, Any] = rule
    for negated in negations:
        condition = {"combinator": "and", "not": negated, "rules": [condition]}
    key = f"{operator.strip('!=') or 'is'}-{'-'.join('ny'[each] for each in negations)}".lower()
    saved = filled.ask("post", "/segments", json={"key": key, "condition": condition}).json()
    told = [(each["code"], each["detail"]) for each in saved["warnings"]]
    if counting_in is None:
        assert told == []
        return
    [(code, detail)] = told
    assert code == "no_value"
    assert detail.startswith("2 of 3 customers have no city")
    assert f'"missing": {str(counting_in).lower()} would count them in' in detail
    before = size(filled, condition)
    rule["missing"] = counting_in
    assert size(filled, condition) == before + 2


def size(service: Service, condition: Any) -> int:
    """How many of the stored customers a condition holds for."""
    key = "probe"
    service.ask("put", f"/segments/{key}", json={"condition": condition})
    service.settle()
    return len(service.get(f"/segments/{key}/members")["items"])


def test_each_trait_is_counted_once_and_not_without_end(filled: Service) -> None:
    twice = filled.save("twice", ("city", "!=", "Brno"), ("city", "!=", "Praha"))
    assert [each["detail"][:6] for each in twice["warnings"]] == ["2 of 3", "2 of 3"]
    many = filled.save("many", *((f"t{n}", "!=", 1) for n in range(30)))
    assert len(many["warnings"]) == 20
