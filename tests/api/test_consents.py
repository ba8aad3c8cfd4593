"""Consents by every way they come in, and what they come to."""

import json
from typing import Any

import httpx
import pytest

from service.core.instants import DAY, HOUR, MINUTE, format_instant
from tests.api.test_personal import keyed
from tests.running import NOW, group
from tests.serving import Service

CHANNELS = {"email", "sms", "push", "post", "phone", "ads"}


def put(service: Service, customer_id: str, channel: str, **body: Any) -> httpx.Response:
    return service.ask("put", f"/customers/{customer_id}/consent/{channel}", json=body)


def said(service: Service, customer_id: str, channel: str, **body: Any) -> Any:
    answer = put(service, customer_id, channel, **body)
    assert answer.status_code == 200, answer.text
    return answer.json()["channels"][channel]


def keys(answer: Any) -> list[str]:
    return [segment["key"] for segment in answer["segments"]]


def told(name: str, number: int, at: int = NOW, **properties: Any) -> dict[str, Any]:
    return {
        "event": name,
        "message_id": f"m-{number}",
        "timestamp": format_instant(at),
        "properties": properties,
    }


def test_a_consent_is_told_and_read_with_its_time_and_source(fresh: Service) -> None:
    at = format_instant(NOW - DAY)
    answer = put(
        fresh, "c-1", "email", status="subscribed", at=at, source="checkout form", reason="box 3"
    )
    assert answer.status_code == 200
    channels = answer.json()["channels"]
    assert channels.keys() == CHANNELS
    assert channels["email"] == {
        "status": "subscribed",
        "at": at,
        "source": "checkout form",
        "suppressed": None,
        "suppressed_at": None,
        "suppressed_by": None,
        "reachable": True,
    }
    assert channels["sms"]["status"] == "never"
    assert channels["sms"]["reachable"] is False
    customer = fresh.get("/customers/c-1")
    assert customer["consent"] == channels
    assert customer["traits"]["consent"] == {"email": "subscribed"}
    assert customer["traits"]["reachable"] == {**dict.fromkeys(CHANNELS, False), "email": True}
    assert customer["sources"]["reachable"]["source"] == "derived"
    assert customer["sources"]["consent.email"]["source"] == "checkout form"
    history = fresh.get("/customers/c-1/consent")
    assert history["channels"] == channels
    [item] = history["items"]
    assert item["message_id"].startswith("change-")
    assert {**item, "message_id": ""} == {
        "channel": "email",
        "status": "subscribed",
        "suppressed": None,
        "lifted": False,
        "at": at,
        "source": "checkout form",
        "event": "Consent Changed",
        "reason": "box 3",
        "by": "local",
        "message_id": "",
    }


def test_the_latest_word_counts_whatever_comes_first(fresh: Service) -> None:
    said(fresh, "c-1", "email", status="unsubscribed", at=format_instant(NOW - HOUR))
    late = said(fresh, "c-1", "email", status="subscribed", at=format_instant(NOW - DAY))
    assert (late["status"], late["at"]) == ("unsubscribed", format_instant(NOW - HOUR))
    items = fresh.get("/customers/c-1/consent")["items"]
    assert [item["status"] for item in items] == ["unsubscribed", "subscribed"]
    now = said(fresh, "c-1", "email", status="subscribed")
    assert (now["status"], now["at"]) == ("subscribed", format_instant(NOW))


def test_a_change_sent_again_is_one_change(fresh: Service) -> None:
    at = format_instant(NOW - DAY)
    for _ in range(2):
        said(fresh, "c-1", "sms", status="subscribed", at=at)
    assert len(fresh.get("/customers/c-1/consent")["items"]) == 1


def test_segments_read_consents_and_who_is_reachable(fresh: Service) -> None:
    fresh.save("readers", ("reachable.email", "=", True))
    fresh.save("unreached", ("reachable.email", "=", False))
    fresh.save("asked", ("consent.email", "!=", "never"))
    fresh.save("strangers", ("consent.email", "=", "never"))
    nobody = fresh.assign("c-0", traits={"age": 3})
    assert sorted(keys(nobody)) == ["strangers", "unreached"]
    one = fresh.assign("c-1", traits={"consent": {"email": "subscribed"}})
    assert sorted(keys(one)) == ["asked", "readers"]
    gone = fresh.assign("c-1", events=[told("Unsubscribed", 1, NOW + 1)])
    assert sorted(keys(gone)) == ["asked", "unreached"]
    [left] = gone["exited"]
    assert left == {"key": "readers", "reason": {"kind": "event", "event": "Unsubscribed"}}
    # From memory alone, by traits and by events.
    assert sorted(keys(fresh.assign(traits={"consent": {"email": "subscribed"}}))) == [
        "asked",
        "readers",
    ]
    past = [told("Email Bounced", 2, NOW - DAY, bounce_type="hard")]
    answer = fresh.assign(traits={"consent": {"email": "subscribed"}}, events=past)
    assert sorted(keys(answer)) == ["asked", "unreached"]
    assert sorted(keys(fresh.assign(traits={"reachable": {"email": True}}))) == [
        "readers",
        "strangers",
    ]
    unrecorded = fresh.assign("c-1", traits={"reachable": {"email": True}}, record=False)
    assert sorted(keys(unrecorded)) == ["asked", "readers"]
    assert sorted(keys(fresh.assign("c-1"))) == ["asked", "unreached"]


