"""`/rates`: what currencies were worth in the base currency, day by day."""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from service.api import paging
from service.api.assign import ClientGone, read_body
from service.api.bodies import BodyRoute, check
from service.api.callers import WithAuthor
from service.api.decoding import FAULTS_TOLD, decode, without_mark
from service.api.exports import JSON
from service.api.problems import HttpProblem, fault_of, invalid
from service.api.schemas import Page, Strict
from service.api.services import WithServices
from service.api.uploads import CSV
from service.core.instants import parse_day, to_datetime
from service.core.money import text_of
from service.core.parsing import Problem
from service.core.rates import Rate, read_currency, read_rate
from service.store import jobs
from service.store import rates as stored

router = APIRouter(prefix="/rates", tags=["orders"], route_class=BodyRoute)

COLUMNS = ("currency", "day", "rate")
CLIENT_GONE = 499

_anything = msgspec.json.Decoder(Any)

_EXAMPLE = {"currency": "EUR", "day": "2026-11-20", "rate": "1.0852"}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Rates to insert, or to replace where the day has one. As CSV: a header "
        "that names the columns currency, day and rate, in any order.",
        "content": {
            JSON: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "rates": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "properties": {
                                    "currency": {
                                        "type": "string",
                                        "pattern": "^[A-Za-z]{3}$",
                                        "description": "ISO 4217; not the base currency.",
                                    },
                                    "day": {"type": "string", "format": "date"},
                                    "rate": {
                                        "type": ["string", "number"],
                                        "description": "What one unit is worth in the base "
                                        "currency: more than 0, less than 1,000,000,000. As a "
                                        "text it keeps every digit.",
                                    },
                                },
                                "required": list(COLUMNS),
                                "additionalProperties": False,
                            },
                        }
                    },
                    "required": ["rates"],
                    "additionalProperties": False,
                },
                "example": {"rates": [_EXAMPLE]},
            },
            # Any text is CSV, and what is in it is told line by line.
            CSV: {"schema": {}, "example": "currency,day,rate\r\nEUR,2026-11-20,1.0852\r\n"},
        },
    }
}


class ToldRate(Strict):
    """A rate as somebody sends it: what its members hold is the core's to say."""

    currency: Any
    day: Any
    rate: Any


class ToldRates(Strict):
    """Rates as somebody sends them."""

    rates: Annotated[list[ToldRate], Field(min_length=1)]


class RateOfDay(BaseModel):
    """What one unit of a currency was worth in the base currency, from a day on."""

    currency: str
    day: date
    rate: str = Field(description="Exactly as it is kept.")


class RatesPage(Page):
    """A page of rates."""

    base: str = Field(description="The currency in which they are.")
    items: list[RateOfDay]


class StoredRates(BaseModel):
    """What an upload came to."""

    stored: int = Field(description="Rates that were sent, and are there now.")
    changed: int = Field(description="How many of them are new, or not what they were.")


def _currency(text: Any) -> Any:
    code = read_currency(text)
    if code is None:
        raise ValueError("a currency is a code such as EUR")
    return code


def _day(text: Any) -> Any:
    day = parse_day(text)
    if day is None:
        raise ValueError("a day is a date such as 2026-11-20")
    return day


Currency = Annotated[str, BeforeValidator(_currency)]
Day = Annotated[date, BeforeValidator(_day)]


