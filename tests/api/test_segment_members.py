"""Segments and their members page by page, lists, and what members come to."""

from datetime import datetime

import pytest

from tests.api.asking import change, keys, members, refused
from tests.running import NOW
from tests.serving import Service


@pytest.fixture
def shelf(fresh: Service) -> Service:
    """With a few segments of every sort."""
    value = {"dimensions": ["value"], "tags": ["money"], "owner": "crm"}
    fresh.save("gold", ("spent", ">", 100), scheme="tier", priority=1, name="Gold", **value)
    fresh.save("silver", ("spent", ">", 10), scheme="tier", priority=2, **value)
    fresh.save("adult", ("age", ">=", 18), dimensions=["demographic"], description="100%_grown\\")
    fresh.save("guests", owner="events", tags=["party", "money"])
    fresh.save("sketch", ("age", ">", 3), status="draft", name="Über Sketch")
    fresh.save("labelled", ("model:m.label", "=", "x"), status="draft", tags=["money"])
    fresh.save("gone", ("age", ">", 4))
    fresh.ask("delete", "/segments/gone")
    return fresh


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["adult", "gold", "gone", "guests", "labelled", "silver", "sketch"]),
        ({"status": "active"}, ["adult", "gold", "guests", "silver"]),
        ({"status": "draft"}, ["labelled", "sketch"]),
        ({"status": "archived"}, ["gone"]),
        ({"kind": "list"}, ["guests"]),
        ({"kind": "model"}, ["labelled"]),
        ({"dimension": "value"}, ["gold", "silver"]),
        ({"scheme": "tier"}, ["gold", "silver"]),
        ({"tag": "money"}, ["gold", "guests", "labelled", "silver"]),
        ({"tag": "money", "status": "draft"}, ["labelled"]),
        ({"tag": "mon"}, []),
        ({"owner": "crm"}, ["gold", "silver"]),
        ({"owner": "crm", "q": "gol"}, ["gold"]),
        ({"q": "GOLD"}, ["gold"]),
        ({"q": "über"}, ["sketch"]),
        ({"q": "grown"}, ["adult"]),
        ({"q": "100%_"}, ["adult"]),
        ({"q": "%"}, ["adult"]),
        ({"q": "0_g"}, []),
        ({"q": "\\"}, ["adult"]),
        ({"q": "100%_GROWN\\"}, ["adult"]),
        ({"q": "nothing"}, []),
        ({"kind": "rule", "status": "active", "dimension": "demographic"}, ["adult"]),
    ],
)
def test_filters(shelf: Service, query: dict[str, str], expected: list[str]) -> None:
    answer = shelf.ask("get", "/segments", params=query).json()
    assert (keys(answer["items"]), answer["next_cursor"]) == (expected, None)


def test_who_stays_throughout_appears_once(fresh: Service) -> None:
    stay = [f"stay-{n:02}" for n in range(12)]
    for key in (*stay, "leave-early", "z-leave-late"):
        fresh.save(key, ("age", ">=", 18))
    seen: list[str] = []
    for number, page in enumerate(fresh.pages("/segments", status="active", limit=3)):
        seen += keys(page)
        # Behind and ahead of where the reader is, others come and go.
        fresh.save(f"a-new-{number}", ("age", ">", number))
        fresh.save(f"y-new-{number}", ("age", ">", number))
        fresh.ask("delete", f"/segments/{'leave-early' if number == 0 else 'z-leave-late'}")
    assert [key for key in seen if key.startswith("stay")] == stay
    assert len(seen) == len(set(seen))
    assert "z-leave-late" not in seen


