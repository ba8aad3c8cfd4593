"""Keys over HTTP: made, shown once, listed, expired, limited, revoked; and what the audit keeps."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from service.core.access import SYSTEM
from service.core.instants import DAY, MINUTE, SECOND, format_instant, to_datetime
from service.store import keys as stored
from tests.contracts.test_errors import shaped
from tests.running import NOW, Clock, eventually, running
from tests.serving import Service

EVERYTHING = {"name": "operations", "scopes": ["admin"]}


@pytest.fixture
def clock(fresh: Service) -> Clock:
    told = fresh.process.services.clock
    assert isinstance(told, Clock)
    return told


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def make(service: Service, by: str | None = None, **wanted: Any) -> dict[str, Any]:
    headers = {} if by is None else bearer(by)
    answer = service.ask("post", "/keys", json={**EVERYTHING, **wanted}, headers=headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_key_is_shown_once(fresh: Service) -> None:
    expires = format_instant(NOW + DAY)
    made = make(fresh, scopes=["read", "admin", "read"], expires_at=expires, rate_limit=600)
    key = made.pop("key")
    assert key.startswith("sgs_")
    assert len(key) == 47
    assert made["scopes"] == ["admin", "read"]
    listed = fresh.ask("get", "/keys", headers=bearer(key))
    assert listed.json() == {"items": [{**made, "revoked_at": None}], "next_cursor": None}
    audit = fresh.ask("get", "/audit", headers=bearer(key))
    for answer in (listed, audit, fresh.ask("get", "/segments", headers=bearer(key + "x"))):
        assert key[4:] not in answer.text
    stored = fresh.rows("select k::text, a::text from keys k, audit a")
    assert key[4:] not in str(stored)
    (entry,) = audit.json()["items"]
    assert entry["difference"]["scopes"] == {"after": ["admin", "read"]}
    assert "digest" not in entry["difference"]


def test_the_answer_that_shows_a_key_is_not_cached(fresh: Service) -> None:
    answer = fresh.ask("post", "/keys", json=EVERYTHING)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == f"/keys/{answer.json()['id']}"


def test_keys_come_in_pages_in_the_order_of_their_making(fresh: Service, clock: Clock) -> None:
    admin = make(fresh)["key"]
    made = []
    for number in range(4):
        clock.now += SECOND
        made.append(make(fresh, admin, name=f"key {number}")["name"])
    found, cursor = [], None
    while True:
        query = {"limit": 2} if cursor is None else {"limit": 2, "cursor": cursor}
        page = fresh.ask("get", "/keys", params=query, headers=bearer(admin)).json()
        found += [key["name"] for key in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == ["operations", *made]


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ({"authorization": "Bearer KEY"}, True),
        ({"authorization": "bearer KEY"}, True),
        ({"authorization": "BEARER   KEY "}, True),
        ({"x-api-key": "KEY"}, True),
        ({"x-api-key": "KEY", "authorization": "Bearer KEY"}, True),
        ({"x-api-key": "KEY", "authorization": "Basic dXNlcjpwYXNz"}, True),
        ({"x-api-key": "KEY", "authorization": "Bearer other"}, False),
        ({"x-api-key": "", "authorization": "Bearer KEY"}, False),
        ({"authorization": "KEY"}, False),
        ({"authorization": "Basic KEY"}, False),
        ({"authorization": "BearerKEY"}, False),
        ({"authorization": "Bearer"}, False),
        ({"authorization": "Bearer KEY KEY"}, False),
        ({"authorization": ""}, False),
        ({"x-api-key": "Bearer KEY"}, False),
        ({"cookie": "key=KEY"}, False),
    ],
)
def test_how_a_key_is_sent(fresh: Service, header: dict[str, str], accepted: bool) -> None:
    key = make(fresh)["key"]
    headers = {name: value.replace("KEY", key) for name, value in header.items()}
    for method, path, body in (("get", "/segments", None), ("post", "/assign", {"traits": {}})):
        answer = fresh.ask(method, path, headers=headers, json=body)
        assert answer.status_code == (200 if accepted else 401), header
        if not accepted:
            assert shaped(answer)["code"] in ("key_needed", "key_refused")
            assert key not in answer.text
    assert fresh.ask("get", f"/segments?key={key}").status_code == 401


def test_a_key_expires(fresh: Service, clock: Clock) -> None:
    key = make(fresh, expires_at=format_instant(NOW + DAY))["key"]
    clock.now = NOW + DAY - 1
    assert fresh.ask("get", "/segments", headers=bearer(key)).status_code == 200
    clock.now = NOW + DAY
    for path, headers in (("/segments", bearer(key)), ("/keys", bearer(key)), ("/segments", {})):
        answer = fresh.ask("get", path, headers=headers)
        # Time alone does not open the door again.
        assert answer.status_code == 401
    assert shaped(fresh.ask("get", "/keys", headers=bearer(key)))["detail"].endswith("has expired")


def test_a_key_may_send_so_many_requests_a_minute(fresh: Service, clock: Clock) -> None:
    admin = make(fresh)["key"]
    key = make(fresh, admin, scopes=["assign"], rate_limit=3)["key"]

    def assigned() -> Any:
        return fresh.ask("post", "/assign", json={"traits": {}}, headers=bearer(key))

    assert [assigned().status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = assigned()
    assert shaped(refused)["code"] == "rate_limited"
    assert refused.headers["retry-after"] == "20"
    clock.now += 20 * SECOND - 1
    assert (assigned().status_code, assigned().headers["retry-after"]) == (429, "1")
    clock.now += 1
    assert [assigned().status_code for _ in range(2)] == [200, 429]
    # A clock set back neither fills the bucket nor empties it.
    clock.now -= DAY
    assert assigned().status_code == 429
    clock.now += MINUTE
    assert [assigned().status_code for _ in range(4)] == [200, 200, 200, 429]
    # What a scope forbids counts as well; another key is not held up.
    assert fresh.ask("get", "/segments", headers=bearer(key)).status_code == 429
    assert fresh.ask("get", "/segments", headers=bearer(admin)).status_code == 200


def test_other_keys_leave_a_bucket_as_it_is(fresh: Service) -> None:
    admin = make(fresh)["key"]
    key = make(fresh, admin, scopes=["read"], rate_limit=1)["key"]
    assert fresh.ask("get", "/segments", headers=bearer(key)).status_code == 200
    make(fresh, admin, name="another")
    assert fresh.ask("get", "/segments", headers=bearer(key)).status_code == 429


def test_revoking(fresh: Service) -> None:
    admin = make(fresh)["key"]
    made = make(fresh, admin, scopes=["read"])
    other = made["key"]
    for _ in range(2):
        answer = fresh.ask("delete", f"/keys/{made['id']}", headers=bearer(admin))
        assert answer.status_code == 204
    answer = fresh.ask("get", "/segments", headers=bearer(other))
    assert (answer.status_code, shaped(answer)["code"]) == (401, "key_refused")
    listed = fresh.ask("get", "/keys", headers=bearer(admin)).json()["items"]
    assert {key["id"] for key in listed if key["revoked_at"]} == {made["id"]}
    assert len(listed) == 2
    actions = fresh.ask("get", "/audit", headers=bearer(admin)).json()["items"]
    assert [entry["action"] for entry in actions] == ["key.revoked", "key.created", "key.created"]
    for unknown in ("k_0", "a%00b", "x" * 65):
        answer = fresh.ask("delete", f"/keys/{unknown}", headers=bearer(admin))
        assert answer.status_code in (404, 422)
        shaped(answer)


@pytest.mark.parametrize("ended", ["revoked", "revoked elsewhere", "expired", "not local"])
@pytest.mark.parametrize(
    ("method", "path", "content_type", "parts"),
    [
        ("put", "/segments/guests/members", "text/csv", [b"c-1\n", b"c-2\n"]),
        ("put", "/segments/guests", "application/json", [b'{"name": ', b'"Others"}']),
        ("post", "/segments/guests/members", "application/json", [b'{"add": ["c', b'-1"]}']),
        # All at once, but late.
        ("post", "/segments/guests/members", "application/json", [b"", b'{"add": ["c-1"]}']),
        ("put", "/rates", "text/csv", [b"currency,day,", b"rate\nEUR,2026-11-21,1.09\n"]),
        ("post", "/assign", "application/json", [b'{"custom', b'er_id": "c-1"}']),
        ("post", "/assign", "application/json", [b"", b'{"customer_id": "c-1"}']),
        (
            "post",
            "/assign/batch",
            "application/json",
            [b'{"customers": [{', b'"customer_id": "c-1"}]}'],
        ),
    ],
)
def test_a_key_that_ends_while_a_body_comes_changes_nothing(
    fresh: Service, clock: Clock, ended: str, method: str, path: str, content_type: str,
    parts: list[bytes],
) -> None:  # fmt: skip
    fresh.save("guests")
    headers = {"content-type": content_type}
    if ended != "not local":
        admin = make(fresh)["key"]
        wanted = {"scopes": ["assign", "write", "publish"], "expires_at": format_instant(NOW + DAY)}
        made = make(fresh, admin, **wanted)
        headers |= bearer(made["key"])

    async def body() -> AsyncIterator[bytes]:
        yield parts[0]
        match ended:
            case "revoked":
                await fresh.client.delete(f"/keys/{made['id']}", headers=bearer(admin))
            case "revoked elsewhere":
                async with fresh.process.database.engine.begin() as connection:
                    now = to_datetime(NOW)
                    assert await stored.revoke(connection, SYSTEM, now, made["id"])
                if method == "post" or path != "/segments/guests/members":
                    await eventually(lambda: not fresh.process.services.keyring.holds(
                        made["id"], NOW))  # fmt: skip
            case "expired":
                clock.now = NOW + DAY
            case "not local":
                assert (await fresh.client.post("/keys", json=EVERYTHING)).is_success
        yield parts[1]

    answer = fresh.ask(method, path, content=body(), headers=headers)
    assert (answer.status_code, shaped(answer)["code"]) == (401, "key_refused")
    assert fresh.rows("select count(*) from list_members") == [(0,)]
    assert fresh.rows("select version from segments") == [(1,)]
    assert fresh.rows("select count(*) from customers") == [(0,)]
    assert fresh.rows("select count(*) from rates") == [(0,)]


def test_a_key_that_ends_is_not_given_an_answer_again(fresh: Service) -> None:
    """Such as one that holds a key which is shown only once."""
    admin = make(fresh)["key"]
    made = make(fresh, admin)
    headers = {**bearer(made["key"]), "idempotency-key": "abc", "content-type": "application/json"}
    parts = [b'{"name": "More", "sc', b'opes": ["admin"]}']
    first = fresh.ask("post", "/keys", content=b"".join(parts), headers=headers)
    assert first.status_code == 201, first.text

    async def body() -> AsyncIterator[bytes]:
        yield parts[0]
        await fresh.client.delete(f"/keys/{made['id']}", headers=bearer(admin))
        yield parts[1]

    answer = fresh.ask("post", "/keys", content=body(), headers=headers)
    assert (answer.status_code, shaped(answer)["code"]) == (401, "key_refused")
    assert first.json()["key"] not in answer.text


def test_a_key_does_not_revoke_itself(fresh: Service) -> None:
    """Nor does the last one so: that would open everything to this machine's own address."""
    made = make(fresh)
    head = bearer(made["key"])
    answer = fresh.ask("delete", f"/keys/{made['id']}", headers=head)
    assert (answer.status_code, shaped(answer)["code"]) == (409, "own_key")
    assert fresh.ask("get", "/segments", headers=head).status_code == 200


