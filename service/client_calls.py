"""The client's calls: each request, how its answer is read, and whether to try again. Pure but for
chance, so that the client and the asyncio client share all of it."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
import msgspec

T = TypeVar("T")
Json = Mapping[str, Any]

AGAIN: Final = frozenset({429, 503})
# The request never left, so that nothing can have been done.
NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Answer(msgspec.Struct, frozen=True):
    """What the service answers; members that this client does not know yet are passed over."""


class HeldSegment(Answer, frozen=True):
    """A segment that the customer is in. Instants are aware datetimes."""

    key: str
    name: str
    since: datetime
    scheme: str | None = None
    valid_until: datetime | None = None
    treatment: dict[str, Any] = {}


class Exited(Answer, frozen=True):
    """A segment that the customer left with this request, and why."""

    key: str
    reason: dict[str, Any]


class ModelAnswer(Answer, frozen=True):
    """What a model says of the customer; None where it has nothing to say."""

    version: str
    label: str | None = None
    confidence: float | None = None
    score: float | None = None
    unusual: bool | None = None


class Assignment(Answer, frozen=True):
    """The answer for one customer."""

    customer_id: str | None
    segments: list[HeldSegment]
    schemes: dict[str, str | None]
    entered: list[str]
    exited: list[Exited]
    models: dict[str, ModelAnswer]
    recorded: bool
    sequence: int | None
    catalog_revision: int
    evaluated_at: datetime
    valid_until: datetime | None = None
    variants: dict[str, str] = {}
    traits: dict[str, Any] | None = None
    warnings: list[dict[str, Any]] = []

    def is_in(self, key: str) -> bool:
        """Whether the customer is in this segment."""
        return any(segment.key == key for segment in self.segments)


class Segment(Answer, frozen=True):
    """A stored definition; `document` holds all of it, as the service wrote it."""

    key: str
    name: str
    status: str
    kind: str
    version: int
    summary: str
    warnings: list[dict[str, Any]] = []
    metrics: dict[str, Any] | None = None
    document: dict[str, Any] = {}
    etag: str | None = None


class Member(Answer, frozen=True):
    """A customer in a segment, since when, and by which version of the definition."""

    customer_id: str
    since: datetime
    version: int | None = None


class Fault(Answer, frozen=True):
    """One thing that is wrong, and where (RFC 6901)."""

    pointer: str
    code: str
    detail: str


class Refused(Exception):
    """The service refused. `code` and `errors` are documented in docs/errors.md."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[Fault] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Retries:
    """How often and how long to try again: `most` times, waiting `first` seconds, then twice as
    long each time, but what the service asks for where it does. A wait past `longest` seconds is
    not waited: the refusal is raised."""

    most: int = 4
    first: float = 0.1
    longest: float = 30.0

    def wait(self, attempt: int, asked: float | None) -> float | None:
        """Seconds to wait after this failed attempt (from 0), None to give up. A part of it is
        left to chance, so that many callers don't come back at once."""
        if attempt >= self.most:
            return None
        wait = self.first * 2**attempt if asked is None else asked
        return None if wait > self.longest else wait * random.uniform(1.0, 1.25)  # noqa: S311 - no secret


PATIENT = Retries()


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Any
    content: bytes | None = None
    params: Json = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    harmless: bool = True  # repeating it changes nothing more


def _body(document: Any) -> dict[str, Any]:
    return {
        "content": json.dumps(document, allow_nan=False).encode(),
        "headers": {"content-type": "application/json"},
    }


def step(text: str) -> str:
    return quote(text, safe="")


_assignment = msgspec.json.Decoder(Assignment)


def _read_segment(response: httpx.Response) -> Segment:
    return segment_of(response.json(), response.headers.get("etag"))


def segment_of(document: dict[str, Any], etag: str | None = None) -> Segment:
    return msgspec.convert({**document, "document": document, "etag": etag}, Segment)


def _read_batch(response: httpx.Response) -> list[Assignment | Refused]:
    return [
        _refusal(item["error"]["status"], item["error"])
        if "error" in item
        else msgspec.convert(item, Assignment)
        for item in response.json()["results"]
    ]


def _refusal(status: int, document: Any, retry_after: float | None = None) -> Refused:
    if not isinstance(document, dict):
        document = {}
    errors = [msgspec.convert(fault, Fault) for fault in document.get("errors", [])]
    detail = str(document.get("detail", "no reason was given"))
    return Refused(status, str(document.get("code", "unknown")), detail, errors, retry_after)


