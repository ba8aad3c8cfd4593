"""Looking ahead: until when an answer holds if nothing but time happens.

The clauses that a profile's own traits leave open tell at which instants time could change them.
Those instants are walked in order, a bounded number of them, and the profile is matched at each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heapify, heappop, heapreplace

from service.core.bits import positions_of
from service.core.field_index import Clock
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


FOR_EVER = Horizon()


def walk(prepared: Prepared, now: int, truths: int, *, ends: bool = True) -> Horizon:
    """Until when an answer holds, found by walking a bounded number of boundaries. `ends`: whether
    until when each segment does is asked for too."""
    if not prepared.moves:
        return FOR_EVER
    levels = _moving(prepared, truths)
    timed = truths & prepared.matcher.timed if ends else 0
    if levels is None:
        return _walk_everything(prepared, now, timed, truths)
    return _walk_flips(levels, now, timed, truths)


# The profile as it will be at an instant, and until when it stays that; None: for ever.
ProfileAt = Callable[[int], tuple[Prepared, int | None]]


def walk_changing(
    prepared: Prepared,
    until: int | None,
    profile_at: ProfileAt,
    now: int,
    truths: int,
    *,
    ends: bool = True,
) -> Horizon:
    """`walk` where the profile itself changes with time, first at `until`."""
    valid_until: int | None = None
    by_position: dict[int, int] = {}
    timed = truths & prepared.matcher.timed if ends else 0
    at, current = now, truths
    for _ in range(BOUNDARIES_WALKED):
        inner = walk(prepared, at, current, ends=ends)
        first = inner.valid_until
        if valid_until is None and first is not None and (until is None or first < until):
            valid_until = first
        for position, end in inner.by_position.items():
            if timed >> position & 1 and (until is None or end < until):
                by_position[position] = end
                timed ^= 1 << position
        if until is None or (valid_until is not None and not timed):
            return Horizon(valid_until, by_position)
        at = until
        prepared, until = profile_at(at)
        current = prepared.at(at)
        if valid_until is None and current != truths:
            valid_until = at
        left = timed & ~current
        timed &= current
        by_position.update(dict.fromkeys(positions_of(left), at))
    # Not walked to the end: what is left may hold for longer, but not for less.
    by_position.update(dict.fromkeys(positions_of(timed), at))
    return Horizon(at if valid_until is None else valid_until, by_position)


# An instant ahead at which time changes a clause, the number of its level, and the clause.
Flip = tuple[int, int, int]


class MovingLevel:
    """What of one level time still moves, where nothing else does."""

    def __init__(self, index: LevelIndex, open_: int, clocks: Sequence[Clock]) -> None:
        """`open_`: the clauses that nothing but these clocks can rule out."""
        self.index = index
        self.open = open_
        self.clocks = clocks

    def holds(self, position: int, at: int) -> bool:
        """Whether a segment is true at an instant."""
        for clause in self.index.clauses_at(position):
            if self.open >> clause & 1:
                for field_, value, instant in self.clocks:
                    if field_.timed >> clause & 1 and field_.out(value, instant, at) >> clause & 1:
                        break
                else:
                    return True
        return False


def _moving(prepared: Prepared, truths: int) -> list[MovingLevel] | None:
    """The levels; None where more than fixed durations moves them."""
    if prepared.matcher.entangled:
        return None
    levels = []
    for (index, _), (out, clocks) in zip(prepared.matcher.levels, prepared.found, strict=True):
        open_ = index.open(out, truths)
        for field_, value, _ in clocks:
            if field_.timed_questions and field_.steps(value, open_):
                return None
        levels.append(MovingLevel(index, open_, clocks))
    return levels


def _walk_flips(levels: Sequence[MovingLevel], now: int, timed: int, truths: int) -> Horizon:
    """The walk where all changes are known beforehand: only the segments they touch are asked."""
    flips: list[Flip] = []
    for number, level in enumerate(levels):
        for field_, _, instant in level.clocks:
            flips += field_.flips(instant, now, level.open, number)
    flips.sort(reverse=True)  # the soonest last, to be taken from there
    valid_until: int | None = None
    ends: dict[int, int] = {}
    # By level, the clauses whose changes matter once the answer's own end is known: those of the
    # segments whose end is still asked for.
    watched: list[int] | None = None
    walked = 0
    last = now
    while flips and flips[-1][0] <= LAST:
        at = flips[-1][0]
        touched: dict[int, MovingLevel] = {}
        while flips and flips[-1][0] == at:
            _, number, clause = flips.pop()
            if watched is None or watched[number] >> clause & 1:
                level = levels[number]
                touched[level.index.position_of(clause)] = level
        if not touched:
            continue
        if walked == BOUNDARIES_WALKED:
            # Not walked to the end: what is left may hold for longer, but not for less.
            ends.update(dict.fromkeys(positions_of(timed), last))
            return Horizon(last if valid_until is None else valid_until, ends)
        walked, last = walked + 1, at
        for position, level in touched.items():
            if level.holds(position, at) != truths >> position & 1:
                # The first to differ from the answer ends it.
                valid_until = at if valid_until is None else valid_until
                if timed >> position & 1:
                    ends[position] = at
                    timed ^= 1 << position
                    watched = None
        if valid_until is not None and watched is None:
            if not timed:
                break
            watched = [level.index.clauses_of(timed) for level in levels]
    return Horizon(valid_until, ends)


def _walk_everything(prepared: Prepared, now: int, timed: int, truths: int) -> Horizon:
    """The walk where a change may touch anything: the profile is matched at each boundary."""
    matcher = prepared.matcher
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
            alive = index.every ^ out
            for clock, value, instant in clocks:
                flips = clock.flips(instant, now, alive, level)
                self._heap += [(*flip, -1) for flip in flips]
                for clauses, step in clock.steps(value, alive):
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
