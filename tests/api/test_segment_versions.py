"""A segment's versions, going back to one, who uses it, activating it, and keeping its members."""

from typing import Any

import pytest

from service.api.paging import cursor
from tests.api.asking import change, keys, members, refused
from tests.contracts.test_errors import shaped
from tests.running import NOW, Clock, group
from tests.serving import Service

ADULT = group(("age", ">=", 18))


def versions(service: Service, key: str, **query: Any) -> list[Any]:
    return [each for page in service.pages(f"/segments/{key}/versions", **query) for each in page]


def activate(service: Service, key: str, **body: Any) -> Any:
    return service.ask("post", f"/segments/{key}/activate", json=body)


def test_each_version_says_who_changed_what_and_why(fresh: Service) -> None:
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    fresh.save("adult", ("age", ">=", 18), name="Adults", tags=["a"], status="draft")
    clock.now = NOW + 60_000_000
    patch = {
        "condition": group(("age", ">=", 21), ("city", "=", "Brno")),
        "tags": None,
        "owner": "crm",
        "status": "active",
    }
    why = {"x-change-reason": "The law has changed: %C4%8Dl%C3%A1nek 3"}
    assert fresh.ask("patch", "/segments/adult", json=patch, headers=why).is_success
    second, first = fresh.get("/segments/adult/versions")["items"]
    assert (first["version"], first["status"], first["difference"]) == (1, "draft", None)
    assert (first["created_at"], second["created_at"]) == (
        "2027-01-15T08:00:00Z", "2027-01-15T08:01:00Z",
    )  # fmt: skip
    assert (first["author"], first["reason"]) == ("local", None)
    assert (second["author"], second["reason"]) == ("local", "The law has changed: článek 3")
    assert first["definition"]["condition"] == ADULT
    assert second["summary"] == "Age is at least 21 and city is Brno."
    difference = second["difference"]
    assert difference.keys() == {"condition", "tags", "owner", "status"}
    assert (difference["status"]["before"], difference["status"]["after"]) == ("draft", "active")
    assert difference["tags"] == {"before": ["a"], "after": []}
    assert difference["owner"] == {"after": "crm"}
    condition = difference["condition"]
    assert (condition["before"], condition["after"]) == (first["summary"], second["summary"])
    assert [(each["pointer"], each["change"]) for each in condition["rules"]] == [
        ("/condition/rules/0", "changed"),
        ("/condition/rules/1", "added"),
    ]
    assert condition["rules"][0]["before"]["value"] == 18
    assert condition["rules"][0]["after"]["value"] == 21


def test_versions_come_in_pages_each_with_its_difference(fresh: Service) -> None:
    for number in range(7):
        fresh.save("adult", ("age", ">=", number))
    pages = list(fresh.pages("/segments/adult/versions", limit=3))
    assert [[each["version"] for each in page] for page in pages] == [[7, 6, 5], [4, 3, 2], [1]]
    assert [each["difference"] is None for page in pages for each in page] == [*[False] * 6, True]
    assert refused(fresh, "get", "/segments/nobody/versions", None, 404) == ("not_found", [])


def test_going_back_makes_a_new_version_of_an_old_definition(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18), name="Adults")
    fresh.save("adult", ("age", ">=", 21), status="draft")
    fresh.ask("patch", "/segments/adult", json={"status": "active"})
    back = fresh.ask("post", "/segments/adult/rollback", json={"version": 1})
    assert back.status_code == 200
    segment = back.json()
    assert (segment["version"], segment["status"], segment["name"]) == (4, "active", "Adults")
    assert (segment["condition"], segment["summary"]) == (ADULT, "Age is at least 18.")
    assert keys(fresh.assign(traits={"age": 20})["segments"]) == ["adult"]
    # The status stays: a draft goes back as a draft.
    fresh.ask("patch", "/segments/adult", json={"status": "draft"})
    drafted = fresh.ask("post", "/segments/adult/rollback", json={"version": 2}).json()
    assert (drafted["version"], drafted["status"], drafted["condition"]) == (
        6, "draft", group(("age", ">=", 21)),
    )  # fmt: skip
    # To what it is already: nothing changes.
    again = fresh.ask("post", "/segments/adult/rollback", json={"version": 6}).json()
    assert again["version"] == 6


