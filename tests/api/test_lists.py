"""Uploads in place of a list, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api import members as route
from service.flows.lists import UPLOADS_OF_ONE
from service.store.database import AT_ONCE, Long
from tests.api.asking import change, members, refused
from tests.contracts.test_errors import shaped
from tests.postgres import Databases
from tests.running import eventually
from tests.serving import Service, service_of

CSV = {"content-type": "text/csv"}
NDJSON = {"content-type": "application/x-ndjson"}


def put(service: Service, body: Any, headers: dict[str, str] = CSV, key: str = "guests") -> Any:
    """The answer to an upload that is taken, once its job is done."""
    answer = service.ask("put", f"/segments/{key}/members", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    service.settle()
    assert answer.headers["location"] == f"/jobs/{answer.json()['job']}"
    return answer.json()


def listed(service: Service, key: str = "guests") -> list[str]:
    query = "select customer_id from list_members where segment_key = :key order by 1"
    return [row[0] for row in service.rows(query, key=key)]


def state(service: Service) -> list[tuple[Any, ...]]:
    """What a refused upload leaves as it was."""
    return service.rows(
        "select (select revision from catalog_head), (select max(id) from jobs), "
        "(select max(id) from audit), (select count(*) from list_members)"
    )


def test_an_upload_takes_the_place_of_a_list(fresh: Service) -> None:
    fresh.save("guests")
    fresh.save("others", ("segment:guests", "=", False))
    for customer_id in ("goes", "stays", "comes", "never"):
        fresh.assign(customer_id)
    change(fresh, "guests", add=["goes", "stays"])
    before = state(fresh)[0][0]
    answer = put(fresh, b"email,customer_id\r\nx,stays\r\ny,comes\r\nz,unknown\r\nz,unknown\r\n")
    assert {name: answer[name] for name in ("size", "added", "removed", "ignored")} == {
        "size": 3, "added": 2, "removed": 1, "ignored": ["email"],
    }  # fmt: skip
    assert listed(fresh) == ["comes", "stays", "unknown"]
    assert members(fresh, "guests") == ["comes", "stays"]
    assert members(fresh, "others") == ["goes", "never"]
    assert fresh.rows("select count(*) from customers") == [(4,)]
    # One revision, and the reason of what it moved.
    assert fresh.rows(
        "select cause, keys from catalog_revisions where revision > :r", r=before
    ) == [("list", ["guests"])]
    moved = fresh.get("/customers/comes/transitions")["items"]
    assert [(m["segment"], m["type"], m["reason"]["kind"]) for m in moved[:2]] == [
        ("others", "exited", "list"),
        ("guests", "entered", "list"),
    ]
    # Who neither came nor went was not decided again.
    job = fresh.get(f"/jobs/{answer['job']}")
    assert (job["done"], job["total"]) == (2, 2)
    assert fresh.assign("unknown")["entered"] == ["guests"]


def test_ndjson_and_a_list_made_empty(fresh: Service) -> None:
    fresh.save("guests")
    fresh.assign("c-1")
    assert put(fresh, b'"c-1"\n{"customer_id": "c-2"}\n', NDJSON)["size"] == 2
    assert members(fresh, "guests") == ["c-1"]
    assert put(fresh, b"", NDJSON)["removed"] == 2
    assert (members(fresh, "guests"), listed(fresh)) == ([], [])


def test_the_same_again_publishes_nothing(fresh: Service) -> None:
    fresh.save("guests")
    put(fresh, b"c-1\nc-2\n")
    revision, _, audited, count = state(fresh)[0]
    again = put(fresh, b"c-2\nc-1\n")
    assert (again["added"], again["removed"]) == (0, 0)
    assert (state(fresh)[0][0], state(fresh)[0][2:]) == (revision, (audited, count))
    assert fresh.get(f"/jobs/{again['job']}")["status"] == "done"


def test_a_draft_takes_an_upload_and_decides_nobody(fresh: Service) -> None:
    fresh.save("guests", status="draft")
    fresh.assign("c-1")
    revision = state(fresh)[0][0]
    assert put(fresh, b"c-1\n")["added"] == 1
    assert (listed(fresh), state(fresh)[0][0]) == (["c-1"], revision)
    fresh.save("guests")
    fresh.settle()
    assert members(fresh, "guests") == ["c-1"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"c-9\nc-8,x\n", CSV, 422, "invalid"),
        (b'"c-9"\nc-8\n', NDJSON, 422, "invalid"),
        (b"c-9\n\xff", CSV, 422, "invalid"),
        (b"c-9\n", {"content-type": "application/json"}, 415, "unsupported"),
        (b"c-9\n", {}, 415, "unsupported"),
    ],
)
def test_a_refused_upload_leaves_the_list(
    service: Service, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    service.save("guests")
    put(service, b"c-1\nc-2\n")
    before = state(service)
    answer = service.ask("put", "/segments/guests/members", content=body, headers=headers)
    assert (answer.status_code, shaped(answer)["code"]) == (status, code)
    if status == 422:
        assert answer.json()["errors"][0]["pointer"] == "line 2"
    assert state(service) == before
    assert listed(service) == ["c-1", "c-2"]


def test_past_the_limit_is_413(databases: Databases, tmp_path: Path) -> None:
    with service_of(databases, tmp_path, list_body_limit=1_000) as service:
        service.save("guests")
        put(service, b"c-1\n" * 250)

        async def unsized() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"c-2\n" * 100

        for body in (b"c-2\n" * 251, unsized()):
            answer = service.ask("put", "/segments/guests/members", content=body, headers=CSV)
            assert (answer.status_code, shaped(answer)["code"]) == (413, "too_large")
        assert listed(service) == ["c-1"]


def test_a_client_that_goes_away_changes_nothing(service: Service) -> None:
    service.save("guests")
    put(service, b"c-1\n")
    before = state(service)

    async def cut_off() -> int:
        sent = iter([
            {"type": "http.request", "body": b"c-2\n" * 10_000, "more_body": True},
            {"type": "http.disconnect"},
        ])  # fmt: skip

        async def receive() -> Any:
            return next(sent, {"type": "http.disconnect"})

        statuses: list[int] = []

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "PUT",
            "scheme": "http", "path": "/segments/guests/members", "query_string": b"",
            "raw_path": b"/segments/guests/members", "root_path": "",
            "headers": [(b"content-type", b"text/csv"), (b"host", b"localhost")],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
        }  # fmt: skip
        await service.app(scope, receive, send)
        return statuses[0] if statuses else 0

    assert service.runner.run(cut_off()) in (0, 499)
    assert state(service) == before
    assert listed(service) == ["c-1"]


def test_only_lists_that_are_not_archived_take_uploads(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.save("guests")
    fresh.ask("delete", "/segments/guests")
    for key, status, code in (
        ("adult", 409, "kind"), ("guests", 409, "archived"), ("nobody", 404, "not_found"),
    ):  # fmt: skip
        answer = fresh.ask("put", f"/segments/{key}/members", content=b"c-1", headers=CSV)
        assert (answer.status_code, shaped(answer)["code"]) == (status, code)


def test_ten_thousand_ids_a_call_are_the_limit(service: Service) -> None:
    service.save("many")
    ids = [f"c-{n}" for n in range(10_001)]
    many = refused(service, "post", "/segments/many/members", {"add": ids})
    assert many == ("invalid", [("/add", "too_many")])
    many = refused(service, "post", "/segments/many/members", {"remove": ids})
    assert many == ("invalid", [("/remove", "too_many")])
    assert change(service, "many", add=ids[1:], remove=ids[:1]) == 10_000


def test_what_cant_be_had_now_is_503(fresh: Service) -> None:
    fresh.save("guests")

    async def crowded() -> httpx.Response:
        async with AsyncExitStack() as stack:
            for _ in range(AT_ONCE[Long.UPLOAD]):
                await stack.enter_async_context(fresh.process.database.long(Long.UPLOAD))
            return await fresh.client.request(
                "put", "/segments/guests/members", content=b"c-1", headers=CSV
            )

    answer = fresh.runner.run(crowded())
    assert (answer.status_code, shaped(answer)["code"]) == (503, "unavailable")
    assert put(fresh, b"c-1")["size"] == 1


def test_uploads_keep_nobody_from_exporting_and_one_key_not_another(fresh: Service) -> None:
    fresh.save("guests")
    fresh.assign("c-1", traits={"age": 20})
    key = fresh.ask("post", "/keys", json={"name": "crm", "scopes": ["write"]}).json()["key"]
    fresh.ask("post", "/keys", json={"name": "all", "scopes": ["admin"]})
    other = fresh.process.services
    bearer = {"authorization": f"Bearer {key}"}
    began = 0
    ended = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        nonlocal began
        yield b"customer_id\n"
        began += 1
        await ended.wait()
        yield b"c-1\n"

    async def uploading() -> list[int]:
        def upload(content: Any) -> Any:
            headers = CSV | bearer
            return fresh.client.put("/segments/guests/members", content=content, headers=headers)

        tasks = [asyncio.create_task(upload(slow())) for _ in range(UPLOADS_OF_ONE)]
        await eventually(lambda: began == UPLOADS_OF_ONE)
        refused = await upload(b"c-2")
        assert shaped(refused)["code"] == "unavailable"
        # Somebody else's goes on, and so does what others read.
        await other.lists.replace("guests", batches(["c-3"]))
        for lane in (Long.EXPORT, Long.PERSON):
            async with other.database.long(lane):
                pass
        ended.set()
        return [refused.status_code, *[(await each).status_code for each in tasks]]

    assert fresh.runner.run(uploading()) == [503, *[202] * UPLOADS_OF_ONE]


async def batches(*parts: list[str]) -> AsyncIterator[list[str]]:
    for part in parts:
        yield part


def test_an_upload_that_trickles_in_is_given_up(
    fresh: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.save("guests")
    monkeypatch.setattr(route, "PATIENCE", 0.3)
    sent = 0

    async def trickling() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            yield b"c-1\n"
            sent += 1
            await asyncio.sleep(0.05)

    async def upload() -> httpx.Response:
        async with asyncio.timeout(10):
            return await fresh.client.put(
                "/segments/guests/members", content=trickling(), headers=CSV
            )

    # 499: whoever sends so little is as good as gone.
    assert fresh.runner.run(upload()).status_code == route.CLIENT_GONE
    assert 3 <= sent <= 8
    assert put(fresh, b"c-1")["size"] == 1
