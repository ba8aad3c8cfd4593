"""`POST /assign/batch`: items apart from one another."""

import json
from typing import Any

import pytest

from tests.contracts.test_errors import shaped
from tests.serving import JSON, Service


def ask(service: Service, content: bytes) -> list[Any]:
    answer = service.ask("post", "/assign/batch", content=content, headers=JSON)
    assert answer.status_code == 200, answer.text
    results: list[Any] = answer.json()["results"]
    return results


def batch(service: Service, customers: list[Any], **more: Any) -> list[Any]:
    return ask(service, json.dumps({"customers": customers, **more}).encode())


def keys(answer: Any) -> list[str]:
    return [segment["key"] for segment in answer["segments"]]


def test_an_item_is_answered_as_it_would_be_alone(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18), treatment={"tone": "warm"})
    fresh.save("gold", ("spent", ">", 100), scheme="tier", priority=1)
    items = [
        {"traits": {"age": 20}, "include": ["traits", "treatment"]},
        {"customer_id": "c-1", "traits": {"age": 20, "spent": 500}, "segments": ["gold"]},
        {"customer_id": "c-2", "traits": {"spent": 500}, "record": False},
    ]
    alone = [fresh.ask("post", "/assign", json={**item, "record": False}).json() for item in items]
    assert batch(fresh, items, record=False) == alone
    assert fresh.rows("select * from customers") == []


def test_order_is_kept_over_several_transactions(fresh: Service) -> None:
    fresh.save("even", ("half", "=", True))
    customers = [
        {"customer_id": f"c-{n * 7919 % 500}", "traits": {"half": n % 2 == 0}} for n in range(500)
    ]
    results = batch(fresh, customers)
    assert [result["customer_id"] for result in results] == [c["customer_id"] for c in customers]
    assert [keys(result) for result in results] == [["even"], []] * 250
    assert fresh.rows("select count(*) from customers") == [(500,)]


def test_one_customer_many_times_in_a_batch_is_taken_in_order(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    ages = [20, 10, 30, 30, 5]
    results = batch(fresh, [{"customer_id": "c-1", "traits": {"age": age}} for age in ages])
    assert [result["sequence"] for result in results] == [1, 2, 3, 3, 4]
    assert [result["entered"] for result in results] == [["adult"], [], ["adult"], [], []]
    left = [[exited["key"] for exited in result["exited"]] for result in results]
    assert left == [[], ["adult"], [], [], ["adult"]]
    moves = fresh.rows("select sequence, entered from transitions order by sequence")
    assert moves == [(1, True), (2, False), (3, True), (4, False)]


@pytest.mark.parametrize(
    ("item", "pointer"),
    [
        (b'{"traits": {"a": "\\u0000"}}', "/traits/a"),
        (b'{"customer_id": "\\u0000"}', "/customer_id"),
        (b'{"traits": {"a": "\\ud800"}}', "/traits/a"),
        (b'{"customer_id": "\\ud800"}', "/customer_id"),
        (b'{"traits": {"a": 1e400}}', "/traits/a"),
        (b'{"traits": {"a.b": 1}}', "/traits/a.b"),
        (b'{"traits": {"a": ' + b"[" * 40 + b"]" * 40 + b"}}", "/traits/a" + "/0" * 30),
        (b'{"customer_id": "' + b"c" * 257 + b'"}', "/customer_id"),
        (b'{"surprise": 1}', "/surprise"),
        (b'{"include": ["explain"]}', "/include/0"),
        (b'{"customer_id": "c-9", "traits": {"long": "' + b"x" * 70_000 + b'"}}', "/traits"),
        (b"null", ""),
        (b"[]", ""),
    ],
    ids=lambda value: value[:40].decode() if isinstance(value, bytes) else None,
)
def test_an_invalid_item_spoils_no_other(fresh: Service, item: bytes, pointer: str) -> None:
    fresh.save("adult", ("age", ">=", 18))
    good = b'{"customer_id": "c-%d", "traits": {"age": 20}}'
    body = b'{"customers": [' + b", ".join([good % 1, item, good % 2]) + b"]}"
    first, bad, last = ask(fresh, body)
    assert list(bad) == ["error"]
    assert bad["error"]["status"] == 422
    assert bad["error"]["instance"] == "/assign/batch#/customers/1"
    [fault] = bad["error"]["errors"]
    assert fault["pointer"] == pointer
    assert [keys(result) for result in (first, last)] == [["adult"], ["adult"]]
    assert fresh.rows("select customer_id from customers order by 1") == [("c-1",), ("c-2",)]


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"customers": [{}] * 1_001}, "/customers", "too_many"),
        ({"customers": {}}, "/customers", "type"),
        ({}, "", "type"),
        ({"customers": [], "recrod": True}, "/recrod", "unknown_property"),
        ({"customers": [], "record": None}, "/record", "type"),
    ],
)
def test_what_is_no_batch(service: Service, body: Any, pointer: str, code: str) -> None:
    answer = service.ask("post", "/assign/batch", json=body)
    problem = shaped(answer)
    assert answer.status_code == 422
    assert [(f["pointer"], f["code"]) for f in problem["errors"]] == [(pointer, code)]


def test_a_batch_over_10_mb_is_413(service: Service) -> None:
    limit = service.process.services.settings.batch_body_limit
    assert limit == 10_000_000
    content = b'{"customers": []}'
    answer = service.ask("post", "/assign/batch", content=content.ljust(limit + 1), headers=JSON)
    assert (answer.status_code, shaped(answer)["code"]) == (413, "too_large")
    assert ask(service, content.ljust(limit)) == []