def _refused(response: httpx.Response) -> Refused:
    try:
        document = response.json()
    except ValueError:  # something between us and the service answered
        document = None
    return _refusal(response.status_code, document, _retry_after(response))


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, of either form of RFC 9110, section 10.2.3; None when it isn't said."""
    value = response.headers.get("retry-after", "")
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def assign(
    customer_id: str | None,
    traits: Json,
    record: bool | None,
    segments: Sequence[str] | None,
    include: Sequence[str],
) -> Call[Assignment]:
    asked: dict[str, Any] = {"traits": dict(traits), "include": list(include)}
    if customer_id is not None:
        asked["customer_id"] = customer_id
    if record is not None:
        asked["record"] = record
    if segments is not None:
        asked["segments"] = list(segments)
    return Call("POST", "/assign", lambda r: _assignment.decode(r.content), **_body(asked))


def assign_batch(customers: Sequence[Json], record: bool) -> Call[list[Assignment | Refused]]:
    asked = {"customers": [dict(each) for each in customers], "record": record}
    return Call("POST", "/assign/batch", _read_batch, **_body(asked))


def get_segment(key: str) -> Call[Segment]:
    return Call("GET", f"/segments/{step(key)}", _read_segment)


def put_segment(
    key: str, definition: Json, if_match: str | None, reason: str | None
) -> Call[Segment]:
    body = _body(dict(definition))
    body["headers"] |= _conditions(if_match, reason)
    # A repetition of what was done is refused: its version is not the latest any more.
    once = if_match is not None
    return Call("PUT", f"/segments/{step(key)}", _read_segment, **body, harmless=not once)


def create_segment(key: str, definition: Json, reason: str | None) -> Call[Segment]:
    body = _body({**definition, "key": key})
    body["headers"] |= {"idempotency-key": str(uuid4()), **_conditions(None, reason)}
    return Call("POST", "/segments", _read_segment, **body)


def archive_segment(key: str, if_match: str | None, reason: str | None) -> Call[None]:
    headers = _conditions(if_match, reason)
    once = if_match is not None
    path = f"/segments/{step(key)}"
    return Call("DELETE", path, lambda r: None, headers=headers, harmless=not once)


def _conditions(if_match: str | None, reason: str | None) -> dict[str, str]:
    headers = {}
    if if_match is not None:
        headers["if-match"] = if_match
    if reason is not None:
        headers["x-change-reason"] = quote(reason)
    return headers


def change_members(key: str, add: Sequence[str], remove: Sequence[str]) -> Call[int]:
    body = _body({"add": list(add), "remove": list(remove)})
    path = f"/segments/{step(key)}/members"
    return Call("POST", path, lambda r: int(r.json()["changed"]), **body)


def get_customer(customer_id: str) -> Call[dict[str, Any]]:
    return Call("GET", f"/customers/{step(customer_id)}", lambda r: dict(r.json()))


def erase_customer(customer_id: str, reason: str | None) -> Call[dict[str, Any]]:
    headers = _conditions(None, reason)
    # Repeated after it was done, it answers the same proof.
    return Call("DELETE", f"/customers/{step(customer_id)}", _document, headers=headers)


def _document(response: httpx.Response) -> dict[str, Any]:
    return dict(response.json()) if response.content else {}


def page(path: str, params: Json) -> Call[dict[str, Any]]:
    said = {name: value for name, value in params.items() if value is not None}
    return Call("GET", path, _document, params=said)


def headers_of(key: str | None) -> dict[str, str]:
    headers = {"user-agent": "segserve-client", "accept": "application/json"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    return headers


@dataclass(frozen=True)
class Wait:
    """Wait so long, then try again."""

    seconds: float


class Attempts(Generic[T]):
    """The way of one call through its attempts: what to do with each answer or failure."""

    def __init__(self, call: Call[T], retries: Retries) -> None:
        self.call = call
        self._retries = retries
        self._attempt = 0

    def request(self) -> dict[str, Any]:
        """The arguments of `build_request`."""
        call = self.call
        return {
            "method": call.method,
            "url": call.path,
            "params": call.params,
            "headers": call.headers,
            "content": call.content,
        }

    def answered(self, response: httpx.Response) -> "T | Wait":
        """The answer; or how long to wait before the next attempt. Raises Refused."""
        if response.is_success:
            read: T = self.call.read(response)
            return read
        refused = _refused(response)
        if response.status_code not in AGAIN:
            raise refused
        return Wait(self._next(refused, refused.retry_after))

    def failed(self, error: httpx.TransportError) -> float:
        """The seconds to wait before the next attempt. Raises the error when there is none."""
        if not (self.call.harmless or isinstance(error, NEVER_SENT)):
            raise error
        return self._next(error, None)

    def _next(self, error: Exception, asked: float | None) -> float:
        wait = self._retries.wait(self._attempt, asked)
        if wait is None:
            raise error
        self._attempt += 1
        return wait
