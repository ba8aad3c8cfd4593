"""Proofs of huge conditions take bounded work, and still find a contradiction."""

import sys
from types import FrameType

import pytest

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
