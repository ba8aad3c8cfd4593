"""`/segments/{key}`: its versions, who uses it, and how it is published."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

from fastapi import APIRouter, Response

from service.api import paging, preconditions
from service.api.bodies import BodyRoute
from service.api.callers import WithAuthor, WithCaller
from service.api.idempotency import REPEATABLE
from service.api.masking import View, WithView
from service.api.paths import SegmentKey
from service.api.preconditions import CREATED, TAGGED, IfMatch, etag
from service.api.problems import invalid, unavailable
from service.api.segment_schemas import Segment
from service.api.segment_views import (
    changing,
    served,
    shown_saved,
    storable,
    stored_segment,
)
from service.api.services import WithServices
from service.api.version_schemas import (
    Activation,
    RollBack,
    RuleChange,
    Sides,
    SnapshotWanted,
    UsedScheme,
    User,
    Uses,
    Version,
    Versions,
)
from service.core.access import Scope
from service.core.parsing import Problem
from service.core.references import mentions
from service.flows import history
from service.flows.publishing import Stale
from service.store import segments as stored
from service.store.database import Crowded
from service.store.segments import VersionRow

router = APIRouter(prefix="/segments", tags=["segments"], route_class=BodyRoute)

RULES_TOLD = 100


@router.get("/{key}/versions", response_model_exclude_unset=True)
async def segment_versions(
    services: WithServices,
    view: WithView,
    key: SegmentKey,
    limit: paging.Limit = 20,
    cursor: paging.Cursor = None,
) -> Versions:
    """A segment's versions, the newest first: who saved each, why, and what it changed."""
    await stored_segment(services, key)
    before = paging.after_number(cursor, paging.INTEGER)
    async with services.database.engine.connect() as connection:
        rows = await stored.versions(connection, key, before=before, limit=limit + 1)
    # Beside the event loop: large conditions take a while to compare.
    items = await asyncio.to_thread(_told, rows, view)
    more = items[limit - 1].version if len(rows) > limit else None
    return Versions(items=items[:limit], next_cursor=paging.cursor(more))


def _told(rows: list[VersionRow], view: View) -> list[Version]:
    earlier = [*rows[1:], None][: len(rows)]
    return [_version(row, before, view) for row, before in zip(rows, earlier, strict=True)]


def _version(row: VersionRow, before: VersionRow | None, view: View) -> Version:
    difference = None if before is None else _difference(before, row, view)
    seen, masked = view.row(row)
    return Version.model_validate({**asdict(seen), "masked": masked, "difference": difference})


def _difference(before: VersionRow, row: VersionRow, view: View) -> dict[str, Sides]:
    found = history.difference(before, row)
    sides = {name: Sides(**each) for name, each in found.members.items()}
    if "condition" in sides:
        # As a whole people read it in English; the rules tell what changed.
        sides["condition"] = Sides(
            before=view.row(before)[0].summary,
            after=view.row(row)[0].summary,
            rules=[
                RuleChange(
                    pointer=each.pointer,
                    change=each.kind,
                    before=view.node(each.before),
                    after=view.node(each.after),
                )
                for each in found.rules[:RULES_TOLD]
            ],
        )
    return sides


@router.post("/{key}/rollback", dependencies=[REPEATABLE], responses={200: TAGGED})
async def roll_segment_back(
    services: WithServices,
    caller: WithCaller,
    view: WithView,
    author: WithAuthor,
    key: SegmentKey,
    body: RollBack,
    response: Response,
    if_match: IfMatch,
) -> Segment:
    """Make a new version with the definition of an old one; the status stays as it is. Should that
    definition be refused today, pointers lead into it."""
    while True:
        row = await stored_segment(services, key)
        preconditions.check(row, if_match)
        async with services.database.engine.connect() as connection:
            version = await stored.version(connection, key, body.version)
        if version is None:
            detail = f"{key} has no version {body.version}"
            raise invalid([Problem("/version", "bad_value", detail)])
        try:
            with changing(key, view.teller(version.definition, theirs=False)):
                saved = await history.roll_back(
                    services.publisher,
                    row,
                    version,
                    author=author,
                    may_publish=caller.may(Scope.PUBLISH),
                    hidden=view.personal,
                )
            break
        except Stale:
            continue
    response.headers["etag"] = etag(saved)
    return await shown_saved(services, saved, view)


@router.post("/{key}/activate", dependencies=[REPEATABLE], responses={200: TAGGED})
async def activate_segment(
    services: WithServices,
    view: WithView,
    author: WithAuthor,
    key: SegmentKey,
    body: Activation,
    response: Response,
    if_match: IfMatch,
) -> Segment:
    """Make a draft active, and say whom outbound messages tell of those whom that lets in or out.
    Nobody, unless asked."""
    while True:
        row = await stored_segment(services, key)
        preconditions.check(row, if_match)
        try:
            with changing(key, view.teller(row.definition, theirs=False)):
                saved = await history.activate(
                    services.publisher, row, notify=body.notify, author=author,
                    hidden=view.personal,
                )  # fmt: skip
            break
        except Stale:
            continue
    response.headers["etag"] = etag(saved)
    return await shown_saved(services, saved, view)


@router.post(
    "/{key}/snapshot", status_code=201, dependencies=[REPEATABLE], responses={201: CREATED}
)
async def take_segment_snapshot(
    services: WithServices,
    view: WithView,
    author: WithAuthor,
    key: SegmentKey,
    body: SnapshotWanted,
    response: Response,
) -> Segment:
    """Keep today's members as a list, which later changes of the segment leave alone."""
    try:
        with changing(key):
            row = await history.take_snapshot(
                services.database,
                services.publisher.publications,
                storable(key),
                body.key,
                body.name,
                author=author,
            )
    except Crowded as error:
        raise unavailable(str(error)) from error
    response.headers["location"] = f"/segments/{row.key}"
    response.headers["etag"] = etag(row)
    return served(row, view)


@router.get("/{key}/uses")
async def segment_uses(
    services: WithServices, key: SegmentKey, limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Uses:
    """Who refers to a segment, drafts too, and the scheme that it belongs to."""
    row = await stored_segment(services, key)
    scheme = row.definition.get("scheme")
    async with services.database.engine.connect() as connection:
        rows = await stored.users(connection, key, after=paging.after(cursor), limit=limit + 1)
        places = [] if scheme is None else await stored.of_scheme(connection, scheme)
    items = [
        User.model_validate(
            {
                "key": user,
                "name": definition.get("name") or user,
                "status": status,
                "rules": mentions(definition.get("condition"), key),
            }
        )
        for user, status, definition in rows[:limit]
    ]
    return Uses(
        items=items,
        next_cursor=paging.cursor(items[-1].key if len(rows) > limit else None),
        scheme=None if scheme is None else _scheme(scheme, places),
    )


def _scheme(key: str, places: Sequence[tuple[str, int | None, str]]) -> UsedScheme:
    members = [dict(zip(("key", "priority", "status"), place, strict=True)) for place in places]
    return UsedScheme.model_validate({"key": key, "segments": members})
