"""`/segments`: the rules table over HTTP."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import TypeAdapter, ValidationError

from service.api import paging
from service.api.bodies import BodyRoute
from service.api.paths import SegmentKey
from service.api.problems import HttpProblem, conflicting, fault_of, invalid, not_found
from service.api.schemas import (
    Key,
    KeyedSegment,
    Kind,
    ListChange,
    ListChanged,
    Member,
    Members,
    NewSegment,
    Segment,
    SegmentDocument,
    SegmentMetrics,
    Segments,
    Status,
    Text,
)
from service.api.services import WithServices
from service.core.instants import to_datetime
from service.core.parsing import Problem
from service.core.traits import Dimension
from service.flows.publishing import Conflict, Stale, Unknown, Wanted
from service.store import metrics as measured
from service.store import segments as stored
from service.store.segments import SegmentRow

router = APIRouter(prefix="/segments", tags=["segments"], route_class=BodyRoute)

_documents = TypeAdapter(SegmentDocument)
_keys: TypeAdapter[str] = TypeAdapter(Key)


def served(row: SegmentRow, warnings: Sequence[Problem] = ()) -> Segment:
    """A stored segment in the wire's shape."""
    definition = {name: value for name, value in row.definition.items() if value is not None}
    facts = {
        "key": row.key,
        "status": row.status,
        "kind": row.kind,
        "summary": row.summary,
        "version": row.version,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "metrics": row.metrics,
        "warnings": [
            {"pointer": each.pointer, "code": each.code, "detail": each.detail} for each in warnings
        ],
    }
    try:
        return Segment.model_validate({"name": row.key, **definition, **facts})
    except ValidationError as error:
        # A hand broke it: the catalog refuses it, and what is left of it is shown.
        faulty = {fault["loc"][0] for fault in error.errors()}
        sound = {name: value for name, value in definition.items() if name not in faulty}
        return Segment.model_validate({"name": row.key, **sound, **facts})


def wanted(key: str, document: SegmentDocument, based_on: int | None = None) -> Wanted:
    """A request's document as a definition to save."""
    definition = document.model_dump(mode="json", exclude={"key", "status"}, exclude_none=True)
    return Wanted(key, document.status, definition, based_on)