def test_no_caller_sets_what_follows(fresh: Service) -> None:
    for name in ("reachable", "suppressed"):
        body = {"customer_id": "c-1", "traits": {name: {"email": True}}}
        answer = fresh.ask("post", "/assign", json=body)
        assert answer.status_code == 422
        [fault] = answer.json()["errors"]
        assert (fault["pointer"], fault["code"]) == (f"/traits/{name}", "derived")


def test_of_other_words_and_channels_the_answer_tells(fresh: Service) -> None:
    traits = {"consent": {"email": "maybe", "fax": "subscribed", "sms": "subscribed"}}
    answer = fresh.assign("c-1", traits=traits, include=["traits"])
    assert answer["traits"]["consent"] == {"sms": "subscribed"}
    assert sorted(fault["pointer"] for fault in answer["warnings"]) == [
        "/traits/consent/email",
        "/traits/consent/fax",
    ]


def test_a_bounce_closes_the_channel_until_somebody_says_why_not(fresh: Service) -> None:
    said(fresh, "c-1", "email", status="subscribed", at=format_instant(NOW - DAY))
    fresh.assign("c-1", events=[told("Email Bounced", 1, NOW - HOUR, bounce_type="soft")])
    assert fresh.get("/customers/c-1/consent")["channels"]["email"]["reachable"] is True
    fresh.assign("c-1", events=[told("Email Bounced", 2, NOW - HOUR, bounce_type="hard")])
    closed = said(fresh, "c-1", "email", status="subscribed")
    assert (closed["status"], closed["suppressed"]) == ("subscribed", "bounce")
    assert closed["reachable"] is False
    assert closed["suppressed_at"] == format_instant(NOW - HOUR)
    refused = put(fresh, "c-1", "email", suppressed=None)
    assert refused.status_code == 422
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/reason"]
    at = format_instant(NOW + MINUTE)
    opened = said(fresh, "c-1", "email", suppressed=None, reason="they wrote from it", at=at)
    assert opened["reachable"] is True
    newest = fresh.get("/customers/c-1/consent?limit=1")["items"][0]
    assert newest["lifted"] is True
    assert newest["reason"] == "they wrote from it"


@pytest.mark.parametrize(
    ("channel", "body", "pointers"),
    [
        ("fax", {"status": "subscribed"}, ["/path/channel"]),
        ("email", {"status": "yes"}, ["/status"]),
        ("email", {}, ["/status"]),
        ("email", {"reason": "none"}, ["/status"]),
        ("email", {"suppressed": "spam"}, ["/suppressed"]),
        ("email", {"status": "never", "at": "2026-11-20"}, ["/at"]),
        ("email", {"status": "never", "at": format_instant(NOW + HOUR)}, ["/at"]),
        ("email", {"status": "never", "source": ""}, ["/source"]),
        ("email", {"status": "never", "since": 1}, ["/since"]),
    ],
)
def test_changes_that_say_nothing_are_refused(
    fresh: Service, channel: str, body: Any, pointers: list[str]
) -> None:
    answer = put(fresh, "c-1", channel, **body)
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == pointers
    assert fresh.ask("get", "/customers/c-1").status_code == 404


