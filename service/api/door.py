"""The door: every request passes it, hot or not, and is let in by its key, within its scopes and
its rate, or, while there is no key, because this machine itself sends it."""

import time
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

import structlog

from service.api import protection
from service.api.assign import Observe, Receive, Send, respond_problem
from service.api.callers import forbidden
from service.api.paths import matchable
from service.api.problems import HttpProblem, not_found
from service.api.proxies import Proxies
from service.api.scopes import Found, Own, Table
from service.core.access import LOCAL, NOBODY, Caller
from service.core.access import Scope as Access
from service.keyring import KeyRing

log = structlog.get_logger()

_POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1

Scope = MutableMapping[str, Any]
Headers = Iterable[tuple[bytes, bytes]]


class Door:
    """Lets requests through to an application with `scope["caller"]` set, or refuses them.
    `scope["still"]` tells later whether that caller would still be let in."""

    def __init__(
        self, inner: Any, table: Table, keyring: KeyRing, clock: Callable[[], int],
        observe: Observe, proxies: Proxies,
    ) -> None:  # fmt: skip
        self.inner = inner
        self._table = table
        self._keyring = keyring
        self._clock = clock
        self._observe = observe
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        try:
            scope = matchable(scope)
            route = self._table.find(scope["method"], scope["path"])
            if scope["method"] == "HEAD" and (route is None or "HEAD" not in route.methods):
                # As GET; the server leaves the body out.
                got = self._table.find("GET", scope["path"])
                if got is not None and "GET" in got.methods:
                    scope, route = {**scope, "method": "GET"}, got
        except UnicodeDecodeError:
            route = None
        try:
            scope["caller"] = self._admit(scope, route)
        except HttpProblem as problem:
            started = time.perf_counter()
            allow = ", ".join(route.methods) if route and problem.status == 405 else None
            await respond_problem(send, problem, scope["path"], allow)
            path = "unmatched" if route is None else route.path
            self._observe(path, problem.status, time.perf_counter() - started)
            return
        scope["still"] = self._still
        await self.inner(scope, receive, send)

    def _still(self, caller: Caller) -> bool:
        """Whether who was let in would be now: by a key that is one still, or by none where none
        is needed."""
        return caller is NOBODY or self._keyring.holds(caller.key_id, self._clock())

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.inner(scope, receive, send)
        else:  # there is no WebSocket here
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    def _admit(self, scope: Scope, route: Found | None) -> Caller:
        method: str = scope["method"]
        known = route is not None and method in route.methods
        needed = route.methods[method] if route is not None and known else None
        if self._keyring.protected:
            peer = scope.get("client")
            pages = isinstance(needed, Own)
            protection.check(peer[0] if peer else None, method, scope["headers"], pages=pages)
            caller = LOCAL
        elif known and (needed is None or isinstance(needed, Own)):
            caller = NOBODY
        else:
            caller = self._keyed(scope)
        if route is None:
            raise not_found("there is nothing at this path")
        if not known:
            detail = f"this path takes {' and '.join(route.methods)}"
            raise HttpProblem(405, "method_not_allowed", detail)
        if isinstance(needed, Access) and not caller.may(needed):
            raise forbidden(needed)
        return caller

    def _keyed(self, scope: Scope) -> Caller:
        shown = presented(scope["headers"])
        if shown is None:
            detail = "this needs a key: send `Authorization: Bearer KEY`, or `X-Api-Key: KEY`"
            raise HttpProblem(401, "key_needed", detail)
        key = self._keyring.find(shown)
        if key is None:
            self._log_refused(scope, "unknown", None)
            raise HttpProblem(401, "key_refused", "this key is not known, or it was revoked")
        if not key.timeless:
            now = self._clock()
            if key.expired(now):
                self._log_refused(scope, "expired", key.row.id)
                raise HttpProblem(401, "key_refused", "this key has expired")
            wait = key.wait(now)
            if wait:
                detail = f"this key may send {key.row.rate_limit:,} requests a minute"
                raise HttpProblem(429, "rate_limited", detail, retry_after=wait)
        return key.caller

    def _log_refused(self, scope: Scope, reason: str, key_id: str | None) -> None:
        client = self._proxies.client(scope)
        log.warning("key_refused", reason=reason, key_id=key_id, client=client)


def presented(headers: Headers) -> bytes | None:
    """The key that a request shows. Raises HttpProblem 401 where it shows two."""
    found: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            if value[:7].lower() != b"bearer ":
                continue
            key = value[7:].strip()
        elif name == b"x-api-key":
            key = value.strip()
        else:
            continue
        if found is not None and found != key:
            raise HttpProblem(401, "key_refused", "the request shows two keys: send one")
        found = key
    return found
