"""Orders and rates on a real database: whole batches, under lock, exact."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from service.core.access import SYSTEM
from service.core.events import Event
from service.core.instants import DAY, HOUR, SECOND, to_datetime
from service.core.order_facts import Facts, fold
from service.core.order_messages import OrderMessage, order_message
from service.core.orders import Order, Pending, currencies, event, settle
from service.core.rates import Rate
from service.store.database import Database
from service.store.orders import (
    lock_orders,
    order_events,
    orders_of,
    owners,
    read_rates,
    with_a_rate,
    write_orders,
)
from service.store.rates import Asked, listed, put
from tests.running import NOW, PATIENCE, connected, eventually

pytestmark = pytest.mark.anyio

TODAY = to_datetime(NOW).date()
KEY = ("shop", "o-1")
PLACED, REFUNDED, CANCELLED = "Order Completed", "Order Refunded", "Order Cancelled"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Any]:
    async with connected(database_url) as one:
        yield one


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Any]:
    async with connected(database_url) as another:
        yield another


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    one = Database(database_url, 3)
    yield one
    await one.close()


def message(
    name: str, order_id: str = "o-1", customer: str | None = "c-1", at: int = 0, **told: Any
) -> OrderMessage:
    read = order_message(
        Event(name, NOW + at, {"order_id": order_id, **told}, f"m-{name}-{at}", "web"),
        "shop",
        customer,
    )
    assert isinstance(read, OrderMessage)
    return read


async def take(connection: Any, *messages: OrderMessage, at: int = NOW) -> list[Order]:
    """Store what messages tell, as the writer does: one batch, one transaction."""
    async with connection.transaction():
        facts = await lock_orders(connection, [each.key for each in messages], at)
        for each in messages:
            facts[each.key] = fold(facts[each.key], each)
        wanted = set().union(*(currencies(each, "USD", UTC) for each in facts.values()))
        rates = await read_rates(connection, wanted, "USD", UTC)
        orders = {key: settle(*key, each, rates) for key, each in facts.items()}
        await write_orders(connection, [(orders[key], facts[key]) for key in orders], at)
    return [orders[each.key] for each in messages]


async def upload(database: Database, *rates: Rate) -> int:
    async with database.engine.begin() as connection:
        return await put(connection, SYSTEM, to_datetime(NOW), rates)


def euro(rate: str, day: date = TODAY) -> Rate:
    return Rate("EUR", day, Decimal(rate))


async def test_an_order_is_stored_with_what_it_comes_to(connection: Any) -> None:
    lines = [{"sku": "s", "price": "50.25", "quantity": 2, "category": "shoes"}]
    [order] = await take(
        connection, message(PLACED, total="120.50", tax=20, discount=5, products=lines)
    )
    row = await connection.fetchrow("select * from orders")
    assert (row["store"], row["order_id"], row["customer_id"]) == ("shop", "o-1", "c-1")
    assert row["placed_at"] == row["updated_at"] == to_datetime(NOW)
    assert [row[name] for name in ("gross", "net", "discount", "refunded")] == [
        Decimal("120.5"), Decimal("100.5"), Decimal(5), Decimal(0),
    ]  # fmt: skip
    assert (row["currency"], row["rates"]) == ("USD", "{}")
    assert (row["cancelled_at"], row["pending"], row["lacks"]) == (None, None, None)
    assert await orders_of(connection, ["c-1", "c-2"], "USD") == {"c-1": [order]}
    told = event(order)
    assert told is not None
    assert told.properties["products"][0]["category"] == "shoes"


async def test_messages_of_many_transactions_make_one_order(connection: Any) -> None:
    first = message(PLACED, total=120)
    for at, each in enumerate(
        (message(REFUNDED, customer=None, at=5, total=20), first, first,
         message("Order Updated", at=2, shipping=10))
    ):  # fmt: skip
        await take(connection, each, at=NOW + at * SECOND)
    [order] = (await orders_of(connection, ["c-1"], "USD"))["c-1"]
    assert (order.gross, order.net, order.refunded) == (120, 90, 20)
    assert (order.placed_at, order.pending) == (NOW, None)
    assert await connection.fetchval("select count(*) from orders") == 1
    assert await connection.fetchval("select net from orders") == 90


async def test_an_order_that_is_erased_meanwhile_begins_anew(
    connection: Any, other: Any, database_url: str
) -> None:
    keys = [("shop", "o-1"), ("shop", "o-2")]
    await lock_orders(connection, keys, NOW)
    async with connected(database_url) as eraser:
        held = other.transaction()
        await held.start()
        await other.execute("delete from orders where order_id = 'o-2'")
        # It has seen the first one, and waits for whether the second is to go.
        asking = asyncio.create_task(lock_orders(connection, keys, NOW))

        async def waits() -> bool:
            waiting = """select count(*) from pg_stat_activity
              where datname = current_database() and wait_event_type = 'Lock'"""
            return await eraser.fetchval(waiting) == 1

        await eventually(waits)
        await eraser.execute("delete from orders where order_id = 'o-1'")
        await held.rollback()
        assert (await asking).keys() == set(keys)


async def test_a_batch_takes_many_orders_of_many_customers(connection: Any) -> None:
    told = [
        message(PLACED, f"o-{place}", f"c-{place % 3}", at=-place, total=place)
        for place in range(50)
    ]
    await take(connection, *told, message(CANCELLED, "o-7", "c-1"), message(REFUNDED, "o-99", None))
    found = await orders_of(connection, ["c-0", "c-1", "c-2"], "USD")
    assert {customer: len(orders) for customer, orders in found.items()} == {
        "c-0": 17, "c-1": 17, "c-2": 16,
    }  # fmt: skip
    placed = [order.placed_at for order in found["c-0"]]
    assert placed == sorted(placed, key=lambda at: at or 0)
    assert [order.order_id for order in found["c-1"] if not order.counts] == ["o-7"]
    assert await order_events(connection, ["c-0", "c-1", "c-2", "c-9"]) == {
        customer: [event(order) for order in orders if order.counts]
        for customer, orders in found.items()
    }
    keys = [("shop", "o-1"), ("shop", "o-99"), ("shop", "never"), ("elsewhere", "o-1")]
    assert await owners(connection, keys) == {("shop", "o-1"): "c-1"}
    row = await connection.fetchrow("select * from orders where order_id = 'o-99'")
    assert (row["pending"], row["customer_id"], row["net"]) == (Pending.NO_ORDER, None, None)


async def test_nothing_asked_is_nothing_found(connection: Any) -> None:
    assert await lock_orders(connection, [], NOW) == {}
    assert await orders_of(connection, [], "USD") == await order_events(connection, []) == {}
    assert await owners(connection, []) == {}
    await write_orders(connection, [], NOW)
    assert await connection.fetchval("select count(*) from orders") == 0


async def test_ids_are_kept_letter_by_letter(connection: Any) -> None:
    ids = ["O-1", "o-1", "č,\"'\\", "{}", "\U0001f408", "x" * 256]
    await take(connection, *(message(PLACED, each, total=1, note=each) for each in ids))
    found = (await orders_of(connection, ["c-1"], "USD"))["c-1"]
    assert sorted(order.order_id for order in found) == sorted(ids)
    assert all(order.more["note"] == order.order_id for order in found)


async def test_who_locks_an_order_has_it_alone(connection: Any, other: Any) -> None:
    await take(connection, message(PLACED, total=120))

    async def refund(one: Any, at: int) -> None:
        await take(one, message(REFUNDED, at=at, total=1))

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(
            *(
                _each(refund, one, range(start, 40, 2))
                for start, one in ((0, connection), (1, other))
            )
        )
    assert await connection.fetchval("select refunded from orders") == 40


async def _each(work: Any, connection: Any, ats: Sequence[int]) -> None:
    for at in ats:
        await work(connection, at)


@pytest.mark.parametrize("there", [True, False])
async def test_orders_are_locked_in_the_order_of_their_keys(
    connection: Any, other: Any, database_url: str, there: bool
) -> None:
    """Who waits for the second of three, however they are named, has the first and not the last;
    so nobody can wait for one who waits for them."""
    ids = ["o-1", "o-2", "o-3"]
    if there:
        await take(connection, *(message(PLACED, each) for each in ids))

    async def locked() -> list[str]:
        async with other.transaction():
            keys = await lock_orders(other, [("shop", each) for each in reversed(ids)], NOW)
        return [order_id for _, order_id in keys]

    async def free(one: Any, order_id: str) -> bool:
        """Whether somebody else gets an order at once."""
        took = one.transaction()
        await took.start()
        try:
            await lock_orders(one, [("shop", order_id)], NOW)
        except asyncpg.LockNotAvailableError:
            return False
        finally:
            await took.rollback()
        return True

    held = connection.transaction()
    await held.start()
    assert await lock_orders(connection, [("shop", "o-2")], NOW)
    waiting = asyncio.create_task(locked())
    await eventually(lambda: _waits(connection))
    async with connected(database_url) as third:
        await third.execute("set lock_timeout = '20ms'")
        assert [await free(third, each) for each in ids] == [False, False, True]
    assert not waiting.done()
    await held.rollback()
    async with asyncio.timeout(PATIENCE):
        assert await waiting == ids


async def _waits(connection: Any) -> bool:
    query = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    return bool(await connection.fetchval(query + " and datname = current_database()"))


async def test_a_foreign_order_is_kept_as_it_was_converted(
    connection: Any, database: Database
) -> None:
    await upload(database, euro("1.0852"))
    [order] = await take(connection, message(PLACED, currency="EUR", total="120.50"))
    assert order.net == Decimal("130.7666")
    row = await connection.fetchrow("select * from orders")
    assert (row["net"], row["currency"], row["rates"]) == (order.net, "EUR", '{"EUR": "1.0852"}')
    await upload(database, euro("2"))
    assert (await orders_of(connection, ["c-1"], "USD"))["c-1"] == [order]
    assert (await order_events(connection, ["c-1"]))["c-1"] == [event(order)]
    # The next message settles it anew, with the rates of now.
    [again] = await take(connection, message("Order Updated", at=5, coupon="A"))
    assert again.net == 241


async def test_an_order_without_a_rate_is_found_once_there_is_one(
    connection: Any, database: Database
) -> None:
    koruna = message(PLACED, "o-2", currency="CZK", total=100)
    orders = await take(connection, message(PLACED, currency="EUR", total=100), koruna)
    assert {order.pending for order in orders} == {Pending.NO_RATE}
    assert await order_events(connection, ["c-1"]) == {}
    assert await with_a_rate(connection, "UTC", 10) == []
    tomorrow, long_ago = TODAY + timedelta(days=1), TODAY - timedelta(days=32)
    await upload(database, euro("1.1", tomorrow), euro("1.2", long_ago))
    assert await with_a_rate(connection, "UTC", 10) == []
    await upload(database, euro("1.3", TODAY - timedelta(days=31)))
    assert await with_a_rate(connection, "UTC", 10) == [(KEY, "c-1")]
    # Settled by a batch that brings no message.
    async with connection.transaction():
        facts = await lock_orders(connection, [KEY], NOW)
        rates = await read_rates(connection, currencies(facts[KEY], "USD", UTC), "USD", UTC)
        order = settle(*KEY, facts[KEY], rates)
        await write_orders(connection, [(order, facts[KEY])], NOW)
    assert order.net == 130
    assert (await order_events(connection, ["c-1"]))["c-1"] == [event(order)]
    assert await with_a_rate(connection, "UTC", 10) == []
    pending = await connection.fetch("select order_id, lacks from orders where lacks is not null")
    assert [tuple(row) for row in pending] == [("o-2", "CZK")]


async def test_the_day_of_a_waiting_order_is_the_workspaces(
    connection: Any, database: Database
) -> None:
    """Both ways of finding a rate agree about the day, hour by hour."""
    zone = ZoneInfo("Pacific/Auckland")
    await upload(database, euro("1.5", TODAY))
    for hour in range(-36, 37):
        placed = message(PLACED, f"o-{hour}", at=hour * HOUR - 31 * DAY, currency="EUR", total=1)
        facts = fold(Facts(), placed)
        waiting = settle(*placed.key, facts, await read_rates(connection, [], "USD", zone))
        async with connection.transaction():
            await lock_orders(connection, [placed.key], NOW)
            await write_orders(connection, [(waiting, facts)], NOW)
    for table_day in (TODAY - timedelta(days=31), TODAY):
        await upload(database, euro("1.5", table_day))
        found = {key for key, _ in await with_a_rate(connection, zone.key, 1_000)}
        for hour in range(-36, 37):
            placed = message(PLACED, f"o-{hour}", at=hour * HOUR - 31 * DAY, currency="EUR")
            wanted = currencies(fold(Facts(), placed), "USD", zone)
            rates = await read_rates(connection, wanted, "USD", zone)
            known = rates.at("EUR", placed.at) is not None
            assert known == (placed.key in found), hour


async def test_rates_of_many_days_are_read_at_once(connection: Any, database: Database) -> None:
    days = [TODAY - timedelta(days=back) for back in range(0, 60, 7)]
    await upload(database, *(euro(f"1.{place + 1}", day) for place, day in enumerate(days)))
    wanted = {("EUR", TODAY - timedelta(days=back)) for back in range(60)}
    rates = await read_rates(connection, wanted | {("CZK", TODAY)}, "USD", UTC)
    for back in range(60):
        rate = rates.rate("EUR", TODAY - timedelta(days=back))
        at = next((place for place, day in enumerate(days) if day <= TODAY - timedelta(back)), None)
        assert rate == (None if at is None else Decimal(f"1.{at + 1}"))
    assert rates.rate("CZK", TODAY) is None
    assert rates.rate("USD", TODAY) == 1


async def test_uploads_replace_and_tell_the_audit(connection: Any, database: Database) -> None:
    assert await upload(database, euro("1.0"), Rate("CZK", TODAY, Decimal("0.043"))) == 2
    assert await upload(database, euro("1.00")) == 0
    assert await upload(database, euro("1.2"), euro("1.3")) == 1
    entries = await connection.fetch("select author, subject, difference from audit order by id")
    assert [(row["author"], row["subject"]) for row in entries] == [(SYSTEM.name, "rates")] * 2
    assert entries[1]["difference"] == (f'{{"EUR {TODAY}": {{"after": "1.3", "before": "1"}}}}')
    year = [euro("2", TODAY - timedelta(days=back)) for back in range(1, 366)]
    assert await upload(database, *year) == 365
    last = await connection.fetchval("select difference ->> 'EUR' from audit order by id desc")
    assert '"rates": 365' in last
    async with database.engine.connect() as reading:
        found = await listed(reading, Asked("EUR", since=TODAY - timedelta(days=1)), None, 10)
    assert found == [year[0], euro("1.3")]
