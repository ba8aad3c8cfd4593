"""Which scope each route asks for: the one table. A route without its row here is not served.

A row may ask for less than a request turns out to need: what a body decides (an active segment in
place of a draft) is asked by the handler, with `callers.require`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from service.core.access import Scope


class Own(Enum):
    """A key that is none of `/keys`: the route itself asks for it, as it may stand in the body."""

    WRITE_KEY = "the write key of a source"


Needed = Scope | Own | None

# Any page may send to these, and ask first whether it may: see docs/decisions/0016.
_TRACKING: Mapping[str, Needed] = {"POST": Own.WRITE_KEY, "OPTIONS": Own.WRITE_KEY}

# By path and method; None: nobody is asked for a key.
ROUTES: Mapping[str, Mapping[str, Needed]] = {
    "/assign": {"POST": Scope.ASSIGN},
    "/assign/batch": {"POST": Scope.ASSIGN},
    "/segments": {"GET": Scope.READ, "POST": Scope.WRITE},
    "/segments/{key}": {
        "GET": Scope.READ,
        "PUT": Scope.WRITE,
        "PATCH": Scope.WRITE,
        "DELETE": Scope.WRITE,
    },
    "/segments/{key}/metrics": {"GET": Scope.READ},
    "/segments/{key}/versions": {"GET": Scope.READ},
    "/segments/{key}/uses": {"GET": Scope.READ},
    "/segments/{key}/rollback": {"POST": Scope.WRITE},
    "/segments/{key}/activate": {"POST": Scope.PUBLISH},
    "/segments/{key}/snapshot": {"POST": Scope.PUBLISH},
    "/conditions/import": {"POST": Scope.READ},
    "/segments/{key}/members": {"GET": Scope.READ, "POST": Scope.WRITE, "PUT": Scope.WRITE},
    "/customers": {"GET": Scope.READ},
    "/customers/{customer_id}": {"GET": Scope.READ, "DELETE": Scope.PERSONAL},
    "/customers/{customer_id}/segments": {"GET": Scope.READ},
    "/customers/{customer_id}/transitions": {"GET": Scope.READ},
    "/customers/{customer_id}/merge": {"POST": Scope.WRITE},
    "/customers/{customer_id}/unmerge": {"POST": Scope.WRITE},
    "/customers/{customer_id}/export": {"GET": Scope.PERSONAL},
    "/customers/{customer_id}/consent": {"GET": Scope.READ},
    "/customers/{customer_id}/consent/{channel}": {"PUT": Scope.WRITE},
    "/erasures": {"POST": Scope.PERSONAL},
    "/erasures/verify": {"POST": Scope.PERSONAL},
    "/erasures/{fingerprint}": {"GET": Scope.PERSONAL},
    "/traits": {"GET": Scope.READ},
    "/traits/refresh": {"POST": Scope.WRITE},
    "/traits/{name}/refresh": {"POST": Scope.PUBLISH},
    "/traits/{name}": {"GET": Scope.READ, "PUT": Scope.WRITE, "DELETE": Scope.WRITE},
    "/rates": {"GET": Scope.READ, "PUT": Scope.WRITE},
    "/imports": {"POST": Scope.WRITE},
    "/imports/{job_id}/rejects": {"GET": Scope.PERSONAL},
    "/keys": {"GET": Scope.ADMIN, "POST": Scope.ADMIN},
    "/keys/{key_id}": {"DELETE": Scope.ADMIN},
    "/audit": {"GET": Scope.ADMIN},
    "/sources": {"GET": Scope.READ, "POST": Scope.ADMIN},
    "/sources/{source_id}": {"GET": Scope.READ, "PUT": Scope.ADMIN, "DELETE": Scope.ADMIN},
    "/sources/{source_id}/rotate-key": {"POST": Scope.ADMIN},
    "/sources/{source_id}/rejects": {"GET": Scope.READ},
    "/v1/batch": _TRACKING,
    "/v1/import": _TRACKING,
    "/v1/identify": _TRACKING,
    "/v1/track": _TRACKING,
    "/v1/page": _TRACKING,
    "/v1/screen": _TRACKING,
    "/v1/group": _TRACKING,
    "/v1/alias": _TRACKING,
    "/v1/merge": _TRACKING,
    "/v1/b": _TRACKING,
    "/v1/i": _TRACKING,
    "/v1/t": _TRACKING,
    "/v1/p": _TRACKING,
    "/v1/s": _TRACKING,
    "/v1/g": _TRACKING,
    "/v1/a": _TRACKING,
    "/catalog": {"GET": Scope.READ},
    "/jobs": {"GET": Scope.READ},
    "/jobs/{job_id}": {"GET": Scope.READ},
    "/metrics": {"GET": Scope.READ},
    "/openapi.json": {"GET": Scope.READ, "HEAD": Scope.READ},
    "/healthz": {"GET": None, "HEAD": None},
    "/readyz": {"GET": None, "HEAD": None},
}


@dataclass(frozen=True, slots=True)
class Found:
    """The route of a path, as it is written, and what each of its methods asks for."""

    path: str
    methods: Mapping[str, Needed]


class Table:
    """Finds the row of a request, in the order and by the patterns of the router itself: the two
    can't come to different routes."""

    def __init__(self, routes: Sequence[BaseRoute], hot: Iterable[str]) -> None:
        """`routes`: the router's; `hot`: paths that are served beside it."""
        # A path that is written out is that route's, whatever the method: `/erasures/verify` is
        # nobody's fingerprint.
        literal = {path for path in ROUTES if "{" not in path}
        self._literal = {path: Found(path, ROUTES[path]) for path in {*hot, *literal}}
        self._rows: list[tuple[re.Pattern[str], set[str], Found]] = []
        for context in iter_route_contexts(routes):
            path = context.path_format or ""
            if path in ROUTES:
                listed = (context.methods or set()) & ROUTES[path].keys()
                self._rows.append((context.path_regex, listed, Found(path, ROUTES[path])))

    def find(self, method: str, path: str) -> Found | None:
        """The route that a request is for; where its path takes other methods only, that path."""
        literal = self._literal.get(path)
        if literal is not None:
            return literal
        other = None
        for pattern, methods, found in self._rows:
            if pattern.match(path):
                # A path that ends as a route does is that route's, whatever the method: an id
                # that ends so is written with %2F.
                if method in methods or method not in found.methods:
                    return found
                other = other or found
        return other
