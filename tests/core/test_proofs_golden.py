"""What is claimed of a definition, where, and in which words; and what is not claimed."""

import sys
from datetime import UTC
from types import FrameType
from typing import Any

import pytest

from service.core.catalog import Definition, Segment, compile_catalog, segment_of
from service.core.parsing import Schema, parse_condition
from service.core.proofs.definitions import prove
from service.core.proofs.findings import Code, Finding, Severity
from service.core.proofs.schemes import prove_scheme
from service.core.traits import TraitType

SCHEMA = Schema(
    zone=UTC,
    types={
        "total_spent": TraitType.MONEY,
        "age": TraitType.NUMBER,
        "name": TraitType.STRING,
        "seen": TraitType.INSTANT,
        "born": TraitType.DATE,
        "home": TraitType.POINT,
        "app": TraitType.VERSION,
        "tags": TraitType.LIST,
    },
)


def rule(field: str, operator: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value} | more


def every(*rules: Any, **more: Any) -> dict[str, Any]:
    return {"combinator": "and", "rules": list(rules)} | more


def some(*rules: Any, **more: Any) -> dict[str, Any]:
    return {"combinator": "or", "rules": list(rules)} | more


def beside(field: str, operator: str, value: Any) -> dict[str, Any]:
    return rule(field, operator, value, valueSource="field")


def sample(percent: float, **more: Any) -> dict[str, Any]:
    return rule("customer_id", "sample", {"percent": percent, "salt": "x"}, **more)


def near(lat: float, lon: float, km: float) -> dict[str, Any]:
    return rule("home", "withinDistance", {"lat": lat, "lon": lon, "km": km})


ADULT = rule("segment:adult", "=", True)
NO_TEAM = rule("segment:team", "!=", True)
NO_ADULT = rule("segment:adult", "!=", True)
BASE = compile_catalog(
    [
        Definition("team", 1, "team", None),
        Definition("adult", 1, "adult", every(rule("age", ">=", 18))),
        Definition("gold", 1, "gold", every(rule("total_spent", ">=", 100)), "tier", 1),
        Definition("silver", 1, "silver", every(rule("total_spent", ">=", 10)), "tier", 2),
    ],
    SCHEMA,
)

