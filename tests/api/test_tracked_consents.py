"""Consents in what tracking SDKs send: from servers, and from pages, whose key everyone knows."""

from typing import Any

import pytest

from service.core.instants import format_instant
from tests.api.tracking import make, taken, told
from tests.running import NOW
from tests.serving import Service


def identify(customer_id: str, number: int, **more: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": customer_id, "messageId": f"m-{number}", **more}


def track(customer_id: str, number: int, event: str, **properties: Any) -> dict[str, Any]:
    message = {"type": "track", "userId": customer_id, "messageId": f"m-{number}", "event": event}
    return {**message, "properties": properties}


def consents(service: Service, customer_id: str) -> dict[str, str]:
    """What was said, by channel."""
    channels = service.get(f"/customers/{customer_id}")["consent"]
    return {name: each["status"] for name, each in channels.items() if each["at"] is not None}


def suppressed(service: Service, customer_id: str) -> Any:
    return service.get(f"/customers/{customer_id}/consent")["channels"]["email"]["suppressed"]


def test_servers_tell_consents_as_traits_and_by_events(fresh: Service) -> None:
    key = make(fresh)
    given = {"consent": {"email": "subscribed", "sms": "Unsubscribed", "ads": "never"}}
    taken(fresh, key, identify("c-1", 1, traits=given))
    assert consents(fresh, "c-1") == {"email": "subscribed", "sms": "unsubscribed", "ads": "never"}
    one = fresh.get("/customers/c-1/consent")["channels"]["email"]
    assert (one["source"], one["at"]) == ("shop", format_instant(NOW))
    taken(fresh, key, track("c-1", 2, "Unsubscribed", campaign_id="spring"))
    assert consents(fresh, "c-1")["email"] == "unsubscribed"
    taken(fresh, key, track("c-1", 3, "Email Bounced", bounce_type="soft"))
    for number, event in enumerate(("Email Delivered", "Email Opened", "Email Link Clicked"), 10):
        taken(fresh, key, track("c-1", number, event, type="hard"))
    assert suppressed(fresh, "c-1") is None
    taken(fresh, key, track("c-1", 4, "Email Bounced", bounce_type="hard"))
    assert suppressed(fresh, "c-1") == "bounce"
    changed = track("c-2", 5, "Consent Changed", channel="sms", status="subscribed", source="till")
    taken(fresh, key, changed)
    assert consents(fresh, "c-2") == {"sms": "subscribed"}
    assert told(fresh) == []


def test_what_servers_tell_wrongly_is_in_the_log_and_the_rest_is_taken(fresh: Service) -> None:
    key = make(fresh)
    given = {"consent": {"email": "yes", "sms": "subscribed"}, "suppressed": {"email": "bounce"},
             "reachable": {"email": True}, "age": 31}  # fmt: skip
    taken(fresh, key, identify("c-1", 1, traits=given))
    taken(fresh, key, track("c-1", 2, "Consent Changed", channel="fax", status="subscribed"))
    assert consents(fresh, "c-1") == {"sms": "subscribed"}
    assert fresh.get("/customers/c-1")["traits"]["age"] == 31
    assert suppressed(fresh, "c-1") is None
    assert told(fresh) == [
        ("derived", "/traits/reachable"),
        ("derived", "/traits/suppressed"),
        ("bad_value", "/traits/consent/email"),
        ("bad_value", "/properties/channel"),
    ]
    # The event stands, as others do.
    assert fresh.get("/customers/c-1/export")["events"][0]["name"] == "Consent Changed"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {"context": {"messaging_subscriptions": [
                {"key": "ann@example.com", "type": "EMAIL", "status": "SUBSCRIBED"},
                {"key": "+420 111 222 333", "type": "SMS", "status": "DID_NOT_SUBSCRIBE"},
                {"key": "+420 111 222 333", "type": "WHATSAPP", "status": "SUBSCRIBED"},
                "else"]}},
            {"email": "subscribed", "sms": "never"},
        ),
        (
            {"context": {"messaging_subscriptions": [
                {"key": "ann@work.example", "type": "EMAIL", "status": "UNSUBSCRIBED"},
                {"key": "ann@example.com", "type": "EMAIL", "status": "SUBSCRIBED"}]}},
            {"email": "unsubscribed"},
        ),
        (
            {"traits": {"email_marketing_consent": {"state": "subscribed", "opt_in_level": None},
                        "sms_marketing_consent": {"state": "not_subscribed"}}},
            {"email": "subscribed", "sms": "never"},
        ),
        (
            {"traits": {"email_marketing_consent": {"state": "pending"},
                        "sms_marketing_consent": None}},
            {"email": "never"},
        ),
        (
            {"traits": {"email_marketing_consent": {"state": "subscribed"},
                        "consent": {"email": "unsubscribed"}}},
            {"email": "unsubscribed"},
        ),
        ({"context": {"consent": {"categoryPreferences": {"Advertising": True}}}}, {}),
        ({"context": {"messaging_subscriptions": {"type": "EMAIL"}}}, {}),
        ({"traits": {"email_marketing_consent": {"state": "invalid"}}}, {}),
    ],
)  # fmt: skip
def test_shapes_that_vendors_document(
    fresh: Service, message: dict[str, Any], expected: dict[str, str]
) -> None:
    taken(fresh, make(fresh), identify("c-1", 1, **message))
    assert consents(fresh, "c-1") == expected
    assert told(fresh) == []


