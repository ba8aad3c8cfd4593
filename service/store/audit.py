"""The audit: who changed what, when and why, written with the change itself."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.access import Author
from service.store.tables import audit

Difference = Mapping[str, Mapping[str, Any]]


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
        if len(sides) < 2 or sides["before"] != sides["after"]:
            changed[member] = sides
    return changed
