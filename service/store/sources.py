"""Sources of tracking data, each change with its entry in the audit, and what was not taken of
what they sent.

A write key is `sgw_` and 43 random characters. It is shown when it is made; stored is its SHA-256.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import Author
from service.core.exclusion import FLAGS
from service.store.audit import difference_of, record
from service.store.keys import digest_of
from service.store.tables import rejects, sources, traits

PREFIX = "sgw_"
# Of each source the newest rejects are kept, of each message its beginning.
REJECTS_KEPT = 1_000
MESSAGE_KEPT = 4_096  # characters
AT_ONCE = 100  # rejects of one person

_WHOLE = frozenset({"object", "point"})


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source as it is stored. `rate_limit`: events a minute, None: as many as there are."""

    id: str
    name: str
    type: str
    store: str | None
    digest: bytes
    enabled: bool
    rate_limit: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RejectRow:
    """A message, or a part of one, that was not taken."""

    id: int
    source_id: str
    received_at: datetime
    code: str
    detail: str
    pointer: str
    message_id: str | None
    customer_id: str | None
    message: str | None


def new_key() -> str:
    """A write key that nobody has."""
    return PREFIX + secrets.token_urlsafe(32)


async def create(connection: AsyncConnection, author: Author, row: SourceRow) -> bool:
    """Keep a new source; whether its id was free."""
    statement = insert(sources).values(asdict(row)).on_conflict_do_nothing(index_elements=["id"])
    if not (await connection.execute(statement)).rowcount:
        return False
    await _note(connection, author, row.created_at, "source.created", None, row)
    return True


async def change(
    connection: AsyncConnection, author: Author, at: datetime, before: SourceRow, after: SourceRow
) -> None:
    """Replace a source that is held by another of the same id."""
    statement = update(sources).where(sources.c.id == before.id)
    await connection.execute(statement.values(asdict(after)))
    if _told(before) != _told(after):
        await _note(connection, author, at, "source.updated", before, after)


async def rotate(
    connection: AsyncConnection, author: Author, at: datetime, row: SourceRow, key: str
) -> SourceRow:
    """Give a source that is held another write key; the old one is refused from now on."""
    after = replace(row, digest=digest_of(key.encode()))
    await connection.execute(
        update(sources).where(sources.c.id == row.id).values(digest=after.digest)
    )
    await _note(connection, author, at, "source.key_rotated", row, after)
    return after


async def remove(connection: AsyncConnection, author: Author, at: datetime, row: SourceRow) -> None:
    """Remove a source that is held, and its rejects."""
    await connection.execute(delete(sources).where(sources.c.id == row.id))
    await _note(connection, author, at, "source.deleted", row, None)


async def held(connection: AsyncConnection, source_id: str) -> SourceRow | None:
    """A source, locked until the transaction ends."""
    query = select(sources).where(sources.c.id == source_id).with_for_update()
    return _row((await connection.execute(query)).mappings().first())


async def get(connection: AsyncConnection, source_id: str) -> SourceRow | None:
    """A source."""
    query = select(sources).where(sources.c.id == source_id)
    return _row((await connection.execute(query)).mappings().first())


async def listed(
    connection: AsyncConnection, after: str | None = None, limit: int | None = None
) -> Sequence[SourceRow]:
    """Sources by id, those after `after`."""
    query = select(sources).order_by(sources.c.id).limit(limit)
    if after is not None:
        query = query.where(sources.c.id > after)
    return [SourceRow(**found) for found in (await connection.execute(query)).mappings()]


async def server_only(connection: AsyncConnection) -> frozenset[str]:
    """Paths of traits that only servers write, with the paths above them that replace whole. The
    traits that leave somebody out of everything are of them, however they are declared."""
    definition = traits.c.definition
    query = select(
        traits.c.name,
        definition["writable_by"].astext.label("by"),
        definition["type"].astext.label("type"),
    )
    declared = (await connection.execute(query)).all()
    protected = {row.name for row in declared if row.by == "server"} | set(FLAGS)
    whole = {row.name for row in declared if row.type in _WHOLE}
    above = {name for name in whole if any(path.startswith(name + ".") for path in protected)}
    return frozenset(protected | above)


async def add_rejects(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep what one source's request told that was not taken, and of all its rejects the newest.
    `rows`: members of RejectRow but for `id`."""
    newest = rows[-REJECTS_KEPT:]
    source_id = newest[0]["source_id"]
    await connection.execute(insert(rejects), newest)
    oldest_kept = (
        select(rejects.c.id)
        .where(rejects.c.source_id == source_id)
        .order_by(rejects.c.id.desc())
        .offset(REJECTS_KEPT - 1)
        .limit(1)
        .scalar_subquery()
    )
    await connection.execute(
        delete(rejects).where(rejects.c.source_id == source_id, rejects.c.id < oldest_kept)
    )


async def rejects_of(
    connection: AsyncConnection, source_id: str, before: int | None, limit: int
) -> list[RejectRow]:
    """What of a source was not taken, the newest first; those before the id `before`."""
    query = (
        select(rejects)
        .where(rejects.c.source_id == source_id)
        .order_by(rejects.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(rejects.c.id < before)
    return [RejectRow(**found) for found in (await connection.execute(query)).mappings()]


async def rejects_about(
    connection: AsyncConnection, customer_ids: Sequence[str]
) -> AsyncIterator[list[RejectRow]]:
    """What came of these ids and was not taken, the oldest first, some at a time."""
    theirs = rejects.c.customer_id == func.any(list(customer_ids))
    query = select(rejects).where(theirs).order_by(rejects.c.id)
    async for rows in (await connection.stream(query)).mappings().partitions(AT_ONCE):
        yield [RejectRow(**found) for found in rows]


async def any_reject_about(connection: AsyncConnection, customer_ids: Sequence[str]) -> bool:
    """Whether anything came of these ids and was not taken."""
    theirs = exists().where(rejects.c.customer_id == func.any(list(customer_ids)))
    return bool((await connection.execute(select(theirs))).scalar_one())


async def forget(connection: AsyncConnection, customer_id: str) -> bool:
    """Remove the rejects of a customer's messages, and of others that name them; whether there
    were any."""
    named = func.strpos(rejects.c.message, f'"{customer_id}"') > 0
    gone = await connection.execute(
        delete(rejects).where(or_(rejects.c.customer_id == customer_id, named))
    )
    return bool(gone.rowcount)


async def _note(
    connection: AsyncConnection,
    author: Author,
    at: datetime,
    action: str,
    before: SourceRow | None,
    after: SourceRow | None,
) -> None:
    row = after or before
    assert row is not None  # noqa: S101 - one of the two is always there
    await record(
        connection, author, at, action, f"sources/{row.id}",
        difference_of(
            None if before is None else _told(before), None if after is None else _told(after)
        ),
    )  # fmt: skip


def _told(row: SourceRow) -> dict[str, Any]:
    """What the audit keeps of a source: never its key's digest."""
    return {name: getattr(row, name) for name in ("name", "type", "store", "enabled", "rate_limit")}


def _row(found: RowMapping | None) -> SourceRow | None:
    return None if found is None else SourceRow(**found)
