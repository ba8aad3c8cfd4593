"""The demo comes in as any caller's data would, and goes out without a trace."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from service.api.services import Services
from service.flows.demo import Demo, Removed
from service.flows.publishing import Wanted
from service.store import models
from tests.running import assign, check_books, eventually, running, segment
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
TRAITS = {"orders": {"type": "number", "dimension": "value"}}
TABLES = ("customers", "memberships", "transitions", "trait_history", "segments", "traits",
          "models", "segment_versions", "segment_metrics", "list_members")  # fmt: skip


def households(count: int) -> list[dict[str, Any]]:
    source = random.Random(4)
    return [
        {"customer_id": f"h-{number}", "traits": generated.household(source)}
        for number in range(count)
    ]


async def load(services: Services, customers: list[dict[str, Any]], bundles: Path) -> Demo:
    """What the command does, on other data."""
    demo = demo_of(services)
    _, digest = generated.published(bundles, generated.trained(count=300))
    facts: dict[str, Any] = {
        "customers": [customer["customer_id"] for customer in customers],
        "segments": [document["key"] for document in SEGMENTS],
        "traits": list(TRAITS),
        "model": generated.NAME,
    }
    told: list[tuple[int, int]] = []
    await demo.begin(facts)
    await demo.declare_traits(TRAITS)
    await services.publisher.activate_model(generated.NAME, "1", digest, {})
    facts["versions"] = await demo.save_segments(SEGMENTS)
    await demo.load_customers(customers, lambda done, total: told.append((done, total)))
    await demo.finish(facts)
    assert told[-1] == (len(customers), len(customers))
    return demo


def demo_of(services: Services) -> Demo:
    return Demo(
        services.database, services.publisher, services.writer, services.jobs, services.clock
    )


async def counts(outsider: Any) -> dict[str, int]:
    return {name: await outsider.fetchval(f"select count(*) from {name}") for name in TABLES}


async def test_loading_and_removing(database_url: str, outsider: Any, tmp_path: Path) -> None:
    customers = households(700)
    async with running(database_url, models_dir=tmp_path) as services:
        before = await counts(outsider)
        demo = await load(services, customers, tmp_path)
        regulars = {c["customer_id"] for c in customers if c["traits"]["orders"] >= 10}
        rows = await outsider.fetch(
            "select customer_id from memberships where segment_key = 'regulars'"
        )
        assert {row[0] for row in rows} == regulars
        assert await outsider.fetchval("select count(*) from customers") == 700
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
        await demo.begin({"customers": [], "segments": [], "traits": [], "model": generated.NAME})
        await demo.load_customers(customers[:10], lambda done, total: None)
        state = await demo.state()
        assert state is not None
        assert state["state"] == "loading"
        await load(services, customers, tmp_path)
        assert await outsider.fetchval("select count(*) from customers") == 30
        await check_books(outsider)


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
