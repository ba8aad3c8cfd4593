"""`/v1`: what tracking SDKs send, as they send it, durable before the answer."""

import gzip
import json
import zlib
from typing import Any

import pytest

from service.api.tracking import MESSAGES_LIMIT, PATHS
from service.core.identities import anonymous_customer
from service.core.instants import MINUTE, SECOND, format_instant, from_datetime
from service.settings import Settings
from tests.api.tracking import SUCCESS, basic, identify, make, rejects, send, taken, told, traits
from tests.contracts.test_errors import shaped
from tests.running import NOW
from tests.serving import Service


def test_a_batch_is_stored_before_the_answer(fresh: Service) -> None:
    key = make(fresh)
    taken(fresh, key, identify("c-1", firstName="Ann", age=31), identify("c-2", "m-2", age=7))
    assert traits(fresh, "c-1") == {"first_name": "Ann", "age": 31}
    assert traits(fresh, "c-2") == {"age": 7}
    assert rejects(fresh) == []
    source = fresh.get("/customers/c-1")["sources"]["age"]["source"]
    assert source == "shop"


@pytest.mark.parametrize("path", sorted(set(PATHS) - {"/v1/a", "/v1/alias", "/v1/merge"}))
def test_every_path_takes_its_messages(service: Service, path: str) -> None:
    source = f"path-{path.rpartition('/')[2]}"
    key = make(service, source)
    message = {
        "userId": source, "messageId": "m-1", "event": "Opened", "groupId": "g-1",
        "context": {"traits": {"seen": path}},
    }  # fmt: skip
    if PATHS[path] is None:
        message = {"batch": [{**message, "type": "track"}]}
    answer = service.ask("post", path, json=message, headers=basic(key))
    assert (answer.status_code, answer.content) == (200, SUCCESS), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert traits(service, source)["seen"] == path
    assert rejects(service, source) == []


def test_how_a_write_key_is_shown(service: Service) -> None:
    key = make(service, "shown")
    batch: dict[str, Any] = {"batch": []}
    ways: list[tuple[dict[str, str], dict[str, Any], int]] = [
        (basic(key), batch, 200),
        ({"authorization": f"Bearer {key}"}, batch, 200),
        ({}, {**batch, "writeKey": key}, 200),
        ({"authorization": "Digest x"}, {**batch, "writeKey": key}, 200),
        # SDKs show it twice.
        (basic(key), {**batch, "writeKey": key}, 200),
        (basic(key), {**batch, "writeKey": "other"}, 200),
        ({}, batch, 401),
        ({}, {**batch, "writeKey": key + "x"}, 401),
        ({}, {**batch, "writeKey": 5}, 401),
        (basic(key[:-1]), {**batch, "writeKey": key}, 401),
        ({"authorization": f"Bearer {key}x"}, batch, 401),
        ({"x-api-key": key}, batch, 401),
    ]
    for headers, body, status in ways:
        answer = service.ask("post", "/v1/batch", json=body, headers=headers)
        assert answer.status_code == status, (headers, body)
        if status == 401:
            assert shaped(answer)["code"] in ("key_needed", "key_refused")
            assert key not in answer.text
    assert service.ask("post", f"/v1/batch?writeKey={key}", json=batch).status_code == 401


def test_a_disabled_source_is_404(fresh: Service) -> None:
    key = make(fresh, enabled=False)
    answer = send(fresh, key)
    assert (answer.status_code, shaped(answer)["code"]) == (404, "source_disabled")
    enabled = {"name": "Shop", "type": "server", "enabled": True}
    assert fresh.ask("put", "/sources/shop", json=enabled).status_code == 200
    taken(fresh, key, identify("c-1"))


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense", None],
)
def test_the_content_type_is_ignored(service: Service, media_type: str | None) -> None:
    source = f"typed-{abs(hash(media_type))}"
    key = make(service, source)
    headers = basic(key) | ({"content-type": media_type} if media_type else {})
    body = json.dumps({"batch": [identify(source, age=31)]}).encode()
    for encoding, content in (("", body), ("gzip", gzip.compress(body))):
        packed = {"content-encoding": encoding} if encoding else {}
        answer = service.ask("post", "/v1/batch", content=content, headers=headers | packed)
        assert answer.content == SUCCESS
    assert traits(service, source) == {"age": 31}


