"""Changes of the catalog: each a transaction that holds the head and may end in a new revision."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import SYSTEM, Author
from service.core.instants import to_datetime
from service.core.parsing import Problem
from service.flows.following import Follower
from service.store import audit, catalogs, jobs
from service.store.audit import Difference
from service.store.database import Database


class Conflict(RuntimeError):
    """The change contradicts what is there: in use (`problems` says by whom), taken, of another
    kind, archived."""

    def __init__(self, code: str, detail: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.problems = list(problems)


class Stale(RuntimeError):
    """The segment is no longer the version that the change was made from."""


class Unknown(LookupError):
    """There is no such segment, or no such declaration."""


class MayNotPublish(PermissionError):
    """The change decides who is in an active segment, or what answers about its members hold, and
    its author may only write."""


class Notify(StrEnum):
    """Whom outbound messages tell of the transitions that a publication causes: nobody; those who
    are new in its segments; or all who are in them, as if they had just entered."""

    NONE = "none"
    NEW = "new"
    ALL = "all"


class Publication:
    """One change: its transaction, the revision it began from, its author and its instant."""

    def __init__(
        self, connection: AsyncConnection, head: int, now: datetime, author: Author
    ) -> None:
        self.connection = connection
        self.head = head
        self.now = now
        self.author = author
        self.cause: str | None = None
        self.keys: list[str] = []
        self.redecide = False
        self.notify = Notify.NONE
        # Ids that were put on lists or taken off, and the job that decides customers again.
        self.changed = 0
        self.job: int | None = None

    def publish(
        self, cause: str, key: str, *, redecide: bool, notify: Notify = Notify.NONE
    ) -> None:
        """Ask for a new revision at the end, and perhaps for everyone to be decided again."""
        self.cause = cause if self.cause in (None, cause) else "definition"
        self.keys.append(key)
        self.redecide = self.redecide or redecide
        if notify is not Notify.NONE:
            self.notify = notify

    async def audit(self, action: str, subject: str, difference: Difference) -> None:
        """Note in the audit what this change does."""
        await audit.record(self.connection, self.author, self.now, action, subject, difference)


class Publications:
    """Makes changes, one at a time."""

    def __init__(
        self,
        database: Database,
        follower: Follower,
        clock: Callable[[], int],
        wake_jobs: Callable[[], None],
    ) -> None:
        self._database = database
        self._follower = follower
        self._clock = clock
        self._wake_jobs = wake_jobs
        # One at a time here too: whoever waits for the head holds a connection, and the one who
        # has it needs another to catch up.
        self._turn = asyncio.Lock()

    def now(self) -> datetime:
        """The instant that a change of this moment has."""
        return to_datetime(self._clock())

    @asynccontextmanager
    async def change(
        self, author: Author = SYSTEM, begun: AsyncConnection | None = None
    ) -> AsyncIterator[Publication]:
        """A transaction that holds the head; on leaving, the new revision is live here too.
        `begun`: a connection, not of the pool, with a transaction to go on with and to commit."""
        async with self._turn, self._transaction(begun) as connection:
            head = await catalogs.lock_head(connection)
            await self._follower.catch_up(head)
            change = Publication(connection, head, self.now(), author)
            yield change
            if change.cause is not None:
                await catalogs.publish(
                    connection, head + 1, change.now, change.cause, change.keys, change.notify
                )
                if change.redecide:
                    detail = {"revision": head + 1, "cause": change.cause, "segments": change.keys}
                    if change.cause in ("list", "import"):
                        detail["changed"] = change.changed
                    change.job = await jobs.enqueue(connection, "redecide", detail)
        if change.cause is not None:
            await self._follower.catch_up(change.head + 1)
            self._wake_jobs()

    @asynccontextmanager
    async def _transaction(self, begun: AsyncConnection | None) -> AsyncIterator[AsyncConnection]:
        if begun is None:
            async with self._database.engine.begin() as connection:
                yield connection
        else:
            yield begun
            await begun.commit()
