"""Looking ahead: until when an answer holds if nothing but time happens.

The clauses that a profile's own traits leave open tell at which instants time could change them.
Those instants are walked in order, a bounded number of them, and the profile is matched at each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heapify, heappop, heapreplace

from service.core.bits import positions_of
from service.core.instants import LAST, Moment
from service.core.matching import LevelIndex, Prepared

BOUNDARIES_WALKED = 8

# The first instant after another at which something could change; None: never again.
Step = Callable[[int], int | None]
_EVERY_CLAUSE = -1


@dataclass(frozen=True, slots=True)
class Horizon:
    """Until when an answer holds if nothing but time happens: the first instant at which it could
    change, and for each segment (by position) of its own; None, or no entry: for ever."""

    valid_until: int | None = None
    by_position: Mapping[int, int] = field(default_factory=dict)


def walk(prepared: Prepared, now: int, truths: int) -> Horizon:
    """Until when an answer holds, found by walking a bounded number of boundaries."""
    matcher = prepared.matcher
    timed = truths & matcher.timed
    valid_until: int | None = None
    ends: dict[int, int] = {}
    ahead = Ahead(prepared, now)
    watched: list[int] | None = None
    at = now
    for _ in range(BOUNDARIES_WALKED):
        change = ahead.pop(watched)
        if change is None:
            return Horizon(valid_until, ends)
        at = change
        then = prepared.at(at)
        if valid_until is None and then != truths:
            valid_until = at
        left = timed & ~then
        if left:
            timed &= then
            for position in positions_of(left):
                ends[position] = at
        if valid_until is not None:
            if not timed:
                return Horizon(valid_until, ends)
            if watched is None and not matcher.entangled:
                # The answer's own end is known: only its segments' ends are still asked for.
                watched = [index.clauses_of(timed) for index, _ in matcher.levels]
    # Not walked to the end: what is left may hold for longer, but not for less.
    for position in positions_of(timed):
        ends[position] = at
    return Horizon(at if valid_until is None else valid_until, ends)


class Ahead:
    """The instants ahead at which time could change what a profile matches, soonest first."""

    def __init__(self, prepared: Prepared, now: int) -> None:
        self._last = now
        # What has many changes ahead tells one at a time: the clauses it may change, and how.
        self._steps: list[tuple[int, Step]] = []
        # (instant, level, clause, -1), or (instant, level, -1, number of the step).
        self._heap: list[tuple[int, int, int, int]] = []
        for level, (index, _) in enumerate(prepared.matcher.levels):
            out, clocks = prepared.found[level]
            for clock, value, instant in clocks:
                for clause, flip in clock.flips(instant, now, ~out):
                    self._heap.append((flip, level, clause, -1))
                for clauses, step in clock.steps(value, ~out):
                    self._add(level, clauses, step)
            if index.looped:
                self._add(level, _EVERY_CLAUSE, partial(_looped_change, prepared, index))
        heapify(self._heap)

    def _add(self, level: int, clauses: int, step: Step) -> None:
        first = step(self._last)
        if first is not None:
            self._heap.append((first, level, -1, len(self._steps)))
            self._steps.append((clauses, step))

    def pop(self, watched: Sequence[int] | None = None) -> int | None:
        """The next instant, a lower bound of the next change; None: nothing changes any more.

        `watched`: by level, the only clauses whose changes matter from here on.
        """
        heap = self._heap
        while heap:
            at, level, clause, number = heap[0]
            if at > LAST:
                return None
            if number < 0:
                heappop(heap)
                matters = watched is None or watched[level] >> clause & 1
            else:
                clauses, step = self._steps[number]
                following = step(at)
                if following is None:
                    heappop(heap)
                else:
                    heapreplace(heap, (following, level, -1, number))
                matters = watched is None or watched[level] & clauses
            if matters and at > self._last:
                self._last = at
                return at
        return None


def _looped_change(prepared: Prepared, index: LevelIndex, now: int) -> int | None:
    return index.looped_change(prepared.profile, Moment(now, prepared.matcher.zone))
