"""A source and its write key, what SDKs send with it, and what came of that."""

import base64
from typing import Any

import httpx

from tests.serving import Service

SUCCESS = b'{"success": true}'


def make(service: Service, source_id: str = "shop", **wanted: Any) -> str:
    """A source; its write key."""
    document = {"id": source_id, "name": "Shop", "type": "server", **wanted}
    answer = service.ask("post", "/sources", json=document)
    assert answer.status_code == 201, answer.text
    key: str = answer.json()["write_key"]
    return key


def basic(key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def send(
    service: Service, key: str, *messages: dict[str, Any], path: str = "/v1/batch", **more: Any
) -> httpx.Response:
    return service.ask("post", path, json={"batch": messages, **more}, headers=basic(key))


def taken(service: Service, key: str, *messages: dict[str, Any], **more: Any) -> None:
    answer = send(service, key, *messages, **more)
    assert (answer.status_code, answer.content) == (200, SUCCESS), answer.text


def traits(service: Service, customer_id: str) -> Any:
    return service.get(f"/customers/{customer_id}")["traits"]


def rejects(service: Service, source_id: str = "shop") -> list[dict[str, Any]]:
    """The log, the oldest first."""
    items: list[dict[str, Any]] = service.get(f"/sources/{source_id}/rejects")["items"]
    return items[::-1]


def told(service: Service, source_id: str = "shop") -> list[tuple[str, str]]:
    return [(reject["code"], reject["pointer"]) for reject in rejects(service, source_id)]


def identify(customer: str, message_id: str = "m-1", **given: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": customer, "messageId": message_id, "traits": given}