def test_there_is_no_way_back_to_what_can_not_stand(fresh: Service) -> None:
    fresh.save("vip")
    fresh.save("adult", ("segment:vip", "=", True))
    fresh.save("adult", ("age", ">=", 18))
    fresh.ask("delete", "/segments/vip")
    path = "/segments/adult/rollback"
    assert refused(fresh, "post", path, {"version": 1}) == (
        "invalid", [("/condition/rules/0/field", "unknown_segment")],
    )  # fmt: skip
    assert refused(fresh, "post", path, {"version": 9}) == ("invalid", [("/version", "bad_value")])
    assert refused(fresh, "post", path, {"version": 0}) == ("invalid", [("/version", "bad_value")])
    assert refused(fresh, "post", path, {}) == ("invalid", [("/version", "required")])
    archived = refused(fresh, "post", "/segments/vip/rollback", {"version": 1}, 409)
    assert archived == ("archived", [])
    nobody = refused(fresh, "post", "/segments/nobody/rollback", {"version": 1}, 404)
    assert nobody == ("not_found", [])


def test_who_uses_a_segment_and_where(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18), scheme="age", priority=2)
    fresh.save("child", ("age", "<", 12), scheme="age", priority=1)
    fresh.save("teen", ("age", "<", 18), scheme="age", priority=3, status="draft")
    fresh.save("adults", ("age", ">", 1))
    uses = {"field": "segment:adult", "operator": "=", "value": True}
    nested = {"combinator": "and", "rules": [
        uses, {"combinator": "or", "rules": [{"field": "x", "operator": "=", "value": 1}, uses]},
    ]}  # fmt: skip
    fresh.ask("put", "/segments/buyer", json={"name": "Buyers", "condition": nested})
    fresh.save("sketch", ("segment:adult", "=", False), status="draft")
    fresh.save("gone", ("segment:adult", "=", True))
    fresh.ask("delete", "/segments/gone")
    fresh.save("named", ("note", "=", "segment:adult"))
    assert fresh.get("/segments/adult/uses") == {
        "items": [
            {"key": "buyer", "name": "Buyers", "status": "active",
             "rules": ["/condition/rules/0", "/condition/rules/1/rules/1"]},
            {"key": "sketch", "name": "sketch", "status": "draft",
             "rules": ["/condition/rules/0"]},
        ],
        "scheme": {"key": "age", "segments": [
            {"key": "child", "priority": 1, "status": "active"},
            {"key": "adult", "priority": 2, "status": "active"},
            {"key": "teen", "priority": 3, "status": "draft"},
        ]},
        "next_cursor": None,
    }  # fmt: skip
    pages = fresh.pages("/segments/adult/uses", limit=1)
    assert [keys(page) for page in pages] == [["buyer"], ["sketch"]]
    assert fresh.get("/segments/adults/uses") == {"items": [], "scheme": None, "next_cursor": None}


@pytest.mark.parametrize(
    ("body", "notify"), [({}, "none"), ({"notify": "new"}, "new"), ({"notify": "all"}, "all")]
)
def test_activating_says_whom_to_tell_of_it(
    fresh: Service, body: dict[str, str], notify: str
) -> None:
    fresh.save("adult", ("age", ">=", 18), status="draft")
    fresh.assign("c-1", traits={"age": 20})
    answer = activate(fresh, "adult", **body)
    assert (answer.status_code, answer.json()["status"]) == (200, "active")
    assert answer.json()["version"] == 2
    fresh.settle()
    assert members(fresh, "adult") == ["c-1"]
    [(told, named)] = fresh.rows("select notify, keys from catalog_revisions where revision = 1")
    assert (told, named) == (notify, ["adult"])


def test_what_is_active_or_archived_is_not_activated(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    again = activate(fresh, "adult")
    assert (again.status_code, again.json()["version"]) == (200, 1)
    late = activate(fresh, "adult", notify="all")
    assert (late.status_code, shaped(late)["code"]) == (409, "active")
    fresh.ask("delete", "/segments/adult")
    gone = activate(fresh, "adult")
    assert (gone.status_code, shaped(gone)["code"]) == (409, "archived")
    assert activate(fresh, "nobody").status_code == 404
    path = "/segments/adult/activate"
    assert refused(fresh, "post", path, {"notify": "some"}) == (
        "invalid", [("/notify", "bad_value")],
    )  # fmt: skip


def test_only_the_activation_itself_carries_notify(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18), status="draft")
    activate(fresh, "adult", notify="all")
    fresh.save("adult", ("age", ">=", 21))
    told = fresh.rows("select notify from catalog_revisions where revision > 0 order by revision")
    assert told == [("all",), ("none",)]


