"""Streams of tracking messages in batches, each with the segments that read them.

`scattered` is as hard as it gets: nearly every message of a batch is another customer's, of any
time in the last thirty days, and every one is read by a condition. `visits` is a shop's traffic as
its server tells it: sessions that go on side by side, whose page views nobody's condition reads.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from service.core.instants import DAY, SECOND, format_instant, from_datetime

NOW = from_datetime(datetime(2026, 11, 1, tzinfo=UTC))
CUSTOMERS = 1_000
VISITORS = 5_000
SESSIONS = 25  # open at a time
LEAVING = 1 / 6  # the chance that an event is its session's last


@dataclass
class Stream:
    """`conditions`: of the segments, by key; `batches`: of messages; `read`: the events' names
    that conditions read."""

    name: str
    conditions: dict[str, Any]
    batches: list[list[dict[str, Any]]]
    read: frozenset[str]
    told: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.told = [message for batch in self.batches for message in batch]

    @property
    def bodies(self) -> Iterator[bytes]:
        """The batches as they are sent."""
        for batch in self.batches:
            yield json.dumps({"batch": batch}).encode()

    @property
    def events(self) -> int:
        """How many of the messages are events."""
        return sum(message["type"] == "track" for message in self.told)

    @property
    def customers(self) -> float:
        """How many customers a batch is about, on average."""
        batches = [len({message["userId"] for message in batch}) for batch in self.batches]
        return sum(batches) / len(batches)

    @property
    def share_read(self) -> float:
        """The share of the messages that conditions read."""
        return sum(each.get("event") in self.read for each in self.told) / len(self.told)


def scattered(batches: int, size: int) -> Stream:
    """Of 1,000 customers in no order, each event in any of the last thirty days."""
    random = Random(7)

    def message(batch: int, place: int) -> dict[str, Any]:
        at = NOW - random.randrange(30 * DAY)
        return {
            "type": "track",
            "userId": f"c-{random.randrange(CUSTOMERS)}",
            "event": "Product Viewed",
            "messageId": f"m-{batch}-{place}",
            "timestamp": format_instant(at),
            "properties": {"category": random.choice(["shoes", "hats"]), "price": 19.99},
        }

    told = [[message(batch, place) for place in range(size)] for batch in range(batches)]
    viewers = {"viewers": _all(_count("Product Viewed", "30d", ">=", 50))}
    return Stream("scattered", viewers, told, frozenset({"Product Viewed"}))


def visits(batches: int, size: int) -> Stream:
    """Sessions of a shop's 5,000 customers, 25 at a time, as they go on now."""
    random = Random(11)
    at = time.time_ns() // 1_000 - batches * size * SECOND // 1_000
    open_ = [random.randrange(VISITORS) for _ in range(SESSIONS)]
    told: list[list[dict[str, Any]]] = []
    for batch in range(batches):
        told.append([])
        for place in range(size):
            at += SECOND // 1_000
            session = random.randrange(SESSIONS)
            message = _of_a_visit(random, f"v-{batch}-{place}")
            message["userId"] = f"v-{open_[session]}"
            message["timestamp"] = format_instant(at)
            message["context"] = {"library": {"name": "shop", "version": "1.4.0"}}
            told[-1].append(message)
            if random.random() < LEAVING:
                open_[session] = random.randrange(VISITORS)
    read = frozenset({"Product Viewed", "Product Added", "Order Completed"})
    return Stream("visits", _shop(), told, read)


def _of_a_visit(random: Random, message_id: str) -> dict[str, Any]:
    chance = random.random()
    message: dict[str, Any] = {"type": "track", "messageId": message_id}
    product = {"product_id": f"p-{random.randrange(500)}", "price": 19.99, "category": "shoes"}
    if chance < 0.02:
        traits = {"plan": random.choice(["free", "plus"]), "city": "Brno"}
        return {**message, "type": "identify", "traits": traits}
    if chance < 0.04:
        order: dict[str, Any] = {"order_id": message_id, "total": 39.98, "currency": "USD"}
        products = [{**product, "quantity": 2}]
        return {
            **message,
            "event": "Order Completed",
            "properties": {**order, "products": products},
        }
    if chance < 0.10:
        return {**message, "event": "Product Added", "properties": {**product, "quantity": 1}}
    if chance < 0.35:
        return {**message, "event": "Product Viewed", "properties": product}
    if chance < 0.40:
        return {**message, "event": "Products Searched", "properties": {"query": "boots"}}
    page = {"url": "https://shop.example/p", "path": "/p", "title": "Boots"}
    return {**message, "event": "Page Viewed", "properties": page}


def _shop() -> dict[str, Any]:
    """Twenty segments of a shop."""
    spent = {"function": "sum", "of": "properties.net"}
    price = {"function": "avg", "of": "properties.price", "within": "90d"}
    last = {"function": "last"}
    rules: dict[str, dict[str, Any]] = {
        "buyers": _count("Order Completed", None, ">=", 1),
        "repeat": _count("Order Completed", "365d", ">=", 2),
        "loyal": _count("Order Completed", "365d", ">=", 5),
        "active-buyers": _count("Order Completed", "30d", ">=", 1),
        "big-spenders": _over("Order Completed", {**spent, "within": "365d"}, ">", 500),
        "spent-100": _over("Order Completed", spent, ">=", 100),
        "spent-1000": _over("Order Completed", spent, ">=", 1_000),
        "bought-lately": _over("Order Completed", last, "withinLast", "14d"),
        "lapsed": _over("Order Completed", last, "notWithinLast", "90d"),
        "lookers": _count("Product Viewed", "7d", ">=", 10),
        "keen": _count("Product Viewed", "30d", ">=", 50),
        "looked-today": _count("Product Viewed", "1d", ">=", 1),
        "dear-taste": _over("Product Viewed", price, ">", 100),
        "carts": _count("Product Added", "1d", ">=", 1),
        "big-carts": _count("Product Added", "1d", ">=", 5),
        "put-lately": _over("Product Added", last, "withinLast", "3d"),
        "plus": {"field": "plan", "operator": "=", "value": "plus"},
        "brno": {"field": "city", "operator": "=", "value": "Brno"},
    }
    conditions = {key: _all(rule) for key, rule in rules.items()}
    left = {"field": "segment:active-buyers", "operator": "=", "value": False}
    conditions["abandoned"] = _all(rules["carts"], left)
    conditions["window-shoppers"] = _all(rules["lookers"], left)
    return conditions


def _all(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"combinator": "and", "rules": list(rules)}


def _over(event: str, aggregate: dict[str, Any], operator: str, value: Any) -> dict[str, Any]:
    rule = {"field": f"event:{event}", "aggregate": aggregate}
    return {**rule, "operator": operator, "value": value}


def _count(event: str, within: str | None, operator: str, value: int) -> dict[str, Any]:
    window = {} if within is None else {"within": within}
    return _over(event, {"function": "count", **window}, operator, value)
