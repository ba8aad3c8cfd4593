"""Erasing beside everything else that writes: a person is there whole, or not at all."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from service.api.services import Services
from service.core.access import Author
from service.core.decisions import Input
from service.core.instants import SECOND
from service.flows import erasing
from service.flows.erasing import Held, NobodyErased
from service.flows.publishing import Publisher
from service.store import lists as stored
from service.store.erasures import Erased, Erasure
from service.store.vault import rotate
from tests.running import Clock, assign, check_books, eventually, running, segment

pytestmark = pytest.mark.anyio

WHO = Author("tests")
EARLIER = """
  select e.customer_id, path as what from trait_history h join erased e using (customer_id)
    where h.at <= e.erased_at
  union all
  select e.customer_id, segment_key from transitions t join erased e using (customer_id)
    where t.at <= e.erased_at
  union all
  select e.customer_id, segment_key from memberships m join erased e using (customer_id)
    where m.since <= e.erased_at
  union all
  select e.customer_id, 'first seen' from customers c join erased e using (customer_id)
    where c.first_seen <= e.erased_at
  union all
  select customer_id, 'nobody' from memberships where customer_id not in
    (select customer_id from customers)
"""
ADDED_TO_LISTS = "select pg_advisory_xact_lock_shared(hashtextextended('adding to lists', 0))"


class Ticking(Clock):
    """A clock that all processes share, and that no two look at at once."""

    def __call__(self) -> int:
        self.now += 1
        return self.now


async def erased(services: Services, customer_id: str, **more: Any) -> Erasure:
    return await services.eraser.erase(customer_id, WHO, **more)


async def publish(publisher: Publisher) -> None:
    await publisher.save([segment("adult", ("age", ">=", 18))])


async def nothing_earlier(outsider: Any, erasures: dict[str, Erasure]) -> None:
    """Nothing that is stored is of before the erasure of its person."""
    await outsider.execute("create temp table erased (customer_id text, erased_at timestamptz)")
    rows = [(customer_id, erasure.erased_at) for customer_id, erasure in erasures.items()]
    await outsider.executemany("insert into erased values ($1, $2)", rows)
    assert [tuple(row) for row in await outsider.fetch(EARLIER)] == []


async def test_assigns_of_two_processes_race_with_erasing(database_url: str, outsider: Any) -> None:
    clock = Ticking()
    chance = random.Random(7)
    people = [f"c-{number}" for number in range(12)]
    erasures: dict[str, Erasure] = {}
    came_back = dropped = 0

    async def assigning(services: Services, seed: int) -> None:
        nonlocal came_back, dropped
        order = random.Random(seed)
        for number in range(150):
            customer_id = order.choice(people)
            known = erasures.get(customer_id)
            try:
                given = {"age": order.randrange(40), f"n{number % 7}": number}
                decision = await assign(services, customer_id, **given)
            except Erased:
                dropped += 1
            else:
                came_back += known is not None
                assert decision.state.customer_id == customer_id

    async def erasing_all(services: Services) -> None:
        for _ in range(40):
            customer_id = chance.choice(people)
            erasures[customer_id] = await erased(services, customer_id, whoever=True)
            await asyncio.sleep(chance.random() * 0.01)

    async with running(database_url, clock) as one, running(database_url, clock) as two:
        await publish(one.publisher)
        async with asyncio.TaskGroup() as group:
            for seed in range(6):
                group.create_task(assigning((one, two)[seed % 2], seed))
            group.create_task(erasing_all(one))
            group.create_task(erasing_all(two))
    # Both sides came to something.
    assert came_back > 50
    assert len(erasures) > 8
    await check_books(outsider)
    await nothing_earlier(outsider, erasures)
    counted = await outsider.fetchval("select sum(dropped) from erasures")
    assert counted == dropped


async def test_whoever_is_being_inserted_by_another_process_is_erased_too(
    database_url: str, outsider: Any
) -> None:
    clock = Ticking()
    async with running(database_url, clock) as services:
        transaction = outsider.transaction()
        await transaction.start()
        await outsider.execute(
            "insert into customers (customer_id, first_seen, last_seen) "
            " values ('c-1', now(), now())"
        )
        await outsider.execute(
            "insert into trait_history (customer_id, path, at, source)"
            " values ('c-1', 'age', now(), 'assign')"
        )
        task = asyncio.create_task(erased(services, "c-1"))
        await waits_for_a_lock(services)
        await transaction.commit()
        await task
        for table in ("customers", "trait_history"):
            assert await outsider.fetchval(f"select count(*) from {table}") == 0


async def test_an_assign_that_meets_an_erasure_waits_and_begins_anew(
    database_url: str, outsider: Any
) -> None:
    clock = Ticking()
    async with running(database_url, clock) as services:
        await publish(services.publisher)
        await assign(services, "c-1", age=20, city="Brno")
        transaction = outsider.transaction()
        await transaction.start()
        # As one who has added to a list: the erasure has the customer's row, and waits.
        await outsider.execute(ADDED_TO_LISTS)
        before = clock.now
        task = asyncio.create_task(erased(services, "c-1"))
        await waits_for_a_lock(services)
        late = services.writer.submit("c-1", Input({"city": "Praha"}, before))
        later = asyncio.create_task(assign(services, "c-1", age=30))
        await asyncio.sleep(0.1)
        assert not late.done()
        assert not later.done()
        await transaction.commit()
        erasure = await task
        with pytest.raises(Erased):
            await late
        decision = await later
        assert decision.state.traits == {"age": 30}
        assert decision.state.sequence == 1
        await check_books(outsider)
        await nothing_earlier(outsider, {"c-1": erasure})


async def test_two_erasures_at_once_end_as_one(database_url: str, outsider: Any) -> None:
    async with running(database_url, Ticking()) as one, running(database_url, Ticking()) as two:
        await assign(one, "c-1", age=20)
        proofs = await asyncio.gather(*(erased(each, "c-1") for each in (one, two) * 4))
        assert len({proof.fingerprint for proof in proofs}) == 1
        audited = "select count(*) from audit where action = 'customer.erased'"
        assert await outsider.fetchval(audited) == 1


async def test_a_person_whose_row_is_held_for_long_is_erased_another_time(
    services: Services, outsider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "LOCK_TIMEOUT", text("set local lock_timeout = '50ms'"))
    await assign(services, "c-1", age=20)
    async with outsider.transaction():
        await outsider.execute("select * from customers for update")
        with pytest.raises(Held):
            await erased(services, "c-1")
        assert await outsider.fetchval("select count(*) from trait_history") == 1
    await erased(services, "c-1")
    assert await outsider.fetchval("select count(*) from trait_history") == 0


async def test_an_id_added_to_a_list_at_the_moment_is_taken_off(
    services: Services, outsider: Any
) -> None:
    await services.publisher.save([segment("guests")])
    await assign(services, "c-1")
    transaction = outsider.transaction()
    await transaction.start()
    await outsider.execute("insert into list_members values ('guests', 'c-1')")
    await outsider.execute(ADDED_TO_LISTS)
    task = asyncio.create_task(erased(services, "c-1"))
    await waits_for_a_lock(services)
    await transaction.commit()
    await task
    assert await outsider.fetchval("select count(*) from list_members") == 0


async def test_who_writes_many_ids_keeps_no_erasure_waiting(
    services: Services, outsider: Any
) -> None:
    await services.publisher.save([segment("guests")])
    await services.lists.change("guests", ["c-1"], [])
    async with services.database.long() as connection:
        await stored.open_stage(connection)
        await stored.stage(connection, ["c-1", *(f"x-{number}" for number in range(1_000))])
        await stored.lock(connection, "guests", wait=True)
        await stored.compare(connection, "guests")
        await stored.replace(connection, "guests")
        # For as long as that takes.
        async with asyncio.timeout(3):
            await erased(services, "c-1")
            await erased(services, "x-1", whoever=True)
        await connection.rollback()
    assert await outsider.fetchval("select count(*) from list_members") == 0


async def test_who_is_erased_while_lists_are_written_is_on_none(
    services: Services, outsider: Any
) -> None:
    """Uploads and single additions beside erasures, round after round."""
    await services.publisher.save(
        [segment("up"), segment("few"), segment("adult", ("age", ">", 1))]
    )
    ids = [f"c-{number:03}" for number in range(60)]
    for each in ids:
        await assign(services, each, age=20)

    async def uploading() -> None:
        async def batches() -> AsyncIterator[list[str]]:
            yield ids

        for _ in range(8):
            await services.lists.replace("up", batches())
            await services.lists.change("up", [], ids[::2])

    async def adding() -> None:
        for each in ids:
            await services.lists.change("few", [each], [])

    async def erasing_all() -> None:
        for each in random.Random(3).sample(ids, len(ids)):
            await erased(services, each)

    await asyncio.gather(uploading(), adding(), erasing_all())
    assert await outsider.fetch("select * from list_members") == []


async def test_a_replaced_key_revives_nobody(database_url: str, tmp_path: Path) -> None:
    clock = Clock()
    async with running(database_url, clock, data_dir=tmp_path) as services:
        await assign(services, "c-1", age=20)
        erasure = await erased(services, "c-1")
    rotate(tmp_path)
    async with running(database_url, clock, data_dir=tmp_path) as services:
        with pytest.raises(Erased):
            await assign(services, "c-1", age=30)
        assert await services.eraser.verify("c-1") == replace(erasure, dropped=1)
        clock.now += SECOND
        await assign(services, "c-1", age=30)
        again = await erased(services, "c-1")
        assert again.fingerprint != erasure.fingerprint
        assert await services.eraser.verify("c-1") == again


async def test_a_key_replaced_beside_a_service_revives_nobody(
    database_url: str, tmp_path: Path
) -> None:
    clock = Clock()
    async with running(database_url, clock, data_dir=tmp_path) as services:
        rotate(tmp_path)
        async with running(database_url, clock, data_dir=tmp_path) as restarted:
            await erased(restarted, "c-1", whoever=True)
        # As upkeep does, every second.
        services.vault.look()
        with pytest.raises(Erased):
            await assign(services, "c-1", age=30)


async def test_the_demos_note_of_its_customers_is_erased_too(
    services: Services, outsider: Any
) -> None:
    fact = '{"state": "loaded", "sample": "c-1", "customers": ["c-0", "c-1"]}'
    await outsider.execute("insert into workspace values ('demo', $1)", fact)
    await erased(services, "c-1")
    [value] = await outsider.fetchrow("select value::text from workspace where name = 'demo'")
    assert value == '{"state": "loaded", "sample": "c-0", "customers": ["c-0"]}'
    with pytest.raises(NobodyErased):
        await erased(services, "c-2")


async def waits_for_a_lock(services: Services) -> None:
    """Until some transaction of this database waits for another."""

    async def waiting() -> bool:
        async with services.database.engine.connect() as connection:
            query = text(
                "select count(*) from pg_stat_activity "
                "where datname = current_database() and wait_event_type = 'Lock'"
            )
            return bool((await connection.execute(query)).scalar_one())

    await eventually(waiting)
