"""Who may change segments and lists, and what the audit keeps of it."""

from typing import Any

import httpx
import pytest

from tests.api.asking import change
from tests.contracts.test_errors import shaped
from tests.running import group
from tests.serving import Service

ADULT = group(("age", ">=", 18))
OLDER = group(("age", ">=", 21))


def audit(service: Service, subject: str) -> list[tuple[Any, ...]]:
    """The audit's entries about a subject, the oldest first."""
    return service.rows(
        "select action, author, reason, difference from audit where subject = :subject order by id",
        subject=subject,
    )


def test_every_change_of_a_segment_is_in_the_audit(fresh: Service) -> None:
    why = {"x-change-reason": "spring"}

    def ask(method: str, path: str, body: Any = None) -> httpx.Response:
        answer = fresh.ask(method, f"/segments/adult{path}", json=body, headers=why)
        assert answer.is_success, answer.text
        return answer

    ask("put", "", {"condition": ADULT, "status": "draft"})
    ask("post", "/activate", {})
    ask("patch", "", {"condition": OLDER})
    ask("put", "", {"condition": OLDER})  # as it is: nothing to tell
    ask("post", "/rollback", {"version": 1})
    ask("patch", "", {"status": "draft"})
    ask("delete", "")
    ask("delete", "")  # it is archived already
    ask("put", "", {"condition": ADULT})
    entries = audit(fresh, "segments/adult")
    assert [entry[0] for entry in entries] == [
        "segment.created", "segment.activated", "segment.updated", "segment.rolled_back",
        "segment.deactivated", "segment.archived", "segment.revived",
    ]  # fmt: skip
    assert {entry[1:3] for entry in entries} == {("local", "spring")}
    differences = [entry[3] for entry in entries]
    assert differences[0]["condition"] == {"after": ADULT}
    assert differences[1] == {"status": {"before": "draft", "after": "active"}}
    assert differences[2] == {"condition": {"before": ADULT, "after": OLDER}}
    assert differences[3] == {"condition": {"before": OLDER, "after": ADULT}}
    assert differences[5] == {"status": {"before": "draft", "after": "archived"}}


