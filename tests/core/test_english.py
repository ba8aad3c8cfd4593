"""Conditions in plain English: golden sentences, and no two conditions that read alike."""

import copy
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.comparisons import Truth
from service.core.conditions import Condition
from service.core.english import summarise
from service.core.instants import Moment
from service.core.interpreting import evaluate
from service.core.operators import OPERATORS, Operand
from service.core.parsing import Invalid, Schema, parse_condition
from service.core.traits import TraitType
from tests.core import pools, strategies

TYPES = {
    "last_order_at": TraitType.INSTANT,
    "birthday": TraitType.DATE,
    "app_version": TraitType.VERSION,
    "total_spent": TraitType.MONEY,
    "name": TraitType.STRING,
}

RULES: list[tuple[str, str, Any, dict[str, Any], str]] = [
    ("age", "=", 30, {}, "Age is 30."),
    ("age", "!=", 30, {}, "Age is not 30."),
    ("country", "in", ["CZ", "SK", "PL"], {}, "Country is one of CZ, SK or PL."),
    ("country", "in", ["CZ"], {}, "Country is one of CZ."),
    ("country", "notIn", ["CZ", "SK"], {}, "Country is none of CZ or SK."),
    ("n", "in", list(range(10)), {}, "N is one of 0, 1, 2, 3, 4, 5, 6, 7, 8 or 9."),
    ("email", "null", None, {}, "Email is unknown."),
    ("email", "notNull", None, {}, "Email is known."),
    ("total_spent", ">", 500, {}, "Total spent is more than 500."),
    ("total_spent", ">=", 12500.5, {}, "Total spent is at least 12,500.5."),
    ("total_spent", "<", "9.90", {}, "Total spent is less than 9.90."),
    ("total_spent", "<=", 10, {}, "Total spent is at most 10."),
    ("age", "between", [18, 25], {}, "Age is between 18 and 25."),
    ("age", "notBetween", [18, 25], {}, "Age is not between 18 and 25."),
    ("city", "contains", "rn", {}, "City contains rn."),
    ("city", "doesNotContain", " x", {}, "City does not contain “ x”."),
    ("city", "beginsWith", "B", {}, "City begins with B."),
    ("city", "doesNotBeginWith", "B", {}, "City does not begin with B."),
    ("city", "endsWith", "o", {}, "City ends with o."),
    ("city", "doesNotEndWith", "o", {}, "City does not end with o."),
    ("zip", "matches", "^6[0-9]+$", {}, "Zip matches the pattern “^6[0-9]+$”."),
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
    ("x", "=", [1, None, "a"], {}, "X is [1, null, “a”]."),
    ("x", "=", {"k": None}, {}, "X is {“k”: null}."),
    ("x", "=", "", {}, "X is “”."),
    ("address.city", "=", "Brno", {}, "Address's city is Brno."),
    ("segment:vip", "=", True, {}, "Is in segment vip."),
    ("segment:vip", "=", False, {}, "Is not in segment vip."),
    ("segment:vip", "!=", True, {}, "Is not in segment vip."),
    ("segment:vip", "=", "false", {}, "Is not in segment vip."),
    ("segment:vip", "!=", "false", {}, "Is in segment vip."),
    ("model:household-tiers.label", "=", "gold", {}, "The label by model household-tiers is gold."),
    ("visits", ">", "orders", {"valueSource": "field"}, "Visits is more than the value of orders."),
    ("country", "!=", "CZ", {"missing": True},
     "Country is not CZ (met where it is unknown)."),
    ("country", "=", "CZ", {"missing": False},
     "Country is CZ (not met where it is unknown)."),
    # A text that looks like something else is quoted; the thing itself is not.
    ("code", "=", 1, {}, "Code is 1."),
    ("code", "=", "1", {}, "Code is “1”."),
    ("code", "=", "1.50", {}, "Code is “1.50”."),
    ("code", "=", True, {}, "Code is true."),
    ("code", "=", "true", {}, "Code is “true”."),
    ("code", "=", "null", {}, "Code is “null”."),
    ("code", "=", "2026-11-20", {}, "Code is “2026-11-20”."),
    ("name", "=", "5", {}, "Name is “5”."),
    ("name", "=", 5, {}, "Name is “5”."),
    ("total_spent", "=", "5", {}, "Total spent is 5."),
    ("app_version", "=", "2.10", {}, "App version is 2.10."),
    # ... and so is one that could run on into the sentence.
    ("city", "=", "New York", {}, "City is New York."),
    ("city", "=", "Frýdek-Místek", {}, "City is Frýdek-Místek."),
    ("city", "=", "Isle of Man", {}, "City is “Isle of Man”."),
    ("city", "=", "not Brno", {}, "City is “not Brno”."),
    ("city", "=", "Brno and age is 3", {}, "City is “Brno and age is 3”."),
    ("city", "in", ["Brno, Praha", "Brno"], {}, "City is one of “Brno, Praha” or Brno."),
    ("city", "=", "the value of visits", {}, "City is “the value of visits”."),
    ("city", "=", "City", {}, "City is “City”."),
    ("city", "=", "a “b” c", {}, "City is “a “b”” c”."),
    ("city", "=", "a\u00a0b\t", {}, "City is “a⟨U+00A0⟩b⟨U+0009⟩”."),
    ("city", "=", "⟨U+0009⟩", {}, "City is “⟨⟨U+0009⟩”."),
    ("email", "endsWith", "@example.com", {}, "Email ends with “@example.com”."),
    ("email", "=", "ann@example.com", {}, "Email is ann@example.com."),
    # Letters, absence, other fields, salts.
    ("city", "=", "Brno", {"caseSensitive": True}, "City is Brno (letters' case counts)."),
    ("age", "=", 5, {"caseSensitive": True}, "Age is 5."),
    ("city", "=", "Brno", {"caseSensitive": True, "missing": False},
     "City is Brno (letters' case counts; not met where it is unknown)."),
    ("tags", "containsAny", "others", {"valueSource": "field"},
     "Tags contains any of the values of others."),
    ("city", "!=", "home_town", {"valueSource": "field", "missing": True},
     "City is not the value of home town (met where either is unknown)."),
    ("customer_id", "sample", {"percent": 10, "salt": "spring"}, {},
     "Falls in a sample of 10% of customers (salt “spring”)."),
    ("customer_id", "sample", {"percent": 0.1234567, "salt": ""}, {},
     "Falls in a sample of 0.1234567% of customers."),
    # Names that are not written like_this.
    ("Age", "=", 5, {}, "“Age” is 5."),
    ("shoe size", "=", 5, {}, "“shoe size” is 5."),
    ("lastSeenAt", "=", 5, {}, "LastSeenAt is 5."),
    ("is_member", "=", True, {}, "Is member is true."),
    ("terms_and_conditions", "=", True, {}, "“terms_and_conditions” is true."),
    ("address.home_town", "=", "Brno", {}, "Address's home town is Brno."),
    ("address.City", "=", "Brno", {}, "“address.City” is Brno."),
    ("customer.first_seen", "withinLast", "1d", {},
     "Customer's first seen is within the last 1 day."),
]  # fmt: skip


