"""Lanes: for one field and one type of value, which clauses a value rules out.

A lane turns a value into an integer whose set bits are the clauses that the value does not
satisfy. `wrong` is the answer for a value of another type: every literal is unknown then, so every
clause of the lane is out.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from service.core.bits import bits_of
from service.core.comparisons import Cut, Interval

FLIPS_WALKED = 64


def complement(intervals: Sequence[Interval]) -> list[Interval]:
    """What sorted, disjoint intervals leave out."""
    gaps: list[Interval] = []
    begin: Cut | None = None
    for low, high in intervals:
        if low is not None and (begin is None or begin < low):
            gaps.append((begin, low))
        if high is None:
            return gaps
        begin = high
    gaps.append((begin, None))
    return gaps


def intersect(left: Sequence[Interval], right: Sequence[Interval]) -> list[Interval]:
    """What two sorted, disjoint sets of intervals share."""
    shared: list[Interval] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low = _later(left[i][0], right[j][0])
        high = _earlier(left[i][1], right[j][1])
        if low is None or high is None or low < high:
            shared.append((low, high))
        if high == left[i][1]:
            i += 1
        else:
            j += 1
    return shared


def _later(a: Cut | None, b: Cut | None) -> Cut | None:
    if a is None or b is None:
        return a if b is None else b
    return max(a, b)


def _earlier(a: Cut | None, b: Cut | None) -> Cut | None:
    if a is None or b is None:
        return a if b is None else b
    return min(a, b)


class LineLane:
    """Values on an ordered line, cut where some clause's answer changes.

    `cuts` are the distinct values; `between[i]` answers strictly between cuts i-1 and i,
    `at[i]` exactly at cut i.
    """

    def __init__(self, constraints: dict[int, list[Interval]], also: int = 0) -> None:
        """`constraints`: for each clause the intervals in which it holds; `also`: bits that are
        out for every value of this type."""
        self.wrong = bits_of(constraints)
        flips: dict[Cut, list[int]] = defaultdict(list)
        out_at_start = set(constraints)
        for clause, intervals in constraints.items():
            for low, high in intervals:
                if low is None:
                    out_at_start.discard(clause)
                else:
                    flips[low].append(clause)
                if high is not None:
                    flips[high].append(clause)
        self.cuts = sorted({value for value, _ in flips})
        current = bits_of(out_at_start) | also
        self.between = [current]
        self.at = []
        for value in self.cuts:
            current ^= self._toggles(flips.get((value, 0)), also)
            self.at.append(current)
            current ^= self._toggles(flips.get((value, 1)), also)
            self.between.append(current)

    @staticmethod
    def _toggles(clauses: list[int] | None, also: int) -> int:
        if not clauses:
            return 0
        # A clause that ends one interval where it begins the next flips twice: not at all.
        bits = 0
        for clause in clauses:
            bits ^= 1 << clause
        return bits & ~also

    def out(self, value: Any) -> int:
        """The clauses that a value of this line rules out."""
        cuts = self.cuts
        index = bisect_left(cuts, value)
        if index < len(cuts) and cuts[index] == value:
            return self.at[index]
        return self.between[index]

    def next_flip(self, value: Any, alive: int) -> Any:
        """The lowest cut above a value at which a clause of `alive` changes, None where none does.

        After FLIPS_WALKED cuts without one it answers with the cut it has reached: a lower bound.
        """
        cuts, at = self.cuts, self.at
        index = bisect_left(cuts, value)
        if index < len(cuts) and cuts[index] == value:
            current = at[index]
            index += 1
        else:
            current = self.between[index]
        last = min(len(cuts), index + FLIPS_WALKED) - 1
        while index <= last:
            if (at[index] ^ current) & alive:
                return cuts[index]
            index += 1
        return cuts[last] if index < len(cuts) else None


class TokenLane:
    """Values compared for equality: a table by token, and an answer for all other tokens."""

    def __init__(
        self, constraints: dict[int, tuple[frozenset[Any] | None, frozenset[Any]]]
    ) -> None:
        """`constraints`: for each clause the only tokens it allows (None: any) and those it
        forbids."""
        self.wrong = bits_of(constraints)
        self.other = bits_of(
            clause for clause, (allowed, _) in constraints.items() if allowed is not None
        )
        flips: dict[Any, list[int]] = defaultdict(list)
        for clause, (allowed, forbidden) in constraints.items():
            for token in forbidden if allowed is None else allowed - forbidden:
                flips[token].append(clause)
        self.flips = dict(flips)

    def out(self, token: Any) -> int:
        """The clauses that a token rules out."""
        flips = self.flips.get(token)
        return self.other if flips is None else self.other ^ bits_of(flips)


class TestLane:
    """Predicates that only evaluation can answer: each distinct one is asked once a value."""

    __test__ = False  # not a test case, whatever its name suggests to pytest

    def __init__(self, tests: Iterable[tuple[Callable[[Any], bool], int, int]]) -> None:
        """`tests`: (predicate, the clauses out where it is true, those out where it is false)."""
        self.tests = list(tests)
        self.wrong = 0
        for _, out_if_true, out_if_false in self.tests:
            self.wrong |= out_if_true | out_if_false

    def out(self, value: Any) -> int:
        """The clauses that a value rules out."""
        bits = 0
        for predicate, out_if_true, out_if_false in self.tests:
            bits |= out_if_true if predicate(value) else out_if_false
        return bits


class ItemLane:
    """Lists: what clauses need among the items, and what they must not find there.

    A clause may need several things; its k-th need stands in plane k, so that finding one need
    does not count for another.
    """

    def __init__(
        self,
        needs: dict[int, list[frozenset[Any]]],
        forbidden: dict[int, frozenset[Any]],
        subsets: dict[frozenset[Any], list[int]] | None = None,
    ) -> None:
        """`needs`: for each clause sets of tokens, one of each must be there; `forbidden`: for
        each clause tokens none of which may be; `subsets`: sets of tokens, each with the clauses
        for which they may not all be there."""
        subsets = subsets or {}
        together = {clause for clauses in subsets.values() for clause in clauses}
        self.wrong = bits_of({*needs, *forbidden, *together})
        planes: list[list[int]] = []
        found: dict[tuple[int, Any], list[int]] = defaultdict(list)
        for clause, sets in needs.items():
            for plane, tokens in enumerate(sets):
                if plane == len(planes):
                    planes.append([])
                planes[plane].append(clause)
                for token in tokens:
                    found[plane, token].append(clause)
        self.everyone = [bits_of(clauses) for clauses in planes]
        unwanted: dict[Any, list[int]] = defaultdict(list)
        for clause, tokens in forbidden.items():
            for token in tokens:
                unwanted[token].append(clause)
        # Under one of its tokens each: a list that lacks that one can't hold them all.
        under: dict[Any, list[tuple[frozenset[Any], int]]] = defaultdict(list)
        for tokens, clauses in subsets.items():
            under[next(iter(tokens))].append((tokens, bits_of(clauses)))
        # For each token: the clauses that forbid it; for each plane those that need it; the sets
        # of tokens kept under it.
        self.table = {
            token: (
                bits_of(unwanted.get(token, ())),
                tuple(bits_of(found.get((plane, token), ())) for plane in range(len(planes))),
                tuple(under.get(token, ())),
            )
            for token in {token for _, token in found} | unwanted.keys() | under.keys()
        }

    def out(self, tokens: Collection[Any]) -> int:
        """The clauses that a list's items rule out."""
        bits = 0
        table, everyone = self.table, self.everyone
        entries = [entry for token in tokens if (entry := table.get(token)) is not None]
        for forbidden, _, subsets in entries:
            bits |= forbidden
            for wanted, clauses in subsets:
                if wanted.issubset(tokens):
                    bits |= clauses
        for plane, lacking in enumerate(everyone):
            found = 0
            for _, founds, _ in entries:
                found |= founds[plane]
            bits |= lacking & ~found
        return bits
