"""`/v1` from pages of any origin: what they may ask, and that without a key they reach nothing."""

import json

from service.api.tracking import PATHS
from tests.api.tracking import basic, identify, make
from tests.serving import Service


def test_pages_of_any_origin_may_send(service: Service) -> None:
    key = make(service, "pages", type="browser")
    origin = {"origin": "https://shop.example"}
    for path in PATHS:
        asked = {"access-control-request-method": "POST",
                 "access-control-request-headers": "authorization,content-type"}  # fmt: skip
        answer = service.ask("options", path, headers=origin | asked)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "POST" in answer.headers["access-control-allow-methods"]
        allowed = answer.headers["access-control-allow-headers"].lower()
        assert {"authorization", "content-type"} <= set(allowed.split(", "))
        assert "access-control-allow-credentials" not in answer.headers
    for headers, status in ((basic(key), 200), ({}, 401)):
        answer = service.ask("post", "/v1/batch", json={"batch": []}, headers=origin | headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "*"


def test_without_keys_pages_reach_nothing_but_tracking(service: Service) -> None:
    """Protected mode: what a page can send without asking must do nothing without a write key."""
    key = make(service, "guarded", type="browser")
    page = {"origin": "https://evil.example", "content-type": "text/plain"}
    body = json.dumps({"batch": [identify("guarded", age=31)]})
    assert service.ask("post", "/v1/b", content=body, headers=page).status_code == 401
    answer = service.ask("post", "/v1/b", content=body, headers=page | basic(key))
    assert answer.status_code == 200
    for method, path in (("post", "/assign"), ("post", "/sources"), ("get", "/sources"),
                         ("options", "/sources"), ("options", "/assign")):  # fmt: skip
        assert service.ask(method, path, content=body, headers=page).status_code == 403
    for foreign in ({"host": "shop.example"}, {"x-forwarded-for": "203.0.113.9"}, {"via": "1.1 x"}):
        answer = service.ask("post", "/v1/b", content=body, headers=page | basic(key) | foreign)
        assert answer.status_code == 403
