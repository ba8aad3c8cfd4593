"""What tests of `/segments` ask again and again."""

from typing import Any

from tests.contracts.test_errors import shaped
from tests.serving import Service


def keys(items: list[Any]) -> list[str]:
    return [item["key"] for item in items]


def refused(service: Service, method: str, path: str, body: Any, status: int = 422) -> Any:
    """The problem that a request gets; its faults as (pointer, code)."""
    answer = service.ask(method, path, json=body)
    assert answer.status_code == status, answer.text
    problem = shaped(answer)
    return problem["code"], [(f["pointer"], f["code"]) for f in problem.get("errors", [])]


def members(service: Service, key: str) -> list[str]:
    return [each["customer_id"] for each in service.get(f"/segments/{key}/members")["items"]]


def change(service: Service, key: str, **ids: list[str]) -> int:
    answer = service.ask("post", f"/segments/{key}/members", json=ids)
    assert answer.status_code == 200, answer.text
    service.settle()
    return int(answer.json()["changed"])
