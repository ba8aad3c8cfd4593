"""Background jobs: everyone is decided again, whoever dies on the way."""

import asyncio
import json
from typing import Any

import pytest

from service.api.services import Services
from service.core.instants import DAY, format_instant, to_datetime
from tests.running import (
    NOW,
    Clock,
    assign,
    check_books,
    connected,
    eventually,
    running,
    segment,
)

pytestmark = pytest.mark.anyio

ADULT = ("age", ">=", 18)


async def members(outsider: Any, key: str) -> set[str]:
    rows = await outsider.fetch("select customer_id from memberships where segment_key = $1", key)
    return {row[0] for row in rows}


async def all_done(outsider: Any) -> bool:
    query = "select coalesce(bool_and(status = 'done'), false) from jobs"
    return bool(await outsider.fetchval(query))


async def reasons(outsider: Any, key: str) -> list[tuple[str, bool, str]]:
    rows = await outsider.fetch(
        "select customer_id, entered, reason ->> 'kind' as kind from transitions "
        "where segment_key = $1 order by customer_id, sequence",
        key,
    )
    return [tuple(row) for row in rows]


async def test_a_changed_definition_lets_in_and_out(services: Services, outsider: Any) -> None:
    await services.publisher.save([segment("adult", ADULT)])
    for age in (10, 20, 30):
        await assign(services, f"c-{age}", age=age)
    await services.publisher.save([segment("adult", ("age", "<", 30))])

    async def settled() -> bool:
        return await members(outsider, "adult") == {"c-10", "c-20"}

    await eventually(settled)
    assert await reasons(outsider, "adult") == [
        ("c-10", True, "definition"),
        ("c-20", True, "trait"),
        ("c-30", True, "trait"),
        ("c-30", False, "definition"),
    ]
    await eventually(lambda: all_done(outsider))
    await check_books(outsider)


async def test_a_change_takes_effect_when_it_was_published(
    database_url: str, outsider: Any
) -> None:
    """However late the job comes to a customer, and before what time did since."""
    clock = Clock()
    async with running(database_url, clock, background=False) as services:
        await services.publisher.save([segment("recent", ("ordered", "withinLast", "7d"))])
        await assign(services, "c-1", age=20, ordered=format_instant(NOW - DAY))
        clock.now = NOW + DAY
        await services.publisher.save([segment("adult", ADULT)])
    clock.now = NOW + 30 * DAY
    async with running(database_url, clock):
        await eventually(lambda: all_done(outsider))
        rows = await outsider.fetch(
            "select segment_key, entered, at, reason ->> 'kind' as kind from transitions "
            "order by sequence"
        )
        assert [tuple(row) for row in rows] == [
            ("recent", True, to_datetime(NOW), "trait"),
            ("adult", True, to_datetime(NOW + DAY), "definition"),
            ("recent", False, to_datetime(NOW + 6 * DAY), "time"),
        ]


async def test_a_changed_list_lets_in_and_out(services: Services, outsider: Any) -> None:
    await services.publisher.save([segment("beta"), segment("both", ("segment:beta", "=", True))])
    await assign(services, "c-1", age=20)
    await assign(services, "c-2", age=20)
    await services.lists.change("beta", ["c-1", "c-3"], [])
    await eventually(lambda: all_done(outsider))
    assert await members(outsider, "both") == await members(outsider, "beta") == {"c-1"}
    # Who is on the list and comes later is in it from then on.
    decision = await assign(services, "c-3", age=20)
    assert decision.state.memberships.keys() == {"beta", "both"}
    await services.lists.change("beta", ["c-2"], ["c-1"])

    async def settled() -> bool:
        return await members(outsider, "both") == {"c-2", "c-3"}

    await eventually(settled)
    assert await reasons(outsider, "beta") == [
        ("c-1", True, "list"),
        ("c-1", False, "list"),
        ("c-2", True, "list"),
        ("c-3", True, "trait"),
    ]


async def test_an_archived_segment_is_left(services: Services, outsider: Any) -> None:
    await services.publisher.save([segment("adult", ADULT)])
    for number in range(30):
        await assign(services, f"c-{number}", age=20)
    await services.publisher.archive("adult")
    await eventually(lambda: all_done(outsider))
    assert await members(outsider, "adult") == set()
    await check_books(outsider)


