"""`GET /audit`: who changed what, when and why."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from service.core.instants import SECOND, format_instant
from tests.contracts.test_errors import shaped
from tests.postgres import Databases
from tests.running import NOW, Clock
from tests.serving import Service, service_of


@pytest.fixture(scope="module")
def told(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with changes: traits at second 1 and 2, then a key, and with it the rest."""
    clock = Clock()
    with service_of(databases, tmp_path_factory.mktemp("data"), clock) as service:

        def change(method: str, path: str, body: Any = None, **headers: str) -> Any:
            clock.now += SECOND
            answer = service.ask(method, path, json=body, headers=headers)
            assert answer.is_success, answer.text
            return answer.json() if answer.content else None

        change("put", "/traits/age", {"type": "number"})
        change(
            "put", "/traits/age", {"type": "string"}, **{"x-change-reason": "they%20are%20words"}
        )
        made = change("post", "/keys", {"name": "marketing", "scopes": ["admin"]})
        service.client.headers["authorization"] = f"Bearer {made['key']}"
        change("delete", "/traits/age", **{"x-change-reason": quote("už není třeba")})
        change("put", "/traits/ageing", {"type": "number"})
        yield service


def found(service: Service, **query: Any) -> list[tuple[str, str]]:
    answer = service.ask("get", "/audit", params=query)
    assert answer.status_code == 200, answer.text
    return [(entry["action"], entry["subject"]) for entry in answer.json()["items"]]


def test_the_newest_comes_first(told: Service) -> None:
    items = told.get("/audit")["items"]
    assert [entry["action"] for entry in items] == [
        "trait.declared", "trait.withdrawn", "key.created", "trait.declared", "trait.declared",
    ]  # fmt: skip
    assert [entry["author"] for entry in items] == ["marketing", "marketing", *["local"] * 3]
    (key,) = told.get("/keys")["items"]
    assert [entry["key_id"] for entry in items] == [key["id"], key["id"], None, None, None]
    assert [entry["reason"] for entry in items] == [
        None, "už není třeba", None, "they are words", None,
    ]  # fmt: skip
    assert items[3]["difference"] == {"type": {"before": "number", "after": "string"}}
    assert items[1]["difference"]["type"] == {"before": "string"}
    assert items[0]["at"].startswith(format_instant(NOW + 5 * SECOND)[:-1])


def test_entries_are_found_by_what_they_tell(told: Service) -> None:
    traits = [("trait.declared", "traits/ageing"), ("trait.withdrawn", "traits/age"),
              ("trait.declared", "traits/age"), ("trait.declared", "traits/age")]  # fmt: skip
    assert found(told, subject="traits") == traits
    assert found(told, subject="traits/age") == traits[1:]
    assert found(told, subject="trait") == found(told, subject="traits/") == []
    assert found(told, subject="traits/ag%") == found(told, subject="%") == []
    assert found(told, action="trait.withdrawn") == [traits[1]]
    assert found(told, author="marketing") == traits[:2]
    assert found(told, author="marketing", action="trait.declared") == traits[:1]
    assert found(told, author="nobody") == []
    third = format_instant(NOW + 3 * SECOND)
    assert len(found(told, since=third)) == 3
    assert len(found(told, until=third)) == 2
    assert len(found(told, since=third, until=format_instant(NOW + 4 * SECOND))) == 1


def test_the_audit_comes_in_pages(told: Service) -> None:
    pages = list(told.pages("/audit", limit=2))
    assert [len(page) for page in pages] == [2, 2, 1]
    ids = [entry["id"] for page in pages for entry in page]
    assert ids == sorted(ids, reverse=True)
    assert len(list(told.pages("/audit", limit=1, subject="traits"))) == 4


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "cursor=YQ==", "cursor=%25", "since=yesterday", "until=2027-01-01",
     "since=2027-01-01T00:00:00", "subject=%00", "author=%00", "action=%00", "since=0",
     "since=9999-12-31T23:59:59-14:00", "until=9999-12-31T23:59:59-14:00", "since=1.5e3",
     "since=0001-01-01T00:00:00%2B14:00", "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk="],
)  # fmt: skip
def test_what_is_no_question(told: Service, query: str) -> None:
    answer = told.ask("get", f"/audit?{query}")
    assert answer.status_code == 422
    shaped(answer)


@pytest.mark.parametrize(
    ("reason", "code"),
    [("x" * 501, "too_long"), ("nul%00", "bad_value"), ("half%C5", "bad_value")],
)
def test_what_is_no_reason(told: Service, reason: str, code: str) -> None:
    before = told.get("/audit")["items"]
    answer = told.ask("put", "/traits/age", json={"type": "number"},
                      headers={"x-change-reason": reason})  # fmt: skip
    assert answer.status_code == 422
    (fault,) = shaped(answer)["errors"]
    assert (fault["pointer"], fault["code"]) == ("/header/X-Change-Reason", code)
    assert told.get("/audit")["items"] == before
    assert told.ask("get", "/traits/age").status_code == 404


def test_a_reason_may_come_as_plain_utf8(fresh: Service) -> None:
    reason = "ř" * 500
    headers = [(b"x-change-reason", reason.encode())]
    answer = fresh.ask("put", "/traits/age", json={"type": "number"}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert fresh.get("/audit")["items"][0]["reason"] == reason
