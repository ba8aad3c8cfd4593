"""Named queries on background jobs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import jobs

LEASE = text("now() + interval '30 seconds'")


@dataclass(frozen=True, slots=True)
class JobRow:
    """A background job as stored."""

    id: int
    kind: str
    status: str
    detail: dict[str, Any]
    done: int
    total: int | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


_COLUMNS = (
    jobs.c.id,
    jobs.c.kind,
    jobs.c.status,
    jobs.c.detail,
    jobs.c.done,
    jobs.c.total,
    jobs.c.error,
    jobs.c.created_at,
    jobs.c.started_at,
    jobs.c.finished_at,
)


async def enqueue(connection: AsyncConnection, kind: str, detail: dict[str, Any]) -> int:
    """Queue a job; its id."""
    statement = insert(jobs).values(kind=kind, detail=detail).returning(jobs.c.id)
    job_id: int = (await connection.execute(statement)).scalar_one()
    return job_id


async def waiting(connection: AsyncConnection, kind: str) -> bool:
    """Whether a job of a kind is queued or running."""
    unfinished = jobs.c.status.in_(("queued", "running"))
    query = select(jobs.c.id).where(jobs.c.kind == kind, unfinished).limit(1)
    return (await connection.execute(query)).first() is not None


async def unfinished(connection: AsyncConnection, kind: str) -> list[JobRow]:
    """The jobs of a kind that are queued or running."""
    going = jobs.c.status.in_(("queued", "running"))
    query = select(*_COLUMNS).where(jobs.c.kind == kind, going)
    return [JobRow(*tuple(row)) for row in await connection.execute(query)]


async def claim(connection: AsyncConnection) -> JobRow | None:
    """Take the oldest job that nobody works at, on a lease of 30 s."""
    free = (
        select(jobs.c.id)
        .where(
            or_(
                jobs.c.status == "queued",
                (jobs.c.status == "running") & (jobs.c.leased_until < func.now()),
            )
        )
        .order_by(jobs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    statement = (
        update(jobs)
        .where(jobs.c.id == free)
        .values(
            status="running",
            started_at=func.coalesce(jobs.c.started_at, func.now()),
            leased_until=LEASE,
        )
        .returning(*_COLUMNS)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else JobRow(*tuple(row))


async def progress(connection: AsyncConnection, job_id: int, done: int, total: int | None) -> None:
    """Tell how far a job is, and renew its lease."""
    await connection.execute(
        update(jobs).where(jobs.c.id == job_id).values(done=done, total=total, leased_until=LEASE)
    )


async def finish(connection: AsyncConnection, job_id: int, done: int) -> None:
    """A job is done."""
    await _end(connection, job_id, status="done", done=done)


async def fail(connection: AsyncConnection, job_id: int, error: str) -> None:
    """A job has failed; how far it came stays."""
    await _end(connection, job_id, status="failed", error=error)


async def _end(connection: AsyncConnection, job_id: int, **values: Any) -> None:
    await connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(finished_at=func.now(), leased_until=None, **values)
    )


async def get(connection: AsyncConnection, job_id: int) -> JobRow | None:
    """One job."""
    row = (await connection.execute(select(*_COLUMNS).where(jobs.c.id == job_id))).one_or_none()
    return None if row is None else JobRow(*tuple(row))


async def recent(connection: AsyncConnection, before: int | None, limit: int) -> list[JobRow]:
    """Jobs, the newest first, those older than `before`."""
    query = select(*_COLUMNS).order_by(jobs.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(jobs.c.id < before)
    return [JobRow(*tuple(row)) for row in await connection.execute(query)]


async def begin(connection: AsyncConnection, kind: str, detail: dict[str, Any]) -> int:
    """A job that whoever asks for it does at once; its id."""
    statement = insert(jobs).values(
        kind=kind, detail=detail, status="running", started_at=func.now(), leased_until=LEASE
    )
    job_id: int = (await connection.execute(statement.returning(jobs.c.id))).scalar_one()
    return job_id


async def take(connection: AsyncConnection, job_id: int) -> bool:
    """Take up a job that failed, or that nobody works at; whether it is ours now."""
    free = jobs.c.status.in_(("queued", "failed")) | (
        (jobs.c.status == "running") & (jobs.c.leased_until < func.now())
    )
    statement = (
        update(jobs)
        .where(jobs.c.id == job_id, free)
        .values(
            status="running",
            error=None,
            finished_at=None,
            started_at=func.coalesce(jobs.c.started_at, func.now()),
            leased_until=LEASE,
        )
        .returning(jobs.c.id)
    )
    return (await connection.execute(statement)).first() is not None


async def latest(connection: AsyncConnection, kind: str, member: str, value: str) -> JobRow | None:
    """The latest job of a kind whose detail has a value."""
    told = jobs.c.detail[member].astext == value
    query = select(*_COLUMNS).where(jobs.c.kind == kind, told).order_by(jobs.c.id.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else JobRow(*tuple(row))


async def note(connection: AsyncConnection, job_id: int, detail: dict[str, Any]) -> None:
    """Keep what a job has to know where it is taken up again."""
    await connection.execute(
        update(jobs).where(jobs.c.id == job_id).values(detail=detail, leased_until=LEASE)
    )


async def release(connection: AsyncConnection, job_id: int) -> None:
    """Leave a job that we took up to whoever comes."""
    await connection.execute(
        update(jobs).where(jobs.c.id == job_id).values(status="queued", leased_until=None)
    )