def test_bodies_are_bounded_packed_and_unpacked(fresh: Service) -> None:
    key = make(fresh)
    limit = Settings.model_fields["tracking_body_limit"].default
    padding = b" " * limit
    for content, headers in (
        (b"{}" + padding, {}),
        (gzip.compress(b"{}" + padding), {"content-encoding": "gzip"}),
    ):
        answer = fresh.ask("post", "/v1/batch", content=content, headers=basic(key) | headers)
        assert (answer.status_code, shaped(answer)["code"]) == (413, "too_large")
    fits = b'{"batch": []}'.ljust(limit)
    assert fresh.ask("post", "/v1/batch", content=fits, headers=basic(key)).status_code == 200
    many = b'{"batch": [' + b",".join([b"1"] * (MESSAGES_LIMIT + 1)) + b"]}"
    answer = fresh.ask("post", "/v1/batch", content=many, headers=basic(key))
    assert (answer.status_code, shaped(answer)["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", {}, 400, "not_json"),
        (b"{", {}, 400, "not_json"),
        (b"[]", {}, 422, "invalid"),
        (b"{}", {}, 422, "invalid"),
        (b'{"batch": {}}', {}, 422, "invalid"),
        (b"{}", {"content-encoding": "gzip"}, 400, "not_gzip"),
        (zlib.compress(b"{}"), {"content-encoding": "deflate"}, 415, "unsupported"),
    ],
)
def test_what_is_no_request_is_refused(
    service: Service, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    key = make(service, f"odd-{abs(hash((content, status)))}")
    answer = service.ask("post", "/v1/batch", content=content, headers=basic(key) | headers)
    assert (answer.status_code, shaped(answer)["code"]) == (status, code)
    # Who shows no key is told no more than that.
    assert service.ask("post", "/v1/batch", content=content, headers=headers).status_code == 401


def test_the_latest_of_several_messages_counts_whatever_their_order(fresh: Service) -> None:
    key = make(fresh)

    def at(seconds: int, message_id: str, plan: str) -> dict[str, Any]:
        when = format_instant(NOW + seconds * SECOND)
        return {**identify("c-1", message_id, plan=plan), "timestamp": when}

    taken(fresh, key, at(-10, "m-2", "new"), at(-7_200, "m-1", "old"))
    taken(fresh, key, at(-20, "m-3", "older"))
    assert traits(fresh, "c-1") == {"plan": "new"}
    customer = fresh.get("/customers/c-1")
    # First seen when the first of them happened, last seen when the last of them did.
    assert customer["first_seen"] == format_instant(NOW - 7_200 * SECOND)
    assert customer["last_seen"] == format_instant(NOW - 10 * SECOND)


def test_a_batch_that_is_sent_again_changes_nothing(fresh: Service) -> None:
    key = make(fresh)
    fresh.save("adults", ("age", ">=", 18))
    batch = [{**identify("c-1", "m-1", age=31), "timestamp": format_instant(NOW - MINUTE)}]
    taken(fresh, key, *batch, sentAt=format_instant(NOW))
    before = fresh.get("/customers/c-1")
    assert [each["key"] for each in before["segments"]] == ["adults"]
    taken(fresh, key, *batch, sentAt=format_instant(NOW + MINUTE))
    after = fresh.get("/customers/c-1")
    assert after["sequence"] == before["sequence"]
    assert after["sources"] == before["sources"]


def test_anonymous_visitors_are_customers(fresh: Service) -> None:
    key = make(fresh, type="browser")
    taken(fresh, key, {"type": "identify", "anonymousId": "a-1", "traits": {"age": 31}})
    assert traits(fresh, anonymous_customer("a-1")) == {"age": 31}


def test_browsers_write_nothing_that_is_for_servers(fresh: Service) -> None:
    declared = {"loyalty.tier": {"writable_by": "server"}, "loyalty": {"type": "object"},
                "credit": {"writable_by": "server", "type": "number"}}  # fmt: skip
    for name, declaration in declared.items():
        answer = fresh.ask("put", f"/traits/{name}", json=declaration)
        assert answer.is_success
        assert answer.json().get("writable_by") == declaration.get("writable_by")
    browser, server = make(fresh, "web", type="browser"), make(fresh, "shop")
    fresh.runner.run(fresh.process.services.sources.look(fresh.process.database))
    given = {"credit": 500, "loyalty": {"tier": "gold", "card": 7}, "age": 31}
    taken(fresh, server, identify("c-1", "m-1", **given))
    taken(fresh, browser, identify("c-2", "m-2", **given), identify("c-1", "m-3", loyalty=None))
    assert traits(fresh, "c-1") == given
    # Declared an object, loyalty is replaced whole: nothing of it is the browser's to write.
    assert traits(fresh, "c-2") == {"age": 31}
    assert told(fresh, "web") == [
        ("server_only", "/traits/credit"), ("server_only", "/traits/loyalty"),
        ("server_only", "/traits/loyalty"),
    ]  # fmt: skip
    assert rejects(fresh, "shop") == []


@pytest.mark.parametrize("path", ["/v1/batch/", "/v1", "/v1/", "/V1/batch", "/v1/unknown", "/v1/x"])
def test_nothing_is_redirected(service: Service, path: str) -> None:
    answer = service.ask("post", path, json={"batch": []})
    assert answer.status_code == 404
    shaped(answer)


def test_other_methods_are_405(service: Service) -> None:
    answer = service.ask("get", "/v1/batch")
    assert (answer.status_code, shaped(answer)["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


def test_a_key_that_is_refused_while_the_body_comes_is_refused(fresh: Service) -> None:
    key = make(fresh)
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        rotated = await fresh.client.post("/sources/shop/rotate-key")
        assert rotated.status_code == 200
        body = json.dumps({"batch": [identify("c-1")]}).encode()
        return {"type": "http.request", "body": body, "more_body": False}

    async def sent(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(name.encode(), value.encode()) for name, value in basic(key).items()]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/batch", "raw_path": b"/v1/batch",
        "query_string": b"", "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost"), *headers],
    }  # fmt: skip
    fresh.runner.run(fresh.app(scope, receive, sent))
    assert statuses == [401]
    assert fresh.ask("get", "/customers/c-1").status_code == 404


