"""`/segments`: definitions as they come, change and go, lists, and who is in them."""

from datetime import datetime
from typing import Any

import pytest

from tests.contracts.test_errors import shaped
from tests.running import NOW, Clock, group
from tests.serving import Service

ADULT = group(("age", ">=", 18))


def keys(items: list[Any]) -> list[str]:
    return [item["key"] for item in items]


def refused(service: Service, method: str, path: str, body: Any, status: int = 422) -> Any:
    """The problem that a request gets; its faults as (pointer, code)."""
    answer = service.ask(method, path, json=body)
    assert answer.status_code == status, answer.text
    problem = shaped(answer)
    return problem["code"], [(f["pointer"], f["code"]) for f in problem.get("errors", [])]


def members(service: Service, key: str) -> list[str]:
    return [each["customer_id"] for each in service.get(f"/segments/{key}/members")["items"]]


def change(service: Service, key: str, **ids: list[str]) -> int:
    answer = service.ask("post", f"/segments/{key}/members", json=ids)
    assert answer.status_code == 200, answer.text
    service.settle()
    return int(answer.json()["changed"])


def test_a_created_segment_is_answered_whole_and_found_where_it_says(fresh: Service) -> None:
    document = {
        "key": "adult", "name": "Adults", "description": "18 and more",
        "dimensions": ["demographic"], "condition": ADULT, "scheme": "age", "priority": 3,
        "status": "active", "owner": "crm", "tags": ["core"], "review_by": "2027-03-01",
        "persona": {"summary": "Grown up", "needs": ["time"], "goals": []},
        "treatment": {"channels": ["email"]}, "limits": {"min_size": 100.0},
        "goals": {"conversion_rate": 0.05},
    }  # fmt: skip
    answer = fresh.ask("post", "/segments", json=document)
    assert (answer.status_code, answer.headers["location"]) == (201, "/segments/adult")
    segment = answer.json()
    now = "2027-01-15T08:00:00Z"
    assert segment == {
        **document, "kind": "rule", "summary": "Age is at least 18.", "version": 1,
        "warnings": [], "created_at": now, "updated_at": now, "metrics": None,
    }  # fmt: skip
    assert fresh.get(answer.headers["location"]) | {"metrics": None} == segment
    taken = refused(fresh, "post", "/segments", {"key": "adult", "name": "Others"}, 409)
    assert taken == ("exists", [])
    assert fresh.get("/segments/adult")["name"] == "Adults"


def test_put_creates_replaces_and_revives(fresh: Service) -> None:
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    body = {"name": "Adults", "owner": "crm", "condition": ADULT}
    created = fresh.ask("put", "/segments/adult", json=body)
    assert (created.status_code, created.json()["version"]) == (201, 1)
    clock.now = NOW + 60_000_000
    replaced = fresh.ask("put", "/segments/adult", json={"condition": group(("age", ">", 20))})
    assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
    # What a replacement does not name is gone.
    assert (replaced.json()["name"], replaced.json()["owner"]) == ("adult", None)
    assert replaced.json()["created_at"] == created.json()["created_at"]
    assert replaced.json()["updated_at"] == "2027-01-15T08:01:00Z"
    assert fresh.ask("delete", "/segments/adult").status_code == 204
    assert fresh.get("/segments/adult")["status"] == "archived"
    assert fresh.assign(traits={"age": 30})["segments"] == []
    revived = fresh.ask("put", "/segments/adult", json=body)
    assert (revived.status_code, revived.json()["version"]) == (200, 4)
    assert revived.json()["status"] == "active"
    assert keys(fresh.assign(traits={"age": 30})["segments"]) == ["adult"]


def test_the_path_and_the_body_name_one_key(fresh: Service) -> None:
    assert fresh.ask("put", "/segments/a", json={"key": "a"}).status_code == 201
    assert refused(fresh, "put", "/segments/a", {"key": "b"}) == ("invalid", [("/key", "bad_key")])


