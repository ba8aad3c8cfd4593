"""`/segments`: definitions over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from pydantic import TypeAdapter, ValidationError

from service.api import paging, preconditions
from service.api.bodies import BodyRoute
from service.api.callers import WithAuthor, WithCaller
from service.api.idempotency import REPEATABLE
from service.api.masking import WithView
from service.api.paths import SegmentKey
from service.api.preconditions import CREATED, TAGGED, IfChanged, IfMatch, IfNoneMatch, etag
from service.api.problems import HttpProblem, fault_of, invalid
from service.api.schemas import Key, Kind, Status, Text
from service.api.segment_schemas import (
    KeyedSegment,
    NewSegment,
    Segment,
    SegmentDocument,
    SegmentMetrics,
    Segments,
)
from service.api.segment_views import changing, shown, shown_saved, storable, stored_segment
from service.api.services import WithServices
from service.core.access import Scope
from service.core.instants import to_datetime
from service.core.parsing import Problem
from service.core.traits import Dimension
from service.flows.publishing import Stale, Wanted
from service.store import metrics as measured
from service.store import segments as stored

router = APIRouter(prefix="/segments", tags=["segments"], route_class=BodyRoute)

_documents = TypeAdapter(SegmentDocument)
_keys: TypeAdapter[str] = TypeAdapter(Key)


def wanted(
    key: str, document: SegmentDocument, based_on: int | None = None, *, theirs: bool = True
) -> Wanted:
    """A request's document as a definition to save. `theirs`: whether the request brought the rules
    of its condition."""
    definition = document.model_dump(mode="json", exclude={"key", "status"}, exclude_none=True)
    return Wanted(key, document.status, definition, based_on, theirs=theirs)


@router.get("")
async def list_segments(
    services: WithServices,
    view: WithView,
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
    items = [shown(services, row, view) for row in rows[:limit]]
    return Segments(items=items, next_cursor=paging.cursor(items[-1].key if more else None))


@router.post("", status_code=201, dependencies=[REPEATABLE], responses={201: CREATED})
async def create_segment(
    services: WithServices,
    caller: WithCaller,
    view: WithView,
    author: WithAuthor,
    document: NewSegment,
    response: Response,
) -> Segment:
    """Create a segment; a key that is taken is a conflict."""
    view.check(document.condition)
    new = wanted(document.key, document)
    with changing(document.key, view.teller(new.definition, theirs=True)):
        [saved] = await services.publisher.save(
            [new],
            author=author,
            create=True,
            may_publish=caller.may(Scope.PUBLISH),
            hidden=view.personal,
        )
    response.headers["location"] = f"/segments/{saved.key}"
    response.headers["etag"] = etag(saved)
    return await shown_saved(services, saved, view)


@router.get(
    "/{key}",
    response_model=Segment,
    responses={200: TAGGED, 304: {"description": "It is still the same.", **TAGGED}},
)
async def get_segment(
    services: WithServices,
    view: WithView,
    key: SegmentKey,
    response: Response,
    if_changed: IfChanged,
) -> Segment | Response:
    """One segment. Its ETag is of the definition: metrics and warnings change without it."""
    row = await stored_segment(services, key)
    tag = etag(row)
    if if_changed is not None and preconditions.unchanged(tag, if_changed):
        return Response(status_code=304, headers={"etag": tag})
    response.headers["etag"] = tag
    return shown(services, row, view)


@router.put(
    "/{key}",
    responses={200: TAGGED, 201: {"model": Segment, "description": "Created.", **TAGGED}},
)
async def put_segment(
    services: WithServices,
    caller: WithCaller,
    view: WithView,
    author: WithAuthor,
    key: SegmentKey,
    document: KeyedSegment,
    response: Response,
    if_match: IfMatch,
    if_none_match: IfNoneMatch,
) -> Segment:
    """Create, replace, or revive a segment."""
    if document.key not in (_key(key), None):
        raise invalid([Problem("/key", "bad_key", f"the path says {key}")])
    view.check(document.condition)
    conditional = if_match is not None or if_none_match is not None
    while True:
        async with services.database.engine.connect() as connection:
            before = await stored.get(connection, key)
        preconditions.check(before, if_match, if_none_match)
        version = 0 if before is None else before.version
        new = wanted(key, document, version if conditional else None)
        try:
            with changing(key, view.teller(new.definition, theirs=True)):
                [saved] = await services.publisher.save(
                    [new],
                    author=author,
                    may_publish=caller.may(Scope.PUBLISH),
                    hidden=view.personal,
                )
            break
        except Stale:
            continue  # somebody changed it meanwhile: what was asked of it is asked again
    response.status_code = 201 if before is None else 200
    response.headers["etag"] = etag(saved)
    return await shown_saved(services, saved, view)


@router.patch("/{key}", responses={200: TAGGED})
async def patch_segment(
    services: WithServices,
    caller: WithCaller,
    view: WithView,
    author: WithAuthor,
    key: SegmentKey,
    patch: Annotated[dict[str, Any], Body(examples=[{"tags": ["retention"], "owner": None}])],
    response: Response,
    if_match: IfMatch,
) -> Segment:
    """Change members of a definition: an RFC 7396 merge patch."""
    view.check(patch.get("condition"))
    if patch.get("key") not in (key, None):
        raise invalid([Problem("/key", "bad_key", f"the path says {key}")])
    patch = {name: value for name, value in patch.items() if name != "key"}
    while True:
        row = await stored_segment(services, key)
        preconditions.check(row, if_match)
        if row.status == "archived":
            raise HttpProblem(409, "archived", f"{key} is archived; PUT revives it")
        merged = _merged({**row.definition, "status": row.status}, patch)
        try:
            document = _documents.validate_python(merged)
        except ValidationError as error:
            raise invalid([fault_of(fault, fault["loc"]) for fault in error.errors()]) from error
        new = wanted(key, document, row.version, theirs=_brings_rules(patch))
        try:
            with changing(key, view.teller(new.definition, theirs=new.theirs)):
                [saved] = await services.publisher.save(
                    [new],
                    author=author,
                    may_publish=caller.may(Scope.PUBLISH),
                    hidden=view.personal,
                )
            break
        except Stale:
            continue  # somebody changed it meanwhile: the patch applies to what is there now
    response.headers["etag"] = etag(saved)
    return await shown_saved(services, saved, view)


def _brings_rules(patch: dict[str, Any]) -> bool:
    """Whether all rules of the patched condition are the patch's: it can't change a part of them,
    but what is around them."""
    condition = patch.get("condition")
    return isinstance(condition, dict) and "rules" in condition


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
async def archive_segment(
    services: WithServices,
    caller: WithCaller,
    author: WithAuthor,
    key: SegmentKey,
    if_match: IfMatch,
) -> None:
    """Archive a segment: its members leave, its history stays."""
    while True:
        row = await stored_segment(services, storable(key))
        preconditions.check(row, if_match)
        try:
            with changing(key):
                await services.publisher.archive(
                    key,
                    author=author,
                    based_on=None if if_match is None else row.version,
                    may_publish=caller.may(Scope.PUBLISH),
                )
            return
        except Stale:
            continue


@router.get("/{key}/metrics")
async def segment_metrics(
    services: WithServices, view: WithView, key: SegmentKey
) -> SegmentMetrics:
    """A segment's metrics, measured now. Those made of personal traits are null without the scope
    `personal`."""
    await stored_segment(services, key)
    now = to_datetime(services.clock())
    async with services.database.engine.connect() as connection:
        figures = await measured.measure(connection, now, key)
    return SegmentMetrics.model_validate(view.metrics(figures[key]))


def _key(key: str) -> str:
    try:
        return _keys.validate_python(key)
    except ValidationError as error:
        detail = fault_of(error.errors()[0], ()).detail
        raise invalid([Problem("/path/key", "bad_key", detail)]) from error
