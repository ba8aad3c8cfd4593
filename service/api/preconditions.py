"""ETags of definitions, and the conditions that requests make of them (RFC 9110, section 13).

An ETag is of the definition (of segments of their version and status): metrics, coverage and
warnings change without it.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Header, Request

from service.api.problems import HttpProblem, invalid
from service.core.parsing import Problem
from service.store.segments import SegmentRow
from service.store.vault import Vault


def _of_all_lines(name: str, description: str) -> Any:
    """A header whose lines are read as one list (RFC 9110, section 5.3)."""

    def joined(
        request: Request,
        _first: Annotated[str | None, Header(alias=name, description=description)] = None,
    ) -> str | None:
        lines = request.headers.getlist(name)
        return ", ".join(lines) if lines else None

    return Depends(joined)


IfMatch = Annotated[
    str | None,
    _of_all_lines(
        "If-Match", "Go on only if the definition is still the one of this ETag: else 412."
    ),
]
IfNoneMatch = Annotated[
    str | None,
    _of_all_lines("If-None-Match", "`*`: create only, so 412 if there is one already."),
]
IfChanged = Annotated[
    str | None,
    _of_all_lines("If-None-Match", "The ETag of the definition you have: 304 if it is the same."),
]

# For the OpenAPI: headers of answers about one definition.
_ETAG = {"description": "Of the definition alone.", "schema": {"type": "string"}}
_LOCATION = {"description": "Where it is found.", "schema": {"type": "string"}}
TAGGED: dict[str, Any] = {"headers": {"ETag": _ETAG}}
CREATED: dict[str, Any] = {"headers": {"ETag": _ETAG, "Location": _LOCATION}}

# RFC 9110, section 8.8.3: an optional weakness mark and an opaque text in quotes.
_TAG = re.compile(r'[ \t]*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|$)|[ \t]*(?:,|$)')


def etag(row: SegmentRow) -> str:
    """The strong ETag of a segment's definition."""
    return f'"{row.key}.{row.version}.{row.status}"'


def declaration_tag(vault: Vault, name: str, definition: Mapping[str, Any]) -> str:
    """The strong ETag of a trait's declaration: keyed, as nobody should find by trying what is
    masked for them."""
    text = json.dumps([name, definition], sort_keys=True)
    return f'"{vault.fingerprints("declaration", text)[0].hex()[:32]}"'


def check(row: SegmentRow | None, if_match: str | None, if_none_match: str | None = None) -> None:
    """Whether a change may be made to a stored segment (None: there is none). Raises HttpProblem
    412 `stale`, 422."""
    check_tag(None if row is None else etag(row), if_match, if_none_match)


def check_tag(tag: str | None, if_match: str | None, if_none_match: str | None = None) -> None:
    """The same of whatever has this ETag (None: there is nothing)."""
    if if_match is not None:
        wanted = _tags(if_match, "If-Match")
        if tag is None or (wanted is not None and tag not in wanted):
            raise stale("the definition is no longer the one of If-Match: read it again")
    if if_none_match is not None and tag is not None and unchanged(tag, if_none_match):
        raise stale("If-None-Match asks that there be none, and there is one")


def unchanged(tag: str, if_none_match: str) -> bool:
    """Whether If-None-Match names an ETag. Weak ones count, as nothing is to be written."""
    wanted = _tags(if_none_match, "If-None-Match")
    return wanted is None or tag in {each.removeprefix("W/") for each in wanted}


def stale(detail: str) -> HttpProblem:
    """412: the change was made from something that is no longer so."""
    return HttpProblem(412, "stale", detail)


def _tags(header: str, name: str) -> set[str] | None:
    """The ETags that a header lists; None for `*`. Raises HttpProblem 422."""
    # In a list, of several lines too, it has no meaning (RFC 9110, section 13.1.1).
    if header.strip() == "*":
        return None
    found, at = set(), 0
    while at < len(header):
        match = _TAG.match(header, at)
        if match is None:
            detail = 'ETags stand in quotes, with commas between: "vip.3.active"'
            raise invalid([Problem(f"/header/{name}", "bad_value", detail)])
        if match[1]:
            found.add(match[1])
        at = match.end()
    return found
