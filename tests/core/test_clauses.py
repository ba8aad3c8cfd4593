"""What the index is made of: bitsets, intervals between cuts, and clauses that keep the truth."""

import itertools
from datetime import UTC
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.core.bits import bits_of, positions_of
from service.core.comparisons import Cut, Interval
from service.core.instants import Moment
from service.core.interpreting import evaluate
from service.core.lanes import complement, intersect
from service.core.normalising import CLAUSE_LIMIT, clauses_of
from tests.core import strategies
from tests.core.fuzzing import fuzz, no_member, parsed


@fuzz
@given(st.sets(st.one_of(st.integers(0, 40), st.integers(0, 9_000))))
def test_bits_and_positions_are_inverses(positions: set[int]) -> None:
    bits = bits_of(positions)
    assert bits == sum(1 << position for position in positions)
    assert positions_of(bits) == sorted(positions)


def test_positions_of_dense_and_of_distant_bits() -> None:
    assert positions_of((1 << 100) - 1) == list(range(100))
    assert positions_of(1 << 100_000) == [100_000]
    assert positions_of(0) == []


@st.composite
def interval_sets(draw: st.DrawFn) -> list[Interval]:
    """Sorted, disjoint intervals between cuts on the numbers 0 to 9."""
    every = [(value, side) for value in range(10) for side in (0, 1)]
    cuts: list[Any] = sorted(draw(st.sets(st.sampled_from(every))))
    ends: list[Cut | None] = [*([None] if draw(st.booleans()) else []), *cuts]
    if len(ends) % 2:
        ends.append(None)
    return list(itertools.batched(ends, 2)) if hasattr(itertools, "batched") else list(
        zip(ends[::2], ends[1::2], strict=True)
    )  # fmt: skip


def inside(value: float, intervals: list[Interval]) -> bool:
    def before(cut: Cut) -> bool:
        return value > cut[0] if cut[1] else value >= cut[0]

    return any(
        (low is None or before(low)) and (high is None or not before(high))
        for low, high in intervals
    )


_PROBES = [number / 2 for number in range(-2, 22)]


@fuzz
@given(interval_sets(), interval_sets())
def test_intervals_complement_and_intersect(left: list[Interval], right: list[Interval]) -> None:
    rest, shared = complement(left), intersect(left, right)
    for value in _PROBES:
        assert inside(value, rest) is not inside(value, left)
        assert inside(value, shared) is (inside(value, left) and inside(value, right))
    assert complement(rest) == left or not left


def test_intervals_at_their_ends() -> None:
    assert complement([]) == [(None, None)]
    assert complement([(None, None)]) == []
    assert complement([((1, 0), (1, 1))]) == [(None, (1, 0)), ((1, 1), None)]
    assert intersect([(None, (1, 0))], [((1, 0), None)]) == []
    assert intersect([(None, (1, 1))], [((1, 0), None)]) == [((1, 0), (1, 1))]


def test_clauses_keep_the_truth_of_their_tree() -> None:
    compared = expanded = 0

    @fuzz
    @given(
        st.one_of(
            strategies.groups(strategies.rules()),
            strategies.chains(strategies.rules()),
            strategies.bushy(strategies.rules()),
        ),
        strategies.profiles(16),
        strategies.nows(),
    )
    def same(document: Any, customers: list[dict[str, Any]], now: int) -> None:
        nonlocal compared, expanded
        condition = parsed(document)
        if condition is None:
            return
        clauses = clauses_of(condition, 64)
        if clauses is None:
            return
        expanded += 1
        assert len(clauses) <= 64
        moment = Moment(now, UTC)
        for profile in customers:
            truth = evaluate(condition, profile, moment, no_member) is True
            by_clauses = any(
                all(evaluate(rule, profile, moment, no_member) is wanted for rule, wanted in clause)
                for clause in clauses
            )
            assert truth == by_clauses
            compared += 1

    same()
    assert expanded > 100
    assert compared > 1_600


def test_an_expansion_past_the_limit_is_left() -> None:
    rule: dict[str, Any] = {"field": "a", "operator": "=", "value": 1}
    pair = {"combinator": "or", "rules": [rule, rule]}
    four = parsed({"combinator": "and", "rules": [pair] * 4})
    five = parsed({"combinator": "and", "rules": [pair] * 5})
    assert four is not None
    assert five is not None
    assert len(clauses_of(four) or ()) == CLAUSE_LIMIT == 16
    assert clauses_of(five) is None
    many = parsed({"combinator": "or", "rules": [rule] * 17})
    assert many is not None
    assert clauses_of(many) is None
