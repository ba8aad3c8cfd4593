"""A derived trait that was withdrawn and is declared again has missed nothing meanwhile."""

from typing import Any

import pytest

from tests.serving import Service


def counting(event: str) -> dict[str, Any]:
    return {"aggregate": {"event": event, "function": "count"}}


def tell(service: Service, event: str, number: int) -> None:
    service.assign("c-1", events=[{"event": event, "message_id": f"m-{number}"}])


def declare(service: Service, name: str, event: str) -> None:
    answer = service.ask("put", f"/traits/{name}", json=counting(event))
    assert answer.is_success, answer.text


@pytest.mark.parametrize("beside", [True, False], ids=["beside another", "alone"])
@pytest.mark.parametrize("settled", [True, False], ids=["decided again", "at once"])
def test_what_came_meanwhile_counts(fresh: Service, beside: bool, settled: bool) -> None:
    if beside:
        declare(fresh, "calls", "Called")
        fresh.save("callers", ("calls", ">=", 1))
    declare(fresh, "sights", "Seen")
    fresh.save("seers", ("sights", ">=", 2))
    tell(fresh, "Seen", 1)
    tell(fresh, "Called", 2)
    assert fresh.ask("delete", "/segments/seers").is_success
    assert fresh.ask("delete", "/traits/sights").is_success
    if settled:
        fresh.settle()
    tell(fresh, "Seen", 3)
    declare(fresh, "sights", "Seen")
    assert fresh.get("/customers/c-1")["traits"]["sights"] == 2
    fresh.save("seers", ("sights", ">=", 2))
    fresh.settle()
    assert fresh.get("/customers/c-1")["traits"]["sights"] == 2
    members = fresh.get("/segments/seers/members")["items"]
    assert [each["customer_id"] for each in members] == ["c-1"]
