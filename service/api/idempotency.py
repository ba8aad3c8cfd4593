"""`Idempotency-Key`: a creating request that is sent again gets its first answer again.

After the IETF's draft "The Idempotency-Key HTTP Header Field": the key belongs to its author and
to one request, which a fingerprint of method, path and body recognises. Answers are kept for a
day, but for those that other headers could change (401, 412, 415, faults of headers) and 5xx: such
a request was not done, and may be sent again. A request whose process went away before it was
answered may or may not have done its work; nobody can tell afterwards, so it is not done a second
time, and its author is told to look.
"""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import Depends, Header
from starlette.datastructures import Headers
from starlette.responses import Response

from service.api.assign import ClientGone, Receive, Scope, Send, read_body
from service.api.problems import RETRY_AFTER, HttpProblem, invalid
from service.api.services import Services
from service.core.access import LOCAL, Caller
from service.core.instants import to_datetime
from service.core.parsing import Problem
from service.flows.upkeep import ANSWERS_KEPT
from service.store import idempotency as stored
from service.store.database import CANT_READ

log = structlog.get_logger()

# Longer than any of these requests takes: one that has no answer by then gets none.
GIVEN_UP = timedelta(minutes=15)
HEADER = "Idempotency-Key"
# The request is not to blame: it may be sent again as it is.
_NOT_DONE = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.PRECONDITION_FAILED,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    }
)
# Headers of an answer that belong to the connection, not to it.
_NOT_KEPT = frozenset({"content-length", "date", "connection"})

# RFC 9651, section 3.3.3: a string in quotes. Plain ones are understood too.
_QUOTED = re.compile(r'"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])+"')
_PLAIN = re.compile(r"[\x21\x23-\x7e][\x20-\x7e]*")
_LENGTH = 255

Handle = Callable[[Scope, Receive, Send], Awaitable[None]]


def _described(
    idempotency_key: Annotated[
        str | None,
        Header(
            alias=HEADER,
            description="Your own name for this request, such as a UUID. Sent again with it, the "
            "request is not done again: its first answer is given again, for a day.",
        ),
    ] = None,
) -> None:
    """The header, for the OpenAPI; `repeatable` reads it."""


# Marks a route of `BodyRoute` whose requests may carry a key.
REPEATABLE = Depends(_described)


async def repeatable(handle: Handle, scope: Scope, receive: Receive, send: Send) -> None:
    """Handle a request, or give the answer again that it had. Raises HttpProblem 409
    `in_progress` and `outcome_unknown`, 413, 422."""
    key = _key(Headers(scope=scope).getlist(HEADER))
    if key is None:
        await handle(scope, receive, send)
        return
    services: Services = scope["app"].state.services
    try:
        body = await read_body(scope, receive, services.settings.body_limit)
    except ClientGone:
        return
    repeat = _Repeat(services, scope, key, body)
    answer = await repeat.known()
    if answer is None:
        answer = await repeat.first(handle, receive)
    await answer(scope, receive, send)


class _Repeat:
    """One request under its key."""

    def __init__(self, services: Services, scope: Scope, key: str, body: bytes) -> None:
        caller: Caller = scope.get("caller", LOCAL)
        self._services = services
        self._scope = scope
        self._key = key
        self._body = body
        self._author = caller.key_id or caller.name
        target = scope["path"].encode() + b"?" + scope["query_string"]
        parts = (scope["method"].encode(), target, body)
        self._fingerprint = hashlib.sha256(b"\n".join(parts)).digest()

    async def known(self) -> Response | None:
        """The answer that this request had before; None where it comes for the first time."""
        now = to_datetime(self._services.clock())
        async with self._services.database.engine.begin() as connection:
            known = await stored.claim(
                connection, self._author, self._key, self._fingerprint, now, now - ANSWERS_KEPT
            )
        if known is None:
            return None
        if known.request != self._fingerprint:
            detail = f"this {HEADER} was used for another request: use a new one"
            fault = Problem(f"/header/{HEADER}", "idempotency_mismatch", detail)
            raise HttpProblem(422, "idempotency_mismatch", detail, [fault])
        if known.status is None or known.body is None:
            raise _unanswered(now - known.created_at)
        body = self._services.vault.decrypt(known.body.decode()).encode()
        answer = Response(body, known.status)
        for name, value in known.headers or ():
            answer.headers[name] = value
        answer.headers["idempotent-replayed"] = "true"
        return answer

    async def first(self, handle: Handle, receive: Receive) -> Response:
        """Do what is asked, and keep the answer."""
        exchange = _Exchange(self._body, receive)
        answer = None
        try:
            await handle(self._scope, exchange.receive, exchange.send)
            answer = exchange.answer()
        finally:
            await self._settle(answer)
        return answer

    async def _settle(self, answer: Response | None) -> None:
        """Keep an answer, or give the key back where there is none to keep."""
        # What can't be noted now is as if this process had gone away: nobody repeats it unawares.
        try:
            async with self._services.database.engine.begin() as connection:
                if answer is None or not _done(answer):
                    await stored.give_back(connection, self._author, self._key)
                    return
                headers = [
                    (name, value) for name, value in answer.headers.items() if name not in _NOT_KEPT
                ]
                # Encrypted, as it may hold what is shown only once.
                body = self._services.vault.encrypt(bytes(answer.body).decode()).encode()
                await stored.keep(
                    connection, self._author, self._key, answer.status_code, headers, body
                )
        except CANT_READ as error:
            log.warning("answer_not_kept", error=type(error).__name__)


def _done(answer: Response) -> bool:
    """Whether a request came to something, or to a refusal that its body is to blame for."""
    if answer.status_code in _NOT_DONE or answer.status_code >= 500:
        return False
    if answer.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
        return True
    faults = json.loads(bytes(answer.body)).get("errors", [])
    return not any(fault["pointer"].startswith("/header/") for fault in faults)


class _Exchange:
    """A request's body, given again, and the answer, collected."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive
        self._start: dict[str, Any] = {}
        self._chunks: list[bytes] = []

    async def receive(self) -> Any:
        """The whole body at once; after that what the client says."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self._chunks.append(message.get("body", b""))

    def answer(self) -> Response:
        """The answer as it was sent."""
        answer = Response(b"".join(self._chunks), self._start["status"])
        answer.raw_headers = list(self._start["headers"])
        return answer


def _unanswered(since: timedelta) -> HttpProblem:
    if since < GIVEN_UP:
        detail = f"the first request with this {HEADER} is still at it: come back"
        return HttpProblem(409, "in_progress", detail, retry_after=RETRY_AFTER)
    detail = (
        f"the first request with this {HEADER} was cut off, and may or may not have done its work: "
        "see whether it did, and use a new key if not"
    )
    return HttpProblem(409, "outcome_unknown", detail)


def _key(values: list[str]) -> str | None:
    """The key that a request carries. Raises HttpProblem 422."""
    if not values:
        return None
    text = values[0].strip()
    if len(values) == 1 and len(text) <= _LENGTH:
        if _QUOTED.fullmatch(text):
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if _PLAIN.fullmatch(text):
            return text
    detail = f"one text of 1 to {_LENGTH} printable ASCII characters, such as a UUID"
    raise invalid([Problem(f"/header/{HEADER}", "bad_value", detail)])