def test_members_in_pages_while_others_come_and_go(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    stay = [f"c-{n:03}" for n in range(0, 40, 2)]
    ages = {"customers": [{"customer_id": each, "traits": {"age": 20}} for each in stay]}
    fresh.ask("post", "/assign/batch", json=ages)
    fresh.assign("c-001", traits={"age": 20})
    fresh.assign("c-039", traits={"age": 20})
    seen: list[str] = []
    for page in fresh.pages("/segments/adult/members", limit=4):
        seen += [member["customer_id"] for member in page]
        fresh.assign("a-before", traits={"age": 20})
        fresh.assign(f"{seen[-1]}-after", traits={"age": 20})
        for gone in ("c-001", "c-039"):
            fresh.assign(gone, traits={"age": 10})
    assert [each for each in seen if each in stay] == stay
    assert len(seen) == len(set(seen))
    assert "c-039" not in seen
    assert "c-000" in seen
    [first, *_] = fresh.get("/segments/adult/members?limit=1")["items"]
    assert first == {"customer_id": "a-before", "since": "2027-01-15T08:00:00Z", "version": 1}


def test_members_come_in_the_order_of_their_ids_bytes(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    ids = sorted(["Z", "a", "č", "🎉", "e\u0301", *(f"c-{n}" for n in range(12))], key=str.encode)
    for customer_id in ids:
        fresh.assign(customer_id, traits={"age": 20})
    fresh.assign("young", traits={"age": 10})
    seen = [member for page in fresh.pages("/segments/adult/members", limit=5) for member in page]
    assert [member["customer_id"] for member in seen] == ids
    assert {member["version"] for member in seen} == {1}


def test_a_list_counts_ids_once_their_customers_appear(fresh: Service) -> None:
    listed = fresh.save("guests", name="Guests")
    assert (listed["kind"], listed["condition"]) == ("list", None)
    fresh.save("others", ("segment:guests", "=", False))
    fresh.assign("here")
    assert change(fresh, "guests", add=["here", "to-come", "here"]) == 2
    assert members(fresh, "guests") == ["here"]
    assert members(fresh, "others") == []
    assert fresh.rows("select customer_id from customers") == [("here",)]
    assert fresh.assign("to-come")["entered"] == ["guests"]
    assert members(fresh, "guests") == ["here", "to-come"]

    assert change(fresh, "guests", add=["here"], remove=["to-come", "nobody"]) == 1
    assert members(fresh, "guests") == ["here"]
    last = fresh.get("/customers/to-come/transitions")["items"]
    assert {(move["segment"], move["type"], move["reason"]["kind"]) for move in last[:2]} == {
        ("guests", "exited", "list"),
        ("others", "entered", "list"),
    }
    assert fresh.assign("c-1", record=False)["segments"][0]["key"] == "others"


def test_changing_nothing_of_a_list_starts_no_job(fresh: Service) -> None:
    fresh.save("guests")
    change(fresh, "guests", add=["c-1"])
    before = fresh.rows("select count(*), max(id) from jobs")
    assert change(fresh, "guests", add=["c-1"], remove=["c-2"]) == 0
    assert change(fresh, "guests") == 0
    assert fresh.rows("select count(*), max(id) from jobs") == before


def test_only_lists_take_ids(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    path = "/segments/adult/members"
    assert refused(fresh, "post", path, {"add": ["c-1"]}, 409) == ("kind", [])
    path = "/segments/nobody/members"
    assert refused(fresh, "post", path, {"add": ["c-1"]}, 404) == ("not_found", [])
    assert refused(fresh, "post", path, {}, 404) == ("not_found", [])
    fresh.save("guests")
    empty = refused(fresh, "post", "/segments/guests/members", {"add": ["c-1", ""]})
    assert empty == ("invalid", [("/add/1", "empty")])


def test_an_archived_list_takes_no_ids_and_nobody_is_on_it(fresh: Service) -> None:
    fresh.save("guests")
    fresh.save("sketch", status="draft")
    fresh.assign("c-1")
    for key in ("guests", "sketch"):
        change(fresh, key, add=["c-1"])
    assert fresh.get("/customers/c-1")["lists"] == ["guests", "sketch"]
    fresh.ask("delete", "/segments/guests")
    path = "/segments/guests/members"
    for ids in ({"add": ["c-2"]}, {"remove": ["c-1"]}, {}):
        assert refused(fresh, "post", path, ids, 409) == ("archived", [])
    assert fresh.rows("select customer_id from list_members where segment_key = 'guests'") == [
        ("c-1",)
    ]
    assert fresh.get("/customers/c-1")["lists"] == ["sketch"]
    # Who was on it is on it again once it is revived.
    fresh.save("guests")
    assert fresh.get("/customers/c-1")["lists"] == ["guests", "sketch"]


def test_metrics_are_in_the_answers_once_measured(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    for customer_id, age in (("c-1", 20), ("c-2", 30), ("c-3", 10), ("c-4", 5)):
        fresh.assign(customer_id, traits={"age": age, "orders": 2, "total_spent": 10})
    measured = fresh.get("/segments/adult/metrics")
    assert (measured["size"], measured["customers"], measured["share"]) == (2, 4, 0.5)
    assert measured["entered"] == {"day": 2, "week": 2, "month": 2}
    assert measured["exited"] == {"day": 0, "week": 0, "month": 0}
    fresh.measure()
    assert fresh.get("/segments/adult")["metrics"] == measured
    assert datetime.fromisoformat(measured["as_of"]).timestamp() * 1_000_000 == NOW


def test_metrics_of_what_members_buy(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.assign("c-1", traits={"age": 20, "revenue": 30.5, "orders": 2})
    fresh.assign("c-2", traits={"age": 10})
    figures = fresh.get("/segments/adult/metrics")
    assert (figures["size"], figures["share"], figures["customers"]) == (1, 0.5, 2)
    assert (figures["revenue"], figures["orders"], figures["average_order_value"]) == (
        30.5, 2, 15.25,
    )  # fmt: skip
    assert refused(fresh, "get", "/segments/nobody/metrics", None, 404) == ("not_found", [])
