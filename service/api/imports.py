"""`/imports`: files of customers, orders, events, consent and members of lists."""

import asyncio
import csv
import io
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import msgspec
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from service.api.bodies import BodyRoute, check_encoding
from service.api.callers import WithAuthor
from service.api.decoding import check_document, decode
from service.api.members import CLIENT_GONE, arriving
from service.api.problems import HttpProblem, invalid, not_found, unavailable
from service.api.services import Services, WithServices
from service.api.uploads import CSV, NDJSON
from service.core.parsing import Problem
from service.flows.import_rehearsing import rehearse
from service.flows.import_rejects import header, line
from service.flows.import_running import Detail, Understood, look
from service.intake.imports.mapping import read
from service.store import import_rejects, jobs
from service.store.import_rejects import RejectedRow

router = APIRouter(prefix="/imports", tags=["imports"], route_class=BodyRoute)

PARQUET = "application/vnd.apache.parquet"
ENDINGS = {CSV: ".csv", NDJSON: ".ndjson", PARQUET: ".parquet"}
# Characters: a URL with more of them, percent-encoded, is refused before anybody reads it.
MAPPING_LIMIT = 4_096
REHEARSED = 20_000  # rows
AT_ONCE = 500  # rows that were not imported
NAME = r"^[^/\\\x00]{1,255}$"

_anything = msgspec.json.Decoder(Any)

_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file: CSV with a header, a JSON object a line, or Parquet.",
        "content": {
            # Any text is CSV, and what is in it is told row by row.
            CSV: {
                "schema": {},
                "example": "order_id,customer_id,created_at,total\r\n"
                "o-9,c-1,2026-11-20T10:00:00Z,135.50\r\n",
            },
            NDJSON: {"schema": {}, "example": '{"customer_id": "c-1", "city": "Brno"}\n'},
            PARQUET: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


class ImportPlan(BaseModel):
    """What a file is understood to hold."""

    kind: Literal["customers", "orders", "events", "consent", "list"]
    preset: str | None
    fields: dict[str, str] = Field(description="By field, the column that holds it.")
    constants: dict[str, Any] = Field(description="By field, its value in every row.")
    guessed: list[str] = Field(description="Fields whose column nobody named.")
    ignored: list[str] = Field(description="Columns that are not read.")
    types: dict[str, str] = Field(description="By trait or property, its type where it was said.")
    where: list[str] = Field(description="Only such rows are imported.")


class ImportRow(BaseModel):
    """A row that can't be imported."""

    row: int = Field(description="As a spreadsheet counts: the header of CSV is row 1.")
    column: str | None
    code: str = Field(description="For programs; docs/errors.md lists them.")
    detail: str = Field(description="For people.")


class ImportRehearsal(BaseModel):
    """What a dry run has found; nothing is stored."""

    plan: ImportPlan
    rows: int = Field(description="Rows that were looked at.")
    complete: bool = Field(description="Whether that is all of the file: 20,000 rows at most.")
    left_out: int = Field(description="Rows that `where` leaves out.")
    rejected: int
    customers: int
    counts: dict[str, int]
    types: dict[str, str] = Field(description="By trait or property, what the file shows.")
    examples: list[dict[str, Any]] = Field(description="The first rows, as they would be stored.")
    rejects: list[ImportRow] = Field(description="The first 20.")


class ImportBegun(BaseModel):
    """An import under way."""

    job: int
    plan: ImportPlan


@router.post(
    "",
    status_code=202,
    response_model=ImportBegun,
    openapi_extra=_FILE,
    responses={
        200: {"model": ImportRehearsal, "description": "What a dry run has found."},
        202: {"headers": {"Location": {"description": "The job.", "schema": {"type": "string"}}}},
    },
)
async def import_file(
    request: Request,
    services: WithServices,
    author: WithAuthor,
    name: Annotated[
        str | None, Query(pattern=NAME, description="The file's name; some exports go by it.")
    ] = None,
    mapping: Annotated[
        str | None,
        Query(
            max_length=MAPPING_LIMIT,
            description="JSON: what the file holds, see docs/import.md. What is not said is "
            "guessed by the names of its columns.",
        ),
    ] = None,
    dry_run: Annotated[bool, Query(description="Only show what it comes to.")] = False,
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=255,
            description="Your own name for this request. The same file with the same mapping, sent "
            "again with it, is the same import.",
        ),
    ] = None,
) -> Response:
    """Import a file as a job, or show what it comes to. Nobody is told of what follows from it."""
    check_encoding(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in ENDINGS:
        said = f"not {media_type}" if media_type else "and to be called so"
        raise HttpProblem(415, "unsupported", f"a file has to be {' or '.join(ENDINGS)}, {said}")
    limit = services.settings.import_body_limit
    if int(request.headers.get("content-length", "0")) > limit:
        raise _too_large(limit)
    said_of_it = read(_document(mapping, services))
    if services.importer.uploads.locked():
        raise unavailable("as many files are being uploaded as may be")
    async with services.importer.uploads:
        path = await services.importer.upload_path(f"{uuid.uuid4().hex}{ENDINGS[media_type]}")
        kept = False
        try:
            await _receive(request, services, path, limit)
            understood = await asyncio.to_thread(look, path, said_of_it, name or path.name)
            if dry_run:
                return await _rehearsed(services, understood)
            begun = await services.importer.begin(
                understood, author, here=False, uploaded=True, request=idempotency_key
            )
            kept = begun.ours
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        finally:
            if not kept:
                await anyio.Path(path).unlink(missing_ok=True)
    services.jobs.wake()
    answer = ImportBegun(job=begun.job, plan=_plan(understood))
    headers = {"location": f"/jobs/{begun.job}"}
    return Response(answer.model_dump_json(), 202, headers, "application/json")


@router.get(
    "/{job_id}/rejects",
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}},
                     "description": "row, column, code, reason, and the row itself (RFC 4180)."}},
    response_class=Response,
)  # fmt: skip
async def not_imported(services: WithServices, job_id: int) -> Response:
    """The rows of a file that were not imported, with the reasons; kept for seven days."""
    async with services.database.engine.connect() as connection:
        job = await jobs.get(connection, job_id) if 0 < job_id < 2**63 else None
        rows = await import_rejects.of_job(connection, job_id, 0, AT_ONCE) if job else []
    if job is None or not rows:
        raise not_found(f"no rejected rows are kept of an import {job_id}")
    columns = Detail.of(job).plan.columns
    return StreamingResponse(_told(services, job_id, columns, rows), media_type=CSV)


