"""The order in which things arrive, where what is sent says nothing of it: of two that came at one
instant the later one counts, whoever is found later to be the same person."""

import uuid
from collections.abc import Callable
from itertools import count

from service.core.instants import SECOND

_made = count()


def new_id(kind: str) -> str:
    """An id that nothing had before: a kind, 12 hexadecimal digits by which a process's ids sort as
    they were made, and 32 random ones."""
    return f"{kind}-{next(_made):012x}-{uuid.uuid4().hex}"


class Receipts:
    """Instants of receipt, in microseconds since the epoch. No two are the same: each that would
    be is a microsecond after the last."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._latest = 0

    def next(self) -> int:
        """The instant of what comes now."""
        now = self._clock()
        # A clock that was set back is believed.
        if 0 <= self._latest - now < SECOND:
            now = self._latest + 1
        self._latest = now
        return now