def test_whatever_stands_in_a_write_key_is_refused(service: Service) -> None:
    for odd in (b'"\\ud800"', b'"\\u0000"', b"NaN", b"[]", b'""'):
        body = b'{"batch": [], "writeKey": ' + odd + b"}"
        assert service.ask("post", "/v1/batch", content=body).status_code == 401


def test_a_context_that_can_not_be_kept_spoils_no_message(fresh: Service) -> None:
    key = make(fresh)
    batch = json.dumps({"batch": [identify("c-1", age=31)], "context": {"locale": "\ud800"}})
    answer = fresh.ask("post", "/v1/batch", content=batch.encode(), headers=basic(key))
    assert answer.content == SUCCESS
    assert traits(fresh, "c-1") == {"age": 31}


JAVASCRIPT: dict[str, tuple[str, dict[str, str], bool, dict[str, Any]]] = {
    # path, headers, gzip, body; KEY stands for the write key, BASIC for the header made of it.
    "@segment/analytics-node": (
        "/v1/batch",
        {"content-type": "application/json", "authorization": "BASIC"},
        False,
        {"batch": [{"type": "track", "messageId": "node-1", "userId": "c-1", "event": "Opened",
                    "timestamp": "2027-01-15T07:59:00.000Z", "_metadata": {"nodeVersion": "22"},
                    "context": {"library": {"name": "@segment/analytics-node"}},
                    "integrations": {}}],
         "writeKey": "KEY", "sentAt": "2027-01-15T08:00:00.000Z"},
    ),
    "@rudderstack/rudder-sdk-node": (
        "/v1/batch",
        {"content-type": "application/x-www-form-urlencoded", "authorization": "BASIC"},
        True,
        {"batch": [{"type": "track", "messageId": "node-1", "userId": "c-1", "event": "Opened",
                    "originalTimestamp": "2027-01-15T07:59:00.000Z", "channel": "server",
                    "_metadata": {"nodeVersion": "22"}}],
         "sentAt": "2027-01-15T08:00:00.000Z"},
    ),
    "@segment/analytics-next": (
        "/v1/t",
        {"content-type": "text/plain", "origin": "https://shop.example"},
        False,
        {"type": "track", "messageId": "ajs-next-1", "userId": "c-1", "anonymousId": "a-1",
         "event": "Opened", "timestamp": "2027-01-15T07:59:00.000Z", "writeKey": "KEY",
         "sentAt": "2027-01-15T08:00:00.000Z", "properties": {}, "integrations": {},
         "context": {"page": {"url": "https://shop.example/"}, "userAgent": "Mozilla/5.0",
                     "locale": "cs-CZ"}, "_metadata": {"bundled": ["Segment.io"]}},
    ),
    "@segment/analytics-next, in batches": (
        "/v1/b",
        {"content-type": "text/plain", "origin": "https://shop.example"},
        False,
        {"batch": [{"type": "track", "messageId": "ajs-next-1", "userId": "c-1", "event": "Opened",
                    "timestamp": "2027-01-15T07:59:00.000Z", "writeKey": "KEY"}],
         "writeKey": "KEY", "sentAt": "2027-01-15T08:00:00.000Z"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("sdk", JAVASCRIPT)
def test_what_the_javascript_sdks_send(fresh: Service, sdk: str) -> None:
    """The Python ones are driven by tests/process/test_sdks.py."""
    path, headers, packed, body = JAVASCRIPT[sdk]
    key = make(fresh, type="browser" if "next" in sdk else "server")
    content = json.dumps(body).replace("KEY", key).encode()
    shown = basic(key)["authorization"]
    headers = {name: shown if value == "BASIC" else value for name, value in headers.items()}
    if packed:
        content, headers = gzip.compress(content), headers | {"content-encoding": "gzip"}
    for _ in range(2):  # as a retry does
        answer = fresh.ask("post", path, content=content, headers=headers)
        assert (answer.status_code, answer.content) == (200, SUCCESS)
    told = fresh.rows("select customer_id, name, source, at from events")
    assert [(*row[:3], format_instant(from_datetime(row[3]))) for row in told] == [
        ("c-1", "Opened", "shop", format_instant(NOW - MINUTE))
    ]
    assert rejects(fresh) == []
