"""The sources that this process knows, and what it lets each send: held whole in memory, swapped
whole, asked by the digest of a write key."""

import asyncio
from collections.abc import Mapping
from math import ceil

from service.core.instants import MINUTE, SECOND
from service.intake.traits import NOTHING_WITHHELD, Withheld
from service.store import sources
from service.store.database import Database
from service.store.keys import digest_of
from service.store.sources import SourceRow


class HeldSource:
    """A source, and what it has used of its rate limit in this process: a bucket of as many events
    as it may send a minute, filled evenly."""

    __slots__ = ("_full_at", "row")

    def __init__(self, row: SourceRow) -> None:
        self.row = row
        self._full_at = 0

    def wait(self, events: int, now: int) -> int:
        """Take so many events out of the bucket: 0, or in how many seconds they are in it again. A
        request of more than it ever holds takes all of it."""
        limit = self.row.rate_limit
        if limit is None:
            return 0
        latest = now + MINUTE
        # An empty bucket is full in a minute: else the clock was set back.
        full_at = min(max(self._full_at, now), latest) + min(events, limit) * MINUTE // limit
        if full_at > latest:
            return ceil((full_at - latest) / SECOND)
        self._full_at = full_at
        return 0


class SourceRing:
    """All sources, as of the last look at the table."""

    def __init__(self) -> None:
        self._held: Mapping[bytes, HeldSource] = {}
        # What browsers may not write.
        self.server_only: Withheld = NOTHING_WITHHELD
        self._looking = asyncio.Lock()

    def find(self, key: bytes) -> HeldSource | None:
        """The source of the write key that somebody shows, the disabled too."""
        return self._held.get(digest_of(key))

    async def look(self, database: Database) -> None:
        """Read the tables; what was read is in force on return."""
        # In turn: what was read earlier must not be put in place of what was read later.
        async with self._looking, database.engine.connect() as connection:
            rows = await sources.listed(connection)
            paths = await sources.server_only(connection)
            before = {held.row.id: held for held in self._held.values()}
            self._held = {row.digest: _kept(before.get(row.id), row) for row in rows}
            if paths != self.server_only.paths:
                self.server_only = Withheld(paths)


def _kept(known: HeldSource | None, row: SourceRow) -> HeldSource:
    """What is held of a source, and has counted; anew where its limit is another."""
    if known is None or known.row.rate_limit != row.rate_limit:
        return HeldSource(row)
    known.row = row
    return known