# The condition; the code, the rule to look at, the part that is in vain ("": all), the sentence.
CLAIMED: list[tuple[dict[str, Any], Code, str, str, str]] = [
    (
        every(
            rule("total_spent", ">", 500), rule("age", ">", 1), rule("total_spent", "<=", 300)
        ),
        Code.CONTRADICTORY, "/rules/2", "",
        "No customer can match: total spent is at most 300 here, and is more than 500 in rule 1.",
    ),
    (
        every(rule("age", "in", [1, 2]), rule("age", "notIn", [2, 3]), rule("age", ">", 1)),
        Code.CONTRADICTORY, "/rules/2", "",
        "No customer can match: age is more than 1 here, is one of 1 or 2 in rule 1, and is none "
        "of 2 or 3 in rule 2.",
    ),
    (
        every(some(rule("age", "=", 1), rule("age", "=", 2)), rule("age", "=", 3)),
        Code.CONTRADICTORY, "", "",
        "No customer can match, whichever alternative is taken: for one, age is 3 in rule 2, and "
        "is 1 in rule 1.1.",
    ),
    (
        some(rule("age", "notNull"), rule("age", ">", 1), **{"not": True}),
        Code.CONTRADICTORY, "/rules/1", "",
        "No customer can match: age is at most 1 here, and is unknown in rule 1.",
    ),
    (
        every(rule("seen", "withinLast", "30d"), rule("seen", "notWithinLast", "3mo")),
        Code.CONTRADICTORY, "/rules/1", "",
        "No customer can match: seen is not within the last 3 months here, and is within the last "
        "30 days in rule 1.",
    ),
    (
        every(rule("seen", "<", "2026-11-20"), rule("seen", ">=", "2026-11-20")),
        Code.CONTRADICTORY, "/rules/1", "",
        "No customer can match: seen is at the earliest 2026-11-20 here, and is before 2026-11-20 "
        "in rule 1.",
    ),
    (
        every(rule("born", "anniversaryWithin", "7d"), rule("born", "null")),
        Code.CONTRADICTORY, "/rules/1", "",
        "No customer can match: born is unknown here, and has its anniversary within the next 7 "
        "days in rule 1.",
    ),
    (
        every(rule("app", "versionAtLeast", "2.10"), rule("app", "versionBelow", "2.9")),
        Code.CONTRADICTORY, "/rules/1", "",
        "No customer can match: app is older than version 2.9 here, and is version 2.10 or newer "
        "in rule 1.",
    ),
    (
        every(near(50, 14, 20), near(49, 16, 20)),
        Code.CONTRADICTORY, "/rules/1", "",
        "No customer can match: home is within 20 km of 49, 16 here, and is within 20 km of 50, 14 "
        "in rule 1.",
    ),
    (
        every(beside("age", "<", "total_spent"), beside("total_spent", "<=", "age")),
        Code.CONTRADICTORY, "/rules/1", "",
        "No customer can match: total spent is at most the value of age here, and age is less than "
        "the value of total spent in rule 1.",
    ),
    (
        every(ADULT, rule("age", "<", 10)),
        Code.CONTRADICTORY, "/rules/1", "",
        "No customer can match: age is less than 10 here, and is at least 18 for segment adult in "
        "rule 1.",
    ),
    (
        every(rule("segment:silver", "=", True), rule("total_spent", ">", 200)),
        Code.CONTRADICTORY, "/rules/1", "",
        "No customer can match: total spent is more than 200 here, and not (total spent is at "
        "least 100) for segment silver in rule 1.",
    ),
    (
        every(sample(100), **{"not": True}),
        Code.CONTRADICTORY, "/rules/0", "",
        "No customer can match: not (falls in a sample of 100% of customers (salt “x”)) never "
        "holds.",
    ),
    (
        some(rule("age", "null"), rule("age", "notNull")),
        Code.ALWAYS_TRUE, "", "",
        "Every customer matches, as one of these always holds: age is unknown (rule 1), age is "
        "known (rule 2).",
    ),
    (
        every(some(ADULT, NO_ADULT), some(rule("age", "null"), rule("age", "notNull"))),
        Code.ALWAYS_TRUE, "", "",
        "Every customer matches, as one of these always holds: is in segment adult (rule 1.1), is "
        "not in segment adult (rule 1.2); the rest leaves nobody out either.",
    ),
    (
        every(
            rule("age", "=", 1),
            some(rule("age", ">", 1), rule("name", "=", "Eva")),
        ),
        Code.UNREACHABLE_RULE, "/rules/1/rules/0", "/rules/1/rules/0",
        "Nobody gets in by this alternative: age is more than 1 here, and is 1 in rule 1.",
    ),
    (
        some(rule("name", "=", "Eva"), every(rule("age", "<", 1), rule("age", ">", 1))),
        Code.UNREACHABLE_RULE, "/rules/1/rules/1", "/rules/1",
        "Nobody gets in by this alternative: age is more than 1 here, and is less than 1 in rule "
        "2.1.",
    ),
    (
        every(rule("age", ">", 10), rule("age", ">", 20)),
        Code.REDUNDANT_RULE, "/rules/0", "/rules/0",
        "This changes nothing: whoever meets rule 2 (age is more than 20) meets it as well.",
    ),
    (
        some(rule("age", ">", 10), rule("age", ">", 20)),
        Code.REDUNDANT_RULE, "/rules/1", "/rules/1",
        "This changes nothing: whoever meets it gets in by rule 1 (age is more than 10).",
    ),
    (
        every(rule("age", ">", 10), rule("age", ">", 10)),
        Code.REDUNDANT_RULE, "/rules/1", "/rules/1",
        "This changes nothing: whoever meets rule 1 (age is more than 10) meets it as well.",
    ),
    (
        every(rule("age", ">", 16), ADULT),
        Code.REDUNDANT_RULE, "/rules/0", "/rules/0",
        "This changes nothing: whoever meets rule 2 (age is at least 18 for segment adult) meets "
        "it as well.",
    ),
    (
        every(ADULT, some(every(rule("age", "<", 10)), rule("name", "=", "Eva")), NO_TEAM),
        Code.UNREACHABLE_RULE, "/rules/1/rules/0/rules/0", "/rules/1/rules/0",
        "Nobody gets in by this alternative: age is less than 10 here, and is at least 18 for "
        "segment adult in rule 1.",
    ),
    (
        every(sample(10), sample(20)),
        Code.REDUNDANT_RULE, "/rules/1", "/rules/1",
        "This changes nothing: whoever meets rule 1 (falls in a sample of 10% of customers (salt "
        "“x”)) meets it as well.",
    ),
    (
        every(rule("name", "=", "Eva"), some(rule("age", "null"), rule("age", "notNull"))),
        Code.REDUNDANT_RULE, "/rules/1", "/rules/1",
        "This changes nothing: every customer meets it.",
    ),
    (
        some(*(rule("age", "=", n) for n in range(5)), rule("age", "in", [0, 1, 2, 3, 4])),
        Code.REDUNDANT_RULE, "/rules/5", "/rules/5",
        "This changes nothing: whoever meets it gets in by rule 1, rule 2, rule 3 and 2 more.",
    ),
]  # fmt: skip

