"""`/rates`: uploads as JSON and CSV, whole or not at all, and what is there afterwards."""

from typing import Any

import httpx
import pytest

from service.core.access import Scope
from tests.api.asking import refused
from tests.contracts.test_errors import shaped
from tests.contracts.test_scopes import bearer
from tests.serving import Service

CSV = {"content-type": "text/csv; charset=utf-8"}


def put(service: Service, *rates: tuple[str, str, Any]) -> Any:
    told = [dict(zip(("currency", "day", "rate"), each, strict=True)) for each in rates]
    answer = service.ask("put", "/rates", json={"rates": told})
    assert answer.status_code == 200, answer.text
    return answer.json()


def sent(service: Service, body: str | bytes) -> httpx.Response:
    return service.ask("put", "/rates", content=body, headers=CSV)


def rates(service: Service, query: str = "") -> list[tuple[str, str, str]]:
    page = service.get(f"/rates{query}")
    assert page["base"] == "USD"
    return [(each["currency"], each["day"], each["rate"]) for each in page["items"]]


def faults(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(each["pointer"], each["code"]) for each in shaped(answer)["errors"]]


def test_rates_are_stored_and_listed(fresh: Service) -> None:
    assert rates(fresh) == []
    stored = put(
        fresh, ("EUR", "2026-11-20", "1.0852"), ("czk", "2026-11-20", 0.043),
        ("EUR", "2026-11-19", "1.08520000000000000001"),
    )  # fmt: skip
    assert stored == {"stored": 3, "changed": 3}
    assert rates(fresh) == [
        ("CZK", "2026-11-20", "0.043"),
        ("EUR", "2026-11-19", "1.08520000000000000001"),
        ("EUR", "2026-11-20", "1.0852"),
    ]
    assert put(fresh, ("EUR", "2026-11-20", 1.0852)) == {"stored": 1, "changed": 0}
    assert put(fresh, ("EUR", "2026-11-20", "1.09")) == {"stored": 1, "changed": 1}
    assert rates(fresh, "?currency=eur&from=2026-11-20") == [("EUR", "2026-11-20", "1.09")]
    assert rates(fresh, "?to=2026-11-19") == [("EUR", "2026-11-19", "1.08520000000000000001")]
    newest, before = fresh.get("/audit?subject=rates")["items"]
    assert newest["action"] == "rates.updated"
    assert newest["difference"] == {"EUR 2026-11-20": {"before": "1.0852", "after": "1.09"}}
    assert len(before["difference"]) == 3


def test_pages_hold_every_rate_once(fresh: Service) -> None:
    told = [(code, f"2026-11-{day:02}", "2") for code in ("CZK", "EUR") for day in range(1, 6)]
    put(fresh, *told)
    pages = list(fresh.pages("/rates", limit=3))
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [(each["currency"], each["day"]) for page in pages for each in page] == [
        (code, day) for code, day, _ in told
    ]


