"""Publishing: what makes a version, a revision, a job, and who publishes at the same time."""

import asyncio
import inspect
import threading
from pathlib import Path
from typing import Any

import pytest

from service.api.services import Services
from service.core.parsing import Invalid
from service.flows.publishing import Conflict, Unknown
from tests.flows.publishing import ADULT, faults
from tests.running import Clock, running, segment

pytestmark = pytest.mark.anyio


async def versions(outsider: Any, key: str) -> list[tuple[int, str]]:
    rows = await outsider.fetch(
        "select version, status from segment_versions where key = $1 order by version", key
    )
    return [tuple(row) for row in rows]


async def causes(outsider: Any) -> list[tuple[str, str]]:
    rows = await outsider.fetch(
        "select cause, keys::text from catalog_revisions where revision > 0 order by revision"
    )
    return [tuple(row) for row in rows]


async def jobs(outsider: Any) -> int:
    return int(await outsider.fetchval("select count(*) from jobs"))


async def test_a_saved_segment_is_live_at_once(services: Services, outsider: Any) -> None:
    [row] = await services.publisher.save([segment("adult", ADULT)])
    assert (row.version, row.kind, row.status) == (1, "rule", "active")
    assert "18" in row.summary
    assert services.live.served.catalog.segments.keys() == {"adult"}
    assert services.live.served.revision == 1
    assert await outsider.fetchval("select revision from catalog_head") == 1
    assert await causes(outsider) == [("definition", '["adult"]')]
    assert await jobs(outsider) == 1


async def test_saving_the_same_again_changes_nothing(services: Services, outsider: Any) -> None:
    await services.publisher.save([segment("adult", ADULT)])
    await services.publisher.save([segment("adult", ADULT)])
    assert await versions(outsider, "adult") == [(1, "active")]
    assert services.live.served.revision == 1
    assert await jobs(outsider) == 1


async def test_another_condition_is_another_version_and_decides_anew(
    services: Services, outsider: Any
) -> None:
    await services.publisher.save([segment("adult", ADULT)])
    [row] = await services.publisher.save([segment("adult", ("age", ">=", 21))])
    assert row.version == 2
    assert await versions(outsider, "adult") == [(1, "active"), (2, "active")]
    assert await jobs(outsider) == 2


async def test_another_name_decides_nothing_anew(services: Services, outsider: Any) -> None:
    await services.publisher.save([segment("adult", ADULT)])
    await services.publisher.save([segment("adult", ADULT, name="Grown up")])
    assert services.live.served.revision == 2
    assert services.live.served.catalog.segments["adult"].definition.name == "Grown up"
    assert await jobs(outsider) == 1


async def test_drafts_are_kept_but_not_served(services: Services, outsider: Any) -> None:
    [row] = await services.publisher.save(
        [segment("draft", ("segment:nowhere", "=", True), status="draft")]
    )
    assert (row.version, row.status) == (1, "draft")
    assert services.live.served.catalog.segments == {}
    assert await causes(outsider) == []
    with pytest.raises(Invalid) as refused:
        await services.publisher.save([segment("draft", ("segment:nowhere", "=", True))])
    assert faults(refused.value) == [("/condition/rules/0/field", "unknown_segment")]
    await services.publisher.save([segment("nowhere", ADULT)])
    await services.publisher.save([segment("draft", ("segment:nowhere", "=", True))])
    assert await versions(outsider, "draft") == [(1, "draft"), (2, "active")]
    assert services.live.served.catalog.segments.keys() == {"draft", "nowhere"}


async def test_a_draft_has_to_be_readable(services: Services) -> None:
    with pytest.raises(Invalid) as refused:
        await services.publisher.save([segment("draft", ("age", "about", 18), status="draft")])
    assert [pointer for pointer, _ in faults(refused.value)] == ["/condition/rules/0/operator"]


async def test_archiving_and_reviving(services: Services, outsider: Any) -> None:
    await services.publisher.save([segment("adult", ADULT)])
    await services.publisher.archive("adult")
    assert services.live.served.catalog.segments == {}
    await services.publisher.archive("adult")  # again: nothing to do
    [row] = await services.publisher.save([segment("adult", ADULT)])
    assert row.version == 3
    assert await versions(outsider, "adult") == [(1, "active"), (2, "archived"), (3, "active")]
    assert services.live.served.catalog.segments.keys() == {"adult"}
    with pytest.raises(Unknown):
        await services.publisher.archive("nobody")


async def test_creating_what_is_there_is_a_conflict(services: Services) -> None:
    await services.publisher.save([segment("adult", ADULT)], create=True)
    with pytest.raises(Conflict) as taken:
        await services.publisher.save([segment("adult", ("age", ">=", 21))], create=True)
    assert taken.value.code == "exists"
    await services.publisher.archive("adult")
    [row] = await services.publisher.save([segment("adult", ADULT)], create=True)
    assert row.status == "active"


