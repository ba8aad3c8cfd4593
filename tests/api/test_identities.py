"""Who is who: anonymous and then known, aliases, guests, merges and their undoing."""

from typing import Any

import pytest

from tests.api.test_tracking import make, taken, told
from tests.serving import Service


def identify(user: str | None, anonymous: str | None, number: int, **traits: Any) -> dict[str, Any]:
    return message("identify", user, anonymous, number, traits=traits)


def message(
    kind: str, user: str | None, anonymous: str | None, number: int, **more: Any
) -> dict[str, Any]:
    return {
        "type": kind,
        "userId": user,
        "anonymousId": anonymous,
        "messageId": f"m-{number}",
        "timestamp": f"2026-11-01T10:{number:02}:00Z",
        **more,
    }


def track(
    event: str, user: str | None, anonymous: str | None, number: int, **properties: Any
) -> dict[str, Any]:
    return message("track", user, anonymous, number, event=event, properties=properties)


def order(user: str | None, anonymous: str | None, number: int, **more: Any) -> dict[str, Any]:
    told = {"order_id": f"o-{number}", "total": 10 * number, **more}
    return track("Order Completed", user, anonymous, number, **told)


def found(service: Service, identity: str) -> list[str]:
    answer = service.ask("get", "/customers", params={"identity": identity})
    assert answer.status_code == 200, answer.text
    return [each["customer_id"] for each in answer.json()["items"]]


def segments(service: Service, customer_id: str) -> list[str]:
    return [each["key"] for each in service.get(f"/customers/{customer_id}/segments")]


def given(customer: dict[str, Any]) -> dict[str, Any]:
    """The traits that messages gave, of a customer's record."""
    return {
        path: told["value"]
        for path, told in customer["sources"].items()
        if told["source"] != "derived"
    }


def counting(service: Service, key: str, event: str, count: int) -> None:
    rule = {
        "field": f"event:{event}",
        "aggregate": {"function": "count"},
        "operator": ">=",
        "value": count,
    }
    document = {"condition": {"combinator": "and", "rules": [rule]}}
    assert service.ask("put", f"/segments/{key}", json=document).is_success


def buyers(service: Service) -> None:
    for count in (1, 2, 3):
        counting(service, f"bought-{count}", "Order Completed", count)


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


def test_undoing_gives_everybody_their_own(fresh: Service) -> None:
    key = make(fresh)
    buyers(fresh)
    taken(fresh, key, identify("c-1", None, 1, city="Brno"), order("c-1", None, 2))
    taken(fresh, key, identify("c-2", None, 3, plan="pro"), order("c-2", None, 4))
    before = {who: fresh.get(f"/customers/{who}") for who in ("c-1", "c-2")}
    merged = fresh.ask("post", "/customers/c-1/merge", json={"from": "c-2"})
    assert merged.status_code == 200, merged.text
    assert merged.json()["other_ids"] == ["c-2"]
    assert given(merged.json()) == {"city": "Brno", "plan": "pro"}
    assert segments(fresh, "c-2") == segments(fresh, "c-1") == ["bought-1", "bought-2"]
    taken(fresh, key, identify("c-2", None, 5, plan="max"), order("c-2", None, 6))
    assert segments(fresh, "c-1") == ["bought-1", "bought-2", "bought-3"]
    again = fresh.ask("post", "/customers/c-1/merge", json={"from": "c-2"})
    assert again.json()["other_ids"] == ["c-2"]
    parted = fresh.ask("post", "/customers/c-1/unmerge", json={"from": "c-2"})
    assert parted.status_code == 200, parted.text
    assert parted.json()["other_ids"] == []
    assert given(parted.json()) == given(before["c-1"])
    assert segments(fresh, "c-1") == ["bought-1"]
    assert segments(fresh, "c-2") == ["bought-1", "bought-2"]
    assert given(fresh.get("/customers/c-2")) == {"plan": "max"}
    assert fresh.get("/customers/c-2")["first_seen"] == before["c-2"]["first_seen"]
    twice = fresh.ask("post", "/customers/c-1/unmerge", json={"from": "c-2"})
    assert (twice.status_code, twice.json()["code"]) == (409, "not_merged")
    actions = [each["action"] for each in fresh.get("/audit")["items"]]
    assert actions[:2] == ["customer.unmerged", "customer.merged"]


