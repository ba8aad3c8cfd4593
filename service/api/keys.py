"""`/keys`: who may ask, and what."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, BeforeValidator, Field

from service.api import paging
from service.api.bodies import BodyRoute
from service.api.callers import WithAuthor
from service.api.idempotency import REPEATABLE
from service.api.moments import Moment
from service.api.paths import decoded
from service.api.problems import HttpProblem, invalid, not_found
from service.api.schemas import Strict, Text
from service.api.services import WithServices
from service.core.access import Scope
from service.core.instants import to_datetime
from service.core.parsing import Problem
from service.store import keys as stored
from service.store.keys import KeyRow

router = APIRouter(prefix="/keys", tags=["keys"], route_class=BodyRoute)

KeyId = Annotated[str, BeforeValidator(decoded), Path(max_length=64)]


class NewKey(Strict):
    """A key as somebody wants it."""

    name: Annotated[Text, Field(min_length=1, max_length=200)] = Field(
        description="Whose it is, or what for: the audit's author of what it changes."
    )
    scopes: Annotated[list[Scope], Field(min_length=1)] = Field(description="What it allows.")
    expires_at: Moment | None = Field(default=None, description="null: never.")
    rate_limit: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = Field(
        default=None, description="Requests a minute in each process; null: no limit."
    )


class Key(BaseModel):
    """A key, without the key itself."""

    id: str
    name: str
    scopes: list[str]
    rate_limit: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class ShownKey(Key):
    """A key that was just made."""

    key: str = Field(description="The key itself: keep it, it is not shown again.")


class Keys(BaseModel):
    """A page of keys."""

    items: list[Key]
    next_cursor: str | None


def _shown(row: KeyRow) -> Key:
    return Key(**{name: getattr(row, name) for name in Key.model_fields})


@router.get("")
async def list_keys(
    services: WithServices, limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Keys:
    """Keys in the order of their making, the revoked and the expired too."""
    async with services.database.engine.connect() as connection:
        rows = await stored.listed(connection, paging.after(cursor), limit + 1)
    more = rows[limit - 1].id if len(rows) > limit else None
    return Keys(items=[_shown(row) for row in rows[:limit]], next_cursor=paging.cursor(more))


@router.post("", status_code=201, dependencies=[REPEATABLE])
async def create_key(
    services: WithServices, author: WithAuthor, wanted: NewKey, response: Response
) -> ShownKey:
    """Make a key. The answer holds it, this once; the first one ends protected mode."""
    now = to_datetime(services.clock())
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise invalid([Problem("/expires_at", "bad_value", "this is over")])
    async with services.database.engine.begin() as connection:
        row, key = await stored.create(
            connection,
            author,
            now,
            wanted.name,
            wanted.scopes,
            expires_at=wanted.expires_at,
            rate_limit=wanted.rate_limit,
        )
    await services.keyring.look(services.database)
    response.headers["location"] = f"/keys/{row.id}"
    response.headers["cache-control"] = "no-store"
    return ShownKey(**_shown(row).model_dump(), key=key)


@router.delete("/{key_id}", status_code=204)
async def revoke_key(services: WithServices, author: WithAuthor, key_id: KeyId) -> None:
    """Revoke a key for good. Other processes refuse it within a second."""
    if "\0" in key_id:
        raise not_found(f"there is no key {key_id}")
    if key_id == author.key_id:
        # Without the last key everything would be open again to this machine's own address.
        detail = "a key can't revoke itself: use another one, or the command segserve keys revoke"
        raise HttpProblem(409, "own_key", detail)
    async with services.database.engine.begin() as connection:
        now = to_datetime(services.clock())
        if not await stored.revoke(connection, author, now, key_id):
            raise not_found(f"there is no key {key_id}")
    await services.keyring.look(services.database)
