"""Keyset paging: opaque cursors over the last key seen."""

import base64
import binascii
from typing import Annotated

from fastapi import Query

from service.api.problems import invalid
from service.core.parsing import Problem

Limit = Annotated[int, Query(ge=1, le=1000, description="Items of a page at most.")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before.")]


def after(cursor: str | None) -> str | None:
    """The key that a cursor stands for. Raises HttpProblem 422."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid([Problem("/query/cursor", "bad_value", "this is no cursor")]) from error
    if "\0" in text:
        raise invalid([Problem("/query/cursor", "bad_value", "this is no cursor")])
    return text


def cursor(key: str | int | None) -> str | None:
    """The cursor of the last key of a page; None where there is no next page."""
    return None if key is None else base64.urlsafe_b64encode(str(key).encode()).decode()


BIGINT = 2**63 - 1
INTEGER = 2**31 - 1


def after_number(text: str | None, most: int = BIGINT) -> int | None:
    """As `after`, for keys that are numbers up to `most`."""
    key = after(text)
    if key is None:
        return None
    if not key.isdecimal() or len(key) > len(str(BIGINT)) or int(key) > most:
        raise invalid([Problem("/query/cursor", "bad_value", "this is no cursor")])
    return int(key)
