"""The SDKs that people have installed, against the running service, over a network that loses
answers: nothing is lost, and nothing is there twice."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from rudderstack.analytics.client import Client as RudderClient
from segment.analytics.client import Client as SegmentClient

from tests.process.bad_network import BUSY, LIMITED, LOST, PASSED, bad_network
from tests.process.service import Service

pytestmark = pytest.mark.anyio

EVENTS = 200
CUSTOMERS = 20
# Few at a time, so that there are many requests to go wrong.
AT_ONCE = 20


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path, tmp_path / "data", DATABASE_URL=database_url) as running:
        yield running.ready()


def make(service: Service, source_id: str) -> str:
    with service.client() as client:
        wanted = {"id": source_id, "name": source_id, "type": "server"}
        answer = client.post("/sources", json=wanted)
        assert answer.status_code == 201, answer.text
        key: str = answer.json()["write_key"]
        return key


def segment(key: str, host: str, failed: Callable[..., None], *, gzip: bool) -> Any:
    return SegmentClient(
        key, host=host, on_error=failed, gzip=gzip, upload_size=AT_ONCE, upload_interval=0.05
    )


def rudder(key: str, host: str, failed: Callable[..., None], *, gzip: bool) -> Any:
    return RudderClient(
        key, host=host, on_error=failed, gzip=gzip, upload_size=AT_ONCE, upload_interval=0.05
    )


def say_all(sdk: Any) -> None:
    """A day in a shop: identified once, then events, some of them of people without a name."""
    for n in range(CUSTOMERS):
        # RudderStack's SDK has traits in the context only.
        given = {"firstName": f"Name {n}", "number": n}
        if isinstance(sdk, RudderClient):
            sdk.identify(f"c-{n}", traits=given, context={"traits": given})
        else:
            sdk.identify(f"c-{n}", traits=given)
    for n in range(EVENTS):
        who = {"user_id": f"c-{n % CUSTOMERS}"} if n % 10 else {"anonymous_id": f"a-{n}"}
        sdk.track(event="Order Completed", properties={"order_id": f"o-{n}", "total": n}, **who)
    sdk.page(user_id="c-0", name="Home", properties={"path": "/"})
    sdk.screen(user_id="c-0", name="Basket")
    sdk.group(user_id="c-0", group_id="g-1", traits={"name": "Acme"})
    # Neither waits for ever: a message that is given up is told to `failed`.
    sdk.flush()
    sdk.join()


@pytest.mark.parametrize(
    ("sdk", "gzip"),
    [(segment, False), (segment, True), (rudder, True)],
    ids=["segment", "segment-gzip", "rudder"],
)
async def test_nothing_is_lost_and_nothing_doubled(
    sdk: Callable[..., Any], gzip: bool, service: Service, database_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.CRITICAL)  # they log each failed attempt
    given_up: list[Any] = []
    key = make(service, "shop")
    with bad_network(service.port) as network:
        say_all(sdk(key, network.url, lambda *told: given_up.append(told), gzip=gzip))
    assert given_up == []
    assert min(network.happened[fate] for fate in (BUSY, LIMITED, LOST, PASSED)) >= 2
    assert set(network.statuses) == {200}
    assert {headers.get("content-encoding") for headers in network.headers} == (
        {"gzip"} if gzip else {None}
    )
    connection = await asyncpg.connect(database_url)
    try:
        told = await connection.fetch(
            "select customer_id, name, properties ->> 'order_id' as order_id from events"
        )
        orders = [row["order_id"] for row in told if row["name"] == "Order Completed"]
        assert sorted(orders) == sorted(f"o-{n}" for n in range(EVENTS))
        rest = sorted(row["name"] for row in told if row["name"] != "Order Completed")
        assert rest == ["Page Viewed", "Screen Viewed"]
        anonymous = [row for row in told if row["customer_id"].startswith("anon_")]
        assert len({row["customer_id"] for row in anonymous}) == len(anonymous) == EVENTS // 10
        assert await connection.fetchval("select count(*) from rejects") == 0
        assert await connection.fetchval("select count(*) from customers") == CUSTOMERS + len(
            anonymous
        )
    finally:
        await connection.close()
    with service.client() as client:
        for n in range(CUSTOMERS):
            traits = client.get(f"/customers/c-{n}").json()["traits"]
            assert (traits["first_name"], traits["number"]) == (f"Name {n}", n)
        first = client.get("/customers/c-0").json()["traits"]
        assert (first["group_id"], first["company"]) == ("g-1", {"name": "Acme"})


@pytest.mark.parametrize("sdk", [segment, rudder], ids=["segment", "rudder"])
def test_a_refused_batch_is_told_and_not_sent_again(
    sdk: Callable[..., Any], service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDKs read `code` and `message` of a refusal."""
    caplog.set_level(logging.CRITICAL)
    given_up: list[Any] = []
    client = sdk("sgw_wrong", service.url, lambda *told: given_up.append(told), gzip=True)
    client.track(user_id="c-1", event="Opened")
    client.flush()
    client.join()
    ((error, batch),) = given_up
    assert len(batch) == 1
    assert (error.status, error.code) == (401, "key_refused")
    assert error.message == "this is the write key of no source"