def test_what_is_refused_is_not_in_the_audit(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.save("user", ("segment:adult", "=", True))
    fresh.ask("delete", "/segments/adult")
    fresh.ask("patch", "/segments/adult", json={"condition": {"rules": []}})
    fresh.ask("post", "/segments", json={"key": "adult"})
    assert [entry[0] for entry in audit(fresh, "segments/adult")] == ["segment.created"]


def test_of_lists_the_audit_keeps_how_many_never_who(fresh: Service) -> None:
    fresh.save("guests")
    change(fresh, "guests", add=["ann", "bob"], remove=["eve"])
    change(fresh, "guests", add=["ann"], remove=["bob"])
    change(fresh, "guests", add=["ann"])
    fresh.assign("ann")
    fresh.ask("post", "/segments/guests/snapshot", json={"key": "kept"})
    _, *changed = audit(fresh, "segments/guests")
    assert [(entry[0], entry[3]) for entry in changed] == [
        ("list.changed", {"members": {"added": 2, "removed": 0}}),
        ("list.changed", {"members": {"added": 0, "removed": 1}}),
    ]
    [(action, _, _, difference)] = audit(fresh, "segments/kept")
    assert action == "segment.created"
    assert difference["members"] == {"added": 1, "of": "guests"}
    assert fresh.rows("select 1 from audit where difference::text ~ 'ann|bob|eve'") == []


@pytest.fixture
def keyed(fresh: Service) -> dict[str, dict[str, str]]:
    """Headers of keys with these scopes; there are an active segment, a draft and a list."""
    fresh.save("adult", ("age", ">=", 18))
    fresh.save("sketch", ("age", ">=", 18), status="draft")
    fresh.save("guests")
    fresh.save("adult", ("age", ">=", 19))
    fresh.ask("put", "/traits/age", json={"type": "number"})
    made: dict[str, dict[str, str]] = {}
    admin: dict[str, str] = {}
    for name, scopes in (
        ("admin", ["admin"]), ("writer", ["read", "write"]),
        ("publisher", ["read", "write", "publish"]),
    ):  # fmt: skip
        body = {"name": name, "scopes": scopes}
        answer = fresh.ask("post", "/keys", json=body, headers=admin)
        assert answer.status_code == 201, answer.text
        made[name] = {"authorization": f"Bearer {answer.json()['key']}"}
        admin = made["admin"]
    return made


# What needs `publish`: all that decides who is in an active segment, and what answers about its
# members hold.
PUBLISHING: list[tuple[str, str, Any]] = [
    ("post", "/segments", {"key": "new", "condition": ADULT}),
    ("put", "/segments/new", {"condition": ADULT}),
    ("put", "/segments/adult", {"condition": ADULT}),
    ("put", "/segments/adult", {"condition": group(("age", ">=", 19)), "status": "draft"}),
    ("patch", "/segments/adult", {"condition": ADULT}),
    ("patch", "/segments/adult", {"scheme": "age", "priority": 1}),
    ("patch", "/segments/adult", {"status": "draft"}),
    ("patch", "/segments/adult", {"expires_at": "2027-06-01T00:00:00Z"}),
    ("patch", "/segments/adult", {"name": "Adults"}),
    ("patch", "/segments/adult", {"treatment": {"tone": "warm"}}),
    ("patch", "/segments/guests", {"treatment": {"tone": "warm"}}),
    ("patch", "/segments/sketch", {"status": "active"}),
    ("post", "/segments/adult/rollback", {"version": 1}),
    ("post", "/segments/sketch/activate", {}),
    ("post", "/segments/adult/snapshot", {"key": "kept"}),
    ("delete", "/segments/adult", None),
    ("put", "/traits/age", {"type": None, "description": "Anything."}),
    ("put", "/traits/age", {"type": "money"}),
    ("delete", "/traits/age", None),
]

# What `write` is enough for.
WRITING: list[tuple[str, str, Any]] = [
    ("post", "/segments", {"key": "new", "condition": ADULT, "status": "draft"}),
    ("put", "/segments/new", {"condition": ADULT, "status": "draft"}),
    ("patch", "/segments/sketch", {"condition": OLDER}),
    ("patch", "/segments/adult", {"description": "Adults", "tags": ["x"], "owner": "crm"}),
    ("patch", "/segments/adult", {"persona": {"summary": "A"}, "review_by": "2027-06-01"}),
    ("patch", "/segments/sketch", {"name": "Sketch", "treatment": {"tone": "warm"}}),
    ("put", "/traits/age", {"type": "number", "description": "In years."}),
    ("put", "/traits/zip", {"type": "string"}),
    ("post", "/segments/guests/members", {"add": ["ann"]}),
    ("delete", "/segments/sketch", None),
]


@pytest.mark.parametrize(("method", "path", "body"), PUBLISHING)
def test_what_decides_about_customers_needs_publish(
    fresh: Service, keyed: dict[str, dict[str, str]], method: str, path: str, body: Any
) -> None:
    state = "select key, version from segments union select name, 0 from traits order by 1"
    before = fresh.rows(state)
    refused = fresh.ask(method, path, json=body, headers=keyed["writer"])
    assert (refused.status_code, shaped(refused)["code"]) == (403, "forbidden")
    assert "publish" in refused.json()["detail"]
    assert fresh.rows(state) == before
    assert fresh.ask(method, path, json=body, headers=keyed["publisher"]).is_success


@pytest.mark.parametrize(("method", "path", "body"), WRITING)
def test_what_only_describes_needs_write(
    fresh: Service, keyed: dict[str, dict[str, str]], method: str, path: str, body: Any
) -> None:
    answer = fresh.ask(method, path, json=body, headers=keyed["writer"])
    assert answer.is_success, answer.text
    assert fresh.rows("select author from audit order by id desc limit 1") == [("writer",)]


def test_an_answer_is_given_again_to_its_author_only(
    fresh: Service, keyed: dict[str, dict[str, str]]
) -> None:
    body = {"key": "new", "condition": ADULT}
    key = {"idempotency-key": "k-1"}
    first = fresh.ask("post", "/segments", json=body, headers=keyed["publisher"] | key)
    assert first.status_code == 201
    other = fresh.ask("post", "/segments", json=body, headers=keyed["admin"] | key)
    assert (other.status_code, shaped(other)["code"]) == (409, "exists")
    again = fresh.ask("post", "/segments", json=body, headers=keyed["publisher"] | key)
    assert again.headers["idempotent-replayed"] == "true"
