"""Whatever was told under whichever ids, joined and parted in between: everybody ends as somebody
who was told all that is theirs under one id."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.identities import EMAIL, Identity, anonymous_customer
from service.core.instants import DAY, HOUR, SECOND
from tests.api.telling import buyers, message
from tests.api.test_identity_orders import forget
from tests.api.test_tracking import make, taken
from tests.postgres import Databases
from tests.running import NOW, Clock
from tests.serving import Service, service_of

USERS = st.sampled_from("KLM")
VISITORS = st.sampled_from("ab")
MAILS = st.sampled_from(("x@example.com", "y@example.com"))
PHONE = {"userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 15_0 like Mac OS X)"}
_VALUES = st.one_of(st.integers(0, 9), st.none(), st.just({"b": 1}), st.just({"b": None, "c": 2}))
_TRAITS = st.dictionaries(st.sampled_from(("t0", "t1")), _VALUES, min_size=1)


class Told(NamedTuple):
    """A message, without its id. `day`: when it happened, of November."""

    kind: str
    user: str | None
    visitor: str
    email: str | None
    day: int
    more: dict[str, Any]


class Assigned(NamedTuple):
    user: str | None
    email: str | None
    traits: dict[str, Any]


class Joined(NamedTuple):
    """Two of those who are there, by their places, are made one, or one is taken out."""

    way: str
    one: int
    other: int


class Later(NamedTuple):
    by: int


def _more(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    order_id = st.sampled_from(("o-1", "o-2"))
    if kind == "identify":
        consents = st.sampled_from(("subscribed", "unsubscribed"))
        said = consents.map(lambda status: {"consent": {"email": status}})
        return st.fixed_dictionaries({"traits": st.one_of(_TRAITS, said)})
    if kind == "page":
        return st.just({"name": "Home", "context": PHONE})
    totals = {"order_id": order_id, "total": st.integers(1, 60)}
    properties = st.fixed_dictionaries(totals)
    return st.fixed_dictionaries({"event": st.just(kind), "properties": properties})


_KINDS = ("identify", "page", "Order Completed", "Order Completed", "Order Refunded")
_TOLD = st.sampled_from(_KINDS).flatmap(
    lambda kind: st.builds(
        Told, st.just(kind), st.none() | USERS, VISITORS, st.none() | MAILS, st.integers(1, 28),
        _more(kind),
    )
)  # fmt: skip
_ASSIGNED = st.builds(Assigned, USERS, st.none() | MAILS, _TRAITS) | st.builds(
    Assigned, st.none(), MAILS, _TRAITS
)
_PLACES = st.integers(0, 9)
_JOINED = st.builds(Joined, st.sampled_from(("merge", "unmerge")), _PLACES, _PLACES)
_LATER = st.builds(Later, st.sampled_from((1, 20 * HOUR, 9 * DAY)))
STEPS = st.lists(st.one_of(_TOLD, _TOLD, _ASSIGNED, _JOINED, _LATER), min_size=3, max_size=12)


class Shop(NamedTuple):
    service: Service
    clock: Clock
    key: str


def shop_of(service: Service, clock: Clock) -> Shop:
    buyers(service)
    rules = (
        ("revenue", ">", 50), ("refunds", ">", 0), ("t0", ">", 3), ("reachable.email", "=", True),
        ("last_order_at", "withinLast", "70d"), ("last_visit_at", "withinLast", "60d"),
    )  # fmt: skip
    for field, operator, value in rules:
        service.save(field.replace("_", "-").replace(".", "-"), (field, operator, value))
    service.settle()
    return Shop(service, clock, make(service))


@pytest.fixture(scope="module")
def shop(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    clock = Clock()
    with service_of(databases, tmp_path_factory.mktemp("oracle"), clock) as service:
        yield shop_of(service, clock)


def written(told: Told, number: int) -> dict[str, Any]:
    """The message on the wire; with an order comes its buyer's address."""
    kind = told.kind if told.kind in ("identify", "page") else "track"
    more = dict(told.more)
    if told.email is not None and kind == "track":
        more["properties"] = {**more["properties"], "email": told.email}
    elif told.email is not None and kind == "identify":
        more["traits"] = {**more["traits"], "email": told.email}
    at = f"2026-11-{told.day:02}T10:{number:02}:00Z"
    return {**message(kind, told.user, told.visitor, number, **more), "timestamp": at}


