"""Taking figures on a machine that others use too: pinned, interleaved, repeated."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

SERVER_CORE, DRIVER_CORE = 0, 1


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Keep this process on one core, where the system can and has that many."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    cores = sorted(before)
    os.sched_setaffinity(0, {cores[core % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Timing:
    """What several contenders took in the same rounds: seconds per unit of work, by name."""

    rounds: Mapping[str, list[float]]

    def best(self, name: str) -> float:
        """The least of the rounds: noise only adds."""
        return min(self.rounds[name])

    def ratio(self, slower: str, faster: str) -> float:
        """How many times as long the first took: the median of each round's own ratio."""
        pairs = zip(self.rounds[slower], self.rounds[faster], strict=True)
        return median(a / b for a, b in pairs)


Work = Callable[[], int]  # does some work, answers how many units it was


def race(contenders: Mapping[str, Work], rounds: int, step: Callable[[], None]) -> Timing:
    """Run every contender once a round, so that a slow moment of the machine strikes all."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            start = time.perf_counter()
            units = work()
            taken[name].append((time.perf_counter() - start) / units)
            step()
    return Timing(taken)


def sized(work: Callable[[Any], object], items: list[Any], seconds: float) -> Work:
    """Work on as many of the items as about that time allows, at least five."""
    start = time.perf_counter()
    for item in items[:5]:
        work(item)
    each = (time.perf_counter() - start) / 5
    some = items[: max(5, int(seconds / each))]

    def run() -> int:
        for item in some:
            work(item)
        return len(some)

    return run