CONTRADICTORY = [
    every(rule("age", "=", 1), rule("age", "!=", 1)),
    every(rule("a", "=", 1), rule("a", "=", "1")),
    every(rule("a", ">", 1), rule("a", "contains", "x")),
    every(rule("a", "null"), rule("a", "=", 1)),
    every(rule("a", "null"), rule("a", ">", 1, missing=False)),
    every(rule("name", "=", "Brno"), rule("name", "=", "brno", caseSensitive=True),
          rule("name", "=", "BRNO", caseSensitive=True)),
    every(rule("name", "beginsWith", "Pr"), rule("name", "beginsWith", "Br")),
    every(rule("name", "endsWith", "no"), rule("name", "doesNotContain", "O")),
    every(rule("name", "in", ["Brno", "Praha"]), rule("name", "contains", "x")),
    every(rule("name", "matches", "^a"), every(rule("name", "matches", "^a"), **{"not": True})),
    every(rule("tags", "containsAll", ["a", "b"]), rule("tags", "containsNone", ["B", "c"])),
    every(rule("tags", "containsAny", ["a", "b"]), rule("tags", "containsNone", ["a", "b", "c"])),
    every(rule("seen", "withinLast", "1d"), rule("seen", "withinNext", "1y")),
    every(rule("seen", "withinLast", "1mo"), rule("seen", "notWithinLast", "31d"),
          rule("seen", "notWithinLast", "37d")),
    every(near(50, 14, 10), every(near(50, 14, 20), **{"not": True})),
    every(sample(10), every(sample(20), **{"not": True})),
    every(beside("a", "<", "b"), rule("b", "null")),
    every(beside("age", ">", "age")),
    every(rule("segment:gold", "=", True), rule("segment:silver", "=", True)),
    every(rule("segment:team", "=", True), rule("segment:team", "=", False)),
    every(*(some(rule("age", "=", n), rule("age", "=", n + 10)) for n in range(10))),
]  # fmt: skip

# What looks like a proof and isn't one: a value may be missing, or of another type.
NOT_CLAIMED = [
    some(rule("age", ">", 5), rule("age", "<=", 5)),
    some(rule("age", ">", 5, missing=True), rule("age", "<=", 5)),
    some(rule("name", "=", "a"), every(rule("name", "=", "a"), **{"not": True})),
    some(rule("segment:team", "=", True), rule("segment:team", "=", False)),
    some(rule("segment:nobody", "=", True), rule("segment:nobody", "=", False)),
    some(sample(100)),
    every(rule("a", "withinLast", "1d"), rule("a", "versionAtLeast", "1")),
    every(rule("seen", "withinLast", "1mo"), rule("seen", "notWithinLast", "29d")),
    every(rule("name", "=", "Brno"), rule("name", "matches", "^x")),
    every(rule("name", "contains", "Br"), rule("name", "doesNotContain", "brn")),
    every(near(50, 14, 100), near(50, 15, 100)),
    every(sample(10), rule("customer_id", "sample", {"percent": 10, "salt": "y"})),
    every(beside("a", "<=", "b"), beside("b", "<=", "a")),
    every(rule("age", "notNull"), rule("age", ">", 10)),
    # Whom gold took is not in silver, whatever silver asks.
    every(rule("segment:silver", "!=", True), rule("total_spent", ">", 50)),
]  # fmt: skip


