"""Named queries on rows of files that were not imported: kept a while for whoever corrects them,
and erased with whom they name."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, exists, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.import_tables import import_rejects

AT_ONCE = 500  # rows
# Deleted in one statement at most: none is to take long.
PURGED_AT_ONCE = 10_000

_TELLING = "hashtextextended('telling rows that were not imported', 0)"


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was not imported, its column that is to blame if it is one, and why. `cells`: in
    the order of the file's columns, None where they are not kept; `whose`: all ids it names."""

    row: int
    column: str | None
    code: str
    detail: str
    cells: Sequence[Any] | None
    whose: Sequence[str]


_COLUMNS = (
    import_rejects.c.row,
    import_rejects.c.column,
    import_rejects.c.code,
    import_rejects.c.detail,
    import_rejects.c.cells,
    import_rejects.c.whose,
)


async def hold(connection: AsyncConnection) -> None:
    """Have erasing wait until our transaction ends: who was erased by now is known, and who is
    erased afterwards finds what we add."""
    await connection.execute(text(f"select pg_advisory_xact_lock_shared({_TELLING})"))


async def add(
    connection: AsyncConnection, job_id: int, at: datetime, rows: Sequence[RejectedRow]
) -> None:
    """Keep rows of an import; with `hold`, none of somebody erased."""
    about = {"job_id": job_id, "told_at": at}
    await connection.execute(
        insert(import_rejects),
        [
            {
                **asdict(each),
                **about,
                "cells": None if each.cells is None else msgspec.json.encode(each.cells).decode(),
            }
            for each in rows
        ],
    )


async def clear(connection: AsyncConnection, job_id: int) -> None:
    """Forget the rows of an import, which tells them anew."""
    await connection.execute(delete(import_rejects).where(import_rejects.c.job_id == job_id))


async def of_job(
    connection: AsyncConnection, job_id: int, after: int, limit: int
) -> list[tuple[int, RejectedRow]]:
    """The rows of an import in the order of the file, each with the number that the next page is
    asked for by."""
    query = (
        select(import_rejects.c.id, *_COLUMNS)
        .where(import_rejects.c.job_id == job_id, import_rejects.c.id > after)
        .order_by(import_rejects.c.id)
        .limit(limit)
    )
    return [(place, _row(found)) for place, *found in await connection.execute(query)]


async def about(
    connection: AsyncConnection, customer_ids: Sequence[str]
) -> AsyncIterator[list[tuple[int, RejectedRow]]]:
    """Rows that name any of these ids, each with the job of its import, some at a time."""
    query = (
        select(import_rejects.c.job_id, *_COLUMNS)
        .where(import_rejects.c.whose.overlap(list(customer_ids)))
        .order_by(import_rejects.c.id)
    )
    async for rows in (await connection.stream(query)).partitions(AT_ONCE):
        yield [(job_id, _row(found)) for job_id, *found in rows]


async def any_about(connection: AsyncConnection, customer_ids: Sequence[str]) -> bool:
    """Whether any row names any of these ids."""
    theirs = exists().where(import_rejects.c.whose.overlap(list(customer_ids)))
    return bool((await connection.execute(select(theirs))).scalar_one())


async def forget(connection: AsyncConnection, customer_ids: Sequence[str]) -> bool:
    """Remove the rows that name any of these ids; whether there were any."""
    await connection.execute(text(f"select pg_advisory_xact_lock({_TELLING})"))
    theirs = import_rejects.c.whose.overlap(list(customer_ids))
    gone = await connection.execute(delete(import_rejects).where(theirs))
    return gone.rowcount > 0


async def purge(connection: AsyncConnection, forgotten: datetime) -> None:
    """Remove rows that were told before an instant; where there are many, some of them."""
    old = (
        select(import_rejects.c.id)
        .where(import_rejects.c.told_at < forgotten)
        .limit(PURGED_AT_ONCE)
    )
    await connection.execute(delete(import_rejects).where(import_rejects.c.id.in_(old)))


def _row(found: Sequence[Any]) -> RejectedRow:
    row, column, code, detail, cells, whose = found
    return RejectedRow(
        row, column, code, detail, None if cells is None else msgspec.json.decode(cells), whose
    )