def test_a_key_that_was_archived_may_be_created_again(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.ask("delete", "/segments/adult")
    again = fresh.ask("post", "/segments", json={"key": "adult", "condition": ADULT})
    assert (again.status_code, again.json()["version"]) == (201, 3)


def test_a_patch_merges_and_null_removes(fresh: Service) -> None:
    more = {"name": "Adults", "owner": "crm", "tags": ["a", "b"], "goals": {"x": 1.0, "y": 2.0}}
    fresh.save("adult", ("age", ">=", 18), **more)
    patch = {"owner": None, "tags": ["c"], "goals": {"x": None, "z": 3}, "description": "Grown"}
    patched = fresh.ask("patch", "/segments/adult", json=patch).json()
    assert (patched["owner"], patched["tags"], patched["name"]) == (None, ["c"], "Adults")
    assert (patched["goals"], patched["description"]) == ({"y": 2.0, "z": 3.0}, "Grown")
    assert (patched["condition"], patched["version"]) == (ADULT, 2)
    assert fresh.get("/segments/adult")["goals"] == {"y": 2.0, "z": 3.0}
    rules = {"condition": {"rules": [{"field": "age", "operator": ">=", "value": 21}]}}
    patched = fresh.ask("patch", "/segments/adult", json=rules).json()
    assert patched["condition"] == group(("age", ">=", 21))
    assert patched["summary"] == "Age is at least 21."
    assert keys(fresh.assign(traits={"age": 20})["segments"]) == []


@pytest.mark.parametrize(
    ("patch", "status", "faults"),
    [
        ({"condition": None}, 409, ("kind", [])),
        ({"surprise": 1}, 422, ("invalid", [("/surprise", "unknown_property")])),
        ({"key": "other"}, 422, ("invalid", [("/key", "unknown_property")])),
        ({"status": "archived"}, 422, ("invalid", [("/status", "bad_value")])),
        ({"min_dwell": "7d"}, 422, ("invalid", [("/min_dwell", "not_available")])),
        (
            {"condition": {"rules": [{"field": "age", "operator": "is", "value": 1}]}},
            422,
            ("invalid", [("/condition/rules/0/operator", "unknown_operator")]),
        ),
    ],
)
def test_a_patch_that_is_refused_changes_nothing(
    fresh: Service, patch: Any, status: int, faults: Any
) -> None:
    before = fresh.save("adult", ("age", ">=", 18))
    assert refused(fresh, "patch", "/segments/adult", patch, status) == faults
    fresh.settle()
    assert fresh.get("/segments/adult") | {"metrics": None} == before
    assert fresh.rows("select count(*) from segment_versions") == [(1,)]


def test_saving_the_same_changes_no_version(fresh: Service) -> None:
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    first = fresh.save("adult", ("age", ">=", 18), name="Adults", tags=["a"])
    fresh.settle()
    jobs = len(fresh.get("/jobs")["items"])
    revision = fresh.get("/catalog")["revision"]
    clock.now += 60_000_000
    again = fresh.save("adult", ("age", ">=", 18), name="Adults", tags=["a"])
    patched = fresh.ask("patch", "/segments/adult", json={"name": "Adults"}).json()
    nothing = fresh.ask("patch", "/segments/adult", json={}).json()
    for answer in (again, patched, nothing):
        assert (answer["version"], answer["updated_at"]) == (1, first["updated_at"])
    assert fresh.get("/catalog")["revision"] == revision
    assert len(fresh.get("/jobs")["items"]) == jobs


def test_archiving_lets_members_go_and_keeps_history(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.assign("c-1", traits={"age": 20})
    answer = fresh.ask("delete", "/segments/adult")
    assert (answer.status_code, answer.content) == (204, b"")
    fresh.settle()
    assert members(fresh, "adult") == []
    last, first = fresh.get("/customers/c-1/transitions")["items"]
    assert (first["type"], last["type"], last["reason"]) == (
        "entered", "exited", {"kind": "definition"},
    )  # fmt: skip
    assert fresh.ask("delete", "/segments/adult").status_code == 204
    assert refused(fresh, "patch", "/segments/adult", {"name": "x"}, 409) == ("archived", [])


def test_what_others_use_stays_and_they_are_named(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.save("buyer", ("segment:adult", "=", True), ("orders", ">", 0))
    fresh.save("reader", ("segment:adult", "=", False))
    fresh.save("sketch", ("segment:adult", "=", True), status="draft")
    for method, body in (("delete", None), ("patch", {"status": "draft"})):
        answer = fresh.ask(method, "/segments/adult", json=body)
        problem = shaped(answer)
        assert (answer.status_code, problem["code"]) == (409, "in_use")
        assert [fault["detail"] for fault in problem["errors"]] == ["buyer", "reader"]
    assert fresh.get("/segments/adult")["status"] == "active"
    for key in ("buyer", "reader", "adult"):
        assert fresh.ask("delete", f"/segments/{key}").status_code == 204


@pytest.fixture
def shelf(fresh: Service) -> Service:
    """With a few segments of every sort."""
    value = {"dimensions": ["value"], "tags": ["money"], "owner": "crm"}
    fresh.save("gold", ("spent", ">", 100), scheme="tier", priority=1, name="Gold", **value)
    fresh.save("silver", ("spent", ">", 10), scheme="tier", priority=2, **value)
    fresh.save("adult", ("age", ">=", 18), dimensions=["demographic"], description="100%_grown")
    fresh.save("guests", owner="events", tags=["party", "money"])
    fresh.save("sketch", ("age", ">", 3), status="draft", name="Über Sketch")
    fresh.save("gone", ("age", ">", 4))
    fresh.ask("delete", "/segments/gone")
    return fresh


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["adult", "gold", "gone", "guests", "silver", "sketch"]),
        ({"status": "active"}, ["adult", "gold", "guests", "silver"]),
        ({"status": "draft"}, ["sketch"]),
        ({"status": "archived"}, ["gone"]),
        ({"kind": "list"}, ["guests"]),
        ({"kind": "model"}, []),
        ({"dimension": "value"}, ["gold", "silver"]),
        ({"scheme": "tier"}, ["gold", "silver"]),
        ({"tag": "money"}, ["gold", "guests", "silver"]),
        ({"tag": "mon"}, []),
        ({"owner": "crm"}, ["gold", "silver"]),
        ({"owner": "crm", "q": "gol"}, ["gold"]),
        ({"q": "GOLD"}, ["gold"]),
        ({"q": "über"}, ["sketch"]),
        ({"q": "grown"}, ["adult"]),
        ({"q": "100%_"}, ["adult"]),
        ({"q": "%"}, ["adult"]),
        ({"q": "0_g"}, []),
        ({"q": "\\"}, []),
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


@pytest.mark.parametrize(
    ("condition", "summary"),
    [
        (group(("total_spent", ">", 500)), "Total spent is more than 500."),
        (group(("country", "in", ["CZ", "SK"])), "Country is one of CZ or SK."),
        (group(("segment:vip", "=", False)), "Is not in segment vip."),
        (group(("age", "between", [18, 30])), "Age is between 18 and 30."),
        (
            group(("last_order_at", "withinLast", "30d"), ("orders", ">=", 3), combinator="or"),
            "Last order at is within the last 30 days or orders is at least 3.",
        ),
    ],
)
def test_the_condition_in_english(fresh: Service, condition: Any, summary: str) -> None:
    fresh.save("vip")
    answer = fresh.ask("put", "/segments/some", json={"condition": condition})
    assert answer.json()["summary"] == summary


def test_drafts_are_kept_and_not_served(fresh: Service) -> None:
    draft = fresh.save("adult", ("age", ">=", 18), status="draft")
    assert (draft["status"], draft["summary"]) == ("draft", "Age is at least 18.")
    fresh.assign("c-1", traits={"age": 20})
    assert fresh.assign(traits={"age": 20})["segments"] == []
    assert fresh.get("/catalog")["segments"] == 0
    assert members(fresh, "adult") == []
    assert fresh.rows("select * from jobs") == []
    faults = refused(fresh, "put", "/segments/user", {"condition": group(("segment:adult", "=", True))})  # fmt: skip  # noqa: E501
    assert faults == ("invalid", [("/condition", "unknown_segment")])
    fresh.ask("patch", "/segments/adult", json={"status": "active"})
    fresh.settle()
    assert members(fresh, "adult") == ["c-1"]


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


def test_metrics_are_in_the_answers_once_measured(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    for customer_id, age in (("c-1", 20), ("c-2", 30), ("c-3", 10), ("c-4", 5)):
        fresh.assign(customer_id, traits={"age": age, "orders": 2, "total_spent": 10})
    measured = fresh.get("/segments/adult/metrics")
    assert (measured["size"], measured["customers"], measured["share"]) == (2, 4, 0.5)
    assert measured["entered"] == {"day": 2, "week": 2, "month": 2}
    assert measured["exited"] == {"day": 0, "week": 0, "month": 0}
    fresh.runner.run(fresh.process.services.jobs.measure())
    assert fresh.get("/segments/adult")["metrics"] == measured
    assert datetime.fromisoformat(measured["as_of"]).timestamp() * 1_000_000 == NOW


def test_ready(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    state = fresh.get("/readyz")
    assert state["ready"] is True
    assert state["database"] == {"ready": True, "revision": 1, "reason": None}
    assert state["catalog"] == {"ready": True, "revision": 1, "segments": 1, "refused": []}
    assert state["models"] == {"ready": True, "active": {}, "refused": []}
