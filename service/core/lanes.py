"""Lanes: for one field and one type of value, which clauses a value rules out.

A lane turns a value into an integer whose set bits are the clauses that the value does not
satisfy. `wrong` is the answer for a value of another type: every literal is unknown then, so every
clause of the lane is out.
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from service.core.bits import bits_of
from service.core.comparisons import Cut, Interval, item_tokens
from service.core.geography import Circle, CircleIndex, Point
from service.core.traits import fold, is_number

ITEMS_REMEMBERED = 20_000
EXACT = 2**53

# Of one token: the clauses that forbid it; those that need it, plane by plane; the sets of tokens
# kept under it, each with the clauses for which they may not all be there.
Entry = tuple[int, int, tuple[tuple[frozenset[Any], int], ...]]
NO_ENTRY: Entry = (0, 0, ())


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
        self.bounds: list[Any] = []
        self.table = self._single(flips)

    def _single(self, flips: Mapping[Cut, Any]) -> list[int] | None:
        """The same as one table: `table[bisect_right(bounds, value)]`, half the work. A cut just
        behind a number stands at the next float, which no number lies before - up to 2**53."""
        table = [self.between[0]]
        for index, value in enumerate(self.cuts):
            if not is_number(value):
                return None
            if (value, 0) in flips:
                self.bounds.append(value)
                table.append(self.at[index])
            if (value, 1) in flips:
                if not -EXACT < value < EXACT:
                    return None
                self.bounds.append(math.nextafter(value, math.inf))
                table.append(self.between[index + 1])
        return table

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
        if self.table is not None:
            return self.table[bisect_right(self.bounds, value)]
        cuts = self.cuts
        index = bisect_left(cuts, value)
        if index < len(cuts) and cuts[index] == value:
            return self.at[index]
        return self.between[index]


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
        # The planes side by side in one integer, each `width` bits wide.
        self.width = self.wrong.bit_length()
        self.planes = range(len(planes))
        self.everyone = self._side_by_side([bits_of(clauses) for clauses in planes])
        unwanted: dict[Any, list[int]] = defaultdict(list)
        for clause, tokens in forbidden.items():
            for token in tokens:
                unwanted[token].append(clause)
        # Under one of its tokens each: a list that lacks that one can't hold them all.
        under: dict[Any, list[tuple[frozenset[Any], int]]] = defaultdict(list)
        for tokens, clauses in subsets.items():
            under[next(iter(tokens))].append((tokens, bits_of(clauses)))
        self.table: dict[Any, Entry] = {
            token: (
                bits_of(unwanted.get(token, ())),
                self._side_by_side([bits_of(found.get((p, token), ())) for p in self.planes]),
                tuple(under.get(token, ())),
            )
            for token in {token for _, token in found} | unwanted.keys() | under.keys()
        }
        # The same by text as it comes, folded once.
        self.raw: dict[Any, Entry] = {}

    def _side_by_side(self, planes: Sequence[int]) -> int:
        bits = 0
        for number, plane in enumerate(planes):
            bits |= plane << number * self.width
        return bits

    def out(self, items: list[Any]) -> int:
        """The clauses that a list rules out."""
        raw = self.raw
        try:
            entries = [raw[item] for item in items]
        except (KeyError, TypeError):
            entries = self._entries(items)
        bits = met = 0
        held: frozenset[Any] | None = None
        for forbidden, needed, subsets in entries:
            bits |= forbidden
            met |= needed
            if subsets:
                held = held or item_tokens(items, case_sensitive=False)
                for wanted, clauses in subsets:
                    if wanted <= held:
                        bits |= clauses
        lacking = self.everyone & ~met
        for plane in self.planes:
            bits |= lacking >> plane * self.width & self.wrong
        return bits

    def _entries(self, items: list[Any]) -> list[Entry]:
        """The entries of a list with items not met before; texts are remembered."""
        if len(self.raw) > ITEMS_REMEMBERED:
            self.raw = {}
        entries = []
        for item in items:
            if type(item) is str:
                entry = self.raw[item] = self.table.get(fold(item), NO_ENTRY)
                entries.append(entry)
            elif is_number(item):
                entries.append(self.table.get(item, NO_ENTRY))
        return entries


class PlaceLane:
    """Points: circles that clauses need the point in (the k-th of a clause in plane k), and
    circles that it must be outside of."""

    def __init__(self, near: dict[int, list[Circle]], not_near: dict[int, list[Circle]]) -> None:
        self.wrong = bits_of({*near, *not_near})
        self.near = self._planes(near)
        self.not_near = self._planes(not_near)

    @staticmethod
    def _planes(circles: dict[int, list[Circle]]) -> list[CircleIndex]:
        count = max((len(each) for each in circles.values()), default=0)
        return [
            CircleIndex({bit: each[plane] for bit, each in circles.items() if len(each) > plane})
            for plane in range(count)
        ]

    def out(self, place: Point) -> int:
        """The clauses that a point rules out."""
        bits = 0
        for plane in self.near:
            bits |= plane.everyone & ~plane.containing(place)
        for plane in self.not_near:
            bits |= plane.containing(place)
        return bits