def test_another_process_follows(fresh: Service) -> None:
    """Two processes over one database: both refuse a revoked key, and know a new one."""
    url = fresh.process.database.engine.url.render_as_string(hide_password=False)
    plain = url.replace("postgresql+asyncpg", "postgresql")

    async def followed() -> None:
        async with running(plain, Clock()) as services:
            assert services.keyring.protected
            admin = (await fresh.client.post("/keys", json=EVERYTHING)).json()
            await within_a_second(lambda: not services.keyring.protected)
            head = bearer(admin["key"])
            made = (await fresh.client.post("/keys", json=EVERYTHING, headers=head)).json()
            shown = made["key"].encode()
            await within_a_second(lambda: services.keyring.find(shown) is not None)
            assert (await fresh.client.delete(f"/keys/{made['id']}", headers=head)).is_success
            await within_a_second(lambda: services.keyring.find(shown) is None)
            assert services.keyring.find(admin["key"].encode()) is not None

    fresh.runner.run(followed())


async def within_a_second(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 1.0
    while not happened():
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "n" * 201}, "/name"),
        ({"name": "nul \0"}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["everything"]}, "/scopes/0"),
        ({"expires_at": format_instant(NOW)}, "/expires_at"),
        ({"expires_at": "2027-11-20T00:00:00"}, "/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59.999999Z"}, "/expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+14:00"}, "/expires_at"),
        ({"expires_at": 4_000_000_000}, "/expires_at"),
        ({"expires_at": "4000000000"}, "/expires_at"),
        ({"rate_limit": True}, "/rate_limit"),
        ({"rate_limit": "60"}, "/rate_limit"),
        ({"rate_limit": 0}, "/rate_limit"),
        ({"rate_limit": 1_000_001}, "/rate_limit"),
        ({"key": "sgs_mine"}, "/key"),
    ],
)
def test_what_is_no_key(service: Service, wanted: dict[str, Any], pointer: str) -> None:
    answer = service.ask("post", "/keys", json={**EVERYTHING, **wanted})
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in shaped(answer)["errors"]] == [pointer]
    assert service.get("/keys")["items"] == []


def test_created_at_is_the_services_time(fresh: Service) -> None:
    assert datetime.fromisoformat(make(fresh)["created_at"]) == datetime.fromtimestamp(
        NOW / SECOND, UTC
    )
