"""What is claimed of the segments of a scheme, and in which words; and what is not claimed."""

from typing import Any

import pytest

from service.core.catalog import Definition, Segment, segment_of
from service.core.parsing import parse_condition
from service.core.proofs.findings import Code
from service.core.proofs.schemes import prove_scheme
from tests.core.proving import BASE, SCHEMA, every, rule


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
