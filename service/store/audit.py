"""The audit: who changed what, when and why, written with the change itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import Author
from service.core.sameness import same
from service.store.tables import audit

Difference = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it is stored."""

    id: int
    at: datetime
    author: str
    key_id: str | None
    action: str
    subject: str
    difference: dict[str, Any]
    reason: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which entries somebody asks for. `subject`: it, and what is below it (`segments`); `since`
    and later, before `until`."""

    subject: str | None = None
    action: str | None = None
    author: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def record(
    connection: AsyncConnection,
    author: Author,
    at: datetime,
    action: str,
    subject: str,
    difference: Difference | None = None,
) -> None:
    """Append one entry in the transaction of the change.

    `action`: `segment.updated` and the like; `subject`: `segments/vip`; `difference`: as
    `difference_of` gives it, without personal data.
    """
    await connection.execute(
        insert(audit).values(
            at=at,
            author=author.name,
            key_id=author.key_id,
            action=action,
            subject=subject,
            difference=dict(difference or {}),
            reason=author.reason,
        )
    )


async def entries(
    connection: AsyncConnection, asked: Asked, before: int | None, limit: int
) -> list[Entry]:
    """Entries, the newest first; those before the id `before`."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.id < before)
    if asked.subject is not None:
        below = func.starts_with(audit.c.subject, asked.subject + "/")
        query = query.where(or_(audit.c.subject == asked.subject, below))
    if asked.action is not None:
        query = query.where(audit.c.action == asked.action)
    if asked.author is not None:
        query = query.where(audit.c.author == asked.author)
    if asked.since is not None:
        query = query.where(audit.c.at >= asked.since)
    if asked.until is not None:
        query = query.where(audit.c.at < asked.until)
    return [Entry(**found) for found in (await connection.execute(query)).mappings()]


def difference_of(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> dict[str, dict[str, Any]]:
    """Member by member, what changed: `{member: {"before": ..., "after": ...}}`; a side that is
    missing has no entry."""
    before, after = before or {}, after or {}
    changed: dict[str, dict[str, Any]] = {}
    for member in sorted({*before, *after}):
        sides = {
            name: document[member]
            for name, document in (("before", before), ("after", after))
            if member in document
        }
        if len(sides) < 2 or not same(sides["before"], sides["after"]):
            changed[member] = sides
    return changed