def test_what_was_undone_stays_so_until_it_is_merged_by_hand(fresh: Service) -> None:
    key = make(fresh)
    taken(fresh, key, identify(None, "a-1", 1, city="Brno"), identify("c-1", "a-1", 2))
    [who] = fresh.get("/customers/c-1")["other_ids"]
    assert fresh.ask("post", "/customers/c-1/unmerge", json={"from": who}).status_code == 200
    taken(fresh, key, identify("c-1", "a-1", 3), identify("c-1", "a-1", 0))
    assert found(fresh, "anonymous_id:a-1") == [who]
    assert fresh.ask("post", "/customers/c-1/merge", json={"from": who}).status_code == 200
    assert found(fresh, "anonymous_id:a-1") == ["c-1"]


def test_no_page_joins_two_known_customers(fresh: Service) -> None:
    server, page = make(fresh), make(fresh, "page", type="browser")
    taken(fresh, page, track("Seen", None, "a-1", 1))
    taken(fresh, server, identify("c-1", None, 2), identify("c-9", None, 3, secret="nine"))
    [who] = found(fresh, "anonymous_id:a-1")
    fresh.ask("post", "/customers/c-1/merge", json={"from": who})
    taken(fresh, page, identify("c-9", "a-1", 4), identify("c-9", "a-1", 0))
    assert fresh.get("/customers/c-9")["customer_id"] == "c-9"
    assert found(fresh, "anonymous_id:a-1") == ["c-1"]


def test_an_endless_identity_keeps_nobody_waiting(fresh: Service) -> None:
    page = make(fresh, "page", type="browser")
    taken(fresh, page, identify("c-1", "a" * 12_000, 1, email="x" * 9_000 + "@example.com"))
    assert fresh.get("/customers/c-1")["identities"] == []
    assert len(found(fresh, "anonymous_id:" + "a" * 300)) == 0


@pytest.mark.parametrize("first", ["A", "B"])
def test_two_aliases_in_opposite_directions_can_be_undone(fresh: Service, first: str) -> None:
    key = make(fresh)
    taken(fresh, key, identify("A", None, 1, a=1), identify("B", None, 2, b=2))
    pair = [("A", "B", 3), ("B", "A", 4)]
    for user, previous, number in pair if first == "A" else pair[::-1]:
        taken(fresh, key, message("alias", user, None, number, previousId=previous))
    root = fresh.get("/customers/A")["customer_id"]
    other = "B" if root == "A" else "A"
    parted = fresh.ask("post", f"/customers/{root}/unmerge", json={"from": other})
    assert parted.status_code == 200
    assert given(fresh.get("/customers/A")) == {"a": 1}
    assert given(fresh.get("/customers/B")) == {"b": 2}
    # Neither of them is told again to any effect.
    taken(fresh, key, message("alias", "A", None, 5, previousId="B"))
    taken(fresh, key, message("alias", "B", None, 6, previousId="A"))
    assert fresh.get("/customers/A")["customer_id"] == "A"
    assert fresh.get("/customers/B")["customer_id"] == "B"


def test_no_other_id_of_the_person_takes_back_what_was_parted(fresh: Service) -> None:
    key = make(fresh)
    taken(
        fresh, key, identify("K", "a-1", 1), identify("M", None, 2), track("Seen", None, "a-1", 3)
    )
    fresh.ask("post", "/customers/K/merge", json={"from": "M"})
    [who] = [each for each in fresh.get("/customers/K")["other_ids"] if each != "M"]
    assert fresh.ask("post", "/customers/K/unmerge", json={"from": who}).status_code == 200
    taken(fresh, key, track("Seen", "M", "a-1", 4))
    assert found(fresh, "anonymous_id:a-1") == [who]


def test_what_came_along_goes_along(fresh: Service) -> None:
    key = make(fresh)
    taken(fresh, key, identify("L", "a-1", 1, city="Brno"), track("Seen", None, "a-1", 2))
    taken(fresh, key, identify("K", None, 3))
    fresh.ask("post", "/customers/K/merge", json={"from": "L"})
    fresh.ask("post", "/customers/K/unmerge", json={"from": "L"})
    assert found(fresh, "anonymous_id:a-1") == ["L"]
    assert fresh.get("/customers/K")["other_ids"] == []