async def _told(
    services: Services, job_id: int, columns: list[str], rows: list[tuple[int, RejectedRow]]
) -> AsyncGenerator[bytes]:
    """Rows that were not imported as CSV, a page at a time: who is erased meanwhile is not told of
    any more."""
    lines: list[list[Any]] = [header(columns)]
    while rows:
        lines += [line(row, row.cells, len(columns)) for _, row in rows]
        text = io.StringIO(newline="")
        csv.writer(text).writerows(lines)
        yield text.getvalue().encode()
        lines = []
        async with services.database.engine.connect() as connection:
            rows = await import_rejects.of_job(connection, job_id, rows[-1][0], AT_ONCE)


def _document(mapping: str | None, services: Services) -> Any:
    """What was said of the file. Raises HttpProblem."""
    if mapping is None:
        return {}
    try:
        document = decode(_anything, mapping.encode())
        check_document(document, services.settings.json_depth)
    except HttpProblem as refused:
        faults = refused.errors or [Problem("", "bad_value", refused.detail)]
        placed = [Problem(f"/query/mapping{each.pointer}", each.code, each.detail)
                  for each in faults]  # fmt: skip
        raise invalid(placed) from refused
    return document


def _too_large(limit: int) -> HttpProblem:
    return HttpProblem(413, "too_large", f"a file may have {limit:,} bytes at most")


async def _receive(request: Request, services: Services, path: Path, limit: int) -> None:
    """Put the body into a file. Raises HttpProblem, ClientDisconnect."""
    size = 0
    async with await anyio.open_file(path, "xb") as file:
        async for chunk in arriving(request, services):
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            await file.write(chunk)
    if not size:
        raise invalid([Problem("", "empty", "the file is empty")])


async def _rehearsed(services: Services, understood: Understood) -> Response:
    importer = services.importer
    now = services.clock()
    found = await asyncio.to_thread(
        rehearse,
        understood,
        lambda inferred: importer.terms(now, inferred),
        services.settings.base_currency,
        REHEARSED,
    )
    told = {**msgspec.to_builtins(found), "plan": _plan(understood).model_dump()}
    answer = ImportRehearsal.model_validate(told)
    return Response(answer.model_dump_json(), media_type="application/json")


def _plan(understood: Understood) -> ImportPlan:
    return ImportPlan.model_validate(msgspec.to_builtins(understood.plan))