def parsed(*rules: Any, **more: Any) -> Any:
    document = {"combinator": "and", "rules": list(rules)} | more
    return parse_condition(document, Schema(zone=UTC, types=TYPES))


@pytest.mark.parametrize(("field", "operator", "value", "more", "text"), RULES)
def test_rules(field: str, operator: str, value: Any, more: dict[str, Any], text: str) -> None:
    rule = {"field": field, "operator": operator, "value": value} | more
    assert summarise(parsed(rule)) == text


def test_of_a_long_list_the_first_are_told_and_a_mark_that_changes_with_it() -> None:
    def told(values: list[Any]) -> str:
        return summarise(parsed({"field": "n", "operator": "in", "value": values}))

    text = told([*range(10_000)])
    pattern = r"N is one of 0, 1, 2, 3, 4, 5, 6 or 9,993 more \(list [0-9a-f]{8}\)\."
    assert re.fullmatch(pattern, text)
    assert told([*range(10_000)]) == text
    assert told([*range(9_999), "9999"]) != text
    assert told([*range(20)]).endswith(" 18 or 19.")


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


def truths(condition: Condition, profiles: list[dict[str, Any]]) -> list[Truth]:
    """What the interpreter says of each profile at two instants, true, false and unknown apart;
    of a segment that is asked about, that nobody and that everybody is in it."""
    return [
        evaluate(condition, profile, Moment(now, UTC), memberships)
        for profile in profiles
        for now, memberships in (
            (pools.NOWS[0], frozenset[str]().__contains__),
            (pools.NOWS[3], bool),
        )
    ]