def test_a_snapshot_keeps_the_members_of_its_day(fresh: Service) -> None:
    fresh.save("vip", ("spent", ">", 100), name="VIP", tags=["top"], dimensions=["value"])
    for customer_id, spent in (("c-1", 200), ("c-2", 300), ("c-3", 5)):
        fresh.assign(customer_id, traits={"spent": spent})
    answer = fresh.ask("post", "/segments/vip/snapshot", json={"key": "vip-nov"})
    assert (answer.status_code, answer.headers["location"]) == (201, "/segments/vip-nov")
    kept = answer.json()
    assert (kept["kind"], kept["status"], kept["name"]) == ("list", "active", "VIP (2027-01-15)")
    assert kept["description"] == "The members of vip on 2027-01-15T08:00:00Z."
    assert (kept["tags"], kept["dimensions"]) == (["top"], ["value"])
    fresh.settle()
    assert members(fresh, "vip-nov") == ["c-1", "c-2"]
    # Entering it says nothing of the customer: outbound messages leave this reason out.
    [entered, _] = fresh.get("/customers/c-1/transitions")["items"]
    assert (entered["segment"], entered["reason"]) == ("vip-nov", {"kind": "definition"})
    fresh.assign("c-1", traits={"spent": 0})
    fresh.assign("c-3", traits={"spent": 900})
    assert (members(fresh, "vip"), members(fresh, "vip-nov")) == (["c-2", "c-3"], ["c-1", "c-2"])
    assert fresh.get("/segments/vip-nov") | {"metrics": None} == kept
    named = fresh.ask("post", "/segments/vip/snapshot", json={"key": "v2", "name": "Now"}).json()
    assert named["name"] == "Now"


def test_a_snapshot_of_a_list_and_of_nobody(fresh: Service) -> None:
    fresh.save("guests")
    fresh.assign("c-1")
    change(fresh, "guests", add=["c-1", "to-come"])
    fresh.ask("post", "/segments/guests/snapshot", json={"key": "came"})
    fresh.save("empty", ("age", ">", 1))
    fresh.ask("post", "/segments/empty/snapshot", json={"key": "none"})
    fresh.settle()
    assert (members(fresh, "came"), members(fresh, "none")) == (["c-1"], [])


def test_no_snapshot_of_what_has_no_members_nor_over_another(fresh: Service) -> None:
    fresh.save("vip", ("spent", ">", 100))
    fresh.save("sketch", ("spent", ">", 1), status="draft")
    fresh.save("gone")
    fresh.ask("delete", "/segments/gone")
    for source, key, status, code in (
        ("nobody", "new", 404, "not_found"),
        ("sketch", "new", 409, "draft"),
        ("gone", "new", 409, "archived"),
        ("vip", "vip", 409, "exists"),
        ("vip", "gone", 409, "exists"),
        ("vip", "Bad Key", 422, "invalid"),
        ("vip", "preview", 422, "invalid"),
    ):
        found = refused(fresh, "post", f"/segments/{source}/snapshot", {"key": key}, status)
        assert found[0] == code
    assert fresh.ask("get", "/segments/new").status_code == 404


def test_a_page_beyond_the_first_version_is_empty(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    for number in (0, 1):
        page = fresh.get(f"/segments/adult/versions?cursor={cursor(number)}")
        assert page == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/segments/adult/versions", 2**31), ("/segments/adult/versions", 10**18 - 1),
        ("/audit", 2**63), ("/customers/c-1/transitions", 2**63), ("/jobs", 2**63),
        ("/jobs", 10**4_000),
    ],
)  # fmt: skip
def test_cursors_of_numbers_that_none_has(fresh: Service, path: str, number: int) -> None:
    fresh.save("adult", ("age", ">=", 18))
    fresh.assign("c-1")
    assert refused(fresh, "get", f"{path}?cursor={cursor(number)}", None) == (
        "invalid", [("/query/cursor", "bad_value")],
    )  # fmt: skip
    for most in (2**31 - 1, 2**63 - 1):
        answer = fresh.ask("get", f"{path}?cursor={cursor(most)}")
        assert answer.status_code == (422 if most > 2**31 and "versions" in path else 200)
