"""Every route is guarded: all routes against no key, every scope alone, and keys that are none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi.routing import iter_route_contexts

from service.api.app import HOT
from service.api.scopes import ROUTES, Own
from service.api.tracking import PATHS as TRACKING
from service.core.access import Scope
from tests.contracts.test_errors import shaped
from tests.contracts.test_openapi import check_answer, closed
from tests.postgres import Databases
from tests.serving import Service, service_of

OPEN = {("GET", "/healthz"), ("HEAD", "/healthz"), ("GET", "/readyz"), ("HEAD", "/readyz")}
# Reading by another method than GET: it changes nothing, but has a body.
ASKED_BY_POST = {"/conditions/import"}


@pytest.fixture(scope="module")
def locked(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service_of(databases, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture(scope="module")
def keys(locked: Service) -> dict[Scope, str]:
    """A key for each scope alone."""
    admin = locked.ask("post", "/keys", json={"name": "admin", "scopes": ["admin"]}).json()["key"]
    made = {Scope.ADMIN: admin}
    for scope in set(Scope) - {Scope.ADMIN}:
        wanted = {"name": f"only {scope}", "scopes": [scope]}
        answer = locked.ask("post", "/keys", json=wanted, headers=bearer(admin))
        assert answer.status_code == 201, answer.text
        made[scope] = answer.json()["key"]
    return made


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def routes(service: Service) -> set[tuple[str, str]]:
    """Every (method, path) that the application answers, the hot ones too."""
    served = {
        (method, context.path_format)
        for context in iter_route_contexts(service.app.inner.cold.routes)
        for method in context.methods or ()
    }
    asked = {(method, path) for path in TRACKING for method in ("POST", "OPTIONS")}
    return served | asked | {("POST", path) for path in HOT}


def test_every_route_has_its_row_and_every_row_its_route(locked: Service) -> None:
    rows = {(method, path) for path, methods in ROUTES.items() for method in methods}
    missing, idle = routes(locked) - rows, rows - routes(locked)
    assert missing == set(), "not served: give them rows in service/api/scopes.py"
    assert idle == set(), "rows of service/api/scopes.py without a route"


def test_scopes_fit_what_routes_do() -> None:
    for path, methods in ROUTES.items():
        for method, scope in methods.items():
            assert (scope is None) == ((method, path) in OPEN), path
            if path.startswith(("/keys", "/audit")):
                assert scope == Scope.ADMIN, path
            elif method not in ("GET", "HEAD") and path not in ASKED_BY_POST:
                assert scope not in (Scope.READ, None), path


def test_making_and_revoking_a_key_answer_as_documented(
    locked: Service, keys: dict[Scope, str], document: dict[str, Any]
) -> None:
    document = closed(document)
    head = bearer(keys[Scope.ADMIN])
    made = locked.ask("post", "/keys", json={"name": "more", "scopes": ["read"]}, headers=head)
    assert made.status_code == 201
    check_answer(document, document["paths"]["/keys"]["post"], made)
    gone = locked.ask("delete", f"/keys/{made.json()['id']}", headers=head)
    assert gone.status_code == 204
    check_answer(document, document["paths"]["/keys/{key_id}"]["delete"], gone)
    listed = locked.ask("get", "/keys", headers=head)
    check_answer(document, document["paths"]["/keys"]["get"], listed)


def test_every_operation_says_which_scope_it_needs(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            scope = ROUTES[path][method.upper()]
            if isinstance(scope, Own):
                assert operation["security"] == [{"write_key": []}]
                continue
            named = [[str(scope)]] * 2 if scope is not None else []
            assert [next(iter(each.values())) for each in operation["security"]] == named
            assert ("401" in operation["responses"]) == (scope is not None)


def url(path: str) -> str:
    return path.replace("{", "no-").replace("}", "")


def test_all_routes_against_all_scopes_and_none(locked: Service, keys: dict[Scope, str]) -> None:
    tried = 0
    for method, path in sorted(routes(locked)):
        needed = ROUTES[path][method]
        if isinstance(needed, Own):
            # No key of these is a write key. Before a page is told whether it may ask, it has none.
            answers = [locked.ask(method, path, headers=bearer(key)) for key in keys.values()]
            answers.append(locked.ask(method, path))
            assert {each.status_code for each in answers} == {204 if method == "OPTIONS" else 401}
            continue
        for key in ("", "sgs_" + "x" * 43, keys[Scope.ADMIN][:-1], keys[Scope.ADMIN] + "="):
            answer = locked.ask(method, url(path), headers=bearer(key) if key else {})
            assert (answer.status_code == 401) == (needed is not None), (method, path)
            if needed is not None:
                assert answer.headers["www-authenticate"] == "Bearer"
                if method != "HEAD":
                    shaped(answer)
        for scope, key in keys.items():
            answer = locked.ask(method, url(path), headers=bearer(key))
            allowed = needed in (None, scope) or scope is Scope.ADMIN
            assert answer.status_code != 401, (method, path, scope)
            assert (answer.status_code != 403) == allowed, (method, path, scope, answer.text)
            if not allowed and method != "HEAD":
                problem = shaped(answer)
                assert problem["code"] == "forbidden"
                assert f"the scope {needed}" in problem["detail"]
            tried += 1
    assert tried > 200


def test_what_is_no_route_needs_a_key_too(locked: Service, keys: dict[Scope, str]) -> None:
    for method, path, status in (("get", "/nowhere", 404), ("delete", "/audit", 405),
                                 ("put", "/audit", 405), ("patch", "/audit", 405),
                                 ("post", "/audit", 405), ("delete", "/audit/1", 404),
                                 ("options", "/segments", 405)):  # fmt: skip
        assert locked.ask(method, path).status_code == 401
        answer = locked.ask(method, path, headers=bearer(keys[Scope.ADMIN]))
        assert answer.status_code == status, path
        assert status != 405 or answer.headers["allow"]


def status_of(service: Service, raw_path: str, headers: dict[str, str]) -> int:
    """What a path gets that is sent as it is, unlike what a client makes of it."""
    path, _, query = raw_path.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": unquote(path), "raw_path": path.encode(),
        "query_string": query.encode(), "client": ("127.0.0.1", 1), "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    service.runner.run(service.app(scope, receive, send))
    (status,) = statuses
    return status


@pytest.mark.parametrize(
    "path",
    ["/%6beys", "/keys?x=/healthz", "/keys;/healthz", "/healthz/../keys", "/healthz%2f..%2fkeys",
     "//keys", "/keys/", "/KEYS", "/keys%00", "/keys%0a", "/readyz/../segments", "/audit%0A",
     "/customers/a/../../keys", "/customers/x%2fy/export", "/customers/export/export", "keys",
     "/healthz#/keys", "/healthz%3f/keys", "", "/"],
)  # fmt: skip
def test_no_writing_of_a_path_needs_less(
    locked: Service, keys: dict[Scope, str], path: str
) -> None:
    """What the door takes a path for is what the router takes it for."""
    assert status_of(locked, path, {}) == 401
    for scope in (Scope.ASSIGN, Scope.READ):
        assert status_of(locked, path, bearer(keys[scope])) in (403, 404), path


def test_a_route_without_a_row_is_not_served(databases: Databases, tmp_path: Path) -> None:
    with service_of(databases, tmp_path) as service:
        service.app.inner.cold.add_api_route("/forgotten", lambda: "secret", methods=["GET"])
        assert service.ask("get", "/forgotten").status_code == 404
