"""Proofs of huge conditions take bounded work, and still find a contradiction."""

import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import pytest

from service.core.catalog import Definition, Segment, compile_catalog
from service.core.parsing import parse_condition
from service.core.proofs.definitions import prove
from tests.core.proving import BASE, SCHEMA, beside, every, near, proved, rule, some

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


MOST = 200_000


def calls_of_proving(document: Any, segments: Mapping[str, Segment]) -> int:
    """How many calls proofs of a condition make; past MOST they are ended, and the test fails."""
    condition = parse_condition(document, SCHEMA)
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"
        if calls > MOST:
            raise AssertionError("the work of a proof is not bounded")

    sys.setprofile(count)
    try:
        prove(condition, segments)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_condition_takes_bounded_work(name: str) -> None:
    """Each makes 84,000 calls at most; work that grows with the square would make millions."""
    assert calls_of_proving(HUGE[name], BASE.segments) > 0


@pytest.mark.parametrize("size", [1_000, 10_000])
@pytest.mark.parametrize("combined", [every, some])
def test_references_into_a_huge_scheme_take_bounded_work(
    size: int, combined: Callable[..., Any]
) -> None:
    """Who is in one of a scheme is in none before it: here these are thousands for each rule."""
    scheme = [
        Definition(f"s{n}", 1, f"s{n}", every(rule(f"t{n % 50}", "=", n)), "big", n + 1)
        for n in range(size)
    ]
    rules = (rule(f"segment:s{size - 1 - n}", "=", True) for n in range(1_000))
    assert calls_of_proving(combined(*rules), compile_catalog(scheme, SCHEMA).segments) > 0


def test_a_contradiction_among_a_thousand_rules_is_found() -> None:
    rules = [rule(f"a{n}", ">", n) for n in range(999)]
    (finding,) = proved(every(*rules, rule("a7", "=", 0)))
    assert finding.detail == "No customer can match: a7 is 0 here, and is more than 7 in rule 8."
