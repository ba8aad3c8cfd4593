"""Whatever order messages arrive in, and however they are batched, everybody ends as the same."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tests.api.telling import buyers, counting, identify, message, order, track
from tests.api.test_tracking import basic, make, taken
from tests.postgres import Databases
from tests.serving import Service, service_of

TOLD = (
    "customers", "memberships", "transitions", "trait_history", "orders", "events", "histories",
    "identities", "claims", "links", "fragments", "rejects",
)  # fmt: skip
USERS = st.sampled_from((None, "K", "L", "M"))
VISITORS = st.sampled_from((None, "a", "b"))


def _message(
    kind: str, user: str | None, visitor: str | None, other: str, number: int, email: str | None
) -> dict[str, Any]:
    if kind == "alias":
        return message("alias", user or "K", None, number, previousId=other)
    if kind == "merge":
        pair = [{"type": "user_id", "value": other}, {"type": "user_id", "value": user or "K"}]
        return message("merge", None, None, number, mergeProperties=pair)
    if user is None and visitor is None and not (kind == "order" and email):
        visitor = "a"
    more = {"email": email} if email else {}
    if kind == "identify":
        return identify(user, visitor, number, **{f"t{number % 3}": number}, **more)
    if kind == "order":
        return order(user, visitor, number, **more)
    return track("Seen", user, visitor, number)


_DRAWN = st.tuples(
    st.sampled_from(("identify", "identify", "order", "order", "track", "alias", "merge")),
    USERS,
    VISITORS,
    st.sampled_from(("K", "L", "M", "a", "b")),
    st.sampled_from((None, None, "x@example.com", "y@example.com")),
)
_MESSAGES = st.lists(_DRAWN, min_size=2, max_size=7).map(
    lambda drawn: [
        _message(kind, user, visitor, other, number, email)
        for number, (kind, user, visitor, other, email) in enumerate(drawn, 1)
    ]
)


@pytest.fixture(scope="module")
def shop(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("orders")
    with service_of(databases, folder) as service:
        buyers(service)
        for count in (1, 2):
            counting(service, f"seen-{count}", "Seen", count)
        yield service


def forget(service: Service) -> None:
    async def emptied() -> None:
        async with service.process.database.engine.begin() as connection:
            await connection.execute(text(f"truncate {', '.join(TOLD)}"))

    service.runner.run(emptied())


def outcome(service: Service) -> dict[str, Any]:
    """Who there is, and what they came to."""
    return {
        name: service.rows(query)
        for name, query in {
            "links": "select customer_id, person from links order by 1",
            "customers": "select customer_id, type, traits, fragmented from customers order by 1",
            "members": "select customer_id, segment_key from memberships order by 1, 2",
            "fragments": "select customer_id, traits from fragments order by 1",
            "orders": "select order_id, customer_id, owner from orders order by 1",
            "events": "select message_id, customer_id from events order by 1",
            "identities": "select * from identities order by 1",
            "claims": "select customer_id, claimant, kind, at, verified from claims order by 1,2,3",
            "rejects": "select message_id, code, detail from rejects order by 1, 2",
        }.items()
    }


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(messages=_MESSAGES, seed=st.integers(0, 2**16), together=st.booleans())
def test_any_order_of_arrival_gives_the_same(
    shop: Service, messages: list[dict[str, Any]], seed: int, together: bool
) -> None:
    key = write_key(shop)
    forget(shop)
    for each in messages:
        taken(shop, key, each)
    expected = outcome(shop)
    forget(shop)
    shuffler = random.Random(seed)
    # What is sent again counts once.
    shuffled = [*messages, *shuffler.choices(messages, k=2)]
    shuffler.shuffle(shuffled)
    batches = []
    while shuffled:
        size = shuffler.randint(1, 3)
        batches.append(shuffled[:size])
        shuffled = shuffled[size:]
    if together:
        at_once(shop, key, batches)
    else:
        for batch in batches:
            taken(shop, key, *batch)
    assert outcome(shop) == expected


def at_once(service: Service, key: str, batches: list[list[dict[str, Any]]]) -> None:
    """Send all batches at once; what is refused for now is sent again."""

    async def sent(batch: list[dict[str, Any]]) -> None:
        while True:
            answer = await service.client.post(
                "/v1/batch", json={"batch": batch}, headers=basic(key)
            )
            if answer.status_code == 200:
                return
            assert answer.status_code in (429, 503), answer.text

    async def all_sent() -> None:
        await asyncio.gather(*map(sent, batches))

    service.runner.run(all_sent())


_KEYS: dict[int, str] = {}


def write_key(service: Service) -> str:
    if id(service) not in _KEYS:
        _KEYS[id(service)] = make(service)
    return _KEYS[id(service)]