def check_apart(conditions: Iterable[Condition], profiles: list[dict[str, Any]]) -> int:
    """Conditions that share a summary share every truth on these profiles; how many do share."""
    by_summary: dict[str, list[Condition]] = {}
    for condition in conditions:
        by_summary.setdefault(summarise(condition), []).append(condition)
    shared = 0
    for summary, alike in by_summary.items():
        if len(alike) > 1:
            shared += len(alike) - 1
            first, *rest = [truths(condition, profiles) for condition in alike]
            for condition, truth in zip(alike[1:], rest, strict=True):
                assert truth == first, (summary, alike[0], condition)
    return shared


POLICIES: tuple[dict[str, Any], ...] = (
    {}, {"missing": True}, {"missing": False}, {"caseSensitive": True},
)  # fmt: skip


def operands_of(operator: str) -> list[Any]:
    """Every value of the generator's pools, and pairs and lists of them that lie close."""
    values = [*pools.TEXTS, *pools.NUMBERS, True, False, *pools.DAYS,
              *pools.INSTANTS, *pools.VERSIONS, *pools.LISTS, *pools.OBJECTS,
              *pools.AMOUNTS[-3:], "true", "null", "age", "not Brno"]  # fmt: skip
    match OPERATORS[operator].operand:
        case Operand.NONE:
            return [None]
        case Operand.LIST:
            items = [*pools.ITEMS, *pools.TEXTS, True, "vip, new", "vip or new", 10_000]
            return (
                [[item] for item in items]
                + [["vip", item] for item in items]
                + [[item, "vip", "new"] for item in items]
            )
        case Operand.PAIR:
            ends = (0, 1, 1.5, 10_000, "1", "1.10", "v1.0.0", *pools.DAYS[:5])
            return [[low, high] for low, high in itertools.product(ends, ends)]
        case Operand.TEXT:
            return [*pools.PARTS, *pools.TEXTS]
        case Operand.PATTERN:
            return [*pools.PATTERNS, r"\d+", r"\\d+", "”", "““"]
        case Operand.DURATION:
            return [*pools.DURATIONS]
        case Operand.VERSION:
            return [*pools.VERSIONS]
        case Operand.DISTANCE:
            return [{**at, "km": km} for at in pools.GOOD_POINTS for km in (0.001, 184, 184.8)]
        case Operand.SAMPLE:
            return [
                {"percent": percent, "salt": salt}
                for percent in (10, 10.0000001, 50, 99.9, 100)
                for salt in ("", "x", "y", "x”")
            ]
    return values


def near_rules(shape: strategies.Shape) -> Iterator[Condition]:
    """All rules of one field and operator that parse."""
    schema = Schema(zone=UTC, types=pools.TYPES)
    wheres: list[dict[str, Any]] = [{"value": value} for value in operands_of(shape.operator.name)]
    if shape.operator.fields:
        wheres += [{"value": name, "valueSource": "field"} for name in pools.FIELDS]
    for where, policy in itertools.product(wheres, POLICIES):
        rule = {"field": shape.field, "operator": shape.operator.name, **where, **policy}
        with suppress(Invalid):
            yield parse_condition({"combinator": "and", "rules": [rule]}, schema)


def some_profiles(count: int) -> list[dict[str, Any]]:
    return [strategies._profile(Random(f"english {number}")) for number in range(count)]


def test_rules_that_share_a_summary_share_their_truth() -> None:
    """For every field and operator of the generators, every value of their pools, every other
    field, and every policy, all in one heap of summaries: 60 profiles, at two instants each."""
    profiles = some_profiles(60)
    rules = [rule for shape in strategies.SHAPES for rule in near_rules(shape)]
    assert len(rules) > 20_000
    assert check_apart(rules, profiles) > 100


@settings(max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(strategies.groups(strategies.rules(), 4), min_size=2, max_size=4), st.randoms())
def test_trees_that_share_a_summary_share_their_truth(documents: Any, random: Random) -> None:
    """Random trees, and each with one thing changed a dozen times: a combinator, a negation, the
    way its rules are grouped, a rule's value, policy or field."""
    schema = Schema(zone=UTC, types=pools.TYPES)
    conditions = []
    for document in documents:
        for changed in [document, *(mutated(document, random) for _ in range(12))]:
            with suppress(Invalid):
                conditions.append(parse_condition(changed, schema))
    check_apart(conditions, some_profiles(30))


