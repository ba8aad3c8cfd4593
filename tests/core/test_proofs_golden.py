"""What is claimed of a definition, where, and in which words; and what is not claimed."""

from typing import Any

import pytest

from service.core.catalog import Definition, Segment, segment_of
from service.core.parsing import parse_condition
from service.core.proofs.definitions import prove
from service.core.proofs.findings import Code, Finding, Severity
from tests.core.proving import SCHEMA, beside, every, near, proved, rule, sample, some

ADULT = rule("segment:adult", "=", True)
NO_TEAM = rule("segment:team", "!=", True)
NO_ADULT = rule("segment:adult", "!=", True)

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
