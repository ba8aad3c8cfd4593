"""Following: other processes' changes arrive, and what can't be served is refused alone."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.api.services import Services
from service.store import models
from tests.running import assign, eventually, running, segment
from tests.scoring import generated

pytestmark = pytest.mark.anyio

ADULT = ("age", ">=", 18)


@pytest.fixture
async def follower(database_url: str) -> AsyncIterator[Services]:
    async with running(database_url) as parts:
        yield parts


async def bump(outsider: Any) -> None:
    await outsider.execute("update catalog_head set revision = revision + 1")


def refusals(services: Services) -> dict[str, str]:
    return {
        refusal.key: " ".join(problem.detail for problem in refusal.problems)
        for refusal in services.live.served.catalog.refused
    }


async def test_another_process_follows(services: Services, follower: Services) -> None:
    await services.publisher.save([segment("adult", ADULT)])
    await eventually(lambda: "adult" in follower.live.served.catalog.segments)
    await services.publisher.save([segment("adult", ("age", ">=", 21))])
    await eventually(lambda: follower.live.served.revision == 2)
    assert (await follower.assigner.anonymous({"age": 20})).truths == 0
    await services.publisher.archive("adult")
    await eventually(lambda: not follower.live.served.catalog.segments)


@pytest.mark.parametrize(
    "definition",
    [
        '{"condition": {"combinator": "and", "rules": [{"field": "age", "operator": "about"}]}}',
        '{"condition": {"combinator": "and", "rules": []}}',
        '{"condition": "age > 18"}',
        '{"condition": {"combinator": "and", "rules": [7]}}',
        '"not an object"',
        "null",
        "[]",
        '{"condition": {"combinator": "and", "rules": [{"field": "age", "operator": ">=", '
        '"value": 18}]}, "scheme": "tier", "priority": "first"}',
        '{"condition": {"combinator": "and", "rules": [{"field": "age", "operator": ">=", '
        '"value": 18}]}, "scheme": ["tier"], "priority": 3}',
        '{"condition": {"combinator": "and", "rules": [{"field": "age", "operator": ">=", '
        '"value": 18}]}, "name": {"en": "Adult"}}',
        '{"condition": {"combinator": "and", "rules": [{"field": "age", "operator": ">=", '
        '"value": 18}]}, "treatment": 5}',
    ],
)
async def test_a_definition_broken_by_hand_is_refused_and_the_rest_serves(
    database_url: str, services: Services, outsider: Any, definition: str
) -> None:
    await services.publisher.save(
        [
            segment("broken", ADULT),
            segment("sound", ADULT),
            segment("leans", ("segment:broken", "=", True)),
            segment("gold", ADULT, scheme="tier", priority=1),
        ]
    )
    await assign(services, "c-1", age=20)
    await outsider.execute("update segments set definition = $1 where key = 'broken'", definition)
    await bump(outsider)
    await eventually(lambda: services.live.served.revision == 2)
    assert refusals(services).keys() == {"broken", "leans"}
    assert all(refusals(services).values())
    assert services.live.served.catalog.segments.keys() == {"sound", "gold"}
    # Nobody is thrown out of a segment because its definition can't be read.
    decision = await assign(services, "c-1", age=30)
    assert decision.transitions == []
    assert decision.state.memberships.keys() == {"broken", "leans", "sound", "gold"}
    # One that starts now serves the same, and a good definition heals it.
    async with running(database_url) as restarted:
        assert refusals(restarted) == refusals(services)
        await restarted.publisher.save([segment("broken", ADULT, owner="crm")])
        assert refusals(restarted) == {}
    await eventually(lambda: refusals(services) == {})


async def test_a_traits_type_broken_by_hand_is_passed_over(
    database_url: str, services: Services, outsider: Any
) -> None:
    await services.publisher.save([segment("adult", ADULT)])
    await outsider.execute(
        "insert into traits (name, definition, updated_at) values "
        """('age', '{"type": "number"}', now()), ('odd', '{"type": "colour"}', now()),"""
        """('other', '7', now())"""
    )
    await bump(outsider)
    await eventually(lambda: services.live.served.revision == 2)
    assert services.live.served.catalog.schema.types.keys() == {"age"}
    assert services.live.served.catalog.segments.keys() == {"adult"}


async def test_a_catalog_that_cannot_be_read_leaves_the_last_one(
    services: Services, outsider: Any
) -> None:
    await services.publisher.save([segment("adult", ADULT)])
    await outsider.execute("alter table traits rename to elsewhere")
    await bump(outsider)
    await eventually(lambda: not services.live.store_available)
    assert services.live.served.catalog.segments.keys() == {"adult"}
    await outsider.execute("alter table elsewhere rename to traits")
    await eventually(lambda: services.live.served.revision == 2)
    await eventually(lambda: services.live.store_available)


async def register(services: Services, version: str, digest: str) -> None:
    async with services.publisher.publication("model", generated.NAME) as connection:
        at = generated.CREATED_AT
        await models.register(connection, generated.NAME, version, digest, {}, at)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with two versions of a model, and their digests."""
    folder = tmp_path_factory.mktemp("bundles")
    digests = {
        version: generated.published(folder, generated.trained(version, count=400))[1]
        for version in ("1", "2")
    }
    return folder, digests


