"""The writer at work on two batches at a time: nothing is lost, doubled or out of order."""

import asyncio
import random
from typing import Any

import pytest

from service.core.decisions import Input
from service.store.writer import LANES
from tests.running import NOW, PATIENCE, check_books, connected, eventually, running, segment

pytestmark = pytest.mark.anyio

SEGMENTS = (segment("even", ("count", "in", [0, 2, 4, 6, 8])), segment("low", ("count", "<", 5)))
CUSTOMERS = 40


async def transactions(outsider: Any) -> int:
    query = """select count(*) from pg_stat_activity
      where datname = current_database() and state = 'active' and wait_event_type = 'Lock'"""
    return int(await outsider.fetchval(query))


async def test_what_many_tell_at_once_is_kept_in_its_order(database_url: str) -> None:
    shuffled = random.Random(7)
    told = [(f"c-{shuffled.randrange(CUSTOMERS)}", number) for number in range(400)]
    last = {who: number % 10 for who, number in told}
    async with (
        running(database_url, writer_batch=8) as services,
        connected(database_url) as outsider,
    ):
        await services.publisher.save(SEGMENTS)
        async with asyncio.timeout(PATIENCE):
            decisions = await asyncio.gather(
                *(services.writer.submit(who, Input({"count": n % 10}, NOW)) for who, n in told)
            )
        # Each of a customer's messages met the state that the one before it left.
        for (_, number), decision in zip(told, decisions, strict=True):
            assert decision is not None
            assert bool(decision.truths & 1) == (number % 10 % 2 == 0)
        rows = await outsider.fetch("select customer_id, (traits ->> 'count')::int from customers")
        assert dict(map(tuple, rows)) == last
        await check_books(outsider)


@pytest.mark.parametrize("behind", [False, True], ids=["recorded", "behind what is recorded"])
async def test_two_batches_are_at_the_database_at_a_time(database_url: str, behind: bool) -> None:
    async with (
        running(database_url, writer_batch=2) as services,
        connected(database_url) as outsider,
    ):
        await services.publisher.save(SEGMENTS)
        transaction = outsider.transaction()
        await transaction.start()
        await outsider.execute("lock table transitions in exclusive mode")
        async with connected(database_url) as watching:
            give = services.writer.touch if behind else services.writer.submit
            answers = [give(f"c-{n}", Input({"count": n}, NOW)) for n in range(10)]

            async def all_wait() -> bool:
                return await transactions(watching) == LANES

            await eventually(all_wait)
        await transaction.rollback()
        async with asyncio.timeout(PATIENCE):
            assert all(await asyncio.gather(*answers))
        await check_books(outsider)


async def test_stopping_finishes_what_waits_behind_both(database_url: str) -> None:
    async with connected(database_url) as outsider:
        async with running(database_url, writer_batch=2) as services:
            await services.publisher.save(SEGMENTS)
            answers = [
                services.writer.submit(f"c-{n % 4}", Input({"count": n}, NOW)) for n in range(20)
            ]
        assert all(answer.done() and answer.result() is not None for answer in answers)
        rows = await outsider.fetch("select customer_id, (traits ->> 'count')::int from customers")
        assert dict(map(tuple, rows)) == {f"c-{n}": 16 + n for n in range(4)}
        await check_books(outsider)