def test_the_history_is_paged_and_holds_what_traits_and_events_told(fresh: Service) -> None:
    fresh.assign("c-1", traits={"consent": {"email": "subscribed", "sms": "subscribed"}})
    fresh.assign("c-1", traits={"consent": None})
    fresh.assign(
        "c-1",
        events=[
            told("Unsubscribed", 1, NOW - MINUTE),
            told("Email Marked as Spam", 2, NOW - 2 * MINUTE),
            told("Email Bounced", 3, NOW - 3 * MINUTE, type="soft"),
        ],
    )
    pages = list(fresh.pages("/customers/c-1/consent", limit=2))
    items = [item for page in pages for item in page]
    assert len(pages) == 3
    assert sorted(
        (item["channel"] or "", item["status"] or "", item["event"] or "") for item in items[:3]
    ) == [("", "", ""), ("email", "subscribed", ""), ("sms", "subscribed", "")]
    assert [(item["status"], item["suppressed"], item["event"]) for item in items[3:]] == [
        ("unsubscribed", None, "Unsubscribed"),
        (None, "complaint", "Email Marked as Spam"),
    ]
    for cursor in ("x", "MTI=", "WzEsIDJd", "WyIyMDI2LTExLTIwIiwgIngiXQ=="):
        assert fresh.ask("get", f"/customers/c-1/consent?cursor={cursor}").status_code == 422
    assert fresh.ask("get", "/customers/c-9/consent").status_code == 404


def test_a_person_who_is_erased_leaves_no_consent(fresh: Service) -> None:
    said(fresh, "c-1", "email", status="subscribed", source="checkout form")
    export = fresh.get("/customers/c-1/export")
    assert export["events"][0]["properties"]["source"] == "checkout form"
    assert export["profile"]["consent"]["email"]["status"] == "subscribed"
    assert fresh.ask("delete", "/customers/c-1").status_code == 200
    late = put(fresh, "c-1", "email", status="subscribed", at=format_instant(NOW - DAY))
    assert (late.status_code, late.json()["code"]) == (409, "erased")
    assert fresh.ask("get", "/customers/c-1/consent").status_code == 404


def test_members_are_told_by_channel_and_sizes_with_their_reachable_part(fresh: Service) -> None:
    fresh.save("all", ("age", ">=", 1))
    said_by = {
        "c-1": {"email": "subscribed", "sms": "subscribed"},
        "c-2": {"email": "subscribed"},
        "c-3": {"email": "unsubscribed"},
        "c-4": {"email": "subscribed"},
        "c-5": None,
    }
    for customer_id, consent in said_by.items():
        traits = {"age": 30} if consent is None else {"age": 30, "consent": consent}
        fresh.assign(customer_id, traits=traits)
    fresh.assign("c-2", events=[told("Email Marked as Spam", 1)])
    pages = list(fresh.pages("/segments/all/members", channel="email", limit=1))
    assert [item["customer_id"] for page in pages for item in page] == ["c-1", "c-4"]
    accept = {"accept": "text/csv"}
    file = fresh.ask("get", "/segments/all/members?channel=sms", headers=accept)
    assert [line.split(",")[0] for line in file.text.splitlines()] == ["customer_id", "c-1"]
    fresh.measure()
    expected = {**dict.fromkeys(CHANNELS, 0), "email": 2, "sms": 1}
    [listed] = fresh.get("/segments")["items"]
    assert listed["metrics"]["size"] == 5
    assert listed["metrics"]["reachable"] == expected


def test_personal_consents_are_for_those_who_may_read_them(fresh: Service) -> None:
    fresh.save("all", ("age", ">=", 1))
    read, write = keyed(fresh, "read"), keyed(fresh, "write")
    whole = keyed(fresh, "read", "write", "personal", "assign")
    body = {"customer_id": "c-1", "traits": {"age": 30, "consent": {"email": "subscribed"}}}
    assert whole("post", "/assign", json=body).is_success
    assert read("get", "/customers/c-1").json()["consent"]["email"]["status"] == "subscribed"
    assert whole("put", "/traits/consent", json={"personal": True}).is_success
    seen = read("get", "/customers/c-1").json()
    assert (seen["consent"], sorted(seen["masked"])) == (None, ["consent", "reachable"])
    assert "subscribed" not in json.dumps(seen)
    for path in ("/customers/c-1/consent", "/segments/all/members?channel=email"):
        assert read("get", path).status_code == 403
        assert whole("get", path).status_code == 200
    changed = write("put", "/customers/c-1/consent/sms", json={"status": "never"})
    assert (changed.status_code, changed.json()["channels"]) == (200, None)
    assert read("put", "/customers/c-1/consent/sms", json={"status": "never"}).status_code == 403


