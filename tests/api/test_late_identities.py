"""What comes late about somebody who was erased is dropped, under whatever name it comes."""

from typing import Any

import pytest

from service.core.instants import DAY, HOUR, format_instant
from tests.running import NOW, Clock
from tests.serving import Service

ANN = "ann.7d1e@example.com"
EARLIER = format_instant(NOW + HOUR)


@pytest.fixture
def service(fresh: Service) -> Service:
    """Ann, known by her address, was erased an hour ago."""
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    told = {"anonymousId": "her-laptop", "userId": "c-1", "traits": {"email": ANN}}
    send(fresh, "server", {"type": "identify", "timestamp": format_instant(NOW), **told})
    clock.now += DAY
    assert fresh.ask("delete", "/customers/c-1").status_code == 200
    clock.now += HOUR
    return fresh


def send(service: Service, kind: str, message: dict[str, Any]) -> None:
    """Send a message by a new source of a kind; its id is how many sources there are."""
    number = len(service.get("/sources")["items"]) + 1
    source = {"id": f"source-{number}", "name": kind, "type": kind}
    made = service.ask("post", "/sources", json=source)
    batch = [{"messageId": str(number), **message}]
    sent = {"batch": batch, "writeKey": made.json()["write_key"]}
    answer = service.ask("post", "/v1/batch", json=sent)
    assert answer.status_code == 200, answer.text


def stored(service: Service) -> set[str]:
    return {customer_id for (customer_id,) in service.rows("select customer_id from customers")}


def refused(service: Service) -> list[tuple[Any, ...]]:
    return service.rows("select code, message_id, message, customer_id from rejects")


def test_her_address_from_a_phone_that_was_offline(service: Service) -> None:
    traits = {"email": ANN.upper(), "name": "Ann"}
    late = {"type": "identify", "anonymousId": "her-phone", "traits": traits}
    send(service, "browser", {**late, "timestamp": EARLIER})
    assert stored(service) == set()
    assert refused(service) == [("erased", "2", None, None)]


def test_her_address_beside_an_event(service: Service) -> None:
    late = {
        "type": "track",
        "event": "Seen",
        "userId": "c-2",
        "context": {"traits": {"email": ANN}},
    }
    send(service, "server", {**late, "timestamp": EARLIER})
    assert stored(service) == set()
    assert service.rows("select message_id from events") == []


def test_whoever_else_used_her_device_is_kept(service: Service) -> None:
    other = {"type": "identify", "userId": "c-2", "anonymousId": "her-laptop", "timestamp": EARLIER}
    send(service, "browser", {**other, "traits": {"email": "bob@example.com"}})
    assert stored(service) == {"c-2"}


def test_what_is_newer_makes_a_new_customer(service: Service) -> None:
    send(service, "browser", {"type": "identify", "userId": "c-2", "traits": {"email": ANN}})
    assert stored(service) == {"c-2"}
    assert refused(service) == []