def proved(document: dict[str, Any]) -> list[Finding]:
    return prove(parse_condition(document, SCHEMA, ""), BASE.segments, "")


@pytest.mark.parametrize(("document", "code", "pointer", "part", "detail"), CLAIMED)
def test_claims(document: Any, code: Code, pointer: str, part: str, detail: str) -> None:
    assert proved(document) == [Finding(code, pointer, detail, part)]


@pytest.mark.parametrize("document", CONTRADICTORY)
def test_contradictions(document: Any) -> None:
    assert [finding.code for finding in proved(document)] == [Code.CONTRADICTORY]


@pytest.mark.parametrize("document", NOT_CLAIMED)
def test_what_is_not_claimed(document: Any) -> None:
    assert proved(document) == []


def test_pointers_are_into_the_document_by_default() -> None:
    document = every(rule("age", "=", 1), rule("age", "=", 2))
    (finding,) = prove(parse_condition(document, SCHEMA))
    assert (finding.pointer, finding.part) == ("/condition/rules/1", "/condition")


def test_references_are_followed_only_into_what_is_known() -> None:
    document = parse_condition(every(ADULT, rule("age", "<", 10)), SCHEMA)
    assert prove(document) == []


def test_definitions_that_refer_in_a_circle_are_survived() -> None:
    def asks(key: str, other: str) -> Segment:
        document = every(rule(f"segment:{other}", "=", True), rule("age", ">", 1))
        return segment_of(Definition(key, 1, key, document), parse_condition(document, SCHEMA))

    circle = {"one": asks("one", "two"), "two": asks("two", "one")}
    document = every(rule("segment:one", "=", True), rule("age", "<", 1))
    (finding,) = prove(parse_condition(document, SCHEMA), circle)
    assert finding.code is Code.CONTRADICTORY


def test_what_is_refused() -> None:
    refused = {code for code in Code if Finding(code, "", "", "").severity is Severity.REFUSE}
    assert refused == {Code.CONTRADICTORY, Code.SAME_PRIORITY}


# Schemes


def cell(key: str, priority: int, *rules: Any) -> Segment:
    document = every(*rules)
    condition = parse_condition(document, SCHEMA)
    return segment_of(Definition(key, 1, key, document, "tier", priority), condition)


def told(*cells: Segment, **more: Any) -> list[tuple[str, Code, str, str]]:
    found = prove_scheme(cells, BASE.segments, **more)
    return [
        (key, each.code, each.pointer, each.detail)
        for key, findings in found.items()
        for each in findings
    ]


def spent(key: str, priority: int, least: float) -> Segment:
    return cell(key, priority, rule("total_spent", ">=", least))


def test_tiers_that_hold_each_other_are_what_priorities_are_for() -> None:
    assert told(spent("gold", 1, 100), spent("silver", 2, 10), spent("rest", 3, 0)) == []


def test_tiers_in_the_wrong_order_are_shadowed() -> None:
    assert told(spent("silver", 1, 10), spent("gold", 2, 100)) == [
        (
            "gold", Code.SHADOWED_IN_SCHEME, "/condition",
            "gold never has a member: whoever meets it is taken by silver, which comes first in "
            "tier.",
        )
    ]  # fmt: skip


def test_several_segments_shadow_one_together() -> None:
    young = cell("young", 1, rule("age", "<=", 20))
    old = cell("old", 2, rule("age", ">", 20))
    some_age = cell("some-age", 3, rule("age", "between", [10, 30]), rule("name", "notNull"))
    assert told(young, old, some_age) == [
        (
            "some-age", Code.SHADOWED_IN_SCHEME, "/condition",
            "some-age never has a member: whoever meets it is taken by young and old, which come "
            "first in tier.",
        )
    ]  # fmt: skip


def test_an_impossible_segment_is_not_told_to_be_shadowed() -> None:
    never = cell("never", 2, rule("age", ">", 20), rule("age", "<", 10))
    assert told(cell("old", 1, rule("age", ">", 20)), never) == []


