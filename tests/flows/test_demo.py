"""The demo comes in as an import does, and goes out without a trace."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.api.services import Services
from service.commands.demo import demo_of
from service.core.instants import DAY, SECOND, from_datetime
from service.demo.household import Event, Household
from service.flows.demo import Demo, Removed
from service.flows.import_storing import ALONE
from service.flows.jobs import Stuck
from service.flows.publishing import Wanted
from service.store import models
from tests.running import NOW, assign, check_books, eventually, running, segment
from tests.scoring import generated

pytestmark = pytest.mark.anyio

SEGMENTS = [
    {
        "key": "regulars",
        "name": "Regulars",
        "condition": {
            "combinator": "and",
            "rules": [{"field": "orders", "operator": ">=", "value": 10}],
        },
    },
    {
        "key": "labelled",
        "condition": {
            "combinator": "and",
            "rules": [{"field": f"model:{generated.NAME}.label", "operator": "notNull"}],
        },
    },
    {
        "key": "later",
        "status": "draft",
        "condition": {
            "combinator": "and",
            "rules": [{"field": "nps", "operator": ">=", "value": 9}],
        },
    },
]
TRAITS = {
    "age": {"type": "number", "dimension": "demographic"},
    "rank": {"rank": {"of": "orders"}},
}
TABLES = ("customers", "memberships", "transitions", "trait_history", "segments", "traits",
          "models", "segment_versions", "segment_metrics", "list_members", "events", "orders",
          "histories", "rank_cuts")  # fmt: skip


def households(count: int) -> list[Household]:
    source = random.Random(4)
    return [
        Household(f"h-{number}", {"age": number}, [*orders(number, source.randrange(1, 20))])
        for number in range(count)
    ]


def orders(number: int, count: int) -> Iterator[Event]:
    for place in range(count):
        at = NOW - (number + place * 700) * 60 * SECOND
        order = {
            "order_id": f"{number}-{place}", "revenue": "7.50",
            "products": [{"product_id": "p", "price": "7.50"}],
        }  # fmt: skip
        yield Event("Order Completed", at, f"{number}-{place}", order)


async def load(services: Services, customers: list[Household], bundles: Path) -> Demo:
    """What the command does, on other data."""
    demo = demo_of(services)
    _, digest = generated.published(bundles, generated.trained(count=300))
    facts: dict[str, Any] = {
        "customers": [customer.customer_id for customer in customers],
        "segments": [document["key"] for document in SEGMENTS],
        "traits": list(TRAITS),
        "model": generated.NAME,
    }
    told: list[tuple[int, int]] = []
    await demo.begin(facts)
    await demo.declare_traits(TRAITS)
    facts["versions"] = await demo.save_segments(SEGMENTS)
    await demo.load(iter(customers), ALONE, lambda stored, events: told.append((stored, events)))
    await demo.refresh_ranks()
    await services.publisher.activate_model(generated.NAME, "1", digest, {})
    await demo.settled()
    await demo.finish(facts)
    assert told[-1] == (len(customers), sum(len(each.events) for each in customers))
    return demo


async def counts(outsider: Any) -> dict[str, int]:
    return {name: await outsider.fetchval(f"select count(*) from {name}") for name in TABLES}


async def test_loading_and_removing(database_url: str, outsider: Any, tmp_path: Path) -> None:
    customers = households(700)
    async with running(database_url, models_dir=tmp_path) as services:
        before = await counts(outsider)
        demo = await load(services, customers, tmp_path)
        regulars = {each.customer_id for each in customers if len(each.events) >= 10}
        rows = await outsider.fetch(
            "select customer_id from memberships where segment_key = 'regulars'"
        )
        assert {row[0] for row in rows} == regulars
        assert await outsider.fetchval("select count(*) from customers") == 700
        placed = sum(len(each.events) for each in customers)
        stored = await outsider.fetchrow("select count(*), sum(net) from orders")
        assert (stored[0], float(stored[1])) == (placed, placed * 7.5)
        known = await demo.profiles(["age", "orders", "average_order_value", "rank"])
        assert {who: traits["orders"] for who, traits in known.items()} == {
            each.customer_id: len(each.events) for each in customers
        }
        assert known["h-7"]["age"] == 7
        assert {traits["average_order_value"] for traits in known.values()} == {7.5}
        fewer = sum(len(each.events) < len(customers[7].events) for each in customers)
        assert known["h-7"]["rank"] == fewer / len(customers)
        reasons = await outsider.fetch("select distinct reason ->> 'kind' from transitions")
        assert {row[0] for row in reasons} <= {"import", "rank", "model"}
        assert await outsider.fetchval(
            "select (metrics -> 'size')::int from segment_metrics where segment_key = 'regulars'"
        ) == len(regulars)
        assert services.live.served.catalog.segments.keys() == {"regulars", "labelled"}
        assert (await demo.state() or {})["state"] == "loaded"
        await check_books(outsider)

        assert await demo.remove() == Removed(700)
        assert await counts(outsider) == before
        assert await demo.state() == {"state": "removed"}
        told = (
            "select difference -> 'segments' -> 'before' from audit where action = 'demo.removed'"
        )
        assert json.loads(await outsider.fetchval(told)) == sorted(
            document["key"] for document in SEGMENTS
        )
        assert services.live.served.catalog.segments == {}
        assert services.live.served.models == ()
        assert await demo.remove() == Removed(0)


async def test_removing_leaves_what_is_the_users_own(
    database_url: str, outsider: Any, tmp_path: Path
) -> None:
    async with running(database_url, models_dir=tmp_path) as services:
        demo = await load(services, households(20), tmp_path)
        await services.publisher.save(
            [segment("mine", ("age", ">", 1)), segment("leans", ("segment:regulars", "=", True))]
        )
        await assign(services, "mine-1", age=2, orders=50)
        assert await demo.remove() == Removed(20)
        assert services.live.served.catalog.segments.keys() == {"mine"}
        assert services.live.served.catalog.refused_keys == {"leans"}

        async def settled() -> bool:
            rows = await outsider.fetch("select segment_key from memberships order by 1")
            return [row[0] for row in rows] == ["leans", "mine"]

        await eventually(settled)
        assert await outsider.fetchval("select customer_id from customers") == "mine-1"
        decision = await assign(services, "mine-1", age=3)
        assert "regulars" not in decision.state.memberships


@pytest.mark.parametrize("noted", [True, False], ids=["versions noted", "an earlier demo"])
async def test_removing_leaves_the_segments_that_the_user_has_replaced(
    database_url: str, outsider: Any, tmp_path: Path, noted: bool
) -> None:
    """Also those made draft or archived since; one that was only made draft or archived goes."""
    async with running(database_url, models_dir=tmp_path) as services:
        demo = await load(services, households(20), tmp_path)
        if not noted:
            await outsider.execute(
                "update workspace set value = value - 'versions' where name = 'demo'"
            )
        publisher = services.publisher
        await publisher.save([segment("regulars", ("orders", ">=", 2))])
        await publisher.archive("labelled")
        mine = {"condition": SEGMENTS[2]["condition"], "owner": "me"}
        await publisher.save([Wanted("later", "draft", mine)])
        await publisher.archive("later")
        await assign(services, "mine-1", orders=50)
        assert await demo.remove() == Removed(20, ("later", "regulars"))
        rows = await outsider.fetch("select key, status, version from segments order by key")
        assert [tuple(row) for row in rows] == [("later", "archived", 3), ("regulars", "active", 2)]
        assert services.live.served.catalog.segments.keys() == {"regulars"}
        assert await outsider.fetchval("select count(*) from segment_versions") == 5
        assert "regulars" in (await assign(services, "mine-1", orders=60)).state.memberships


async def test_loading_that_was_cut_off_begins_anew(
    database_url: str, outsider: Any, tmp_path: Path
) -> None:
    customers = households(30)
    async with running(database_url, models_dir=tmp_path) as services:
        demo = demo_of(services)
        ids = [each.customer_id for each in customers]
        await demo.begin({"customers": ids, "segments": [], "traits": [], "model": generated.NAME})
        await demo.load(customers[:10], ALONE, lambda stored, events: None)
        state = await demo.state()
        assert state is not None
        assert state["state"] == "loading"
        # Dates are moved by a week more meanwhile: nothing is left of where they were.
        later = [
            each._replace(events=[e._replace(at=e.at + 7 * DAY) for e in each.events])
            for each in customers
        ]
        await load(services, later, tmp_path)
        assert await outsider.fetchval("select count(*) from customers") == 30
        placed = await outsider.fetchval("select max(placed_at) from orders")
        assert from_datetime(placed) == max(e.at for each in later for e in each.events)
        await check_books(outsider)


async def test_a_household_that_is_refused_is_told(database_url: str, tmp_path: Path) -> None:
    async with running(database_url, models_dir=tmp_path) as services:
        nameless = Household("h-1", {"name": "\0"}, ())
        with pytest.raises(Stuck, match="can't be stored"):
            await demo_of(services).load([nameless], ALONE, lambda stored, events: None)


async def test_a_model_of_the_demo_is_registered_once_as_active(
    database_url: str, outsider: Any, tmp_path: Path
) -> None:
    async with running(database_url, models_dir=tmp_path) as services:
        _, digest = generated.published(tmp_path, generated.trained(count=300))
        for _ in range(2):
            await services.publisher.activate_model(generated.NAME, "1", digest, {})
        await services.publisher.activate_model(generated.NAME, "2", digest, {})
        rows = await outsider.fetch("select version, status from models order by version")
        assert [tuple(row) for row in rows] == [("1", "retired"), ("2", "active")]
        async with services.database.engine.connect() as connection:
            assert await models.versions(connection, generated.NAME) == ["1", "2"]
