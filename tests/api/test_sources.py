"""Sources over HTTP: made, shown once, changed, rotated, removed; and what the audit keeps."""

import asyncio
from typing import Any

import pytest

from service.api.scopes import ROUTES
from service.core.access import SYSTEM, Scope
from service.core.instants import format_instant, to_datetime
from service.store import sources
from service.store.keys import digest_of
from tests.contracts.test_errors import shaped
from tests.running import NOW, Clock, eventually, running
from tests.serving import Service

WEB = {"name": "Web shop", "type": "browser", "store": "cz", "enabled": True, "rate_limit": 6_000}


def make(service: Service, source_id: str = "web", **wanted: Any) -> dict[str, Any]:
    answer = service.ask("post", "/sources", json={"id": source_id, **WEB, **wanted})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def status(service: Service, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    return service.ask("post", "/v1/batch", json={"batch": []}, headers=headers).status_code


def test_a_write_key_is_shown_once(fresh: Service) -> None:
    made = make(fresh)
    key = made.pop("write_key")
    assert key.startswith("sgw_")
    assert len(key) == 47
    assert made == {"id": "web", **WEB, "created_at": format_instant(NOW)}
    assert fresh.get("/sources/web") == made
    assert fresh.get("/sources") == {"items": [made], "next_cursor": None}
    stored = fresh.rows("select s::text, a::text from sources s, audit a")
    assert key[4:] not in str(stored)
    assert status(fresh, key) == 200


def test_the_answer_that_shows_a_key_is_not_cached(fresh: Service) -> None:
    made = fresh.ask("post", "/sources", json={"id": "web", **WEB})
    assert made.headers["location"] == "/sources/web"
    rotated = fresh.ask("post", "/sources/web/rotate-key")
    assert {made.headers["cache-control"], rotated.headers["cache-control"]} == {"no-store"}


def test_a_source_needs_little(fresh: Service) -> None:
    answer = fresh.ask("post", "/sources", json={"id": "s", "name": "S", "type": "server"})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["store"], made["enabled"], made["rate_limit"]) == (None, True, None)


def test_sources_come_in_pages_by_id(fresh: Service) -> None:
    for source_id in ("c", "a", "b-2", "b_1", "b"):
        make(fresh, source_id)
    found = [each["id"] for page in fresh.pages("/sources", limit=2) for each in page]
    assert found == ["a", "b", "b-2", "b_1", "c"]


def test_an_id_is_taken_once(fresh: Service) -> None:
    key = make(fresh)["write_key"]
    answer = fresh.ask("post", "/sources", json={"id": "web", **WEB})
    assert (answer.status_code, shaped(answer)["code"]) == (409, "exists")
    assert status(fresh, key) == 200


def test_two_who_make_one_source_at_once(fresh: Service) -> None:
    async def both() -> list[int]:
        body = {"id": "web", **WEB}
        asked = (fresh.client.post("/sources", json=body) for _ in range(5))
        return sorted(answer.status_code for answer in await asyncio.gather(*asked))

    assert fresh.runner.run(both()) == [201, 409, 409, 409, 409]


def test_a_repeated_creation_shows_the_same_key(fresh: Service) -> None:
    headers = {"idempotency-key": "once"}
    body = {"id": "web", **WEB}
    first, again = (fresh.ask("post", "/sources", json=body, headers=headers) for _ in range(2))
    assert first.json() == again.json()
    rotations = [fresh.ask("post", "/sources/web/rotate-key", headers={"idempotency-key": "r"})
                 for _ in range(2)]  # fmt: skip
    assert rotations[0].json() == rotations[1].json()
    assert status(fresh, rotations[0].json()["write_key"]) == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "Bad"}, {"id": ""}, {"id": "-x"}, {"id": "x" * 65}, {"id": None},
        {"name": ""}, {"name": "n" * 201}, {"name": "nul \0"}, {"name": 5},
        {"type": "shopify"}, {"type": None}, {"store": ""}, {"store": "nul \0"},
        {"enabled": "maybe"}, {"rate_limit": 0}, {"rate_limit": -1}, {"surprise": 1},
    ],
)  # fmt: skip
def test_what_is_no_source_is_refused(service: Service, wrong: dict[str, Any]) -> None:
    answer = service.ask("post", "/sources", json={"id": "web", **WEB, **wrong})
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in shaped(answer)["errors"]] == [f"/{next(iter(wrong))}"]


