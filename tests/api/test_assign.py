"""`POST /assign`: every documented answer about one customer, over a real connection."""

import json
from urllib.parse import quote

import httpx
import pytest

from service.api.services import Services
from service.core.instants import DAY, format_instant
from tests.api.assigning import TREATMENT, assign, keys, with_segments
from tests.api.conftest import Served
from tests.running import NOW, Clock, connected

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(served: Served) -> httpx.AsyncClient:
    return await with_segments(served)


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
