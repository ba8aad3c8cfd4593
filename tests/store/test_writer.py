"""The group-commit writer on a real database: durable, exact, and hard to stop."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.api.services import Services
from service.core.decisions import Input
from service.core.events import Event
from service.core.instants import DAY, MINUTE, SECOND, format_instant, to_datetime
from service.core.parsing import Invalid
from service.store.batches import NotStored
from service.store.writer import Overloaded, StoreUnavailable
from tests.running import (
    NOW,
    PATIENCE,
    Clock,
    assign,
    check_books,
    connected,
    eventually,
    running,
    segment,
)

pytestmark = pytest.mark.anyio

SEGMENTS = (
    segment("adult", ("age", ">=", 18)),
    segment("senior", ("age", ">=", 65)),
    segment("vip", ("spent", ">", 100), ("segment:adult", "=", True)),
    segment("recent", ("ordered", "withinLast", "7d")),
    segment("gold", ("spent", ">", 100), scheme="tier", priority=1),
    segment("silver", ("spent", ">", 10), scheme="tier", priority=2),
    segment("beta"),
)


@pytest.fixture
async def services(database_url: str) -> AsyncIterator[Services]:
    async with running(database_url) as parts:
        await parts.publisher.save(SEGMENTS)
        yield parts


@pytest.fixture
async def outsider(database_url: str) -> AsyncIterator[Any]:
    async with connected(database_url) as connection:
        yield connection


async def answers(*work: Any) -> list[Any]:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.gather(*work, return_exceptions=True)


async def test_what_is_answered_is_stored(services: Services, outsider: Any) -> None:
    decision = await assign(services, "c-1", age=20, address={"city": "Brno"})
    row = await outsider.fetchrow("select *, traits::text as given from customers")
    assert row["customer_id"] == "c-1"
    assert row["given"] == '{"age": 20, "address": {"city": "Brno"}}'
    assert (row["sequence"], row["catalog_revision"]) == (1, services.live.served.revision)
    assert row["decided_at"] == row["first_seen"] == to_datetime(NOW)
    assert await outsider.fetchval("select segment_key from memberships") == "adult"
    [transition] = decision.transitions
    assert (transition.sequence, transition.segment, transition.entered) == (1, "adult", True)
    await check_books(outsider)


async def test_time_is_stored_as_due(services: Services, outsider: Any) -> None:
    await assign(services, "c-1", ordered=format_instant(NOW - DAY))
    due = await outsider.fetchval("select due_at from customers")
    assert due == to_datetime(NOW + 6 * DAY)


async def test_what_fell_due_is_told_at_its_own_instant(database_url: str) -> None:
    clock = Clock()
    async with running(database_url, clock) as services, connected(database_url) as outsider:
        await services.publisher.save(SEGMENTS)
        await assign(services, "c-1", ordered=format_instant(NOW - DAY))
        clock.now = NOW + 30 * DAY
        await assign(services, "c-1", age=20)
        rows = await outsider.fetch(
            "select segment_key, entered, at, reason ->> 'kind' as kind from transitions "
            "order by sequence"
        )
        assert [tuple(row) for row in rows] == [
            ("recent", True, to_datetime(NOW), "trait"),
            ("recent", False, to_datetime(NOW + 6 * DAY), "time"),
            ("adult", True, to_datetime(NOW + 30 * DAY), "trait"),
        ]
        await check_books(outsider)


async def test_nothing_is_written_when_nothing_changed(services: Services, outsider: Any) -> None:
    await assign(services, "c-1", age=20)
    before = await outsider.fetchval("select xmin::text || ctid::text from customers")
    again = await assign(services, "c-1", age=20)
    assert again.transitions == []
    assert again.state.sequence == 1
    assert await outsider.fetchval("select xmin::text || ctid::text from customers") == before
    assert await outsider.fetchval("select count(*) from trait_history") == 1
    await assign(services, "c-1", at=NOW + MINUTE)
    assert await outsider.fetchval("select xmin::text || ctid::text from customers") != before
    assert await outsider.fetchval("select last_seen from customers") == to_datetime(NOW + MINUTE)


async def test_changes_of_traits_are_kept_as_history(services: Services, outsider: Any) -> None:
    await assign(services, "c-1", NOW, age=20, address={"city": "Brno", "zip": "602 00"})
    await assign(services, "c-1", NOW + 2 * SECOND, age=21, address={"zip": None})
    await assign(services, "c-1", NOW + 1 * SECOND, age=99, address={"city": "Praha"})
    await assign(services, "c-1", NOW + 3 * SECOND, address=None)
    rows = await outsider.fetch(
        "select path, value::text, at, source from trait_history order by at, path"
    )
    assert [(r["path"], r["value"], r["at"], r["source"]) for r in rows] == [
        (path, value, to_datetime(NOW + second * SECOND), "assign")
        for path, value, second in [
            ("address.city", '"Brno"', 0),
            ("address.zip", '"602 00"', 0),
            ("age", "20", 0),
            ("address.city", '"Praha"', 1),
            ("address.zip", None, 2),
            ("age", "21", 2),
            ("address", None, 3),
        ]
    ]
    assert await outsider.fetchval("select traits::text from customers") == '{"age": 21}'


async def test_concurrent_requests_lose_no_update_and_repeat_no_transition(
    database_url: str,
) -> None:
    """Two processes, one database, few customers, a trait of its own for each request."""
    async with (
        running(database_url) as one,
        running(database_url) as other,
        connected(database_url) as outsider,
    ):
        await one.publisher.save(SEGMENTS)
        source = random.Random(1)
        work = [
            assign(source.choice((one, other)), f"c-{number % 5}", **{
                f"t{number}": number,
                "age": source.choice((10, 30, 70)),
                "spent": source.choice((1, 50, 500)),
            })
            for number in range(500)
        ]  # fmt: skip
        decisions = await answers(*work)
        assert [d for d in decisions if isinstance(d, BaseException)] == []
        told = [
            (d.state.customer_id, t.sequence, t.segment, t.entered)
            for d in decisions
            for t in d.transitions
        ]
        stored = await outsider.fetch(
            "select customer_id, sequence, segment_key, entered from transitions"
        )
        assert sorted(told) == sorted(tuple(row) for row in stored)
        kept = await outsider.fetch(
            "select customer_id, array(select jsonb_object_keys(traits)) as names from customers"
        )
        for row in kept:
            mine = int(row["customer_id"][2:])
            assert set(row["names"]) == {f"t{n}" for n in range(mine, 500, 5)} | {"age", "spent"}
        await check_books(outsider)


async def test_requests_for_one_customer_are_answered_in_order(services: Services) -> None:
    ages = [10, 20] * 20
    decisions = await answers(*(assign(services, "c-1", age=age) for age in ages))
    assert [d.state.traits["age"] for d in decisions] == ages
    assert [d.state.sequence for d in decisions] == list(range(40))


async def test_random_work_keeps_the_books(database_url: str) -> None:
    """Traits, time, lists, definitions and erasures, in a random order from two processes."""
    source = random.Random(2)
    clock = Clock()
    async with (
        running(database_url, clock) as one,
        running(database_url, clock) as other,
        connected(database_url) as outsider,
    ):
        await one.publisher.save(SEGMENTS)
        traits: dict[str, list[Any]] = {
            "age": [10, 30, 70, None, "old"],
            "spent": [1, 50, 500, None],
        }

        async def step() -> None:
            services = source.choice((one, other))
            customer = f"c-{source.randrange(12)}"
            match source.randrange(20):
                case 0:
                    limit = source.choice((18, 21, 65))
                    await services.publisher.save([segment("adult", ("age", ">=", limit))])
                case 1:
                    await services.lists.change("beta", [customer], [])
                case 2:
                    await services.lists.change("beta", [], [customer])
                case 3:
                    await services.publisher.save(
                        [segment("extra", ("spent", "notNull", None),
                                 status=source.choice(("active", "draft")))]
                    )  # fmt: skip
                case 4:
                    clock.now += source.choice((SECOND, DAY, 9 * DAY))
                case _:
                    given = {name: source.choice(values) for name, values in traits.items()}
                    ordered = format_instant(clock.now - source.randrange(9) * DAY)
                    await assign(services, customer, ordered=ordered, **given)

        for _ in range(12):
            faults = await answers(*(step() for _ in range(25)))
            assert [fault for fault in faults if fault is not None] == []
        await eventually(lambda: no_job_is_left(outsider))
        assert await outsider.fetchval("select count(*) from transitions") > 100
        await check_books(outsider)


async def no_job_is_left(outsider: Any) -> bool:
    query = "select not exists (select from jobs where status in ('queued', 'running'))"
    return bool(await outsider.fetchval(query))


async def test_a_poison_item_fails_alone(services: Services, outsider: Any) -> None:
    await outsider.execute("alter table customers add check (traits ->> 'age' <> '13')")
    work = [assign(services, f"c-{n}", age=13 if n in (7, 40) else 20) for n in range(60)]
    decisions = await answers(*work)
    failed = {n: type(d) for n, d in enumerate(decisions) if isinstance(d, BaseException)}
    assert failed == {7: NotStored, 40: NotStored}
    stored = await outsider.fetch("select customer_id from customers")
    assert {row[0] for row in stored} == {f"c-{n}" for n in range(60)} - {"c-7", "c-40"}
    # Nor does it stand in the way of what comes next.
    assert (await assign(services, "c-7", age=14)).state.traits == {"age": 14}
    await check_books(outsider)


async def test_the_poison_of_a_value_does_not_leave_the_database(
    services: Services, outsider: Any
) -> None:
    await outsider.execute("alter table customers add check (traits ->> 'age' <> '13')")
    with pytest.raises(NotStored) as refused:
        await assign(services, "ann@example.com", age=13)
    assert str(refused.value) == "CheckViolationError"


async def test_what_postgresql_cannot_hold_fails_alone(services: Services) -> None:
    work = [assign(services, name, age=20) for name in ("a", "lone \ud800", "nul \0", "b")]
    good, surrogate, nul, fine = await answers(*work)
    assert good.state.sequence == fine.state.sequence == 1
    assert isinstance(surrogate, NotStored)
    assert isinstance(nul, NotStored)


async def test_a_fault_of_the_schema_is_not_the_datas(services: Services, outsider: Any) -> None:
    """A 422 would make a caller throw the data away."""
    await outsider.execute("alter table trait_history rename to elsewhere")
    decisions = await answers(*(assign(services, f"c-{n}", age=20) for n in range(3)))
    assert {type(d) for d in decisions} == {StoreUnavailable}
    await outsider.execute("alter table elsewhere rename to trait_history")
    assert (await assign(services, "c-1", age=20)).state.sequence == 1


async def test_limits_of_a_customer_fail_alone(database_url: str) -> None:
    async with running(database_url, traits_limit=5, traits_bytes=300) as services:
        await assign(services, "c-1", **{f"t{n}": n for n in range(5)})
        many, large, fine = await answers(
            assign(services, "c-1", more=1),
            assign(services, "c-2", text="x" * 300),
            assign(services, "c-3", text="x" * 100),
        )
        assert [problem.code for problem in many.problems] == ["too_many"]
        assert [problem.code for problem in large.problems] == ["too_large"]
        assert isinstance(large, Invalid)
        assert fine.stored
        # Who failed at first is no customer; who gives one up may take another.
        async with connected(database_url) as outsider:
            ids = await outsider.fetch("select customer_id from customers order by 1")
        assert [row[0] for row in ids] == ["c-1", "c-3"]
        exchanged = await assign(services, "c-1", t0=None, more=1)
        assert exchanged.state.traits == {"t1": 1, "t2": 2, "t3": 3, "t4": 4, "more": 1}


async def test_a_row_that_another_holds_is_waited_for(services: Services, outsider: Any) -> None:
    await assign(services, "held", age=10)
    async with outsider.transaction():
        await outsider.execute("select from customers where customer_id = 'held' for update")
        first = asyncio.ensure_future(assign(services, "held", age=20))
        second = asyncio.ensure_future(assign(services, "held", age=30))
        # Others go on meanwhile.
        for n in range(20):
            await assign(services, f"c-{n}", age=20)
        assert not first.done()
        assert not second.done()
    decisions = await answers(first, second)
    assert [d.state.traits["age"] for d in decisions] == [20, 30]
    await check_books(outsider)


async def test_a_row_that_another_keeps_is_given_up(services: Services, outsider: Any) -> None:
    await assign(services, "held", age=10)
    async with outsider.transaction():
        await outsider.execute("select from customers where customer_id = 'held' for update")
        held = asyncio.ensure_future(assign(services, "held", age=20))
        others = 0
        while not held.done():
            await assign(services, f"c-{others}", age=20)
            others += 1
        [fault] = await answers(held)
        assert isinstance(fault, Overloaded)
        assert others > 1
    assert (await assign(services, "held", age=30)).state.traits == {"age": 30}


async def test_many_rows_that_another_holds_take_few_connections(
    services: Services, outsider: Any
) -> None:
    names = [f"held-{n}" for n in range(40)]
    await answers(*(assign(services, name, age=10) for name in names))
    async with outsider.transaction():
        await outsider.execute("select from customers where customer_id like 'held-%' for update")
        held = [asyncio.ensure_future(assign(services, name, age=20)) for name in names]
        most = 0
        while not all(work.done() for work in held):
            most = max(most, await writers_connections(services))
            await asyncio.sleep(0.05)
        assert {type(fault) for fault in await answers(*held)} == {Overloaded}
    assert 1 < most <= 8
    assert services.writer.waiting == 0


async def writers_connections(services: Services) -> int:
    async with services.database.engine.connect() as connection:
        found = await connection.exec_driver_sql(
            "select count(*) from pg_stat_activity where datname = current_database() "
            "and application_name = 'segserve writer'"
        )
        return int(found.scalar_one())


async def test_a_customer_that_another_is_inserting_holds_nobody_up_for_long(
    services: Services, outsider: Any
) -> None:
    async with outsider.transaction():
        await outsider.execute(
            "insert into customers (customer_id, first_seen, last_seen) "
            "values ('new', now(), now())"
        )
        held = asyncio.ensure_future(assign(services, "new", age=20))
        others = [asyncio.ensure_future(assign(services, f"c-{n}", age=20)) for n in range(20)]
        assert {d.state.sequence for d in await answers(*others)} == {1}
        [fault] = await answers(held)
        assert isinstance(fault, Overloaded)
    assert (await assign(services, "new", age=30)).state.traits == {"age": 30}
    await check_books(outsider)


async def test_a_deadlock_is_tried_again(services: Services, outsider: Any) -> None:
    """The writer, which came first, finds the deadlock after a second and is its victim."""
    await assign(services, "c-1", age=10)
    await outsider.execute("""
        create function wait_in_line() returns trigger language plpgsql as
        $$ begin perform pg_advisory_xact_lock(1); return new; end $$;
        create trigger wait_in_line before insert on memberships
        for each row execute function wait_in_line()""")
    async with outsider.transaction():
        await outsider.execute("select pg_advisory_xact_lock(1)")
        blocked = asyncio.ensure_future(assign(services, "c-1", age=20))
        await eventually(lambda: waits_for_lock(services))
        await outsider.execute("select from customers where customer_id = 'c-1' for update")
    [decision] = await answers(blocked)
    assert decision.state.sequence == 1
    database = "select deadlocks from pg_stat_database where datname = current_database()"

    async def counted() -> bool:
        await outsider.execute("select pg_stat_clear_snapshot()")
        return await outsider.fetchval(database) == 1

    await eventually(counted)
    await check_books(outsider)


async def waits_for_lock(services: Services) -> bool:
    async with services.database.engine.connect() as connection:
        found = await connection.exec_driver_sql(
            "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
        )
        return bool(found.scalar_one())


async def test_a_full_queue_says_so_at_once(database_url: str) -> None:
    async with (
        running(database_url, writer_queue=10) as services,
        connected(database_url) as outsider,
    ):
        async with outsider.transaction():
            await outsider.execute("lock table customers")
            accepted = [
                services.writer.submit(f"c-{n}", Input({"age": 20}, NOW)) for n in range(10)
            ]
            with pytest.raises(Overloaded):
                services.writer.submit("one too many", Input({"age": 20}, NOW))
            assert services.writer.waiting == 10
        decisions = await answers(*accepted)
        assert all(d.stored for d in decisions)
        assert services.writer.waiting == 0
        assert (await assign(services, "one too many", age=20)).stored


KILL = """select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and application_name = 'segserve writer'"""


async def test_a_connection_killed_in_mid_flight(services: Services, outsider: Any) -> None:
    await assign(services, "c-0", age=20)
    async with outsider.transaction():
        await outsider.execute("lock table memberships")
        work = [asyncio.ensure_future(assign(services, f"c-{n}", age=20)) for n in range(1, 30)]
        await eventually(lambda: writer_waits(services))
        await outsider.execute(KILL)
        faults = await answers(*work)
    assert {type(fault) for fault in faults} == {StoreUnavailable}
    assert await outsider.fetchval("select count(*) from customers") == 1
    # It recovers by itself, and trying again is safe.
    decisions = await answers(*(assign(services, f"c-{n}", age=20) for n in range(30)))
    assert [d.state.sequence for d in decisions] == [1] * 30
    await check_books(outsider)


async def writer_waits(services: Services) -> bool:
    async with services.database.engine.connect() as connection:
        found = await connection.exec_driver_sql(
            "select exists (select from pg_stat_activity where wait_event_type = 'Lock' "
            "and datname = current_database() and application_name = 'segserve writer')"
        )
        return bool(found.scalar_one())


async def test_connections_killed_all_the_time_lose_nothing_acknowledged(
    database_url: str, outsider: Any
) -> None:
    async with running(database_url) as services:
        await services.publisher.save(SEGMENTS)
        latest: dict[str, int] = {}
        failures = 0

        async def caller(name: str) -> None:
            nonlocal failures
            for number in range(20):
                try:
                    await assign(services, name, number=number, age=number % 2 * 20)
                except StoreUnavailable:
                    failures += 1
                    await asyncio.sleep(0.01)
                else:
                    latest[name] = number

        callers = [asyncio.ensure_future(caller(f"c-{n}")) for n in range(10)]
        while not all(done.done() for done in callers):
            await outsider.execute(KILL)
            await asyncio.sleep(0.03)
        await answers(*callers)
        assert failures > 0
        rows = await outsider.fetch(
            "select customer_id, (traits -> 'number')::int as number from customers"
        )
        stored = {row["customer_id"]: row["number"] for row in rows}
        assert all(stored[name] >= number for name, number in latest.items())
        await check_books(outsider)


async def test_a_newer_catalog_of_another_process_decides(database_url: str) -> None:
    """A process that does not look for news by itself hears of it from the row."""
    async with (
        running(database_url, background=False) as behind,
        running(database_url, background=False) as ahead,
    ):
        await assign(behind, "known", age=20)
        await ahead.publisher.save([segment("adult", ("age", ">=", 18))])
        assert behind.live.served.revision < ahead.live.served.revision
        new, known = await answers(assign(behind, "new", age=30), assign(behind, "known", age=20))
        assert [t.segment for t in new.transitions] == ["adult"]
        assert [(t.segment, t.reason) for t in known.transitions] == [
            ("adult", {"kind": "definition"})
        ]
        assert behind.live.served.revision == ahead.live.served.revision


async def test_a_catalog_that_cannot_be_loaded_stops_nobody_for_ever(
    database_url: str, outsider: Any
) -> None:
    async with running(database_url, background=False) as services:
        await assign(services, "c-1", age=20)
        await outsider.execute("alter table segments rename to elsewhere")
        await outsider.execute("update catalog_head set revision = revision + 1")
        faults = await answers(*(assign(services, f"c-{n}", age=30) for n in range(3)))
        assert {type(fault) for fault in faults} == {StoreUnavailable}
        await outsider.execute("alter table elsewhere rename to segments")
        assert (await assign(services, "c-1", age=40)).state.traits == {"age": 40}


async def test_looking_again_at_nobody_makes_no_customer(services: Services, outsider: Any) -> None:
    assert await services.writer.touch("nobody") is None
    assert await outsider.fetchval("select count(*) from customers") == 0


async def test_a_clock_that_runs_behind_another_processs(database_url: str) -> None:
    ahead, behind = Clock(NOW + 10 * SECOND), Clock()
    async with (
        running(database_url, ahead) as one,
        running(database_url, behind) as other,
        connected(database_url) as outsider,
    ):
        await one.publisher.save(SEGMENTS)
        await assign(one, "c-1", age=20)
        late = await assign(other, "c-1", age=10, spent=50)
        # The trait that was set later stands; no decision lies before the one before it.
        assert late.state.traits == {"age": 20, "spent": 50}
        assert late.now == NOW + 10 * SECOND
        await check_books(outsider)


async def test_what_was_accepted_is_finished_before_stopping(database_url: str) -> None:
    async with running(database_url) as services:
        accepted = [services.writer.submit(f"c-{n}", Input({"age": n}, NOW)) for n in range(300)]
    decisions = await answers(*accepted)
    assert all(d.stored for d in decisions)
    with pytest.raises(StoreUnavailable):
        services.writer.submit("late", Input({}, NOW))
    async with connected(database_url) as outsider:
        assert await outsider.fetchval("select count(*) from customers") == 300


def ordering(name: str, number: int, total: int) -> Event:
    properties = {"order_id": "o-1", "total": total, "refund_id": str(number)}
    return Event(name, NOW, properties, f"m-{number}", "shop")


async def test_whoever_tells_of_an_order_that_is_held_waits_alone(
    services: Services, outsider: Any
) -> None:
    await services.publisher.save([segment("cheap", ("revenue", "<", 80))])
    buyer = Input({}, NOW, events=[ordering("Order Completed", 0, 100)])
    await services.writer.submit("buyer", buyer)
    async with outsider.transaction():
        await outsider.execute("select from customers where customer_id = 'buyer' for update")
        tellers = [
            services.writer.submit(
                f"c-{n}", Input({"n": n}, NOW, events=[ordering("Order Refunded", n, 10)])
            )
            for n in (1, 2, 3)
        ]
        # As many as make several batches, and nobody's turn goes by with what is held.
        decisions = await answers(*(assign(services, f"other-{n}", age=20) for n in range(50)))
        assert all(d.stored for d in decisions)
        assert not any(teller.done() for teller in tellers)
    assert all(d.stored for d in await answers(*tellers))
    assert await outsider.fetchval("select net from orders") == 70
    bought = await assign(services, "buyer")
    assert bought.state.memberships.keys() == {"cheap"}
    await check_books(outsider)
