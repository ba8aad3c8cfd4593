"""`/audit`: who changed what, when and why. Read only: entries come with the changes."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from service.api import paging
from service.api.moments import Moment
from service.api.schemas import Text
from service.api.services import WithServices
from service.store import audit as stored

router = APIRouter(prefix="/audit", tags=["audit"])


class AuditEntry(BaseModel):
    """One change."""

    id: int
    at: datetime
    author: str = Field(
        description="The name of the key; `local` without keys; `segserve` for its own commands."
    )
    key_id: str | None
    action: str = Field(description="What was done: `segment.updated` and the like.")
    subject: str = Field(description="What was changed: `segments/vip` and the like.")
    difference: dict[str, dict[str, Any]] = Field(
        description="Member by member: what it was `before` and `after`."
    )
    reason: str | None = Field(description="What the author gave as `X-Change-Reason`.")


class Audit(BaseModel):
    """A page of the audit."""

    items: list[AuditEntry]
    next_cursor: str | None


@router.get("")
async def read_audit(
    services: WithServices,
    subject: Annotated[
        Text | None, Query(description="This, and what is below it: `segments`, `segments/vip`.")
    ] = None,
    action: Text | None = None,
    author: Text | None = None,
    since: Annotated[Moment | None, Query(description="Then, and later.")] = None,
    until: Annotated[Moment | None, Query(description="Before then.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Audit:
    """Changes, the newest first."""
    asked = stored.Asked(subject, action, author, since, until)
    before = paging.after_number(cursor)
    async with services.database.engine.connect() as connection:
        rows = await stored.entries(connection, asked, before, limit + 1)
    items = [AuditEntry.model_validate(row, from_attributes=True) for row in rows[:limit]]
    return Audit(
        items=items, next_cursor=paging.cursor(items[-1].id if len(rows) > limit else None)
    )