def test_a_known_customer_is_no_guest(fresh: Service) -> None:
    key = make(fresh)
    taken(fresh, key, order(None, None, 1, email="ann@example.com"), identify("c-1", None, 2))
    [guest] = found(fresh, "email:ann@example.com")
    merged = fresh.ask("post", f"/customers/{guest}/merge", json={"from": "c-1"})
    assert merged.json()["type"] == "person"


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


def test_a_server_may_alias_a_known_customer(fresh: Service) -> None:
    key = make(fresh)
    taken(fresh, key, identify("old", None, 1, city="Brno"))
    taken(fresh, key, message("alias", "new", None, 2, previousId="old"))
    assert fresh.get("/customers/old")["customer_id"] == "new"
    assert given(fresh.get("/customers/new")) == {"city": "Brno"}
    # Who comes under the old id only later is the new one at once.
    taken(fresh, key, message("alias", "newer", None, 3, previousId="unseen"))
    taken(fresh, key, identify("unseen", None, 4, city="Praha"))
    assert given(fresh.get("/customers/newer")) == {"city": "Praha"}


def test_two_identities_may_be_one_person(fresh: Service) -> None:
    key = make(fresh)
    for number, (kind, value) in enumerate((("email", "Ann@example.com"), ("phone", "+420 1"))):
        fresh.assign(identities={kind: value}, traits={kind: number})
    pair = [{"type": "email", "value": "ann@example.com"}, {"type": "mobile", "value": "+4201"}]
    taken(fresh, key, message("merge", None, None, 5, mergeProperties=pair))
    [one] = found(fresh, "email:ann@example.com")
    assert found(fresh, "phone:+4201") == [one]
    assert given(fresh.get(f"/customers/{one}")) == {"email": 0, "phone": 1}


def test_assign_takes_identities(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    answer = fresh.assign(identities={"email": "Ann@example.com", "shop": "7"}, traits={"age": 20})
    who = answer["customer_id"]
    assert who.startswith("anon_")
    assert [each["key"] for each in answer["segments"]] == ["adult"]
    assert found(fresh, "shop:7") == found(fresh, "email:ann@example.com") == [who]
    known = fresh.assign("c-1", identities={"shop": "7"}, traits={"city": "Brno"})
    assert known["customer_id"] == "c-1"
    assert [each["key"] for each in known["segments"]] == ["adult"]
    looked = fresh.assign(identities={"email": "ann@example.com"}, record=False)
    assert looked["customer_id"] == "c-1"
    assert [each["key"] for each in looked["segments"]] == ["adult"]
    assert fresh.assign(identities={"email": "bob@example.com"}, record=False)["segments"] == []
    assert found(fresh, "email:bob@example.com") == []


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"email": "nobody"}, "/identities/email"),
        ({"email": 7}, "/identities/email"),
        ({"Shop": "7"}, "/identities/Shop"),
        ({"shop": " "}, "/identities/shop"),
        ({"shop": "x" * 257}, "/identities/shop"),
        ({"phone": "none"}, "/identities/phone"),
    ],
)
def test_what_is_no_identity_is_refused(fresh: Service, given: Any, pointer: str) -> None:
    answer = fresh.ask("post", "/assign", json={"customer_id": "c-1", "identities": given})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert fresh.rows("select 1 from customers") == []


def test_ids_of_vendors_are_their_sources(fresh: Service) -> None:
    one, other = make(fresh), make(fresh, "second")
    ids = {"externalIds": [{"id": "7", "type": "crm"}]}
    taken(fresh, one, message("identify", "c-1", None, 1, context=ids))
    taken(fresh, other, message("identify", "c-2", None, 2, context=ids))
    assert found(fresh, "shop/crm:7") == ["c-1"]
    assert found(fresh, "second/crm:7") == ["c-2"]


def test_merging_what_is_not_there(fresh: Service) -> None:
    fresh.assign("c-1")
    missing = fresh.ask("post", "/customers/nobody/merge", json={"from": "c-1"})
    assert missing.status_code == 404
    loser = fresh.ask("post", "/customers/c-1/merge", json={"from": "nobody"})
    assert (loser.status_code, loser.json()["errors"][0]["pointer"]) == (422, "/from")
    own = fresh.ask("post", "/customers/c-1/merge", json={"from": "c-1"})
    assert own.status_code == 422
    assert fresh.rows("select customer_id from customers") == [("c-1",)]


