"""Who is who: anonymous and then known, guests, devices of two, addresses."""

from typing import Any

import pytest

from tests.api.telling import buyers, found, given, identify, message, order, segments, track
from tests.api.test_tracking import make, taken, told
from tests.serving import Service


def test_what_a_visitor_did_is_the_customers_once_they_are_known(fresh: Service) -> None:
    key = make(fresh)
    buyers(fresh)
    taken(fresh, key, identify(None, "a-1", 1, plan="free", city="Brno"), order(None, "a-1", 2))
    [visitor] = found(fresh, "anonymous_id:a-1")
    assert segments(fresh, visitor) == ["bought-1"]
    taken(fresh, key, identify("c-1", "a-1", 3, plan="pro"))
    assert found(fresh, "anonymous_id:a-1") == ["c-1"]
    customer = fresh.get("/customers/c-1")
    assert given(customer) == {"plan": "pro", "city": "Brno"}
    assert customer["other_ids"] == [visitor]
    assert customer["identities"] == [{"kind": "anonymous_id", "value": "a-1", "verified": True}]
    assert segments(fresh, "c-1") == ["bought-1"]
    # The visitor's id is the customer's: whoever kept it finds them.
    assert fresh.get(f"/customers/{visitor}")["customer_id"] == "c-1"
    # What comes with the anonymous id alone is theirs too.
    taken(fresh, key, order(None, "a-1", 4), identify(None, "a-1", 5, city="Praha"))
    assert segments(fresh, "c-1") == ["bought-1", "bought-2"]
    assert given(fresh.get("/customers/c-1")) == {"plan": "pro", "city": "Praha"}
    assert fresh.rows("select distinct customer_id from events order by 1") == [(visitor,)]
    left = fresh.rows(
        "select segment_key, entered, reason->>'kind' from transitions "
        "where customer_id = :who order by sequence",
        who=visitor,
    )
    assert left == [("bought-1", True, "trait"), ("bought-1", False, "merge")]


def test_an_endless_identity_keeps_nobody_waiting(fresh: Service) -> None:
    page = make(fresh, "page", type="browser")
    taken(fresh, page, identify("c-1", "a" * 12_000, 1, email="x" * 9_000 + "@example.com"))
    assert fresh.get("/customers/c-1")["identities"] == []
    assert len(found(fresh, "anonymous_id:" + "a" * 300)) == 0


def test_addresses_among_vendors_ids_are_personal(fresh: Service) -> None:
    key = make(fresh)
    ids = {"externalIds": [{"id": "ann@example.com", "type": "email"}]}
    taken(fresh, key, message("identify", "c-1", None, 1, context=ids))
    made = fresh.ask("post", "/keys", json={"name": "r", "scopes": ["read"]}).json()["key"]
    for kind in ("shop/email", "email"):
        answer = fresh.ask(
            "get", "/customers", params={"identity": f"{kind}:ann@example.com"},
            headers={"authorization": f"Bearer {made}"},
        )  # fmt: skip
        assert answer.status_code == 403


def test_a_device_of_two_is_whose_who_claimed_it_first(fresh: Service) -> None:
    key = make(fresh)
    taken(fresh, key, track("Seen", None, "a-1", 1))
    taken(fresh, key, identify("late", "a-1", 9))
    assert found(fresh, "anonymous_id:a-1") == ["late"]
    # What came late was earlier.
    taken(fresh, key, identify("early", "a-1", 5))
    assert found(fresh, "anonymous_id:a-1") == ["early"]
    assert fresh.get("/customers/late")["other_ids"] == []


def test_a_guest_is_known_by_the_address_of_the_order(fresh: Service) -> None:
    key = make(fresh)
    buyers(fresh)
    taken(fresh, key, order(None, "a-1", 1, email=" Ann@Example.com "))
    [guest] = found(fresh, "email:ann@example.com")
    customer = fresh.get(f"/customers/{guest}")
    assert customer["type"] == "guest"
    assert segments(fresh, guest) == ["bought-1"]
    assert found(fresh, "anonymous_id:a-1") == [guest]
    taken(fresh, key, identify("c-1", None, 2, email="ann@example.com"))
    assert found(fresh, "email:ann@example.com") == ["c-1"]
    customer = fresh.get("/customers/c-1")
    assert customer["type"] == "person"
    assert segments(fresh, "c-1") == ["bought-1"]
    assert {each["kind"] for each in customer["identities"]} == {"anonymous_id", "email"}