def mutated(document: Any, random: Random) -> Any:
    document = copy.deepcopy(document)
    nodes = [document]
    for node in nodes:
        nodes.extend(node.get("rules", ()))
    node = random.choice(nodes)
    if "rules" not in node:
        change: dict[str, Any] = random.choice([
            *POLICIES, {"value": "1"}, {"value": 1}, {"value": True}, {"value": ["vip", "1"]},
            {"value": "b", "valueSource": "field"}, {"field": "a"}, {"field": "work.code"},
        ])  # fmt: skip
        node.update(change)
    elif random.random() < 0.5:
        node["not"] = not node["not"]
    elif random.random() < 0.5:
        node["combinator"] = "or" if node["combinator"] == "and" else "and"
    else:
        cut = random.randrange(len(node["rules"]))
        inner = {"combinator": random.choice(("and", "or")), "not": False,
                 "rules": node["rules"][cut:]}  # fmt: skip
        node["rules"][cut:] = [inner]
    return document


AWKWARD_NAMES = ("a", "b", "A", "a_b", "a.b", "a b", "a_is_1_and_b", "and", "is", "is_in_segment_x",
                 "the_value_of_a", "a_is", "b_or_a", "not", "the_label_by_model_m")  # fmt: skip
AWKWARD_VALUES = (1, "1", True, "true", "a", "b is 1", "1 and b is 1", "x, y", "x", "y", "x or y",
                  "“x”", "x”", "one of x", "not x", "in segment x", "the value of a", "",
                  "x (letters' case counts)", "x (met where it is unknown)", "unknown", ["x"],
                  "[“x”]", {"k": "x"}, {"k": "x, k: y"}, "2026-11-20", ["x, y"],
                  ["x", "y"])  # fmt: skip


def test_awkward_names_and_values_never_share_a_summary() -> None:
    """Rules over names and values made to be mistaken, alone, negated and in pairs: no two of them
    read alike. (Letter case aside, each compares with something else, so none may.)"""
    rules = [
        {"field": name, "operator": operator, "value": value}
        for name in AWKWARD_NAMES
        for value in AWKWARD_VALUES
        for operator in ("=", "!=")
    ]
    rules += [
        {"field": name, "operator": "in", "value": list(values)}
        for name in ("a", "b")
        for values in itertools.permutations([v for v in AWKWARD_VALUES if isinstance(v, str)], 2)
    ]
    rules += [{"field": name, "operator": "=", "value": other, "valueSource": "field"}
              for name in AWKWARD_NAMES for other in AWKWARD_NAMES]  # fmt: skip
    rules += [{"field": name, "operator": "null"} for name in AWKWARD_NAMES]
    rules += [{"field": "segment:x", "operator": "=", "value": value} for value in (True, False)]
    rules += [{"field": "model:m.label", "operator": "=", "value": "x"}]
    trees: list[Any] = [[rule] for rule in rules]
    few = [rule for rule in rules if rule["field"] in ("a", "b_or_a", "and", "segment:x")][::3]
    trees += itertools.product(few, few[::7])
    conditions = [parsed(*tree) for tree in trees]
    conditions += [parsed(*tree, combinator="or") for tree in trees[len(rules) :]]
    conditions += [parsed(*tree, **{"not": True}) for tree in trees[::5]]
    told = Counter(map(summarise, conditions))
    assert len(conditions) > 5_000
    assert [summary for summary, times in told.items() if times > 1] == []


@pytest.mark.parametrize(
    ("aggregate", "english"),
    [
        ({"function": "count"}, "The number of “Order Completed” is at least 2."),
        (
            {"function": "sum", "of": "properties.total", "within": "30d"},
            "The sum of “total” of “Order Completed” in the last 30 days is at least 2.",
        ),
        (
            {
                "function": "sum", "each": "properties.products", "of": "item.quantity",
                "where": {"combinator": "and", "rules": [
                    {"field": "item.category", "operator": "=", "value": "shoes"}]},
                "between": ["1y", "6mo"],
            },
            "The sum of “quantity” of each of “products” of “Order Completed” where (item's "
            "category is shoes) from 1 year ago until 6 months ago is at least 2.",
        ),
        (
            {"function": "count", "each": "properties.products", "of": "properties.coupon"},
            "The number of “coupon” of the event of each of “products” of “Order Completed” is at "
            "least 2.",
        ),
    ],
)  # fmt: skip
def test_events_are_told(aggregate: dict[str, Any], english: str) -> None:
    rule = {
        "field": "event:Order Completed", "aggregate": aggregate, "operator": ">=", "value": 2,
    }  # fmt: skip
    condition = parse_condition({"combinator": "and", "rules": [rule]}, Schema(UTC))
    assert summarise(condition) == english
