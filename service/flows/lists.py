"""Changing lists: a few ids at a time, or a whole upload in place of what is there."""

from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import SYSTEM, Author
from service.flows.publications import Conflict, Publication, Publications, Unknown
from service.store import jobs, segments
from service.store import lists as stored
from service.store.database import Crowded, Database, Long
from service.store.erasures import Erasures
from service.store.lists import Replaced
from service.store.segments import SegmentRow

# Ids that are sent to the database at once.
AT_ONCE = 5_000
# Ids whose fingerprints are made at once: 2 ms, in which nobody else is answered.
RECOGNISED_AT_ONCE = 1_000
# Uploads that one key may have under way in this process: some are left for others.
UPLOADS_OF_ONE = 2


class BeingReplaced(RuntimeError):
    """An upload is just now taking the place of this list; it will be done in a moment."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What an upload came to, and the job that decides the customers whom it concerns."""

    replaced: Replaced
    job: int


class Lists:
    """The lists of one workspace."""

    def __init__(self, database: Database, publications: Publications, erasures: Erasures) -> None:
        self._database = database
        self._publications = publications
        self._erasures = erasures
        # By key, how many uploads are under way.
        self._uploading: Counter[str] = Counter()

    async def change(
        self,
        key: str,
        add: Sequence[str],
        remove: Sequence[str],
        *,
        author: Author = SYSTEM,
        cause: str = "list",
    ) -> int:
        """Add and remove ids of a list; how many that changed. `cause`: the reason of whatever
        follows. Raises Unknown, Conflict, BeingReplaced."""
        async with self._publications.change(author) as change:
            row = await _list(change.connection, key)
            # Whoever replaces it needs the head, which we hold: waiting would be for ever.
            if not await stored.lock(change.connection, key, wait=False):
                raise BeingReplaced(key)
            added, removed = await segments.change_list(change.connection, key, add, remove)
            if added:
                added -= await self._drop_erased(change.connection, key, add)
            if added or removed:
                await _tell(change, row, added, removed, cause)
            return added + removed

    async def replace(
        self, key: str, batches: AsyncIterable[Sequence[str]], *, author: Author = SYSTEM
    ) -> Uploaded:
        """Put ids in place of those on a list, once the last of them has come; the list is what it
        was until then. Raises Unknown, Conflict, Crowded, and whatever `batches` does."""
        async with self._turn(author), self._database.long(Long.UPLOAD) as connection:
            await _list(connection, key)
            await stored.open_stage(connection)
            waiting: list[str] = []
            async for batch in batches:
                waiting += batch
                if len(waiting) >= AT_ONCE:
                    await stored.stage(connection, waiting)
                    waiting = []
            await stored.stage(connection, waiting)
            # Beside the publishers, who would wait for seconds: the head is ours for the end only.
            await stored.lock(connection, key, wait=True)
            adding = await stored.compare(connection, key)
            noted = adding > 0 and await self._erasures.any(connection)
            if noted:
                await self._note_added(connection)
            replaced = await stored.replace(connection, key)
            async with self._publications.change(author, connection) as change:
                row = await _list(change.connection, key)
                await stored.end_adding(connection)
                if replaced.added and (noted or await self._erasures.any(connection)):
                    if not noted:  # the first who ever was erased, meanwhile
                        await self._note_added(connection)
                    replaced = await self._without_erased(connection, key, replaced)
                if replaced.added or replaced.removed:
                    await _tell(change, row, replaced.added, replaced.removed)
                if change.cause is None:
                    # Nobody is concerned; whoever asked for the job finds one that is done.
                    detail = {"cause": "list", "segments": [key]}
                    change.job = await jobs.enqueue(change.connection, "redecide", detail)
                    await jobs.finish(change.connection, change.job, 0)
            assert change.job is not None  # noqa: S101 - publishing a list starts one
            return Uploaded(replaced, change.job)

    @asynccontextmanager
    async def _turn(self, author: Author) -> AsyncIterator[None]:
        """One of the uploads that a key may have under way. Raises Crowded."""
        key = author.key_id
        if key is None:
            yield
            return
        if self._uploading[key] >= UPLOADS_OF_ONE:
            raise Crowded(f"{UPLOADS_OF_ONE} uploads with this key are under way already")
        self._uploading[key] += 1
        try:
            yield
        finally:
            self._uploading[key] -= 1

    async def _note_added(self, connection: AsyncConnection) -> None:
        """Make the fingerprints of those who come, which takes long, before anybody waits."""
        raw = (await connection.get_raw_connection()).driver_connection
        await self._erasures.open_notes(raw)
        async for ids in stored.added(connection, RECOGNISED_AT_ONCE):
            await self._erasures.note(raw, ids)

    async def _without_erased(
        self, connection: AsyncConnection, key: str, replaced: Replaced
    ) -> Replaced:
        """Take erased customers who have not come back off again."""
        raw = (await connection.get_raw_connection()).driver_connection
        gone = await self._erasures.noted_gone(raw)
        _, dropped = await segments.change_list(connection, key, (), sorted(gone))
        return Replaced(replaced.size - dropped, replaced.added - dropped, replaced.removed)

    async def _drop_erased(self, connection: AsyncConnection, key: str, ids: Sequence[str]) -> int:
        """Take erased customers who have not come back off a list again; how many."""
        await stored.end_adding(connection)
        raw = (await connection.get_raw_connection()).driver_connection
        gone = await self._erasures.gone(raw, ids)
        if gone:
            await segments.change_list(connection, key, (), sorted(gone))
        return len(gone)


async def _list(connection: AsyncConnection, key: str) -> SegmentRow:
    row = await segments.get(connection, key)
    if row is None:
        raise Unknown(key)
    if row.kind != "list":
        raise Conflict("kind", f"{key} is no list: its members follow from its condition")
    if row.status == "archived":
        raise Conflict("archived", f"{key} is archived; PUT revives it")
    return row


async def _tell(
    change: Publication, row: SegmentRow, added: int, removed: int, cause: str = "list"
) -> None:
    # How many, never who: the audit outlives the erasure of a customer.
    told = {"members": {"added": added, "removed": removed}}
    await change.audit("list.changed", f"segments/{row.key}", told)
    if row.status == "active":
        change.publish(cause, row.key, redecide=True)
        change.changed += added + removed
