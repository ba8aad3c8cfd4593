"""SIGKILL in the middle of recorded work: what was acknowledged is there, once."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.service import Caller, Service
from tests.running import check_books, connected, group

pytestmark = pytest.mark.anyio

ASSIGNS = 10_000
CONNECTIONS = 12
CUSTOMERS = 150
KILLED_AT = 5_000

SEGMENTS = {
    "adult": {"condition": group(("age", ">=", 18))},
    "senior": {"condition": group(("age", ">=", 65), ("segment:adult", "=", True))},
    "minor": {"condition": group(("age", "<", 18))},
    "gold": {"condition": group(("spent", ">", 100)), "scheme": "tier", "priority": 1},
    "silver": {"condition": group(("spent", ">", 10)), "scheme": "tier", "priority": 2},
}


class Load:
    """Callers that share the work, and remember what was acknowledged to them."""

    def __init__(self) -> None:
        source = random.Random(5)
        self.left: Iterator[dict[str, Any]] = iter(
            [
                {
                    "customer_id": f"c-{source.randrange(CUSTOMERS)}",
                    "traits": {
                        "age": source.choice((10, 30, 70)),
                        "spent": source.choice((1, 50, 500)),
                    },
                }
                for _ in range(ASSIGNS)
            ]
        )
        self.number = 0
        # Numbered by each caller, so that of two that are stored the later one is known.
        self.acknowledged: dict[tuple[str, str], int] = {}
        self.moves: dict[tuple[str, int], Any] = {}
        self.again: list[dict[str, Any]] = []
        self.count = 0

    def body(self, name: str) -> dict[str, Any] | None:
        if self.again:
            return self.again.pop()
        body = next(self.left, None)
        if body is not None:
            self.number += 1
            body["traits"][name] = self.number
        return body

    async def call(self, port: int, name: str) -> None:
        async with Caller(port) as caller:
            while (body := self.body(name)) is not None:
                try:
                    status, answer = await caller.post("/assign", body)
                except (OSError, EOFError):
                    self.again.append(body)
                    return
                assert status == 200, answer
                self.note(body, answer)

    def note(self, body: dict[str, Any], answer: dict[str, Any]) -> None:
        self.count += 1
        customer = body["customer_id"]
        for trait, value in body["traits"].items():
            if trait.startswith("by-"):
                key = customer, trait
                self.acknowledged[key] = max(value, self.acknowledged.get(key, 0))
        assert answer["recorded"]
        if answer["entered"] or answer["exited"]:
            moved = set(answer["entered"]), {exited["key"] for exited in answer["exited"]}
            sequence = answer["sequence"]
            assert (customer, sequence) not in self.moves
            self.moves[customer, sequence] = moved


async def test_what_was_acknowledged_before_a_kill_is_there_once(
    database_url: str, tmp_path: Path
) -> None:
    load = Load()
    environment = {"DATABASE_URL": database_url}
    for killed_at in (KILLED_AT, None):
        with Service(tmp_path, tmp_path, **environment) as service:
            await asyncio.to_thread(service.ready)
            if killed_at is not None:
                with service.client() as client:
                    for key, document in SEGMENTS.items():
                        client.put(f"/segments/{key}", json=document).raise_for_status()
            callers = [
                asyncio.create_task(load.call(service.port, f"by-{number}"))
                for number in range(CONNECTIONS)
            ]
            if killed_at is not None:
                while load.count < killed_at:
                    await asyncio.sleep(0.005)
                    assert not any(caller.done() for caller in callers)
                service.kill()
            await asyncio.gather(*callers)
            if killed_at is None:
                await retried(service, load)
    assert load.count >= ASSIGNS
    async with connected(database_url) as connection:
        await check_books(connection)
        await check_acknowledged(connection, load)


async def retried(service: Service, load: Load) -> None:
    """Sending something again changes nothing and tells no transition a second time."""
    async with Caller(service.port) as caller:
        for number in range(20):
            body = {"customer_id": f"c-{number}", "traits": {"age": 70, "spent": 500}}
            _, first = await caller.post("/assign", body)
            load.note(body, first)
            _, second = await caller.post("/assign", body)
            assert (second["entered"], second["exited"]) == ([], [])
            assert second["sequence"] == first["sequence"]


async def check_acknowledged(connection: Any, load: Load) -> None:
    rows = await connection.fetch(
        "select customer_id, key, value::bigint from customers, jsonb_each_text(traits) as t "
        "(key, value) where key like 'by-%'"
    )
    stored = {(row["customer_id"], row["key"]): row["value"] for row in rows}
    missing = {key for key, value in load.acknowledged.items() if stored.get(key, 0) < value}
    assert missing == set()
    # What an answer told is what the log tells.
    log: dict[str, list[tuple[int, str, bool]]] = defaultdict(list)
    for row in await connection.fetch(
        "select customer_id, sequence, segment_key, entered from transitions order by sequence"
    ):
        log[row["customer_id"]].append((row["sequence"], row["segment_key"], row["entered"]))
    assert len(load.moves) > 1_000
    for (customer, sequence), (entered, exited) in load.moves.items():
        first = sequence - len(entered) - len(exited)
        told = log[customer][first:sequence]
        assert {key for _, key, came in told if came} == entered
        assert {key for _, key, came in told if not came} == exited
