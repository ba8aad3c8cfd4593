"""`POST /assign`: what is refused, where and with which status; what has a limit."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from service.api.services import Services
from tests.api.assigning import assign, check_problem, refusal
from tests.running import connected, eventually, serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("at", "2026-11-20T10:00:00Z"),
        ("include", ["explain"]),
        ("include", ["traits", "everything"]),
    ],
)
async def test_what_is_not_available_yet(
    refusing: httpx.AsyncClient, field: str, value: Any
) -> None:
    body = {"customer_id": "c-1", "record": False, field: value}
    answer = await refusal(refusing, json.dumps(body).encode())
    assert answer.status_code == 422
    [fault] = answer.json()["errors"]
    assert fault["code"] == "not_available"
    assert fault["pointer"].startswith(f"/{field}")


async def test_what_is_not_available_may_be_sent_empty(refusing: httpx.AsyncClient) -> None:
    await assign(refusing, customer_id="c-1", events=[], identities={}, at=None, include=[])


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"nonsense", b'{"traits": {"a": 1}', b"{'traits': {}}", b'{"traits": {}} {}',
     b'\xff{"traits": {}}', b'{"traits": {"a": "\xff"}}', b'{"traits": {"a": 01}}'],
)  # fmt: skip
async def test_what_is_no_json(refusing: httpx.AsyncClient, content: bytes) -> None:
    for path in ("/assign", "/assign/batch"):
        answer = await refusal(refusing, content, path)
        assert (answer.status_code, answer.json()["code"]) == (400, "not_json")


@pytest.mark.parametrize(
    ("content", "pointer", "code"),
    [
        (b'{"traits": {"a": NaN}}', "/traits/a", "bad_value"),
        (b'{"traits": {"a": -Infinity}}', "/traits/a", "bad_value"),
        (b'{"traits": {"a": "\\ud800"}}', "/traits/a", "bad_value"),
        (b'{"customer_id": "\\udfff", "traits": {}}', "/customer_id", "bad_value"),
        (b'{"traits": {"a": "x\\u0000y"}}', "/traits/a", "bad_value"),
        (b'{"traits": {"a": ["b", {"c": "\\u0000"}]}}', "/traits/a/1/c", "bad_value"),
        (b'{"traits": {"a\\u0000": 1}}', "/traits", "bad_value"),
        (b'{"customer_id": "c\\u0000"}', "/customer_id", "bad_value"),
        (b'{"traits": {"a.b": 1}}', "/traits/a.b", "bad_name"),
        (b'{"traits": {"a": {"b:c": 1}}}', "/traits/a/b:c", "bad_name"),
        (b'{"traits": {"": 1}}', "/traits/", "bad_name"),
        (b'{"traits": {"customer_id": 1}}', "/traits/customer_id", "bad_name"),
        (b'{"customer_id": 5}', "/customer_id", "type"),
        (b'{"customer_id": ""}', "/customer_id", "type"),
        (b'{"traits": []}', "/traits", "type"),
        (b'{"segments": [5]}', "/segments/0", "type"),
        (b'{"record": "yes"}', "/record", "type"),
        (b"[]", "", "type"),
        (b"5", "", "type"),
        (b'{"custmer_id": "c"}', "/custmer_id", "unknown_property"),
    ],
)
async def test_what_is_json_but_not_acceptable(
    refusing: httpx.AsyncClient, content: bytes, pointer: str, code: str
) -> None:
    answer = await refusal(refusing, content)
    assert answer.status_code == 422
    [fault] = answer.json()["errors"]
    assert (fault["pointer"], fault["code"]) == (pointer, code)
    batch = await refusing.post("/assign/batch", content=b'{"customers": [' + content + b"]}")
    [item] = batch.json()["results"]
    assert item["error"]["errors"] == answer.json()["errors"]


async def test_numbers_out_of_range(refusing: httpx.AsyncClient) -> None:
    for number in ("1e400", "-1e400", "9" * 5000):
        answer = await refusal(refusing, b'{"traits": {"a": %s}}' % number.encode())
        assert answer.status_code == 422


async def test_nesting_has_a_limit(client: httpx.AsyncClient) -> None:
    def nested(depth: int) -> bytes:
        return b'{"traits": {"a": ' + b'{"a": ' * depth + b"1" + b"}" * (depth + 2)

    assert (await client.post("/assign", content=nested(30))).status_code == 200
    for depth in (31, 500, 20_000):
        answer = await refusal(client, nested(depth))
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["code"] == "too_deep"
    lists = await refusal(client, b'{"traits": {"a": ' + b"[" * 500 + b"]" * 500 + b"}}")
    assert lists.json()["errors"][0]["code"] == "too_deep"


async def test_bodies_have_a_limit(client: httpx.AsyncClient, services: Services) -> None:
    limit = services.settings.body_limit
    whole = await refusal(client, b" " * (limit + 1))
    assert (whole.status_code, whole.json()["code"]) == (413, "too_large")

    async def endless() -> Any:
        for _ in range(3):
            yield b" " * limit

    streamed = await client.post("/assign", content=endless())
    assert streamed.status_code == 413
    just = b'{"traits": {}}'.ljust(limit)
    assert (await client.post("/assign", content=just)).status_code == 200
    batch = b'{"customers": []}'.ljust(2 * limit)
    assert (await client.post("/assign/batch", content=batch)).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/assign", "/assign/batch"])
async def test_only_post(refusing: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await refusing.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    check_problem(answer, path)


async def test_ids_have_a_limit(refusing: httpx.AsyncClient) -> None:
    answer = await refusal(refusing, json.dumps({"customer_id": "x" * 257}).encode())
    assert answer.status_code == 422


async def test_limits_of_a_customer(refusing: httpx.AsyncClient) -> None:
    many = {"customer_id": "c-1", "traits": {f"t{n}": 1 for n in range(501)}}
    answer = await refusal(refusing, json.dumps(many).encode())
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too_many")
    large = {"customer_id": "c-1", "traits": {"text": "x" * 66_000}}
    answer = await refusal(refusing, json.dumps(large).encode())
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too_large")


async def test_too_much_at_once_is_503(database_url: str) -> None:
    async with (
        serving(database_url, writer_queue=5) as (client, services),
        connected(database_url) as outsider,
    ):
        async with outsider.transaction():
            await outsider.execute("lock table customers")
            accepted = [
                asyncio.create_task(client.post("/assign", json={"customer_id": f"c-{n}"}))
                for n in range(5)
            ]
            await eventually(lambda: services.writer.waiting == 5)
            single = await client.post("/assign", json={"customer_id": "more"})
            both = {"customers": [{"customer_id": "a"}, {"customer_id": "b"}]}
            every = await client.post("/assign/batch", json=both)
            mixed = await client.post(
                "/assign/batch", json={"customers": [{"customer_id": "a"}, {"traits": {}}]}
            )
            # What needs no store goes on.
            assert (await client.post("/assign", json={"traits": {"age": 1}})).status_code == 200
        assert (single.status_code, single.headers["retry-after"]) == (503, "1")
        check_problem(single, "/assign")
        assert (every.status_code, every.headers["retry-after"]) == (503, "1")
        assert [r["error"]["status"] for r in every.json()["results"]] == [503, 503]
        assert mixed.status_code == 200
        assert [r.get("error", {}).get("status") for r in mixed.json()["results"]] == [503, None]
        assert {(await answer).status_code for answer in accepted} == {200}
