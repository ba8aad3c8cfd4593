"""`/sources`: who sends tracking data, by which write key, and what of it was not taken."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, BeforeValidator, Field, StrictBool

from service.api import paging
from service.api.bodies import BodyRoute
from service.api.callers import WithAuthor, WithCaller
from service.api.customer_schemas import Reject
from service.api.idempotency import REPEATABLE
from service.api.masking import UNTOLD
from service.api.paths import decoded
from service.api.problems import HttpProblem, not_found
from service.api.schemas import KEY_PATTERN, Page, Strict, Text
from service.api.services import Services, WithServices
from service.core.access import Author, Scope
from service.core.instants import to_datetime
from service.store import sources as stored
from service.store.keys import digest_of
from service.store.sources import REJECTS_KEPT, RejectRow, SourceRow

router = APIRouter(prefix="/sources", tags=["sources"], route_class=BodyRoute)

SourceId = Annotated[str, BeforeValidator(decoded), Path(max_length=64)]
NewId = Annotated[str, Field(pattern=KEY_PATTERN)]


class SourceSettings(Strict):
    """A source as somebody wants it."""

    name: Annotated[Text, Field(min_length=1, max_length=200)]
    type: Literal["browser", "server"] = Field(
        description="`browser`: its write key is in pages, so it may write no trait declared "
        "`writable_by: server`. It can't be changed later."
    )
    store: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="The shop that its orders belong to."
    )
    enabled: StrictBool = Field(
        default=True, description="false: what it sends is refused with 404."
    )
    rate_limit: Annotated[int, Field(strict=True, ge=1, le=100_000_000)] | None = Field(
        default=None, description="Events a minute in each process; null: no limit."
    )


class NewSource(SourceSettings):
    """A source to make."""

    id: NewId


class Source(BaseModel):
    """A source, without its write key."""

    id: str
    name: str
    type: Literal["browser", "server"]
    store: str | None
    enabled: bool
    rate_limit: int | None
    created_at: datetime


class ShownSource(Source):
    """A source with the write key that was just made."""

    write_key: str = Field(description="For the SDK: keep it, it is not shown again.")


class Sources(Page):
    """A page of sources."""

    items: list[Source]


class Rejects(Page):
    """A page of rejects, the newest first."""

    items: list[Reject]


def _shown(row: SourceRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in Source.model_fields}


def reject(row: RejectRow, *, personal: bool) -> Reject:
    """A reject as it is told; `personal`: with the message, and with what quotes it."""
    return Reject(
        source=row.source_id,
        received_at=row.received_at,
        code=row.code,
        detail=row.detail if personal else UNTOLD,
        pointer=row.pointer if personal else _trait(row.pointer),
        message_id=row.message_id,
        message=row.message if personal else None,
    )


def _trait(pointer: str) -> str:
    """A place in a message, of a trait no further than its name: members of an object may be named
    after what they hold."""
    before, traits, below = pointer.partition("/traits/")
    return before + traits + below.partition("/")[0]


def _unknown(source_id: str) -> HttpProblem:
    return not_found(f"there is no source {source_id}")


def _checked(source_id: str) -> str:
    if "\0" in source_id:
        raise _unknown(source_id)
    return source_id


@router.get("")
async def list_sources(
    services: WithServices, limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Sources:
    """Sources by id."""
    async with services.database.engine.connect() as connection:
        rows = await stored.listed(connection, paging.after(cursor), limit + 1)
    more = rows[limit - 1].id if len(rows) > limit else None
    items = [Source.model_validate(_shown(row)) for row in rows[:limit]]
    return Sources(items=items, next_cursor=paging.cursor(more))


@router.post("", status_code=201, dependencies=[REPEATABLE])
async def create_source(
    services: WithServices, author: WithAuthor, wanted: NewSource, response: Response
) -> ShownSource:
    """Make a source. The answer holds its write key, this once."""
    made = await _create(services, author, wanted.id, wanted)
    if made is None:
        raise HttpProblem(409, "exists", f"there is a source {wanted.id} already")
    response.headers["location"] = f"/sources/{wanted.id}"
    response.headers["cache-control"] = "no-store"
    return made


async def _create(
    services: Services, author: Author, source_id: str, wanted: SourceSettings
) -> ShownSource | None:
    key = stored.new_key()
    row = SourceRow(
        id=source_id,
        name=wanted.name,
        type=wanted.type,
        store=wanted.store,
        digest=digest_of(key.encode()),
        enabled=wanted.enabled,
        rate_limit=wanted.rate_limit,
        created_at=to_datetime(services.clock()),
    )
    async with services.database.engine.begin() as connection:
        if not await stored.create(connection, author, row):
            return None
    await services.sources.look(services.database)
    return ShownSource.model_validate({**_shown(row), "write_key": key})


@router.get("/{source_id}")
async def get_source(services: WithServices, source_id: SourceId) -> Source:
    """One source."""
    async with services.database.engine.connect() as connection:
        row = await stored.get(connection, _checked(source_id))
    if row is None:
        raise _unknown(source_id)
    return Source.model_validate(_shown(row))


@router.put("/{source_id}")
async def change_source(
    services: WithServices, author: WithAuthor, source_id: SourceId, wanted: SourceSettings
) -> Source:
    """Replace what is said of a source; its type and its write key stay."""
    async with services.database.engine.begin() as connection:
        before = await stored.held(connection, _checked(source_id))
        if before is None:
            raise _unknown(source_id)
        if before.type != wanted.type:
            detail = (
                "a source's type can't be changed, as its write key may be public: make another"
            )
            raise HttpProblem(409, "source_type", detail)
        after = replace(
            before, name=wanted.name, store=wanted.store, enabled=wanted.enabled,
            rate_limit=wanted.rate_limit,
        )  # fmt: skip
        await stored.change(connection, author, to_datetime(services.clock()), before, after)
    await services.sources.look(services.database)
    return Source.model_validate(_shown(after))


@router.delete("/{source_id}", status_code=204)
async def delete_source(services: WithServices, author: WithAuthor, source_id: SourceId) -> None:
    """Remove a source and its log of rejects for good; what it sent stays."""
    async with services.database.engine.begin() as connection:
        row = await stored.held(connection, _checked(source_id))
        if row is None:
            raise _unknown(source_id)
        await stored.remove(connection, author, to_datetime(services.clock()), row)
    await services.sources.look(services.database)


@router.post("/{source_id}/rotate-key", dependencies=[REPEATABLE])
async def rotate_key(
    services: WithServices, author: WithAuthor, source_id: SourceId, response: Response
) -> ShownSource:
    """Make a new write key, which the answer holds, this once. The old one is refused at once, and
    by other processes within a second."""
    key = stored.new_key()
    async with services.database.engine.begin() as connection:
        row = await stored.held(connection, _checked(source_id))
        if row is None:
            raise _unknown(source_id)
        after = await stored.rotate(connection, author, to_datetime(services.clock()), row, key)
    await services.sources.look(services.database)
    response.headers["cache-control"] = "no-store"
    return ShownSource.model_validate({**_shown(after), "write_key": key})


@router.get("/{source_id}/rejects", description=f"What of a source's messages was not taken, the "
            f"newest first; the newest {REJECTS_KEPT:,} are kept.")  # fmt: skip
async def list_rejects(
    services: WithServices,
    who: WithCaller,
    source_id: SourceId,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Rejects:
    """What of a source's messages was not taken."""
    before = paging.after_number(cursor)
    async with services.database.engine.connect() as connection:
        if await stored.get(connection, _checked(source_id)) is None:
            raise _unknown(source_id)
        rows = await stored.rejects_of(connection, source_id, before, limit + 1)
    may = who.may(Scope.PERSONAL)
    items = [reject(row, personal=may) for row in rows[:limit]]
    more = rows[limit - 1].id if len(rows) > limit else None
    return Rejects(items=items, next_cursor=paging.cursor(more))
