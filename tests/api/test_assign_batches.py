"""`POST /assign/batch`: answers in order, each item for itself."""

import json

import httpx
import pytest

from service.api.services import Services
from tests.api.assigning import batch, check_problem, refusal, with_segments
from tests.api.conftest import Served
from tests.running import connected

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(served: Served) -> httpx.AsyncClient:
    return await with_segments(served)


async def test_a_batch_answers_in_order_and_no_item_spoils_another(
    client: httpx.AsyncClient,
) -> None:
    results = await batch(
        client,
        customers=[
            {"customer_id": "c-1", "traits": {"age": 20}},
            {"customer_id": "", "traits": {}},
            {"traits": {"age": 20}},
            "nonsense",
            {"customer_id": "c-2", "traits": {"a.b": 1}},
            {"customer_id": "c-3", "at": "2026-11-20T10:00:00Z"},
            {"customer_id": "c-1", "traits": {"age": 10}},
        ],
    )
    assert [result.get("customer_id", "error") for result in results] == [
        "c-1", "error", None, "error", "error", "error", "c-1",
    ]  # fmt: skip
    faults = {n: r["error"] for n, r in enumerate(results) if "error" in r}
    assert {n: fault["status"] for n, fault in faults.items()} == {1: 422, 3: 422, 4: 422, 5: 422}
    assert faults[4]["instance"] == "/assign/batch#/customers/4"
    assert faults[4]["errors"][0]["pointer"] == "/traits/a.b"
    # Two of one customer are taken in their order.
    assert results[0]["entered"] == ["adult", "outside"]
    assert [exited["key"] for exited in results[6]["exited"]] == ["adult"]
    assert (await client.get("/customers/c-1")).json()["traits"] == {"age": 10}


async def test_an_items_own_record_wins(client: httpx.AsyncClient) -> None:
    customers = [
        {"customer_id": "default"},
        {"customer_id": "yes", "record": True},
        {"customer_id": "no", "record": False},
    ]
    results = await batch(client, customers=customers)
    assert [result["recorded"] for result in results] == [True, True, False]
    results = await batch(client, customers=customers, record=False)
    assert [result["recorded"] for result in results] == [False, True, False]
    assert (await client.get("/customers/no")).status_code == 404


async def test_an_empty_batch_and_one_too_long(client: httpx.AsyncClient) -> None:
    assert await batch(client, customers=[]) == []
    thousand = [{"traits": {"age": n}} for n in range(1000)]
    results = await batch(client, customers=thousand)
    assert [len(result["segments"]) for result in results] == [1] * 18 + [2] * 982
    answer = await client.post("/assign/batch", json={"customers": [*thousand, {}]})
    assert answer.status_code == 422
    check_problem(answer, "/assign/batch")
    assert answer.json()["errors"][0]["pointer"] == "/customers"


@pytest.mark.parametrize("body", [b"{}", b'{"customers": {}}', b'{"customers": [], "x": 1}', b"[]"])
async def test_a_batch_that_is_none(refusing: httpx.AsyncClient, body: bytes) -> None:
    assert (await refusal(refusing, body, "/assign/batch")).status_code == 422


async def test_data_that_the_database_refuses(
    client: httpx.AsyncClient, services: Services
) -> None:
    async with connected(services.database.url.asyncpg) as outsider:
        await outsider.execute("alter table customers add check (traits ->> 'age' <> '13')")
    body = {"customers": [{"customer_id": f"c-{n}", "traits": {"age": n}} for n in range(10, 20)]}
    results = await batch(client, **body)
    assert [n for n, result in enumerate(results, 10) if "error" in result] == [13]
    error = results[3]["error"]
    assert (error["status"], error["errors"][0]["code"]) == (422, "not_stored")
    assert "c-13" not in json.dumps(error)