async def test_a_bad_bundle_leaves_the_last_good_one(
    database_url: str, bundles: tuple[Path, dict[str, str]]
) -> None:
    folder, digests = bundles
    household = generated.households(1)[0]
    top = segment("labelled", (f"model:{generated.NAME}.label", "notNull", None))
    async with running(database_url, models_dir=folder) as services:
        await services.publisher.save([top])
        assert (await services.assigner.anonymous(household)).truths == 0
        await register(services, "1", digests["1"])
        assert (await services.assigner.anonymous(household)).truths == 1
        # The digest that counts is the registered one.
        await register(services, "2", "0" * 64)
        served = services.live.served
        assert [(model.name, model.version) for model in served.models] == [(generated.NAME, "1")]
        [refused] = served.refused_models
        assert (refused.name, refused.version) == (generated.NAME, "2")
        assert refused.reason
        assert (await services.assigner.anonymous(household)).truths == 1
        # So does one that is not there; a good one heals it.
        await register(services, "3", digests["1"])
        assert [model.version for model in services.live.served.models] == ["1"]
        await register(services, "2", digests["2"])
        assert [model.version for model in services.live.served.models] == ["2"]
        assert services.live.served.refused_models == ()


async def test_without_its_bundle_a_model_says_nothing_and_the_rest_serves(
    database_url: str, bundles: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    async with running(database_url, models_dir=bundles[0]) as services:
        await register(services, "1", bundles[1]["1"])
        await services.publisher.save([segment("adult", ADULT)])
    async with running(database_url, models_dir=tmp_path) as services:
        assert services.live.served.models == ()
        assert len(services.live.served.refused_models) == 1
        assert (await services.assigner.anonymous({"age": 20})).truths == 1


async def test_what_a_model_says_is_stored_with_its_reason(
    database_url: str, bundles: tuple[Path, dict[str, str]], outsider: Any
) -> None:
    folder, digests = bundles
    async with running(database_url, models_dir=folder) as services:
        top = segment("labelled", (f"model:{generated.NAME}.label", "notNull", None))
        await services.publisher.save([top])
        await assign(services, "c-1", **generated.households(1)[0])
        assert await outsider.fetchval("select count(*) from memberships") == 0
        await register(services, "1", digests["1"])

        async def joined() -> bool:
            return bool(await outsider.fetchval("select count(*) from memberships"))

        await eventually(joined)
        reason = await outsider.fetchval("select reason::text from transitions")
        assert json.loads(reason) == {"kind": "model"}
