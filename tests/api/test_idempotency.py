"""A creating request that is sent again is not done again."""

import asyncio
import json
import uuid
from typing import Any

import httpx
import pytest

from tests.api.conftest import Served
from tests.contracts.test_errors import shaped
from tests.running import NOW, Clock, connected, eventually, group
from tests.serving import Service

ADULT = {"key": "adult", "condition": group(("age", ">=", 18))}
HOUR = 3_600_000_000


def post(service: Service, key: str | None, body: Any, path: str = "/segments") -> httpx.Response:
    headers = {} if key is None else {"idempotency-key": key}
    return service.ask("post", path, json=body, headers=headers)


def kept(service: Service) -> int:
    return int(service.rows("select count(*) from idempotency")[0][0])


def test_the_first_answer_is_given_again(fresh: Service) -> None:
    first = post(fresh, "k-1", ADULT)
    again = post(fresh, "k-1", ADULT)
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    for name in ("location", "etag", "content-type"):
        assert first.headers[name] == again.headers[name]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert fresh.get("/segments/adult")["version"] == 1
    # Without a key it is another request, and finds the first one's work.
    assert post(fresh, None, ADULT).status_code == 409
    assert fresh.rows("select count(*) from audit where action = 'segment.created'") == [(1,)]


def test_refusals_are_given_again_too(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    first = post(fresh, "k-1", ADULT)
    fresh.ask("delete", "/segments/adult")
    again = post(fresh, "k-1", ADULT)
    assert (first.status_code, again.status_code) == (409, 409)
    assert (shaped(again)["code"], again.headers["idempotent-replayed"]) == ("exists", "true")
    bad = {"key": "Bad"}
    assert post(fresh, "k-2", bad).json() == post(fresh, "k-2", bad).json()


def test_what_other_headers_would_change_may_be_sent_again(fresh: Service) -> None:
    body = json.dumps(ADULT).encode()
    right = {"content-type": "application/json"}
    for name, wrong in enumerate((
        {"content-type": "text/plain"}, {**right, "content-encoding": "gzip"},
        {**right, "x-change-reason": "x" * 600},
    )):  # fmt: skip
        key = {"idempotency-key": f"k-{name}"}
        first = fresh.ask("post", "/segments", content=body, headers={**wrong, **key})
        assert first.status_code in (415, 422)
        again = fresh.ask("post", "/segments", content=body, headers={**right, **key})
        assert (again.status_code, "idempotent-replayed" in again.headers) == (201, False)
        fresh.ask("delete", "/segments/adult")


def test_what_was_stale_may_be_sent_again_with_the_right_etag(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    old = fresh.ask("get", "/segments/adult").headers["etag"]
    now = fresh.ask("patch", "/segments/adult", json={"condition": group(("age", ">=", 21))})

    def back(etag: str) -> httpx.Response:
        headers = {"idempotency-key": "k-1", "if-match": etag}
        body = {"version": 1}
        return fresh.ask("post", "/segments/adult/rollback", json=body, headers=headers)

    assert [back(old).status_code for _ in range(2)] == [412, 412]
    assert kept(fresh) == 0
    done = back(now.headers["etag"])
    assert (done.status_code, done.json()["version"]) == (200, 3)
    assert back(now.headers["etag"]).headers["idempotent-replayed"] == "true"


def test_another_request_needs_another_key(fresh: Service) -> None:
    post(fresh, "k-1", ADULT)
    fresh.save("vip", ("spent", ">", 1))
    others = [
        ("/segments", {**ADULT, "name": "Adults"}),
        ("/segments/vip/snapshot", ADULT),
        ("/segments?x=1", ADULT),
    ]
    for path, body in others:
        answer = post(fresh, "k-1", body, path)
        problem = shaped(answer)
        assert (answer.status_code, problem["code"]) == (422, "idempotency_mismatch")
        assert problem["errors"][0]["pointer"] == "/header/Idempotency-Key"


def test_every_creating_route_takes_a_key(fresh: Service) -> None:
    fresh.save("vip", ("spent", ">", 1))
    fresh.save("vip", ("spent", ">", 2))
    fresh.save("sketch", ("spent", ">", 3), status="draft")
    requests: list[tuple[str, Any]] = [
        ("/segments", ADULT),
        ("/segments/vip/snapshot", {"key": "vip-nov"}),
        ("/segments/vip/rollback", {"version": 1}),
        ("/segments/sketch/activate", {"notify": "all"}),
    ]
    for path, body in requests:
        key = str(uuid.uuid4())
        first, again = post(fresh, key, body, path), post(fresh, key, body, path)
        assert first.is_success, first.text
        assert (first.status_code, first.content) == (again.status_code, again.content)
        assert again.headers["idempotent-replayed"] == "true"
    assert fresh.get("/segments/vip")["version"] == 3


def test_answers_lie_encrypted(fresh: Service) -> None:
    post(fresh, "k-1", {**ADULT, "name": "Between ourselves"})
    [(body,)] = fresh.rows("select body from idempotency")
    assert b"ourselves" not in body


@pytest.mark.parametrize(
    ("sent", "same"),
    [
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (r'"with \"quotes\" and \\"', r'"with \"quotes\" and \\"'),
        ("a b", '"a b"'),
        ("k" * 255, "k" * 255),
    ],
)
def test_keys_in_quotes_and_plain(fresh: Service, sent: str, same: str) -> None:
    post(fresh, sent, ADULT)
    assert post(fresh, same, ADULT).headers.get("idempotent-replayed") == "true"


@pytest.mark.parametrize("key", ["", " ", '"', '""', '"a', "k" * 256, "\x7f"])
def test_what_is_no_key_is_told(fresh: Service, key: str) -> None:
    answer = post(fresh, key, ADULT)
    assert answer.status_code == 422
    assert [(fault["pointer"], fault["code"]) for fault in shaped(answer)["errors"]] == [
        ("/header/Idempotency-Key", "bad_value")
    ]
    assert fresh.ask("get", "/segments/adult").status_code == 404


def test_two_keys_are_none(fresh: Service) -> None:
    headers = [("idempotency-key", "a"), ("idempotency-key", "b")]
    answer = fresh.ask("post", "/segments", json=ADULT, headers=headers)
    assert (answer.status_code, shaped(answer)["code"]) == (422, "invalid")


def test_a_day_later_a_key_is_new(fresh: Service) -> None:
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    post(fresh, "k-1", ADULT)
    clock.now = NOW + 23 * HOUR
    assert "idempotent-replayed" in post(fresh, "k-1", ADULT).headers
    clock.now = NOW + 24 * HOUR + 1
    assert post(fresh, "k-1", ADULT).status_code == 409
    clock.now = NOW + 49 * HOUR
    fresh.runner.run(fresh.process.upkeep.look())
    assert kept(fresh) == 0


def test_one_that_was_cut_off_is_not_done_again(fresh: Service) -> None:
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    post(fresh, "k-1", ADULT)
    # As a process leaves it that is killed before it has stored its answer.
    fresh.runner.run(_cut_off(fresh.process.database.url.asyncpg))
    running = post(fresh, "k-1", ADULT)
    assert (running.status_code, shaped(running)["code"]) == (409, "in_progress")
    assert running.headers["retry-after"] == "1"
    clock.now = NOW + HOUR // 4
    lost = post(fresh, "k-1", ADULT)
    assert (lost.status_code, shaped(lost)["code"]) == (409, "outcome_unknown")
    assert "retry-after" not in lost.headers


async def _cut_off(url: str) -> None:
    async with connected(url) as outsider:
        await outsider.execute("update idempotency set status = null, headers = null, body = null")


@pytest.mark.anyio
async def test_at_once_one_is_done_and_the_others_wait(served: Served) -> None:
    client, services = served
    headers = {"idempotency-key": "k-1"}
    async with connected(services.database.url.asyncpg) as outsider:
        transaction = outsider.transaction()
        await transaction.start()
        await outsider.execute("select * from catalog_head for update")
        first = asyncio.create_task(client.post("/segments", json=ADULT, headers=headers))

        async def begun() -> bool:
            answer = await outsider.fetchval("select count(*) from idempotency")
            return bool(answer)

        await eventually(begun)
        others = [await client.post("/segments", json=ADULT, headers=headers) for _ in range(3)]
        assert {(answer.status_code, answer.json()["code"]) for answer in others} == {
            (409, "in_progress")
        }
        await transaction.rollback()
    assert (await first).status_code == 201
    again = await client.post("/segments", json=ADULT, headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")


@pytest.mark.anyio
async def test_what_failed_on_our_side_may_be_sent_again(served: Served) -> None:
    client, services = served
    headers = {"idempotency-key": "k-1"}
    async with connected(services.database.url.asyncpg) as outsider:
        await outsider.execute("alter table catalog_head rename to catalog_head_away")
        failed = await client.post("/segments", json=ADULT, headers=headers)
        assert failed.status_code >= 500
        assert await outsider.fetchval("select count(*) from idempotency") == 0
        await outsider.execute("alter table catalog_head_away rename to catalog_head")
    done = await client.post("/segments", json=ADULT, headers=headers)
    assert done.status_code == 201
    assert "idempotent-replayed" not in done.headers
