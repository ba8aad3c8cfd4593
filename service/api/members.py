"""`/segments/{key}/members`: who is in a segment, and the ids on a list."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.requests import ClientDisconnect

from service.api import paging
from service.api.bodies import BodyRoute, check_encoding
from service.api.callers import WithAuthor, WithCaller, require, still_let_in
from service.api.exports import FORMATS, JSON, OFFERED, export
from service.api.member_schemas import ListChange, ListChanged, Member, Members, UploadedList
from service.api.negotiating import chosen
from service.api.pacing import Pace
from service.api.paths import SegmentKey
from service.api.problems import HttpProblem, conflicting, invalid, not_found, unavailable
from service.api.profiles import hides_consents
from service.api.segment_views import storable, stored_segment
from service.api.services import Services, WithServices
from service.api.uploads import Upload
from service.core.access import Caller, Scope
from service.core.consent import CHANNELS
from service.core.parsing import Problem
from service.flows.lists import BeingReplaced
from service.flows.publishing import Conflict, Unknown
from service.store import segments as stored
from service.store.database import Crowded

router = APIRouter(prefix="/segments", tags=["segments"], route_class=BodyRoute)

PAGE = 100
# A client that sends nothing for so long is gone, and so is one that is waited for longer
# altogether than this and what its bytes take at a modem's rate.
PATIENCE = 30.0  # s
SLOWEST = 20_000  # bytes/s
CLIENT_GONE = 499

_UPLOAD = {
    "requestBody": {
        "required": True,
        "description": "The ids: CSV with a header that names `customer_id` or of a single column "
        "without one, or a JSON text or object a line. Other columns and members are ignored.",
        "content": {
            # Any text is CSV, and what is in it is told line by line.
            "text/csv": {
                "schema": {},
                "example": "customer_id,email\r\nc-1,ann@example.com\r\n",
            },
            "application/x-ndjson": {
                "schema": {},
                "example": '{"customer_id": "c-1"}\n"c-2"\n',
            },
        },
    }
}
_FILES: dict[str, Any] = {
    "description": "A page as JSON, or all of them as a file, as Accept says.",
    "content": {
        "application/x-ndjson": {
            "schema": {"type": "string", "description": "A member a line, as in `items`."}
        },
        "text/csv": {
            "schema": {"type": "string", "description": "customer_id, since, version (RFC 4180)."}
        },
        "application/vnd.apache.arrow.stream": {
            "schema": {
                "type": "string",
                "format": "binary",
                "description": "The same columns: string, timestamp[us, UTC], int32.",
            }
        },
    },
}


@router.get("/{key}/members", response_model=Members, responses={200: _FILES})
async def segment_members(
    request: Request,
    services: WithServices,
    key: SegmentKey,
    who: WithCaller,
    limit: Annotated[
        int | None,
        Query(ge=1, le=1000, description="At most so many; else 100 a page, or all of a file."),
    ] = None,
    cursor: paging.Cursor = None,
    channel: Annotated[
        str | None,
        Query(
            description="Only those whom it reaches: they subscribed, and nothing closes it.",
            json_schema_extra={"enum": list(CHANNELS)},
        ),
    ] = None,
) -> Any:
    """Who is in a segment, by id. Where consents are personal traits, `channel` needs the scope
    `personal`."""
    if channel is not None:
        _may_ask(services, who, channel)
    media_type = chosen(request.headers.get("accept"), OFFERED)
    after = paging.after(cursor)
    await stored_segment(services, key)
    if media_type in FORMATS:
        try:
            return await export(
                services.database, key, media_type, after=after, limit=limit, channel=channel,
                reader=who.key_id,
            )  # fmt: skip
        except Crowded as error:
            raise unavailable(str(error)) from error
    size = limit or PAGE
    async with services.database.engine.connect() as connection:
        rows = await stored.members(connection, key, after=after, limit=size + 1, channel=channel)
    items = [Member(customer_id=row[0], since=row[1], version=row[2]) for row in rows[:size]]
    more = items[-1].customer_id if len(rows) > size else None
    page = Members(items=items, next_cursor=paging.cursor(more))
    headers = {"vary": "accept"}
    return Response(page.model_dump_json(), media_type=JSON, headers=headers)


def _may_ask(services: Services, who: Caller, channel: str) -> None:
    """Raises HttpProblem 422, 403."""
    if channel not in CHANNELS:
        detail = f"the channels are {', '.join(CHANNELS)}"
        raise invalid([Problem("/query/channel", "bad_value", detail)])
    if hides_consents(services.live.served.personal):
        require(who, Scope.PERSONAL)


@router.post("/{key}/members")
async def change_members(
    services: WithServices, author: WithAuthor, key: SegmentKey, change: ListChange
) -> ListChanged:
    """Add ids to a list and remove others. Ids that are no customers yet count once they are."""
    try:
        changed = await services.lists.change(
            storable(key), change.add, change.remove, author=author
        )
    except Unknown as error:
        raise not_found(f"there is no segment {key}") from error
    except Conflict as conflict:
        raise conflicting(conflict) from conflict
    except BeingReplaced as error:
        raise unavailable(f"an upload is just now taking the place of {key}") from error
    return ListChanged(changed=changed)


@router.put(
    "/{key}/members",
    status_code=202,
    response_model=UploadedList,
    openapi_extra=_UPLOAD,
    responses={202: {"headers": {"Location": {
        "description": "The job that decides the customers who came or went.",
        "schema": {"type": "string"}}}}},
)  # fmt: skip
async def replace_members(
    request: Request, services: WithServices, author: WithAuthor, key: SegmentKey
) -> Response:
    """Replace a list by an upload, all of it or, where a line is faulty, nothing. Ids that are no
    customers yet count once they are."""
    check_encoding(request)
    limit = services.settings.list_body_limit
    upload = Upload(request.headers.get("content-type", ""), limit)
    if int(request.headers.get("content-length", "0")) > limit:
        raise HttpProblem(413, "too_large", f"an uploaded list may have {limit:,} bytes at most")
    try:
        done = await services.lists.replace(
            storable(key), upload.batches(arriving(request, services)), author=author
        )
    except Unknown as error:
        raise not_found(f"there is no segment {key}") from error
    except Conflict as conflict:
        raise conflicting(conflict) from conflict
    except Crowded as error:
        raise unavailable(str(error)) from error
    except ClientDisconnect:
        return Response(status_code=CLIENT_GONE)
    answer = UploadedList(
        job=done.job,
        size=done.replaced.size,
        added=done.replaced.added,
        removed=done.replaced.removed,
        ignored=upload.ignored,
    )
    headers = {"location": f"/jobs/{done.job}"}
    return Response(answer.model_dump_json(), 202, headers, JSON)


async def arriving(request: Request, services: Services) -> AsyncIterator[bytes]:
    """The body of an upload as it arrives. Raises ClientDisconnect, and HttpProblem 401 where the
    key has ended by then."""
    chunks = request.stream()
    pace = Pace(PATIENCE, SLOWEST)
    while True:
        try:
            chunk = await pace.within(anext(chunks))
        except StopAsyncIteration:
            await services.keyring.look(services.database)
            still_let_in(request.scope)
            return
        except TimeoutError as error:
            raise ClientDisconnect from error
        pace.passed(len(chunk))
        yield chunk