async def test_more_customers_than_a_block(services: Services, outsider: Any) -> None:
    await asyncio.gather(*(assign(services, f"c-{n}", age=n % 40) for n in range(1200)))
    await services.publisher.save([segment("adult", ADULT)])
    await eventually(lambda: all_done(outsider))
    assert len(await members(outsider, "adult")) == 30 * 22
    job = await outsider.fetchrow("select * from jobs")
    assert (job["done"], job["total"], job["error"]) == (1200, 1200, None)
    assert json.loads(job["detail"])["segments"] == ["adult"]
    assert job["started_at"] <= job["finished_at"]
    assert await outsider.fetchval("select min(catalog_revision) from customers") == 1
    await check_books(outsider)


async def test_a_job_whose_process_was_killed_is_taken_over(
    database_url: str, outsider: Any
) -> None:
    async with running(database_url, background=False) as services:
        for age in (10, 20):
            await assign(services, f"c-{age}", age=age)
        await services.publisher.save([segment("adult", ADULT)])
    # What a process leaves behind that is killed in the middle of its work.
    await outsider.execute(
        "update jobs set status = 'running', done = 1, total = 2, started_at = now(), "
        "leased_until = now() + interval '1 hour'"
    )
    async with running(database_url):
        await asyncio.sleep(0.3)
        assert await outsider.fetchval("select status from jobs") == "running"
        assert await members(outsider, "adult") == set()
        await outsider.execute("update jobs set leased_until = now() - interval '1 second'")
        await eventually(lambda: all_done(outsider))
    assert await members(outsider, "adult") == {"c-20"}


async def test_two_processes_share_jobs(database_url: str, outsider: Any) -> None:
    async with running(database_url) as one, running(database_url) as other:
        await asyncio.gather(*(assign(one, f"c-{n}", age=n) for n in range(100)))
        for limit in (10, 20, 30):
            await other.publisher.save([segment("adult", ("age", ">=", limit))])
        await eventually(lambda: all_done(outsider))
        assert await members(outsider, "adult") == {f"c-{n}" for n in range(30, 100)}
        await check_books(outsider)


async def test_a_job_that_fails_tells_why_and_names_nobody(
    services: Services, outsider: Any
) -> None:
    await asyncio.gather(*(assign(services, f"ann-{n}", age=20) for n in range(3)))
    await outsider.execute(
        "alter table customers add check (customer_id <> 'ann-1' or sequence = 0)"
    )
    await services.publisher.save([segment("adult", ADULT)])

    async def failed() -> bool:
        return await outsider.fetchval("select status from jobs") == "failed"

    await eventually(failed)
    # The others were decided.
    assert await members(outsider, "adult") == {"ann-0", "ann-2"}
    job = await outsider.fetchrow("select * from jobs")
    assert job["error"] == "1 customer can't be decided: the database refuses what they came to"
    assert job["done"] == 2
    assert job["finished_at"] is not None
    # The next job is not held up.
    await outsider.execute("alter table customers drop constraint customers_check")
    await services.publisher.save([segment("adult", ("age", "<", 18))])

    async def settled() -> bool:
        return await members(outsider, "adult") == set()

    await eventually(settled)


async def test_a_customer_whose_row_is_held_is_decided_once_it_is_free(
    services: Services, outsider: Any
) -> None:
    for age in (19, 20):
        await assign(services, f"c-{age}", age=age)
    async with outsider.transaction():
        await outsider.execute("select from customers where customer_id = 'c-19' for update")
        await services.publisher.save([segment("adult", ADULT)])
        await asyncio.sleep(0.3)
        assert await outsider.fetchval("select status from jobs") in ("queued", "running")
    await eventually(lambda: all_done(outsider))
    assert await members(outsider, "adult") == {"c-19", "c-20"}


async def test_jobs_go_on_after_the_connections_were_cut(
    services: Services, database_url: str
) -> None:
    await asyncio.gather(*(assign(services, f"c-{n}", age=20) for n in range(600)))
    async with connected(database_url) as outsider:
        await services.publisher.save([segment("adult", ADULT)])
        for _ in range(5):
            await outsider.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.05)
        # A running job whose process lost its connections is taken up when its lease lapses.
        await outsider.execute("update jobs set leased_until = now() where status = 'running'")
        await eventually(lambda: all_done(outsider))
        assert len(await members(outsider, "adult")) == 600
        await check_books(outsider)
