"""Named queries on the answers of creating requests, kept to be given again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import idempotency

Header = Sequence[str]  # name, value


@dataclass(frozen=True, slots=True)
class Known:
    """A request that came before under the same key. `status` is None while it has no answer, and
    for ever where its process went away; `body` is encrypted."""

    request: bytes
    status: int | None
    headers: Sequence[Header] | None
    body: bytes | None
    created_at: datetime


async def claim(
    connection: AsyncConnection,
    author: str,
    key: str,
    request: bytes,
    now: datetime,
    forgotten: datetime,
) -> Known | None:
    """Note that a request has begun, None; or what came before it under its author's key.

    `request`: its fingerprint; what began before `forgotten` does not count any more.
    """
    await connection.execute(
        delete(idempotency).where(_named(author, key), idempotency.c.created_at < forgotten)
    )
    begun = await connection.execute(
        upsert(idempotency)
        .values(author=author, key=key, request=request, created_at=now)
        .on_conflict_do_nothing()
        .returning(idempotency.c.key)
    )
    if begun.one_or_none() is not None:
        return None
    columns = idempotency.c
    known = await connection.execute(
        select(
            columns.request, columns.status, columns.headers, columns.body, columns.created_at
        ).where(_named(author, key))
    )
    row = known.one_or_none()
    if row is None:  # given back this very moment
        return await claim(connection, author, key, request, now, forgotten)
    return Known(*row)


async def keep(
    connection: AsyncConnection,
    author: str,
    key: str,
    status: int,
    headers: Sequence[Header],
    body: bytes,
) -> None:
    """Keep the answer of a request that was claimed."""
    await connection.execute(
        update(idempotency)
        .where(_named(author, key))
        .values(status=status, headers=list(headers), body=body)
    )


async def give_back(connection: AsyncConnection, author: str, key: str) -> None:
    """Forget a request that was claimed and did nothing: it may be sent again."""
    await connection.execute(delete(idempotency).where(_named(author, key)))


async def purge(connection: AsyncConnection, forgotten: datetime) -> int:
    """Remove what began before that instant; how many those were."""
    gone = await connection.execute(delete(idempotency).where(idempotency.c.created_at < forgotten))
    return int(gone.rowcount)


def _named(author: str, key: str) -> ColumnElement[bool]:
    return and_(idempotency.c.author == author, idempotency.c.key == key)
