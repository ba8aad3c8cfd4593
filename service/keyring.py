"""The keys that this process knows: held whole in memory, swapped whole, asked by digest."""

import asyncio
from collections.abc import Sequence
from math import ceil

import structlog

from service.core.access import EVERYTHING, Caller, Scope
from service.core.instants import MINUTE, SECOND, from_datetime
from service.store import keys
from service.store.database import Database
from service.store.keys import KeyRow

log = structlog.get_logger()


class HeldKey:
    """A key that is not revoked, and what it has used of its rate limit in this process.

    The limit is a bucket of as many requests as the key may send a minute, filled evenly: the
    generic cell rate algorithm, which keeps one instant only, that at which the bucket is full.
    """

    __slots__ = ("_full_at", "_interval", "caller", "expires", "row", "timeless")

    def __init__(self, row: KeyRow) -> None:
        self.row = row
        # A name that a later version of the service knows is none of ours to allow.
        known = frozenset(scope for scope in Scope if scope in row.scopes)
        # All of them spelled out, so that one look tells what a key for everything may.
        known = EVERYTHING if Scope.ADMIN in known else known
        self.caller = Caller(row.name, row.id, known)
        self.expires = None if row.expires_at is None else from_datetime(row.expires_at)
        self._interval = None if row.rate_limit is None else MINUTE // row.rate_limit
        self._full_at = 0
        # Whether it allows the same at any time: no need to ask which it is.
        self.timeless = self.expires is None and self._interval is None

    def expired(self, now: int) -> bool:
        """Whether its time is over."""
        return self.expires is not None and now >= self.expires

    def wait(self, now: int) -> int:
        """Take one request out of the bucket: 0, or in how many seconds there is one again."""
        interval = self._interval
        if interval is None:
            return 0
        full_at, latest = self._full_at, now + MINUTE
        if full_at < now:
            full_at = now
        elif full_at > latest:  # an empty bucket is full in a minute: the clock was set back
            full_at = self._full_at = latest
        full_at += interval
        if full_at > latest:
            return ceil((full_at - latest) / SECOND)
        self._full_at = full_at
        return 0


class KeyRing:
    """All keys that are not revoked, as of the last look at the table."""

    def __init__(self) -> None:
        self._held: dict[bytes, HeldKey] = {}
        self._by_id: dict[str, HeldKey] = {}
        # Whether there is no key, so that only this machine itself may ask. Until the first look
        # nobody may. An expired key is one: time alone never opens the door.
        self.protected = False
        self._looking = asyncio.Lock()

    def find(self, key: bytes) -> HeldKey | None:
        """The key that somebody shows, if it is one and not revoked."""
        return self._held.get(keys.digest_of(key))

    def holds(self, key_id: str | None, now: int) -> bool:
        """Whether a key that was let in is one still; of None whether nobody needs one still."""
        if key_id is None:
            return self.protected
        key = self._by_id.get(key_id)
        return key is not None and not key.expired(now)

    async def look(self, database: Database) -> None:
        """Read the table; what was read is in force on return."""
        # In turn: what was read earlier must not be put in place of what was read later.
        async with self._looking, database.engine.connect() as connection:
            self._swap(await keys.standing(connection))

    def _swap(self, rows: Sequence[KeyRow]) -> None:
        held: dict[bytes, HeldKey] = {}
        for row in rows:
            known = self._held.get(row.digest)
            held[row.digest] = known if known is not None and known.row == row else HeldKey(row)
        self._held = held
        self._by_id = {key.row.id: key for key in held.values()}
        if self.protected != (not held):
            self.protected = not held
            log.warning("protected_mode", on=self.protected)
