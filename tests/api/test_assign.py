"""`POST /assign` and `/assign/batch`: every documented answer, over a real connection."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from service.api.services import Services
from service.core.instants import DAY, format_instant
from tests.running import NOW, Clock, connected, eventually, segment, serving

pytestmark = pytest.mark.anyio

TREATMENT = {"channels": ["email"], "offer": "10 %"}
SEGMENTS = (
    segment("adult", ("age", ">=", 18), name="Adults", treatment=TREATMENT),
    segment("recent", ("ordered", "withinLast", "7d")),
    segment("soon", ("renews", "withinNext", "3d")),
    segment("gold", ("spent", ">", 100), scheme="tier", priority=1),
    segment("silver", ("spent", ">", 10), scheme="tier", priority=2),
    segment("beta"),
    segment("outside", ("segment:beta", "=", False)),
)


@pytest.fixture
async def client(served: tuple[httpx.AsyncClient, Services]) -> httpx.AsyncClient:
    client, services = served
    await services.publisher.save(SEGMENTS)
    return client


async def assign(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/assign", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    document: dict[str, Any] = answer.json()
    return document


def keys(answer: dict[str, Any]) -> list[str]:
    return [segment["key"] for segment in answer["segments"]]


async def refusal(client: httpx.AsyncClient, content: bytes, path: str = "/assign") -> Any:
    answer = await client.post(path, content=content)
    check_problem(answer, path)
    return answer


def check_problem(answer: httpx.Response, path: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["instance"] == path
    assert problem["message"] == problem["detail"] != ""
    assert problem["type"].endswith(problem["code"])
    assert {"title", "type"} <= problem.keys()
    for fault in problem.get("errors", []):
        assert fault.keys() == {"pointer", "code", "detail"}
    assert "Traceback" not in answer.text


async def test_named_and_recorded(client: httpx.AsyncClient, services: Services) -> None:
    now = format_instant(NOW)
    first = await assign(
        client,
        customer_id="c-42",
        traits={"age": 31, "spent": 500, "ordered": format_instant(NOW - DAY)},
    )
    assert first == {
        "customer_id": "c-42",
        "segments": [
            {
                "key": "adult",
                "name": "Adults",
                "scheme": None,
                "since": now,
                "valid_until": None,
            },
            {"key": "gold", "name": "Gold", "scheme": "tier", "since": now, "valid_until": None},
            {
                "key": "outside",
                "name": "Outside",
                "scheme": None,
                "since": now,
                "valid_until": None,
            },
            {
                "key": "recent",
                "name": "Recent",
                "scheme": None,
                "since": now,
                "valid_until": format_instant(NOW + 6 * DAY),
            },
        ],
        "schemes": {"tier": "gold"},
        "entered": ["adult", "gold", "outside", "recent"],
        "exited": [],
        "models": {},
        "variants": {},
        "valid_until": format_instant(NOW + 6 * DAY),
        "recorded": True,
        "sequence": 4,
        "catalog_revision": services.live.served.revision,
        "evaluated_at": now,
    }


async def test_sending_it_again_enters_nothing_again(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    first = await assign(client, customer_id="c-1", traits={"age": 20})
    clock.now = NOW + DAY
    second = await assign(client, customer_id="c-1", traits={"age": 20})
    assert (second["entered"], second["exited"]) == ([], [])
    assert second["sequence"] == first["sequence"]
    assert [s["since"] for s in second["segments"]] == [format_instant(NOW)] * 2
    assert second["evaluated_at"] == format_instant(NOW + DAY)


async def test_exits_tell_why(client: httpx.AsyncClient, clock: Clock) -> None:
    await assign(
        client, customer_id="c-1", traits={"age": 20, "ordered": format_instant(NOW - DAY)}
    )
    clock.now = NOW + 30 * DAY
    answer = await assign(client, customer_id="c-1", traits={"age": 10, "spent": 50})
    assert answer["entered"] == ["silver"]
    assert answer["exited"] == [
        {"key": "adult", "reason": {"kind": "trait", "traits": ["age", "spent"]}},
        {"key": "recent", "reason": {"kind": "time"}},
    ]
    assert answer["schemes"] == {"tier": "silver"}


async def test_unnamed_from_memory(client: httpx.AsyncClient, services: Services) -> None:
    answer = await assign(client, traits={"age": 31})
    assert keys(answer) == ["adult", "outside"]
    assert (answer["customer_id"], answer["recorded"], answer["sequence"]) == (None, False, None)
    assert (answer["entered"], answer["exited"]) == ([], [])
    assert answer["schemes"] == {"tier": None}
    assert keys(await assign(client)) == ["outside"]
    async with connected(services.database.url.asyncpg) as outsider:
        assert await outsider.fetchval("select count(*) from customers") == 0


async def test_not_recorded(client: httpx.AsyncClient) -> None:
    """What it would be: over the stored traits, and nothing stored."""
    await assign(client, customer_id="c-1", traits={"age": 20, "spent": 50})
    what_if = await assign(client, customer_id="c-1", traits={"age": 10}, record=False)
    assert keys(what_if) == ["outside", "silver"]
    assert what_if["recorded"] is False
    assert [exited["key"] for exited in what_if["exited"]] == ["adult"]
    unknown = await assign(client, customer_id="nobody", traits={"age": 20}, record=False)
    assert keys(unknown) == ["adult", "outside"]
    assert (await client.get("/customers/nobody")).status_code == 404
    stored = (await client.get("/customers/c-1")).json()
    assert stored["traits"] == {"age": 20, "spent": 50}
    assert stored["sequence"] == 3


async def test_narrowed_to_segments(client: httpx.AsyncClient) -> None:
    body = {"customer_id": "c-1", "traits": {"age": 20, "spent": 50}}
    answer = await assign(client, **body, segments=["silver", "recent", "no-such"])
    assert keys(answer) == ["silver"]
    assert answer["entered"] == ["silver"]
    assert answer["sequence"] == 3
    assert keys(await assign(client, **body, segments=[])) == []


async def test_what_else_to_include(client: httpx.AsyncClient) -> None:
    await assign(client, customer_id="c-1", traits={"name": "Ann"})
    answer = await assign(
        client, customer_id="c-1", traits={"age": 20}, include=["traits", "treatment"]
    )
    assert answer["traits"] == {"name": "Ann", "age": 20}
    treatments = {segment["key"]: segment["treatment"] for segment in answer["segments"]}
    assert treatments == {"adult": TREATMENT, "outside": {}}
    assert "traits" not in await assign(client, customer_id="c-1")
    unnamed = await assign(client, traits={"age": 1}, include=["traits"])
    assert unnamed["traits"] == {"age": 1}


async def test_values_that_do_not_fit_are_left_out_with_a_warning(
    client: httpx.AsyncClient,
) -> None:
    for name, kind in (("age", "number"), ("home", "point"), ("work.pay", "money")):
        (await client.put(f"/traits/{name}", json={"type": kind})).raise_for_status()
    traits = {"age": "21", "home": "Brno", "work": {"pay": "lots", "title": "cook"}}
    for named in ({"customer_id": "c-1"}, {"customer_id": "c-2", "record": False}, {}):
        answer = await assign(client, traits=traits, include=["traits"], **named)
        assert answer["traits"] == {"age": 21, "work": {"title": "cook"}}
        assert [(w["pointer"], w["code"]) for w in answer["warnings"]] == [
            ("/traits/home", "wrong_type"),
            ("/traits/work/pay", "wrong_type"),
        ]
        assert "adult" in keys(answer)
    assert "warnings" not in await assign(client, traits={"age": 21})


async def test_money_that_a_json_number_rounds_is_left_out_with_a_warning(
    client: httpx.AsyncClient,
) -> None:
    for name, kind in (("pay", "money"), ("zip", "string")):
        (await client.put(f"/traits/{name}", json={"type": kind})).raise_for_status()
    for named in ({"customer_id": "c-1"}, {"customer_id": "c-2", "record": False}, {}):
        content = b'{"traits": {"pay": 12345678901234567.89, "zip": 60200.0}, "include": ["traits"]'
        body = content + b"".join(b', "%s": %s' % (k.encode(), json.dumps(v).encode())
                                  for k, v in named.items()) + b"}"  # fmt: skip
        answer = (await client.post("/assign", content=body)).json()
        assert answer["traits"] == {"zip": "60200"}
        [warning] = answer["warnings"]
        assert (warning["pointer"], warning["code"]) == ("/traits/pay", "wrong_type")
        assert "send it as a text" in warning["detail"]
    exact = await assign(client, traits={"pay": "1234567890123.456"}, include=["traits"])
    assert exact["traits"] == {"pay": 1234567890123.456}
    assert "warnings" not in exact


async def test_lists_count_members_known_by_id(client: httpx.AsyncClient) -> None:
    change = {"add": ["c-1"]}
    (await client.post("/segments/beta/members", json=change)).raise_for_status()
    listed = await assign(client, customer_id="c-1")
    assert keys(listed) == ["beta"]
    assert keys(await assign(client, customer_id="c-1", record=False)) == ["beta"]
    assert keys(await assign(client, customer_id="c-2")) == ["outside"]


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


async def test_huge_integers_are_kept_exactly(client: httpx.AsyncClient) -> None:
    huge = 2**200 + 1
    answer = await assign(
        client, customer_id="c-1", traits={"age": huge, "low": -huge}, include=["traits"]
    )
    assert answer["traits"] == {"age": huge, "low": -huge}
    assert "adult" in keys(answer)
    stored = (await client.get("/customers/c-1")).json()
    assert stored["traits"] == {"age": huge, "low": -huge}
    assert (await assign(client, customer_id="c-1", traits={"age": huge}))["sequence"] == 2


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


@pytest.mark.parametrize(
    "customer_id", ["c", "č-ž", "客户-1", "🎉" * 256, "a b/c?d#e%", "\u202e", "Ω" * 256, "e\u0301"]
)
async def test_ids_may_be_any_text(client: httpx.AsyncClient, customer_id: str) -> None:
    answer = await assign(client, customer_id=customer_id, traits={"jméno": "Žofie 🎉"})
    assert answer["customer_id"] == customer_id
    unnormalised = await assign(client, customer_id="\u00e9", traits={})
    assert unnormalised["customer_id"] == "\u00e9"
    found = await client.get(f"/customers/{quote(customer_id, safe='')}")
    assert found.status_code == 200, found.text
    assert found.json()["customer_id"] == customer_id
    assert found.json()["traits"] == {"jméno": "Žofie 🎉"}


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


async def batch(client: httpx.AsyncClient, **body: Any) -> list[Any]:
    answer = await client.post("/assign/batch", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    results: list[Any] = answer.json()["results"]
    return results


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
