"""Lanes: for one field and one type of value, which clauses a value rules out.

A lane turns a value into an integer whose set bits are the clauses that the value does not
satisfy. `wrong` is the answer for a value of another type: every literal is unknown then, so every
clause of the lane is out.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from service.core.bits import bits_of
from service.core.comparisons import Cut, Interval
from service.core.geography import Circle, CircleIndex, Point
from service.core.traits import fold, is_number

ITEMS_REMEMBERED = 20_000
EXACT = 2**53


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
        # The same as one table, where the cuts are numbers: `table[bisect_right(bounds, value)]`,
        # half the work. `bounds` are for floats, `whole` for integers: to compare one with the
        # other takes several times as long.
        self.bounds: list[float] = []
        self.whole: list[int] = []
        self.table = self._single(flips)

    def _single(self, flips: Mapping[Cut, Any]) -> list[int] | None:
        """The table. A cut just behind a number stands at the next float, which no number lies
        before - up to 2**53 - and of the integers at the next integer."""
        table = [self.between[0]]
        for index, value in enumerate(self.cuts):
            if not is_number(value) or not -EXACT < value < EXACT:
                return None
            if (value, 0) in flips:
                self.bounds.append(float(value))
                table.append(self.at[index])
            if (value, 1) in flips:
                self.bounds.append(math.nextafter(value, math.inf))
                table.append(self.between[index + 1])
        self.whole = [math.ceil(bound) for bound in self.bounds]
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

    def place(self, value: float) -> int:
        """How many cuts lie before a number, where the line has a table."""
        return bisect_right(self.whole if type(value) is int else self.bounds, value)

    def below(self, whole: int) -> int | None:
        """The nearest cut at or below an integer, where the line has a table."""
        place = bisect_right(self.whole, whole)
        return self.whole[place - 1] if place else None

    def out(self, value: Any) -> int:
        """The clauses that a value of this line rules out."""
        if self.table is not None:
            bounds = self.whole if type(value) is int else self.bounds
            return self.table[bisect_right(bounds, value)]
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

    What a token does is one integer: in the lowest `width` bits the clauses that forbid it; above
    them, as many, the clauses whose first need it meets; on top a bit for each set of tokens that
    matters beside others and that it is one of.
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
        self.width = self.wrong.bit_length()
        self.low = (1 << self.width) - 1
        self.needing = bits_of(needs)
        # What conditions seldom speak of few lists hold, so it comes first: less is asked then.
        common = Counter(token for tokens in chain(*needs.values(), subsets) for token in tokens)

        def frequency(tokens: frozenset[Any]) -> int:
            return sum(common[token] for token in tokens)

        needs = {clause: sorted(sets, key=frequency) for clause, sets in needs.items()}
        facts: dict[Any, list[int]] = defaultdict(list)
        for clause, tokens in forbidden.items():
            for token in tokens:
                facts[token].append(clause)
        for clause, (first, *_) in needs.items():
            for token in first:
                facts[token].append(clause + self.width)
        # Sets of tokens that matter beside others, each with its bit on top.
        places: dict[frozenset[Any], int] = {}

        def place(tokens: frozenset[Any]) -> int:
            return places.setdefault(tokens, len(places))

        # By the bit of the first: the other sets, and the clauses that are out where a list with
        # the first has one of each of those too (True), or where it has not (False). A list
        # without the first is out by that alone.
        beside: dict[int, dict[tuple[int, bool], list[int]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for clause, (first, *others) in needs.items():
            if others:
                beside[1 << place(first)][bits_of(map(place, others)), False].append(clause)
        for tokens, clauses in subsets.items():
            first, *others = sorted((frozenset({token}) for token in tokens), key=frequency)
            beside[1 << place(first)][bits_of(map(place, others)), True] += clauses
        self.beside = {
            first: [(sets, has, bits_of(clauses)) for (sets, has), clauses in asked.items()]
            for first, asked in beside.items()
        }
        self.firsts = sum(self.beside)
        self.top = 2 * self.width
        for tokens, at in places.items():
            for token in tokens:
                facts[token].append(at + self.top)
        self.table = {token: bits_of(told) for token, told in facts.items()}
        # The same by text as it comes, folded once.
        self.raw: dict[Any, int] = {}

    def out(self, items: list[Any]) -> int:
        """The clauses that a list rules out."""
        raw = self.raw
        told = 0
        try:
            for item in items:
                told |= raw[item]
        except (KeyError, TypeError):
            told = self._told(items)
        bits = told & self.low | self.needing & ~(told >> self.width)
        held = told >> self.top
        firsts = held & self.firsts
        while firsts:
            first = firsts & -firsts
            firsts ^= first
            for sets, has, clauses in self.beside[first]:
                if (sets & held == sets) is has:
                    bits |= clauses
        return bits

    def _told(self, items: list[Any]) -> int:
        """What a list with items not met before tells; texts are remembered."""
        if len(self.raw) > ITEMS_REMEMBERED:
            self.raw = {}
        told = 0
        for item in items:
            if type(item) is str:
                entry = self.raw[item] = self.table.get(fold(item), 0)
                told |= entry
            elif is_number(item):
                told |= self.table.get(item, 0)
        return told


class PlaceLane:
    """Points: circles that clauses need the point in, and circles that it must be outside of.

    A circle's bit is its clause where the point must be outside; the k-th circle that a clause
    needs has its bit in the k-th plane above, so that being in one does not count for another.
    """

    def __init__(self, near: dict[int, list[Circle]], not_near: dict[int, list[Circle]]) -> None:
        self.wrong = bits_of({*near, *not_near})
        width = self.wrong.bit_length()
        self.low = (1 << width) - 1
        needed = [
            (clause + width * plane, circle)
            for clause, circles in near.items()
            for plane, circle in enumerate(circles, 1)
        ]
        self.needed = bits_of(bit for bit, _ in needed)
        planes = max((len(circles) for circles in near.values()), default=0)
        self.shifts = [width * plane for plane in range(1, planes + 1)]
        avoided = [(clause, circle) for clause, circles in not_near.items() for circle in circles]
        self.circles = CircleIndex(needed + avoided)

    def out(self, place: Point) -> int:
        """The clauses that a point rules out."""
        bits = self.circles.containing(place)
        lacking = self.needed & ~bits
        for shift in self.shifts:
            bits |= lacking >> shift
        return bits & self.low
