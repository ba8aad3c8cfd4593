"""Declaring traits: what would take a segment out of service is refused, and told why."""

import asyncio
from typing import Any

import pytest

from service.api.services import Services
from service.core.parsing import Invalid
from service.flows.publishing import Conflict, MayNotPublish, MayNotReveal, Unknown
from service.store import traits
from tests.running import eventually, running, segment

pytestmark = pytest.mark.anyio


async def declare(services: Services, name: str, kind: str | None, **more: Any) -> None:
    definition = {**({} if kind is None else {"type": kind}), **more}
    await services.publisher.declare_trait(name, definition)


def told(conflict: Conflict) -> list[tuple[str, str]]:
    assert conflict.code == "in_use"
    return [(problem.pointer, problem.code) for problem in conflict.problems]


async def declared(services: Services, name: str) -> Any:
    async with services.database.engine.connect() as connection:
        return await traits.get(connection, name)


async def test_a_type_that_active_segments_can_not_stand_is_refused(services: Services) -> None:
    await services.publisher.save(
        [
            segment("rich", ("age", ">", 3), ("spent", ">", 500), ("spent", "<", 900)),
            segment("named", ("spent", "contains", "CZK")),
            segment("leans", ("segment:rich", "=", True)),
            segment("sketch", ("spent", "<", 500), status="draft"),
            segment("fits", ("spent", "=", "5"), ("spent", "notNull", None)),
        ]
    )
    revision = services.live.served.revision
    with pytest.raises(Conflict) as refused:
        await declare(services, "spent", "string")
    assert told(refused.value) == [
        # Who refers to it would go with it.
        ("/segments/leans/condition/rules/0/field", "unknown_segment"),
        ("/segments/rich/condition/rules/1/operator", "bad_operator"),
        ("/segments/rich/condition/rules/2/operator", "bad_operator"),
    ]
    assert str(refused.value) == "with spent declared as text, leans and rich could not be served"
    assert refused.value.problems[1].detail == (
        '">" compares a date such as 2026-11-20 or a number or a version '
        "such as 2.10.1 or an RFC 3339 instant or an amount of money; spent is text"
    )
    with pytest.raises(Conflict) as both:
        await declare(services, "spent", "boolean")
    assert {pointer.split("/")[2] for pointer, _ in told(both.value)} == {
        "rich", "named", "fits", "leans",
    }  # fmt: skip
    assert str(both.value) == (
        "with spent declared as true or false, fits, leans, named and rich could not be served"
    )
    assert await declared(services, "spent") is None
    assert services.live.served.revision == revision
    assert services.live.served.catalog.refused == ()


async def test_a_type_that_all_can_stand_is_published_and_decides_anew(
    services: Services, outsider: Any
) -> None:
    await services.publisher.save([segment("rich", ("spent", ">", 500))])
    await declare(services, "spent", "money")
    assert services.live.served.catalog.schema.types == {"spent": "money"}
    assert services.live.served.revision == 2
    jobs = await outsider.fetchval("select count(*) from jobs")
    # What only describes decides nobody anew; what is the same changes nothing.
    await declare(services, "spent", "money", description="In crowns.")
    await declare(services, "spent", "money", description="In crowns.")
    assert await declared(services, "spent") == {"type": "money", "description": "In crowns."}
    assert services.live.served.revision == 2
    assert await outsider.fetchval("select count(*) from jobs") == jobs


async def test_a_declaration_that_a_segment_needs_stays(services: Services) -> None:
    await declare(services, "joined", "date")
    await declare(services, "unread", "date")
    await services.publisher.save([segment("new", ("joined", ">", "2026-11-20"))])
    untyped = declare(services, "joined", None, description="No type any more.")
    for change in (untyped, services.publisher.withdraw_trait("joined")):
        with pytest.raises(Conflict) as refused:
            await change
        assert told(refused.value) == [("/segments/new/condition/rules/0/value", "type")]
        assert str(refused.value) == "without the type of joined, new could not be served"
    assert await declared(services, "joined") == {"type": "date"}
    await services.publisher.withdraw_trait("unread")
    assert await declared(services, "unread") is None
    with pytest.raises(Unknown):
        await services.publisher.withdraw_trait("unread")
    await services.publisher.archive("new")
    await services.publisher.withdraw_trait("joined")
    assert services.live.served.catalog.schema.types == {}


@pytest.mark.parametrize("read", ["code", "code.kind", "other"])
async def test_a_type_that_active_segments_read_is_for_those_who_may_publish(
    services: Services, read: str
) -> None:
    both = segment("both", ("age", ">", 3))
    rule = {"field": read, "operator": "<", "value": "code", "valueSource": "field"}
    if read != "other":
        rule = {"field": read, "operator": "=", "value": "7"}
    both.definition["condition"]["rules"].append(rule)
    sketch = segment("sketch", ("draft_only", "=", "7"), status="draft")
    await services.publisher.save([both, sketch])
    with pytest.raises(MayNotPublish):
        await services.publisher.declare_trait("code", {"type": "version"}, may_publish=False)
    assert await declared(services, "code") is None
    # What only describes, and what decides nobody, is for whoever may write.
    for name, definition in (
        ("code", {"description": "Of the shop."}), ("draft_only", {"type": "number"}),
        ("co", {"type": "number"}),
    ):  # fmt: skip
        await services.publisher.declare_trait(name, definition, may_publish=False)
    await declare(services, "code.kind" if read == "code.kind" else "code", "version")
    with pytest.raises(MayNotPublish):
        await services.publisher.withdraw_trait(
            "code.kind" if read == "code.kind" else "code", may_publish=False
        )
    await services.publisher.archive("both")
    await services.publisher.withdraw_trait("code", may_publish=False)