def test_with_a_pages_key_everyone_may_say_no_and_nobody_yes(fresh: Service) -> None:
    server, page = make(fresh), make(fresh, "web", type="browser")
    yes = {"consent": {"email": "subscribed", "sms": "subscribed"}}
    taken(fresh, page, identify("c-1", 1, traits={**yes, "age": 31}))
    assert consents(fresh, "c-1") == {}
    assert fresh.get("/customers/c-1")["traits"] == {"age": 31}
    taken(fresh, server, identify("c-1", 2, traits=yes))
    no = {"consent": {"sms": "unsubscribed", "push": "never"}}
    taken(fresh, page, identify("c-1", 3, traits=no), identify("c-1", 4, traits={"consent": None}))
    assert consents(fresh, "c-1") == {"email": "subscribed", "sms": "unsubscribed"}
    for number, shape in enumerate(
        (
            {"traits": {"email_marketing_consent": {"state": "subscribed"}}},
            {"context": {"messaging_subscriptions": [{"type": "SMS", "status": "SUBSCRIBED"}]}},
            {"context": {"traits": yes}},
        ),
        10,
    ):
        taken(fresh, page, identify("c-1", number, **shape))
    assert consents(fresh, "c-1")["sms"] == "unsubscribed"
    taken(fresh, page, track("c-1", 5, "Unsubscribed"))
    assert consents(fresh, "c-1")["email"] == "unsubscribed"
    for number, event in enumerate(("Email Bounced", "Email Marked as Spam", "Consent Changed"), 6):
        more = {"type": "hard", "channel": "email", "status": "subscribed"}
        taken(fresh, page, track("c-1", number, event, **more))
    assert suppressed(fresh, "c-1") is None
    assert consents(fresh, "c-1")["email"] == "unsubscribed"
    names = [event["name"] for event in fresh.get("/customers/c-1/export")["events"]]
    assert names == ["Unsubscribed"]
    assert told(fresh, "web") == [
        ("server_only", "/traits/consent/email"),
        ("server_only", "/traits/consent/sms"),
        ("server_only", "/traits/consent/push"),
        ("server_only", "/traits/consent"),
        ("server_only", "/traits/consent/email"),
        ("server_only", "/traits/consent/sms"),
        ("server_only", "/event"),
        ("server_only", "/event"),
        ("server_only", "/event"),
    ]


def test_a_page_says_not_even_no_where_consents_are_for_servers(fresh: Service) -> None:
    assert fresh.ask("put", "/traits/consent", json={"writable_by": "server"}).is_success
    page = make(fresh, "web", type="browser")
    fresh.runner.run(fresh.process.services.sources.look(fresh.process.database))
    no = {"consent": {"sms": "unsubscribed"}}
    off = {"email_marketing_consent": {"state": "unsubscribed"}}
    taken(fresh, page, identify("c-1", 1, traits={**no, **off}), track("c-1", 2, "Unsubscribed"))
    assert consents(fresh, "c-1") == {}
    assert told(fresh, "web") == [("server_only", "/traits/consent"), ("server_only", "/event")]