def test_what_is_said_of_a_source_can_be_changed(fresh: Service) -> None:
    key = make(fresh)["write_key"]
    wanted = {"name": "Shop", "type": "browser"}
    answer = fresh.ask("put", "/sources/web", json=wanted)
    assert answer.status_code == 200
    changed = answer.json()
    assert changed == {"id": "web", **wanted, "store": None, "enabled": True, "rate_limit": None,
                       "created_at": format_instant(NOW)}  # fmt: skip
    assert fresh.get("/sources/web") == changed
    assert status(fresh, key) == 200


def test_a_public_key_does_not_become_a_servers(fresh: Service) -> None:
    make(fresh)
    answer = fresh.ask("put", "/sources/web", json={**WEB, "type": "server"})
    assert (answer.status_code, shaped(answer)["code"]) == (409, "source_type")
    assert fresh.get("/sources/web")["type"] == "browser"


def test_a_rotated_key_replaces_the_old_one_at_once(fresh: Service) -> None:
    old = make(fresh)["write_key"]
    answer = fresh.ask("post", "/sources/web/rotate-key")
    assert answer.status_code == 200
    new = answer.json()["write_key"]
    assert (status(fresh, old), status(fresh, new)) == (401, 200)


def test_a_removed_source_is_gone_and_what_it_sent_stays(fresh: Service) -> None:
    key = make(fresh)["write_key"]
    headers = {"authorization": f"Bearer {key}"}
    for body in ({"userId": "c-1", "traits": {"age": 31}}, {}):
        answer = fresh.ask("post", "/v1/identify", json=body, headers=headers)
        assert answer.status_code == 200
    assert len(fresh.get("/sources/web/rejects")["items"]) == 1
    assert fresh.ask("delete", "/sources/web").status_code == 204
    assert status(fresh, key) == 401
    assert fresh.get("/customers/c-1")["traits"] == {"age": 31}
    assert fresh.rows("select count(*) from rejects") == [(0,)]
    make(fresh)
    assert status(fresh, key) == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "", None), ("put", "", WEB), ("delete", "", None), ("get", "/rejects", None),
        ("post", "/rotate-key", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("source_id", ["nobody", "a%00b"])
def test_unknown_sources_are_404(
    service: Service, method: str, path: str, body: Any, source_id: str
) -> None:
    answer = service.ask(method, f"/sources/{source_id}{path}", json=body)
    assert (answer.status_code, shaped(answer)["code"]) == (404, "not_found")


def test_the_audit_tells_every_change_and_no_key(fresh: Service) -> None:
    reason = {"x-change-reason": "new%20shop"}
    answer = fresh.ask("post", "/sources", json={"id": "web", **WEB}, headers=reason)
    keys = [answer.json()["write_key"]]
    for rate_limit in (6_000, 60):  # the first says nothing new
        fresh.ask("put", "/sources/web", json={**WEB, "rate_limit": rate_limit})
    keys.append(fresh.ask("post", "/sources/web/rotate-key").json()["write_key"])
    fresh.ask("delete", "/sources/web")
    audit = fresh.ask("get", "/audit", params={"subject": "sources/web"})
    entries = audit.json()["items"]
    assert [entry["action"] for entry in entries] == [
        "source.deleted", "source.key_rotated", "source.updated", "source.created",
    ]  # fmt: skip
    assert entries[-1]["reason"] == "new shop"
    assert entries[-1]["difference"]["type"] == {"after": "browser"}
    assert entries[2]["difference"] == {"rate_limit": {"before": 6_000, "after": 60}}
    assert not any(key[4:] in audit.text for key in keys)


def test_only_an_administrator_changes_sources() -> None:
    """A write key lets data in: who may make one could send what their own key does not allow."""
    for path, methods in ROUTES.items():
        if path.startswith("/sources"):
            for method, scope in methods.items():
                assert scope == (Scope.READ if method == "GET" else Scope.ADMIN), path


def test_other_processes_follow(database_url: str) -> None:
    async def followed() -> None:
        async with running(database_url, Clock()) as one, running(database_url, Clock()) as other:
            key = sources.new_key()
            row = sources.SourceRow(
                "web", "Web", "browser", None, digest_of(key.encode()), True, None, to_datetime(NOW)
            )

            def known() -> list[bool]:
                return [each.sources.find(key.encode()) is not None for each in (one, other)]

            async with one.database.engine.begin() as connection:
                assert await sources.create(connection, SYSTEM, row)
            await eventually(lambda: known() == [True, True])
            async with one.database.engine.begin() as connection:
                await sources.remove(connection, SYSTEM, to_datetime(NOW), row)
            await eventually(lambda: known() == [False, False])

    asyncio.run(followed())