async def test_of_several_all_or_none_are_saved(services: Services, outsider: Any) -> None:
    with pytest.raises(Invalid) as refused:
        await services.publisher.save(
            [
                segment("a", ADULT),
                segment("b", ("age", "about", 18)),
                segment("c", ("tags", "contains", 5)),
            ]
        )
    assert [pointer.split("/")[1] for pointer, _ in faults(refused.value)] == ["1", "2"]
    with pytest.raises(Invalid) as dangling:
        await services.publisher.save([segment("a", ADULT), segment("b", ("segment:x", "=", True))])
    assert faults(dangling.value) == [("/1/condition/rules/0/field", "unknown_segment")]
    with pytest.raises(Invalid) as circle:
        await services.publisher.save(
            [segment("a", ("segment:b", "=", True)), segment("b", ("segment:a", "=", True))]
        )
    assert faults(circle.value) == [
        ("/0/condition/rules/0/field", "cycle"),
        ("/1/condition/rules/0/field", "cycle"),
    ]
    await services.publisher.save([segment("taken", ADULT)])
    with pytest.raises(Conflict):
        await services.publisher.save([segment("a", ADULT), segment("taken", ADULT)], create=True)
    assert await outsider.fetchval("select array_agg(key) from segments") == ["taken"]
    assert services.live.served.revision == 1


async def test_several_are_one_revision(services: Services, outsider: Any) -> None:
    await services.publisher.save([segment("vip", ("segment:adult", "=", True)),
                                   segment("adult", ADULT)])  # fmt: skip
    assert services.live.served.revision == 1
    assert await causes(outsider) == [("definition", '["vip", "adult"]')]
    assert await jobs(outsider) == 1


async def test_lists_change_by_their_members(services: Services, outsider: Any) -> None:
    [row] = await services.publisher.save([segment("beta")])
    assert row.kind == "list"
    assert await services.lists.change("beta", ["b", "a", "a"], []) == 2
    assert await services.lists.change("beta", ["b", "c"], ["a", "nobody"]) == 2
    members = await outsider.fetch("select customer_id from list_members order by 1")
    assert [row[0] for row in members] == ["b", "c"]
    before = services.live.served.revision
    assert await services.lists.change("beta", ["b"], ["a"]) == 0
    assert services.live.served.revision == before
    assert [cause for cause, _ in await causes(outsider)] == ["definition", "list", "list"]


async def test_only_lists_have_members_to_change(services: Services) -> None:
    await services.publisher.save([segment("adult", ADULT)])
    with pytest.raises(Conflict) as refused:
        await services.lists.change("adult", ["a"], [])
    assert refused.value.code == "kind"
    with pytest.raises(Unknown):
        await services.lists.change("nobody", ["a"], [])


async def test_a_list_and_a_condition_do_not_turn_into_each_other(services: Services) -> None:
    await services.publisher.save([segment("beta"), segment("adult", ADULT)])
    for change in (segment("beta", ADULT), segment("adult")):
        with pytest.raises(Conflict) as refused:
            await services.publisher.save([change])
        assert refused.value.code == "kind"


async def test_a_condition_that_reads_a_model_is_of_that_kind(services: Services) -> None:
    [row] = await services.publisher.save([segment("top", ("model:tiers.label", "=", "tier-1"))])
    assert row.kind == "model"


async def test_two_who_publish_at_once_take_turns(database_url: str, outsider: Any) -> None:
    async with (
        running(database_url, Clock()) as one,
        running(database_url, Clock(), background=False) as other,
    ):
        await asyncio.gather(
            *(
                publisher.save([segment(f"{name}-{number}", ("age", ">", number))])
                for number in range(10)
                for name, publisher in (("one", one.publisher), ("other", other.publisher))
            )
        )
        await other.publisher.save([segment("last", ADULT)])
        assert other.live.served.revision == 21
        assert len(other.live.served.catalog.segments) == 21
        revisions = await outsider.fetch("select revision from catalog_revisions order by 1")
        assert [row[0] for row in revisions if row[0] > 0] == list(range(1, 22))


async def test_of_two_who_take_one_place_one_is_refused(database_url: str) -> None:
    """Each checks against what the other has published, not against what it has seen."""
    async with (
        running(database_url, background=False) as one,
        running(database_url, background=False) as other,
    ):
        outcomes = await asyncio.gather(
            one.publisher.save([segment("gold", ADULT, scheme="tier", priority=1)]),
            other.publisher.save([segment("silver", ADULT, scheme="tier", priority=1)]),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Invalid", "list"]


class Noting(list[Any]):
    """Values that note in which threads the core goes through them."""

    def __init__(self, values: Any) -> None:
        super().__init__(values)
        self.threads: set[int] = set()

    def __iter__(self) -> Any:
        if inspect.stack(0)[1].filename.endswith(CORE):
            self.threads.add(threading.get_ident())
        return super().__iter__()


CORE = tuple(str(Path("service", "core", name)) for name in ("operands.py", "english.py"))


@pytest.mark.parametrize("status", ["active", "draft"])
async def test_a_definition_is_compiled_beside_the_event_loop(
    services: Services, status: str
) -> None:
    values = Noting(range(100))
    [row] = await services.publisher.save([segment("listed", ("n", "in", values), status=status)])
    assert values.threads
    assert threading.get_ident() not in values.threads
    values.threads.clear()
    await services.publisher.warnings(row)
    assert values.threads
    assert threading.get_ident() not in values.threads


async def test_how_many_values_a_rule_holds_is_a_setting(database_url: str) -> None:
    async with running(database_url, values_limit=5) as services:
        await services.publisher.save([segment("few", ("n", "in", [*range(5)]))])
        with pytest.raises(Invalid) as refused:
            await services.publisher.save([segment("many", ("n", "in", [*range(6)]))])
        assert faults(refused.value) == [("/condition/rules/0/value", "too_many")]
