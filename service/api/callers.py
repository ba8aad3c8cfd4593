"""Who asks: the caller whom the door let in, and the author of what they change."""

from collections.abc import Callable, MutableMapping
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Header, Request

from service.api.problems import HttpProblem, invalid
from service.core.access import Author, Caller, Scope
from service.core.parsing import Problem

REASON_LIMIT = 500  # characters

Reason = Annotated[
    str | None,
    Header(
        alias="X-Change-Reason",
        description="Why this is changed, for the audit: percent-encoded UTF-8, 500 characters.",
    ),
]


def caller(request: Request) -> Caller:
    """Who sends this request. Only the door says so: a request past it has none, and fails."""
    found: Caller = request.scope["caller"]
    return found


WithCaller = Annotated[Caller, Depends(caller)]


def author(who: WithCaller, reason: Reason = None) -> Author:
    """Whoever sends this request as the author of a change. Raises HttpProblem 422."""
    return Author(who.name, who.key_id, None if reason is None else _read(reason))


WithAuthor = Annotated[Author, Depends(author)]


def still_let_in(scope: MutableMapping[str, Any]) -> None:
    """Whether the caller's key is one still, now that their body is here, which may have taken
    long. Raises HttpProblem 401."""
    still: Callable[[Caller], bool] = scope["still"]
    if not still(scope["caller"]):
        detail = "this key was revoked, or has expired, before all of the request was here"
        raise HttpProblem(401, "key_refused", detail)


def require(who: Caller, scope: Scope) -> None:
    """Go on only if the caller may. Raises HttpProblem 403."""
    if not who.may(scope):
        raise forbidden(scope)


def forbidden(scope: Scope) -> HttpProblem:
    """403: the key doesn't allow this."""
    return HttpProblem(403, "forbidden", f"this needs a key with the scope {scope}")


def _read(header: str) -> str:
    # Servers hand headers over as latin-1; UTF-8 that came plain is understood too.
    try:
        reason = unquote_to_bytes(header.encode("latin-1")).decode()
    except UnicodeError as error:
        raise _refused("bad_value", "this is not percent-encoded UTF-8") from error
    if "\0" in reason:
        raise _refused("bad_value", "U+0000 can't be stored in a text")
    if len(reason) > REASON_LIMIT:
        raise _refused("too_long", f"a reason has {REASON_LIMIT} characters at most")
    return reason


def _refused(code: str, detail: str) -> HttpProblem:
    return invalid([Problem("/header/X-Change-Reason", code, detail)])
