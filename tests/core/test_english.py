"""Conditions in plain English: golden sentences."""

from datetime import UTC
from typing import Any

import pytest

from service.core.english import summarise
from service.core.operators import OPERATORS
from service.core.parsing import Schema, parse_condition
from service.core.traits import TraitType

TYPES = {
    "last_order_at": TraitType.INSTANT,
    "birthday": TraitType.DATE,
    "app_version": TraitType.VERSION,
    "total_spent": TraitType.MONEY,
}

RULES: list[tuple[str, str, Any, dict[str, Any], str]] = [
    ("age", "=", 30, {}, "Age is 30."),
    ("age", "!=", 30, {}, "Age is not 30."),
    ("country", "in", ["CZ", "SK", "PL"], {}, "Country is one of CZ, SK or PL."),
    ("country", "in", ["CZ"], {}, "Country is one of CZ."),
    ("country", "notIn", ["CZ", "SK"], {}, "Country is none of CZ or SK."),
    ("n", "in", list(range(10)), {}, "N is one of 0, 1, 2, 3, 4, 5, 6 or 3 more."),
    ("email", "null", None, {}, "Email is unknown."),
    ("email", "notNull", None, {}, "Email is known."),
    ("total_spent", ">", 500, {}, "Total spent is more than 500."),
    ("total_spent", ">=", 12500.5, {}, "Total spent is at least 12,500.5."),
    ("total_spent", "<", "9.90", {}, "Total spent is less than 9.90."),
    ("total_spent", "<=", 10, {}, "Total spent is at most 10."),
    ("age", "between", [18, 25], {}, "Age is between 18 and 25."),
    ("age", "notBetween", [18, 25], {}, "Age is not between 18 and 25."),
    ("city", "contains", "rn", {}, "City contains rn."),
    ("city", "doesNotContain", " x", {}, 'City does not contain " x".'),
    ("city", "beginsWith", "B", {}, "City begins with B."),
    ("city", "doesNotBeginWith", "B", {}, "City does not begin with B."),
    ("city", "endsWith", "o", {}, "City ends with o."),
    ("city", "doesNotEndWith", "o", {}, "City does not end with o."),
    ("zip", "matches", "^6[0-9]+$", {}, "Zip matches the pattern ^6[0-9]+$."),
    ("tags", "containsAny", ["vip", "new"], {}, "Tags contains any of vip or new."),
    ("tags", "containsAll", ["vip", 1], {}, "Tags contains all of vip and 1."),
    ("tags", "containsNone", ["vip"], {}, "Tags contains none of vip."),
    ("last_order_at", "withinLast", "30d", {}, "Last order at is within the last 30 days."),
    ("last_order_at", "notWithinLast", "1mo", {}, "Last order at is not within the last 1 month."),
    ("last_order_at", "withinNext", "2w", {}, "Last order at is within the next 2 weeks."),
    ("last_order_at", "<", "2026-11-20", {}, "Last order at is before 2026-11-20."),
    ("last_order_at", ">", "2026-11-20", {}, "Last order at is after 2026-11-20."),
    ("last_order_at", "=", "2026-11-20", {}, "Last order at is on 2026-11-20."),
    ("birthday", "anniversaryWithin", "7d", {},
     "Birthday has its anniversary within the next 7 days."),
    ("app_version", "versionAtLeast", "2.10", {}, "App version is version 2.10 or newer."),
    ("app_version", "versionBelow", "2.10", {}, "App version is older than version 2.10."),
    ("home", "withinDistance", {"lat": 50.1, "lon": 14, "km": 25}, {},
     "Home is within 25 km of 50.1, 14."),
    ("customer_id", "sample", {"percent": 12.5}, {}, "Falls in a sample of 12.5% of customers."),
    ("subscribed", "=", True, {}, "Subscribed is true."),
    ("x", "=", [1, None, "a"], {}, "X is [1, null, a]."),
    ("x", "=", {"k": None}, {}, "X is {k: null}."),
    ("x", "=", "", {}, 'X is "".'),
    ("address.city", "=", "Brno", {}, "Address city is Brno."),
    ("segment:vip", "=", True, {}, "Is in segment vip."),
    ("segment:vip", "=", False, {}, "Is not in segment vip."),
    ("segment:vip", "!=", True, {}, "Is not in segment vip."),
    ("segment:vip", "=", "false", {}, "Is not in segment vip."),
    ("segment:vip", "!=", "false", {}, "Is in segment vip."),
    ("model:household-tiers.label", "=", "gold", {}, "The label by model household-tiers is gold."),
    ("visits", ">", "orders", {"valueSource": "field"}, "Visits is more than orders."),
    ("country", "!=", "CZ", {"missing": True},
     "Country is not CZ (or is unknown, which counts as met)."),
    ("country", "=", "CZ", {"missing": False},
     "Country is CZ (or is unknown, which counts as not met)."),
]  # fmt: skip


def parsed(*rules: Any, **more: Any) -> Any:
    document = {"combinator": "and", "rules": list(rules)} | more
    return parse_condition(document, Schema(zone=UTC, types=TYPES))


@pytest.mark.parametrize(("field", "operator", "value", "more", "text"), RULES)
def test_rules(field: str, operator: str, value: Any, more: dict[str, Any], text: str) -> None:
    rule = {"field": field, "operator": operator, "value": value} | more
    assert summarise(parsed(rule)) == text


def test_every_operator_has_a_sentence() -> None:
    assert {operator for _, operator, *_ in RULES} == set(OPERATORS)


def test_trees() -> None:
    a, b, c = ({"field": name, "operator": "=", "value": 1} for name in "abc")
    assert summarise(parsed(a, b)) == "A is 1 and b is 1."
    assert summarise(parsed(a, b, combinator="or")) == "A is 1 or b is 1."
    inner = {"combinator": "or", "rules": [b, c]}
    assert summarise(parsed(a, inner)) == "A is 1 and (b is 1 or c is 1)."
    assert summarise(parsed(a, inner | {"not": True})) == "A is 1 and not (b is 1 or c is 1)."
    assert summarise(parsed(a, **{"not": True})) == "Not (a is 1)."
    single = {"combinator": "or", "rules": [inner]}
    assert summarise(parsed(single)) == "B is 1 or c is 1."