def test_a_page_gives_nobody_anothers_orders(fresh: Service) -> None:
    server, page = make(fresh), make(fresh, "page", type="browser")
    taken(fresh, server, order(None, None, 1, email="ann@example.com"))
    [guest] = found(fresh, "email:ann@example.com")
    taken(fresh, page, identify("thief", "a-9", 2, email="ann@example.com"))
    assert found(fresh, "email:ann@example.com") == [guest, "thief"]
    [known, _] = sorted(
        fresh.get("/customers/thief")["identities"], key=lambda each: -each["verified"]
    )
    assert known["kind"] == "anonymous_id"
    taken(fresh, page, message("alias", "thief", None, 3, previousId=guest))
    taken(fresh, page, message("merge", None, None, 4, mergeProperties=[]))
    assert told(fresh, "page") == [("server_only", "/type")]
    assert fresh.get(f"/customers/{guest}")["customer_id"] == guest


def test_ids_of_vendors_are_their_sources(fresh: Service) -> None:
    one, other = make(fresh), make(fresh, "second")
    ids = {"externalIds": [{"id": "7", "type": "crm"}]}
    taken(fresh, one, message("identify", "c-1", None, 1, context=ids))
    taken(fresh, other, message("identify", "c-2", None, 2, context=ids))
    assert found(fresh, "shop/crm:7") == ["c-1"]
    assert found(fresh, "second/crm:7") == ["c-2"]


def test_erasing_leaves_none_of_their_ids(fresh: Service) -> None:
    server, page = make(fresh), make(fresh, "page", type="browser")
    taken(fresh, server, order(None, "a-1", 1, email="ann@example.com"))
    taken(fresh, server, identify("c-1", "a-2", 2, email="ann@example.com", phone="+4201"))
    taken(fresh, page, identify("c-1", "a-2", 3, email="other@example.com"))
    exported = fresh.get("/customers/c-1/export")
    assert len(exported["profile"]["identities"]) == 5
    assert [each["name"] for each in exported["events"]] == ["Order Completed"]
    assert fresh.ask("delete", "/customers/c-1").status_code == 200
    for table in ("identities", "claims", "links", "fragments", "events", "orders", "customers"):
        assert fresh.rows(f"select * from {table}") == [], table
    # What is older than the erasure brings nobody back, under whichever id.
    taken(
        fresh, server, order(None, "a-1", 4, email="ann@example.com"), track("Seen", None, "a-2", 5)
    )
    taken(fresh, server, identify("c-1", "a-1", 6))
    assert fresh.rows("select customer_id from customers") == []
    assert fresh.rows("select * from claims") == []
    assert fresh.rows("select * from identities") == []


@pytest.mark.parametrize("mistake", ["null", "undefined", "None", "[object Object]", 0, "0000-00"])
def test_an_id_that_is_sent_for_want_of_one_is_nobodys(fresh: Service, mistake: Any) -> None:
    key = make(fresh)
    taken(fresh, key, identify(mistake, "a-1", 1, city="Brno"), track("Seen", "c-1", mistake, 2))
    # The rest of the messages counts, and two visitors are not one.
    taken(fresh, key, identify(mistake, "a-2", 3), identify(mistake, mistake, 4))
    ids = {who for (who,) in fresh.rows("select customer_id from customers")}
    visitors = {found(fresh, f"anonymous_id:a-{number}")[0] for number in (1, 2)}
    assert (len(visitors), ids) == (2, visitors | {"c-1"})
    assert sorted(told(fresh)) == [
        ("bad_value", "/anonymousId"), *[("bad_value", "/userId")] * 3,
    ]  # fmt: skip
    pair = [{"type": "user_id", "value": "c-1"}, {"type": "user_id", "value": str(mistake)}]
    taken(fresh, key, message("merge", None, None, 5, mergeProperties=pair))
    assert ("bad_value", "/mergeProperties/1") in told(fresh)


def test_who_is_who_stands_though_the_rest_is_refused(fresh: Service) -> None:
    key = make(fresh)
    taken(fresh, key, track("Seen", None, "a-1", 1), identify("c-1", None, 2))
    many = {f"t{number}": number for number in range(600)}
    taken(fresh, key, identify("c-1", "a-1", 3, **many))
    assert told(fresh) == [("too_many", "/traits")]
    assert found(fresh, "anonymous_id:a-1") == ["c-1"]
    assert given(fresh.get("/customers/c-1")) == {}
