"""Asking `/assign` over a real connection, and the segments that tests of it ask for."""

from typing import Any

import httpx

from tests.api.conftest import Served
from tests.running import segment

TREATMENT = {"channels": ["email"], "offer": "10 %"}
SEGMENTS = (
    segment("adult", ("age", ">=", 18), name="Adults", treatment=TREATMENT),
    segment("recent", ("ordered", "withinLast", "7d")),
    segment("soon", ("renews", "withinNext", "3d")),
    segment("gold", ("spent", ">", 100), scheme="tier", priority=1),
    segment("silver", ("spent", ">", 10), scheme="tier", priority=2),
    segment("beta"),
    segment("outside", ("segment:beta", "=", False)),
)


async def with_segments(served: Served) -> httpx.AsyncClient:
    """A client of the service, which serves them."""
    client, services = served
    await services.publisher.save(SEGMENTS)
    return client


async def assign(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/assign", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    document: dict[str, Any] = answer.json()
    return document


def keys(answer: dict[str, Any]) -> list[str]:
    return [segment["key"] for segment in answer["segments"]]


async def refusal(client: httpx.AsyncClient, content: bytes, path: str = "/assign") -> Any:
    answer = await client.post(path, content=content)
    check_problem(answer, path)
    return answer


def check_problem(answer: httpx.Response, path: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["instance"] == path
    assert problem["message"] == problem["detail"] != ""
    assert problem["type"].endswith(problem["code"])
    assert {"title", "type"} <= problem.keys()
    for fault in problem.get("errors", []):
        assert fault.keys() == {"pointer", "code", "detail"}
    assert "Traceback" not in answer.text


async def batch(client: httpx.AsyncClient, **body: Any) -> list[Any]:
    answer = await client.post("/assign/batch", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    results: list[Any] = answer.json()["results"]
    return results
