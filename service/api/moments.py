"""Instants and days of queries and bodies: written out, and none that can't be kept."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
# PostgreSQL's infinity, as its driver has it.
_ENDLESS = datetime.max.replace(tzinfo=UTC)


def _instant(text: Any) -> Any:
    """A bare number is no instant, whatever a lenient reader makes of it."""
    if not isinstance(text, str) or not _INSTANT.match(text):
        raise ValueError("write an instant with its zone, such as 2027-03-01T00:00:00Z")
    return text


def _kept(instant: datetime) -> datetime:
    try:
        kept = instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("this lies beyond the calendar's years in UTC") from error
    if kept == _ENDLESS:
        raise ValueError("this stands for no end at all")
    return kept


def _day(text: Any) -> Any:
    if not isinstance(text, str) or not _DAY.fullmatch(text):
        raise ValueError("write a day, such as 2027-03-01")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("the calendar has no such day") from error


# An instant in UTC, and a day.
Moment = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(_kept)]
Day = Annotated[date, BeforeValidator(_day)]
