"""`/segments`: definitions as they come, change and go."""

import asyncio
from typing import Any

import httpx
import pytest

from service.api.services import Services
from tests.api.asking import keys, members, refused
from tests.contracts.test_errors import shaped
from tests.running import NOW, Clock, connected, group, segment
from tests.serving import Service

ADULT = group(("age", ">=", 18))


def test_a_created_segment_is_answered_whole_and_found_where_it_says(fresh: Service) -> None:
    document = {
        "key": "adult", "name": "Adults", "description": "18 and more",
        "dimensions": ["demographic"], "condition": ADULT, "scheme": "age", "priority": 3,
        "status": "active", "owner": "crm", "tags": ["core"], "review_by": "2027-03-01",
        "expires_at": "2027-06-01T00:00:00Z",
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
        "warnings": [], "masked": [], "created_at": now, "updated_at": now, "metrics": None,
    }  # fmt: skip
    unmeasured = {"metrics": None, "warnings": []}  # nobody is in it, once it is measured
    assert fresh.get(answer.headers["location"]) | unmeasured == segment
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
    fresh.ask("patch", "/segments/adult", json={"treatment": {"channels": ["email"], "offer": "1"}})
    treated = fresh.ask("patch", "/segments/adult", json={"treatment": {"offer": None}}).json()
    assert (treated["treatment"], treated["owner"]) == ({"channels": ["email"]}, None)
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
        ({"kind": "list"}, 422, ("invalid", [("/kind", "unknown_property")])),
        ({"tags": "x"}, 422, ("invalid", [("/tags", "type")])),
        ({"key": "other"}, 422, ("invalid", [("/key", "bad_key")])),
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


@pytest.mark.anyio
async def test_patches_at_once_lose_nothing(client: httpx.AsyncClient) -> None:
    await client.put("/segments/s", json={"condition": ADULT})
    answers = await asyncio.gather(
        client.patch("/segments/s", json={"owner": "crm"}),
        client.patch("/segments/s", json={"tags": ["a"]}),
        client.patch("/segments/s", json={"description": "d"}),
        client.patch("/segments/s", json={"name": "n"}),
    )
    assert [answer.status_code for answer in answers] == [200] * 4
    document = (await client.get("/segments/s")).json()
    told = [document[name] for name in ("owner", "tags", "description", "name")]
    assert told == ["crm", ["a"], "d", "n"]


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
    assert faults == ("invalid", [("/condition/rules/0/field", "unknown_segment")])
    fresh.ask("patch", "/segments/adult", json={"status": "active"})
    fresh.settle()
    assert members(fresh, "adult") == ["c-1"]
    drafted = fresh.ask("patch", "/segments/adult", json={"status": "draft"}).json()
    assert (drafted["status"], drafted["version"]) == ("draft", 3)
    assert fresh.get("/catalog")["segments"] == 0


@pytest.mark.anyio
async def test_a_definition_broken_by_hand_spoils_no_listing(
    client: httpx.AsyncClient, services: Services
) -> None:
    await services.publisher.save([segment("a", ("age", ">", 1)), segment("b", ("age", ">", 1))])
    async with connected(services.database.url.asyncpg) as outsider:
        for broken in ('{"name": 5, "tags": "x", "condition": 7}', '"text"', "null"):
            await outsider.execute("update segments set definition = $1 where key = 'a'", broken)
            listed = await client.get("/segments")
            assert [item["key"] for item in listed.json()["items"]] == ["a", "b"]
            assert (await client.get("/segments/a")).json()["name"] == "a"


def test_head_is_get_without_a_body(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    for path in ("/segments", "/segments/adult", "/segments/adult/versions", "/segments/nobody",
                 "/customers/a%2Fb", "/jobs", "/nowhere"):  # fmt: skip
        head, get = fresh.ask("head", path), fresh.ask("get", path)
        assert head.content == b""
        told = (head.status_code, head.headers["content-type"], head.headers.get("etag"))
        assert told == (get.status_code, get.headers["content-type"], get.headers.get("etag"))
    assert fresh.ask("head", "/segments/adult/rollback").status_code == 405


def test_a_patch_may_repeat_the_key(fresh: Service) -> None:
    fresh.save("adult", ("age", ">=", 18))
    answer = fresh.ask("patch", "/segments/adult", json={"key": "adult", "name": "Adults"})
    assert (answer.status_code, answer.json()["name"]) == (200, "Adults")
    assert fresh.rows("select definition ? 'key' from segments") == [(False,)]
    assert refused(fresh, "patch", "/segments/adult", {"key": "other"}) == (
        "invalid", [("/key", "bad_key")],
    )  # fmt: skip