def live(shop: Shop, steps: list[Any]) -> list[tuple[str, int, Any]]:
    """Have it all happen. Answers what was told: under which id, when it came, and what."""
    service, clock = shop.service, shop.clock
    namer = service.process.services.live.namer
    told: list[tuple[str, int, Any]] = []
    for number, step in enumerate(steps):
        match step:
            case Told(kind, user, visitor, email):
                body = written(step, number)
                taken(service, shop.key, body)
                who = user or anonymous_customer(visitor)
                if user is None and email is not None and kind.startswith("Order"):
                    who = namer.customer_of(Identity(EMAIL, email))
                told.append((who, clock.now, body))
            case Assigned(user, email, traits):
                identities = {} if email is None else {"email": email}
                service.assign(user, traits=traits, identities=identities)
                who = user or namer.customer_of(Identity(EMAIL, email or ""))
                told.append((who, clock.now, traits))
            case Joined():
                join(service, step)
            case Later(by):
                clock.now += by
    return told


def join(service: Service, step: Joined) -> None:
    people = [who for (who,) in service.rows("select customer_id from customers order by 1")]
    if not people:
        return
    one = people[step.one % len(people)]
    others = [each for each in people if each != one]
    if step.way == "unmerge":
        others = service.get(f"/customers/{one}")["other_ids"]
    if others:
        other = others[step.other % len(others)]
        answer = service.ask("post", f"/customers/{one}/{step.way}", json={"from": other})
        assert answer.status_code in (200, 409), answer.text
        if (step.way, answer.status_code) == ("unmerge", 200):
            left = service.ask("get", f"/customers/{other}")
            assert left.status_code == 404 or left.json()["customer_id"] != one


def people(service: Service) -> dict[str, Any]:
    """Who there is, as of now, and what is known of them."""
    found = {}
    for (who,) in service.rows("select customer_id from customers order by 1"):
        service.assign(who)  # what is due happens
        record = service.get(f"/customers/{who}")
        found[who] = (record["traits"], sorted(each["key"] for each in record["segments"]))
    return found


def links(service: Service) -> dict[str, str]:
    """Who is somebody else, which must be somebody who is nobody else."""
    found = dict(service.rows("select customer_id, person from links"))
    assert found.keys().isdisjoint(found.values())
    there = {who for (who,) in service.rows("select customer_id from customers")}
    assert there.isdisjoint(found)
    return found


def check_transitions(service: Service) -> None:
    """Everybody entered what they are in once more than they left it, and all else as often."""
    counted = service.rows(
        "select customer_id, segment_key, sum(case when entered then 1 else -1 end) "
        "from transitions group by 1, 2"
    )
    entered = {(who, key) for who, key, times in counted if times == 1}
    assert {times for *_, times in counted} <= {0, 1}
    assert entered == set(service.rows("select customer_id, segment_key from memberships"))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_everybody_is_as_if_told_all_under_one_id(shop: Shop, steps: list[Any]) -> None:
    service, clock = shop.service, shop.clock
    forget(service)
    clock.now = NOW
    told = live(shop, steps)
    roots = links(service)
    clock.now += SECOND
    found = people(service)
    check_transitions(service)
    end = clock.now
    forget(service)
    for who, came_at, what in told:
        clock.now = came_at
        # An id of their own, which no identity has.
        one = f"one-{roots.get(who, who)}"
        if "type" in what:
            taken(service, shop.key, {**what, "userId": one, "anonymousId": None})
        else:
            service.assign(one, traits=what)
    clock.now = end
    expected = {who.removeprefix("one-"): each for who, each in people(service).items()}
    # Of whom nothing was told they are there by their name alone.
    assert {who: found.get(who) for who in expected} == expected
