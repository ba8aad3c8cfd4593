"""The log of rejects: what could not be taken is in the log, bounded, hidden and erased."""

import json

from service.core.instants import MINUTE, format_instant
from service.intake.segment_spec import MESSAGE_BYTES
from tests.api.test_personal import keyed
from tests.api.tracking import identify, make, rejects, taken, told, traits
from tests.running import NOW, Clock
from tests.serving import Service


def test_what_can_not_be_taken_is_in_the_log(fresh: Service) -> None:
    key = make(fresh)
    too_large = {**identify("c-1", "m-2"), "context": {"x": "y" * MESSAGE_BYTES}}
    taken(
        fresh, key,
        {"type": "track", "event": "Nobody's"},
        too_large,
        identify("c-1", "m-3", age=31, **{"a.b": 1}),
        {"type": "alias", "userId": "c-1", "messageId": "m-4"},
    )  # fmt: skip
    assert told(fresh) == [
        ("required", "/userId"), ("too_large", ""), ("bad_name", "/traits/a.b"),
        ("required", "/previousId"),
    ]  # fmt: skip
    nobody, large, named, alias = rejects(fresh)
    assert json.loads(nobody["message"])["event"] == "Nobody's"
    assert nobody["received_at"] == format_instant(NOW)
    assert nobody["detail"]
    assert len(large["message"]) == 4_096
    assert (named["message_id"], alias["message_id"]) == ("m-3", "m-4")
    assert traits(fresh, "c-1") == {"age": 31}


def test_what_does_not_fit_a_declared_type_is_in_the_log(fresh: Service) -> None:
    assert fresh.ask("put", "/traits/age", json={"type": "number"}).is_success
    key = make(fresh)
    taken(
        fresh, key,
        identify("c-1", "m-1", age="old", city="Brno"),
        identify("c-1", "m-2", age="31"),
        identify("c-1", "m-3", age=[]),
    )  # fmt: skip
    assert traits(fresh, "c-1") == {"age": 31, "city": "Brno"}
    assert [(each["code"], each["pointer"], each["message_id"]) for each in rejects(fresh)] == [
        ("wrong_type", "/traits/age", "m-1"),
        ("wrong_type", "/traits/age", "m-3"),
    ]


def test_of_a_customer_who_has_too_much_only_the_message_that_is_too_much_is_refused(
    fresh: Service,
) -> None:
    key = make(fresh)
    large = {"note": "x" * 30_000}
    taken(
        fresh, key,
        identify("c-1", "m-1", a=large), identify("c-1", "m-2", b=large),
        identify("c-1", "m-3", c=large), identify("c-1", "m-4", age=31),
        identify("c-2", "m-5", age=7),
    )  # fmt: skip
    assert set(traits(fresh, "c-1")) == {"a", "b", "age"}
    assert traits(fresh, "c-2") == {"age": 7}
    assert [(each["code"], each["message_id"]) for each in rejects(fresh)] == [("too_large", "m-3")]


def test_the_log_is_bounded_and_comes_in_pages(fresh: Service) -> None:
    key = make(fresh)
    for first in (0, 600):
        taken(fresh, key, *({"messageId": f"m-{first + n}", "type": "?"} for n in range(600)))
    # No customer is named: the type comes second.
    found = [each for page in fresh.pages("/sources/shop/rejects", limit=300) for each in page]
    assert len(found) == 1_000
    assert [each["message_id"] for each in found] == [f"m-{n}" for n in range(1_199, 199, -1)]
    make(fresh, "other")
    assert rejects(fresh, "other") == []


def test_messages_are_hidden_from_who_may_not_see_persons(fresh: Service) -> None:
    key = make(fresh)
    taken(fresh, key, {"type": "alias", "userId": "c-1", "messageId": "m-1"})
    admin = fresh.ask("post", "/keys", json={"name": "a", "scopes": ["admin"]}).json()["key"]
    for scopes, sees in ((["read"], False), (["read", "personal"], True)):
        made = fresh.ask(
            "post", "/keys", json={"name": "k", "scopes": scopes},
            headers={"authorization": f"Bearer {admin}"},
        ).json()["key"]  # fmt: skip
        headers = {"authorization": f"Bearer {made}"}
        (reject,) = fresh.ask("get", "/sources/shop/rejects", headers=headers).json()["items"]
        assert (reject["message"] is not None) == sees
        assert (reject["code"], reject["message_id"]) == ("required", "m-1")


def test_what_quotes_a_message_is_hidden_with_it(fresh: Service) -> None:
    key = make(fresh)
    fresh.ask("put", "/traits/pin", json={"type": "number", "personal": True})
    fresh.ask("put", "/traits/likes", json={"personal": True})
    taken(fresh, key, identify("c-1", "m-1", pin="secret-777", likes={"bob.777@x": 1}))
    order = {"order_id": "o", "total": "4 777"}
    track = {"type": "track", "event": "Order Completed", "userId": "c-1", "messageId": "m-2"}
    taken(fresh, key, {**track, "properties": order})
    reads, whole = keyed(fresh, "read"), keyed(fresh, "read", "personal")
    hidden = reads("get", "/sources/shop/rejects").json()["items"]
    assert "777" not in str(hidden)
    places = {(each["code"], each["pointer"]) for each in hidden}
    assert {("wrong_type", "/traits/pin"), ("bad_name", "/traits/likes")} <= places
    told = whole("get", "/sources/shop/rejects").json()["items"]
    assert [each["code"] for each in told] == [each["code"] for each in hidden]
    for shown in ("secret-777", "/traits/likes/bob.777@x", "4 777"):
        assert shown in str(told)


def test_who_is_only_in_rejects_is_exported_and_erased(fresh: Service) -> None:
    key = make(fresh)
    taken(fresh, key, identify("c-9", **{f"t{n}": n for n in range(600)}))
    told = fresh.get("/customers/c-9/export")
    assert (told["profile"], len(told["rejects"])) == (None, 1)
    assert fresh.ask("delete", "/customers/c-9").status_code == 200
    assert fresh.ask("get", "/customers/c-9/export").status_code == 404


def test_an_erased_person_is_not_revived_by_what_is_older(fresh: Service) -> None:
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    key = make(fresh)
    taken(fresh, key, identify("c-1", "m-1", age=31), {"type": "alias", "userId": "c-1"})
    assert [each["message"] is not None for each in rejects(fresh)] == [True]
    assert fresh.get("/customers/c-1/export")["rejects"] == rejects(fresh)
    clock.now += MINUTE
    assert fresh.ask("delete", "/customers/c-1").status_code == 200
    # What the log held of them is erased too.
    assert rejects(fresh) == []
    clock.now += 10 * MINUTE
    late = {**identify("c-1", "m-2", age=32), "timestamp": format_instant(NOW)}
    taken(fresh, key, late, identify("c-2", "m-3"))
    assert fresh.ask("get", "/customers/c-1").status_code == 404
    (reject,) = rejects(fresh)
    assert (reject["code"], reject["message_id"], reject["message"]) == ("erased", "m-2", None)
    # Beside something new it is dropped just as well.
    taken(fresh, key, late, identify("c-1", "m-4", city="Brno"))
    assert traits(fresh, "c-1") == {"city": "Brno"}
