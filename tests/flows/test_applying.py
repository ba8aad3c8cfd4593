"""Applying definitions: the difference told before is the one that happens, whole or not at all."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from service.api.services import Services
from service.core.access import Author
from service.core.parsing import Invalid
from service.core.sameness import same
from service.flows.applying import Applier, Moves, Plan
from service.flows.checking import Wanted
from service.flows.publishing import Conflict, Stale
from tests.running import assign, check_books, eventually, group, segment

pytestmark = pytest.mark.anyio


@pytest.fixture
def applier(services: Services) -> Applier:
    return Applier(
        services.database, services.live, services.publisher, services.settings, services.clock
    )


async def settled(services: Services, outsider: Any) -> None:
    async def idle() -> bool:
        services.jobs.wake()
        left = await outsider.fetchval("select count(*) from jobs where status <> 'done'")
        return bool(left == 0)

    await eventually(idle)


async def stand(outsider: Any) -> tuple[Any, ...]:
    """What a refused change leaves as it was."""
    row = await outsider.fetchrow(
        "select (select revision from catalog_head), (select count(*) from segment_versions), "
        "(select count(*) from audit)"
    )
    return tuple(row)


def actions(plan: Plan) -> dict[str, str]:
    return {step.wanted.key: step.action for step in plan.steps}


async def test_it_tells_each_difference(services: Services, applier: Applier) -> None:
    kept = segment("kept", ("age", ">", 1), description="", tags=[])
    await services.publisher.save(
        [kept, segment("changed", ("age", ">", 2), owner="crm"), segment("gone", ("age", ">", 3))]
    )
    await services.publisher.archive("gone")
    wanted = [
        # What is empty is as good as absent, and 1.0 is 1.
        segment("kept", ("age", ">", 1.0)),
        segment("changed", ("age", ">", 20), tags=["x"]),
        segment("gone", ("age", ">", 3)),
        segment("new"),
    ]
    plan = await applier.plan(wanted)
    assert actions(plan) == {
        "kept": "unchanged", "changed": "changed", "gone": "revived", "new": "created",
    }  # fmt: skip
    changed = plan.steps[1]
    assert changed.difference.keys() == {"condition", "tags", "owner"}
    assert changed.difference["owner"] == {"before": "crm"}
    assert changed.difference["tags"] == {"after": ["x"]}
    assert changed.summary == ("Age is more than 2.", "Age is more than 20.")


async def test_moves_are_those_that_happen(
    services: Services, applier: Applier, outsider: Any
) -> None:
    await services.publisher.save(
        [
            segment("adult", ("age", ">=", 18)),
            segment("minor", ("segment:adult", "=", False)),
            segment("gold", ("spent", ">", 80), scheme="tier", priority=1),
            segment("silver", ("spent", ">", 40), scheme="tier", priority=2),
            segment("rich-adult", ("segment:adult", "=", True), ("segment:gold", "=", True)),
            segment("guests"),
            segment("greeted", ("segment:guests", "=", True)),
            segment("aside", ("spent", "<", 5)),
        ]
    )
    chance = random.Random(7)
    for number in range(300):
        traits = {"age": chance.randrange(90), "spent": chance.randrange(120)}
        await assign(services, f"c-{number:03}", **traits)
    await services.lists.change("guests", [f"c-{n:03}" for n in range(0, 300, 9)], [])
    await settled(services, outsider)
    wanted = [
        segment("adult", ("age", ">=", 21)),
        segment("gold", ("spent", ">", 90), scheme="tier", priority=1),
        segment("greeted", ("segment:guests", "=", False)),
        segment("new", ("age", "<", 10)),
        segment("aside", ("spent", "<", 5), description="Only words."),
    ]
    last = await outsider.fetchval("select max(sequence) from transitions")
    assert last
    counted = "select segment_key, entered, customer_id, sequence from transitions"
    before = {tuple(row) for row in await outsider.fetch(counted)}
    told: list[tuple[int, int]] = []
    plan = await applier.plan(wanted, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (300, 300)
    assert await stand(outsider) == (2, 8, 9)
    await applier.apply(plan, author=Author("ci", reason="why"))
    await settled(services, outsider)
    moved = {tuple(row) for row in await outsider.fetch(counted)} - before
    actual: dict[str, Moves] = {}
    for key in {row[0] for row in moved}:
        entered = sum(row[1] for row in moved if row[0] == key)
        left = sum(not row[1] for row in moved if row[0] == key)
        actual[key] = Moves(entered, left)
    assert plan.moves == actual
    assert plan.moves.keys() == {
        "adult", "minor", "gold", "silver", "rich-adult", "greeted", "new",
    }  # fmt: skip
    assert (plan.moving, plan.customers) == (len({row[2] for row in moved}), 300)
    # One revision for all of it, one audit entry each.
    assert await stand(outsider) == (3, 13, 14)
    authors = await outsider.fetch("select distinct author, reason from audit where id > 9")
    assert [tuple(row) for row in authors] == [("ci", "why")]
    assert (await applier.plan(wanted)).changes == []
    await check_books(outsider)


@pytest.mark.parametrize("prune", [False, True])
async def test_nothing_wanted_where_nothing_is(applier: Applier, prune: bool) -> None:
    assert await applier.plan([], prune=prune) == Plan((), {}, 0, 0)


async def test_words_alone_move_nobody(services: Services, applier: Applier) -> None:
    await services.publisher.save([segment("adult", ("age", ">=", 18))])
    plan = await applier.plan([segment("adult", ("age", ">=", 18), owner="crm")])
    assert ([step.action for step in plan.changes], plan.moves) == (["changed"], {})
    assert plan.customers == 0


@pytest.mark.parametrize("prune", [False, True])
async def test_what_no_file_names_is_archived_with_prune_only(
    services: Services, applier: Applier, outsider: Any, prune: bool
) -> None:
    await services.publisher.save(
        [
            segment("kept", ("age", ">=", 1)),
            segment("base", ("age", ">=", 2)),
            segment("user", ("segment:base", "=", True)),
            segment("sketch", ("age", ">=", 3), status="draft"),
            segment("gone", ("age", ">=", 4)),
        ]
    )
    await services.publisher.archive("gone")
    await assign(services, "c-1", age=30)
    plan = await applier.plan([segment("kept", ("age", ">=", 1))], prune=prune)
    await applier.apply(plan)
    await settled(services, outsider)
    rows = await outsider.fetch("select key from segments where status <> 'archived' order by 1")
    kept = ["kept"] if prune else ["base", "kept", "sketch", "user"]
    assert [row[0] for row in rows] == kept
    if prune:
        assert plan.moves == {"base": Moves(0, 1), "user": Moves(0, 1)}
        row = await outsider.fetchrow("select action from audit order by id desc limit 1")
        assert row[0] == "segment.archived"


async def test_what_is_used_by_others_is_not_pruned(
    services: Services, applier: Applier, outsider: Any
) -> None:
    user = segment("user", ("segment:base", "=", True))
    await services.publisher.save([segment("base", ("age", ">=", 2)), user])
    before = await stand(outsider)
    with pytest.raises((Conflict, Invalid)):
        await applier.plan([user], prune=True)
    assert await stand(outsider) == before


@pytest.mark.parametrize("key", ["adult", "unchanged", "new"])
async def test_what_somebody_changes_meanwhile_is_refused(
    services: Services, applier: Applier, outsider: Any, key: str
) -> None:
    await services.publisher.save(
        [segment("adult", ("age", ">=", 18)), segment("unchanged", ("age", ">", 1))]
    )
    plan = await applier.plan(
        [
            segment("adult", ("age", ">=", 21)),
            segment("unchanged", ("age", ">", 1)),
            segment("new", ("age", ">", 2)),
        ]
    )
    await services.publisher.save([segment(key, ("age", ">", 50))])
    before = await stand(outsider)
    with pytest.raises(Stale):
        await applier.apply(plan)
    assert await stand(outsider) == before


async def test_one_fault_and_nothing_is_planned(services: Services, applier: Applier) -> None:
    good = segment("good", ("age", ">", 1))
    with pytest.raises(Invalid) as refused:
        await applier.plan([good, segment("bad", ("age", "=>", 1))])
    assert [each.pointer for each in refused.value.problems] == ["/1/condition/rules/0/operator"]
    await services.publisher.save([segment("list")])
    with pytest.raises(Conflict) as conflict:
        await applier.plan([good, segment("list", ("age", ">", 1))])
    assert conflict.value.code == "kind"


async def test_masks_are_not_put_in_place_of_what_they_hide(
    services: Services, applier: Applier
) -> None:
    await services.publisher.declare_trait("email", {"personal": True})
    good = segment("good", ("age", ">", 1))
    for value in ("***", ["bob@example.com", "***"]):
        masked = segment("ann", ("email", "=" if isinstance(value, str) else "in", value))
        with pytest.raises(Invalid) as refused:
            await applier.plan([good, masked])
        assert [(each.pointer, each.code) for each in refused.value.problems] == [
            ("/1/condition/rules/0/value", "masked")
        ]
    assert (await applier.plan([segment("stars", ("rating", "=", "***"))])).changes


async def test_definitions_may_refer_to_each_other_in_any_order(
    services: Services, applier: Applier, outsider: Any
) -> None:
    wanted: Sequence[Wanted] = [
        segment("user", ("segment:base", "=", True)),
        segment("base", ("age", ">", 1)),
    ]
    await applier.apply(await applier.plan(wanted))
    assert await outsider.fetchval("select revision from catalog_head") == 1


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ([1], [True], False),
        ({"a": {"b": 1}}, {"a": {"b": True}}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        ("1", 1, False),
        (None, False, False),
        (group(("a", "=", 1)), group(("a", "=", 1)), True),
    ],
)
async def test_same(one: Any, other: Any, is_same: bool) -> None:
    assert same(one, other) is same(other, one) is is_same


async def test_true_in_place_of_1_is_a_change(
    services: Services, applier: Applier, outsider: Any
) -> None:
    await services.publisher.save([segment("member", ("subscribed", "=", 1))])
    await assign(services, "c-1", subscribed=1)
    await assign(services, "c-2", subscribed=True)
    plan = await applier.plan([segment("member", ("subscribed", "=", True))])
    assert plan.moves == {"member": Moves(1, 1)}
    await applier.apply(plan)
    await settled(services, outsider)
    assert await outsider.fetchval("select customer_id from memberships") == "c-2"
    row = await outsider.fetchrow("select difference from audit order by id desc limit 1")
    assert "condition" in row[0]