def test_a_person_is_on_the_lists_of_all_their_ids(fresh: Service) -> None:
    fresh.save("guests", name="Guests")
    fresh.ask("post", "/segments/guests/members", json={"add": ["c-2"]})
    fresh.settle()
    fresh.assign("c-1")
    fresh.assign("c-2")
    fresh.ask("post", "/customers/c-1/merge", json={"from": "c-2"})
    assert segments(fresh, "c-1") == ["guests"]
    assert fresh.get("/customers/c-1")["lists"] == ["guests"]
    fresh.ask("post", "/customers/c-1/unmerge", json={"from": "c-2"})
    assert segments(fresh, "c-1") == []
    assert segments(fresh, "c-2") == ["guests"]


def test_a_list_of_any_of_their_ids_decides_them_at_once(fresh: Service) -> None:
    fresh.save("guests", name="Guests")
    fresh.assign("c-1")
    fresh.assign("c-2")
    fresh.ask("post", "/customers/c-1/merge", json={"from": "c-2"})
    fresh.ask("post", "/segments/guests/members", json={"add": ["c-2"]})
    fresh.settle()
    assert segments(fresh, "c-1") == ["guests"]
    fresh.ask("post", "/segments/guests/members", json={"add": ["c-1"]})
    fresh.ask("post", "/segments/guests/members", json={"remove": ["c-2"]})
    fresh.settle()
    assert segments(fresh, "c-1") == ["guests"]
    fresh.ask("post", "/segments/guests/members", json={"remove": ["c-1"]})
    fresh.settle()
    assert segments(fresh, "c-1") == []


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


@pytest.mark.parametrize("flag", ["is_test", "is_staff", "is_bot"])
def test_who_is_left_out_is_in_nothing(fresh: Service, flag: str) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.assign("c-1", traits={"age": 20})
    assert [each["key"] for each in fresh.assign("c-2", traits={"age": 20})["segments"]] == [
        "adult"
    ]
    left = fresh.assign("c-2", traits={flag: True})
    assert (left["segments"], [each["key"] for each in left["exited"]]) == ([], ["adult"])
    assert fresh.assign("c-2", traits={"age": 30})["segments"] == []
    assert fresh.assign(traits={"age": 20, flag: True})["segments"] == []
    # Anything but true says nothing.
    assert fresh.assign(traits={"age": 20, flag: "true"})["segments"] != []
    for who in ("c-2", None):
        asked = fresh.assign(
            who, traits={"age": 20, flag: True}, record=False, include=["excluded"]
        )
        assert [each["key"] for each in asked["segments"]] == ["adult"]
    fresh.measure()
    metrics = fresh.get("/segments/adult")["metrics"]
    assert (metrics["size"], metrics["customers"], metrics["excluded"]) == (1, 1, 1)
    assert metrics["share"] == 1
    back = fresh.assign("c-2", traits={flag: None})
    assert [each["key"] for each in back["segments"]] == ["adult"]


def test_a_page_leaves_nobody_out(fresh: Service) -> None:
    page = make(fresh, "page", type="browser")
    fresh.assign("c-1")
    taken(fresh, page, identify("c-1", None, 1, is_test=True, plan="pro"))
    assert told(fresh, "page") == [("server_only", "/traits/is_test")]
    assert given(fresh.get("/customers/c-1")) == {"plan": "pro"}
    # Unless it is declared so.
    fresh.ask("put", "/traits/is_staff", json={"type": "boolean"})
    fresh.runner.run(fresh.process.follower.look())
    taken(fresh, page, identify("c-1", None, 2, is_staff=True))
    assert given(fresh.get("/customers/c-1")) == {"plan": "pro", "is_staff": True}


def test_nobody_who_is_left_out_is_on_a_list_either(fresh: Service) -> None:
    fresh.save("guests", name="Guests")
    fresh.ask("post", "/segments/guests/members", json={"add": ["c-1", "c-2"]})
    fresh.settle()
    assert fresh.assign("c-1", traits={"is_test": True})["segments"] == []
    assert [each["key"] for each in fresh.assign("c-2")["segments"]] == ["guests"]