@pytest.mark.parametrize(
    "body",
    [
        "currency,day,rate\nEUR,2026-11-20,1.0852\nCZK,2026-11-20,0.043\n",
        "\ufeffcurrency,day,rate\r\nEUR,2026-11-20,1.0852\r\nCZK,2026-11-20,0.043\r\n",
        'rate , Day,CURRENCY\n"1.0852",2026-11-20," eur"\n\n0.043,2026-11-20,CZK',
    ],
)
def test_rates_as_csv(fresh: Service, body: str) -> None:
    answer = sent(fresh, body.encode())
    assert (answer.status_code, answer.json()) == (200, {"stored": 2, "changed": 2})
    assert rates(fresh) == [("CZK", "2026-11-20", "0.043"), ("EUR", "2026-11-20", "1.0852")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", [("line 1", "required")]),
        ("EUR,2026-11-20,1.0852\n", [("line 1", "required")]),
        ("currency;day;rate\nEUR;2026-11-20;1.0852\n", [("line 1", "required")]),
        ("currency,day,rate\n", [("line 2", "empty")]),
        ("currency,day,rate\nEUR,2026-11-20\n", [("line 2", "bad_value")]),
        ("currency,day,rate\nEUR,2026-11-20,1,0852\n", [("line 2", "bad_value")]),
        ('currency,day,rate\nEUR,2026-11-20,"1.0852\n', [("line 2", "bad_value")]),
        (b"currency,day,rate\n\xff,2026-11-20,1\n", [("line 1", "bad_value")]),
        (
            "currency,day,rate\nEUR,2026-11-20,1\n\nEUR,soon,much\nUSD,2026-11-20,1\n,2026-11-20,1\n",
            [("line 4", "bad_value"), ("line 4", "bad_value"), ("line 5", "bad_value"),
             ("line 6", "required")],
        ),
    ],
)  # fmt: skip
def test_faulty_csv_is_refused_whole(
    service: Service, body: str | bytes, expected: list[tuple[str, str]]
) -> None:
    assert faults(sent(service, body)) == expected
    assert rates(service) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("/rates", "required")]),
        ({"rates": []}, [("/rates", "empty")]),
        ({"rates": {}}, [("/rates", "type")]),
        ({"rates": [7]}, [("/rates/0", "type")]),
        ({"rates": [{"currency": "EUR", "day": "2026-11-20"}]}, [("/rates/0/rate", "required")]),
        (
            {"rates": [{"currency": "EUR", "day": "2026-11-20", "rate": 1, "base": "USD"}]},
            [("/rates/0/base", "unknown_property")],
        ),
        (
            {"rates": [{"currency": "EUR", "day": "2026-11-20", "rate": 1},
                       {"currency": "euro", "day": 20, "rate": "1,08"}]},
            [(f"/rates/1/{member}", "bad_value") for member in ("currency", "day", "rate")],
        ),
        ([], [("", "type")]),
    ],
)  # fmt: skip
def test_faulty_json_is_refused_whole(
    service: Service, body: Any, expected: list[tuple[str, str]]
) -> None:
    assert refused(service, "put", "/rates", body) == ("invalid", expected)
    assert rates(service) == []


def test_so_many_faults_are_told_and_no_more(service: Service) -> None:
    body = "currency,day,rate\n" + "x,y,z\n" * 500
    assert len(faults(sent(service, body))) == 100


@pytest.mark.parametrize(
    ("query", "member"),
    [("currency=euro", "currency"), ("from=yesterday", "from"), ("to=20261120", "to"),
     ("cursor=YQ==", "cursor"), ("cursor=JQ", "cursor"), ("limit=0", "limit")],
)  # fmt: skip
def test_faulty_questions(service: Service, query: str, member: str) -> None:
    answer = service.ask("get", f"/rates?{query}")
    assert [pointer for pointer, _ in faults(answer)] == [f"/query/{member}"]


def test_other_media_types_are_415(service: Service) -> None:
    for media_type in ("text/plain", "application/x-ndjson", ""):
        headers = {"content-type": media_type} if media_type else {}
        answer = service.ask("put", "/rates", content=b"{}", headers=headers)
        problem = shaped(answer)
        assert (answer.status_code, problem["code"]) == (415, "unsupported")
        assert "application/json or text/csv" in problem["detail"]


def test_who_may_upload(fresh: Service) -> None:
    admin = fresh.ask("post", "/keys", json={"name": "admin", "scopes": ["admin"]}).json()["key"]
    keys = {}
    for scope in (Scope.READ, Scope.WRITE):
        wanted = {"name": f"shop {scope}", "scopes": [scope]}
        made = fresh.ask("post", "/keys", json=wanted, headers=bearer(admin))
        keys[scope] = bearer(made.json()["key"])
    body = {"rates": [{"currency": "EUR", "day": "2026-11-20", "rate": 1}]}
    assert fresh.ask("put", "/rates", json=body, headers=keys[Scope.READ]).status_code == 403
    told = {**keys[Scope.WRITE], "x-change-reason": "daily%20import"}
    assert fresh.ask("put", "/rates", json=body, headers=told).status_code == 200
    assert fresh.ask("get", "/rates", headers=keys[Scope.READ]).status_code == 200
    (entry,) = fresh.ask("get", "/audit?subject=rates", headers=bearer(admin)).json()["items"]
    assert (entry["author"], entry["reason"]) == ("shop write", "daily import")