async def test_a_comparison_with_another_field_holds_both_declarations(services: Services) -> None:
    await declare(services, "first", "date")
    rule = {"field": "first", "operator": "<", "value": "second", "valueSource": "field"}
    both = segment("both", ("age", ">", 3))
    both.definition["condition"]["rules"].append(rule)
    await services.publisher.save([both])
    with pytest.raises(Conflict) as refused:
        await declare(services, "second", "number")
    assert told(refused.value) == [("/segments/both/condition/rules/1/value", "type")]


async def test_many_segments_are_counted(services: Services) -> None:
    await services.publisher.save([segment(f"s{n:02}", ("zip", "<", n)) for n in range(20)])
    with pytest.raises(Conflict) as refused:
        await declare(services, "zip", "string")
    assert len(refused.value.problems) == 20
    assert str(refused.value) == (
        "with zip declared as text, s00, s01, s02, s03, s04, s05, s06 and 13 more could not be "
        "served"
    )


async def test_a_segment_and_a_type_that_exclude_each_other_never_both_come_in(
    database_url: str,
) -> None:
    """Whoever publishes second is checked against what the first has published."""
    async with (
        running(database_url, background=False) as one,
        running(database_url, background=False) as other,
    ):
        outcomes = []
        for n in range(8):
            pair: list[Any] = [
                declare(one, f"t{n}", "string"),
                other.publisher.save([segment(f"s{n}", (f"t{n}", ">", 1))]),
            ]
            outcomes.append(await asyncio.gather(*pair[:: (-1) ** n], return_exceptions=True))
        for pair_of in outcomes:
            [failed] = [each for each in pair_of if isinstance(each, Exception)]
            assert isinstance(failed, Conflict | Invalid)
        await other.publisher.save([segment("last", ("age", ">", 1))])
        assert other.live.served.catalog.refused == ()


async def test_all_processes_know_within_a_moment_what_is_personal(
    services: Services, database_url: str
) -> None:
    async with running(database_url) as other:

        async def known(*names: str) -> None:
            for each in (services, other):
                await eventually(lambda live=each.live: live.served.personal.paths == {*names})

        revision = services.live.served.revision
        await declare(services, "email", None, personal=True)
        await known("email")
        assert services.live.served.revision == revision + 1
        await declare(services, "email", None, personal=True, description="Where to write to.")
        assert services.live.served.revision == revision + 1
        with pytest.raises(MayNotReveal):
            await services.publisher.declare_trait("email", {}, may_reveal=False)
        with pytest.raises(MayNotReveal):
            await services.publisher.withdraw_trait("email", may_reveal=False)
        await declare(services, "home.street", None, personal=True)
        await known("email", "home.street")
        await services.publisher.withdraw_trait("email")
        await known("home.street")


LEVELS = {"score": {"points": [{"condition": {"combinator": "and", "rules": [
    {"field": "plan.level", "operator": "=", "value": "7"}]}, "points": 5}]}}  # fmt: skip


@pytest.mark.parametrize("name", ["plan.level", "plan", "plan.level.kind"])
async def test_what_active_segments_read_by_way_of_others_is_for_those_who_may_publish(
    services: Services, name: str
) -> None:
    await services.publisher.declare_trait("levels", LEVELS)
    await services.publisher.declare_trait("doubled", {"formula": "levels * 2"})
    # Nobody active reads it yet.
    await services.publisher.declare_trait(name, {"type": "version"}, may_publish=False)
    await services.publisher.withdraw_trait(name, may_publish=False)
    await services.publisher.save([segment("high", ("doubled", ">", 3))])
    with pytest.raises(MayNotPublish):
        await services.publisher.declare_trait(name, {"type": "version"}, may_publish=False)
    for other in ("levels", "doubled"):
        with pytest.raises(MayNotPublish):
            await services.publisher.declare_trait(other, {"formula": "1 + age"}, may_publish=False)
    # What only describes, and what another part is.
    for other in ("plan.colour", "planned"):
        await services.publisher.declare_trait(other, {"type": "version"}, may_publish=False)
    await services.publisher.declare_trait(name, {"dimension": "value"}, may_publish=False)


async def test_a_type_that_derived_traits_can_not_stand_is_refused(services: Services) -> None:
    await services.publisher.declare_trait("twice", {"formula": "box.size * 2"})
    await services.publisher.save([segment("large", ("twice", ">", 3))])
    with pytest.raises(Conflict) as refused:
        await declare(services, "box.size", "string")
    assert told(refused.value) == [
        ("/segments/large/condition/rules/0/field", "trait_refused"),
        ("/traits/twice/formula", "type"),
    ]
    assert str(refused.value) == (
        "with box.size declared as text, large and twice could not be served"
    )
    assert services.live.served.catalog.refused_traits == {}


async def test_who_lets_browsers_write_what_active_segments_read_may_publish(
    services: Services,
) -> None:
    await services.publisher.declare_trait("vip", {"type": "boolean", "writable_by": "server"})
    await services.publisher.declare_trait("vip", {"type": "boolean"}, may_publish=False)
    await services.publisher.declare_trait(
        "vip", {"type": "boolean", "writable_by": "server"}, may_publish=False
    )
    await services.publisher.save([segment("vips", ("vip", "=", True))])
    with pytest.raises(MayNotPublish):
        await services.publisher.declare_trait("vip", {"type": "boolean"}, may_publish=False)
    with pytest.raises(MayNotPublish):
        await services.publisher.withdraw_trait("vip", may_publish=False)
    await services.publisher.declare_trait("vip", {"type": "boolean"})