def test_two_segments_of_one_priority() -> None:
    assert told(cell("old", 1, rule("age", ">", 20)), cell("new", 1, rule("age", "<", 5))) == [
        (
            "old", Code.SAME_PRIORITY, "/priority",
            "new has priority 1 in tier already, so nothing says which of the two a customer goes "
            "to; give each its own.",
        )
    ]  # fmt: skip


def test_ranges_that_run_into_each_other() -> None:
    teens = cell("teens", 1, rule("age", "between", [10, 20]))
    adults = cell("adults", 2, rule("age", "between", [20, 60]))
    assert told(teens, adults) == [
        (
            "adults", Code.PRIORITY_OVERLAP, "/priority",
            "Some customers fit both teens and adults, for example with age 20; teens takes them, "
            "as its priority 1 comes before 2.",
        )
    ]  # fmt: skip


def test_windows_that_run_into_each_other() -> None:
    new = cell("new", 1, rule("seen", "withinLast", "1mo"))
    lapsed = cell("lapsed", 2, rule("seen", "notWithinLast", "20d"))
    assert told(new, lapsed) == [
        (
            "lapsed", Code.PRIORITY_OVERLAP, "/priority",
            "Some customers fit both new and lapsed; new takes them, as its priority 1 comes "
            "before 2.",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        [rule("name", "=", "Eva")],
        [rule("age", ">", 20)],
        [rule("age", "<", 10), rule("name", "=", "Eva")],
        [rule("age", "<", 5)],
    ],
)
def test_no_noise_about_other_traits_nor_about_what_is_apart(other: list[Any]) -> None:
    wide = cell("wide", 2, rule("age", "between", [1, 20]))
    findings = told(cell("other", 1, *other), wide)
    assert [code for _, code, _, _ in findings] == (
        [Code.PRIORITY_OVERLAP] if other == [rule("age", "<", 5)] else []
    )


def test_a_list_in_a_scheme_shadows_nobody() -> None:
    by_hand = segment_of(Definition("by-hand", 1, "by-hand", None, "tier", 1), None)
    assert told(by_hand, spent("gold", 2, 100)) == []


def test_of_segments_before_the_saved_one_nothing_is_told() -> None:
    cells = [spent("silver", 1, 10), spent("gold", 2, 100), spent("diamond", 3, 1_000)]
    assert [key for key, *_ in told(*cells, saved="diamond")] == ["diamond"]
    assert [key for key, *_ in told(*cells, saved="silver")] == ["gold", "diamond"]


# Bounds

HUGE = {
    "same field": every(*(rule("a", "!=", n) for n in range(1_000))),
    "fields": every(*(rule(f"a{n}", ">", n) for n in range(1_000))),
    "alternatives": some(*(rule("a", "=", n) for n in range(1_000))),
    "alternative fields": some(*(rule(f"a{n}", "=", n) for n in range(1_000))),
    "choices": every(
        *(some(rule(f"a{n % 7}", ">", n), rule(f"b{n % 5}", "<", n)) for n in range(500))
    ),
    "texts": every(*(rule("a", "contains", f"a{n}") for n in range(1_000))),
    "lists": every(
        *(rule("a", "in", [f"{n}.{m}" for m in range(500)] + ["z"]) for n in range(200))
    ),
    "circles": every(*(near(50, n / 10, 20_000) for n in range(1_000))),
    "pairs": some(*(beside(f"a{n % 9}", "<", f"a{n % 7}") for n in range(1_000))),
    "members": some(*(rule("segment:silver", "=", n % 2 == 0) for n in range(1_000))),
    "nested": every(
        *(
            some(*(every(rule(f"a{n}", ">", m), rule(f"a{m}", "<", n)) for m in range(5)))
            for n in range(100)
        )
    ),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_condition_takes_bounded_work(name: str) -> None:
    """Each makes fewer than 300,000 calls; work that grows with the square would make millions."""
    condition = parse_condition(HUGE[name], SCHEMA)
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        prove(condition, BASE.segments)
    finally:
        sys.setprofile(None)
    assert 0 < calls < 300_000


def test_a_contradiction_among_a_thousand_rules_is_found() -> None:
    rules = [rule(f"a{n}", ">", n) for n in range(999)]
    (finding,) = proved(every(*rules, rule("a7", "=", 0)))
    assert finding.detail == "No customer can match: a7 is 0 here, and is more than 7 in rule 8."
