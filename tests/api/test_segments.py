"""`/segments` and `/traits`: the rules table over HTTP."""

import asyncio
from typing import Any

import httpx
import pytest

from service.api.services import Services
from tests.running import NOW, assign, connected, eventually, group, segment

pytestmark = pytest.mark.anyio

ADULT = group(("age", ">=", 18))
WHOLE: dict[str, Any] = {
    "name": "Big spenders",
    "description": "Who spends most.",
    "dimensions": ["value", "behavioral"],
    "condition": ADULT,
    "scheme": "tier",
    "priority": 3,
    "status": "active",
    "owner": "crm",
    "tags": ["retention"],
    "review_by": "2027-03-01",
    "persona": {"summary": "They like it.", "needs": ["speed"], "goals": []},
    "treatment": {"channels": ["email"], "message": "Hello"},
    "limits": {"min_size": 100.0, "min_share": 0.01},
    "goals": {"conversion_rate": 0.05},
}


def problem(answer: httpx.Response, status: int, code: str) -> list[str]:
    """Check a refusal; the pointers of its faults."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["message"] == document["detail"]
    assert "Traceback" not in answer.text
    return [fault["pointer"] for fault in document.get("errors", [])]


async def test_a_segment_from_its_creation_to_its_archive(client: httpx.AsyncClient) -> None:
    created = await client.post("/segments", json={"key": "big-spender", **WHOLE})
    assert created.status_code == 201
    assert created.headers["location"] == "/segments/big-spender"
    document = created.json()
    assert {name: document[name] for name in WHOLE} == WHOLE
    assert (document["key"], document["kind"], document["version"]) == ("big-spender", "rule", 1)
    assert "18" in document["summary"]
    assert document["metrics"] is None or document["metrics"]["size"] == 0
    read = await client.get("/segments/big-spender")
    assert {**read.json(), "metrics": None} == {**document, "metrics": None}

    same = await client.put("/segments/big-spender", json=WHOLE)
    assert (same.status_code, same.json()["version"]) == (200, 1)
    replaced = await client.put("/segments/big-spender", json={"condition": ADULT})
    assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
    assert replaced.json()["name"] == "big-spender"
    assert replaced.json()["owner"] is None

    taken = await client.post("/segments", json={"key": "big-spender", "condition": ADULT})
    assert problem(taken, 409, "exists") == []

    assert (await client.delete("/segments/big-spender")).status_code == 204
    assert (await client.get("/segments/big-spender")).json()["status"] == "archived"
    problem(await client.patch("/segments/big-spender", json={"name": "x"}), 409, "archived")
    revived = await client.put("/segments/big-spender", json={"condition": ADULT})
    assert (revived.status_code, revived.json()["version"]) == (200, 4)
    assert revived.json()["status"] == "active"


async def test_putting_creates(client: httpx.AsyncClient) -> None:
    answer = await client.put("/segments/adult", json={"condition": ADULT})
    assert answer.status_code == 201


async def test_patching_is_a_merge_patch(client: httpx.AsyncClient) -> None:
    await client.put("/segments/s", json=WHOLE)
    patch = {
        "name": "Renamed",
        "owner": None,
        "treatment": {"message": None, "offer": "10 %"},
        "tags": ["new"],
    }
    document = (await client.patch("/segments/s", json=patch)).json()
    assert document["name"] == "Renamed"
    assert document["owner"] is None
    assert document["treatment"] == {"channels": ["email"], "offer": "10 %"}
    assert document["tags"] == ["new"]
    assert document["condition"] == ADULT
    assert document["version"] == 2
    assert (await client.patch("/segments/s", json={})).json()["version"] == 2
    drafted = await client.patch("/segments/s", json={"status": "draft"})
    assert drafted.json()["status"] == "draft"
    assert problem(await client.patch("/segments/s", json={"kind": "list"}), 422, "invalid") == [
        "/kind"
    ]
    assert problem(await client.patch("/segments/s", json={"tags": "x"}), 422, "invalid") == [
        "/tags"
    ]
    problem(await client.patch("/segments/nobody", json={"name": "x"}), 404, "not_found")


async def test_patches_at_once_lose_nothing(client: httpx.AsyncClient) -> None:
    await client.put("/segments/s", json={"condition": ADULT})
    answers = await asyncio.gather(
        client.patch("/segments/s", json={"owner": "crm"}),
        client.patch("/segments/s", json={"tags": ["a"]}),
        client.patch("/segments/s", json={"description": "d"}),
        client.patch("/segments/s", json={"name": "n"}),
    )
    assert [answer.status_code for answer in answers] == [200] * 4
    document = (await client.get("/segments/s")).json()
    told = [document[name] for name in ("owner", "tags", "description", "name")]
    assert told == ["crm", ["a"], "d", "n"]


async def test_what_is_used_stays(client: httpx.AsyncClient) -> None:
    await client.put("/segments/adult", json={"condition": ADULT})
    await client.put("/segments/vip", json={"condition": group(("segment:adult", "=", True))})
    answer = await client.delete("/segments/adult")
    problem(answer, 409, "in_use")
    assert [fault["detail"] for fault in answer.json()["errors"]] == ["vip"]
    problem(await client.delete("/segments/nobody"), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"condition": group(("age", "about", 1))}, ["/condition/rules/0/operator"]),
        ({"condition": {"combinator": "and", "rules": []}}, ["/condition/rules"]),
        ({"condition": []}, ["/condition"]),
        ({"condition": group(("segment:nobody", "=", True))}, ["/condition"]),
        ({"condition": group(("segment:s", "=", True))}, ["/condition"]),
        ({"condition": ADULT, "scheme": "tier"}, ["/priority"]),
        ({"condition": ADULT, "priority": 1}, [""]),
        ({"condition": ADULT, "priority": -1, "scheme": "tier"}, ["/priority"]),
        ({"condition": ADULT, "status": "archived"}, ["/status"]),
        ({"condition": ADULT, "dimensions": ["magic"]}, ["/dimensions/0"]),
        ({"condition": ADULT, "name": ""}, ["/name"]),
        ({"condition": ADULT, "min_dwell": "1d"}, ["/min_dwell"]),
        ({"condition": ADULT, "nonsense": 1}, ["/nonsense"]),
        ({"condition": ADULT, "review_by": "soon"}, ["/review_by"]),
        ({"condition": ADULT, "persona": {"age": 3}}, ["/persona/age"]),
        ({"condition": ADULT, "name": "\0"}, ["/name"]),
        ({"condition": ADULT, "treatment": {"a": ["\0"]}}, ["/treatment/a/0"]),
    ],
)
async def test_definitions_that_are_refused(
    refusing: httpx.AsyncClient, body: dict[str, Any], pointers: list[str]
) -> None:
    assert problem(await refusing.put("/segments/s", json=body), 422, "invalid") == pointers
    assert (await refusing.get("/segments/s")).status_code == 404


@pytest.mark.parametrize("key", ["UPPER", "-a", "a" * 65, "a.b", "č", "preview", "overlap"])
async def test_keys_that_are_refused(refusing: httpx.AsyncClient, key: str) -> None:
    answer = await refusing.put(f"/segments/{key}", json={"condition": ADULT})
    assert problem(answer, 422, "invalid") in (["/path/key"], ["/key"])
    answer = await refusing.post("/segments", json={"key": key, "condition": ADULT})
    assert problem(answer, 422, "invalid") == ["/key"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b'{"limits": {"min_share": NaN}}', 422),
        (b'{"limits": {"min_share": 1e400}}', 422),
        (b'{"treatment": {"a": "\\ud800"}}', 422),
        (b'{"name": "\\udfff"}', 422),
        (b'{"treatment": ' + b'{"a": ' * 300 + b"1" + b"}" * 301, 422),
        (b'{"treatment": ' + b'{"a": ' * 50_000 + b"1" + b"}" * 50_001, 422),
        (b'{"description": "' + b"x" * 1_100_000 + b'"}', 413),
        (b"[]", 422),
        (b"null", 422),
    ],
)
async def test_bodies_that_are_refused(
    refusing: httpx.AsyncClient, content: bytes, status: int
) -> None:
    for method, path in (("PUT", "/segments/s"), ("PATCH", "/segments/s"), ("POST", "/segments")):
        answer = await refusing.request(
            method, path, content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/segments/%00"),
        ("PUT", "/segments/%00"),
        ("PATCH", "/segments/a%00b"),
        ("DELETE", "/segments/%00"),
        ("GET", "/segments/%00/members"),
        ("POST", "/segments/%00/members"),
        ("GET", "/segments/%00/metrics"),
        ("GET", "/segments?q=%00"),
        ("GET", "/segments?tag=%00"),
        ("GET", "/segments?cursor=%00"),
        ("GET", "/segments?cursor=%C4%8D"),
        ("GET", "/segments?cursor=AAAA"),
        ("GET", "/segments?limit=0"),
        ("GET", "/segments?limit=1001"),
        ("GET", "/segments?status=gone"),
        ("GET", "/customers/%00"),
        ("DELETE", "/customers/%00"),
        ("GET", "/customers/%00/transitions"),
        ("GET", "/customers/%00/segments"),
        ("GET", "/customers/nobody/transitions?cursor=bm9uZQ=="),
        ("GET", "/traits/%00"),
        ("PUT", "/traits/%00"),
        ("DELETE", "/traits/a:b"),
        ("GET", "/jobs/0"),
        ("GET", "/jobs/99999999999999999999"),
        ("GET", "/jobs/x"),
        ("GET", "/nowhere"),
        ("PUT", "/healthz"),
    ],
)
async def test_paths_and_queries_that_are_refused(
    refusing: httpx.AsyncClient, method: str, path: str
) -> None:
    body = {"json": {}} if method in ("PUT", "PATCH", "POST") else {}
    answer = await refusing.request(method, path, **body)
    assert answer.status_code in (404, 405, 422), answer.text
    problem(answer, answer.status_code, answer.json()["code"])


async def test_filters(client: httpx.AsyncClient, services: Services) -> None:
    await services.publisher.save(
        [
            segment("a", ("age", ">", 1), owner="crm", tags=["x", "y"], dimensions=["value"]),
            segment("b", ("age", ">", 1), scheme="tier", priority=1, description="50%_off\\"),
            segment("c", ("model:m.label", "=", "x"), status="draft", tags=["y"]),
            segment("d", name="Žlutý kůň"),
        ]
    )
    await services.publisher.archive("a")

    async def found(**query: str) -> str:
        answer = await client.get("/segments", params=query)
        assert answer.status_code == 200, answer.text
        return "".join(item["key"] for item in answer.json()["items"])

    assert await found() == "abcd"
    assert await found(status="active") == "bd"
    assert await found(status="archived") == "a"
    assert await found(kind="list") == "d"
    assert await found(kind="model") == "c"
    assert await found(owner="crm") == "a"
    assert await found(tag="y") == "ac"
    assert await found(tag="y", status="draft") == "c"
    assert await found(dimension="value") == "a"
    assert await found(scheme="tier") == "b"
    assert await found(q="kůň") == "d"
    assert await found(q="50%_OFF\\") == "b"
    assert await found(q="%") == "b"
    assert await found(q="nothing") == ""


async def test_who_stays_throughout_appears_once(
    client: httpx.AsyncClient, services: Services
) -> None:
    await services.publisher.save([segment(f"s{n:02}", ("age", ">", n)) for n in range(20)])
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    for page in range(30):
        document = (await client.get("/segments", params=query)).json()
        seen += [item["key"] for item in document["items"]]
        # Others come and go before and behind the cursor meanwhile.
        await client.put(f"/segments/a{page}", json={"condition": ADULT})
        await client.put(f"/segments/z{page}", json={"condition": ADULT})
        query["cursor"] = document["next_cursor"]
        if query["cursor"] is None or "z0" in seen:
            break
    assert [key for key in seen if key.startswith("s")] == [f"s{n:02}" for n in range(20)]
    assert len(seen) == len(set(seen))


async def test_members_page_by_page(client: httpx.AsyncClient, services: Services) -> None:
    await services.publisher.save([segment("adult", ("age", ">=", 18))])
    ids = sorted(["Z", "a", "č", "🎉", "e\u0301", *(f"c-{n}" for n in range(12))], key=str.encode)
    for customer_id in ids:
        await assign(services, customer_id, age=20)
    await assign(services, "young", age=10)
    seen: list[Any] = []
    cursor: str | None = None
    while True:
        query: dict[str, Any] = {"limit": 5} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/segments/adult/members", params=query)).json()
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [member["customer_id"] for member in seen] == ids
    assert {member["version"] for member in seen} == {1}


async def test_lists_over_http(client: httpx.AsyncClient) -> None:
    created = await client.put("/segments/beta", json={"name": "Beta"})
    assert created.json()["kind"] == "list"
    await client.post("/assign", json={"customer_id": "c-1"})
    change = {"add": ["c-1", "later", "c-1"], "remove": ["nobody"]}
    changed = await client.post("/segments/beta/members", json=change)
    assert changed.json() == {"changed": 2}

    async def joined() -> bool:
        page = (await client.get("/segments/beta/members")).json()
        return [member["customer_id"] for member in page["items"]] == ["c-1"]

    await eventually(joined)
    customer = (await client.get("/customers/c-1")).json()
    assert customer["lists"] == ["beta"]
    assert [held["key"] for held in customer["segments"]] == ["beta"]
    later = await client.post("/assign", json={"customer_id": "later"})
    assert later.json()["entered"] == ["beta"]
    await client.put("/segments/rule", json={"condition": ADULT})
    answer = await client.post("/segments/rule/members", json={"add": ["c-1"]})
    problem(answer, 409, "kind")
    answer = await client.post("/segments/beta/members", json={"add": [""]})
    assert problem(answer, 422, "invalid") == ["/add/0"]
    problem(await client.post("/segments/nobody/members", json={}), 404, "not_found")


async def test_metrics_of_a_segment(client: httpx.AsyncClient, services: Services) -> None:
    await services.publisher.save([segment("adult", ("age", ">=", 18))])
    await assign(services, "c-1", age=20, revenue=30.5, orders=2)
    await assign(services, "c-2", age=10)
    figures = (await client.get("/segments/adult/metrics")).json()
    assert (figures["size"], figures["share"], figures["customers"]) == (1, 0.5, 2)
    assert (figures["revenue"], figures["orders"], figures["average_order_value"]) == (
        30.5, 2, 15.25,
    )  # fmt: skip
    problem(await client.get("/segments/nobody/metrics"), 404, "not_found")


async def test_a_definition_broken_by_hand_spoils_no_listing(
    client: httpx.AsyncClient, services: Services
) -> None:
    await services.publisher.save([segment("a", ("age", ">", 1)), segment("b", ("age", ">", 1))])
    async with connected(services.database.url.asyncpg) as outsider:
        for broken in ('{"name": 5, "tags": "x", "condition": 7}', '"text"', "null"):
            await outsider.execute("update segments set definition = $1 where key = 'a'", broken)
            listed = await client.get("/segments")
            assert [item["key"] for item in listed.json()["items"]] == ["a", "b"]
            assert (await client.get("/segments/a")).json()["name"] == "a"


async def test_declared_traits(client: httpx.AsyncClient, services: Services) -> None:
    declaration = {"type": "number", "dimension": "demographic", "description": "In years."}
    answer = await client.put("/traits/age", json=declaration)
    assert answer.json() == {"name": "age", **declaration}
    assert (await client.get("/traits/age")).json() == {"name": "age", **declaration}
    for name in ("work.pay", "b", "c"):
        assert (await client.put(f"/traits/{name}", json={"type": "money"})).status_code in (
            200, 201,
        )  # fmt: skip
    first = (await client.get("/traits", params={"limit": 3})).json()
    assert [item["name"] for item in first["items"]] == ["age", "b", "c"]
    second = (await client.get("/traits", params={"cursor": first["next_cursor"]})).json()
    assert [item["name"] for item in second["items"]] == ["work.pay"]
    assert second["next_cursor"] is None
    assert services.live.served.catalog.schema.types.keys() == {"age", "work.pay", "b", "c"}
    decision = await assign(services, "c-1", NOW, age="21")
    assert decision.state.traits == {"age": 21}
    assert (await client.delete("/traits/age")).status_code == 204
    problem(await client.get("/traits/age"), 404, "not_found")
    problem(await client.delete("/traits/age"), 404, "not_found")
    pointers = problem(await client.put("/traits/x", json={"type": "colour"}), 422, "invalid")
    assert pointers == ["/type"]
    problem(await client.put("/traits/customer.x", json={}), 422, "invalid")
