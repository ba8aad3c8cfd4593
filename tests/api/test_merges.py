"""Two customers are one: merges, aliases and their undoing."""

from pathlib import Path

import pytest

from service.core.instants import DAY, format_instant, to_datetime
from tests.api.telling import buyers, found, given, identify, message, order, segments, track
from tests.api.test_tracking import make, taken
from tests.postgres import Databases
from tests.running import NOW, Clock
from tests.serving import Service, service_of


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


def test_two_customers_may_have_more_together_than_one_may(fresh: Service) -> None:
    many = {"c-1": "a", "c-2": "b"}
    for who, letter in many.items():
        fresh.assign(who, traits={f"{letter}{number}": "x" for number in range(300)})
    merged = fresh.ask("post", "/customers/c-1/merge", json={"from": "c-2"})
    assert len(given(merged.json())) == 600
    # What they have may change and go, and nothing may be added.
    for trait, value in (("a0", "y"), ("b0", None), ("b0", "z"), ("b1", None)):
        status = fresh.ask(
            "post", "/assign", json={"customer_id": "c-1", "traits": {trait: value}}
        ).status_code
        assert status == (422 if (trait, value) == ("b0", "z") else 200), (trait, value)
    more = fresh.ask("post", "/assign", json={"customer_id": "c-2", "traits": {"c": 1, "a1": "y"}})
    assert [each["code"] for each in more.json()["errors"]] == ["too_many"]
    assert (len(given(fresh.get("/customers/c-1"))), given(fresh.get("/customers/c-2"))["a0"]) == (
        598, "y",
    )  # fmt: skip


def test_two_customers_may_take_more_bytes_than_one_may(fresh: Service) -> None:
    for who in ("c-1", "c-2"):
        fresh.assign(who, traits={who: ["x" * 10_000] * 4})
    fresh.ask("post", "/customers/c-1/merge", json={"from": "c-2"})
    fresh.assign("c-1", traits={"c-1": ["y" * 10_000] * 4})
    larger = fresh.ask(
        "post", "/assign", json={"customer_id": "c-1", "traits": {"c-2": ["x" * 10_001] * 4}}
    )
    assert [each["code"] for each in larger.json()["errors"]] == ["too_large"]


def test_what_was_due_before_a_merge_is_settled_as_it_was(
    databases: Databases, tmp_path: Path
) -> None:
    clock = Clock()
    with service_of(databases, tmp_path, clock) as service:
        key = make(service)
        counted = {"function": "count", "within": "30d"}
        rule = {"field": "event:Seen", "aggregate": counted, "operator": "=", "value": 1}
        document = {"condition": {"combinator": "and", "rules": [rule]}}
        assert service.ask("put", "/segments/once", json=document).is_success
        service.settle()
        for who, ago in (("c-1", 20), ("c-1", 19), ("c-2", 5)):
            at = format_instant(NOW - ago * DAY)
            seen = {"type": "track", "event": "Seen", "userId": who, "messageId": f"m-{ago}"}
            taken(service, key, {**seen, "timestamp": at})
        # By then the first of them has entered and left, which nobody has looked at yet.
        clock.now = NOW + 12 * DAY
        merged = service.ask("post", "/customers/c-1/merge", json={"from": "c-2"})
        assert merged.status_code == 200
        told = service.rows(
            "select customer_id, entered, extract(epoch from at - :now)::int / 86400, "
            "reason->>'kind' from transitions order by customer_id, sequence",
            now=to_datetime(NOW),
        )
        assert told == [
            ("c-1", True, 0, "event"), ("c-1", False, 0, "event"),
            ("c-1", True, 10, "time"), ("c-1", False, 11, "time"), ("c-1", True, 12, "merge"),
            ("c-2", True, 0, "event"), ("c-2", False, 12, "merge"),
        ]  # fmt: skip
        assert segments(service, "c-1") == ["once"]