@router.get("")
async def list_segments(
    services: WithServices,
    status: Status | None = None,
    kind: Kind | None = None,
    dimension: Dimension | None = None,
    scheme: Text | None = None,
    tag: Text | None = None,
    owner: Text | None = None,
    q: Annotated[Text | None, Query(max_length=200, description="A word to search for.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Segments:
    """Segments by key, with their latest metrics."""
    async with services.database.engine.connect() as connection:
        rows = await stored.search(
            connection,
            after=paging.after(cursor),
            limit=limit + 1,
            status=status,
            kind=kind,
            scheme=scheme,
            dimension=dimension,
            tag=tag,
            owner=owner,
            q=q,
        )
    more = len(rows) > limit
    items = [served(row) for row in rows[:limit]]
    return Segments(items=items, next_cursor=paging.cursor(items[-1].key if more else None))


@router.post("", status_code=201)
async def create_segment(
    services: WithServices, document: NewSegment, response: Response
) -> Segment:
    """Create a segment; a key that is taken is a conflict."""
    row = await _save(services, document.key, document, create=True)
    response.headers["location"] = f"/segments/{row.key}"
    return await _saved(services, row)


@router.get("/{key}")
async def get_segment(services: WithServices, key: SegmentKey) -> Segment:
    """One segment."""
    return served(await _stored(services, key))


@router.put("/{key}", responses={201: {"model": Segment, "description": "Created."}})
async def put_segment(
    services: WithServices, key: SegmentKey, document: KeyedSegment, response: Response
) -> Segment:
    """Create, replace, or revive a segment."""
    if document.key not in (_key(key), None):
        raise invalid([Problem("/key", "bad_key", f"the path says {key}")])
    async with services.database.engine.connect() as connection:
        before = await stored.get(connection, key)
    row = await _save(services, key, document)
    if before is None:
        response.status_code = 201
    return await _saved(services, row)


@router.patch("/{key}")
async def patch_segment(services: WithServices, key: SegmentKey, patch: dict[str, Any]) -> Segment:
    """Change members of a definition: an RFC 7396 merge patch."""
    while True:
        row = await _stored(services, key)
        if row.status == "archived":
            raise HttpProblem(409, "archived", f"{key} is archived; PUT revives it")
        merged = _merged({**row.definition, "status": row.status}, patch)
        try:
            document = _documents.validate_python(merged)
        except ValidationError as error:
            raise invalid([fault_of(fault, fault["loc"]) for fault in error.errors()]) from error
        try:
            return await _saved(
                services, await _save(services, key, document, based_on=row.version)
            )
        except Stale:
            continue  # somebody changed it meanwhile: the patch applies to what is there now


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result


@router.delete("/{key}", status_code=204)
async def archive_segment(services: WithServices, key: SegmentKey) -> None:
    """Archive a segment: its members leave, its history stays."""
    try:
        await services.publisher.archive(_storable(key))
    except Unknown as error:
        raise not_found(f"there is no segment {key}") from error
    except Conflict as conflict:
        raise conflicting(conflict) from conflict


@router.get("/{key}/metrics")
async def segment_metrics(services: WithServices, key: SegmentKey) -> SegmentMetrics:
    """A segment's metrics, measured now."""
    await _stored(services, key)
    now = to_datetime(services.clock())
    async with services.database.engine.connect() as connection:
        figures = await measured.measure(connection, now, key)
    return SegmentMetrics.model_validate(figures[key])


@router.get("/{key}/members")
async def segment_members(
    services: WithServices, key: SegmentKey, limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Members:
    """Who is in a segment, by id."""
    await _stored(services, key)
    async with services.database.engine.connect() as connection:
        rows = await stored.members(connection, key, after=paging.after(cursor), limit=limit + 1)
    items = [Member(customer_id=row[0], since=row[1], version=row[2]) for row in rows[:limit]]
    more = items[-1].customer_id if len(rows) > limit else None
    return Members(items=items, next_cursor=paging.cursor(more))


@router.post("/{key}/members")
async def change_members(
    services: WithServices, key: SegmentKey, change: ListChange
) -> ListChanged:
    """Add ids to a list and remove others. Ids that are no customers yet count once they are."""
    try:
        changed = await services.publisher.change_list(_storable(key), change.add, change.remove)
    except Unknown as error:
        raise not_found(f"there is no segment {key}") from error
    except Conflict as conflict:
        raise conflicting(conflict) from conflict
    return ListChanged(changed=changed)


def _key(key: str) -> str:
    try:
        return _keys.validate_python(key)
    except ValidationError as error:
        detail = error.errors()[0]["msg"]
        raise invalid([Problem("/path/key", "bad_key", detail)]) from error


def _storable(key: str) -> str:
    """A key that the database can be asked about. Raises HttpProblem 404."""
    if "\0" in key:
        raise not_found(f"there is no segment {key}")
    return key


async def _stored(services: WithServices, key: str) -> SegmentRow:
    async with services.database.engine.connect() as connection:
        row = await stored.get(connection, _storable(key))
    if row is None:
        raise not_found(f"there is no segment {key}")
    return row


async def _saved(services: WithServices, row: SegmentRow) -> Segment:
    """A segment just saved, with what its author should know."""
    return served(row, await services.publisher.warnings(row.definition.get("condition")))


async def _save(
    services: WithServices,
    key: str,
    document: SegmentDocument,
    *,
    create: bool = False,
    based_on: int | None = None,
) -> SegmentRow:
    definition = wanted(key, document, based_on)
    try:
        rows = await services.publisher.save([definition], create=create)
    except Conflict as conflict:
        raise conflicting(conflict) from conflict
    return rows[0]
