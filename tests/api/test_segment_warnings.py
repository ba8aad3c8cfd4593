"""Saving a negative rule tells how many customers it passes over for want of a value."""

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


def test_each_trait_is_counted_once_and_not_without_end(filled: Service) -> None:
    twice = filled.save("twice", ("city", "!=", "Brno"), ("city", "!=", "Praha"))
    assert [each["detail"][:6] for each in twice["warnings"]] == ["2 of 3", "2 of 3"]
    many = filled.save("many", *((f"t{n}", "!=", 1) for n in range(30)))
    assert len(many["warnings"]) == 20
