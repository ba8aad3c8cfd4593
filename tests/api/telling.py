"""What tests tell of people, and how they look at who that came to."""

from typing import Any

from tests.serving import Service


def identify(user: str | None, anonymous: str | None, number: int, **traits: Any) -> dict[str, Any]:
    return message("identify", user, anonymous, number, traits=traits)


def message(
    kind: str, user: str | None, anonymous: str | None, number: int, **more: Any
) -> dict[str, Any]:
    return {
        "type": kind,
        "userId": user,
        "anonymousId": anonymous,
        "messageId": f"m-{number}",
        "timestamp": f"2026-11-01T10:{number:02}:00Z",
        **more,
    }


def track(
    event: str, user: str | None, anonymous: str | None, number: int, **properties: Any
) -> dict[str, Any]:
    return message("track", user, anonymous, number, event=event, properties=properties)


def order(user: str | None, anonymous: str | None, number: int, **more: Any) -> dict[str, Any]:
    told = {"order_id": f"o-{number}", "total": 10 * number, **more}
    return track("Order Completed", user, anonymous, number, **told)


def found(service: Service, identity: str) -> list[str]:
    answer = service.ask("get", "/customers", params={"identity": identity})
    assert answer.status_code == 200, answer.text
    return [each["customer_id"] for each in answer.json()["items"]]


def segments(service: Service, customer_id: str) -> list[str]:
    return [each["key"] for each in service.get(f"/customers/{customer_id}/segments")]


def given(customer: dict[str, Any]) -> dict[str, Any]:
    """The traits that messages gave, of a customer's record."""
    return {
        path: told["value"]
        for path, told in customer["sources"].items()
        if told["source"] != "derived"
    }


def counting(service: Service, key: str, event: str, count: int) -> None:
    rule = {
        "field": f"event:{event}",
        "aggregate": {"function": "count"},
        "operator": ">=",
        "value": count,
    }
    document = {"condition": {"combinator": "and", "rules": [rule]}}
    assert service.ask("put", f"/segments/{key}", json=document).is_success


def buyers(service: Service) -> None:
    for count in (1, 2, 3):
        counting(service, f"bought-{count}", "Order Completed", count)
