"""Whoever may write and not read changes customers, and learns nothing of them by it."""

import base64
import json

import pytest

from tests.api.test_personal import keyed
from tests.serving import Service


@pytest.fixture
def two(fresh: Service) -> Service:
    """Two customers, of whom one has something to tell."""
    fresh.assign("c-1", traits={"nick": "wren"})
    fresh.assign("c-2", traits={"age": 30})
    said = {"status": "subscribed", "source": "shop 7"}
    assert fresh.ask("put", "/customers/c-1/consent/sms", json=said).is_success
    return fresh


def test_a_merge_answers_ids_only(two: Service) -> None:
    write, both = keyed(two, "write"), keyed(two, "read", "write")
    assert write("get", "/customers/c-1").status_code == 403
    merged = write("post", "/customers/c-1/merge", json={"from": "c-2"})
    assert merged.json() == {"customer_id": "c-1", "other_ids": ["c-2"]}
    again = both("post", "/customers/c-1/merge", json={"from": "c-2"})
    assert again.json()["traits"]["nick"] == "wren"
    parted = write("post", "/customers/c-1/unmerge", json={"from": "c-2"})
    assert parted.json() == {"customer_id": "c-1", "other_ids": []}


def test_a_change_of_consent_answers_that_channel_only(two: Service) -> None:
    write, both = keyed(two, "write"), keyed(two, "read", "write")
    path, change = "/customers/c-1/consent/email", {"status": "unsubscribed"}
    answer = write("put", path, json=change).json()
    assert list(answer["channels"]) == ["email"]
    assert answer["channels"]["email"]["status"] == "unsubscribed"
    assert both("put", path, json=change).json()["channels"]["sms"]["status"] == "subscribed"


@pytest.mark.parametrize("what", ["merge", "unmerge"])
def test_an_id_that_nobody_can_have_is_not_found(two: Service, what: str) -> None:
    answer = two.ask("post", f"/customers/%00/{what}", json={"from": "c-1"})
    assert answer.status_code == 404, answer.text


@pytest.mark.parametrize("place", ["\0", "\ud800", 5, None])
def test_a_made_up_cursor_is_none(two: Service, place: object) -> None:
    key = json.dumps(["2020-01-01T00:00:00+00:00", place])
    cursor = base64.urlsafe_b64encode(key.encode()).decode()
    answer = two.ask("get", "/customers/c-1/consent", params={"cursor": cursor})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == "/query/cursor"


def test_a_change_of_consent_is_in_the_audit_with_its_reason(two: Service) -> None:
    path, header = "/customers/c-1/consent/email", {"x-change-reason": "she phoned"}
    answer = two.ask("put", path, json={"status": "subscribed"}, headers=header)
    assert answer.is_success, answer.text
    entry = two.get("/audit")["items"][0]
    assert entry["action"] == "customer.consent_changed"
    assert (entry["reason"], entry["difference"]) == ("she phoned", {"channel": {"after": "email"}})
    assert "c-1" not in json.dumps(entry)
    assert two.get("/customers/c-1/consent")["items"][0]["reason"] == "she phoned"
    # The change's own reason goes before that of the request.
    said = {"status": "never", "reason": "by letter"}
    two.ask("put", path, json=said, headers=header)
    assert two.get("/customers/c-1/consent")["items"][0]["reason"] == "by letter"