@router.get("")
async def list_rates(
    services: WithServices,
    currency: Annotated[Currency | None, Query(description="This one's alone.")] = None,
    since: Annotated[Day | None, Query(alias="from", description="That day, and later.")] = None,
    until: Annotated[Day | None, Query(alias="to", description="Up to that day.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> RatesPage:
    """Rates by currency and day."""
    asked = stored.Asked(currency, since, until)
    after = _after(cursor)
    async with services.database.engine.connect() as connection:
        rates = await stored.listed(connection, asked, after, limit + 1)
    items = [
        RateOfDay(currency=each.currency, day=each.day, rate=text_of(each.rate))
        for each in rates[:limit]
    ]
    more = f"{items[-1].currency} {items[-1].day}" if len(rates) > limit else None
    return RatesPage(
        base=services.settings.base_currency, items=items, next_cursor=paging.cursor(more)
    )


@router.put("", response_model=StoredRates, openapi_extra=_BODY)
async def put_rates(request: Request, services: WithServices, author: WithAuthor) -> Any:
    """Insert rates, or replace those of their days; all of them or, where one is faulty, none. The
    others stay."""
    try:
        body = await read_body(request.scope, request.receive, services.settings.body_limit)
    except ClientGone:
        return Response(status_code=CLIENT_GONE)
    rates: list[Rate] = []
    faults: list[Problem] = []
    for place, row in _told(request, without_mark(body)):
        read = read_rate(row, services.settings.base_currency, place)
        if isinstance(read, Rate):
            rates.append(read)
        else:
            faults += read
        if len(faults) >= FAULTS_TOLD:
            break
    if faults:
        raise invalid(faults[:FAULTS_TOLD])
    now = to_datetime(services.clock())
    async with services.database.engine.begin() as connection:
        changed = await stored.put(connection, author, now, rates)
        if changed:
            await jobs.enqueue(connection, "rates", {})
    services.jobs.wake()
    return StoredRates(stored=len(rates), changed=changed)


# A rate, and the pointer of its members, whose name takes the place of `{}`.
Told = tuple[str, Mapping[str, Any]]


def _told(request: Request, body: bytes) -> Iterator[Told]:
    """Rates as they were sent. Raises HttpProblem."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == CSV:
        return _rows(body)
    if media_type == JSON:
        return _members(request, body)
    said = f"not {media_type}" if media_type else "and to be called so"
    raise HttpProblem(415, "unsupported", f"rates have to be {JSON} or {CSV}, {said}")


def _members(request: Request, body: bytes) -> Iterator[Told]:
    """Rates of a JSON document."""
    check(request, body, request.app.state.services.settings.json_depth)
    try:
        document = ToldRates.model_validate(decode(_anything, body))
    except ValidationError as error:
        raise invalid([fault_of(each, each["loc"]) for each in error.errors()]) from error
    for place, rate in enumerate(document.rates):
        yield f"/rates/{place}/{{}}", rate.model_dump()


def _rows(body: bytes) -> Iterator[Told]:
    """Rates of a CSV file; of each the line is the pointer."""
    try:
        lines = csv.reader(io.StringIO(body.decode(), newline=""), strict=True)
        names = [name.strip().casefold() for name in next(lines, [])]
        if sorted(names) != sorted(COLUMNS):
            detail = f"the first line has to name the columns {', '.join(COLUMNS)}"
            raise invalid([Problem("line 1", "required", detail)])
        some = False
        for cells in lines:
            if not cells:
                continue
            some = True
            line = f"line {lines.line_num}"
            if len(cells) != len(names):
                detail = f"there are {len(cells)} values on this line, and {len(names)} columns"
                raise invalid([Problem(line, "bad_value", detail)])
            yield line, dict(zip(names, cells, strict=True))
        if not some:
            raise invalid([Problem("line 2", "empty", "there are no rates below the first line")])
    except UnicodeDecodeError as error:
        raise invalid([Problem("line 1", "bad_value", "this is not UTF-8")]) from error
    except csv.Error as error:
        detail = "this is no line of CSV: see to its quotes"
        raise invalid([Problem(f"line {lines.line_num}", "bad_value", detail)]) from error


def _after(cursor: str | None) -> tuple[str, date] | None:
    """Where a page goes on. Raises HttpProblem 422."""
    text = paging.after(cursor)
    if text is None:
        return None
    currency, _, day_text = text.partition(" ")
    day = parse_day(day_text)
    if day is None:
        raise invalid([Problem("/query/cursor", "bad_value", "this is no cursor")])
    return currency, day