@pytest.mark.parametrize("name", ["suppressed", "reachable", "reachable.email"])
def test_whom_a_channel_reaches_is_told_by_no_other_way(fresh: Service, name: str) -> None:
    fresh.save("all", ("age", ">=", 1))
    fresh.assign("c-1", traits={"age": 30, "consent": {"email": "subscribed"}})
    assert fresh.ask("put", f"/traits/{name}", json={"personal": True}).is_success
    read, whole = keyed(fresh, "read"), keyed(fresh, "read", "personal")
    for ask, told_ in ((read, False), (whole, True)):
        figures = ask("get", "/segments/all/metrics").json()["reachable"]
        assert (figures is not None) is told_
        assert (ask("get", "/customers/c-1").json()["consent"] is not None) is told_
        for path in ("/customers/c-1/consent", "/segments/all/members?channel=email"):
            assert ask("get", path).status_code == (200 if told_ else 403)


@pytest.mark.parametrize(
    ("name", "declaration", "pointers"),
    [
        ("consent", {"type": "object"}, ["/type"]),
        ("consent.email", {"type": "number", "personal": True}, ["/type"]),
        ("reachable", {"formula": "age + 1"}, ["/formula"]),
        ("suppressed", {"aggregate": {"event": "E", "function": "count"}}, ["/aggregate"]),
        ("consent", {"personal": True, "writable_by": "server"}, []),
    ],
)
def test_what_consents_are_nobody_declares(
    fresh: Service, name: str, declaration: Any, pointers: list[str]
) -> None:
    answer = fresh.ask("put", f"/traits/{name}", json=declaration)
    assert answer.status_code == (422 if pointers else 200), answer.text
    assert [fault["pointer"] for fault in answer.json().get("errors", ())] == pointers


def test_conditions_on_consents_are_checked(fresh: Service) -> None:
    def pointers(*rule: Any) -> list[tuple[str, str]]:
        body = {"condition": group(rule)}
        answer = fresh.ask("put", "/segments/some", json=body)
        return [(each["pointer"], each["code"]) for each in answer.json().get("errors", ())]

    first = "/condition/rules/0"
    assert pointers("consent.fax", "=", "never") == [(f"{first}/field", "unknown_field")]
    assert pointers("reachable.email.now", "=", True) == [(f"{first}/field", "unknown_field")]
    assert pointers("consent.email", "=", "opted_in") == [(f"{first}/value", "bad_value")]
    words = ["Subscribed", "granted"]
    assert pointers("consent.email", "in", words) == [(f"{first}/value/1", "bad_value")]
    assert pointers("reachable.email", ">", 3) == [(f"{first}/operator", "bad_operator")]
    assert pointers("consent.email", "in", ["Subscribed", "never"]) == []


def test_who_never_said_anything_is_no_surprise_to_warn_of(fresh: Service) -> None:
    fresh.assign("c-1", traits={"age": 3})
    assert fresh.save("some", ("consent.email", "!=", "unsubscribed"))["warnings"] == []
    assert fresh.save("others", ("reachable.sms", "!=", True))["warnings"] == []
    assert fresh.save("others", ("suppressed.sms", "!=", "bounce"))["warnings"] != []


def test_persons_put_together_have_the_latest_word_of_all_their_ids(fresh: Service) -> None:
    fresh.save("readers", ("reachable.email", "=", True))
    early, late = format_instant(NOW - 2 * DAY), format_instant(NOW - DAY)
    said(fresh, "c-1", "email", status="subscribed", at=early, source="checkout form")
    said(fresh, "c-1", "sms", status="unsubscribed", at=late)
    said(fresh, "c-2", "sms", status="subscribed", at=early)
    fresh.assign("c-2", events=[told("Email Marked as Spam", 1, NOW - 3 * DAY)])
    assert [each["key"] for each in fresh.get("/customers/c-1/segments")] == ["readers"]
    merged = fresh.ask("post", "/customers/c-1/merge", json={"from": "c-2"})
    assert merged.is_success, merged.text
    for customer_id in ("c-1", "c-2"):
        told_ = fresh.get(f"/customers/{customer_id}/consent")
        assert told_["customer_id"] == "c-1"
        assert told_["channels"]["email"]["status"] == "subscribed"
        assert told_["channels"]["email"]["suppressed"] == "complaint"
        assert told_["channels"]["sms"]["status"] == "unsubscribed"
        assert len(told_["items"]) == 4
    assert fresh.get("/customers/c-1/segments") == []
    # What is said of either is said of the person.
    assert said(fresh, "c-2", "push", status="subscribed")["reachable"] is True
    apart = fresh.ask("post", "/customers/c-1/unmerge", json={"from": "c-2"})
    assert apart.is_success, apart.text
    assert [each["key"] for each in fresh.get("/customers/c-1/segments")] == ["readers"]
    other = fresh.get("/customers/c-2/consent")
    assert other["customer_id"] == "c-2"
    assert {name for name, each in other["channels"].items() if each["reachable"]} == {
        "sms",
        "push",
    }
