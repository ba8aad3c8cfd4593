"""`/v1`: what tracking SDKs send, as they send it, durable before the answer."""

import asyncio
import base64
import gzip
import json
import zlib
from typing import Any

import httpx
import pytest

from service.api.tracking import MESSAGES_LIMIT, PATHS
from service.core.identities import anonymous_customer
from service.core.instants import MINUTE, SECOND, format_instant, from_datetime
from service.intake.segment_spec import MESSAGE_BYTES
from service.settings import Settings
from tests.api.test_personal import keyed
from tests.contracts.test_errors import shaped
from tests.running import NOW, Clock
from tests.serving import Service, service_of

SUCCESS = b'{"success": true}'


def make(service: Service, source_id: str = "shop", **wanted: Any) -> str:
    """A source; its write key."""
    document = {"id": source_id, "name": "Shop", "type": "server", **wanted}
    answer = service.ask("post", "/sources", json=document)
    assert answer.status_code == 201, answer.text
    key: str = answer.json()["write_key"]
    return key


def basic(key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def send(
    service: Service, key: str, *messages: dict[str, Any], path: str = "/v1/batch", **more: Any
) -> httpx.Response:
    return service.ask("post", path, json={"batch": messages, **more}, headers=basic(key))


def taken(service: Service, key: str, *messages: dict[str, Any], **more: Any) -> None:
    answer = send(service, key, *messages, **more)
    assert (answer.status_code, answer.content) == (200, SUCCESS), answer.text


def traits(service: Service, customer_id: str) -> Any:
    return service.get(f"/customers/{customer_id}")["traits"]


def rejects(service: Service, source_id: str = "shop") -> list[dict[str, Any]]:
    """The log, the oldest first."""
    items: list[dict[str, Any]] = service.get(f"/sources/{source_id}/rejects")["items"]
    return items[::-1]


def told(service: Service, source_id: str = "shop") -> list[tuple[str, str]]:
    return [(reject["code"], reject["pointer"]) for reject in rejects(service, source_id)]


def identify(customer: str, message_id: str = "m-1", **given: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": customer, "messageId": message_id, "traits": given}


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


def test_what_can_not_be_taken_is_in_the_log(fresh: Service) -> None:
    key = make(fresh)
    too_large = {**identify("c-1", "m-2"), "context": {"x": "y" * MESSAGE_BYTES}}
    taken(
        fresh, key,
        {"type": "track", "event": "Nobody's"},
        too_large,
        identify("c-1", "m-3", age=31, **{"a.b": 1}),
        {"type": "alias", "userId": "c-1", "messageId": "m-4"},
    )  # fmt: skip
    assert told(fresh) == [
        ("required", "/userId"), ("too_large", ""), ("bad_name", "/traits/a.b"),
        ("required", "/previousId"),
    ]  # fmt: skip
    nobody, large, named, alias = rejects(fresh)
    assert json.loads(nobody["message"])["event"] == "Nobody's"
    assert nobody["received_at"] == format_instant(NOW)
    assert nobody["detail"]
    assert len(large["message"]) == 4_096
    assert (named["message_id"], alias["message_id"]) == ("m-3", "m-4")
    assert traits(fresh, "c-1") == {"age": 31}


def test_what_does_not_fit_a_declared_type_is_in_the_log(fresh: Service) -> None:
    assert fresh.ask("put", "/traits/age", json={"type": "number"}).is_success
    key = make(fresh)
    taken(
        fresh, key,
        identify("c-1", "m-1", age="old", city="Brno"),
        identify("c-1", "m-2", age="31"),
        identify("c-1", "m-3", age=[]),
    )  # fmt: skip
    assert traits(fresh, "c-1") == {"age": 31, "city": "Brno"}
    assert [(each["code"], each["pointer"], each["message_id"]) for each in rejects(fresh)] == [
        ("wrong_type", "/traits/age", "m-1"),
        ("wrong_type", "/traits/age", "m-3"),
    ]


def test_of_a_customer_who_has_too_much_only_the_message_that_is_too_much_is_refused(
    fresh: Service,
) -> None:
    key = make(fresh)
    large = {"note": "x" * 30_000}
    taken(
        fresh, key,
        identify("c-1", "m-1", a=large), identify("c-1", "m-2", b=large),
        identify("c-1", "m-3", c=large), identify("c-1", "m-4", age=31),
        identify("c-2", "m-5", age=7),
    )  # fmt: skip
    assert set(traits(fresh, "c-1")) == {"a", "b", "age"}
    assert traits(fresh, "c-2") == {"age": 7}
    assert [(each["code"], each["message_id"]) for each in rejects(fresh)] == [("too_large", "m-3")]


def test_the_log_is_bounded_and_comes_in_pages(fresh: Service) -> None:
    key = make(fresh)
    for first in (0, 600):
        taken(fresh, key, *({"messageId": f"m-{first + n}", "type": "?"} for n in range(600)))
    # No customer is named: the type comes second.
    found = [each for page in fresh.pages("/sources/shop/rejects", limit=300) for each in page]
    assert len(found) == 1_000
    assert [each["message_id"] for each in found] == [f"m-{n}" for n in range(1_199, 199, -1)]
    make(fresh, "other")
    assert rejects(fresh, "other") == []


def test_messages_are_hidden_from_who_may_not_see_persons(fresh: Service) -> None:
    key = make(fresh)
    taken(fresh, key, {"type": "alias", "userId": "c-1", "messageId": "m-1"})
    admin = fresh.ask("post", "/keys", json={"name": "a", "scopes": ["admin"]}).json()["key"]
    for scopes, sees in ((["read"], False), (["read", "personal"], True)):
        made = fresh.ask(
            "post", "/keys", json={"name": "k", "scopes": scopes},
            headers={"authorization": f"Bearer {admin}"},
        ).json()["key"]  # fmt: skip
        headers = {"authorization": f"Bearer {made}"}
        (reject,) = fresh.ask("get", "/sources/shop/rejects", headers=headers).json()["items"]
        assert (reject["message"] is not None) == sees
        assert (reject["code"], reject["message_id"]) == ("required", "m-1")


def test_what_quotes_a_message_is_hidden_with_it(fresh: Service) -> None:
    key = make(fresh)
    fresh.ask("put", "/traits/pin", json={"type": "number", "personal": True})
    fresh.ask("put", "/traits/likes", json={"personal": True})
    taken(fresh, key, identify("c-1", "m-1", pin="secret-777", likes={"bob.777@x": 1}))
    order = {"order_id": "o", "total": "4 777"}
    track = {"type": "track", "event": "Order Completed", "userId": "c-1", "messageId": "m-2"}
    taken(fresh, key, {**track, "properties": order})
    reads, whole = keyed(fresh, "read"), keyed(fresh, "read", "personal")
    hidden = reads("get", "/sources/shop/rejects").json()["items"]
    assert "777" not in str(hidden)
    places = {(each["code"], each["pointer"]) for each in hidden}
    assert {("wrong_type", "/traits/pin"), ("bad_name", "/traits/likes")} <= places
    told = whole("get", "/sources/shop/rejects").json()["items"]
    assert [each["code"] for each in told] == [each["code"] for each in hidden]
    for shown in ("secret-777", "/traits/likes/bob.777@x", "4 777"):
        assert shown in str(told)


def test_who_is_only_in_rejects_is_exported_and_erased(fresh: Service) -> None:
    key = make(fresh)
    taken(fresh, key, identify("c-9", **{f"t{n}": n for n in range(600)}))
    told = fresh.get("/customers/c-9/export")
    assert (told["profile"], len(told["rejects"])) == (None, 1)
    assert fresh.ask("delete", "/customers/c-9").status_code == 200
    assert fresh.ask("get", "/customers/c-9/export").status_code == 404


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


@pytest.mark.parametrize("path", ["/v1/batch/", "/v1", "/v1/", "/V1/batch", "/v1/unknown", "/v1/x"])
def test_nothing_is_redirected(service: Service, path: str) -> None:
    answer = service.ask("post", path, json={"batch": []})
    assert answer.status_code == 404
    shaped(answer)


def test_other_methods_are_405(service: Service) -> None:
    answer = service.ask("get", "/v1/batch")
    assert (answer.status_code, shaped(answer)["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


def test_a_source_has_its_rate(fresh: Service) -> None:
    key = make(fresh, rate_limit=60)
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    messages = [identify("c-1", f"m-{n}") for n in range(60)]
    taken(fresh, key, *messages[:50])
    answer = send(fresh, key, *messages[:20])
    assert (answer.status_code, shaped(answer)["code"]) == (429, "rate_limited")
    assert answer.headers["retry-after"] == "10"
    taken(fresh, key, *messages[:10])
    assert send(fresh, key, messages[0]).headers["retry-after"] == "1"
    clock.now += 10 * SECOND
    taken(fresh, key, *messages[:10])
    clock.now += 60 * SECOND
    # More than it may send in a minute is let through once the minute is over.
    taken(fresh, key, *messages, *messages)
    assert send(fresh, key, messages[0]).status_code == 429
    clock.now -= 3_600 * SECOND
    assert int(send(fresh, key, messages[0]).headers["retry-after"]) <= 60


def test_an_erased_person_is_not_revived_by_what_is_older(fresh: Service) -> None:
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    key = make(fresh)
    taken(fresh, key, identify("c-1", "m-1", age=31), {"type": "alias", "userId": "c-1"})
    assert [each["message"] is not None for each in rejects(fresh)] == [True]
    assert fresh.get("/customers/c-1/export")["rejects"] == rejects(fresh)
    clock.now += MINUTE
    assert fresh.ask("delete", "/customers/c-1").status_code == 200
    # What the log held of them is erased too.
    assert rejects(fresh) == []
    clock.now += 10 * MINUTE
    late = {**identify("c-1", "m-2", age=32), "timestamp": format_instant(NOW)}
    taken(fresh, key, late, identify("c-2", "m-3"))
    assert fresh.ask("get", "/customers/c-1").status_code == 404
    (reject,) = rejects(fresh)
    assert (reject["code"], reject["message_id"], reject["message"]) == ("erased", "m-2", None)
    # Beside something new it is dropped just as well.
    taken(fresh, key, late, identify("c-1", "m-4", city="Brno"))
    assert traits(fresh, "c-1") == {"city": "Brno"}


def test_what_can_not_be_stored_now_is_503(fresh: Service) -> None:
    key = make(fresh)
    fresh.runner.run(fresh.process.writer.stop())
    answer = send(fresh, key, identify("c-1"))
    assert (answer.status_code, shaped(answer)["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


def test_more_than_the_writer_takes_is_503_and_never_400(databases: Any, tmp_path: Any) -> None:
    with service_of(databases, tmp_path, writer_queue=8) as service:
        key = make(service)
        messages = [identify(f"c-{n}", f"m-{n}", age=n) for n in range(50)]
        # A request of more customers than the writer's queue holds takes its turns.
        taken(service, key, *messages)
        assert traits(service, "c-49") == {"age": 49}

        async def at_once() -> list[httpx.Response]:
            sending = (
                service.client.post("/v1/batch", json={"batch": messages}, headers=basic(key))
                for _ in range(3)
            )
            return await asyncio.gather(*sending)

        answers = service.runner.run(at_once())
        assert {answer.status_code for answer in answers} == {200, 503}
        for answer in answers:
            if answer.status_code == 503:
                assert shaped(answer)["code"] == "unavailable"
                assert int(answer.headers["retry-after"]) >= 1


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
