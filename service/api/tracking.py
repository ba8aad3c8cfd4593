"""`/v1/...`: tracking by Segment's specification. Plain ASGI, as thousands of events a second come
here, from SDKs that call their JSON anything.

SDKs drop a batch for good on most of 4xx, and send it again on 429 and 503: whatever is wrong with
one message is told in the log of rejects and answered 200; what can't be stored now is never 4xx
but 429.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog

from service.api import problems
from service.api.assign import (
    ClientGone,
    Observe,
    Receive,
    Scope,
    Send,
    read_body,
    respond_problem,
)
from service.api.problems import HttpProblem, invalid, unavailable
from service.api.proxies import Proxies
from service.core.events import DEFAULT_STORE
from service.flows.arrivals import new_id
from service.flows.ingesting import LATER, Ingestor
from service.flows.sources import HeldSource, SourceRing
from service.intake import bodies
from service.intake.bodies import Unreadable
from service.intake.messages import Taken
from service.intake.segment_spec import Terms, take
from service.intake.traits import NOTHING_WITHHELD
from service.intake.write_keys import presented
from service.live import Live
from service.settings import Settings

log = structlog.get_logger()

# The type of the messages that come to a path; None: each names its own.
KINDS: Mapping[str, str | None] = {
    "batch": None,
    "import": None,
    "identify": "identify",
    "track": "track",
    "page": "page",
    "screen": "screen",
    "group": "group",
    "alias": "alias",
    "merge": "merge",
    # The browser's short forms.
    "b": None,
    "i": "identify",
    "t": "track",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
}
PATHS: Mapping[str, str | None] = {f"/v1/{name}": kind for name, kind in KINDS.items()}

MESSAGES_LIMIT = 10_000
READ_AT_ONCE = 100  # messages; others wait for the event loop too

_SUCCESS = b'{"success": true}'
_ANY_ORIGIN = (b"access-control-allow-origin", b"*")
_ANSWER = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_SUCCESS)).encode()),
    _ANY_ORIGIN,
]
_PREFLIGHT = [
    _ANY_ORIGIN,
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, X-Retry-Count"),
    (b"access-control-max-age", b"86400"),
    (b"content-length", b"0"),
]


class TrackingRoutes:
    """The tracking routes as one ASGI application."""

    def __init__(
        self, ingestor: Ingestor, ring: SourceRing, live: Live, settings: Settings,
        clock: Callable[[], int], observe: Observe,
    ) -> None:  # fmt: skip
        self._ingestor = ingestor
        self._ring = ring
        self._live = live
        self._settings = settings
        self._clock = clock
        self._observe = observe
        self._proxies = Proxies(settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":
            # Whether a page may ask is its key's matter.
            await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
            await send({"type": "http.response.body", "body": b""})
            return
        started = time.perf_counter()
        path: str = scope["path"]
        status = 200
        try:
            await self._take(scope, receive, PATHS[path])
            await send({"type": "http.response.start", "status": 200, "headers": _ANSWER})
            await send({"type": "http.response.body", "body": _SUCCESS})
        except HttpProblem as problem:
            status = problem.status
            await respond_problem(send, problem, path, beside=(_ANY_ORIGIN,))
        except ClientGone:
            status = 499
        except Exception:  # the last resort: logged whole, answered without details
            log.exception("request_failed", route=path)
            status = 500
            await respond_problem(send, problems.internal(), path, beside=(_ANY_ORIGIN,))
        self._observe(path, status, time.perf_counter() - started)

    async def _take(self, scope: Scope, receive: Receive, kind: str | None) -> None:
        """Store what a request tells. Raises HttpProblem."""
        received_at = self._clock()
        headers = scope["headers"]
        shown = presented(headers)
        if shown is not None:
            self._source(shown)  # before its body is read, which may take long
        limit = self._settings.tracking_body_limit
        packed = await read_body(scope, receive, limit)
        try:
            body = bodies.unpacked(packed, headers, limit)
            shared = bodies.envelope(body, batch=kind is None)
        except Unreadable as error:
            raise _unreadable(error, keyed=shown is not None) from error
        if shown is None:
            if shared.write_key is None:
                raise HttpProblem(401, "key_needed", "this needs the write key of a source")
            shown = shared.write_key.encode(errors="replace")
        source = self._source(shown)
        self._admit(source, len(shared.messages), received_at)
        browser = source.row.type == "browser"
        terms = Terms(
            source=source.row.id,
            received_at=received_at,
            new_id=_new_id,
            namer=self._live.namer,
            withheld=self._ring.server_only if browser else NOTHING_WITHHELD,
            browser=browser,
            store=source.row.store or DEFAULT_STORE,
            ip=self._proxies.client(scope) if browser else None,
            depth=self._settings.json_depth,
        )
        taken = Taken()
        for start in range(0, len(shared.messages), READ_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            read = take(shared.messages[start : start + READ_AT_ONCE], kind, shared, terms)
            taken.messages += read.messages
            taken.rejects += read.rejects
        try:
            await self._ingestor.ingest(source.row.id, taken, received_at)
        except LATER as error:
            raise unavailable(f"this can't be stored now: {error}") from error

    def _source(self, key: bytes) -> HeldSource:
        """The source of a write key. Raises HttpProblem 401, 404."""
        source = self._ring.find(key)
        if source is None:
            raise HttpProblem(401, "key_refused", "this is the write key of no source")
        if not source.row.enabled:
            raise HttpProblem(404, "source_disabled", "the source of this write key is disabled")
        return source

    @staticmethod
    def _admit(source: HeldSource, messages: int, now: int) -> None:
        """Raises HttpProblem 413, 429."""
        if messages > MESSAGES_LIMIT:
            detail = f"a batch has {MESSAGES_LIMIT:,} messages at most"
            raise HttpProblem(413, "too_large", detail)
        wait = source.wait(messages, now)
        if wait:
            detail = f"this source may send {source.row.rate_limit:,} events a minute"
            raise HttpProblem(429, "rate_limited", detail, retry_after=wait)


def _unreadable(error: Unreadable, *, keyed: bool) -> HttpProblem:
    problem = error.problem
    if not keyed and error.status != 413:
        detail = f"no header shows the write key of a source, nor can the body: {problem.detail}"
        return HttpProblem(401, "key_needed", detail)
    if error.status == 422:
        return invalid([problem])
    return HttpProblem(error.status, problem.code, problem.detail)


def _new_id() -> str:
    return new_id("delivery")
