"""`POST /assign` and `POST /assign/batch`: plain ASGI, because everything waits for these."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from itertools import islice
from typing import Annotated, Any

import msgspec
import structlog

from service.api import problems
from service.api.answers import AnswerEncoder
from service.api.callers import still_let_in
from service.api.decoding import check_tree, decode
from service.api.problems import HttpProblem, invalid
from service.api.recording import NOT_RECORDED, not_recorded
from service.core.access import LOCAL
from service.core.access import Scope as Access
from service.core.merging import check_names
from service.core.parsing import Problem
from service.flows.assigning import Assigner
from service.settings import Settings

log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
# (route, status, seconds)
Observe = Callable[[str, int, float], None]

BATCH_LIMIT = 1_000
ITEMS_AT_ONCE = 16
# `excluded`: look at those too who are left out of all segments.
EXCLUDED = "excluded"
INCLUDES = frozenset({"traits", "treatment", EXCLUDED})
NAMES_REMEMBERED = 10_000
MEMBERS_REMEMBERED = 100  # of one object: maps keyed by products are not names
NUL = b"\\u0000"  # JSON holds it in no other form

CustomerId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class AssignRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A customer's profile to assign. Without `customer_id` or `identities` it is assigned from
    memory and nothing is stored."""

    customer_id: CustomerId | None = None
    traits: dict[str, Any] = {}
    record: bool | None = None
    segments: list[str] | None = None
    include: list[str] = []
    events: list[Any] = []
    identities: dict[str, Any] = {}
    at: str | None = None


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Up to 1,000 customers; an item's own `record` wins over the batch's."""

    customers: list[msgspec.Raw]
    record: bool = True


class AssignRoutes:
    """The hot routes as one ASGI application."""

    def __init__(self, assigner: Assigner, settings: Settings, observe: Observe) -> None:
        self._assigner = assigner
        self._settings = settings
        self._observe = observe
        self._encoder = AnswerEncoder()
        self._one = msgspec.json.Decoder(AssignRequest)
        self._many = msgspec.json.Decoder(BatchRequest)
        # Names that passed once pass always; people use few.
        self._names: set[str] = set()
        self._inner_names: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        path: str = scope["path"]
        masking = not scope.get("caller", LOCAL).may(Access.PERSONAL)
        try:
            if path == "/assign":
                body = await read_body(scope, receive, self._settings.body_limit)
                status, answer = (
                    200,
                    await self._assign(decode(self._one, body), body, True, masking),
                )
            else:
                body = await read_body(scope, receive, self._settings.batch_body_limit)
                status, answer = await self._batch(decode_batch(self._many, body), masking)
            await respond(send, status, answer)
        except HttpProblem as problem:
            status = problem.status
            await respond_problem(send, problem, path)
        except ClientGone:
            status = 499
        except Exception:  # the last resort: logged whole, answered without details
            log.exception("request_failed", route=path)
            status = 500
            await respond_problem(send, problems.internal(), path)
        self._observe(path, status, time.perf_counter() - started)

    async def _assign(
        self, request: AssignRequest, body: bytes, record: bool, masking: bool
    ) -> bytes:
        self._check(request, body)
        everyone = EXCLUDED in request.include
        try:
            if request.customer_id is None and not request.identities:
                answer = await self._assigner.anonymous(
                    request.traits, request.events, everyone=everyone
                )
            elif record if request.record is None else request.record:
                answer = await self._assigner.recorded(
                    request.customer_id, request.traits, request.events, request.identities
                )
            else:
                answer = await self._assigner.unrecorded(
                    request.customer_id,
                    request.traits,
                    request.events,
                    request.identities,
                    everyone=everyone,
                )
        except NOT_RECORDED as error:
            raise not_recorded(error) from error
        only = None if request.segments is None else frozenset(request.segments)
        include = frozenset(request.include)
        return self._encoder.encode(answer, include, only, masking=masking)

    def _check(self, request: AssignRequest, body: bytes) -> None:
        if request.at is not None:
            detail = "at can't be sent in this version"
            raise invalid([Problem("/at", "not_available", detail)])
        for index, name in enumerate(request.include):
            if name not in INCLUDES:
                known = " and ".join(sorted(INCLUDES))
                detail = f"{name} can't be included; {known} can"
                raise invalid([Problem(f"/include/{index}", "not_available", detail)])
        if request.customer_id is not None and "\0" in request.customer_id:
            raise invalid([Problem("/customer_id", "bad_value", "an id can't hold U+0000")])
        # A body without that text holds no U+0000; one with few brackets is not deep.
        depth = body.count(b"{") + body.count(b"[")
        if depth > self._settings.json_depth or NUL in body or not self._known(request.traits):
            self._look_through(request.traits)
            check_tree(request.events, "/events", 2, self._settings.json_depth)
        if len(request.traits) > self._settings.traits_limit:
            detail = f"a customer has {self._settings.traits_limit:,} traits at most"
            raise invalid([Problem("/traits", "too_many", detail)])

    def _known(self, traits: Mapping[str, Any]) -> bool:
        """Whether all names passed before."""
        if not traits.keys() <= self._names:
            return False
        return all(self._inner_known(value) for value in traits.values() if type(value) is dict)

    def _inner_known(self, value: dict[str, Any]) -> bool:
        return value.keys() <= self._inner_names and not any(
            type(item) is dict for item in value.values()
        )

    def _look_through(self, traits: Mapping[str, Any]) -> None:
        check_tree(traits, "/traits", 2, self._settings.json_depth)
        faults = check_names(traits)
        if faults:
            raise invalid(faults)
        if len(self._names) < NAMES_REMEMBERED:
            self._names.update(traits)
            for value in traits.values():
                if type(value) is dict and len(self._inner_names) < NAMES_REMEMBERED:
                    self._inner_names.update(islice(value, MEMBERS_REMEMBERED))

    async def _batch(self, request: BatchRequest, masking: bool) -> tuple[int, bytes]:
        if len(request.customers) > BATCH_LIMIT:
            detail = f"a batch holds {BATCH_LIMIT:,} customers at most"
            raise invalid([Problem("/customers", "too_many", detail)])
        tasks = []
        for index, raw in enumerate(request.customers):
            tasks.append(asyncio.create_task(self._item(index, raw, request.record, masking)))
            if index % ITEMS_AT_ONCE == ITEMS_AT_ONCE - 1:
                await asyncio.sleep(0)  # others wait for the event loop too
        results = await asyncio.gather(*tasks)
        all_unavailable = bool(results) and all(status == 503 for status, _ in results)
        body = b'{"results":[' + b",".join(answer for _, answer in results) + b"]}"
        return (503 if all_unavailable else 200), body

    async def _item(
        self, index: int, raw: msgspec.Raw, record: bool, masking: bool
    ) -> tuple[int, bytes]:
        try:
            body = bytes(raw)
            return 200, await self._assign(decode(self._one, body), body, record, masking)
        except HttpProblem as problem:
            where = f"/assign/batch#/customers/{index}"
            return problem.status, b'{"error":' + problems.encoded(problem, where) + b"}"


def decode_batch(decoder: msgspec.json.Decoder[BatchRequest], body: bytes) -> BatchRequest:
    """A batch, its items not looked at yet. Raises HttpProblem."""
    try:
        return decode(decoder, body)
    except HttpProblem as problem:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise problem from None
        # NaN or half of a surrogate pair somewhere: written again item by item, only the item
        # that holds it is refused.
        if not isinstance(document, dict) or not isinstance(document.get("customers"), list):
            raise
        items = [msgspec.Raw(json.dumps(item).encode()) for item in document.pop("customers")]
        faultless = decode(decoder, json.dumps({**document, "customers": []}).encode())
        return BatchRequest(items, faultless.record)


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The request's whole body, at most `limit` bytes. Raises HttpProblem 401 where the caller's
    key has ended by then, 413, ClientGone."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        chunks = [body]
        size = len(body)
        while message.get("more_body", False):
            if size > limit:
                break
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        body = b"".join(chunks)
    if len(body) > limit:
        raise HttpProblem(413, "too_large", f"the body may have {limit:,} bytes at most")
    still_let_in(scope)
    return body


async def respond(send: Send, status: int, body: bytes) -> None:
    """Answer with JSON."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if status == 503:
        headers.append((b"retry-after", str(problems.RETRY_AFTER).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def respond_problem(
    send: Send,
    problem: HttpProblem,
    path: str,
    allow: str | None = None,
    beside: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Answer with a problem; `allow`: the methods that the path takes instead; `beside`: further
    headers."""
    body = problems.encoded(problem, path)
    headers = [
        (b"content-type", problems.MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((name.encode(), value.encode()) for name, value in problems.headers(problem).items()),
        *beside,
    ]
    if allow is not None:
        headers.append((b"allow", allow.encode()))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
