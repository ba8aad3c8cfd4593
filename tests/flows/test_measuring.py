"""Measuring: metrics equal what is counted by hand."""

import asyncio
import json
import random
from datetime import datetime
from statistics import fmean
from typing import Any

import pytest

from service.api.services import Services
from service.core.consent import CHANNELS, Status, reachable
from service.core.instants import DAY, HOUR, format_instant, from_datetime, to_datetime
from service.store import database, metrics
from tests.running import NOW, Clock, assign, connected, eventually, running, segment

pytestmark = pytest.mark.anyio

ADULT = ("age", ">=", 18)


async def measured(services: Services, key: str) -> dict[str, Any]:
    """A segment's figures, which are the same whether it is measured alone or with all others."""
    now = to_datetime(services.clock())
    async with services.database.engine.connect() as connection:
        alone, among_all = [(await metrics.measure(connection, now, k))[key] for k in (key, None)]
    assert alone == among_all
    return alone


async def test_metrics_equal_what_is_counted(services: Services) -> None:
    source = random.Random(3)
    await services.publisher.save([segment("adult", ADULT), segment("empty", ("age", ">", 999))])
    people = []
    for number in range(300):
        person: dict[str, Any] = {"age": source.randrange(10, 60)}
        if source.random() < 0.8:
            person["orders"] = source.randrange(0, 6)
            person["revenue"] = round(source.uniform(0, 900), 2)
            person["last_order_at"] = format_instant(NOW - source.randrange(1, 400) * HOUR)
        if source.random() < 0.7:
            person["consent"] = {
                channel: source.choice(list(Status))
                for channel in CHANNELS
                if source.random() < 0.8
            }
        if source.random() < 0.1:
            odd = source.choice(("orders", "revenue", "last_order_at"))
            person[odd] = source.choice(("many", [1], True, {"a": 1}, ""))
        people.append((f"c-{number}", person))
    await asyncio.gather(*(assign(services, key, **person) for key, person in people))

    adults = [person for _, person in people if person["age"] >= 18]

    def numbers(name: str) -> list[float]:
        values = [person.get(name) for person in adults]
        return [value for value in values if type(value) in (int, float)]

    moments = [
        from_datetime(datetime.fromisoformat(person["last_order_at"]))
        for person in adults
        if isinstance(person.get("last_order_at"), str) and person["last_order_at"][:1] == "2"
    ]
    orders = numbers("orders")
    assert await measured(services, "adult") == {
        "as_of": format_instant(NOW),
        "size": len(adults),
        "share": len(adults) / 300,
        "customers": 300,
        "excluded": 0,
        "revenue": pytest.approx(sum(numbers("revenue")), abs=0.01),
        "orders": sum(orders),
        "average_order_value": pytest.approx(sum(numbers("revenue")) / sum(orders), abs=1e-4),
        "repeat_rate": pytest.approx(
            sum(count >= 2 for count in orders) / sum(count >= 1 for count in orders), abs=1e-6
        ),
        "average_recency_days": pytest.approx(fmean((NOW - m) / DAY for m in moments), abs=0.01),
        "reachable": {
            channel: sum(reachable(person)[channel] for person in adults) for channel in CHANNELS
        },
        "entered": {"day": len(adults), "week": len(adults), "month": len(adults)},
        "exited": {"day": 0, "week": 0, "month": 0},
    }
    assert await measured(services, "empty") == {
        "as_of": format_instant(NOW),
        "size": 0,
        "share": 0.0,
        "customers": 300,
        "excluded": 0,
        "revenue": None,
        "orders": None,
        "average_order_value": None,
        "repeat_rate": None,
        "average_recency_days": None,
        "reachable": dict.fromkeys(CHANNELS, 0),
        "entered": {"day": 0, "week": 0, "month": 0},
        "exited": {"day": 0, "week": 0, "month": 0},
    }


async def test_moves_are_counted_in_their_day_week_and_month(database_url: str) -> None:
    clock = Clock()
    async with running(database_url, clock) as services:
        await services.publisher.save([segment("adult", ADULT)])
        for number, days_ago in enumerate((40, 20, 5, 0)):
            clock.now = NOW - days_ago * DAY
            await assign(services, f"c-{number}", age=20)
        clock.now = NOW - 2 * DAY
        await assign(services, "c-2", age=10)
        clock.now = NOW
        figures = await measured(services, "adult")
        assert figures["entered"] == {"day": 1, "week": 2, "month": 3}
        assert figures["exited"] == {"day": 0, "week": 1, "month": 1}
        assert figures["size"] == 3


async def test_amounts_beyond_all_measure_spoil_nothing(services: Services, outsider: Any) -> None:
    await services.publisher.save([segment("adult", ADULT), segment("minor", ("age", "<", 18))])
    for number in range(2):
        traits = {"age": 20, "revenue": 1.7e308, "orders": 10**300}
        await assign(services, f"c-{number}", **traits, last_order_at="0001-01-01T00:00:00Z")
    await assign(services, "c-9", age=9, revenue=10, orders=1)
    figures = await measured(services, "adult")
    json.dumps(figures, allow_nan=False)
    assert (figures["size"], figures["revenue"], figures["orders"]) == (2, None, 2 * 10**300)
    await services.jobs.measure()
    stored = await outsider.fetchval(
        "select metrics ->> 'revenue' from segment_metrics where segment_key = 'minor'"
    )
    assert float(stored) == 10


async def test_metrics_are_refreshed_when_something_changed(database_url: str) -> None:
    async with (
        running(database_url, metrics_interval=0.05) as services,
        connected(database_url) as outsider,
    ):
        await services.publisher.save([segment("adult", ADULT), segment("gone", ADULT)])

        async def size() -> Any:
            return await outsider.fetchval(
                "select (metrics -> 'size')::int from segment_metrics where segment_key = 'adult'"
            )

        async def measured_empty() -> bool:
            return await size() == 0

        await eventually(measured_empty)
        await assign(services, "c-1", age=20)

        async def measured_one() -> bool:
            return await size() == 1

        await eventually(measured_one)
        as_of = await outsider.fetchval("select as_of from segment_metrics limit 1")
        assert as_of == to_datetime(NOW)


async def test_measuring_may_take_longer_than_a_statement_of_a_request(
    database_url: str, outsider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "COMMAND_TIMEOUT", 0.2)
    async with running(database_url, background=False) as services:
        await services.publisher.save([segment("adult", ADULT)])
        locked = outsider.transaction()
        await locked.start()
        await outsider.execute("lock table customers in access exclusive mode")
        measuring = asyncio.create_task(services.jobs.measure())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(measuring), 0.6)
        await locked.rollback()
        await measuring
        assert await outsider.fetchval("select count(*) from segment_metrics") == 1


async def test_one_process_measures_at_a_time(database_url: str, outsider: Any) -> None:
    async with running(database_url, background=False) as services:
        await services.publisher.save([segment("adult", ADULT)])
        async with services.database.engine.begin() as connection:
            assert await metrics.try_lock(connection)
            await services.jobs.measure()  # does not wait
            assert await outsider.fetchval("select count(*) from segment_metrics") == 0
        await services.jobs.measure()
        assert await outsider.fetchval("select count(*) from segment_metrics") == 1
